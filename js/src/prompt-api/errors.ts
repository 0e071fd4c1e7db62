/** Errors as the Prompt API names them. */

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

/** After these the model is gone. */
const GONE: readonly ErrorCode[] = ['CRASHED', 'DEVICE_LOST', 'DISPOSED', 'OUT_OF_MEMORY'];

export function isGone(error: unknown): boolean {
  return error instanceof WeftError && GONE.includes(error.code);
}

/** Whether the context is too short. */
export function overflows(error: unknown): error is WeftError {
  return error instanceof WeftError && error.code === 'CONTEXT_OVERFLOW';
}

/** An error of weft, with what it says; `otherwise`: its name where the API has none for it. Other errors are as they should be. */
export function toDomException(error: unknown, otherwise: 'OperationError' | 'UnknownError'): unknown {
  if (!(error instanceof WeftError)) return error;
  const { code, message } = error;
  return Object.assign(new DOMException(message, NAMES[code] ?? otherwise), { cause: error });
}

/** In browsers that have no such class, an exception with the same name and properties. */
class OwnQuotaExceededError extends DOMException {
  readonly requested: number;
  readonly quota: number;

  constructor(message: string, { requested, quota }: { requested: number; quota: number }) {
    super(message, 'QuotaExceededError');
    this.requested = requested;
    this.quota = quota;
  }
}

/** Tokens that were asked for, and that there are. */
export function quotaExceeded(message: string, requested: number, quota: number): DOMException {
  const { QuotaExceededError = OwnQuotaExceededError } = globalThis as {
    QuotaExceededError?: typeof OwnQuotaExceededError;
  };
  return new QuotaExceededError(message, { requested, quota });
}
