/** Converts schema objects of libraries (Standard JSON Schema) to JSON Schemas. */

import { invalidOption, WeftError } from './errors.js';

/** Standard Schema, with its newer part for JSON Schema. */
interface Standard {
  readonly vendor?: unknown;
  readonly jsonSchema?: { input?(options: { target: string }): unknown };
}

/** Remedies for libraries whose schemas do not convert themselves. */
const REMEDIES: Readonly<Record<string, string>> = {
  zod: 'z.toJSONSchema(schema), of zod 4',
  valibot: 'toJsonSchema(schema) of @valibot/to-json-schema',
  arktype: 'schema.toJsonSchema()',
  effect: 'JSONSchema.make(schema)',
};

/**
 * `name`: its name in the caller's API. Errors: `INVALID_OPTION` if it is not a JSON Schema and
 * cannot be converted to one.
 */
export function jsonSchemaOf(name: string, schema: unknown): object | boolean {
  if (typeof schema === 'boolean') return schema;
  const isObject =
    (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) || typeof schema === 'function';
  if (!isObject) throw invalidOption(name, 'a JSON Schema, which is an object or a boolean', schema);
  const standard = (schema as { '~standard'?: Standard })['~standard'];
  const own = schema as { toJSONSchema?: unknown; toJsonSchema?: unknown };
  const isLibrary = typeof schema === 'function' || typeof standard?.vendor === 'string' || '_def' in schema;
  if (!isLibrary) return schema;
  const vendor = typeof standard?.vendor === 'string' ? standard.vendor : '';
  try {
    const said =
      standard?.jsonSchema?.input?.({ target: 'draft-2020-12' }) ??
      (typeof own.toJSONSchema === 'function' ? (own.toJSONSchema({ io: 'input' }) as unknown) : undefined) ??
      (typeof own.toJsonSchema === 'function' ? (own.toJsonSchema() as unknown) : undefined);
    if (typeof said === 'boolean') return said;
    if (typeof said === 'object' && said !== null) return closed(said) as object;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new WeftError('INVALID_OPTION', `${name}: ${vendor || 'its library'} has no JSON Schema for it: ${reason}`, {
      cause: error,
    });
  }
  const remedy = REMEDIES[vendor] ?? 'the function of its library';
  throw invalidOption(name, `a JSON Schema: convert it by ${remedy}`, `a schema of ${vendor || 'a library'}`);
}

/** Keywords whose values are not schemas. */
const VALUES: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples']);

/** Keywords that hold schemas by name. */
const NAMED: ReadonlySet<string> = new Set(['properties', 'patternProperties', '$defs', 'definitions']);

/**
 * Forbids properties that a schema does not name: a library's parser would drop them, and a model
 * might write them without end. `byName`: an object that holds schemas by name.
 */
function closed(schema: unknown, byName = false): unknown {
  if (Array.isArray(schema)) return schema.map((part) => closed(part));
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).map(([key, value]): [string, unknown] => {
    if (byName) return [key, closed(value)];
    return [key, VALUES.has(key) ? value : closed(value, NAMED.has(key))];
  });
  const copy = Object.fromEntries(entries) as Record<string, unknown>;
  const says = copy['type'] === 'object' && typeof copy['properties'] === 'object';
  return says && !byName && !('additionalProperties' in copy) ? { ...copy, additionalProperties: false } : copy;
}
