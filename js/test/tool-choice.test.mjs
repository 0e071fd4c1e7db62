// Answers that must be calls: the grammar of each format with the built module, and what the parser
// makes of its texts.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { withPlainTools } from '../dist/tools/generic.js';
import { ToolParser } from '../dist/tools/parser.js';
import { KEPT_TOKENS } from '../dist/tools/forms.js';
import { answerConstraint } from '../dist/tools/grammar.js';
import { checkTools } from '../dist/tools/options.js';
import { collect, FakeLlm, loadFake } from './support/fake.mjs';
import { draw, follow, modelWith, random, startGrammars } from './support/grammar.mjs';

let grammars;

before(async () => {
  grammars = await startGrammars();
});

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
const CALL_OF_NOW = { type: 'function', function: { name: 'now', arguments: '{}' } };

/** The constraint on an answer with these tools. */
const constraintOf = (model, template, tools, choice, more = {}) =>
  answerConstraint(model, template, { tools, choice, parallel: true, constraint: null, ...more });

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
  'Kimi K2': [
    '<|tool_calls_section_begin|>',
    KEPT_TOKENS.filter((name) => name.includes('tool_call')),
    '<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>…<|tool_call_end|><|tool_calls_section_end|>',
  ],
  'Command R7B': [
    '<|START_ACTION|>',
    ['<|START_ACTION|>', '<|END_ACTION|>'],
    '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "weather", "parameters": …}]<|END_ACTION|>',
  ],
  FunctionGemma: [
    '<start_function_call><escape>',
    ['<start_function_call>', '<escape>', '<end_function_call>'],
    '<start_function_call>call:weather…<end_function_call>',
  ],
  'Gemma 4': ['<|tool_call><|"|>', ['<|tool_call>', '<tool_call|>'], '<|tool_call>call:weather…<tool_call|>'],
  Apertus: ['<|tools_prefix|>', [], '<|tools_prefix|>[{"weather": …}]<|tools_suffix|>'],
  'Llama 3.1, by name': ['<function=', [], '<function=weather>…</function>'],
  'gpt-oss': [
    '<|channel|><|message|>',
    ['<|channel|>', '<|message|>', '<|constrain|>'],
    '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>…',
  ],
};

const ARGS = '{"city": "Bern", "days": 3}';

for (const [name, [template, special, form]] of Object.entries(forms)) {
  const written = form.replace('…', ARGS);

  test(`${name}: a required call fits its schema`, () => {
    const model = modelWith(special);
    const grammar = constraintOf(model, template, [weather, now], 'required');
    const follows = (text) => follow(grammars, grammar, text, special);
    assert.ok(follows(written).whole, written);
    assert.ok(!follows('It is sunny').taken);
    assert.ok(!follows(written.replace('Bern', 'Rome')).whole);
    assert.ok(!follows(written.replace('weather', 'fly')).whole);
    assert.ok(!follows(written.replace('"days": 3', '"wind": 3')).whole);
    assert.ok(follows(written.replace('weather', 'now').replace(ARGS, '{}')).whole);
    // a tool chosen by name excludes others
    const named = constraintOf(model, template, [weather, now], { name: 'now' });
    assert.ok(!follow(grammars, named, written, special).whole);
    const parser = new ToolParser(['weather', 'now']);
    const [call, ...rest] = [...parser.push(written), ...parser.end()];
    assert.deepEqual([call.type, call.name, JSON.parse(call.arguments)], ['call', 'weather', JSON.parse(ARGS)]);
    assert.deepEqual(rest, []);
  });

  test(`${name}: text is free, and calls of strict tools fit their schema`, () => {
    const model = modelWith(special);
    assert.equal(constraintOf(model, template, [weather, now], 'auto'), null);
    const grammar = constraintOf(model, template, [strict(weather), now], 'auto');
    const follows = (text) => follow(grammars, grammar, text, special);
    for (const text of ['', 'It is < 3 degrees [or {so}.\n', written]) assert.ok(follows(text).whole, text);
    assert.ok(!follows(written.replace('Bern', 'Rome')).whole);
    if (name !== 'Llama 3') assert.ok(follows(`Let me see.\n${written}`).whole);
    // a tool that is not strict takes any arguments
    assert.ok(follows(written.replace('weather', 'now').replace(ARGS, '{"zone": [1]}')).whole);
  });
}

