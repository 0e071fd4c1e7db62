// Schema objects of libraries, passed unchanged.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type } from 'arktype';
import * as v from 'valibot';
import * as z from 'zod';
import { jsonSchemaOf } from '../dist/common/json-schema.js';
import { FakeLlm, loadFake } from './support/fake.mjs';

test('a Standard JSON Schema is taken as given, closed unless it says otherwise', () => {
  const nested = z.object({ a: z.string().default('x'), b: z.object({ c: z.int() }).loose() });
  const schema = jsonSchemaOf('schema', nested);
  assert.equal(schema.additionalProperties, false);
  assert.deepEqual(schema.properties.b.additionalProperties, {});
  assert.deepEqual(schema.required, ['b']);
  const named = jsonSchemaOf('schema', z.object({ default: z.object({ a: z.null() }), properties: z.null() }));
  assert.equal(named.properties.default.additionalProperties, false);
  assert.equal(named.properties.additionalProperties, undefined);
  assert.equal(jsonSchemaOf('schema', type({ a: 'string' })).properties.a.type, 'string');
  const plain = { type: 'object', properties: { a: { const: { type: 'object', properties: {} } } } };
  assert.equal(jsonSchemaOf('schema', plain), plain);
  assert.equal(jsonSchemaOf('schema', true), true);
});

test('a schema that cannot convert itself is refused with the way to convert it', async (t) => {
  const { llm } = await loadFake(t, new FakeLlm());
  const old = { _def: { typeName: 'ZodObject' }, '~standard': { vendor: 'zod', version: 1, validate: () => ({}) } };
  const messages = [{ role: 'user', content: 'a' }];
  for (const [schema, message] of [
    [v.object({ a: v.string() }), /toJsonSchema\(schema\) of @valibot\/to-json-schema/],
    [old, /z\.toJSONSchema\(schema\)/],
    [() => ({}), /JSON Schema/],
    [z.object({ a: z.date() }), /[Dd]ate/],
    [z.object({ a: z.bigint() }), /[Bb]ig/],
    ['text', /JSON Schema/],
    [[], /JSON Schema/],
  ]) {
    const parameters = { type: 'function', function: { name: 'f', parameters: schema } };
    const format = { type: 'json_schema', json_schema: { name: 'a', schema } };
    const refused = { code: 'INVALID_OPTION', message };
    assert.throws(() => llm.generate('a', { constraint: { jsonSchema: schema } }), refused);
    assert.throws(() => llm.chat(messages, { tools: [parameters] }), refused);
    await assert.rejects(async () => llm.chat.completions.create({ messages, response_format: format }), refused);
    await assert.rejects(async () => llm.chat.completions.create({ messages, tools: [parameters] }), refused);
  }
});
