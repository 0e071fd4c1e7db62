// What is remembered of a GPU, and that a storage which fails is one that remembers nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browserStore, tuningOf } from '../dist/worker/tuning.js';
import { FakeStore } from './support/fake.mjs';

test('is remembered by version and adapter', async () => {
  const store = new FakeStore();
  const tuning = tuningOf(store, '1.0', 'one');
  assert.equal(await tuning.recall(), null);
  await tuning.remember('best');
  assert.equal(await tuning.recall(), 'best');
  assert.equal(await tuningOf(store, '1.1', 'one').recall(), null);
  assert.equal(await tuningOf(store, '1.0', 'other').recall(), null);
});

test('a storage that fails remembers nothing, in silence', async () => {
  const fails = () => Promise.reject(new DOMException('no', 'SecurityError'));
  // Where there is no IndexedDB at all, as here, the store of the browser fails too.
  for (const store of [{ get: fails, set: fails }, browserStore]) {
    const tuning = tuningOf(store, '1.0', 'one');
    await tuning.remember('best');
    assert.equal(await tuning.recall(), null);
  }
});
