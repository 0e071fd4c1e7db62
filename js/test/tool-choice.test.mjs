// Calls that an answer must be: the grammar of each form, by the built module, and what the parser makes of what it allows.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { before, test } from 'node:test';
import { withPlainTools } from '../dist/generic-tools.js';
import { KEPT_TOKENS } from '../dist/tool-formats.js';
import { ToolParser } from '../dist/openai/tool-parser.js';
import { callGrammar } from '../dist/tool-choice.js';
import { collect, FakeLlm, loadFake } from './support/fake.mjs';

/** A token a byte, the end, then the special tokens, which no text has. */
const END = 255;
const bytesOf = (text) => [...new TextEncoder().encode(text)];
const idOf = (name) => END + 1 + KEPT_TOKENS.indexOf(name);

let Grammars, vocabulary;

before(async () => {
  const { default: start, Grammars: Built } = await import('../generated/weft-grammar.js');
  const wasm = new URL('../generated/weft-grammar_bg.wasm', import.meta.url);
  await start({ module_or_path: await readFile(wasm) });
  Grammars = Built;
  const tokens = [...Array(255).keys()].map((byte) => [byte]);
  tokens.push(...['<end>', ...KEPT_TOKENS].map((name) => [0xff, ...bytesOf(name)]));
  let end = 0;
  vocabulary = [Uint8Array.from(tokens.flat()), Uint32Array.from(tokens, ({ length }) => (end += length)), END];
});

/** A model with these special tokens. */
const modelWith = (special) => ({
  tokenize: (text, _, parseSpecial) =>
    Uint32Array.from(parseSpecial && special.includes(text) ? [idOf(text)] : bytesOf(text)),
});

/** The ids of `text`, with special tokens as such. */
function idsOf(text, special) {
  const name = special.find((name) => text.includes(name));
  if (!name) return bytesOf(text);
  const [first, ...rest] = text.split(name);
  return [...idsOf(first, special), ...rest.flatMap((part) => [idOf(name), ...idsOf(part, special)])];
}

/** How far the grammar lets `text` come, in tokens, and whether the answer may end there. */
function follow(grammar, text, special) {
  const constrained = new Grammars(...vocabulary).constrain(JSON.stringify({ lark: grammar }));
  let taken = 0;
  for (const id of idsOf(text, special)) {
    if (constrained.must_end() || ((constrained.mask()[id >> 5] >>> (id & 31)) & 1) === 0)
      return { taken, whole: false };
    constrained.accept(id);
    taken += 1;
  }
  return { taken, whole: constrained.may_end() };
}

const weather = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', enum: ['Bern', 'Basel'] }, days: { type: 'integer' } },
      required: ['city'],
    },
  },
};
const now = { type: 'function', function: { name: 'now' } };
const strict = (tool) => ({ ...tool, function: { ...tool.function, strict: true } });

const forms = {
  Hermes: ['{{ tools }}<tool_call>', [], '<tool_call>\n{"name": "weather", "arguments": …}\n</tool_call>'],
  'Qwen, whose tags are tokens': [
    '{{ tools }}<tool_call>',
    ['<tool_call>', '</tool_call>'],
    '<tool_call>\n{"name": "weather", "arguments": …}\n</tool_call>',
  ],
  'no form at all': ['{{ messages }}', [], '<tool_call>\n{"name": "weather", "arguments": …}\n</tool_call>'],
  Mistral: ['[TOOL_CALLS]', ['[TOOL_CALLS]'], '[TOOL_CALLS][{"name": "weather", "arguments": …}]'],
  'Mistral, by name': ['[TOOL_CALLS][ARGS]', ['[TOOL_CALLS]', '[ARGS]'], '[TOOL_CALLS]weather[ARGS]…'],
  Granite: ['<|tool_call|>', ['<|tool_call|>'], '<|tool_call|>[{"name": "weather", "arguments": …}]'],
  'Phi 4 mini': [
    '<|tool_call|><|/tool_call|>',
    ['<|tool_call|>', '<|/tool_call|>'],
    '<|tool_call|>[{"name": "weather", "arguments": …}]<|/tool_call|>',
  ],
  'Llama 3': [
    'Respond in the format {"name": function name, "parameters": dictionary}.',
    [],
    '{"name": "weather", "parameters": …}',
  ],
  'DeepSeek R1': [
    '<｜tool▁sep｜>```json',
    KEPT_TOKENS.filter((name) => name.includes('▁')),
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n…\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  ],
  'DeepSeek 3.1': [
    '<｜tool▁sep｜>',
    KEPT_TOKENS.filter((name) => name.includes('▁')),
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>…<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
  ],
  'gpt-oss': [
    '<|channel|><|message|>',
    ['<|channel|>', '<|message|>', '<|constrain|>'],
    '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>…',
  ],
};

const ARGS = '{"city": "Bern", "days": 3}';

