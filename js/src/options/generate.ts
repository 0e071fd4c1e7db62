/** Checks the options of generations. */

import { invalidOption } from '../common/errors.js';
import { jsonSchemaOf } from '../common/json-schema.js';
import type { StartOptions } from '../common/protocol.js';
import type {
  DraftModel,
  GenerateOptions,
  SchemaLimits,
  TextOptions,
  TokenIds,
  TokenizeOptions,
} from '../types/index.js';
import { checkAdapter } from './adapters.js';
import {
  areStrings,
  checkIds,
  checkNames,
  checkNumber,
  checkSignal,
  checkString,
  isRecord,
  plain,
  wellFormed,
  type FieldsOf,
  type Range,
} from './check.js';
import { checkStepInspect } from './inspect.js';
import { checkSampling, OF_SAMPLING } from './sampling.js';

/** Options for the worker, and the model that drafts, which only the page can reach. */
export interface CheckedOptions extends StartOptions {
  readonly draft?: DraftModel;
}

/**
 * Checks ranges. What depends on the model, whether the prompt fits for example, is checked there.
 */
export function checkGenerate(options: GenerateOptions): CheckedOptions {
  checkNames(options, GENERATE_OPTIONS);
  const { signal, stop, keepSpecial, constraint, onUnsupported, limits, inspect, speculate, adapter, ...sampling } =
    options;
  checkSignal(signal);
  const stops = checkStrings('stop', typeof stop === 'string' && stop !== '' ? [stop] : stop);
  const kept = checkStrings('keepSpecial', keepSpecial);
  const adapters = checkAdapter(adapter);
  const entropy = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
  return {
    ...checkSampling(sampling),
    stop: stops,
    keepSpecial: kept,
    ...checkSpeculate(speculate),
    ...(adapters && { adapters }),
    ...(inspect !== undefined && { inspect: checkStepInspect(inspect) }),
    constraint: checkConstraint(constraint),
    schemas: checkSchemas(onUnsupported, limits),
    entropy,
  };
}

/** A text to continue, or its ids. */
export function checkPrompt(prompt: string | TokenIds): string | number[] {
  return typeof prompt === 'string' ? checkString('prompt', prompt) : checkIds('prompt', prompt);
}

/** Separates the suffix from the options of `generate`. */
export function splitSuffix(textOptions: TextOptions): { suffix: string | undefined; options: GenerateOptions } {
  checkNames(textOptions, [...GENERATE_OPTIONS, 'suffix']);
  const { suffix, ...options } = textOptions;
  return { suffix: suffix === undefined ? undefined : checkString('suffix', suffix), options };
}

export const OF_GENERATIONS: FieldsOf<GenerateOptions> = {
  ...{ maxTokens: 1, ...OF_SAMPLING, stop: 1, constraint: 1, signal: 1 },
  ...{ topLogprobs: 1, keepSpecial: 1, onUnsupported: 1, limits: 1, inspect: 1, speculate: 1, adapter: 1 },
};

/** Names of the options of every generation. */
export const GENERATE_OPTIONS: readonly string[] = Object.keys(OF_GENERATIONS);

const CONSTRAINTS = ['jsonSchema', 'regex', 'lark', 'choices'];

/** Returns its JSON; the worker validates the content. */
function checkConstraint(constraint: unknown): string | null {
  if (constraint === undefined) return null;
  const keys = typeof constraint === 'object' && constraint !== null ? Object.keys(constraint) : [];
  if (keys.length !== 1 || !CONSTRAINTS.includes(String(keys[0]))) {
    throw invalidOption('constraint', `an object with one of ${CONSTRAINTS.join(', ')}`, constraint);
  }
  const { jsonSchema, regex, lark, choices } = constraint as Record<string, unknown>;
  if (regex !== undefined && typeof regex !== 'string') {
    throw invalidOption('constraint.regex', 'a string, as the `source` of a RegExp is', regex);
  }
  if (lark !== undefined && typeof lark !== 'string') throw invalidOption('constraint.lark', 'a string', lark);
  const isTexts = areStrings(choices) && choices.length > 0;
  if (choices !== undefined && !isTexts) {
    throw invalidOption('constraint.choices', 'an array of strings, not empty', choices);
  }
  if (jsonSchema === undefined) return JSON.stringify(plain('constraint', constraint));
  return JSON.stringify(plain('constraint', { jsonSchema: jsonSchemaOf('constraint.jsonSchema', jsonSchema) }));
}

const LIMITS = {
  digits: { min: 1, max: 1000, integer: true },
  fraction: { min: 0, max: 1000, integer: true },
  exponent: { min: 0, max: 3, integer: true },
  seconds: { min: 1, max: 1000, integer: true },
  format: { min: 1, max: 1e6, integer: true },
  depth: { min: 0, max: 100, integer: true },
} as const satisfies Record<keyof SchemaLimits, Range>;

/** How schemas are read. */
function checkSchemas(onUnsupported: unknown, limits: unknown = {}): StartOptions['schemas'] {
  if (onUnsupported !== undefined && onUnsupported !== 'error' && onUnsupported !== 'ignore') {
    throw invalidOption('onUnsupported', "'error' or 'ignore'", onUnsupported);
  }
  if (!isRecord(limits)) throw invalidOption('limits', 'an object', limits);
  checkNames(limits, Object.keys(LIMITS));
  const given = Object.entries(limits).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) checkNumber(`limits.${name}`, value, LIMITS[name as keyof typeof LIMITS]);
  return { ...(onUnsupported && { onUnsupported }), limits: Object.fromEntries(given) };
}

function checkSpeculate(speculate: unknown): Pick<CheckedOptions, 'speculate' | 'draft'> {
  if (speculate === undefined) return {};
  if (speculate === 'lookup') return { speculate };
  const { draft, ...others } = (isRecord(speculate) ? speculate : {}) as { draft?: unknown };
  const isModel = typeof draft === 'object' && draft !== null;
  if (isModel && Object.keys(others).length === 0) return { draft: draft as DraftModel };
  throw invalidOption('speculate', "'lookup', { draft: llm } with a loaded model, or nothing", speculate);
}

function checkStrings(name: string, texts: unknown = []): string[] {
  if (!areStrings(texts) || texts.includes('')) {
    const expected =
      name === 'stop' ? 'a string, or an array of strings, none empty' : 'an array of strings, none empty';
    throw invalidOption(name, expected, texts);
  }
  return texts.map(wellFormed);
}

export function checkTokenize(options: TokenizeOptions): Required<TokenizeOptions> {
  checkNames(options, ['addSpecial', 'parseSpecial']);
  const { addSpecial = true, parseSpecial = false } = options;
  if (typeof addSpecial !== 'boolean') throw invalidOption('addSpecial', 'a boolean', addSpecial);
  if (typeof parseSpecial !== 'boolean') throw invalidOption('parseSpecial', 'a boolean', parseSpecial);
  return { addSpecial, parseSpecial };
}
