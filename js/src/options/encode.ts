/** Checks the options of encoders. */

import { invalidOption } from '../common/errors.js';
import type { EncodeTask } from '../common/protocol.js';
import type { EmbedOptions, EncodeOptions, Pooling } from '../types/index.js';
import { U32_MAX, checkNames, checkNumber, checkSignal } from './check.js';

/** Checks the common options of encoder calls, and that there are no others but `more`. */
export function checkEncode(options: EncodeOptions, more: readonly string[] = []): { truncate: boolean } {
  checkNames(options, ['truncate', 'signal', ...more]);
  const { truncate = false, signal } = options;
  if (typeof truncate !== 'boolean') throw invalidOption('truncate', 'a boolean', truncate);
  checkSignal(signal);
  return { truncate };
}

export function checkEmbed(options: EmbedOptions): Extract<EncodeTask, { name: 'embed' }>['options'] {
  const { pooling, normalize = true } = options;
  if (pooling !== undefined && !POOLINGS.includes(pooling)) {
    throw invalidOption('pooling', POOLINGS.map((name) => `'${name}'`).join(' or '), pooling);
  }
  if (typeof normalize !== 'boolean') throw invalidOption('normalize', 'a boolean', normalize);
  return { normalize, ...(pooling !== undefined && { pooling }) };
}

/** The texts behind the model's prompt for a task. */
export function prompted(
  texts: readonly string[],
  task: string | undefined,
  prompts: Readonly<Record<string, string>>,
): readonly string[] {
  if (task === undefined) return texts;
  const prompt = Object.hasOwn(prompts, task) ? prompts[task] : undefined;
  if (prompt !== undefined) return texts.map((text) => prompt + text);
  const names = Object.keys(prompts).map((name) => `'${name}'`);
  const none = "none, since the model's files name no prompts: write it before the text";
  throw invalidOption('task', names.join(' or ') || none, task);
}

const POOLINGS: readonly Pooling[] = ['mean', 'cls', 'last'];

export function checkTopK(topK: unknown = 5): number {
  checkNumber('topK', topK, { min: 1, max: U32_MAX, integer: true });
  return topK as number;
}
