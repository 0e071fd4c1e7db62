/** Checks of single values. Errors name the option, what it should be and what it is. */

import { invalidOption, unknownOption } from '../common/errors.js';
import type { TokenIds } from '../types/index.js';

/** The names of an interface's fields; the compiler checks that none is missing. */
export type FieldsOf<Options> = Record<keyof Options, 1>;

/** The largest size in the wasm module. */
export const U32_MAX: number = 2 ** 32 - 1;

export interface Range {
  readonly min: number;
  readonly max: number;
  readonly integer: boolean;
}

export function checkNumber(name: string, value: unknown, { min, max, integer }: Range): void {
  const fits = integer ? Number.isInteger(value) : Number.isFinite(value);
  if (fits && Number(value) >= min && Number(value) <= max) return;
  const kind = integer ? 'an integer' : 'a number';
  const low = min === -Infinity ? '' : min === Number.MIN_VALUE ? ' above 0' : ` of at least ${min}`;
  const high = max === Infinity ? '' : ` and at most ${max}`;
  throw invalidOption(name, kind + low + high, value);
}

/** Refuses unknown options, because a misspelt one would silently have no effect. */
export function checkNames(options: object, known: readonly string[]): void {
  if (!isRecord(options)) throw invalidOption('options', 'an object', options);
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw unknownOption(unknown, known);
}

/** Whether it may have named fields. What a Map or a list holds would be overlooked. */
export function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(Symbol.iterator in value);
}

/** Whether it is a list of strings. `every` would skip the holes of a sparse array. */
export function areStrings(value: unknown): value is string[] {
  return Array.isArray(value) && Array.from(value as unknown[]).every((text) => typeof text === 'string');
}

export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption('signal', 'an AbortSignal', signal);
}

/** Checks that a loaded or remote model has this method. */
export function checkLlm<Model>(llm: Model, method: keyof Model & string): Model {
  if ((llm as Partial<Model> | undefined)?.[method] !== undefined) return llm;
  throw invalidOption('llm', `a model that has \`${method}\``, llm);
}

export function checkString(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidOption(name, 'a string', value);
  return wellFormed(value);
}

/**
 * Replaces half surrogate pairs, left where a string was cut inside an emoji: UTF-8 cannot encode
 * them.
 */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD');
}

/** A text for an encoder, which must not be empty. */
export function checkText(name: string, value: unknown): string {
  const text = checkString(name, value);
  if (text.trim() === '') throw invalidOption(name, 'a text that is not empty', value);
  return text;
}

export function checkTexts(name: string, values: unknown): string[] {
  if (!Array.isArray(values)) throw invalidOption(name, 'an array of strings', values);
  return Array.from(values as readonly unknown[], (value, index) => checkText(`${name}[${index}]`, value));
}

/** Accepts typed arrays too. Returns a copy. */
export function checkIds(name: string, ids: TokenIds): number[] {
  const expected = name === 'prompt' ? 'a string, or an array of token ids' : 'an array of token ids';
  if (!Array.isArray(ids) && !ArrayBuffer.isView(ids)) throw invalidOption(name, expected, ids);
  return Array.from(ids as readonly number[], (id, index) => {
    if (!Number.isInteger(id) || id < 0 || id > U32_MAX) throw invalidOption(`${name}[${index}]`, 'a token id', id);
    return id;
  });
}

/** Copies plain data. */
export function plain<T>(name: string, value: T): T {
  try {
    return JSON.parse(JSON.stringify(value), (_, part: unknown) =>
      typeof part === 'string' ? wellFormed(part) : part,
    );
  } catch {
    throw invalidOption(name, 'data that can be written as JSON', value);
  }
}
