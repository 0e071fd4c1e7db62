// Every failure reaches the caller as a WeftError with the right code.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLoad } from '../dist/options/load.js';
import { WeftError } from '../dist/common/errors.js';
import { collect, connect, FakeLlm, fakeRuntime, gate, loadCall, loadFake, settle } from './support/fake.mjs';

const throwing = (error) =>
  new FakeLlm((event) => {
    if (event.type === 'token') throw error;
  });

test('an error of the runtime keeps its code and message, and the next call works', async (t) => {
  const error = Object.assign(new Error('the prompt is too long'), { code: 'CONTEXT_OVERFLOW' });
  const { llm, fake } = await loadFake(t, throwing(error));
  await assert.rejects(collect(llm.generate('a')), {
    name: 'WeftError',
    code: 'CONTEXT_OVERFLOW',
    message: 'the prompt is too long',
  });
  assert.deepEqual(fake.log.at(-1), ['stop', 'a']);
  fake.before = () => {};
  assert.equal((await collect(llm.generate('b'))).length, 2);
});

test('an error without a code is reported as a bug', async (t) => {
  const { llm } = await loadFake(t, throwing(new TypeError('x is undefined')));
  await assert.rejects(collect(llm.generate('a')), { code: 'INTERNAL', message: 'x is undefined' });
});

test('pieces that came before an error are read before it', async (t) => {
  const before = (event) => {
    if (event.id === 1) throw new Error('late');
  };
  const { llm } = await loadFake(t, new FakeLlm(before));
  const texts = [];
  await assert.rejects(async () => {
    for await (const { text } of llm.generate('a b')) texts.push(text);
  }, /late/);
  assert.deepEqual(texts, ['a']);
});

test('a crash of the module fails this call, waiting and later ones, and ends the worker', async (t) => {
  const held = gate();
  const fake = new FakeLlm(() =>
    held.opened.then(() => {
      throw new WebAssembly.RuntimeError('unreachable');
    }),
  );
  // Like the generated glue after a method has crashed.
  fake.stop = () => {
    throw new Error('recursive use of an object detected');
  };
  const { llm, closed } = await loadFake(t, fake);
  const runs = assert.rejects(collect(llm.generate('runs')), {
    code: 'CRASHED',
    message: /unreachable.*Load the model/,
  });
  await settle();
  const waits = assert.rejects(llm.tokenize('waits'), { code: 'CRASHED' });
  held.open();
  await Promise.all([runs, waits]);
  await assert.rejects(collect(llm.generate('later')), { code: 'CRASHED' });
  await assert.rejects(llm.detokenize([1]), { code: 'CRASHED' });
  assert.equal(closed.times, 1);
});

test('a lost device ends the model too', async (t) => {
  const { llm, closed } = await loadFake(t, throwing(Object.assign(new Error('gone'), { code: 'DEVICE_LOST' })));
  await assert.rejects(collect(llm.generate('a')), { code: 'DEVICE_LOST' });
  await assert.rejects(llm.tokenize('later'), { code: 'DEVICE_LOST' });
  assert.equal(closed.times, 1);
});

test('a crash while loading is reported, even if cleaning up fails', async (t) => {
  const runtime = fakeRuntime(new FakeLlm());
  const { create } = runtime.Loader;
  runtime.Loader.create = async (options) => ({
    ...(await create(options)),
    async feed() {
      throw new WebAssembly.RuntimeError('memory access out of bounds');
    },
    free() {
      throw new Error('attempted to take ownership of a borrowed value');
    },
  });
  const { connection } = connect(t, runtime);
  const call = checkLoad({ model: new Blob(['x']) });
  await assert.rejects(connection.request(call), { code: 'CRASHED' });
});

test('a call that cannot be sent leaves nothing behind', async (t) => {
  const { connection, llm } = await loadFake(t);
  await assert.rejects(connection.request({ type: 'tokenize', text: () => {} }), { name: 'DataCloneError' });
  assert.deepEqual(await llm.tokenize('a'), [0]);
});