for (const [name, [template, special, form]] of Object.entries(forms)) {
  const written = form.replace('…', ARGS);

  test(`a call is written as ${name} has it, and fits its schema`, () => {
    const model = modelWith(special);
    const grammar = callGrammar(model, template, [weather, now], 'required');
    const follows = (text) => follow(grammar, text, special);
    assert.ok(follows(written).whole, written);
    assert.ok(!follows('It is sunny').taken);
    assert.ok(!follows(written.replace('Bern', 'Rome')).whole);
    assert.ok(!follows(written.replace('weather', 'fly')).whole);
    assert.ok(!follows(written.replace('"days": 3', '"wind": 3')).whole);
    assert.ok(follows(written.replace('weather', 'now').replace(ARGS, '{}')).whole);
    // of one by name, no other
    const named = callGrammar(model, template, [weather, now], { name: 'now' });
    assert.ok(!follow(named, written, special).whole);
    const parser = new ToolParser(['weather', 'now']);
    const [call, ...rest] = [...parser.push(written), ...parser.end()];
    assert.deepEqual([call.type, call.name, JSON.parse(call.arguments)], ['call', 'weather', JSON.parse(ARGS)]);
    assert.deepEqual(rest, []);
  });

  test(`anything may be said, and calls of strict tools fit, as ${name} has them`, () => {
    const model = modelWith(special);
    assert.equal(callGrammar(model, template, [weather, now], 'auto'), null);
    const grammar = callGrammar(model, template, [strict(weather), now], 'auto');
    const follows = (text) => follow(grammar, text, special);
    for (const text of ['', 'It is < 3 degrees [or {so}.\n', written]) assert.ok(follows(text).whole, text);
    assert.ok(!follows(written.replace('Bern', 'Rome')).whole);
    if (name !== 'Llama 3') assert.ok(follows(`Let me see.\n${written}`).whole);
    // one that is not strict may be called with anything
    assert.ok(follows(written.replace('weather', 'now').replace(ARGS, '{"zone": [1]}')).whole);
  });
}

test('tools for a template that knows none are described and called in text', () => {
  const call = { id: 'c', type: 'function', function: { name: 'weather', arguments: { city: 'Bern' } } };
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Weather?' },
    { role: 'assistant', content: null, tool_calls: [call] },
    { role: 'tool', tool_call_id: 'c', content: 'sunny' },
    { role: 'tool', tool_call_id: 'd', content: 'warm' },
    { role: 'user', content: 'So?' },
  ];
  const [system, user, called, answered, ...rest] = withPlainTools(messages, [weather], 'a system and messages');
  assert.match(system.content, /^Be brief\.\n\n[^]*\n{"name":"weather","parameters"[^]*<tool_call>/);
  assert.deepEqual(user, messages[1]);
  assert.deepEqual(called, {
    role: 'assistant',
    content: '<tool_call>\n{"name":"weather","arguments":{"city":"Bern"}}\n</tool_call>',
  });
  assert.deepEqual(answered, {
    role: 'user',
    content: '<tool_response>\nsunny\n</tool_response>\n<tool_response>\nwarm\n</tool_response>\nSo?',
  });
  assert.deepEqual(rest, []);
  // where there is no place for a system message, in the first one
  const [first] = withPlainTools(messages.slice(1), [weather], 'messages');
  assert.match(first.content, /^These[^]*Weather\?$/);
  assert.equal(withPlainTools(messages.slice(1), [weather], 'system')[0].role, 'system');
  assert.deepEqual(withPlainTools(messages.slice(0, 2), null, 'system'), messages.slice(0, 2));
});

/** Allows whatever comes, and remembers what it was asked for. */
class AnyGrammars {
  static asked = [];
  constrain(constraint) {
    AnyGrammars.asked.push(JSON.parse(constraint));
    return {
      mask: () => Uint32Array.of(1),
      accept: () => {},
      may_end: () => true,
      must_end: () => false,
      free: () => {},
    };
  }
}

test('tool_choice constrains the answer, whose call is parsed; the template is not told of `strict`', async (t) => {
  AnyGrammars.asked = [];
  const fake = new FakeLlm();
  const call = '<tool_call> {"name": "weather", "arguments": {}} </tool_call>';
  fake.chat_prompt = (conversation) => {
    fake.conversation = JSON.parse(conversation);
    return fake.tokenize(call, true, false);
  };
  const { llm } = await loadFake(t, fake, { grammars: async () => ({ Grammars: AnyGrammars }) });
  const ask = { messages: [{ role: 'user', content: 'hi' }], tools: [strict(weather), now] };
  const answers = [];
  for (const tool_choice of ['required', { type: 'function', function: { name: 'now' } }, 'auto', 'none']) {
    answers.push(await llm.chat.completions.create({ ...ask, tool_choice }));
    assert.deepEqual(fake.conversation.tools, tool_choice === 'none' ? null : [weather, now]);
  }
  assert.equal(answers[0].choices[0].message.tool_calls[0].function.name, 'weather');
  assert.equal(answers[0].choices[0].finish_reason, 'tool_calls');
  assert.deepEqual(
    AnyGrammars.asked.map(({ lark }) => [lark.includes('weather'), lark.includes('now'), lark.includes('TEXT')]),
    [
      [true, true, false],
      [false, true, false],
      [true, true, true],
    ],
  );
  assert.deepEqual(fake.options.keepSpecial, []);
  const more = [
    ['tool_choice', { tool_choice: { type: 'function', function: { name: 'fly' } } }],
    ['tool_choice', { tool_choice: 'required', tools: [] }],
    ['tool_choice', { tool_choice: { type: 'allowed_tools' } }],
    ['response_format', { tool_choice: 'required', response_format: { type: 'json_object' } }],
    ['response_format', { response_format: { type: 'json_object' } }],
  ];
  for (const [name, request] of more) {
    await assert.rejects(llm.chat.completions.create({ ...ask, ...request }), {
      code: 'INVALID_OPTION',
      message: new RegExp(`\`${name}\``),
    });
  }
  assert.throws(() => llm.chat(ask.messages, { toolChoice: 'required' }), /`toolChoice`/);
  assert.throws(() => llm.chat(ask.messages, { tools: [now], toolChoice: { name: 'x' } }), /`toolChoice`/);
  await collect(llm.chat(ask.messages, { tools: [now], toolChoice: { name: 'now' } }));
  assert.equal(fake.options.constrained, true);
});
