// The reader of each format reads everything that its grammar allows, for random schemas and
// values.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Validator } from '@cfworker/json-schema';
import { ToolParser } from '../dist/tools/parser.js';
import { FORMS, KEPT_TOKENS } from '../dist/tools/forms.js';
import { answerConstraint } from '../dist/tools/grammar.js';
import { draw, follow, modelWith, random, startGrammars } from './support/grammar.mjs';

let grammars;

before(async () => {
  grammars = await startGrammars();
});

/** Texts that mean something in a format. */
const WANTED = [
  ...new Set(FORMS.flatMap(({ marks, tokens }) => [...marks, ...tokens])),
  ...[
    '</parameter>',
    '</function>',
    '</invoke>',
    '<parameter=b>',
    '</arg_value>\n</tool_call>',
    '};{',
    '"}',
    '\\u00e9',
    '\n\n',
  ],
  ...['\n</parameter>', '</parameter>\n</function>\n</tool_call>', '```', 'null', 'true', '12', '[1]', "'", ' é👍'],
];

const CLOSERS = ['\n</parameter>\n', '</parameter>\n', '</arg_value>\n', '</｜DSML｜parameter>\n'];

/** Rounds for each format. More rounds find more. */
const ROUNDS = 4;

const pick = (next, from) => from[Math.floor(next() * from.length)];
const text = (next) =>
  Array.from({ length: Math.floor(next() * 4) }, () => pick(next, [...WANTED, 'a', ' b ', '\n'])).join('');

/** A random schema and a value that fits it. */
function randomSchema(next, depth, plain) {
  const kinds = ['string', 'string', 'string', 'integer', 'number', 'boolean', 'null', 'union', 'enum'];
  // kinds that a format without quotes writes as JSON
  if (!plain) kinds.push('any', 'ref', 'pattern', 'union of more');
  if (depth < 2) kinds.push('object', 'array');
  switch (pick(next, kinds)) {
    case 'string':
      return [{ type: 'string' }, text(next)];
    case 'integer':
      return [{ type: 'integer' }, Math.floor(next() * 1000)];
    case 'number':
      return [{ type: 'number' }, pick(next, [0.5, -1.25, 3])];
    case 'boolean':
      return [{ type: 'boolean' }, next() < 0.5];
    case 'null':
      return [{ type: 'null' }, null];
    case 'union': {
      const schema = pick(next, [{ type: ['string', 'null'] }, { anyOf: [{ type: 'integer' }, { type: 'string' }] }]);
      return [schema, pick(next, ['xx', 'other'])];
    }
    case 'union of more':
      return [{ anyOf: [{ type: 'string', minLength: 2 }, { type: 'boolean' }] }, 'xx'];
    case 'enum': {
      const values = [text(next), 'x </tool_call> y', pick(next, [1, null, true, '1', 'null'])];
      return [{ enum: values }, pick(next, values)];
    }
    case 'any':
      return [{}, pick(next, ['some text', [1], { a: null }])];
    case 'ref':
      return [{ $ref: '#/$defs/code' }, 'ab'];
    case 'pattern':
      return [{ type: 'string', pattern: '^[a-z]{2,4}$' }, 'abc'];
    case 'array': {
      const [items, value] = randomSchema(next, depth + 1, plain);
      return [{ type: 'array', items, maxItems: 3 }, [value]];
    }
    case 'object': {
      const [schema, value] = object(next, depth + 1, plain);
      return [schema, value];
    }
  }
}

function object(next, depth, plain) {
  const names = ['city', 'b', 'two words', 'größe', '2'].filter(() => next() < 0.5);
  const made = names.map((name) => [name, ...randomSchema(next, depth, plain)]);
  const required = names.filter(() => next() < 0.6);
  const given = made.filter(([name]) => required.includes(name) || next() < 0.5);
  return [
    {
      type: 'object',
      properties: Object.fromEntries(made.map(([name, schema]) => [name, schema])),
      required,
      additionalProperties: false,
    },
    // in the order of the schema, as grammars require
    Object.fromEntries(
      Object.keys(Object.fromEntries(made.map(([name]) => [name, 0]))).flatMap((name) => {
        const found = given.find(([other]) => other === name);
        return found ? [[name, found[2]]] : [];
      }),
    ),
  ];
}

