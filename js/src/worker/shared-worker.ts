/**
 * The worker of all pages that want the same model. It closes when the last one has gone, and its memory with it.
 *
 * Neither side hears when the other one dies, so each holds a lock while it lives, for which the other one waits. The worker's lock, by
 * its name, is also how pages find it; that name begins with the model's. A page enters while it holds the lock that has the model's name alone,
 * and so does a worker close that nobody uses.
 */

import { serializeError } from '../common/errors.js';
import type { Entry, Port, Reply, Request } from '../common/protocol.js';
import { browserDownloads } from '../download/browser.js';
import { browserLocks } from '../store/locks.js';
import { Service } from './serve.js';
import { starting } from './start.js';

/** TypeScript's library of pages lacks it. */
interface SharedScope {
  readonly name: string;
  onconnect: (event: MessageEvent) => void;
  close(): void;
}

export function serveShared(): void {
  const scope = globalThis as unknown as SharedScope;
  const model = scope.name.slice(0, scope.name.lastIndexOf(' '));
  // Nothing where a worker of another address has the name: pages have the package from two places
  // then, and share by place. This one stays until its pages are closed, to say so to the next one
  // that comes here.
  const alive = browserLocks.tryHold(scope.name);
  const service = new Service(starting(), browserDownloads, () => void close());

  scope.onconnect = ({ ports: [port] }) => {
    port!.onmessage = ({ data }: MessageEvent<Entry>) => void enter(port!, data.life);
  };
  globalThis.onerror = (_event, _source, _line, _column, error) => {
    const { message } = serializeError(error);
    service.end({ code: 'CRASHED', message: `the worker crashed: ${message}. Load the model again.` });
  };

  /** `page`: the lock that the page holds while it lives. */
  async function enter(port: Port<Reply, Request>, page: string): Promise<void> {
    if (!(await alive) || service.ended) return port.postMessage({ type: 'ended' });
    const drop = service.connect(port);
    port.postMessage({ type: 'welcome' });
    const release = await browserLocks.hold(page);
    release();
    drop();
  }

  async function close(): Promise<void> {
    const release = await browserLocks.hold(model);
    if (service.used) release();
    else scope.close();
  }
}
