import assert from 'node:assert/strict';
import { test } from 'node:test';
import { valueTypes } from './value-types.mjs';

test('the declarations that ship have the types of values alone, and results are readonly', () => {
  const text = `/* eslint-disable */
/** Options. */
export interface AnyOptions {
    /** How many. */
    topK?: number;
}

export function version(): string;

/**
 * A result.
 */
export interface Result extends Base {
    /** Its parts. */
    parts: Part[];
    name: string | null;
}

/** The module. */
export class Llm {
  free(): void;
}
export type Results = Result[];
export interface InitOutput {
  readonly memory: WebAssembly.Memory;
}
`;
  assert.equal(
    valueTypes(text).replace(/^.*\n\n/, ''),
    `/** Options. */
export interface AnyOptions {
    /** How many. */
    topK?: number;
}

/**
 * A result.
 */
export interface Result extends Base {
    /** Its parts. */
    readonly parts: readonly Part[];
    readonly name: string | null;
}

export type Results = readonly Result[];
`,
  );
});
