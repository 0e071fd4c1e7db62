/** Connects the page to a worker of its own. */

import { WeftError } from '../common/errors.js';
import { Connection } from './connection.js';
import { spawn } from './spawn.js';
import { Threads } from './threads.js';

export function connectDedicated(): Connection {
  const { worker, explain, release } = spawn((url) => new Worker(url, { type: 'module', name: 'weft' }));
  const threads = new Threads();
  const connection = new Connection(worker, () => {
    worker.terminate();
    threads.end();
    release();
  });
  connection.onThreads = (asked) =>
    threads.start(asked, ({ code, message }) => connection.fail(new WeftError(code, message)));
  worker.onerror = (event) => {
    event.preventDefault();
    if (!connection.heard) return void explain(event).then((error) => connection.fail(error));
    const what = event.message || 'it ended';
    connection.fail(new WeftError('CRASHED', `the worker crashed: ${what}. Load the model again.`));
  };
  return connection;
}