test('with a template without tools, tools are described and called in text', () => {
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
    content: '<tool_call>\n{"name": "weather", "arguments": {"city":"Bern"}}\n</tool_call>',
  });
  assert.deepEqual(answered, {
    role: 'user',
    content: '<tool_response>\nsunny\n</tool_response>\n<tool_response>\nwarm\n</tool_response>\nSo?',
  });
  assert.deepEqual(rest, []);
  // arguments that are text keep their digits
  const text = {
    ...messages[2],
    tool_calls: [{ function: { name: 'now', arguments: '{"id": 2512292042121000001}' } }],
  };
  const [, written] = withPlainTools([messages[1], text], null, 'system');
  assert.match(written.content, /"arguments": {"id": 2512292042121000001}}/);
  // without a system role, in the first message
  const [first] = withPlainTools(messages.slice(1), [weather], 'messages');
  assert.match(first.content, /^These[^]*Weather\?$/);
  assert.equal(withPlainTools(messages.slice(1), [weather], 'system')[0].role, 'system');
  assert.deepEqual(withPlainTools(messages.slice(0, 2), null, 'system'), messages.slice(0, 2));
});

test('ids of calls have the form that Mistral’s template wants', async (t) => {
  const { llm, fake } = await loadFake(t);
  const messages = [
    { role: 'user', content: 'hi' },
    { role: 'assistant', content: null, tool_calls: ['call_a', 'abcdefghi'].map((id) => ({ ...CALL_OF_NOW, id })) },
    { role: 'tool', tool_call_id: 'call_a', content: '1' },
    { role: 'tool', tool_call_id: 'abcdefghi', content: '2' },
    { role: 'assistant', content: null, tool_calls: [{ ...CALL_OF_NOW, id: 'call_b' }] },
    { role: 'tool', tool_call_id: 'call_b', content: '3' },
  ];
  const idsOf = async () => {
    await llm.chat.completions.create({ messages, tools: [now] });
    return fake.conversation.messages.flatMap(({ tool_calls: calls = [], tool_call_id: id }) => [
      ...calls.map((call) => call.id),
      ...(id ? [id] : []),
    ]);
  };
  assert.deepEqual((await idsOf())[0], 'call_a');
  fake.template = "{{ tools }}{% if call.id|length != 9 %}{{ raise_exception('9') }}{% endif %}";
  const [a, b, c] = ['call00001', 'abcdefghi', 'call00003'];
  assert.deepEqual(await idsOf(), [a, b, a, b, c, c]);
});

/** Allows everything, and records the constraints. */
class AnyGrammars {
  static asked = [];
  constrain(constraint) {
    AnyGrammars.asked.push(JSON.parse(constraint));
    return {
      mask: () => Uint32Array.of(1),
      forced: () => '',
      accept: () => {},
      ignored: () => [],
      may_end: () => true,
      must_end: () => false,
      free: () => {},
    };
  }
}

test('tool_choice constrains the answer, and the template does not see `strict`', async (t) => {
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
    AnyGrammars.asked
      .filter(({ composed }) => composed)
      .map(({ composed: { lark } }) => ['weather', 'now', 'TEXT?'].map((text) => lark.includes(text))),
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
    [
      'tool_choice',
      { tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [{ name: 'fly' }] } } },
    ],
    ['tools\\[0\\].type', { tools: [{ type: 'web_search' }] }],
    ['tools\\[0\\].function.name', { tools: [{ type: 'function', function: { name: 'say "hi"' } }] }],
    ['parallel_tool_calls', { parallel_tool_calls: 1 }],
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

/** Those of `texts` that a constraint accepts as a whole answer. */
const takes = (constraint, texts, special = []) =>
  texts.map((text) => follow(grammars, constraint, text, special).whole);

const CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>';
const NOW = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>';
const HERMES = '{{ tools }}<tool_call>';
const TOOLS = [weather, now];

