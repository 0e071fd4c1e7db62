// Fill in the middle: the suffix, from the caller to the runtime.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openaiFetch } from '../dist/openai/fetch.js';
import { textRequest } from '../dist/remote/request.js';
import { collect, FakeLlm, loadFake, textOf } from './support/fake.mjs';

/** Records what it filled in. */
class Coder extends FakeLlm {
  infill = (before, behind) => {
    this.log.push(['infill', [...before], behind]);
    return Uint32Array.from([...before, 7]);
  };
}

/** Has no tokens for fill-in-the-middle. */
class Plain extends FakeLlm {
  infill = () => {
    throw Object.assign(new Error('`suffix` needs a model that was trained to fill in the middle'), {
      code: 'UNSUPPORTED_TASK',
    });
  };
}

const filled = (fake) => fake.log.filter(([what]) => what === 'infill');

test('a suffix makes a prompt with a gap, of texts and of ids', async (t) => {
  const { llm, fake } = await loadFake(t, new Coder());
  assert.equal(textOf(await collect(llm.generate('a b', { suffix: 'z' }))), 'a b .');
  assert.deepEqual(fake.ids, [0, 1, 7]);
  assert.equal(fake.options.infill, true);
  const texts = fake.log.filter(([what]) => what === 'tokenize');
  assert.deepEqual(texts, [['tokenize', 'a b', false, false]], 'what begins all texts is not due before the gap');
  await collect(llm.generate([5], { suffix: '' }));
  assert.deepEqual(filled(fake), [
    ['infill', [0, 1], 'z'],
    ['infill', [5], ''],
  ]);
  await collect(llm.generate('c'));
  assert.equal(fake.options.infill, undefined);
});

test('completions take `suffix`, streamed and not', async (t) => {
  const { llm, fake } = await loadFake(t, new Coder());
  const request = { prompt: ['a b', 'c'], suffix: 'z', n: 2, echo: true };
  const { choices } = await llm.completions.create(request);
  assert.deepEqual(
    choices.map(({ text }) => text),
    ['a bab.', 'a bab.', 'cc.', 'cc.'],
  );
  assert.equal(filled(fake).length, 4);
  let text = '';
  const chunks = await llm.completions.create({ prompt: 'a', suffix: 'z', stream: true });
  for await (const { choices } of chunks) text += choices[0]?.text ?? '';
  assert.equal(text, 'a.');
  assert.equal((await llm.completions.create({ prompt: 'a', suffix: null })).choices[0].text, 'a.');
});

test('a model without FIM tokens is an error before the answer begins', async (t) => {
  const { llm } = await loadFake(t, new Plain());
  await assert.rejects(collect(llm.generate('a', { suffix: 'z' })), { code: 'UNSUPPORTED_TASK', message: /`suffix`/ });
  for (const stream of [false, true]) {
    const body = JSON.stringify({ prompt: 'a', suffix: 'z', stream });
    const answer = await openaiFetch(llm)('http://x/v1/completions', { method: 'POST', body });
    assert.equal(answer.status, 400);
    const { error } = await answer.json();
    assert.deepEqual([error.code, error.param], ['UNSUPPORTED_TASK', 'suffix']);
  }
});

test('a suffix is a string, and chats have none', async (t) => {
  const { llm } = await loadFake(t, new Coder());
  assert.throws(() => llm.generate('a', { suffix: 5 }), { code: 'INVALID_OPTION', message: /`suffix`/ });
  assert.throws(() => llm.chat([{ role: 'user', content: 'a' }], { suffix: 'z' }), { code: 'INVALID_OPTION' });
  await assert.rejects(llm.completions.create({ prompt: 'a', suffix: 5 }), { message: /`suffix`/ });
});

test('the best of several answers fills the gap, also from a server', async (t) => {
  const { llm, fake } = await loadFake(t, new Coder());
  await llm.bestOf(2, () => 1).generate('a', { suffix: 'z' });
  assert.equal(filled(fake).length, 2);
  assert.deepEqual(textRequest('a', { suffix: 'z', maxTokens: 3 }), { prompt: 'a', suffix: 'z', max_tokens: 3 });
});
