// Reasoning before the answer: separated from it, whole and split at every character.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { thoughtFormat, thoughtTokens } from '../dist/answers/thought-formats.js';
import { Thoughts } from '../dist/answers/thoughts.js';
import { Told } from '../dist/answers/told.js';
import { collect, FakeLlm, loadFake } from './support/fake.mjs';

const QWEN = "{{ tools }}{% if '</think>' in content %}{{ '<think>' }}{% endif %}";
const HARMONY = '<|start|>assistant<|channel|>analysis<|message|><|end|>';

function split(template, open, pieces) {
  const thoughts = new Thoughts(thoughtFormat(template), open, { calls: ['<tool_call>'] });
  const told = new Told();
  for (const piece of pieces) told.add(thoughts.push(piece));
  const { reasoning, text } = told.add(thoughts.end(''));
  return [reasoning, text];
}

const cases = [
  ['Qwen 3', QWEN, false, '<think>\nHm, 2 < 3.\n</think>\n\nYes.', ['Hm, 2 < 3.', 'Yes.']],
  ['one that was told not to', QWEN, false, '<think>\n\n</think>\n\nYes.', ['', 'Yes.']],
  ['DeepSeek R1, whose prompt begins them', QWEN, true, 'Hm.\n</think>\n\nYes.\n', ['Hm.', 'Yes.\n']],
  ['none', QWEN, false, ' Yes, <think> is a tag.', ['', ' Yes, <think> is a tag.']],
  ['cut', QWEN, false, '<think>\nHm </thi', ['Hm </thi', '']],
  ['cut before the answer', QWEN, false, '<think>Hm</think>\n\n', ['Hm', '']],
  ['a text that may have become a tag', QWEN, false, '<thi', ['', '<thi']],
  ['Magistral', '[THINK][/THINK]', false, '[THINK]Hm[/THINK]Yes', ['Hm', 'Yes']],
  [
    'gpt-oss',
    HARMONY,
    false,
    '<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes',
    ['Hm', 'Yes'],
  ],
  [
    'gpt-oss, a call',
    HARMONY,
    false,
    '<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>commentary to=functions.f <|message|>{}',
    ['Hm', '<|channel|>commentary to=functions.f <|message|>{}'],
  ],
  ['Rapid-MLX#1570: an end that nothing began', QWEN, false, 'Hm, so.\n</think>\n\nYes.', ['Hm, so.', 'Yes.']],
  ['an end within a call', QWEN, false, '<tool_call>{"a": "</think>"}', ['', '<tool_call>{"a": "</think>"}']],
  ['an end within JSON', QWEN, false, ' {"a": "</think>"}', ['', ' {"a": "</think>"}']],
  ['an end behind one', QWEN, false, '<think>Hm</think>a </think> b', ['Hm', 'a </think> b']],
  ['begun by both', QWEN, true, '<think>\nHm</think>Yes', ['Hm', 'Yes']],
  ['twice', QWEN, false, '<think>Hm</think>\n<think>So</think>Yes', ['Hm\n\nSo', 'Yes']],
  [
    'a call among them',
    QWEN,
    false,
    '<think><tool_call>{}</tool_call></think>Yes',
    ['<tool_call>{}</tool_call>', 'Yes'],
  ],
  [
    'DeepSeek R1, whose template has their end alone',
    "{{ split('</think>') }}",
    false,
    '<think>Hm</think>Yes',
    ['Hm', 'Yes'],
  ],
  ['a tag with attributes', QWEN, false, '<think budget="8">Hm</think>Yes', ['Hm', 'Yes']],
  ['a tag that is another', QWEN, false, '<thinking>Hm</thinking>', ['', '<thinking>Hm</thinking>']],
  ['Seed-OSS', '<seed:think></seed:think>', false, '<seed:think>Hm</seed:think>Yes', ['Hm', 'Yes']],
  [
    'Command A',
    '<|START_THINKING|><|END_THINKING|>',
    false,
    '<|START_THINKING|>Hm<|END_THINKING|><|START_RESPONSE|>Yes',
    ['Hm', 'Yes'],
  ],
  [
    'gpt-oss, with words before a call and more thoughts',
    HARMONY,
    false,
    '<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>commentary<|message|>Let me see.<|end|><|start|>assistant<|channel|>analysis<|message|>So<|end|><|start|>assistant<|channel|>commentary to=functions.f <|message|>{}',
    ['Hm\n\nSo', 'Let me see.<|channel|>commentary to=functions.f <|message|>{}'],
  ],
  [
    'gpt-oss, a call whose recipient comes first',
    HARMONY,
    false,
    '<|channel|>commentary<|message|>So.<|end|><|start|>assistant to=functions.f<|channel|>commentary json<|message|>{}',
    ['', 'So.<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{}'],
  ],
  [
    'gpt-oss, whose answer says what it is',
    HARMONY,
    false,
    '<|channel|>analysis <|message|>Hm<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{"a": 1}',
    ['Hm', '{"a": 1}'],
  ],
  [
    'Granite 3.3, with tags around the answer',
    `${QWEN} <response></response>`,
    false,
    '<think>Hm</think>\n<response>Yes, <b> </response> and\n\nNo.\n</response>\n',
    ['Hm', 'Yes, <b> </response> and\n\nNo.'],
  ],
  ['Gemma 4', '<|channel>thought\n<channel|>', false, '<|channel>thought\nHm\n<channel|>Yes', ['Hm', 'Yes']],
  ['Hunyuan', `${QWEN} <answer>`, false, '<think>\nHm\n</think>\n<answer>\nYes\n</answer>', ['Hm', 'Yes']],
  ['tags around the answer, cut', `${QWEN} <answer>`, false, '<think>Hm</think><answer>Yes </ans', ['Hm', 'Yes </ans']],
  ['gpt-oss, at once', HARMONY, false, '<|channel|>final<|message|>Yes', ['', 'Yes']],
];

