// Scores of texts, labels by their scores, and the best of several answers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, FakeLlm, gate, loadFake, settle } from './support/fake.mjs';

/** One token per character. */
class Letters extends FakeLlm {
  tokenize(text) {
    return Uint32Array.from(text, (c) => c.codePointAt(0));
  }

  chat_prompt = (conversation) => {
    this.conversation = JSON.parse(conversation);
    return this.tokenize('chat:');
  };
}

test('the score of a text is the sum over its tokens, without the first if no text precedes', async (t) => {
  const { llm, fake } = await loadFake(t, new Letters());
  const score = await llm.score('abc');
  assert.deepEqual(score.tokens, [
    { id: 98, text: 'b', logprob: -1 },
    { id: 99, text: 'c', logprob: -2 },
  ]);
  assert.equal(score.logprob, -3);
  assert.ok(Math.abs(score.perplexity - Math.exp(1.5)) < 1e-9);
  assert.deepEqual(await llm.score([97, 98, 99]), score);
  assert.deepEqual(fake.log.at(-1), ['score', 3, 1, false]);
});

test('the context is not scored, be it text, ids or a conversation', async (t) => {
  const { llm, fake } = await loadFake(t, new Letters());
  const scored = async (after) => (await llm.score('bc', { after })).tokens.map(({ text }) => text).join('');
  assert.equal(await scored('xa'), 'bc');
  assert.deepEqual(fake.log.at(-1), ['score', 4, 2, false]);
  assert.equal(await scored([120]), 'bc');
  assert.deepEqual(fake.log.at(-1), ['score', 3, 1, false]);
  assert.equal(await scored([{ role: 'user', content: 'hi' }]), 'bc');
  assert.deepEqual(fake.log.at(-1), ['score', 7, 5, false]);
  // a token that spans the boundary belongs to the text
  fake.tokenize = (text) => Uint32Array.from(text.replace('ab', '_'), (c) => c.codePointAt(0));
  assert.equal(await scored('xa'), '_c');
});

test('a long text is scored in pieces, and an abort ends it between them', async (t) => {
  const { llm, fake } = await loadFake(t, new Letters());
  const long = 'x'.repeat(300);
  const score = await llm.score(long, { after: 'y'.repeat(200) });
  assert.deepEqual(
    fake.log.filter(([what]) => what === 'score'),
    [
      ['score', 128, 128, false],
      ['score', 256, 200, false],
      ['score', 384, 256, false],
      ['score', 500, 384, false],
    ],
  );
  assert.equal(score.tokens.length, 300);
  const held = gate();
  const reads = fake.score;
  fake.score = async (...args) => (await held.opened, reads(...args));
  fake.log = [];
  const stop = new AbortController();
  const failed = assert.rejects(llm.score(long, { signal: stop.signal }), /enough/);
  await settle();
  stop.abort(new Error('enough'));
  held.open();
  await failed;
  await llm.detokenize([97]);
  assert.equal(fake.log.length, 1);
});

test('scoring goes on after a lost device, and other errors reject the call', async (t) => {
  const { llm, fake } = await loadFake(t, new Letters());
  const reads = fake.score;
  let times = 0;
  fake.score = async (...args) => {
    times += 1;
    if (times === 1) throw Object.assign(new Error('lost'), { code: 'DEVICE_LOST' });
    return reads(...args);
  };
  assert.equal((await llm.score('ab')).logprob, -1);
  fake.score = async () => {
    throw Object.assign(new Error('too long'), { code: 'CONTEXT_OVERFLOW' });
  };
  await assert.rejects(llm.score('ab'), { code: 'CONTEXT_OVERFLOW' });
  for (const [name, call] of [
    ['text', () => llm.score('')],
    ['text', () => llm.score([])],
    ['after', () => llm.score('a', { after: [] })],
    ['before', () => llm.score('a', { before: 'b' })],
  ]) {
    await assert.rejects(
      call,
      ({ code, message }) => code === 'INVALID_OPTION' && message.includes(`\`${name}\``),
      name,
    );
  }
});

test('labels are ranked by the likelihood of label and end of answer', async (t) => {
  const { llm, fake } = await loadFake(t, new Letters());
  const likely = { a: -1, bb: -3 };
  fake.score = async (ids, from, end) => {
    fake.log.push(['score', from, end]);
    const label = String.fromCodePoint(...ids.slice(from));
    return Float32Array.of(likely[label], ...Array(label.length - 1).fill(0), 0);
  };
  const ranked = await llm.classify('text', ['bb', 'a'], { examples: [{ text: 'shown', label: 'bb' }] });
  assert.deepEqual(
    ranked.map(({ label, logit }) => [label, logit]),
    [
      ['a', -1],
      ['bb', -3],
    ],
  );
  assert.ok(Math.abs(ranked[0].score - 1 / (1 + Math.exp(-2))) < 1e-9);
  assert.ok(Math.abs(ranked[0].score + ranked[1].score - 1) < 1e-9);
  assert.deepEqual(fake.log.at(-1), ['score', 5, true]);
  const { messages, variables } = fake.conversation;
  assert.deepEqual(
    messages.map(({ role }) => role),
    ['user', 'assistant', 'user'],
  );
  assert.match(messages[0].content, /bb, a\?[^]*\n\nshown$/);
  assert.equal(messages[1].content, 'bb');
  assert.equal(variables.enable_thinking, false);
});

