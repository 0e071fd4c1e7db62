// Random sequences of actions by tabs, the user, the browser and the server on a store, in
// Chromium. js/test/store-random.test.mjs runs many more with storage in memory.

import { test } from 'node:test';
import { fileServer, pattern } from '../../js/test/support/server.mjs';
import { actionsOf, play } from '../../js/test/support/random-store.mjs';
import { ChromiumVisitor } from './visitor.mjs';

for (const seed of [1, 2, 3]) {
  test(`random loads, changes and deletions: every load gives one version of the file, and deleted files leave nothing (${seed})`, async (t) => {
    const server = await fileServer(t, pattern(1 << 20));
    await play(actionsOf(seed, 20), { visitor: new ChromiumVisitor(t), server, patience: 400 });
  });
}
