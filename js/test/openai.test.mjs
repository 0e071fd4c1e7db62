// OpenAI's format, by hand and with the official client, on a model whose tokens the test chooses.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { openaiFetch } from '../dist/openai/fetch.js';
import { collect, FakeLlm, gate, loadFake, settle } from './support/fake.mjs';

/** Answers with these texts, one token each, whatever the prompt. */
class Says extends FakeLlm {
  constructor(texts, { reason = 'stop', before } = {}) {
    super(before);
    this.texts = texts;
    this.reason = reason;
  }

  start(ids, options, entropy) {
    super.start(ids, options, entropy);
    this.events = [
      ...this.texts.map((text, id) => ({ type: 'token', id, text, ...this.logprobs(id, text) })),
      { type: 'end', reason: this.reason, text: '' },
    ];
  }

  logprobs(id, text) {
    if (this.options.topLogprobs === undefined) return {};
    const of = (id, text) => ({ id, logprob: -1 - id, bytes: [...new TextEncoder().encode(text)] });
    return { logprobs: { ...of(id, text), top: [of(id, text)].slice(0, this.options.topLogprobs) } };
  }
}

const ask = { messages: [{ role: 'user', content: 'hi' }] };
const tool = (name) => ({ type: 'function', function: { name, description: 'd', parameters: { type: 'object' } } });

const create = async (t, texts, request, more) => {
  const { llm, fake } = await loadFake(t, new Says(texts, more));
  return { answer: await llm.chat.completions.create({ ...ask, ...request }), fake, llm };
};

test('a chat completion has text, finish reason and usage', async (t) => {
  const { answer } = await create(t, ['Hel', 'lo'], {});
  assert.equal(answer.object, 'chat.completion');
  assert.equal(answer.model, 'fake');
  assert.match(answer.id, /^chatcmpl-/);
  assert.deepEqual(answer.choices, [
    {
      index: 0,
      message: { role: 'assistant', content: 'Hello', refusal: null },
      finish_reason: 'stop',
      logprobs: null,
    },
  ]);
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = answer.usage;
  assert.deepEqual([prompt, completion, total], [2, 2, 4]);
});

test('a streamed chat completion begins with the role and ends with finish reason and usage', async (t) => {
  const { answer } = await create(t, ['a', 'b'], { stream: true, stream_options: { include_usage: true } });
  const chunks = await collect(answer);
  assert.deepEqual(
    chunks.map(({ choices: [choice] }) => choice && [choice.delta, choice.finish_reason]),
    [
      [{ role: 'assistant', content: '' }, null],
      [{ content: 'a' }, null],
      [{ content: 'b' }, null],
      [{}, 'stop'],
      undefined,
    ],
  );
  assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
  assert.equal(chunks.at(-1).usage.completion_tokens, 2);
  assert.equal(chunks[0].usage, null);
});

test('n answers have seeds in sequence and share the prompt', async (t) => {
  const { answer, fake } = await create(t, ['x'], { n: 3, seed: 5 });
  assert.deepEqual(
    answer.choices.map(({ index, message }) => [index, message.content]),
    [
      [0, 'x'],
      [1, 'x'],
      [2, 'x'],
    ],
  );
  assert.equal(fake.options.seed, 7);
  assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [2, 3]);
});

test('n streamed answers come at once, behind the first token of the first', async (t) => {
  const steps = [];
  const says = new Says(['x', 'y', 'z'], { before: ({ type }) => void steps.push(type) });
  const start = says.start;
  says.start = function (...given) {
    steps.push('start');
    start.apply(this, given);
  };
  const { llm } = await loadFake(t, says);
  const answer = await llm.chat.completions.create({ ...ask, n: 3, stream: true });
  const chunks = (await collect(answer)).map(({ choices: [{ index, delta }] }) => [index, delta.content]);
  for (const index of [0, 1, 2]) {
    const own = chunks.filter(([of]) => of === index).map(([, content]) => content);
    assert.deepEqual(own, ['', 'x', 'y', 'z', undefined]);
  }
  // the first has computed the prompt when the others start, and these do not wait for each other
  assert.deepEqual(steps.slice(0, 2), ['start', 'token']);
  const last = steps.lastIndexOf('start');
  assert.equal(steps.filter((step) => step === 'start').length, 3);
  assert.ok(steps.slice(0, last).filter((step) => step === 'end').length <= 1, steps.join(' '));
  const at = (index, content) => chunks.findIndex((chunk) => chunk[0] === index && chunk[1] === content);
  assert.ok(at(1, 'x') < at(2, undefined) && at(2, 'x') < at(1, undefined), JSON.stringify(chunks));
});

