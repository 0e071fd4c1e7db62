// A lost GPU: what the worker repeats and reports.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { give } from '../dist/download/port.js';
import { createLlm } from '../dist/page/llm.js';
import { collect, connect, FakeLlm, fakeRuntime, gate, loadCall, settle, textOf } from './support/fake.mjs';

const lost = () => Object.assign(new Error('gone'), { code: 'DEVICE_LOST' });

/**
 * Loads a model on `device`. `loads`: the device of every load. `onLoad` may throw during a load.
 */
async function loadOn(t, device, fake, onLoad = () => {}, file = new Blob(['x'])) {
  const runtime = fakeRuntime(fake);
  const { create } = runtime.Loader;
  const loads = [];
  runtime.Loader.create = async (options) => {
    loads.push(options.device);
    onLoad(loads.length);
    return create(options);
  };
  const { connection, closed } = connect(t, runtime);
  const call = loadCall([file], { device });
  return { llm: createLlm(connection, await connection.request(call)), connection, loads, closed, runtime };
}

/** Loses the GPU before the tokens with these ids, once each. */
const losing = (...ids) =>
  new FakeLlm((event) => {
    const at = event.type === 'token' ? ids.indexOf(event.id) : -1;
    if (at < 0) return;
    ids.splice(at, 1);
    throw lost();
  });

test('an answer goes on after a lost GPU, with no piece twice and none missing', async (t) => {
  const fake = losing(0, 2, 3);
  const { llm, loads } = await loadOn(t, 'gpu', fake);
  const pieces = await collect(llm.generate('a b c d'));
  assert.equal(textOf(pieces), 'a b c d .');
  assert.equal(pieces.at(-1).finish.usage.completionTokens, 4);
  assert.deepEqual(loads, ['gpu', 'gpu', 'gpu', 'gpu']);
  assert.equal(llm.info.engine.deviceLosses, 3);
  const count = (what) => fake.log.filter(([call]) => call === what).length;
  assert.equal(count('free'), 3);
  assert.equal(count('tokenize'), 1, 'a chat template may print the time');
});

test('drafts on a GPU that was lost are counted too', async (t) => {
  const fake = losing(1);
  fake.drafts = [3, 2];
  const { llm } = await loadOn(t, 'gpu', fake);
  const { usage } = await llm.generate('a b c', { speculate: 'lookup' }).finish;
  assert.deepEqual([usage.draftedTokens, usage.acceptedTokens], [6, 4]);
});

test('a GPU lost twice without a token in between: the CPU takes over', async (t) => {
  const { llm, loads } = await loadOn(t, 'auto', losing(1, 1));
  assert.equal(textOf(await collect(llm.generate('a b c'))), 'a b c .');
  assert.deepEqual(loads, ['auto', 'auto', 'cpu']);
  assert.match(llm.info.engine.reason, /given up: gone/);
});

test('the same with device gpu: DEVICE_LOST, and the worker ends', async (t) => {
  const { llm, loads, closed } = await loadOn(t, 'gpu', losing(1, 1));
  await assert.rejects(collect(llm.generate('a b c')), { code: 'DEVICE_LOST' });
  assert.deepEqual(loads, ['gpu', 'gpu']);
  assert.equal(closed.times, 1);
});

test('a GPU lost while loading, or failing its test, counts as lost', async (t) => {
  const failing = (code, times) => (load) => {
    if (load <= times) throw Object.assign(new Error('bad'), { code });
  };
  assert.deepEqual((await loadOn(t, 'auto', new FakeLlm(), failing('DEVICE_LOST', 1))).loads, ['auto', 'auto']);
  assert.deepEqual((await loadOn(t, 'auto', new FakeLlm(), failing('DEVICE_LOST', 2))).loads, ['auto', 'auto', 'cpu']);
  const { llm, loads } = await loadOn(t, 'auto', new FakeLlm(), failing('GPU_UNAVAILABLE', 1));
  assert.deepEqual(loads, ['auto', 'cpu']);
  assert.match(llm.info.engine.reason, /given up: bad/);
  await assert.rejects(loadOn(t, 'gpu', new FakeLlm(), failing('GPU_UNAVAILABLE', 1)), { code: 'GPU_UNAVAILABLE' });
});