test('sglang#9696: an answer has several calls, or one if parallel calls are off', () => {
  const answers = [CALL, `${CALL}\n${NOW}`, `${CALL}\n${NOW}\n${CALL}`, `${CALL} and`];
  const required = (more) => constraintOf(modelWith([]), HERMES, TOOLS, 'required', more);
  assert.deepEqual(takes(required(), answers), [true, true, true, false]);
  const many = (count) => Array(count).fill(CALL).join('\n');
  assert.deepEqual(takes(required(), [many(8), many(9)]), [true, false]);
  assert.deepEqual(takes(required({ parallel: false }), answers), [true, false, false, false]);
  const strictly = (more) => constraintOf(modelWith([]), HERMES, [strict(weather), now], 'auto', more);
  assert.deepEqual(takes(strictly(), answers), [true, true, true, true]);
  assert.deepEqual(takes(strictly({ parallel: false }), answers), [true, false, false, true]);
});

test('modelship#71, vercel/ai#10235: with tools and a format, the answer is a call or fits the format', () => {
  const schema = { type: 'object', properties: { sky: { enum: ['blue', 'grey'] } }, required: ['sky'] };
  const constraint = JSON.stringify({ jsonSchema: { ...schema, additionalProperties: false } });
  const answers = [
    '{"sky": "blue"}',
    CALL,
    `${CALL}\n${NOW}`,
    '{"sky": "red"}',
    'It is blue.',
    CALL.replace('Bern', 'Rome'),
  ];
  for (const special of [[], ['<tool_call>', '</tool_call>']]) {
    const model = modelWith(special);
    const of = (choice) =>
      takes(constraintOf(model, HERMES, [strict(weather), now], choice, { constraint }), answers, special);
    assert.deepEqual(of('auto'), [true, true, true, false, false, false]);
    assert.deepEqual(of('required'), [false, true, true, false, false, false]);
    assert.deepEqual(of({ name: 'weather' }), [false, true, false, false, false, false]);
    assert.deepEqual(of('none'), [true, false, false, false, false, false]);
  }
  // Llama 3's calls and answers are both JSON, so calls have a mark
  const llama = constraintOf(modelWith([]), '{"name": "parameters": ', TOOLS, 'auto', { constraint });
  const bare = '{"name": "now", "parameters": {}}';
  assert.deepEqual(takes(llama, ['{"sky": "blue"}', bare, `<|python_tag|>${bare}`]), [true, false, true]);
});

test('names of any letters work in every form, and names that a form cannot hold are refused', () => {
  const names = ['größe', '天气', 'server.tool', 'a:1', '@scope/tool', 'a-b_c'];
  const templates = [
    HERMES,
    '<tool_call><function=',
    '<arg_key><tool_call>',
    '<|tool_call_start|>',
    '[TOOL_CALLS][ARGS]',
  ];
  templates.push(
    '<|tool_calls_section_begin|>',
    '<｜tool▁sep｜>',
    '<|channel|><|message|>',
    '<function=',
    '<|tools_prefix|>',
  );
  const next = random(5);
  for (const template of templates) {
    const tools = names.map((name) => ({
      type: 'function',
      function: { name, parameters: { type: 'object', properties: {} } },
    }));
    for (const name of names) {
      const constraint = constraintOf(modelWith([]), template, tools, { name });
      const parser = new ToolParser(tools);
      const answer = draw(grammars, constraint, next, [name], []);
      const [call, ...more] = [...parser.push(answer), ...parser.end()];
      assert.deepEqual([call.name, call.arguments, more], [name, '{}', []], answer);
    }
  }
  for (const name of ['', 'two words', 'say"hi"', 'a<b', 'f(x)', 'a'.repeat(129), 3]) {
    assert.throws(() => checkTools([{ type: 'function', function: { name } }]), /`tools\[0\].function.name`/);
  }
});

test('an error in the schema of a tool names the tool', () => {
  const put = {
    name: 'put',
    parameters: { type: 'object', properties: { x: { type: 'string', pattern: '(a)\\1' } } },
  };
  for (const template of [HERMES, '<tool_call><function=', '<|tool_call_start|>']) {
    const constraint = constraintOf(modelWith([]), template, [{ type: 'function', function: put }], 'required');
    assert.throws(() => grammars.constrain(constraint), /arguments_of_put/);
  }
});

test('allowed_tools limits the calls', () => {
  const of = (choice) => takes(constraintOf(modelWith([]), HERMES, TOOLS, choice), ['Hm.', CALL, NOW, `Hm. ${NOW}`]);
  assert.deepEqual(of({ allowed: ['now'] }), [true, false, true, true]);
  assert.deepEqual(of({ allowed: ['now'], required: true }), [false, false, true, false]);
});