test('leaving a stream of n answers stops all of them', async (t) => {
  const texts = Array.from({ length: 3000 }, (_, i) => `${i} `);
  const counts = { start: 0, token: 0 };
  const says = new Says(texts, { before: () => void (counts.token += 1) });
  const start = says.start;
  says.start = function (...given) {
    counts.start += 1;
    start.apply(this, given);
  };
  const { llm, fake } = await loadFake(t, says);
  const answer = await llm.chat.completions.create({ ...ask, n: 9, stream: true });
  for await (const { choices } of answer) if (choices[0].index === 3) break;
  await settle();
  const { start: started, token } = counts;
  await settle();
  assert.deepEqual(counts, { start: started, token });
  assert.ok(started >= 4 && started < 9 && token < 3000, JSON.stringify(counts));
  assert.equal(fake.log.filter(([what]) => what === 'stop').length, started);
});

test('answers to several prompts come at once, with the indices of their prompts', async (t) => {
  const { llm } = await loadFake(t, new FakeLlm());
  const request = { prompt: ['a b', 'c d e'], n: 2, echo: true };
  const { choices, usage } = await llm.completions.create(request);
  assert.deepEqual(
    choices.map(({ index, text }) => [index, text]),
    ['a bab.', 'a bab.', 'c d ecde.', 'c d ecde.'].map((text, index) => [index, text]),
  );
  assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [5, 10]);
});

test('options reach weft under its names', async (t) => {
  const { fake } = await create(t, ['x'], {
    max_completion_tokens: 9,
    max_tokens: 3,
    temperature: 0.5,
    top_p: 0.9,
    presence_penalty: 1,
    logit_bias: { 7: -100 },
    stop: 'END',
    user: 'me',
    metadata: {},
    frequency_penalty: null,
  });
  assert.deepEqual(fake.options, {
    maxTokens: 9,
    temperature: 0.5,
    topP: 0.9,
    presencePenalty: 1,
    penaltyLastN: 8,
    logitBias: [[7, -100]],
    stop: ['END'],
    keepSpecial: [],
    constrained: false,
  });
});

test('every token has logprobs, also one whose text is held back', async (t) => {
  const { answer } = await create(t, ['a', '', 'b'], { logprobs: true, top_logprobs: 1 });
  const told = answer.choices[0].logprobs.content;
  assert.deepEqual(
    told.map(({ token, logprob, bytes, top_logprobs: top }) => [token, logprob, bytes, top.length]),
    [
      ['a', -1, [97], 1],
      ['', -2, [], 1],
      ['b', -3, [98], 1],
    ],
  );
});

test('parts of text are joined, a developer becomes the system, and calls reach the template unchanged', async (t) => {
  const messages = [
    {
      role: 'developer',
      content: [
        { type: 'text', text: 'be ' },
        { type: 'text', text: 'brief' },
      ],
    },
    { role: 'user', content: 'weather?' },
    {
      role: 'assistant',
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{"city":"Bern"}' } }],
    },
    { role: 'tool', tool_call_id: 'c', content: 'sunny' },
  ];
  const { fake } = await create(t, ['x'], { messages, tools: [tool('f')], reasoning_effort: 'low' });
  const { messages: given, tools, variables } = fake.conversation;
  assert.deepEqual(given[0], { role: 'system', content: 'be brief' });
  assert.deepEqual(given[2], {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{"city":"Bern"}' } }],
  });
  assert.deepEqual(given[3], { role: 'tool', content: 'sunny', tool_call_id: 'c' });
  assert.deepEqual([tools.length, variables], [1, { reasoning_effort: 'low' }]);
});