test('a model that cannot be read again: its error, and the next call tries again', async (t) => {
  let broken = true;
  const onLoad = (load) => {
    if (load > 1 && broken) throw Object.assign(new Error('the network is down'), { code: 'NETWORK' });
  };
  const { llm, loads } = await loadOn(t, 'gpu', losing(1), onLoad);
  const message = /GPU device was lost.*could not be loaded again: the network is down/;
  await assert.rejects(collect(llm.generate('a b')), { code: 'NETWORK', message });
  broken = false;
  assert.equal(textOf(await collect(llm.generate('a b'))), 'a b .');
  assert.equal(loads.length, 3);
});

test('a stream cannot be read again: the error says so', async (t) => {
  const { port1, port2 } = new MessageChannel();
  give(new Blob(['x']).stream(), port1);
  const { llm } = await loadOn(t, 'gpu', losing(1), undefined, { type: 'stream', port: port2 });
  const message = /GPU device was lost.*could not be loaded again: .*a stream can be read only once/;
  await assert.rejects(collect(llm.generate('a b')), { code: 'NETWORK', message });
});

/** The steps of other calls once waited for the load, and no stop reached them. */
test('every call can be stopped during the reload, also one that did not lose the GPU', async (t) => {
  const { llm, connection, runtime } = await loadOn(t, 'gpu', losing(1));
  const { create } = runtime.Loader;
  const network = gate();
  runtime.Loader.create = (options) => network.opened.then(() => create(options));
  const interrupted = collect(llm.generate('a b c'));
  await settle();
  const controller = new AbortController();
  const { signal } = controller;
  // its end comes from the worker, which counts the tokens that a shift drops
  const plain = { logitBias: [], stop: [], keepSpecial: [], constraint: null, schemas: {}, entropy: 0 };
  const shifting = new Promise((resolve, error) => {
    const call = { type: 'generate', prompt: 'shifts', options: { ...plain, shiftBehind: 1 } };
    const id = connection.open(call, { error, piece: ({ finish }) => finish && resolve(finish) });
    signal.addEventListener('abort', () => connection.cancel(id));
  });
  const session = llm.session();
  const sent = session.send('a', { signal }).finish;
  const appended = assert.rejects(llm.session().append('a', { signal }), { name: 'AbortError' });
  await settle();
  controller.abort();
  assert.equal((await shifting).reason, 'abort');
  assert.equal((await sent).reason, 'abort');
  await appended;
  network.open();
  assert.equal(textOf(await interrupted), 'a b c .');
  assert.equal(await session.send('again').text, 'chatagain.');
});

/** It was told to end, then another answer lost the GPU, and it went on behind its call. */
test('an answer that has all its calls ends there, also after a lost GPU', async (t) => {
  const toolCall = '<tool_call>{"name":"now","arguments":{}}</tool_call>';
  const held = gate();
  let called = false;
  let losses = 1;
  const fake = new FakeLlm(async (event, name) => {
    if (event.text === toolCall) called = true;
    if (name !== 'b') return;
    await held.opened;
    if (called && losses-- > 0) throw lost();
  });
  const { llm } = await loadOn(t, 'gpu', fake);
  const other = collect(llm.generate(`b ${'b '.repeat(20)}`));
  await settle();
  const tools = [{ type: 'function', function: { name: 'now' } }];
  const content = `${toolCall} and more`;
  const calling = collect(llm.chat([{ role: 'user', content }], { tools, parallelToolCalls: false }));
  await settle();
  held.open();
  assert.equal(textOf((await calling).slice(0, -1)), `chat ${toolCall}`);
  await other;
  assert.equal(llm.info.engine.deviceLosses, 1);
});

test('an abort does not wait for the reload', async (t) => {
  const { llm, runtime } = await loadOn(t, 'gpu', losing(1));
  const { create } = runtime.Loader;
  let finish;
  runtime.Loader.create = (options) => new Promise((resolve) => (finish = resolve)).then(() => create(options));
  const controller = new AbortController();
  const pieces = [];
  for await (const piece of llm.generate('a b', { signal: controller.signal })) {
    pieces.push(piece);
    if (piece.id === 0) setTimeout(() => controller.abort(), 20);
  }
  assert.equal(pieces.at(-1).finish.reason, 'abort');
  finish();
  assert.equal(textOf(await collect(llm.generate('c'))), 'c .');
});
