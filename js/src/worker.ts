/** The worker of one page. All compute happens here, and in threads that it starts. */

import type { Port, Reply, Request } from './protocol.js';
import { serve } from './serve.js';
import { starting } from './start.js';

const page = globalThis as unknown as Port<Reply, Request>;
serve(
  page,
  starting((crash) => page.postMessage({ type: 'thread', crash }, [crash])),
);
