// Generations: order, ends, and what callers may do to them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, FakeLlm, gate, loadFake, settle, textOf } from './support/fake.mjs';

test('a generation gives every token, then its end', async (t) => {
  const { llm } = await loadFake(t);
  const pieces = await collect(llm.generate('a b c'));
  const last = pieces.pop();
  assert.deepEqual(pieces, [
    { text: 'a', id: 0, finish: null },
    { text: 'b', id: 1, finish: null },
    { text: 'c', id: 2, finish: null },
  ]);
  assert.equal(last.text, '.');
  assert.equal(last.id, null);
  assert.equal(last.finish.reason, 'stop');
});

test('generations begin in the order of the calls, and run at once', async (t) => {
  const { llm, fake } = await loadFake(t);
  const [late, early] = [llm.generate('late x'), llm.generate('early x y')];
  const answers = await Promise.all([collect(early), collect(late)]);
  assert.deepEqual(answers.map(textOf), ['early x y .', 'late x .']);
  const steps = fake.log.filter(([what]) => what !== 'tokenize').map((step) => step.join(' '));
  assert.deepEqual(steps, ['start early', 'start late', 'stop late', 'stop early']);
});

test('a generation that nobody reads never begins', async (t) => {
  const { llm, fake } = await loadFake(t);
  llm.generate('unread');
  await collect(llm.generate('read'));
  assert.deepEqual(
    fake.log.filter(([what]) => what === 'start'),
    [['start', 'read']],
  );
});

test('a second iteration of the same generation gives the same pieces, also beside the first', async (t) => {
  const { llm, fake } = await loadFake(t);
  const pieces = llm.generate('a b');
  const [one, other] = await Promise.all([collect(pieces), collect(pieces)]);
  assert.equal(one.length, 3);
  assert.deepEqual(other, one);
  assert.deepEqual(await collect(pieces), one);
  assert.equal(fake.log.filter(([what]) => what === 'start').length, 1);
});

test('text, reasoning and finish are the whole answer and its end', async (t) => {
  const { llm, fake } = await loadFake(t);
  const { text, finish, reasoning } = llm.generate('ab c');
  assert.deepEqual([await text, await reasoning, (await finish).reason], ['abc.', '', 'stop']);
  const answer = await llm.chat([{ role: 'user', content: 'x' }]); // an extra `await` does no harm
  assert.equal(await answer.text, 'chatx.');
  assert.equal(await answer.text, 'chatx.');
  assert.equal(fake.log.filter(([what]) => what === 'start').length, 2);
});

test('a failed answer rejects every promise that was asked of it, and no other', async (t) => {
  const fake = new FakeLlm((event) => {
    if (event.id === 1) throw new Error('late');
  });
  const { llm } = await loadFake(t, fake);
  const answer = llm.generate('a b');
  const { finish: _unheard } = answer;
  await assert.rejects(answer.text, /late/);
  await assert.rejects(collect(answer), /late/);
  await answer.started;
  fake.start = () => {
    throw Object.assign(new Error('too long'), { code: 'CONTEXT_OVERFLOW' });
  };
  const refused = llm.generate('c');
  await assert.rejects(refused.started, { code: 'CONTEXT_OVERFLOW' });
  await assert.rejects(refused.text, { code: 'CONTEXT_OVERFLOW' });
});

test('break ends an answer that nobody else waits for, and its text so far stays', async (t) => {
  const held = gate();
  t.after(held.open);
  const { llm, fake } = await loadFake(t, new FakeLlm((event) => (event.id === 2 ? held.opened : undefined)));
  const answer = llm.generate('a b c');
  for await (const { text } of answer) if (text === 'b') break;
  assert.deepEqual(
    (await collect(answer)).map(({ text }) => text),
    ['a', 'b', ''],
  );
  assert.equal((await answer.finish).reason, 'abort');
  held.open();
  const kept = llm.generate('a b c');
  const { text } = kept;
  for await (const _ of kept) break;
  assert.equal(await text, 'abc.');
  assert.equal(fake.log.filter(([what]) => what === 'start').length, 2);
});

test('a stopped answer has its text so far', async (t) => {
  const held = gate();
  t.after(held.open);
  const { llm } = await loadFake(t, new FakeLlm((event) => (event.id === 2 ? held.opened : undefined)));
  const controller = new AbortController();
  const answer = llm.generate('a b c', { signal: controller.signal });
  const { text, finish } = answer;
  for await (const piece of answer) if (piece.text === 'b') controller.abort();
  assert.deepEqual([await text, (await finish).reason], ['ab', 'abort']);
});