const generateOptions = [
  ['temperature', [-1, NaN, Infinity, '1', null]],
  ['topK', [-1, 1.5, 2 ** 32]],
  ['topP', [-0.1, 1.1]],
  ['minP', [-0.1, 1.1]],
  ['repetitionPenalty', [0, -1]],
  ['frequencyPenalty', [NaN, '0']],
  ['presencePenalty', [Infinity, true]],
  ['penaltyLastN', [-1, 0.5, 2 ** 32]],
  ['seed', [-1, 0.5, 2 ** 53]],
  ['maxTokens', [-1, 1.5, Infinity, 2 ** 32]],
  ['stop', ['', [''], [1], 1, null]],
  ['signal', [{}, null, new AbortController()]],
  ['speculate', [true, null, 'look-up', {}, { draft: 'a model' }, { draft: {} }, { draft: {}, most: 1 }]],
  ['temprature', [1]],
];
const loadOptions = [
  ['model', [undefined, null, 1, [], [undefined], 'no base address', [new Blob(), {}]]],
  ['device', ['webgpu', null, 1]],
  ['contextLength', [0, -1, 1.5, '2048', null, 2 ** 32]],
  ['onProgress', [1, null]],
  ['signal', [{}]],
  ['context', [1]],
  ['store', [1, null, 'yes']],
  ['store.evict', [{ evict: 'always' }, { evict: null }]],
  ['store.required', [{ required: 1 }]],
  ['evit', [{ evit: 'never' }]],
  ['sha256', ['abc', 1, ['0'.repeat(63)]]],
  ['fetch', [1, null]],
  ['token', [1, '', 'two words', 'line\nbreak']],
  ['hub', [1, 'no address']],
];
/** Options that only affect `hf:` addresses. */
const HUB_MODELS = ['token', 'hub'];
const named = (option) => (error) =>
  error instanceof WeftError && error.code === 'INVALID_OPTION' && error.message.startsWith(`option \`${option}\`: `);

test('every wrong option of a generation is named at the call', async (t) => {
  const { llm, fake } = await loadFake(t);
  for (const [option, values] of generateOptions) {
    for (const value of values) {
      assert.throws(() => llm.generate('a', { [option]: value }), named(option), `${option}: ${String(value)}`);
    }
  }
  assert.throws(() => llm.generate('a', null), named('options'));
  assert.throws(() => llm.generate(['a']), named('prompt[0]'));
  assert.throws(() => llm.chat('a'), named('messages'));
  assert.throws(() => llm.chat([]), named('messages'));
  assert.throws(() => llm.chat([{ content: 'a' }]), named('messages[0].role'));
  assert.throws(() => llm.chat([{ role: 'user', content: 'a' }, { role: 'user' }]), named('messages[1].content'));
  assert.throws(() => llm.chat([null]), named('messages[0].role'));
  assert.throws(() => llm.chat([{ role: 'assistant', content: null }]), named('messages[0].content'));
  const message = [{ role: 'user', content: 'a' }];
  assert.throws(() => llm.chat(message, null), named('options'));
  assert.throws(() => llm.chat(message, { tools: [{}] }), named('tools[0].function.name'));
  assert.throws(() => llm.chat(message, { variables: 'a' }), named('variables'));
  const endless = {};
  endless.self = endless;
  assert.throws(() => llm.chat(message, { variables: endless }), named('variables'));
  assert.throws(() => llm.generate('a', { logitBias: { a: 1 } }), named('logitBias'));
  assert.throws(() => llm.generate('a', { logitBias: { 1: NaN } }), named('logitBias[1]'));
  assert.throws(() => llm.generate('a', { keepSpecial: 'a' }), named('keepSpecial'));
  assert.throws(() => llm.generate('a', { topLogprobs: -1 }), named('topLogprobs'));
  assert.throws(() => llm.generate([1.5]), named('prompt[0]'));
  assert.deepEqual(fake.log, []);
});

