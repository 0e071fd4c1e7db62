/**
 * Types of a tool's arguments according to its JSON Schema, for formats that write strings without
 * quotes.
 */

import { pythonJson } from './python.js';

export type Schema = Readonly<Record<string, unknown>> | boolean;

const TYPES = ['string', 'number', 'integer', 'boolean', 'null', 'object', 'array'] as const;
type Type = (typeof TYPES)[number];

/** The types and values that are allowed. */
interface Kinds {
  readonly types: ReadonlySet<Type>;
  /** All allowed values, if the schema lists them. */
  readonly values: readonly unknown[] | null;
}

const ANY: Kinds = { types: new Set(TYPES), values: null };

/** Longest chain of references; a longer one counts as circular. */
const MOST_REFERENCES = 32;

/** Follows `$ref` within the schema. An unresolved reference allows anything. */
export function resolve(root: Schema, schema: Schema): Schema {
  let found: unknown = schema;
  for (let i = 0; i < MOST_REFERENCES; i += 1) {
    const reference = isObject(found) ? found['$ref'] : undefined;
    if (typeof reference !== 'string') return isObject(found) || typeof found === 'boolean' ? found : true;
    found = lookUp(root, reference);
  }
  return true;
}

/** RFC 6901 */
function lookUp(root: Schema, reference: string): unknown {
  if (!reference.startsWith('#')) return true;
  let found: unknown = root;
  for (const step of reference.slice(1).split('/').slice(1)) {
    const name = decode(step).replaceAll('~1', '/').replaceAll('~0', '~');
    found = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[name] : undefined;
  }
  return found;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const listOf = (value: unknown): readonly Schema[] => (Array.isArray(value) ? (value as readonly Schema[]) : []);

/** The schema of the argument `key`; undefined if there is none. */
export function schemaOf(root: Schema, key: string, schema: Schema = root, depth = 0): Schema | undefined {
  const found = resolve(root, schema);
  if (!isObject(found) || depth > MOST_REFERENCES) return undefined;
  const { properties, patternProperties, additionalProperties: others } = found;
  if (isObject(properties) && Object.hasOwn(properties, key)) return properties[key] as Schema;
  for (const part of [...listOf(found['allOf']), ...listOf(found['anyOf']), ...listOf(found['oneOf'])]) {
    const of = schemaOf(root, key, part, depth + 1);
    if (of !== undefined) return of;
  }
  const pattern = isObject(patternProperties)
    ? Object.entries(patternProperties).find(([pattern]) => matches(pattern, key))
    : undefined;
  if (pattern) return pattern[1] as Schema;
  return isObject(others) ? others : undefined;
}

function matches(pattern: string, key: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(key);
  } catch {
    return false;
  }
}

/** Whether a call can have the argument `key`. */
export function mayHave(root: Schema, key: string): boolean {
  const found = resolve(root, root);
  return !isObject(found) || found['additionalProperties'] !== false || schemaOf(root, key) !== undefined;
}

function kindsOf(root: Schema, schema: Schema, depth = 0): Kinds {
  const found = resolve(root, schema);
  if (!isObject(found) || depth > MOST_REFERENCES) return ANY;
  const all: Kinds[] = listOf(found['allOf']).map((part) => kindsOf(root, part, depth + 1));
  for (const parts of [listOf(found['anyOf']), listOf(found['oneOf'])]) {
    if (parts.length > 0) all.push(parts.map((part) => kindsOf(root, part, depth + 1)).reduce(either));
  }
  const { type, nullable } = found;
  const types = (Array.isArray(type) ? type : [type]).filter((name): name is Type => TYPES.includes(name as Type));
  if (types.length > 0) all.push({ types: new Set(nullable === true ? [...types, 'null'] : types), values: null });
  const values = 'const' in found ? [found['const']] : found['enum'];
  if (Array.isArray(values)) all.push({ types: new Set(values.flatMap(typesOf)), values });
  return all.reduce(both, ANY);
}

function either(a: Kinds, b: Kinds): Kinds {
  return {
    types: new Set([...a.types, ...b.types]),
    values: a.values && b.values && [...a.values, ...b.values],
  };
}

function both(a: Kinds, b: Kinds): Kinds {
  const has = (kinds: Kinds, type: Type) => kinds.types.has(type) || (type === 'integer' && kinds.types.has('number'));
  return { types: new Set(TYPES.filter((type) => has(a, type) && has(b, type))), values: a.values ?? b.values };
}

function typesOf(value: unknown): Type[] {
  if (value === null) return ['null'];
  if (Array.isArray(value)) return ['array'];
  if (typeof value === 'number') return Number.isInteger(value) ? ['integer', 'number'] : ['number'];
  return [typeof value as Type];
}

/** Whether the schema of the argument `key`, if any, allows a string. */
export function mayBeText(root: Schema, key: string): boolean {
  const schema = schemaOf(root, key);
  return schema !== undefined && kindsOf(root, schema).types.has('string');
}

