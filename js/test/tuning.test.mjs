// The remembered tuning of a GPU; a failing storage counts as empty.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browserStore, tuningOf } from '../dist/worker/tuning.js';
import { FakeStore } from './support/fake.mjs';

test('tuning is remembered by version and adapter', async () => {
  const store = new FakeStore();
  const tuning = tuningOf(store, '1.0', 'one');
  assert.equal(await tuning.recall(), null);
  await tuning.remember('best');
  assert.equal(await tuning.recall(), 'best');
  assert.equal(await tuningOf(store, '1.1', 'one').recall(), null);
  assert.equal(await tuningOf(store, '1.0', 'other').recall(), null);
});

test('a failing storage remembers nothing and gives no error', async () => {
  const fails = () => Promise.reject(new DOMException('no', 'SecurityError'));
  // Without IndexedDB, as in Node, the browser's store fails too.
  for (const store of [{ get: fails, set: fails }, browserStore]) {
    const tuning = tuningOf(store, '1.0', 'one');
    await tuning.remember('best');
    assert.equal(await tuning.recall(), null);
  }
});