test('OpenAI’s messages are accepted as they come, with nulls and refusals', async (t) => {
  const messages = [
    { role: 'user', content: 'a', name: null, tool_calls: null, tool_call_id: null },
    { role: 'assistant', content: null, refusal: 'I cannot.', annotations: [], audio: null },
    { role: 'user', content: 'b' },
    { role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }], refusal: null },
    { role: 'user', content: 'c' },
  ];
  const { fake } = await create(t, ['x'], { messages });
  assert.deepEqual(
    fake.conversation.messages.map(({ content }) => content),
    ['a', 'I cannot.', 'b', 'No.', 'c'],
  );
  assert.deepEqual(fake.conversation.messages[0], { role: 'user', content: 'a' });
});

test('unsupported options are refused by name', async (t) => {
  const { llm } = await loadFake(t, new Says(['x']));
  const cases = [
    ['response_format', { response_format: { type: 'xml' } }],
    ['tool_choice', { tools: [tool('f')], tool_choice: 'any' }],
    ['top_logprobs', { top_logprobs: 2 }],
    ['top_logprobs', { logprobs: true, top_logprobs: 21 }],
    ['n', { n: 0 }],
    ['audio', { audio: {} }],
    ['modalities', { modalities: ['audio'] }],
    ['messages', { messages: [] }],
    ['messages[0].content[0].type', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }],
    ['tools[0].type', { tools: [{ type: 'custom' }] }],
    ['temperature', { temperature: -1 }],
  ];
  for (const [name, request] of cases) {
    await assert.rejects(
      async () => collect([await llm.chat.completions.create({ ...ask, ...request })]),
      ({ code, message }) => code === 'INVALID_OPTION' && message.includes(`\`${name}\``),
      name,
    );
  }
});

test('an abort rejects with its reason, streamed or not, and break ends the answer', async (t) => {
  const held = gate();
  const { llm, fake } = await loadFake(
    t,
    new Says(['a', 'b', 'c'], { before: ({ id }) => (id === 1 ? held.opened : undefined) }),
  );
  const controller = new AbortController();
  const failures = [false, true].map((stream) =>
    assert.rejects(async () => {
      const answer = await llm.chat.completions.create({ ...ask, stream }, { signal: controller.signal });
      for await (const _ of answer);
    }, /enough/),
  );
  await settle();
  controller.abort(new Error('enough'));
  held.open();
  await Promise.all(failures);
  for await (const _ of await llm.chat.completions.create({ ...ask, stream: true })) break;
  await llm.detokenize([97]);
  assert.equal(fake.log.at(-1)[0], 'stop');
});

test('a text completion continues each prompt, with its log-probabilities and offsets', async (t) => {
  const { llm } = await loadFake(t, new Says(['ab', 'c']));
  const answer = await llm.completions.create({ prompt: ['x', 'y'], logprobs: 1, echo: true });
  assert.deepEqual(
    answer.choices.map(({ index, text }) => [index, text]),
    [
      [0, 'xabc'],
      [1, 'yabc'],
    ],
  );
  const { tokens, token_logprobs: logprobs, text_offset: offsets, top_logprobs: top } = answer.choices[0].logprobs;
  assert.deepEqual(
    [tokens, logprobs, offsets],
    [
      ['ab', 'c'],
      [-1, -2],
      [1, 3],
    ],
  );
  assert.deepEqual(top, [{ ab: -1 }, { c: -2 }]);
  const chunks = await collect(await llm.completions.create({ prompt: [5, 6], stream: true }));
  assert.deepEqual(chunks.map(({ choices: [{ text }] }) => text).join(''), 'abc');
  await assert.rejects(llm.completions.create({ prompt: [] }), /prompt/);
});

