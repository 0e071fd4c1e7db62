/** The only error class. Its `code` is stable: match on it, not on the message. */

import { nearest } from './spelling.js';

export type ErrorCode =
  // the model file
  | 'INVALID_FILE'
  | 'TRUNCATED_FILE'
  | 'UNSUPPORTED_TENSOR_TYPE'
  | 'UNSUPPORTED_MODEL'
  | 'UNSUPPORTED_TOKENIZER'
  | 'INVALID_MODEL'
  | 'INVALID_ADAPTER'
  | 'NETWORK'
  | 'FILE_CHANGED'
  | 'INTEGRITY'
  // a server that replaces the model
  | 'SERVER'
  // the machine
  | 'GPU_UNAVAILABLE'
  | 'DEVICE_LOST'
  | 'OUT_OF_MEMORY'
  | 'QUOTA_EXCEEDED'
  | 'INVALID_LOGITS'
  | 'NOT_SUPPORTED'
  | 'WORKER_FAILED'
  | 'CRASHED'
  // the call
  | 'INVALID_OPTION'
  | 'NOT_STORED'
  | 'CONTEXT_OVERFLOW'
  | 'TOKENIZE'
  | 'UNSUPPORTED_TASK'
  | 'CHAT_TEMPLATE'
  | 'INVALID_CONSTRAINT'
  | 'INVALID_SESSION'
  | 'DISPOSED'
  // a bug in weft
  | 'INTERNAL';

export class WeftError extends Error {
  override readonly name = 'WeftError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** `option`: its name in the caller's API. */
export function invalidOption(option: string, expected: string, got: unknown): WeftError {
  return new WeftError('INVALID_OPTION', `option \`${option}\`: expected ${expected}, got ${describe(got)}`);
}

/** The same for an option whose value must not be shown. */
export function invalidSecret(option: string, got: unknown): WeftError {
  const what = typeof got === 'string' ? 'another string, which is not shown' : `a value of the type ${typeof got}`;
  const expected = 'expected a string of printable characters without spaces';
  return new WeftError('INVALID_OPTION', `option \`${option}\`: ${expected}, got ${what}`);
}

/** `name`: an option that does not exist; `known`: those that do. */
export function unknownOption(name: string, known: readonly string[]): WeftError {
  const hint = didYouMean(nearest(name, known), '`');
  const all = known.length > 0 ? ` The options are ${known.join(', ')}.` : '';
  return new WeftError('INVALID_OPTION', `option \`${name}\`: there is no such option.${hint}${all}`);
}

/** A sentence to append, with a leading space; empty without a guess. */
export function didYouMean(guess: string | undefined, quote: string): string {
  return guess === undefined ? '' : ` Did you mean ${quote}${guess}${quote}?`;
}

/**
 * The option that an `INVALID_OPTION` names, taken from its message: errors of the worker carry
 * nothing else.
 */
export function optionOf({ code, message }: SerializedError): string | undefined {
  return code === 'INVALID_OPTION' ? OPTION.exec(message)?.[1] : undefined;
}

/** The same error with another name for its option. */
export function renamed(error: WeftError, rename: (option: string) => string): WeftError {
  const option = optionOf(error);
  if (option === undefined || rename(option) === option) return error;
  const message = `option \`${rename(option)}\`: ${error.message.replace(OPTION, '')}`;
  return new WeftError(error.code, message, { cause: error });
}

const OPTION = /^option `([^`]+)`: /;

/** Maximum characters of a value in a message. */
const LONGEST = 200;

/** Maximum names of an object's fields in a message. */
const MOST_NAMES = 8;

function describe(value: unknown): string {
  if (typeof value === 'string') {
    const text = JSON.stringify(value.slice(0, LONGEST));
    return value.length > LONGEST ? `${text}… (${value.length} characters)` : text;
  }
  if (typeof value === 'function') return 'a function';
  if (value instanceof Promise) return 'a Promise (is an `await` missing?)';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array of ${value.length}`;
  if (typeof value !== 'object' || value === null) return String(value);
  const isPlain = Object.getPrototypeOf(value) === Object.prototype;
  if (!isPlain) return Object.prototype.toString.call(value);
  const names = Object.keys(value);
  if (names.length === 0) return 'an empty object';
  return `{ ${[...names.slice(0, MOST_NAMES), ...(names.length > MOST_NAMES ? ['…'] : [])].join(', ')} }`;
}

/** An error as it crosses the worker boundary. */
export interface SerializedError {
  readonly code: ErrorCode;
  readonly message: string;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Converts a thrown value to its code and message. Errors of the wasm module carry their own code.
 */
export function serializeError(error: unknown): SerializedError {
  const message = messageOf(error);
  if (error instanceof WebAssembly.RuntimeError) {
    return {
      code: 'CRASHED',
      message: `the engine crashed (${message}); memory may have run out. Load the model again, with a shorter contextLength or a smaller quantisation.`,
    };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return { code: error.code as ErrorCode, message };
  }
  return { code: 'INTERNAL', message };
}