for (const [name, template, open, answer, expected] of cases) {
  test(`thoughts: ${name}`, () => {
    assert.deepEqual(split(template, open, [answer]), expected);
    assert.deepEqual(split(template, open, [...answer]), expected, 'a character at a time');
    for (let cut = 1; cut < answer.length; cut += 1) {
      assert.deepEqual(split(template, open, [answer.slice(0, cut), answer.slice(cut)]), expected, `cut at ${cut}`);
    }
  });
}

test('thoughts are streamed, and a model without them has none', () => {
  const thoughts = new Thoughts(thoughtFormat(QWEN), false);
  assert.deepEqual(thoughts.push('<think>\nLet me '), { text: '', reasoning: 'Let me' });
  assert.deepEqual(thoughts.push('see'), { text: '', reasoning: ' see' });
  assert.equal(thoughtFormat('{{ messages }}<|end|>'), undefined);
  assert.deepEqual(thoughtTokens(thoughtFormat(HARMONY)).slice(0, 3), ['<|channel|>', '<|message|>', '<|end|>']);
});

/** Answers with these texts, one token each; the prompt is `tail`. */
class Thinks extends FakeLlm {
  template = QWEN;

  constructor(texts, tail = '') {
    super();
    this.texts = texts;
    this.tail = tail;
  }

  chat_prompt = (conversation) => {
    this.conversation = JSON.parse(conversation);
    return Uint32Array.from(this.tail, (c) => c.codePointAt(0));
  };

  tokenize(text) {
    return Uint32Array.from(text, (c) => c.codePointAt(0));
  }

  start(ids, options) {
    this.prompt = String.fromCodePoint(...ids);
    this.options = options;
    this.log.push(['start']);
    this.events = [
      ...this.texts.map((text, id) => ({ type: 'token', id, text })),
      { type: 'end', reason: 'stop', text: '' },
    ];
  }
}

const messages = [
  { role: 'system', content: 's' },
  { role: 'user', content: 'u' },
];

test('chat gives thoughts beside the text, and counts their tokens', async (t) => {
  const { llm, fake } = await loadFake(t, new Thinks(['<think>', 'Hm', '</think>', '\n\n', 'Yes']));
  const pieces = await collect(llm.chat(messages));
  assert.equal(pieces.map(({ text }) => text).join(''), 'Yes');
  assert.equal(pieces.map(({ reasoning }) => reasoning).join(''), 'Hm');
  assert.deepEqual(fake.options.keepSpecial, ['<think>', '</think>']);
  // continuing a text is not a conversation
  const plain = await collect(llm.generate('a'));
  assert.equal(plain.map(({ text }) => text).join(''), '<think>Hm</think>\n\nYes');
});

test('thoughts are reasoning_content in OpenAI’s shape, whole and streamed; effort none turns them off', async (t) => {
  const { llm, fake } = await loadFake(t, new Thinks(['<think>', 'Hm', '</think>', 'Yes']));
  const whole = await llm.chat.completions.create({ messages });
  assert.deepEqual(whole.choices[0].message, {
    role: 'assistant',
    content: 'Yes',
    refusal: null,
    reasoning_content: 'Hm',
  });
  const chunks = await collect(await llm.chat.completions.create({ messages, stream: true }));
  const deltas = chunks.map(({ choices: [{ delta }] }) => delta);
  assert.deepEqual(deltas.slice(1, -1), [{ reasoning_content: 'Hm' }, { content: 'Yes' }]);
  assert.deepEqual(fake.conversation.variables, {});
  await llm.chat.completions.create({ messages: [...messages, whole.choices[0].message], reasoning_effort: 'none' });
  assert.equal(fake.conversation.variables.enable_thinking, false);
  assert.equal(fake.conversation.messages.at(-1).reasoning_content, 'Hm');
});

