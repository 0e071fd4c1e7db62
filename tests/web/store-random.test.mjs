// Random sequences of actions by tabs, the user, the browser and the server on a store, in
// Chromium. js/test/store-random.test.mjs runs many more with storage in memory.

import { test } from 'node:test';
import { fileServer, pattern } from '../../js/test/support/server.mjs';
import { actionsOf, play } from '../../js/test/support/random-store.mjs';
import { ChromiumVisitor } from './visitor.mjs';

for (const seed of [1, 2, 3]) {
  test(`whatever the order, what loads is one version of the file, and nothing is left of what was deleted (${seed})`, async (t) => {
    const server = await fileServer(t, pattern(1 << 20));
    await play(actionsOf(seed, 20), { visitor: new ChromiumVisitor(t), server, patience: 400 });
  });
}
