// How each family of models writes a call, whole and cut at every character.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolParser } from '../dist/openai/tool-parser.js';

const TOOLS = ['weather', 'add'];

/** Texts joined, calls with their arguments as data. */
function parse(pieces) {
  const parser = new ToolParser(TOOLS);
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
    '\n',
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
  'DeepSeek 3.1': [
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{"city": "Bern"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    BERN,
    '',
  ],
  'gpt-oss': ['<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Bern"}', BERN, ''],
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
  assert.deepEqual(parser.push('Hello <'), [{ type: 'text', text: 'Hello ' }]);
  assert.deepEqual(parser.push('b>'), [{ type: 'text', text: '<b>' }]);
  const json = new ToolParser(TOOLS);
  assert.deepEqual(json.push('{"na'), []);
  assert.deepEqual(json.push('tion"'), [{ type: 'text', text: '{"nation"' }]);
});
