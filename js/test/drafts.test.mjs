// Drafts of another model: how two workers and the page bring them about, and how they end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, FakeLlm, gate, INFO, loadFake, settle, textOf } from './support/fake.mjs';

/** Two models, of which the second drafts for the first. */
async function two(t, own = new FakeLlm(), other = new FakeLlm(), more = {}) {
  const [target, draft] = [await loadFake(t, own), await loadFake(t, other, more)];
  return { target, draft, speculate: { draft: draft.llm } };
}

const named = (fake, ...names) => fake.log.filter(([name]) => names.includes(name));
const coded = (code) => Object.assign(new Error('as the test says'), { code });

test('the other model is asked before each step, and let go at the end', async (t) => {
  const { target, draft, speculate } = await two(t);
  target.fake.drafts = [6, 4];
  const pieces = await collect(target.llm.generate('a b c', { speculate }));
  assert.equal(textOf(pieces), 'a b c .');
  const { draftedTokens, acceptedTokens } = pieces.at(-1).finish.usage;
  assert.deepEqual([draftedTokens, acceptedTokens], [6, 4]);
  assert.deepEqual(target.fake.options.speculate, { given: { cost: 1 } });
  const drafts = named(target.fake, 'give');
  assert.deepEqual(drafts, Array(5).fill(['give', 3, 4]), 'the prompt, three tokens and the end');
  await settle();
  assert.deepEqual(named(draft.fake, 'draft'), Array(5).fill(['draft', 0, 1, 2]));
  assert.deepEqual(draft.fake.log.at(-1), ['stop', 'draft']);
  assert.equal(textOf(await collect(draft.llm.generate('d e'))), 'd e .');
});

test('many answers have drafts at once, in OpenAI’s shape and in sessions too', async (t) => {
  const own = new FakeLlm();
  own.info = () => ({ ...INFO, vocabularySize: 9 });
  const { target, speculate } = await two(t, own);
  const messages = [{ role: 'user', content: 'a' }];
  const answers = ['a b', 'c d e', 'f'].map((text) => target.llm.generate(text, { speculate }).text);
  assert.deepEqual(await Promise.all(answers), ['ab.', 'cde.', 'f.']);
  const { choices } = await target.llm.chat.completions.create({ messages, speculate, n: 2 });
  assert.deepEqual(
    choices.map(({ message }) => message.content),
    ['chata.', 'chata.'],
  );
  const before = named(target.fake, 'give').length;
  const session = target.llm.session({ speculate });
  assert.equal(await session.send('a').text, 'chata.');
  assert.ok(named(target.fake, 'give').length > before);
  // the other model is of this page
  const restored = await target.llm.restore(await session.save({ cache: false }));
  const drafts = named(target.fake, 'give').length;
  assert.equal(await restored.send('a').text, 'chata.');
  assert.equal(named(target.fake, 'give').length, drafts);
});

test('a model that fails, is full or was disposed of: the answer goes on without', async (t) => {
  const failing = (...codes) => {
    const fake = new FakeLlm((event, name) => {
      const code = name === 'draft' && event.type === 'prompt' && codes.shift();
      if (code) throw coded(code);
    });
    return fake;
  };
  for (const codes of [['CONTEXT_OVERFLOW'], ['OUT_OF_MEMORY'], [undefined, undefined, 'DEVICE_LOST'], ['INTERNAL']]) {
    const { target, draft, speculate } = await two(t, new FakeLlm(), failing(...codes));
    const count = codes.length - 1;
    assert.equal(textOf(await collect(target.llm.generate('a b c', { speculate }))), 'a b c .');
    const gave = named(target.fake, 'give');
    assert.deepEqual(gave, [...Array(count).fill(['give', 3, 4]), ['give']], `${codes}`);
    await settle();
    assert.equal(textOf(await collect(draft.llm.generate('d'))), 'd .', `${codes}: its own answers`);
  }
  // there is room for one token of the two
  const full = new FakeLlm();
  full.restart = (ids) => FakeLlm.prototype.restart.call(full, ids, 1);
  const short = await two(t, new FakeLlm(), full);
  assert.equal(await short.target.llm.generate('a b', { speculate: short.speculate }).text, 'ab.');
  assert.deepEqual(named(short.target.fake, 'give'), [['give', 2], ['give']]);
  const { target, draft, speculate } = await two(t);
  draft.llm.dispose();
  assert.equal(await target.llm.generate('a b', { speculate }).text, 'ab.');
});

test('a model that is disposed of while it drafts: the answer goes on at once', async (t) => {
  const { open, opened } = gate();
  const never = new FakeLlm(async (_, name) => {
    if (name !== 'draft') return;
    open();
    await new Promise(() => {});
  });
  const { target, draft, speculate } = await two(t, new FakeLlm(), never);
  const text = target.llm.generate('a b', { speculate }).text;
  await opened;
  draft.llm.dispose();
  assert.equal(await text, 'ab.');
});

test('an answer that is stopped while it waits for a draft ends, and so does the draft', async (t) => {
  const { open, opened } = gate();
  const held = gate();
  const slow = new FakeLlm(async (_, name) => {
    if (name !== 'draft') return;
    open();
    await held.opened;
  });
  const { target, draft, speculate } = await two(t, new FakeLlm(), slow);
  const stop = new AbortController();
  const pieces = collect(target.llm.generate('a b', { speculate, signal: stop.signal }));
  await opened;
  // other answers of the same model do not wait for it
  assert.equal(await target.llm.generate('c d').text, 'cd.');
  stop.abort();
  assert.equal((await pieces).at(-1).finish.reason, 'abort');
  held.open();
  await settle();
  assert.deepEqual(draft.fake.log.at(-1), ['stop', 'draft']);
  assert.deepEqual(target.fake.log.at(-1), ['stop', 'a']);
});

test('after a lost GPU of its own, an answer has drafts again', async (t) => {
  let losses = 1;
  const own = new FakeLlm((event) => {
    if (event.id === 1 && losses-- > 0) throw coded('DEVICE_LOST');
  });
  const { target, draft, speculate } = await two(t, own);
  assert.equal(textOf(await collect(target.llm.generate('a b c', { speculate }))), 'a b c .');
  assert.equal(target.llm.info.engine.deviceLosses, 1);
  assert.ok(named(target.fake, 'give').length > 4);
  await settle();
  assert.equal(named(draft.fake, 'stop').length, 1, 'one handle for all drafts');
});

test('a model that cannot draft is refused at the call', async (t) => {
  const other = new FakeLlm();
  other.info = () => ({ ...INFO, name: 'stranger', vocabularyFingerprint: '0' });
  const { target, speculate } = await two(t, new FakeLlm(), other);
  const { llm } = target;
  const invalid = (message) => (error) => error.code === 'INVALID_OPTION' && message.test(error.message);
  for (const [given, message] of [
    [speculate, /^option `speculate`: .*vocabulary of `fake`.* got "stranger"/],
    [{ draft: llm }, /^option `speculate`: .*smaller than this one.* got "this one"/],
    [{ draft: { ...speculate.draft } }, /^option `speculate`: .*`load` gave on this page/],
  ]) {
    assert.throws(() => llm.generate('a', { speculate: given }), invalid(message));
    assert.throws(() => llm.session({ speculate: given }), invalid(message));
    await assert.rejects(llm.session().send('a', { speculate: given }).text, invalid(message));
    const request = { prompt: 'a', speculate: given };
    await assert.rejects(llm.completions.create(request), invalid(message));
  }
});
