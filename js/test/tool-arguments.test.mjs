// Arguments of calls: their ends, their types, and text within them that looks like a format.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolParser } from '../dist/tools/parser.js';

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
  test(`QwenPaw#6839, llama.cpp#24644: an argument has the type of its schema (${form})`, () => {
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

  test(`Rapid-MLX#1515: an argument ends where the form continues, not at the first tag (${form})`, () => {
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

  test(`tags in strings of a list or object are text (${form})`, () => {
    const list = ['</parameter></function></tool_call>', '</arg_value></tool_call>', '</parameter></invoke>'];
    for (const value of [list, { a: list.join('') }]) {
      for (const schema of [{ type: Array.isArray(value) ? 'array' : 'object' }, undefined]) {
        const [read] = callsOf(write([['x', JSON.stringify(value)]]), schema ? { x: schema } : {});
        assert.deepEqual(JSON.parse(read), { x: value });
      }
    }
  });

  test(`keys keep their order and spelling (${form})`, () => {
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

test('llama.cpp#24807: an unclosed last argument is read', () => {
  const open = '<tool_call>\n<function=put>\n<parameter=path>\na\n</parameter>\n<parameter=text>\nb </function> c\n';
  for (const end of ['</function>\n</tool_call>', '</function></tool_call>\n<tool_call>']) {
    const [read] = callsOf(open + end, { path: STRING, text: STRING });
    assert.deepEqual(JSON.parse(read), { path: 'a', text: 'b </function> c' });
  }
  const [read] = callsOf('<tool_call>put\n<arg_key>text</arg_key>\n<arg_value>a </tool_call> b</tool_call>', {});
  assert.deepEqual(JSON.parse(read), { text: 'a </tool_call> b' });
});

test('an argument that is not closed before the next is read', () => {
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

test('a tag of another argument in a closed value is text', () => {
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

test('a list that is not closed before the next argument is read', () => {
  const answer =
    '<function=put>\n<parameter=path>\n["<parameter=text>"]\n<parameter=text>\nb\n</parameter>\n</function>';
  const [read] = callsOf(answer, { path: { type: 'array' }, text: STRING });
  assert.deepEqual(JSON.parse(read), { path: ['<parameter=text>'], text: 'b' });
});

test('one newline at each end belongs to the form, others to the argument', () => {
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

test('pi#8943: arguments keep the model’s JSON', () => {
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
