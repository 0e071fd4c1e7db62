// Adapters: what the module is told to load, and which of them each call begins with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeRuntime, FakeLlm, loadCall, loadFake, connect, settle } from './support/fake.mjs';
import { createLlm } from '../dist/page/llm.js';

/** With a path, since Node's copies of files have no names. */
const file = (name, ...content) =>
  Object.defineProperty(new File(content, name), 'webkitRelativePath', { value: `folder/${name}` });
const adapters = ({ log }) => log.filter(([what]) => what === 'adapter').map(([, adapter]) => adapter);
const begun = ({ log }) => log.filter(([what]) => what === 'start' || what === 'score').map((entry) => entry.at(-1));

test('a GGUF file is fed as it is, and a folder of PEFT with its configuration', async (t) => {
  const { llm, fake } = await loadFake(t);
  await llm.adapters.load(file('a.gguf', Uint8Array.of(1, 2, 3)), { name: 'one' });
  const folder = [file('adapter_config.json', '{"r":1}'), file('adapter_model.safetensors', Uint8Array.of(4, 5))];
  await llm.adapters.load(folder, { name: 'two' });
  assert.deepEqual(adapters(fake), [
    { name: 'one', config: undefined, bytes: [1, 2, 3] },
    { name: 'two', config: '{"r":1}', bytes: [4, 5] },
  ]);
  await llm.adapters.merge('one');
  await llm.adapters.merge('two', 0.5);
  await llm.adapters.unmerge('two');
  await llm.adapters.unload('one');
  assert.deepEqual(fake.log.slice(-4), [
    ['merge', 'one', 1],
    ['merge', 'two', 0.5],
    ['merge', 'two', 0],
    ['unload', 'one'],
  ]);
});

test('a folder without its weights is named', async (t) => {
  const { llm } = await loadFake(t);
  const wrong = { code: 'INVALID_MODEL', message: /has no adapter_model.safetensors/ };
  await assert.rejects(llm.adapters.load([file('adapter_config.json', '{}')], { name: 'a' }), wrong);
});

test('each call begins with the adapters that it names, and with no others', async (t) => {
  const { llm, fake } = await loadFake(t);
  await llm.generate('a b', { adapter: 'one' }).text;
  await llm.generate('c d').text;
  await llm.chat([{ role: 'user', content: 'e' }], { adapter: [{ name: 'one' }, { name: 'two', scale: 0.5 }] }).text;
  await llm.score('f g', { adapter: 'two' });
  await llm.score('h i');
  assert.deepEqual(begun(fake), [['one', 1], 'c', ['one', 1, 'two', 0.5], ['two', 1], false]);
});

test('a request in OpenAI’s shape names adapters too', async (t) => {
  const { llm, fake } = await loadFake(t);
  const messages = [{ role: 'user', content: 'a' }];
  await llm.chat.completions.create({ messages, adapter: 'one' });
  await llm.completions.create({ prompt: 'b', adapter: [{ name: 'two', scale: 2 }] });
  await llm.completions.create({ prompt: 'c', adapter: null });
  const [first, second, third] = begun(fake);
  assert.deepEqual(
    [first, second],
    [
      ['one', 1],
      ['two', 2],
    ],
  );
  assert.notDeepEqual(third, second);
  const wrong = { code: 'INVALID_OPTION', message: /adapter/ };
  await assert.rejects(llm.chat.completions.create({ messages, adapter: 7 }), wrong);
});

test('an embedding in OpenAI’s shape has its adapter', async (t) => {
  const fake = new FakeLlm();
  const used = [];
  fake.embed = async (texts) => {
    used.push(fake.adapters);
    return texts.map(() => Float32Array.of(1));
  };
  const { llm } = await loadFake(t, fake);
  await llm.embeddings.create({ input: 'a', adapter: 'one' });
  await llm.embeddings.create({ input: 'a', adapter: null });
  assert.deepEqual(used, [['one', 1], []]);
  await assert.rejects(llm.embeddings.create({ input: 'a', adapter: 7 }), {
    code: 'INVALID_OPTION',
    message: /adapter/,
  });
});

test('all turns of a session have its adapter', async (t) => {
  const { llm, fake } = await loadFake(t);
  const session = llm.session({ adapter: 'one' });
  await session.append('a');
  await session.send('b').text;
  await session.send('c', { adapter: 'two' }).text;
  assert.deepEqual(begun(fake), [
    ['one', 1],
    ['one', 1],
    ['two', 1],
  ]);
});

test('a model that was loaded again has its adapters again', async (t) => {
  const fake = new FakeLlm();
  let lost = true;
  fake.before = (event) => {
    if (!lost || event.type !== 'token') return;
    lost = false;
    throw Object.assign(new Error('gone'), { code: 'DEVICE_LOST' });
  };
  const runtime = fakeRuntime(fake);
  const { connection } = connect(t, runtime);
  const info = await connection.request(loadCall([new Blob(['x'])], { device: 'auto' }));
  const llm = createLlm(connection, info);
  await llm.adapters.load(file('a.gguf', Uint8Array.of(7)), { name: 'one' });
  await llm.adapters.merge('one', 2);
  await llm.generate('a b', { adapter: 'one' }).text;
  await settle();
  assert.equal(adapters(fake).length, 2);
  const after = fake.log.slice(fake.log.findIndex(([what]) => what === 'free'));
  assert.deepEqual(
    after
      .filter(([what]) => ['adapter', 'merge', 'start'].includes(what))
      .map(([what, ...rest]) => [what, rest.at(-1)]),
    [
      ['adapter', { name: 'one', config: undefined, bytes: [7] }],
      ['merge', 2],
      ['start', ['one', 1]],
    ],
  );
});

test('mistakes are named', async (t) => {
  const { llm } = await loadFake(t);
  const wrong = (message) => ({ code: 'INVALID_OPTION', message });
  const choose = (adapter) => () => llm.generate('a', { adapter });
  assert.throws(choose(''), wrong(/`adapter`: expected the name of an adapter/));
  assert.throws(choose(1), wrong(/`adapter`: expected a name, or an array of \{ name, scale \}/));
  assert.throws(choose(['one']), wrong(/`adapter\[0\]`: expected an object/));
  assert.throws(choose([{ name: 'one', scale: NaN }]), wrong(/`adapter\[0\].scale`: expected a number/));
  assert.throws(choose([{ name: 'one', weight: 1 }]), wrong(/`weight`: there is no such option/));
  const load = (source, options) => llm.adapters.load(source, options);
  await assert.rejects(load(new Blob(['x']), {}), wrong(/`name`: expected the name of an adapter/));
  await assert.rejects(load(7, { name: 'a' }), wrong(/expected a URL/));
  await assert.rejects(load(new Blob([]), { name: 'a' }), { code: 'TRUNCATED_FILE' });
  await assert.rejects(llm.adapters.merge('a', Infinity), wrong(/`scale`: expected a number/));
});
