/**
 * The package's only worker file, which js/build.mjs bundles: the worker of a page, where all
 * compute happens, the worker that pages share, or a thread of the first.
 */

import type { Port, Reply, Request } from '../common/protocol.js';
import { THREAD } from '../common/threads.js';
import { serve } from './serve.js';
import { serveShared } from './shared-worker.js';
import { starting } from './start.js';
import { serveThread } from './thread.js';

const { name } = globalThis as { name?: string };
if ('onconnect' in globalThis) serveShared();
else if (name === THREAD) serveThread();
else {
  const page = globalThis as unknown as Port<Reply, Request>;
  serve(
    page,
    starting((asked) => page.postMessage({ type: 'threads', asked }, [asked.failed])),
  );
}
