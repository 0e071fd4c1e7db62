/** Checks the options of generations. */

import { invalidOption } from '../common/errors.js';
import { jsonSchemaOf } from '../common/json-schema.js';
import type { StartOptions } from '../common/protocol.js';
import type { GenerateOptions, SchemaLimits, TextOptions, TokenIds, TokenizeOptions } from '../types/index.js';
import {
  U32_MAX,
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

/**
 * Checks ranges. What depends on the model, whether the prompt fits for example, is checked there.
 */
export function checkGenerate(options: GenerateOptions): StartOptions {
  checkNames(options, GENERATE_OPTIONS);
  const { signal, stop, keepSpecial, constraint, onUnsupported, limits, logitBias, ...numbers } = options;
  checkSignal(signal);
  const stops = checkStrings('stop', typeof stop === 'string' && stop !== '' ? [stop] : stop);
  const kept = checkStrings('keepSpecial', keepSpecial);
  const biases = checkBiases(logitBias);
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) checkNumber(name, value, RANGES[name as keyof typeof RANGES]);
  const entropy = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
  return {
    ...Object.fromEntries(given),
    logitBias: biases,
    stop: stops,
    keepSpecial: kept,
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
  ...{ maxTokens: 1, temperature: 1, topK: 1, topP: 1, minP: 1, stop: 1, seed: 1, constraint: 1, signal: 1 },
  ...{ repetitionPenalty: 1, frequencyPenalty: 1, presencePenalty: 1, penaltyLastN: 1 },
  ...{ logitBias: 1, topLogprobs: 1, keepSpecial: 1, onUnsupported: 1, limits: 1 },
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

function checkStrings(name: string, texts: unknown = []): string[] {
  if (!areStrings(texts) || texts.includes('')) {
    const expected =
      name === 'stop' ? 'a string, or an array of strings, none empty' : 'an array of strings, none empty';
    throw invalidOption(name, expected, texts);
  }
  return texts.map(wellFormed);
}

function checkBiases(biases: unknown = {}): [number, number][] {
  if (!isRecord(biases)) throw invalidOption('logitBias', 'an object, token id → bias', biases);
  return Object.entries(biases).map(([id, bias]) => {
    checkNumber('logitBias', /^\d+$/.test(id) ? Number(id) : id, { min: 0, max: U32_MAX, integer: true });
    checkNumber(`logitBias[${id}]`, bias, { min: -Infinity, max: Infinity, integer: false });
    return [Number(id), Number(bias)];
  });
}

const RANGES = {
  maxTokens: { min: 0, max: U32_MAX, integer: true },
  topLogprobs: { min: 0, max: U32_MAX, integer: true },
  temperature: { min: 0, max: Infinity, integer: false },
  topK: { min: 0, max: U32_MAX, integer: true },
  topP: { min: 0, max: 1, integer: false },
  minP: { min: 0, max: 1, integer: false },
  repetitionPenalty: { min: Number.MIN_VALUE, max: Infinity, integer: false },
  frequencyPenalty: { min: -Infinity, max: Infinity, integer: false },
  presencePenalty: { min: -Infinity, max: Infinity, integer: false },
  penaltyLastN: { min: 0, max: U32_MAX, integer: true },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, integer: true },
} satisfies Record<string, Range>;

export function checkTokenize(options: TokenizeOptions): Required<TokenizeOptions> {
  checkNames(options, ['addSpecial', 'parseSpecial']);
  const { addSpecial = true, parseSpecial = false } = options;
  if (typeof addSpecial !== 'boolean') throw invalidOption('addSpecial', 'a boolean', addSpecial);
  if (typeof parseSpecial !== 'boolean') throw invalidOption('parseSpecial', 'a boolean', parseSpecial);
  return { addSpecial, parseSpecial };
}
