/** Converts errors to those of the Prompt API. */

import { WeftError, type ErrorCode } from '../common/errors.js';

const NAMES: Partial<Record<ErrorCode, string>> = {
  CHAT_TEMPLATE: 'NotSupportedError',
  INVALID_CONSTRAINT: 'NotSupportedError',
  NOT_SUPPORTED: 'NotSupportedError',
  UNSUPPORTED_MODEL: 'NotSupportedError',
  UNSUPPORTED_TASK: 'NotSupportedError',
  UNSUPPORTED_TENSOR_TYPE: 'NotSupportedError',
  UNSUPPORTED_TOKENIZER: 'NotSupportedError',
  NETWORK: 'NetworkError',
  DISPOSED: 'InvalidStateError',
};

export function unsupported(what: string): DOMException {
  return new DOMException(`not supported: ${what}`, 'NotSupportedError');
}

/** After these errors the model is gone. */
const GONE: readonly ErrorCode[] = ['CRASHED', 'DEVICE_LOST', 'DISPOSED', 'OUT_OF_MEMORY'];

export function isGone(error: unknown): boolean {
  return error instanceof WeftError && GONE.includes(error.code);
}

/** Whether the context is too short. */
export function overflows(error: unknown): error is WeftError {
  return error instanceof WeftError && error.code === 'CONTEXT_OVERFLOW';
}

/**
 * Converts an error of weft, with its message. `otherwise`: the name for errors that the API does
 * not name. Other errors stay as they are.
 */
export function toDomException(error: unknown, otherwise: 'OperationError' | 'UnknownError'): unknown {
  if (!(error instanceof WeftError)) return error;
  const { code, message } = error;
  return Object.assign(new DOMException(message, NAMES[code] ?? otherwise), { cause: error });
}

/** For browsers without this class: an exception with the same name and properties. */
class OwnQuotaExceededError extends DOMException {
  readonly requested: number;
  readonly quota: number;

  constructor(message: string, { requested, quota }: { requested: number; quota: number }) {
    super(message, 'QuotaExceededError');
    this.requested = requested;
    this.quota = quota;
  }
}

/** `requested`, `quota`: in tokens. */
export function quotaExceeded(message: string, requested: number, quota: number): DOMException {
  const { QuotaExceededError = OwnQuotaExceededError } = globalThis as {
    QuotaExceededError?: typeof OwnQuotaExceededError;
  };
  return new QuotaExceededError(message, { requested, quota });
}
