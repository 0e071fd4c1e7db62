// AbortSignal and dispose: at any time, they end the iteration once, with the reason `abort`.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { orAborted } from '../dist/common/signals.js';
import { fileServer, pattern } from './support/server.mjs';
import { MemoryVisitor } from './support/store.mjs';
import { collect, FakeLlm, gate, loadFake, settle, textOf } from './support/fake.mjs';

const reasonOf = (pieces) => pieces.at(-1).finish?.reason;

test('aborted before the call: the worker gets no message', async (t) => {
  const { llm, fake } = await loadFake(t);
  const pieces = await collect(llm.generate('a', { signal: AbortSignal.abort() }));
  assert.equal(pieces.length, 1);
  assert.equal(reasonOf(pieces), 'abort');
  await llm.detokenize([97]);
  assert.deepEqual(fake.log, []);
});

test('aborted during the prompt: no token comes', async (t) => {
  const controller = new AbortController();
  const held = gate();
  const before = async (event) => {
    if (event.type !== 'prompt') return;
    await settle(); // the page hears that it was accepted
    controller.abort();
    return held.opened;
  };
  const { llm, fake } = await loadFake(t, new FakeLlm(before));
  const answer = collect(llm.generate('a b', { signal: controller.signal }));
  await settle();
  held.open();
  const pieces = await answer;
  assert.equal(pieces.length, 1);
  assert.equal(reasonOf(pieces), 'abort');
  assert.equal(pieces[0].finish.usage.promptTokens, 2);
  await settle(); // the page does not wait for the worker
  assert.deepEqual(fake.log.at(-1), ['stop', 'a']);
});

test('aborted during the prompt: the iteration ends while the worker is still busy', async (t) => {
  const controller = new AbortController();
  const held = gate();
  t.after(held.open);
  const { llm, fake } = await loadFake(t, new FakeLlm((event) => (event.type === 'prompt' ? held.opened : undefined)));
  const answer = llm.generate('a b', { signal: controller.signal });
  await answer.started;
  controller.abort();
  assert.equal(reasonOf(await collect(answer)), 'abort');
  assert.deepEqual(fake.log.at(-1), ['start', 'a']);
});

test('aborted between tokens: unread tokens are dropped', async (t) => {
  const controller = new AbortController();
  const held = gate();
  const { llm } = await loadFake(t, new FakeLlm((event) => (event.id === 3 ? held.opened : undefined)));
  const pieces = [];
  for await (const piece of llm.generate('a b c d', { signal: controller.signal })) {
    pieces.push(piece);
    await settle(); // b and c arrive
    controller.abort();
    held.open();
  }
  assert.equal(textOf(pieces), 'a ');
  assert.equal(reasonOf(pieces), 'abort');
});

test('aborted with an unread end: the iteration ends', async (t) => {
  const controller = new AbortController();
  const { llm } = await loadFake(t);
  const pieces = [];
  for await (const piece of llm.generate('a b c', { signal: controller.signal })) {
    pieces.push(piece);
    await settle();
    controller.abort();
  }
  assert.equal(textOf(pieces), 'a ');
  assert.equal(reasonOf(pieces), 'abort');
  assert.equal(pieces.at(-1).finish.usage.completionTokens, 3);
});

test('aborted while it waits for its place: it ends at once', async (t) => {
  const controller = new AbortController();
  const held = gate();
  const { llm, fake } = await loadFake(
    t,
    new FakeLlm((event, name) => (name === 'first' && event.id === 0 ? held.opened : undefined)),
  );
  const first = Array.from({ length: 4 }, () => collect(llm.generate('first')));
  const second = collect(llm.generate('second', { signal: controller.signal }));
  const third = collect(llm.generate('third'));
  await settle();
  controller.abort();
  assert.equal(reasonOf(await second), 'abort');
  held.open();
  assert.deepEqual((await Promise.all(first)).map(textOf), Array(4).fill('first .'));
  assert.equal(textOf(await third), 'third .');
  const started = fake.log.filter(([what]) => what === 'start').map(([, name]) => name);
  assert.deepEqual(started, ['first', 'first', 'first', 'first', 'third']);
});

test('aborted after the end: nothing happens', async (t) => {
  const controller = new AbortController();
  const { llm } = await loadFake(t);
  const pieces = await collect(llm.generate('a', { signal: controller.signal }));
  controller.abort();
  assert.equal(reasonOf(pieces), 'stop');
  assert.equal(textOf(await collect(llm.generate('b'))), 'b .');
});

test('an ended generation leaves no listener on its signal', async (t) => {
  const { signal } = new AbortController();
  const { llm } = await loadFake(t);
  await collect(llm.generate('a', { signal }));
  for await (const _ of llm.generate('a b', { signal })) {
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    break;
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  llm.dispose();
  await assert.rejects(collect(llm.generate('c', { signal })), { code: 'DISPOSED' });
  assert.equal(getEventListeners(signal, 'abort').length, 0, 'nor does one that could not begin');
});

/** A call that waited often for memory once had a listener for each time. */
test('a wait leaves no listener on its signal, and an abort ends it', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  await orAborted(Promise.resolve(), signal);
  await assert.rejects(orAborted(Promise.reject(new Error('full')), signal), /full/);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  const waiting = orAborted(new Promise(() => {}), signal);
  controller.abort();
  await waiting;
  // nobody else would handle what it rejects with
  await orAborted(Promise.reject(new Error('late')), signal);
});

test('dispose ends running and waiting calls with reason abort, and later calls fail', async (t) => {
  const { llm, closed } = await loadFake(t, new FakeLlm(() => gate().opened));
  const answers = [collect(llm.generate('runs')), collect(llm.generate('waits'))];
  await settle();
  const ids = llm.tokenize('waits too');
  await settle();
  llm.dispose();
  llm.dispose();
  assert.deepEqual((await Promise.all(answers)).map(reasonOf), ['abort', 'abort']);
  await assert.rejects(ids, { code: 'DISPOSED' });
  await assert.rejects(llm.tokenize('later'), { code: 'DISPOSED' });
  await assert.rejects(collect(llm.generate('later')), { name: 'WeftError', code: 'DISPOSED' });
  assert.equal(closed.times, 1);
});

test('a download of many requests leaves no listener on its signal', async (t) => {
  const counts = new Map();
  for (const [method, step] of [
    ['addEventListener', 1],
    ['removeEventListener', -1],
  ]) {
    AbortSignal.prototype[method] = function (type, ...rest) {
      counts.set(this, (counts.get(this) ?? 0) + step);
      return EventTarget.prototype[method].call(this, type, ...rest);
    };
    t.after(() => delete AbortSignal.prototype[method]);
  }
  const server = await fileServer(t, pattern(3 << 20), { cut: (number) => (number < 40 ? 1 << 16 : Infinity) });
  await new MemoryVisitor(t).load(server.url);
  assert.ok(server.requests.length > 40);
  assert.ok(Math.max(...counts.values()) <= 5, `${Math.max(...counts.values())} listeners`);
});