test('reasoning is switched by the template; without a switch, off closes the thoughts at once', async (t) => {
  const { llm, fake } = await loadFake(t, new Thinks(['Yes'], 'Q<think>\n'));
  const off = await collect(llm.chat(messages, { reasoning: 'off' }));
  assert.equal(off.map(({ text }) => text).join(''), 'Yes');
  assert.equal(fake.prompt, 'Q<think>\n\n</think>\n\n');
  const auto = await collect(llm.chat(messages));
  assert.equal(auto.map(({ reasoning }) => reasoning).join(''), 'Yes');
  assert.equal(fake.prompt, 'Q<think>\n');
  await collect(llm.chat(messages, { reasoning: 'step-by-step', variables: { enable_thinking: 'my own' } }));
  assert.deepEqual(fake.conversation.variables, { enable_thinking: 'my own', thinking: true });
  assert.equal(fake.conversation.messages.at(-1).content, 'u');
});

test('a model not trained to think is asked for its steps', async (t) => {
  const { llm, fake } = await loadFake(t);
  await collect(llm.chat(messages, { reasoning: 'step-by-step' }));
  assert.match(fake.conversation.messages.at(-1).content, /^u\n\n.*step by step/s);
  assert.throws(() => llm.chat(messages, { reasoning: 'deep' }), { code: 'INVALID_OPTION', message: /`reasoning`/ });
});

/** Allows one token, twice. */
class Grammars {
  constrain() {
    const taken = [];
    return {
      mask: () => Uint32Array.of(1),
      forced: () => '',
      accept: (id) => taken.push(id),
      ignored: () => [],
      may_end: () => taken.length === 2,
      must_end: () => taken.length === 2,
      free: () => {},
    };
  }
}

const FREE = 0xffffffff;

for (const [name, tail, said, allowed, reasoning] of [
  ['that the prompt began', '<think>', ['Hm', '</think>', 'a', 'b'], [FREE, FREE, 1, 1], 'Hm'],
  ['that the model began', '', ['<think>', 'Hm', '</think>', 'a', 'b'], [1 | (1 << 7), FREE, FREE, 1, 1], 'Hm'],
  ['that the model need not begin', '', ['a', 'b'], [1 | (1 << 7), 1], ''],
]) {
  test(`a constraint begins after the thoughts ${name}`, async (t) => {
    const fake = new Thinks(said, tail);
    const spelled = fake.tokenize;
    fake.tokenize = (text) => (text === '<think>' ? Uint32Array.of(7) : spelled(text));
    const { llm } = await loadFake(t, fake, { grammars: async () => ({ Grammars }) });
    const pieces = await collect(llm.chat(messages, { constraint: { choices: ['ab'] } }));
    assert.equal(pieces.map(({ text }) => text).join(''), 'ab');
    assert.equal(pieces.map((piece) => piece.reasoning).join(''), reasoning);
    assert.equal(pieces.at(-1).finish.fits, true);
    const masks = fake.log.filter(([what]) => what === 'allow').map(([, mask]) => mask);
    assert.deepEqual(masks, allowed);
  });
}

test('with reasoning off, a constraint allows no thoughts', async (t) => {
  const fake = new Thinks(['a', 'b']);
  const { llm } = await loadFake(t, fake, { grammars: async () => ({ Grammars }) });
  await collect(llm.chat(messages, { constraint: { choices: ['ab'] }, reasoning: 'off' }));
  assert.deepEqual(
    fake.log.find(([what]) => what === 'allow'),
    ['allow', 1],
  );
});

test('examples stand between the system message and the conversation', async (t) => {
  const { llm, fake } = await loadFake(t);
  const examples = [
    { user: '1', assistant: 'one' },
    { user: '2', assistant: 'two', reasoning: 'after one' },
  ];
  await collect(llm.chat(messages, { examples }));
  assert.deepEqual(fake.conversation.messages, [
    messages[0],
    { role: 'user', content: '1' },
    { role: 'assistant', content: 'one' },
    { role: 'user', content: '2' },
    { role: 'assistant', content: 'two', reasoning_content: 'after one' },
    messages[1],
  ]);
  assert.throws(() => llm.chat(messages, { examples: [{ user: 'a' }] }), /`examples\[0\].assistant`/);
});

test('Rapid-MLX#1570: text before a lone end mark becomes thoughts; a stream reports it', async (t) => {
  const { llm } = await loadFake(t, new Thinks(['Hm, ', 'so.\n', '</think>', '\n\n', 'Yes']));
  const whole = await llm.chat.completions.create({ messages });
  const { content, reasoning_content: thoughts } = whole.choices[0].message;
  assert.deepEqual([content, thoughts], ['Yes', 'Hm, so.']);
  const answer = llm.chat(messages);
  assert.deepEqual([await answer.text, await answer.reasoning], ['Yes', 'Hm, so.']);
  const pieces = await collect(llm.chat(messages));
  assert.deepEqual(
    pieces.map(({ text, endsReasoning }) => [text, endsReasoning]).filter(([text, ends]) => text || ends),
    [
      ['Hm, ', undefined],
      ['so.\n', undefined],
      ['', true],
      ['Yes', undefined],
    ],
  );
  const session = llm.session();
  await collect(session.send('u'));
  assert.deepEqual(session.messages.at(-1), { role: 'assistant', content: 'Yes', reasoning_content: 'Hm, so.' });
});