test('a call that must fit cannot be written in another form', () => {
  const constraint = constraintOf(modelWith([]), HERMES, [strict(weather), now], 'auto');
  const others = [
    '{"name": "weather", "parameters": {"city": "Rome"}}',
    '[weather(city="Rome")]',
    'So: <function=weather>{"city": "Rome"}</function>',
    '[TOOL_CALLS]weather[ARGS]{"city": "Rome"}',
    '<|python_tag|>{"name": "weather", "parameters": {"city": "Rome"}}',
    '```json\n{"name": "weather", "parameters": {"city": "Rome"}}\n```',
    '```tool_code\nweather(city="Rome")\n```',
  ];
  assert.deepEqual(
    takes(constraint, others),
    others.map(() => false),
  );
  assert.deepEqual(takes(constraint, ['{"sky": "blue"}', '[1, 2]', 'a < b', '```js\nf()\n```']), [
    true,
    true,
    true,
    true,
  ]);
});

/** Answers with these texts, one token each, and records its prompts. */
class Says extends FakeLlm {
  constructor(texts) {
    super();
    this.texts = texts;
  }

  start(ids, options, entropy) {
    super.start(ids, options, entropy);
    const tokens = this.texts.map((text, id) => ({ type: 'token', id, text }));
    this.events = [...tokens, { type: 'end', reason: 'stop', text: '' }];
  }
}

test('sglang#9696: without a grammar the answer ends after its first call', async (t) => {
  const { llm, fake } = await loadFake(t, new Says(['So. ', CALL, '\n', NOW, ' and']));
  const messages = [{ role: 'user', content: 'hi' }];
  const ask = { messages, tools: [weather, now], parallel_tool_calls: false };
  const { choices, usage } = await llm.chat.completions.create(ask);
  assert.deepEqual([choices[0].finish_reason, choices[0].message.tool_calls.length], ['tool_calls', 1]);
  assert.deepEqual([choices[0].message.content, usage.completion_tokens], ['So. ', 2]);
  const chunks = await collect(await llm.chat.completions.create({ ...ask, stream: true }));
  const deltas = chunks.flatMap(({ choices: [{ delta }] }) => delta.tool_calls ?? []);
  assert.deepEqual(
    deltas.map(({ index, id, type, function: called }) => [index, typeof id, type, called]),
    [
      [0, 'string', 'function', { name: 'weather', arguments: '' }],
      [0, 'undefined', undefined, { arguments: '{"city": "Bern"}' }],
    ],
  );
  const native = llm.chat(messages, { tools: [weather, now], parallelToolCalls: false });
  assert.equal(await native.text, `So. ${CALL}`);
  // a repeated call ends the answer
  fake.texts = [CALL, NOW, CALL, NOW];
  const again = await llm.chat.completions.create({ messages, tools: [weather, now] });
  assert.equal(again.choices[0].message.tool_calls.length, 3);
  fake.texts = [CALL, '\n', NOW];
  const both = await llm.chat.completions.create({ messages, tools: [weather, now] });
  assert.equal(both.choices[0].message.tool_calls.length, 2);
  assert.equal(both.choices[0].message.content, null);
});

test('chat and sessions take tools, a choice and a constraint together', async (t) => {
  AnyGrammars.asked = [];
  const { llm } = await loadFake(t, new Says([CALL]), { grammars: async () => ({ Grammars: AnyGrammars }) });
  const constraint = { choices: ['yes', 'no'] };
  await llm.chat([{ role: 'user', content: 'hi' }], { tools: TOOLS, constraint }).text;
  await collect(llm.session({ tools: TOOLS, toolChoice: 'required' }).send('hi'));
  const session = llm.session({ tools: TOOLS, toolChoice: { allowed: ['now'] } });
  await collect(session.send('hi', { constraint }));
  const [chat, required, allowed] = AnyGrammars.asked.map(({ composed }) => composed);
  assert.deepEqual(
    [chat.parts.answer, required.parts.answer, allowed.parts.answer],
    [constraint, undefined, constraint],
  );
  assert.deepEqual([chat.lark.includes('weather'), allowed.lark.includes('weather')], [true, false]);
});