test('calibrated scores are relative to those of a text without content', async (t) => {
  const { llm, fake } = await loadFake(t, new Letters());
  fake.score = async (ids, from) => {
    const nothing = fake.conversation.messages.at(-1).content.endsWith('N/A');
    // `a` is always likelier, but for this text `b` is likelier than usual
    const label = String.fromCodePoint(...ids.slice(from));
    return Float32Array.of(label === 'a' ? -1 : nothing ? -5 : -2, 0);
  };
  assert.equal((await llm.classify('text', ['a', 'b']))[0].label, 'a');
  const [best] = await llm.classify('text', ['a', 'b'], { calibrate: true });
  assert.deepEqual([best.label, best.logit], ['b', 3]);
});

test('a model without a chat template continues a text with the label', async (t) => {
  const fake = new Letters();
  const info = fake.info();
  fake.info = () => ({ ...info, hasChatTemplate: false });
  const { llm } = await loadFake(t, fake);
  const asked = [];
  fake.tokenize = (text) => {
    asked.push(text);
    return Uint32Array.from(text, (c) => c.codePointAt(0));
  };
  await llm.classify('it', ['a', 'b'], { instruction: 'Which?', examples: [{ text: 'so', label: 'b' }] });
  assert.equal(asked[1], 'Which?\n\nText: so\nLabel: b\n\nText: it\nLabel: a\n');
});

test('wrong labels are named', async (t) => {
  const { llm } = await loadFake(t, new Letters());
  for (const [name, ...args] of [
    ['labels', ['a']],
    ['labels', ['a', 'a']],
    ['labels[1]', ['a', '']],
    ['instruction', ['a', 'b'], { instruction: 3 }],
    ['examples[0].label', ['a', 'b'], { examples: [{ text: 'x', label: 'c' }] }],
    ['calibrate', ['a', 'b'], { calibrate: 1 }],
    ['pair', ['a', 'b'], { pair: 'x' }],
  ]) {
    const failed = llm.classify('text', ...args);
    await assert.rejects(failed, ({ code, message }) => code === 'INVALID_OPTION' && message.includes(`\`${name}\``));
  }
});

/** Answers with its seed; smaller seeds are likelier. */
class Seeded extends FakeLlm {
  start(ids, options, entropy) {
    super.start(ids, options, entropy);
    const { seed, topLogprobs } = this.options;
    const logprobs = { id: 1, logprob: -seed, bytes: [], top: [] };
    this.events = [
      { type: 'token', id: 1, text: String(seed % 3), ...(topLogprobs === undefined ? {} : { logprobs }) },
      { type: 'end', reason: 'stop', text: '' },
    ];
  }
}

test('several answers are sorted by likelihood, or by the scorer', async (t) => {
  const { llm } = await loadFake(t, new Seeded());
  const answers = await llm.bestOf(3).generate('a', { seed: 4 });
  assert.deepEqual(
    answers.map(({ text, logprob, score, reasoning }) => [text, logprob, score, reasoning]),
    [
      ['1', -4, -4, ''],
      ['2', -5, -5, ''],
      ['0', -6, -6, ''],
    ],
  );
  assert.equal(answers[0].finish.usage.completionTokens, 1);
  const vote = async (answer, all) => all.filter(({ text }) => text === answer.text).length;
  const voted = await llm.bestOf(4, vote).chat([{ role: 'user', content: 'hi' }], { seed: 4 });
  assert.deepEqual(
    voted.map(({ text, score }) => [text, score]),
    [
      ['1', 2],
      ['1', 2],
      ['2', 1],
      ['0', 1],
    ],
  );
  await assert.rejects(llm.bestOf(1, () => NaN).generate('a'), /`scorer`/);
  assert.throws(() => llm.bestOf(0), /`n`/);
  assert.throws(() => llm.bestOf(2, 'vote'), /`scorer`/);
});

test('an abort ends all answers with its reason', async (t) => {
  const held = gate();
  const fake = new Seeded(() => held.opened);
  const { llm } = await loadFake(t, fake);
  const stop = new AbortController();
  const failed = assert.rejects(llm.bestOf(3).generate('a', { signal: stop.signal }), /enough/);
  await settle();
  stop.abort(new Error('enough'));
  held.open();
  await failed;
  await llm.detokenize([97]);
  assert.equal(fake.log.filter(([what]) => what === 'start').length, 1);
  await collect(llm.generate('a'));
});