/** These once had no effect, or failed with a TypeError that named nothing. */
test('what looks like options and is not is refused by its name', async (t) => {
  const { llm, fake } = await loadFake(t);
  const message = [{ role: 'user', content: 'a' }];
  const session = llm.session();
  const cases = [
    ['options', () => llm.generate('a', new Map([['maxTokens', 1]]))],
    ['options', () => llm.generate('a', [])],
    ['logitBias', () => llm.generate('a', { logitBias: new Map([[1, -100]]) })],
    ['limits', () => llm.generate('a', { limits: new Map([['digits', 2]]) })],
    ['variables', () => llm.chat(message, { variables: new Map([['a', 1]]) })],
    ['tools[0].function.name', () => llm.chat(message, { tools: Array(1) })],
    ['stop', () => llm.generate('a', { stop: Array(1) })],
    ['keepSpecial', () => llm.generate('a', { keepSpecial: Array(1) })],
    ['constraint.choices', () => llm.generate('a', { constraint: { choices: Array(1) } })],
    ['input', () => llm.embeddings.create({ input: Array(1) })],
    ['after', () => llm.score('a', { after: null })],
    ['messages', () => llm.session({ messages: { role: 'system', content: 'a' } })],
    ['messages', () => llm.session({ messages: null })],
    ['options', () => session.append('a', null)],
    ['sginal', () => session.append('a', { sginal: undefined })],
    ['options', () => session.measure('a', null)],
    ['prefx', () => session.measure('a', { prefx: 'b' })],
    ['options', () => session.save(null)],
    ['cashe', () => session.save({ cashe: false })],
    ['cache', () => session.save({ cache: 'no' })],
    ['options', () => llm.bestOf(2).generate('a', null)],
    ['signal', () => llm.bestOf(2).generate('a', { signal: {} })],
    ['seed', () => llm.bestOf(2).generate('a', { seed: 'a' })],
    ['seed', () => llm.bestOf(2).generate('a', { seed: Number.MAX_SAFE_INTEGER })],
  ];
  for (const [option, act] of cases) await assert.rejects(async () => act(), named(option), `${act}`);
  assert.deepEqual(fake.log, []);
});

test('values at their limits are allowed', async (t) => {
  const { llm, fake } = await loadFake(t);
  const limits = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 0.1, frequencyPenalty: -2 };
  const more = { presencePenalty: -2, penaltyLastN: 0, seed: Number.MAX_SAFE_INTEGER, maxTokens: 0, stop: [] };
  await collect(llm.generate('a', { ...limits, ...more }));
  assert.deepEqual(fake.options, { ...limits, ...more, logitBias: [], keepSpecial: [], constrained: false });
});

test('every wrong option of load is named', () => {
  const model = new Blob();
  for (const [option, values] of loadOptions) {
    for (const value of values) {
      // Errors inside `store` are named by their path.
      const given = typeof value === 'object' && /^store|evit/.test(option) ? 'store' : option;
      const all = { model: HUB_MODELS.includes(option) ? 'hf:a/b/c' : model, [given]: value };
      assert.throws(() => checkLoad(all), named(option), `${option}: ${String(value)}`);
    }
  }
  assert.throws(() => checkLoad(undefined), named('options'));
});

test('wrong arguments of tokenize and detokenize are named', async (t) => {
  const { llm } = await loadFake(t);
  await assert.rejects(llm.tokenize(1), named('text'));
  await assert.rejects(llm.tokenize('a', { addSpecial: 1 }), named('addSpecial'));
  await assert.rejects(llm.tokenize('a', { parseSpecial: 'no' }), named('parseSpecial'));
  await assert.rejects(llm.tokenize('a', { special: true }), named('special'));
  await assert.rejects(llm.detokenize(5), named('ids'));
  await assert.rejects(llm.detokenize([1, -1]), named('ids[1]'));
  await assert.rejects(llm.detokenize([undefined]), named('ids[0]'));
  await assert.rejects(llm.detokenize([2 ** 32]), named('ids[0]'));
});

test('the message says what was expected and what came', () => {
  assert.throws(() => checkLoad({ model: [] }), {
    message: 'option `model`: expected at least one file, got an empty array',
  });
  assert.throws(() => checkLoad({ model: 'm.gguf' }), /expected an address that can be resolved, got "m.gguf"/);
  assert.throws(
    () => checkLoad({ model: new Blob(), contextLength: 0 }),
    /expected an integer of at least 1 and at most 4294967295, got 0/,
  );
});

test('load takes URLs and blobs, alone and mixed', () => {
  const blob = new Blob(['x']);
  const store = { evict: 'never', required: false, revalidate: false };
  const { modules, ...checked } = checkLoad({ model: blob });
  assert.deepEqual(Object.keys(modules), ['weft', 'weft-relaxed-threads', 'weft-grammar']);
  assert.deepEqual(checked, loadCall([blob], { device: 'auto', store }));
  const model = ['http://localhost/a', blob, new URL('http://localhost/b#part')];
  const call = loadCall(['http://localhost/a', blob, 'http://localhost/b'], { device: 'auto', store });
  assert.deepEqual(checkLoad({ model, store }), { ...call, modules });
});