/**
 * Converts the text of an argument to JSON. If the schema allows a string it is one, unless the
 * text is another value that the schema allows. Other JSON keeps its text.
 */
export function argumentJson(root: Schema, key: string, text: string): string {
  const schema = schemaOf(root, key);
  const string = JSON.stringify(text);
  if (schema === undefined) return unknownJson(text) ?? string;
  const { types, values } = kindsOf(root, schema);
  if (values?.includes(text)) return string;
  const trimmed = text.trim();
  const written = types.has('string') ? trimmed : asJson(trimmed, types);
  const value = parsed(written);
  if (value === undefined) return string;
  if (!types.has('string')) return written;
  // a quoted text is a string that includes the quotes
  if (typeof value === 'string') return isBareAny(types) ? written : string;
  const fits = typesOf(value).some((type) => types.has(type));
  const listed = !values || values.some((other) => JSON.stringify(other) === JSON.stringify(value));
  return fits && listed ? written : string;
}

/** Converts a text that cannot be a string: JSON, or else Python. */
function asJson(text: string, types: ReadonlySet<Type>): string {
  if (parsed(text) !== undefined) return text;
  const lower = text.toLowerCase();
  if (types.has('boolean') && (lower === 'true' || lower === 'false')) return lower;
  return pythonJson(text) ?? text;
}

const isBareAny = (types: ReadonlySet<Type>) => types.size === TYPES.length;

/** Returns text that is JSON and keeps its value when parsed; long numbers would lose digits. */
function unknownJson(text: string): string | null {
  const value = parsed(text);
  if (value === undefined) return null;
  return typeof value === 'object' || JSON.stringify(value) === text.trim() ? text.trim() : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Keywords that do not restrict a value. */
const ANNOTATIONS = ['title', 'description', 'default', 'examples', '$comment', 'deprecated', 'readOnly', 'writeOnly'];

const saysOnly = (schema: Readonly<Record<string, unknown>>, names: readonly string[]) =>
  Object.keys(schema).every((name) => names.includes(name) || ANNOTATIONS.includes(name));

/** How to write an argument without quotes so that {@link argumentJson} reads the same value. */
export type PlainValue =
  | { readonly type: 'text' }
  | { readonly type: 'choice'; readonly texts: readonly string[] }
  | { readonly type: 'json'; readonly schema: Schema };

/** Null if only JSON is certain to fit. */
export function plainValue(root: Schema, key: string): PlainValue | null {
  const schema = schemaOf(root, key);
  if (schema === undefined) return null;
  const { types, values } = kindsOf(root, schema);
  const found = resolve(root, schema);
  if (!types.has('string')) return types.size > 0 ? { type: 'json', schema: standalone(root, schema) } : null;
  if (values) {
    const only = isObject(found) && saysOnly(found, ['type', 'enum', 'const']);
    const texts = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
    const same = texts.every((text, i) => argumentJson(root, key, text) === JSON.stringify(values[i]));
    return only && same && texts.length > 0 ? { type: 'choice', texts } : null;
  }
  if (found === true) return { type: 'text' };
  if (!isObject(found)) return null;
  const parts = [...listOf(found['anyOf']), ...listOf(found['oneOf'])].map((part) => resolve(root, part));
  const bare = saysOnly(found, parts.length > 0 ? ['anyOf', 'oneOf'] : ['type']);
  return bare && parts.every((part) => isObject(part) && saysOnly(part, ['type'])) ? { type: 'text' } : null;
}

/** Makes a part of a schema self-contained, with the same references. */
export function standalone(root: Schema, schema: Schema): Schema {
  if (!isObject(schema) || !JSON.stringify(schema).includes('"$ref"')) return schema;
  return { ...(moved(schema) as object), $defs: { root: moved(root) } };
}

function moved(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(moved);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => {
      const isReference = name === '$ref' && typeof part === 'string' && part.startsWith('#');
      return [name, isReference ? `#/$defs/root${part.slice(1)}` : moved(part)];
    }),
  );
}

/** The keys of an object, and whether each is required. Null if its schema says more than that. */
export function plainKeys(root: Schema): readonly (readonly [key: string, required: boolean])[] | null {
  const found = resolve(root, root);
  if (!isObject(found)) return null;
  const known = ['type', 'properties', 'required', 'additionalProperties', '$defs', 'definitions', '$schema', '$id'];
  if (!saysOnly(found, known)) return null;
  const { properties = {}, required = [], additionalProperties: others = false } = found;
  if (!isObject(properties) || !Array.isArray(required) || isObject(others)) return null;
  // any object
  if (!('properties' in found) && found['additionalProperties'] !== false) return null;
  if (required.some((key) => !Object.hasOwn(properties, key as string))) return null;
  return Object.keys(properties).map((key) => [key, required.includes(key)]);
}