test('embeddings come as floats or as their bytes, also through the official client', async (t) => {
  const fake = new FakeLlm();
  fake.embed = async (texts) => texts.map((text) => Float32Array.of(text.length, -0.5));
  const { llm } = await loadFake(t, fake);
  const { data, usage } = await llm.embeddings.create({ input: ['ab c', 'a'] });
  assert.deepEqual(
    data.map(({ index, embedding }) => [index, embedding]),
    [
      [0, [4, -0.5]],
      [1, [1, -0.5]],
    ],
  );
  assert.deepEqual(usage, { prompt_tokens: 3, total_tokens: 3 });
  // the client requests base64 and decodes it
  const official = await client(llm).embeddings.create({ model: 'any', input: 'ab' });
  assert.deepEqual([...official.data[0].embedding], [2, -0.5]);
  await assert.rejects(llm.embeddings.create({ input: [[1, 2]] }), /`input`/);
  await assert.rejects(llm.embeddings.create({ input: 'a', dimensions: 3 }), /`dimensions`/);
});

const client = (llm) =>
  new OpenAI({
    baseURL: 'http://localhost/v1',
    apiKey: 'none',
    fetch: openaiFetch(llm),
    dangerouslyAllowBrowser: true,
  });

test('the official client gets whole and streamed answers, tool calls, models and errors', async (t) => {
  const call = '<tool_call>\n{"name": "f", "arguments": {"city": "Bern"}}\n</tool_call>';
  const { llm, fake } = await loadFake(t, new Says(['Hi', '!']));
  const openai = client(llm);
  const whole = await openai.chat.completions.create({ model: 'any', ...ask });
  assert.equal(whole.choices[0].message.content, 'Hi!');
  let text = '';
  for await (const chunk of await openai.chat.completions.create({ model: 'any', ...ask, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? '';
  }
  assert.equal(text, 'Hi!');
  const runner = openai.chat.completions.stream({ model: 'any', ...ask, stream_options: { include_usage: true } });
  assert.equal((await runner.finalChatCompletion()).usage.completion_tokens, 2);
  assert.equal((await openai.completions.create({ model: 'any', prompt: 'x' })).choices[0].text, 'Hi!');
  assert.deepEqual(
    (await openai.models.list()).data.map(({ id }) => id),
    ['fake'],
  );

  fake.texts = [...call].map(String);
  const tools = [tool('f')];
  const called = await openai.chat.completions.stream({ model: 'any', ...ask, tools }).finalChatCompletion();
  assert.equal(called.choices[0].finish_reason, 'tool_calls');
  assert.deepEqual(called.choices[0].message.tool_calls[0].function.name, 'f');
  assert.deepEqual(JSON.parse(called.choices[0].message.tool_calls[0].function.arguments), { city: 'Bern' });

  const refused = await openai.chat.completions.create({ model: 'any', ...ask, n: 0 }).catch((error) => error);
  assert.ok(refused instanceof OpenAI.BadRequestError, String(refused));
  assert.match(refused.message, /`n`/);
  const unknown = await openai.files.list().catch((error) => error);
  assert.ok(unknown instanceof OpenAI.NotFoundError, String(unknown));
});

test('the official client stops the model on abort, and does not retry an error of the engine', async (t) => {
  const held = gate();
  const { llm, fake } = await loadFake(
    t,
    new Says(['a', 'b'], { before: ({ id }) => (id === 1 ? held.opened : undefined) }),
  );
  const controller = new AbortController();
  const answer = client(llm).chat.completions.create({ model: 'any', ...ask }, { signal: controller.signal });
  const failed = assert.rejects(answer, OpenAI.APIUserAbortError);
  await settle();
  controller.abort();
  held.open();
  await failed;
  await llm.detokenize([97]);
  assert.equal(fake.log.at(-1)[0], 'stop');

  let calls = 0;
  fake.before = () => {
    calls += 1;
    throw Object.assign(new Error('NaN'), { code: 'INVALID_LOGITS' });
  };
  await assert.rejects(client(llm).chat.completions.create({ model: 'any', ...ask }), OpenAI.InternalServerError);
  assert.equal(calls, 1);
});
