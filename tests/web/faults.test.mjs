// The faults of downloads and of the store once more: the same tests that Node runs, in Chromium. A dedicated worker reads over the
// network from another origin; the file system, IndexedDB, the locks and the quota are the browser's.

import { useVisitor } from '../../js/test/support/store.mjs';
import { ChromiumVisitor } from './visitor.mjs';

useVisitor(ChromiumVisitor);

await import('../../js/test/download.test.mjs');
await import('../../js/test/sources.test.mjs');
await import('../../js/test/store.test.mjs');
