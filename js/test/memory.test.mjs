// Calls that wait for memory beside others.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Contexts } from '../dist/worker/contexts.js';
import { collect, gate, settle, textOf } from './support/fake.mjs';
import { Noted, tabs, together } from './support/tabs.mjs';

test('a chat without memory goes on when others have given back theirs', async (t) => {
  const fake = new Noted((event) => {
    const isLong = event.type === 'token' && event.id >= 3;
    if (isLong && fake.alive.length > 1) throw Object.assign(new Error('full'), { code: 'OUT_OF_MEMORY' });
  });
  const [{ llm }] = await tabs(t, fake, 1);
  const answers = await together(fake, llm, () =>
    ['a 1 2 3 4 5', 'b 1 2 3 4 5', 'c 1 2 3 4 5'].map((prompt) => collect(llm.generate(prompt))),
  );
  assert.deepEqual(answers.map(textOf), ['a 1 2 3 4 5 .', 'b 1 2 3 4 5 .', 'c 1 2 3 4 5 .']);
  assert.deepEqual(fake.alive, []);
});

test('a chat that waits for memory ends when it is stopped, and fails if no other holds any', async (t) => {
  const held = gate();
  const fake = new Noted((event, name) => {
    if (name === 'big' && event.text === '1') throw Object.assign(new Error('full'), { code: 'OUT_OF_MEMORY' });
    if (name === 'small' && event.text === '2') return held.opened;
  });
  const [{ llm }] = await tabs(t, fake, 1);
  const controller = new AbortController();
  const small = collect(llm.generate('small 1 2 3'));
  const big = collect(llm.generate('big 1 2', { signal: controller.signal }));
  await settle();
  assert.deepEqual(fake.alive, ['small']);
  controller.abort();
  assert.equal((await big).at(-1).finish.reason, 'abort');
  held.open();
  assert.equal(textOf(await small), 'small 1 2 3 .');
  await assert.rejects(collect(llm.generate('big 1 2')), { code: 'OUT_OF_MEMORY' });
});

test('a call of every kind waits for memory beside a chat, stops at its signal, and fails alone', async (t) => {
  const controller = new AbortController();
  const fake = new Noted((event, name) => {
    if (name === 'chat' && event.text === '5') controller.abort();
  });
  const inRoom = async () => {
    if (full || fake.alive.length > 0) throw Object.assign(new Error('full'), { code: 'OUT_OF_MEMORY' });
    fake.steps.push('other:done');
    return Float32Array.of(0.5);
  };
  let full = false;
  Object.assign(fake, { score: inRoom, embed: inRoom, read_kv: inRoom, write_kv: inRoom });
  fake.restore = () => 1000;
  fake.restored = async () => {};
  const [{ llm, connection }] = await tabs(t, fake, 1);
  const cache = { ids: [1, 2], adapters: '', layers: [Float32Array.of(0.5)] };
  const plain = { logitBias: [], stop: [], keepSpecial: [], constraint: null, schemas: '{}', entropy: 0 };
  const restoring = { type: 'generate', prompt: 'restored 1', cache, options: { ...plain, restored: 1 } };
  const restored = () =>
    new Promise((resolve, error) => {
      connection.open(restoring, { error, piece: (piece) => piece.finish && resolve(piece) });
    });
  const others = (signal) => [
    llm.score([1, 2], { signal }),
    llm.embed(['a text'], { signal }),
    // these two have no signal of their own
    ...(signal ? [] : [connection.request({ type: 'readCache', ids: [1, 2], restored: null }), restored()]),
  ];
  const [chat] = await together(fake, llm, () => [
    collect(llm.generate('chat 1 2 3 4 5 6 7 8 9')),
    ...others(controller.signal).map((call) => assert.rejects(call, { name: 'AbortError' })),
    ...others(),
  ]);
  assert.equal(textOf(chat), 'chat 1 2 3 4 5 6 7 8 9 .');
  const done = fake.steps.indexOf('other:done');
  assert.ok(done > fake.steps.indexOf('chat:end'), fake.steps.join(' '));
  assert.equal(fake.steps.filter((step) => step === 'other:done').length, 4);
  full = true;
  for (const call of others()) await assert.rejects(call, { code: 'OUT_OF_MEMORY' });
  assert.deepEqual(fake.alive, []);
});

/** Every end of a call once woke all who waited, and each computed its prompt again in vain. */
test('memory that was given back wakes those who wait for it, and nothing else does', async () => {
  const contexts = new Contexts();
  const [chat, other, third] = [{}, {}, {}];
  assert.equal(contexts.next(), undefined, 'nobody holds any');
  let woken = 0;
  const wait = () => void contexts.next().then(() => (woken += 1));
  const seen = async (act) => {
    act();
    await settle();
    return woken;
  };
  contexts.hold(chat);
  contexts.hold(other);
  wait();
  assert.equal(await seen(() => contexts.end(third)), 0, 'it held none');
  assert.equal(await seen(() => contexts.yield(other)), 0, 'it asks again');
  assert.equal(await seen(() => contexts.end(other)), 1, 'it was given up while it waited');
  wait();
  assert.equal(await seen(() => contexts.end(third)), 1);
  wait();
  assert.equal(await seen(() => contexts.end(chat)), 3, 'all who wait');
});
