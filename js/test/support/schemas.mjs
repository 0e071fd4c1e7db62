// Schemas from libraries, with values that fit and values that do not. `judge` tells whether the
// library accepts a value.

import { readFileSync } from 'node:fs';
import { Validator } from '@cfworker/json-schema';
import { Value } from '@sinclair/typebox/value';
import { toJsonSchema } from '@valibot/to-json-schema';
import { zodResponseFormat } from 'openai/helpers/zod';
import * as v from 'valibot';
import * as z from 'zod';
import { arktype } from './schemas/arktype.mjs';
import { typebox } from './schemas/typebox.mjs';
import { valibot } from './schemas/valibot.mjs';
import { zod } from './schemas/zod.mjs';

/** Whether a library accepts a value; may throw if it cannot tell. */
const judging = (check) => (value) => {
  try {
    return check(value);
  } catch {
    return false;
  }
};

/**
 * `schema()`: passed to weft. `judge`: whether the library accepts a value. `right`: values that
 * fit. `wrong`: values that do not.
 */
export function* libraries() {
  const cases = (library, table, schemaOf, checkOf) =>
    Object.entries(table).map(([name, [schema, right, wrong]]) => ({
      ...{ library, name, right, wrong },
      schema: () => schemaOf(schema),
      judge: judging(checkOf(schema)),
    }));
  yield* cases(
    'zod',
    zod,
    (schema) => schema,
    (schema) => (value) => schema.safeParse(value).success,
  );
  const ofValibot = (schema) => toJsonSchema(schema, { errorMode: 'ignore' });
  yield* cases('Valibot', valibot, ofValibot, (schema) => (value) => v.safeParse(schema, value).success);
  // TypeBox checks a format only if one is registered
  const ofTypeBox = (schema) => (value) => (schema.format ? typeof value === 'string' : Value.Check(schema, value));
  yield* cases('TypeBox', typebox, (schema) => schema, ofTypeBox);
  yield* cases(
    'ArkType',
    arktype,
    (schema) => schema,
    (schema) => (value) => schema.allows(value),
  );
  yield* ofOpenAI();
  yield* ofPydantic();
}

/**
 * zod's schemas in OpenAI's strict mode, as the library `openai` writes them. The root is an
 * object, checks that the mode lacks are gone, and every property is required.
 */
function* ofOpenAI() {
  for (const [name, [schema, values]] of Object.entries(zod)) {
    const strict = strictSchema(z.object({ value: schema }));
    if (!strict) continue;
    const validator = new Validator(strict, '7');
    const judge = (value) => validator.validate(value).valid;
    const right = values.map((value) => ({ value })).filter(judge);
    yield { library: 'OpenAI', name, right, wrong: [{}], schema: () => strict, judge };
  }
}

/** Undefined if strict mode cannot express it. */
function strictSchema(schema) {
  try {
    return zodResponseFormat(schema, 'answer').json_schema.schema;
  } catch {
    return undefined;
  }
}

/** From pydantic_cases.py, with pydantic's verdict on each value. */
function* ofPydantic() {
  const { odd, cases } = JSON.parse(readFileSync(new URL('pydantic.json', import.meta.url), 'utf8'));
  for (const { name, schema, right, wrong, odd: takesOdd } of cases) {
    const told = new Map([
      ...odd.map((value, i) => [JSON.stringify(value), takesOdd[i]]),
      ...right.map((value) => [JSON.stringify(value), true]),
      ...wrong.map((value) => [JSON.stringify(value), false]),
    ]);
    const validator = new Validator(schema, '2020-12');
    const judge = (value) => told.get(JSON.stringify(value)) ?? validator.validate(value).valid;
    yield { library: 'pydantic', name, right, wrong, schema: () => schema, judge };
  }
}

/** Other ways in which zod's schemas reach weft. Checks that these lose are not tested. */
export const zodCases = Object.entries(zod).map(([name, [schema, right]]) => ({ name, schema, right }));
