// Calls of each model family, whole and split at every character.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolParser } from '../dist/tools/parser.js';

const TOOLS = ['weather', 'add'];

/** Parses pieces; joins texts, and returns the arguments of calls as data. */
function parse(pieces, tools = TOOLS) {
  const parser = new ToolParser(tools);
  const parts = [...pieces.flatMap((piece) => parser.push(piece)), ...parser.end()];
  const calls = parts
    .filter(({ type }) => type === 'call')
    .map(({ name, arguments: json }) => [name, JSON.parse(json)]);
  const text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  return { text, calls };
}

const BERN = [['weather', { city: 'Bern' }]];
const BOTH = [...BERN, ['add', { a: 1, b: [2] }]];

const cases = {
  'Hermes, Qwen, SmolLM3': [
    'Let me see.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>',
    BERN,
    'Let me see.\n',
  ],
  'two of them': [
    '<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>\n<tool_call>{"name": "add", "arguments": {"a": 1, "b": [2]}}</tool_call>',
    BOTH,
    '',
  ],
  'cut before its end': ['<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}', BERN, ''],
  'Qwen 3 Coder': [
    '<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n[2]\n</parameter>\n</function>\n</tool_call>',
    [BOTH[1]],
    '',
  ],
  'GLM 4.5': ['<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n</tool_call>', BERN, ''],
  'Mistral, a list': [
    '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Bern"}}, {"name": "add", "arguments": {"a": 1, "b": [2]}}]',
    BOTH,
    '',
  ],
  'Mistral, by name': [
    '[TOOL_CALLS]weather[ARGS]{"city": "Bern"}[TOOL_CALLS]add[CALL_ID]a1b2[ARGS]{"a": 1, "b": [2]}',
    BOTH,
    '',
  ],
  'Mistral, by name alone': ['[TOOL_CALLS]weather{"city": "Bern"}[TOOL_CALLS]add{"a": 1, "b": [2]}', BOTH, ''],
  'Mistral, prose behind the mark': ['[TOOL_CALLS]weather is fine', [], '[TOOL_CALLS]weather is fine'],
  'Granite 3, Phi 4 mini': [
    '<|tool_call|>[{"name": "weather", "arguments": {"city": "Bern"}}]<|/tool_call|>',
    BERN,
    '',
  ],
  'Llama 3, bare': ['{"name": "weather", "parameters": {"city": "Bern"}}', BERN, ''],
  'Llama 3, two bare': [
    '{"name": "weather", "parameters": {"city": "Bern"}}; {"name": "add", "parameters": {"a": 1, "b": [2]}}',
    BOTH,
    '',
  ],
  'Llama 3, after its tag': [
    '<|python_tag|>{"type": "function", "name": "weather", "parameters": {"city": "Bern"}}',
    BERN,
    '',
  ],
  'Llama 3, by name': ['<function=weather>{"city": "Bern"}</function>', BERN, ''],
  'DeepSeek R1': [
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"city": "Bern"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    BERN,
    '',
  ],
  'a distilled DeepSeek R1': [
    '<｜tool_calls_begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"city": "Bern"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    BERN,
    '',
  ],
  'a distilled DeepSeek R1, without the begin of a call': [
    '<｜tool\\_calls\\_begin｜>function<｜tool▁sep｜>weather\n```json\n{"city": "Bern"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    BERN,
    '',
  ],
  'DeepSeek 3.1': [
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{"city": "Bern"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    BERN,
    '',
  ],
  'gpt-oss': ['<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Bern"}', BERN, ''],
  'Kimi K2': [
    'So.<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{"city": "Bern"}<|tool_call_end|><|tool_call_begin|>functions.add:1<|tool_call_argument_begin|>{"a": 1, "b": [2]}<|tool_call_end|><|tool_calls_section_end|>',
    BOTH,
    'So.',
  ],
  'gpt-oss, whose recipient stands before the channel': [
    '<|start|>assistant to=functions.weather<|channel|>commentary json<|message|>{"city": "Bern"}<|call|>',
    BERN,
    '',
  ],
  'gpt-oss, whose prompt begins the message': [
    ' to=functions.weather<|channel|>commentary <|constrain|>json<|message|>{"city": "Bern"}<|call|>',
    BERN,
    '',
  ],
  LFM2: ['<|tool_call_start|>[weather(city="Bern"), add(a=1, b=[2])]<|tool_call_end|>', BOTH, ''],
  'LFM2, as JSON': [
    '<|tool_call_start|>[{"name": "weather", "arguments": {"city": "Bern"}}]<|tool_call_end|>',
    BERN,
    '',
  ],
  'OLMo 3': ['<function_calls>\nweather(city="Bern")\nadd(a=1, b=[2])\n</function_calls>', BOTH, ''],
  'Llama 4': ["[weather(city='Bern'), add(a=1, b=[2])]", BOTH, ''],
  xLAM: [
    '[{"name": "weather", "arguments": {"city": "Bern"}}, {"name": "add", "arguments": {"a": 1, "b": [2]}}]',
    BOTH,
    '',
  ],
  'Command R7B': [
    '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "weather", "parameters": {"city": "Bern"}}\n]<|END_ACTION|>',
    BERN,
    '',
  ],
  'Nemotron Nano': ['<TOOLCALL>[{"name": "weather", "arguments": {"city": "Bern"}}]</TOOLCALL>', BERN, ''],
  Jamba: ['<tool_calls>[\n{"name": "weather", "arguments": {"city": "Bern"}}\n]</tool_calls>', BERN, ''],
  Firefunction: [' functools[{"name": "weather", "arguments": {"city": "Bern"}}]', BERN, ''],
  InternLM: [
    '<|action_start|><|plugin|>\n{"name": "weather", "parameters": {"city": "Bern"}}<|action_end|>\n',
    BERN,
    '',
  ],
  Apertus: ['<|tools_prefix|>[{"weather": {"city": "Bern"}}, {"add": {"a": 1, "b": [2]}}]<|tools_suffix|>', BOTH, ''],
  'MiniMax M2': [
    '<minimax:tool_call>\n<invoke name="weather">\n<parameter name="city">Bern</parameter>\n</invoke>\n<invoke name="add">\n<parameter name="a">1</parameter>\n<parameter name="b">[2]</parameter>\n</invoke>\n</minimax:tool_call>',
    BOTH,
    '',
  ],
  'Seed-OSS': [
    '<seed:tool_call>\n<function=weather>\n<parameter=city>Bern</parameter>\n</function>\n</seed:tool_call>',
    BERN,
    '',
  ],
  'DeepSeek V3.2': [
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="weather">\n<｜DSML｜parameter name="city" string="true">Bern</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
    BERN,
    '',
  ],
  'Qwen 3 Coder, without the tag around': [
    'Now.\n<function=weather>\n<parameter=city>\nBern\n</parameter>\n</function>',
    BERN,
    'Now.\n',
  ],
  'GLM 4.5, no arguments': ['<tool_call>weather</tool_call>', [['weather', {}]], ''],
  'prose in a tag': ['<tool_call>sorry</tool_call>', [], '<tool_call>sorry</tool_call>'],
  'nested as OpenAI has it': [
    '<tool_call>{"type": "function", "function": {"name": "weather", "arguments": "{\\"city\\": \\"Bern\\"}"}}</tool_call>',
    BERN,
    '',
  ],
  'text on both sides': [
    'First.\n\n<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>\n\nThen.',
    BERN,
    'First.\n\n\n\nThen.',
  ],
  'a call behind one that does not parse': [
    '<tool_call>{"name": <tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>',
    BERN,
    '<tool_call>{"name": ',
  ],
  'cut within a string': [
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Be',
    [],
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Be',
  ],
  'cut behind an argument': [
    '<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n',
    [],
    '<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n',
  ],
  'Qwen 3 Coder, without the first tag around': [
    '<function=weather>\n<parameter=city>\nBern\n</parameter>\n</function>\n</tool_call>\n',
    BERN,
    '',
  ],
  'Qwen 2.5 Coder, in another tag': ['<tools>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tools>', BERN, ''],
  'Llama 3, a tool of its own': ['<|python_tag|>weather.call(city="Bern")', BERN, ''],
  'Llama 3, code': ['<|python_tag|>print("hi")', [], '<|python_tag|>print("hi")'],
  'Llama 4, between its tags': ['<|python_start|>[weather(city="Bern")]<|python_end|>', BERN, ''],
  'an argument that is not closed, and text behind': [
    '<tool_call>\n<function=weather>\n<parameter=city>\nBern\n</function>\n</tool_call>\nSo.',
    BERN,
    '\nSo.',
  ],
  'an argument that is not closed, and a call behind': [
    '<tool_call>\n<function=weather>\n<parameter=city>\nBern\n</function>\n</tool_call>\n<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n[2]\n</parameter>\n</function>\n</tool_call>',
    BOTH,
    '',
  ],
  'a block of code': ['```json\n{"name": "weather", "arguments": {"city": "Bern"}}\n```', BERN, ''],
  'Gemma 3, a block of code as it was taught': ['```tool_code\nweather(city="Bern")\n```', BERN, ''],
  'a block of code in no language': ['```\n{"name": "weather", "parameters": {"city": "Bern"}}\n```', BERN, ''],
  'a block of Python that is no call': ['```python\nprint("hi")\n```', [], '```python\nprint("hi")\n```'],
  'two of them, of which the first has no end': [
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": [2]}}\n</tool_call>',
    BOTH,
    '',
  ],
  'Qwen 2.5, with the begin at the end too': [
    '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n<tool_call>',
    BERN,
    '',
  ],
  'Granite 20B, two without an end': [
    '<function_call> {"name": "weather", "arguments": {"city": "Bern"}} <function_call> {"name": "add", "arguments": {"a": 1, "b": [2]}}',
    BOTH,
    '',
  ],
  'LFM2, with commas at the end as Python may have them': [
    '<|tool_call_start|>[weather(city="Bern",),]<|tool_call_end|>',
    BERN,
    '',
  ],
  FunctionGemma: [
    '<start_function_call>call:weather{city:<escape>Bern<escape>}<end_function_call><start_function_call>call:add{a:1,b:[2]}<end_function_call>',
    BOTH,
    '',
  ],
  'FunctionGemma, with JSON': ['So.<start_function_call>call:weather{"city": "Bern"}<end_function_call>', BERN, 'So.'],
  'Gemma 4': [
    '<|tool_call>call:add{a:<|"|>x, {y} "<|"|>,b:{k:[true,null,-1.5e3],<|"|>a b<|"|>:<|"|>\n<|"|>}}<tool_call|>',
    [['add', { a: 'x, {y} "', b: { k: [true, null, -1500], 'a b': '\n' } }]],
    '',
  ],
  'Gemma 4, cut': ['<|tool_call>call:add{a:<|"|>x', [], '<|tool_call>call:add{a:<|"|>x'],
  'a function that a tag names': ['<function name="weather">{"city": "Bern"}</function>', BERN, ''],
  'a tag of JSON': ['So.\n<json>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</json>', BERN, 'So.\n'],
  'a tag of JSON that is no call': ['<json>{"name": "Anna"}</json>', [], '<json>{"name": "Anna"}</json>'],
  'a tag of a tool': ['<tool>{"name": "weather", "arguments": {"city": "Bern"}}</tool>', BERN, ''],
  'Llama 3, a known tool as code': ['<|python_tag|>weather(city="Bern")', BERN, ''],
  'Qwen 3 Coder, whose call is not closed within its section': [
    '<tool_call>\n<function=weather>\n<parameter=city>\nBern\n</parameter>\n</tool_call>\n<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n[2]\n</parameter>\n</tool_call>',
    BOTH,
    '',
  ],
  'a block of code that is no call': ['```json\n{"name": "Anna"}\n```', [], '```json\n{"name": "Anna"}\n```'],
  'arguments beside the name': [
    '<tool_call>{"name": "weather", "city": "Bern"}</tool_call>',
    [],
    '<tool_call>{"name": "weather", "city": "Bern"}</tool_call>',
  ],
  'white space alone': [' \n ', [], ' \n '],
  'no call': ['2 < 3, <tool and [TOOL are text', [], '2 < 3, <tool and [TOOL are text'],
  'JSON that is no call': ['{"name": "Anna", "age": 3}', [], '{"name": "Anna", "age": 3}'],
  'a call of nothing that there is': ['{"name": "fly", "parameters": {}}', [], '{"name": "fly", "parameters": {}}'],
  'a call that does not parse': [
    '<tool_call>{"name": </tool_call> sorry',
    [],
    '<tool_call>{"name": </tool_call> sorry',
  ],
  'no arguments': ['<tool_call>{"name": "weather"}</tool_call>', [['weather', {}]], ''],
};

for (const [name, [answer, calls, text]] of Object.entries(cases)) {
  test(name, () => {
    assert.deepEqual(parse([answer]), { text, calls });
    assert.deepEqual(parse([...answer]), { text, calls }, 'a character at a time');
    for (let cut = 1; cut < answer.length; cut += 1) {
      assert.deepEqual(parse([answer.slice(0, cut), answer.slice(cut)]), { text, calls }, `cut at ${cut}`);
    }
  });
}

test('text that cannot become a call is given at once', () => {
  const parser = new ToolParser(TOOLS);
  assert.deepEqual(parser.push('So '), [{ type: 'text', text: 'So ' }]);
  assert.deepEqual(parser.push('Hello <'), [{ type: 'text', text: 'Hello ' }]);
  assert.deepEqual(parser.push('b>'), [{ type: 'text', text: '<b>' }]);
  const json = new ToolParser(TOOLS);
  assert.deepEqual(json.push('{"na'), []);
  assert.deepEqual(json.push('tion"'), [{ type: 'text', text: '{"nation"' }]);
  const person = new ToolParser(TOOLS);
  assert.deepEqual(person.push('{"name": "Anna", "age"'), [{ type: 'text', text: '{"name": "Anna", "age"' }]);
});

test('llama.cpp#14101: white space beside calls is no text', () => {
  const call = '<tool_call>{"name": "add"}</tool_call>';
  assert.equal(parse([`\n${call}\n\n${call}\n`]).text, '');
  assert.equal(parse([...`\n a \n${call}\n b`]).text, '\n a \n\n b');
});

test('an answer with a format is never a call', () => {
  const json = '{"name": "weather", "parameters": {"city": "Bern"}}';
  const texts = [
    json,
    '{"a": "<function=add></function> <tool_call>add</tool_call>"}',
    ' \n[1]',
    ' ',
    '<',
    '<tool_call>no',
  ];
  const partsOf = (pieces) => {
    const parser = new ToolParser(TOOLS, { mixed: false });
    return [...pieces.flatMap((piece) => parser.push(piece)), ...parser.end()];
  };
  for (const text of texts) {
    for (const pieces of [[text], [...text]]) {
      const parts = partsOf(pieces);
      assert.ok(parts.every(({ type }) => type === 'text'));
      assert.equal(parts.map((part) => part.text).join(''), text);
    }
  }
  const calls = `\n<tool_call>${json}</tool_call>\n<tool_call>${json}</tool_call>`;
  assert.deepEqual(
    partsOf([...calls]).map(({ name }) => name),
    ['weather', 'weather'],
  );
});

test('sglang#9696: there are no more calls than allowed', () => {
  const call = '<tool_call>{"name": "add"}</tool_call>';
  const parser = new ToolParser(TOOLS, { most: 1 });
  const parts = [...`${call}\n${call} and so on`].flatMap((c) => parser.push(c));
  assert.deepEqual([parts.length, parser.done, parser.end()], [1, true, []]);
});

/** A reproducible generator of numbers. */
function random(seed) {
  return () => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
}

test('no text is lost or altered, however it is cut', () => {
  const next = random(7);
  const answers = Object.values(cases).map(([answer]) => answer);
  for (let i = 0; i < 300; i += 1) {
    // calls that are cut off, joined and damaged
    const pick = () => answers[Math.floor(next() * answers.length)];
    let text = pick() + pick();
    const [from, length] = [Math.floor(next() * text.length), Math.floor(next() * 4)];
    text = text.slice(0, from) + text.slice(from + length);
    if (next() < 0.3) text = text.slice(0, Math.floor(next() * text.length));
    const pieces = [];
    for (let at = 0; at < text.length;) {
      const size = 1 + Math.floor(next() * 9);
      pieces.push(text.slice(at, at + size));
      at += size;
    }
    const whole = parse([text]);
    assert.deepEqual(parse(pieces), whole, text);
    if (whole.calls.length === 0) assert.equal(whole.text, text);
  }
});

test('a long argument in small pieces takes linear time', () => {
  const parser = new ToolParser(TOOLS);
  const text = 'x'.repeat(200_000);
  let parts = parser.push('<tool_call>{"name": "add", "arguments": {"a": "');
  for (let at = 0; at < text.length; at += 4) parts = parser.push(text.slice(at, at + 4));
  parts = parser.push('"}}</tool_call>');
  assert.equal(JSON.parse(parts[0].arguments).a, text);
  // nesting is only limited by memory
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  const [call] = new ToolParser(TOOLS).push(`<tool_call>{"name": "add", "arguments": {"a": ${deep}}}</tool_call>`);
  assert.equal(call.arguments, `{"a": ${deep}}`);
});