test('started resolves when the model has accepted the prompt, before it is computed', async (t) => {
  const held = gate();
  t.after(held.open);
  const { llm } = await loadFake(t, new FakeLlm((event) => (event.type === 'prompt' ? held.opened : undefined)));
  await llm.generate('a b').started;
});

test('a slow reader gets all pieces in order', async (t) => {
  const { llm } = await loadFake(t);
  const words = Array.from({ length: 50 }, (_, index) => `w${index}`).join(' ');
  const pieces = [];
  for await (const piece of llm.generate(words)) {
    pieces.push(piece);
    if (pieces.length % 10 === 1) await settle();
  }
  assert.equal(textOf(pieces), `${words} .`);
});

test('break stops a generation and not the next one', async (t) => {
  const held = gate();
  const { llm, fake } = await loadFake(
    t,
    new FakeLlm((event, name) => (name === 'first' && event.id === 2 ? held.opened : undefined)),
  );
  for await (const piece of llm.generate('first b c d e')) if (piece.text === 'b') break;
  const next = collect(llm.generate('next'));
  await settle();
  held.open();
  assert.equal(textOf(await next), 'next .');
  assert.deepEqual(
    fake.log.filter(([what]) => what !== 'tokenize').map(([what]) => what),
    ['start', 'start', 'stop', 'stop'],
  );
});

test('break reaches a runtime that never leaves the microtask queue', async (t) => {
  const fake = new FakeLlm();
  let steps = 0;
  fake.next = () => {
    steps += 1;
    assert.ok(steps < 10_000, 'the stop message never arrived');
    return Promise.resolve({ type: 'token', id: 0, text: 'again' });
  };
  const { llm } = await loadFake(t, fake);
  for await (const piece of llm.generate('endless')) if (piece.text) break;
  assert.equal(await llm.detokenize([97]), 'a');
  assert.deepEqual(fake.log.at(-1), ['stop', 'endless']);
});

test('an error thrown in the loop stops the generation', async (t) => {
  const held = gate();
  const { llm, fake } = await loadFake(t, new FakeLlm((event) => (event.id === 1 ? held.opened : undefined)));
  await assert.rejects(async () => {
    for await (const _ of llm.generate('a b c')) throw new Error('mine');
  }, /mine/);
  held.open();
  await llm.detokenize([97]);
  assert.ok(fake.events.length >= 2, 'c and the end were never asked for');
});

test('sampling options reach the worker unchanged, with entropy if there is no seed', async (t) => {
  const { llm, fake } = await loadFake(t);
  await collect(llm.generate('a', { topK: 3, temperature: undefined, maxTokens: 9, stop: 'END' }));
  const { entropy, options } = fake;
  assert.deepEqual(options, {
    topK: 3,
    maxTokens: 9,
    stop: ['END'],
    logitBias: [],
    keepSpecial: [],
    constrained: false,
  });
  assert.ok(Number.isSafeInteger(entropy) && entropy >= 0);
  await collect(llm.generate('a'));
  assert.notEqual(fake.entropy, entropy);
});

test('a prompt gets the model’s special tokens, and its text adds none', async (t) => {
  const { llm, fake } = await loadFake(t);
  await collect(llm.generate('a'));
  assert.deepEqual(fake.log[0], ['tokenize', 'a', true, false]);
});

test('biases reach the worker as pairs, keepSpecial as names and logprobs as a number', async (t) => {
  const { llm, fake } = await loadFake(t);
  await collect(llm.generate('a', { logitBias: { 7: -100, 3: 0.5 }, topLogprobs: 2, keepSpecial: ['[TOOL_CALLS]'] }));
  assert.deepEqual(fake.options.logitBias, [
    [3, 0.5],
    [7, -100],
  ]);
  assert.equal(fake.options.topLogprobs, 2);
  assert.deepEqual(fake.options.keepSpecial, ['[TOOL_CALLS]']);
});

test('log-probabilities come with the text of their token, whole characters or not', async (t) => {
  const fake = new FakeLlm((event) => {
    if (event.type !== 'token') return;
    event.logprobs = { id: event.id, logprob: -0.5, bytes: [0xc3], top: [{ id: 9, logprob: -0.25, bytes: [97, 98] }] };
  });
  const { llm } = await loadFake(t, fake);
  const [piece] = await collect(llm.generate('a', { topLogprobs: 1 }));
  assert.deepEqual(piece.logprobs, {
    id: 0,
    logprob: -0.5,
    bytes: [0xc3],
    text: '\uFFFD',
    top: [{ id: 9, logprob: -0.25, bytes: [97, 98], text: 'ab' }],
  });
});

