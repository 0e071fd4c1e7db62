import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inTurn } from './run.mjs';

test('calls in turn never overlap, and a failed one stops no other', async () => {
  const events = [];
  const work = inTurn(async (name) => {
    events.push(name);
    await new Promise((resolve) => setImmediate(resolve));
    events.push(`${name}.`);
    if (name === 'b') throw new Error('b fails');
    return name;
  });
  const calls = [work('a'), work('b'), work('c')];
  assert.deepEqual(
    (await Promise.allSettled(calls)).map(({ value, reason }) => value ?? reason.message),
    ['a', 'b fails', 'c'],
  );
  assert.deepEqual(events, ['a', 'a.', 'b', 'b.', 'c', 'c.']);
});
