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

test('text that cannot become a call does not wait', () => {
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

/** The calls in `text`, for tools with these argument properties. */
function callsOf(text, properties, more = {}) {
  const tool = { type: 'function', function: { name: 'put', parameters: { type: 'object', properties, ...more } } };
  const parser = new ToolParser([tool]);
  const parts = [...[...text].flatMap((c) => parser.push(c)), ...parser.end()];
  const whole = new ToolParser([tool]);
  const calls = (parts) => parts.filter(({ type }) => type === 'call');
  assert.deepEqual(calls([...whole.push(text), ...whole.end()]), calls(parts));
  return parts.map((part) => (part.type === 'call' ? part.arguments : part));
}

const xml = (args) =>
  `<tool_call>\n<function=put>\n${args.map(([key, value]) => `<parameter=${key}>\n${value}\n</parameter>\n`).join('')}</function>\n</tool_call>`;
const glm = (args) =>
  `<tool_call>put\n${args.map(([key, value]) => `<arg_key>${key}</arg_key>\n<arg_value>${value}</arg_value>\n`).join('')}</tool_call>`;
const seed = (args) =>
  `<seed:tool_call>\n<function=put>\n${args.map(([key, value]) => `<parameter=${key}>${value}</parameter>\n`).join('')}</function>\n</seed:tool_call>`;
const minimax = (args) =>
  `<minimax:tool_call>\n<invoke name="put">\n${args.map(([key, value]) => `<parameter name="${key}">${value}</parameter>\n`).join('')}</invoke>\n</minimax:tool_call>`;
const tagged = { xml, glm, seed, minimax };

const STRING = { type: 'string' };

for (const [form, write] of Object.entries(tagged)) {
  test(`QwenPaw#6839, llama.cpp#24644: the schema says what an argument is (${form})`, () => {
    const $defs = { code: { type: 'string' } };
    const typed = [
      [STRING, '12345', '"12345"'],
      [STRING, 'true', '"true"'],
      [STRING, 'null', '"null"'],
      [STRING, '1e3', '"1e3"'],
      [STRING, '{"a":1}', '"{\\"a\\":1}"'],
      [STRING, '"quoted"', '"\\"quoted\\""'],
      [STRING, '', '""'],
      [{ type: 'integer' }, '2512292042121000001', '2512292042121000001'],
      [{ type: 'number' }, '1.0', '1.0'],
      [{ type: 'number' }, '1e400', '1e400'],
      [{ type: 'boolean' }, 'True', 'true'],
      [{ type: 'null' }, 'None', 'null'],
      [{ type: 'boolean' }, 'TRUE', 'true'],
      [{ type: 'object' }, "{'a': True, 'b': [None, 'it\\'s']}", '{"a": true, "b": [null, "it\'s"]}'],
      [{ type: 'array' }, "['a', 1.50,]", '["a", 1.50]'],
      [{ type: 'array' }, "['a'] and", '"[\'a\'] and"'],
      [STRING, "['a']", '"[\'a\']"'],
      [{ type: 'array' }, '[1, "a"]', '[1, "a"]'],
      [{ type: 'object' }, '{"2": 1, "1": 1.50}', '{"2": 1, "1": 1.50}'],
      [{ type: ['string', 'null'] }, 'null', 'null'],
      [{ type: ['string', 'null'] }, '12', '"12"'],
      [{ anyOf: [{ type: 'string' }, { type: 'integer' }] }, '12', '12'],
      [{ anyOf: [{ type: 'string' }, { type: 'integer' }] }, '1.5', '"1.5"'],
      [{ oneOf: [{ type: 'boolean' }, { const: 'maybe' }] }, 'maybe', '"maybe"'],
      [{ type: 'string', nullable: true }, 'null', 'null'],
      [{ enum: ['1', '2'] }, '1', '"1"'],
      [{ enum: [1, 2] }, '1', '1'],
      [{ enum: ['auto', 1] }, '1', '1'],
      [{ const: 'true' }, 'true', '"true"'],
      [{ $ref: '#/$defs/code' }, '007', '"007"'],
      [{ allOf: [{ $ref: '#/$defs/code' }, { maxLength: 9 }] }, '7', '"7"'],
      [{ type: 'integer' }, 'many', '"many"'],
    ];
    for (const [schema, text, json] of typed) {
      const read = callsOf(write([['x', text]]), { x: schema }, { $defs });
      assert.deepEqual(read, [`{"x": ${json}}`], `${JSON.stringify(schema)} ${text}`);
    }
    assert.deepEqual(callsOf(write([['x', '7']]), {}, { additionalProperties: STRING }), ['{"x": "7"}']);
    // unknown arguments: JSON that keeps its value
    const unknown = [
      ['12', '12'],
      ['2512292042121000001', '"2512292042121000001"'],
      ['1.0', '"1.0"'],
      ['{"a":1.0}', '{"a":1.0}'],
      ['Bern', '"Bern"'],
    ];
    for (const [text, json] of unknown) assert.deepEqual(callsOf(write([['x', text]]), {}), [`{"x": ${json}}`]);
  });

  test(`Rapid-MLX#1515: an argument ends where the form goes on, not at the first tag (${form})`, () => {
    const values = [
      'ends </tool_call> here',
      'a </parameter> b',
      'a </arg_value> b',
      'a </function> b </invoke> c',
      'a </function>\n</tool_call> b',
      'a </invoke></minimax:tool_call> b </seed:tool_call>',
      '<parameter=y>',
      'x </parameter>\n</functions>',
      '<tool_call>{"name": "put", "arguments": {}}',
      '</parameter',
      'é 👍 \u2028 "quoted" \\n',
    ];
    for (const value of values) {
      const read = callsOf(
        write([
          ['x', value],
          ['z', 'a'],
        ]),
        { x: STRING, z: STRING },
        { additionalProperties: false },
      );
      assert.deepEqual(
        read.map((json) => JSON.parse(json)),
        [{ x: value, z: 'a' }],
        value,
      );
    }
  });

  test(`tags within the strings of a list or an object are text (${form})`, () => {
    const list = ['</parameter></function></tool_call>', '</arg_value></tool_call>', '</parameter></invoke>'];
    for (const value of [list, { a: list.join('') }]) {
      for (const schema of [{ type: Array.isArray(value) ? 'array' : 'object' }, undefined]) {
        const [read] = callsOf(write([['x', JSON.stringify(value)]]), schema ? { x: schema } : {});
        assert.deepEqual(JSON.parse(read), { x: value });
      }
    }
  });

  test(`keys keep their order and their own text (${form})`, () => {
    const read = callsOf(
      write([
        ['2', 'b'],
        ['1', 'a'],
        ['__proto__', 'c'],
      ]),
      {},
    );
    assert.deepEqual(read, ['{"2": "b", "1": "a", "__proto__": "c"}']);
  });
}

test('llama.cpp#24807: a last argument that is not closed', () => {
  const open = '<tool_call>\n<function=put>\n<parameter=path>\na\n</parameter>\n<parameter=text>\nb </function> c\n';
  for (const end of ['</function>\n</tool_call>', '</function></tool_call>\n<tool_call>']) {
    const [read] = callsOf(open + end, { path: STRING, text: STRING });
    assert.deepEqual(JSON.parse(read), { path: 'a', text: 'b </function> c' });
  }
  const [read] = callsOf('<tool_call>put\n<arg_key>text</arg_key>\n<arg_value>a </tool_call> b</tool_call>', {});
  assert.deepEqual(JSON.parse(read), { text: 'a </tool_call> b' });
});

test('an argument that is not closed before the next one', () => {
  const forms = [
    '<tool_call>\n<function=put>\n<parameter=path>\na\n<parameter=text>\nb\n</parameter>\n</function>\n</tool_call>',
    '<tool_call>\n<function=put>\n<parameter=path>\na\n<parameter=text>\nb\n</function>\n</tool_call>',
    '<function=put><parameter=path>a<parameter=text>b</parameter></function>',
    '<minimax:tool_call>\n<invoke name="put">\n<parameter name="path">a<parameter name="text">b</parameter>\n</invoke>\n</minimax:tool_call>',
    '<tool_call>put\n<arg_key>path</arg_key>\n<arg_value>a\n<arg_key>text</arg_key>\n<arg_value>b</arg_value>\n</tool_call>',
  ];
  for (const answer of forms) {
    const read = JSON.parse(callsOf(answer, { path: STRING, text: STRING })[0]);
    assert.deepEqual({ path: read.path.trim(), text: read.text }, { path: 'a', text: 'b' }, answer);
  }
  // text about the form
  for (const path of ['<parameter=text>\nb\n</parameter>', '<parameter=other>\nb', '<parameter=path>']) {
    const [read] = callsOf(
      xml([
        ['path', path],
        ['text', 'c'],
      ]),
      { path: STRING, text: STRING },
    );
    assert.deepEqual(JSON.parse(read), { path, text: 'c' });
  }
});

test('a tag of another argument in a value that is closed is text', () => {
  const list = { type: 'array', items: STRING };
  const values = [
    [STRING, 'see <parameter=text> there'],
    [STRING, '\n<parameter=text>'],
    [STRING, '<arg_key>text</arg_key>\n<arg_value> and <parameter name="text">'],
    [list, ['<parameter=text>', '<arg_key>text</arg_key><arg_value>', '<parameter name="text">']],
  ];
  for (const [form, write] of Object.entries(tagged)) {
    for (const [path, value] of values) {
      const written = typeof value === 'string' ? value : JSON.stringify(value);
      const answer = write([
        ['path', written],
        ['text', 'b'],
      ]);
      const [read] = callsOf(answer, { path, text: STRING });
      assert.deepEqual(JSON.parse(read), { path: value, text: 'b' }, form);
    }
    const [alone] = callsOf(write([['path', JSON.stringify(values[3][1])]]), { path: list, text: STRING });
    assert.deepEqual(JSON.parse(alone), { path: values[3][1] }, form);
  }
  const [read] = callsOf(xml([['path', 'see <parameter=text> there']]), { path: STRING, text: STRING });
  assert.deepEqual(JSON.parse(read), { path: 'see <parameter=text> there' });
});

test('a list that is not closed before the next argument', () => {
  const answer =
    '<function=put>\n<parameter=path>\n["<parameter=text>"]\n<parameter=text>\nb\n</parameter>\n</function>';
  const [read] = callsOf(answer, { path: { type: 'array' }, text: STRING });
  assert.deepEqual(JSON.parse(read), { path: ['<parameter=text>'], text: 'b' });
});

test('a newline on either side of an argument is the form’s, others are its own', () => {
  for (const value of ['', '\n', '\na\n\n', ' a ', '\r\na']) {
    const [read] = callsOf(xml([['x', value]]), { x: STRING });
    assert.deepEqual(JSON.parse(read), { x: value });
  }
  assert.deepEqual(JSON.parse(callsOf(seed([['x', '\na\n']]), { x: STRING })[0]), { x: '\na\n' });
  const tight = '<tool_call><function=put><parameter=x>a</parameter></function></tool_call>';
  assert.deepEqual(JSON.parse(callsOf(tight, { x: STRING })[0]), { x: 'a' });
});

test('vllm#45167, ollama#12017: marks within a JSON string are text', () => {
  const value =
    'say </tool_call> <tool_call> [TOOL_CALLS] };{ } \\" ``` <｜tool▁call▁end｜> <|call|> <|tool_call_end|> ) ] now';
  const json = JSON.stringify({ c: value });
  const object = `{"name": "put", "arguments": ${json}}`;
  const spelled = [
    `<tool_call>\n${object}\n</tool_call>`,
    `[TOOL_CALLS][${object}]`,
    `[TOOL_CALLS]put[ARGS]${json}`,
    `<|tool_call|>[${object}]<|/tool_call|>`,
    object,
    `<function=put>${json}</function>`,
    `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>put\n\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
    `<|channel|>commentary to=functions.put <|constrain|>json<|message|>${json}<|call|>`,
    `<|tool_call_start|>[put(c=${JSON.stringify(value)})]<|tool_call_end|>`,
  ];
  for (const text of spelled)
    assert.deepEqual(
      callsOf(text, {}).map((read) => JSON.parse(read)),
      [{ c: value }],
      text,
    );
  const two = '{"name": "put", "parameters": {"c": "f(){};{g}"}}; {"name": "put", "parameters": {}}';
  assert.deepEqual(callsOf(two, {}), ['{"c": "f(){};{g}"}', '{}']);
});

test('pi#8943: arguments are the model’s own JSON', () => {
  for (const json of ['{"id": 2512292042121000001}', '{"b":1.0,"2":1e400,"1":-0,"b":"\\u00e9\\/"}', '{ "a" : [ ] }']) {
    assert.deepEqual(callsOf(`<tool_call>{"name": "put", "arguments": ${json}}</tool_call>`, {}), [json]);
  }
});

test('literals of Python become JSON', () => {
  const text = `[put(a='it\\'s', b="x\\n\\u00e9\\x41", c=True, d=None, e={'k': [1, 2.50, -3e4]}, f=(1,), g=12345678901234567890)]`;
  const json = `{"a": "it's", "b": "x\\néA", "c": true, "d": null, "e": {"k": [1, 2.50, -3e4]}, "f": [1], "g": 12345678901234567890}`;
  assert.deepEqual(callsOf(`<|tool_call_start|>${text}<|tool_call_end|>`, {}), [json]);
  assert.deepEqual(callsOf(text, {}), [json]);
  assert.ok(callsOf('[put(1)]', {}).every(({ type }) => type === 'text'));
});

test('llama.cpp#14101: white space beside calls is no text', () => {
  const call = '<tool_call>{"name": "add"}</tool_call>';
  assert.equal(parse([`\n${call}\n\n${call}\n`]).text, '');
  assert.equal(parse([...`\n a \n${call}\n b`]).text, '\n a \n\n b');
});

test('an answer that fits a format is no call, whatever is in it', () => {
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

test('sglang#9696: no more calls than there may be', () => {
  const call = '<tool_call>{"name": "add"}</tool_call>';
  const parser = new ToolParser(TOOLS, { most: 1 });
  const parts = [...`${call}\n${call} and so on`].flatMap((c) => parser.push(c));
  assert.deepEqual([parts.length, parser.done, parser.end()], [1, true, []]);
});

/** A reproducible generator of numbers. */
function random(seed) {
  return () => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
}

test('nothing that a model says is lost or altered, however it comes', () => {
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

test('a long argument that comes a few characters at a time takes no time', () => {
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
