/** Explains every failure in plain words, with remedies. */

import { WeftError, type ErrorCode } from 'weft-llm';
import { t } from './text/text.js';

/** The action of a button under an error; page.ts implements it. */
export type Remedy = 'retry' | 'use-cpu' | 'reload-model' | 'choose-model' | 'choose-file' | 'new-chat' | 'settings';

export interface Explanation {
  title: string;
  text: string;
  remedies: Remedy[];
}

/** What helps. What happened is the message `error-` with the code. */
const remedies: Record<ErrorCode, Remedy[]> = {
  INVALID_FILE: ['choose-model'],
  TRUNCATED_FILE: ['retry', 'choose-model'],
  UNSUPPORTED_TENSOR_TYPE: ['choose-model'],
  UNSUPPORTED_MODEL: ['choose-model'],
  UNSUPPORTED_TOKENIZER: ['choose-model'],
  INVALID_MODEL: ['retry', 'choose-model'],
  INVALID_ADAPTER: [],
  NETWORK: ['retry', 'choose-model'],
  FILE_CHANGED: ['retry'],
  INTEGRITY: ['retry', 'choose-model'],
  SERVER: [],
  QUOTA_EXCEEDED: ['retry', 'choose-model'],
  NOT_STORED: ['retry'],
  GPU_UNAVAILABLE: ['use-cpu'],
  DEVICE_LOST: ['reload-model', 'use-cpu'],
  OUT_OF_MEMORY: ['retry', 'settings'],
  INVALID_LOGITS: ['use-cpu', 'choose-model'],
  NOT_SUPPORTED: [],
  WORKER_FAILED: ['retry'],
  CRASHED: ['reload-model', 'settings'],
  INVALID_OPTION: ['settings'],
  CONTEXT_OVERFLOW: ['settings'],
  UNSUPPORTED_TASK: ['choose-model'],
  TOKENIZE: ['retry'],
  CHAT_TEMPLATE: ['settings', 'retry'],
  INVALID_CONSTRAINT: [],
  INVALID_SESSION: [],
  DISPOSED: ['reload-model', 'choose-model'],
  INTERNAL: ['reload-model'],
};

/** Failures of the network that are told apart by what weft says of them. */
const networkFailures: readonly (readonly [said: RegExp, name: string, remedies: Remedy[]])[] = [
  [/browser is offline/, 'offline', ['retry', 'choose-model']],
  [/answered 404/, 'no-file', ['choose-model', 'retry']],
  [/answered 40[13]/, 'forbidden', ['choose-model', 'retry']],
  [/answered \d{3}/, 'server-failed', ['retry', 'choose-model']],
];

function explanation(name: string, remedies: Remedy[]): Explanation {
  return { title: t(`error-${name}.title`), text: t(`error-${name}`), remedies };
}

/** The model of a saved chat was a file, which a page may not open by itself. */
export function missingFile(name: string | null): Explanation {
  return {
    title: name === null ? t('error-lost-file.unnamed') : t('error-lost-file.title', { name }),
    text: t('error-lost-file'),
    remedies: ['choose-file', 'choose-model'],
  };
}

/** `fromHere`: the model was requested from this page's server. */
export function explain(error: unknown, fromHere = false): Explanation {
  const code = error instanceof WeftError ? error.code : 'INTERNAL';
  if (code !== 'NETWORK') return explanation(code, remedies[code]);
  const message = messageOf(error);
  if (fromHere && /\b404\b/.test(message)) return explanation('no-default', ['retry']);
  const [, name, help] = networkFailures.find(([said]) => said.test(message)) ?? [null, code, remedies[code]];
  return explanation(name, help);
}

/** What weft says, for those who want to know. */
export const details = (error: unknown) =>
  error instanceof WeftError ? `${error.code}: ${error.message}` : messageOf(error);

/** Whether the model can be used no longer. */
export function isFatal(error: unknown): boolean {
  const fatal = ['DEVICE_LOST', 'CRASHED', 'DISPOSED', 'INTERNAL', 'OUT_OF_MEMORY', 'INVALID_LOGITS'];
  return !(error instanceof WeftError) || fatal.includes(error.code);
}

/** A note of weft in words that need no knowledge of browsers. */
export function plainNote(note: string): string {
  return /is not stored|store cannot be used/.test(note) ? t('note-not-kept') : note;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