const $defs = { code: { type: 'string', minLength: 1 } };

function toolOf(next, name) {
  const [parameters, value] = object(next, 0, next() < 0.8);
  return [{ type: 'function', function: { name, parameters: { ...parameters, $defs } } }, value];
}

/** Printed as in Python, as grammars require. */
function printed(value) {
  if (Array.isArray(value)) return `[${value.map(printed).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, part]) => `${JSON.stringify(key)}: ${printed(part)}`)
    .join(', ')}}`;
}

function callsOf(answer, tools) {
  const parser = new ToolParser(tools);
  return [...[...answer].flatMap((c) => parser.push(c)), ...parser.end()];
}

const isWritten = (value, answer) => typeof value !== 'string' || answer.includes(value) || answer.includes('(');

/** Checks that a call has arguments that fit. */
function check({ type, name, arguments: json }, tools, answer) {
  if (type !== 'call') return;
  const { parameters } = tools.find((tool) => tool.function.name === name).function;
  const { valid, errors } = new Validator(parameters, '2020-12').validate(JSON.parse(json));
  // the text of the model, as JSON or without quotes
  const own = answer.includes(json) || Object.values(JSON.parse(json)).every((value) => isWritten(value, answer));
  assert.ok(own, `${answer}\n${json}`);
  assert.ok(valid, `${answer}\n${json}\n${JSON.stringify(errors.at(-1))}`);
}

const written = FORMS.filter(({ has, written }) => has && written);
const SPECIAL = KEPT_TOKENS;

for (const [index, { has, written: spelling }] of written.entries()) {
  for (const special of [[], SPECIAL]) {
    const name = `${has.join(' ')}${special.length ? ', as special tokens' : ''}`;

    test(`the reader reads all that the grammar allows: ${name}`, () => {
      const next = random(index + 1);
      let drawn = 0;
      for (let i = 0; i < ROUNDS; i += 1) {
        const tools = [toolOf(next, 'put')[0], toolOf(next, 'get.all')[0]];
        const asked = { tools, choice: 'required', parallel: true, constraint: null };
        const constraint = answerConstraint(modelWith(special), has.join(' '), asked);
        const answer = draw(grammars, constraint, next, WANTED, CLOSERS);
        if (answer === null) continue;
        drawn += 1;
        const parts = callsOf(answer, tools);
        assert.ok(
          parts.length > 0 && parts.every(({ type }) => type === 'call'),
          `${answer}\n${JSON.stringify(parts)}`,
        );
        for (const part of parts) check(part, tools, answer);
      }
      assert.ok(drawn > 0, 'no answer had an end');
    });

    test(`the reader reads text with calls of strict tools: ${name}`, () => {
      const next = random(index + 200);
      const tools = [toolOf(next, 'put')[0], toolOf(next, 'get.all')[0]];
      const strict = tools.map((tool) => ({ ...tool, function: { ...tool.function, strict: true } }));
      const asked = { tools: strict, choice: 'auto', parallel: true, constraint: null };
      const constraint = answerConstraint(modelWith(special), has.join(' '), asked);
      for (let i = 0; i < ROUNDS / 2; i += 1) {
        const answer = draw(grammars, constraint, next, WANTED, CLOSERS, 300);
        for (const part of answer === null ? [] : callsOf(answer, tools)) check(part, tools, answer);
      }
    });

    test(`all that fits a schema can be written and read: ${name}`, () => {
      if (spelling.args !== 'json') return;
      const next = random(index + 100);
      for (let i = 0; i < ROUNDS; i += 1) {
        const [tool, value] = toolOf(next, 'put');
        const { begin, open, close, end } = spelling;
        const answer = `${begin}${open('put')}${printed(value)}${close}${end}`;
        const asked = { tools: [tool], choice: 'required', parallel: true, constraint: null };
        const constraint = answerConstraint(modelWith(special), has.join(' '), asked);
        // marks inside a string are text, not tokens
        const tokens = special.some((mark) => printed(value).includes(mark)) ? null : special;
        if (tokens) assert.ok(follow(grammars, constraint, answer, special).whole, answer);
        const [call, ...more] = callsOf(answer, [tool]);
        assert.deepEqual([call.name, JSON.parse(call.arguments), more], ['put', value, []]);
      }
    });
  }
}
