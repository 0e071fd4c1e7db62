/** The page's way to a worker of its own. */

import { Connection } from './engine.js';
import { WeftError } from './errors.js';

export function connectDedicated(): Connection {
  const worker = startWorker();
  const connection = new Connection(worker, () => worker.terminate());
  worker.onerror = (event) => {
    event.preventDefault();
    const what = event.message || 'its script could not be loaded';
    const crashed = () => new WeftError('CRASHED', `the worker crashed: ${what}. Load the model again.`);
    connection.fail(connection.heard ? crashed() : notStarted(what));
  };
  return connection;
}

function startWorker(): Worker {
  try {
    // Bundlers look for this very expression.
    return new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'weft' });
  } catch (cause) {
    // From another origin, or against the content security policy.
    throw notStarted(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function notStarted(what: string, options?: ErrorOptions): WeftError {
  const remedy =
    "Is dist/worker.js served as JavaScript from the page's own origin, and does the bundler keep `new URL('./worker.js', import.meta.url)`?";
  return new WeftError('WORKER_FAILED', `the worker did not start: ${what}. ${remedy}`, options);
}