test('token ids are continued unchanged', async (t) => {
  const { llm, fake } = await loadFake(t);
  fake.words = ['x'];
  await collect(llm.generate([5, 6]));
  assert.deepEqual(fake.log, [
    ['start', 'x'],
    ['stop', 'x'],
  ]);
  assert.deepEqual(fake.ids, [5, 6]);
});

test('chat copies its messages at the call, with the fields that templates read', async (t) => {
  const { llm, fake } = await loadFake(t);
  const messages = [{ role: 'user', content: 'hi', render: () => {} }];
  const pieces = llm.chat(messages);
  messages.push({ role: 'assistant', content: '' });
  await collect(pieces);
  assert.deepEqual(fake.conversation, { messages: [{ role: 'user', content: 'hi' }], tools: null, variables: {} });
});

test('tools, calls and variables reach the worker as plain data', async (t) => {
  const { llm, fake } = await loadFake(t);
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
  const call = { id: '1', function: { name: 'f', arguments: { cut: '🧵'.slice(0, 1) } } };
  const messages = [{ role: 'assistant', content: null, tool_calls: [call] }];
  await collect(llm.chat(messages, { tools, variables: { enable_thinking: false } }));
  assert.deepEqual(fake.conversation.tools, tools);
  assert.deepEqual(fake.conversation.variables, { enable_thinking: false });
  assert.equal(fake.conversation.messages[0].tool_calls[0].function.arguments.cut, '\uFFFD');
  assert.equal(fake.conversation.messages[0].content, null);
});

test('half of a surrogate pair becomes U+FFFD, and a whole pair stays', async (t) => {
  const { llm, fake } = await loadFake(t);
  const cut = '🧵🪡'.slice(0, 3);
  await collect(llm.generate(cut, { stop: [cut] }));
  assert.equal(fake.log[0][1], '🧵\uFFFD');
  assert.deepEqual(fake.options.stop, ['🧵\uFFFD']);
  await llm.tokenize(cut.slice(1));
  assert.equal(fake.log.at(-1)[1], '\uFFFD\uFFFD');
  fake.log = [];
  await collect(llm.chat([{ role: 'user', content: cut }]));
  assert.equal(fake.conversation.messages[0].content, '🧵\uFFFD');
});

test('usage counts the prompt, the cached part and the answer', async (t) => {
  const fake = new FakeLlm();
  fake.cached = 2;
  const { llm } = await loadFake(t, fake);
  let now = 1000;
  t.mock.method(performance, 'now', () => now);
  // 20 ms for the prompt and first token, 10 ms for each further token.
  fake.before = () => (now += 10);
  const { usage } = (await collect(llm.generate('a b c d'))).at(-1).finish;
  assert.deepEqual(usage, {
    promptTokens: 4,
    cachedTokens: 2,
    completionTokens: 4,
    timeToFirstTokenMs: 20,
    promptTokensPerSecond: 100,
    tokensPerSecond: 100,
  });
});

test('tokens that others compute while a prompt is read count as cached', async (t) => {
  const fake = new FakeLlm((event) => {
    if (event.type === 'prompt') fake.cached = 3;
  });
  const { llm } = await loadFake(t, fake);
  const { usage } = (await collect(llm.generate('a b c d'))).at(-1).finish;
  assert.deepEqual([usage.promptTokens, usage.cachedTokens], [4, 3]);
});

test('drafts are asked for, and the end tells how many were accepted', async (t) => {
  const fake = new FakeLlm();
  fake.drafts = [7, 4];
  const { llm } = await loadFake(t, fake);
  const messages = [{ role: 'user', content: 'a' }];
  const usage = async (answer) => (await answer.finish).usage;
  const { draftedTokens, acceptedTokens } = await usage(llm.generate('a b', { speculate: 'lookup' }));
  assert.deepEqual([draftedTokens, acceptedTokens, fake.options.speculate], [7, 4, 'lookup']);
  const { usage: totals } = await llm.chat.completions.create({ messages, speculate: 'lookup', n: 2 });
  assert.deepEqual(totals.completion_tokens_details, { accepted_prediction_tokens: 8, rejected_prediction_tokens: 6 });
  assert.equal('draftedTokens' in (await usage(llm.generate('a b'))), false);
  assert.equal('speculate' in fake.options, false);
  const { usage: plain } = await llm.chat.completions.create({ messages });
  assert.equal('completion_tokens_details' in plain, false);
});

test('tokenize and detokenize run between the steps of generations', async (t) => {
  const { llm, fake } = await loadFake(t);
  assert.deepEqual(await llm.tokenize('a b', { addSpecial: false, parseSpecial: true }), [0, 1]);
  assert.deepEqual(fake.log, [['tokenize', 'a b', false, true]]);
  assert.equal(await llm.detokenize(Uint32Array.of(98, 99)), 'bc');
});
