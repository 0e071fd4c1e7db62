/** The one error class. Its `code` is stable: match on it, not on the message. */

export type ErrorCode =
  // the model file
  | 'INVALID_FILE'
  | 'TRUNCATED_FILE'
  | 'UNSUPPORTED_TENSOR_TYPE'
  | 'UNSUPPORTED_MODEL'
  | 'UNSUPPORTED_TOKENIZER'
  | 'INVALID_MODEL'
  | 'NETWORK'
  | 'FILE_CHANGED'
  | 'INTEGRITY'
  // a server that answers in the model's place
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

/** `option`: its name as the caller wrote it. */
export function invalidOption(option: string, expected: string, got: unknown): WeftError {
  return new WeftError('INVALID_OPTION', `option \`${option}\`: expected ${expected}, got ${describe(got)}`);
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value) && value.length === 0) return 'an empty array';
  if (typeof value === 'object' && value !== null) return Object.prototype.toString.call(value);
  return String(value);
}

/** An error as it crosses the worker boundary. */
export interface SerializedError {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Whatever was thrown in the worker → its code and message. Errors of the wasm module carry their own code. */
export function serializeError(error: unknown): SerializedError {
  const message = error instanceof Error ? error.message : String(error);
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
