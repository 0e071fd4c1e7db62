// The faults of downloads and the store again: the tests from Node, in Chromium. A dedicated worker
// reads over the network from another origin, with the browser's file system, IndexedDB, locks and
// quota.

import { useVisitor } from '../../js/test/support/store.mjs';
import { ChromiumVisitor } from './visitor.mjs';

useVisitor(ChromiumVisitor);

await import('../../js/test/download.test.mjs');
await import('../../js/test/sources.test.mjs');
await import('../../js/test/store.test.mjs');
