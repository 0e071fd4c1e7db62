// Schemas that zod, Valibot, TypeBox, ArkType, OpenAI's library and pydantic write, with the built
// module: values that fit can be written, and what can be written fits.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { asSchema } from 'ai';
import * as z from 'zod';
import { jsonSchemaOf } from '../dist/common/json-schema.js';
import { draw, follow, startGrammars } from './support/grammar.mjs';
import { libraries, zodCases } from './support/schemas.mjs';

let grammars;

before(async () => {
  grammars = await startGrammars();
});

/** JSON as constraints write it: one space after colons and commas. */
const written = (value) => {
  if (Array.isArray(value)) return `[${value.map(written).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, member]) => `${JSON.stringify(key)}: ${written(member)}`)
    .join(', ')}}`;
};

/** Values that few schemas accept. */
const ODD = [null, true, -1.5, 'zz', [1], { a: 1, zzz: null }];

/** Reproducible numbers in [0, 1). */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const cases = [...libraries()];

test('the corpus has more than 200 schemas', () => {
  assert.ok(cases.length > 200, String(cases.length));
  assert.ok(cases.filter(({ library }) => library === 'OpenAI').length > 100);
});

for (const library of new Set(cases.map(({ library }) => library))) {
  test(`vercel/ai#9601, llama.cpp#26939: schemas of ${library}`, async (t) => {
    for (const { name, schema, judge, right, wrong } of cases.filter((other) => other.library === library)) {
      await t.test(name, async () => {
        const constraint = JSON.stringify({ jsonSchema: jsonSchemaOf('schema', await schema()) });
        const fits = (value) => follow(grammars, constraint, written(value), []).whole;
        for (const value of right) {
          assert.ok(judge(value), `the library takes ${written(value)}`);
          assert.ok(fits(value), `${written(value)} fits ${constraint}`);
        }
        for (const value of wrong) {
          assert.ok(!judge(value), `the library does not take ${written(value)}`);
          assert.ok(!fits(value), `${written(value)} does not fit ${constraint}`);
        }
        for (const value of ODD.filter((odd) => !judge(odd))) {
          assert.ok(!fits(value), `${written(value)} does not fit ${constraint}`);
        }
        const text = draw(grammars, constraint, random(1), ['a'], ['"', ']', '}'], 200);
        if (text !== null) assert.ok(judge(JSON.parse(text)), `${text} was written for ${constraint}`);
      });
    }
  });
}

// Cases in which parsing changes the value, or the conversion loses zod's meaning.
const OTHER_WAYS = /^(codec|transform|prefault|catch|default|preprocess|a whole order|recursive.*|tuple with rest)$/;

test('values of a zod schema can be written, through the AI SDK and in older drafts', async (t) => {
  const ways = {
    'the AI SDK': (schema) => asSchema(schema).jsonSchema,
    'draft 4': (schema) => z.toJSONSchema(schema, { io: 'input', target: 'draft-4' }),
    'draft 7': (schema) => z.toJSONSchema(schema, { io: 'input', target: 'draft-7' }),
    OpenAPI: (schema) => z.toJSONSchema(schema, { io: 'input', target: 'openapi-3.0' }),
  };
  for (const [way, schemaOf] of Object.entries(ways)) {
    await t.test(way, async () => {
      for (const { name, schema, right } of zodCases.filter((other) => !OTHER_WAYS.test(other.name))) {
        const constraint = JSON.stringify({ jsonSchema: await schemaOf(schema) });
        const [value] = right;
        assert.ok(
          follow(grammars, constraint, written(value), []).whole,
          `${name}: ${written(value)} fits ${constraint}`,
        );
      }
    });
  }
});
