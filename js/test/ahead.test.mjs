// Reading ahead while the engine is busy: bounded, in order, and errors in their turn.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadAhead } from '../dist/worker/ahead.js';
import { gate, settle } from './support/fake.mjs';

/** Pieces of so many bytes, each with its index; counts what was read, and whether it was left. */
function source(sizes, failAt = Infinity) {
  const seen = { read: 0, left: false };
  async function* pieces() {
    try {
      for (const [index, size] of sizes.entries()) {
        if (index === failAt) throw new Error('the connection broke');
        seen.read += 1;
        yield { index, bytes: new Uint8Array(size) };
      }
    } finally {
      seen.left = true;
    }
  }
  return { seen, pieces: pieces() };
}

/** Takes all that is left. */
async function rest(ahead) {
  const taken = [];
  for (let next = await ahead.next(); !next.done; next = await ahead.next()) taken.push(next.value.index);
  return taken;
}

test('a piece that was read ahead is kept when the next read takes its memory', async () => {
  let memory = new ArrayBuffer(4);
  async function* pieces() {
    for (const index of [0, 1, 2, 3]) {
      memory = structuredClone(memory, { transfer: [memory] });
      yield { index, bytes: new Uint8Array(memory).fill(index) };
    }
  }
  const ahead = new ReadAhead(pieces(), 100);
  await ahead.next();
  const busy = gate();
  const work = ahead.during(busy.opened);
  await settle();
  busy.open();
  await work;
  for (const index of [1, 2, 3]) assert.deepEqual([...(await ahead.next()).value.bytes], Array(4).fill(index));
});

test('pieces are read while work goes on, up to the bound and in order', async () => {
  const { seen, pieces } = source(Array(20).fill(10));
  const ahead = new ReadAhead(pieces, 35);
  assert.equal((await ahead.next()).value.index, 0);
  const busy = gate();
  const work = ahead.during(busy.opened.then(() => 'fed'));
  await settle();
  // 10, 20, 30 bytes are below the bound, and the piece that passes it is the last
  assert.equal(seen.read, 1 + 4);
  busy.open();
  assert.equal(await work, 'fed');
  await settle();
  assert.equal(seen.read, 1 + 4);
  assert.deepEqual(
    await rest(ahead),
    Array.from({ length: 19 }, (_, index) => index + 1),
  );
});

test('nothing more is read once the work is done', async () => {
  const waiting = [];
  const pieces = { next: () => new Promise((resolve) => waiting.push(resolve)) };
  const ahead = new ReadAhead(pieces, 100);
  await ahead.during(Promise.resolve());
  assert.equal(waiting.length, 1);
  const piece = ahead.next();
  waiting[0]({ done: false, value: { index: 7, bytes: new Uint8Array(1) } });
  await settle();
  assert.equal((await piece).value.index, 7);
  assert.equal(waiting.length, 1);
});

test('what was begun before comes first', async () => {
  const { pieces } = source([1, 1, 1]);
  const ahead = new ReadAhead(pieces);
  void ahead.begin();
  await ahead.during(settle());
  assert.deepEqual(await rest(ahead), [0, 1, 2]);
});

test('an error of reading comes after the pieces before it, and an error of the work at once', async () => {
  const { seen, pieces } = source([1, 1, 1, 1], 2);
  const ahead = new ReadAhead(pieces);
  assert.equal(await ahead.during(settle().then(() => 'fed')), 'fed');
  assert.deepEqual([(await ahead.next()).value.index, (await ahead.next()).value.index], [0, 1]);
  await assert.rejects(ahead.next(), /the connection broke/);
  assert.equal(seen.left, true);

  const other = source([1, 1, 1]);
  const failing = new ReadAhead(other.pieces);
  await assert.rejects(failing.during(Promise.reject(new Error('no such model'))), /no such model/);
  // leaving the source ends it, whatever was read ahead
  await other.pieces.return(undefined);
  assert.equal(other.seen.left, true);
});
