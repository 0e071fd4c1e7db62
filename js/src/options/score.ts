/** Checks the options of scores and labels. */

import { invalidOption } from '../common/errors.js';
import type { AdapterUse, Conversation, PlainMessage, Prompt } from '../common/protocol.js';
import type { LabelOptions, Message, ScoreOptions } from '../types/index.js';
import { checkAdapter } from './adapters.js';
import { checkIds, checkNames, checkSignal, checkText, checkTexts } from './check.js';
import { checkMessages } from './messages.js';

/** Checks the context of a scored text. */
export function checkAfter(after: ScoreOptions['after'], roles: readonly string[]): Prompt | null {
  if (after === undefined) return null;
  if (typeof after === 'string') return checkText('after', after);
  if (typeof (after as readonly unknown[] | null)?.[0] === 'number')
    return checkIds('after', after as readonly number[]);
  return answered(checkMessages(after as readonly Message[], roles, { name: 'after' }));
}

/** A conversation that the scored text answers, without reasoning. */
export function answered(messages: readonly PlainMessage[]): Conversation {
  return { messages, tools: null, variables: {}, reasoning: 'off' };
}

export function checkScored(text: string | readonly number[]): string | number[] {
  if (typeof text === 'string') return checkText('text', text);
  const ids = checkIds('text', text);
  if (ids.length === 0) throw invalidOption('text', 'a text or its ids, not empty', text);
  return ids;
}

/**
 * The options of labels with their defaults filled in; a copy, safe from later changes by the
 * caller.
 */
export interface Labelling extends Required<Omit<LabelOptions, 'signal' | 'adapter'>> {
  readonly adapters: readonly AdapterUse[] | undefined;
  readonly text: string;
  readonly labels: readonly string[];
  readonly signal: AbortSignal | undefined;
}

export function checkLabelling(text: string, labels: readonly string[], options: LabelOptions): Labelling {
  const checked = checkTexts('labels', labels);
  if (checked.length < 2 || new Set(checked).size < checked.length) {
    throw invalidOption('labels', 'at least two different ones', labels);
  }
  checkNames(options, ['instruction', 'examples', 'calibrate', 'adapter', 'signal']);
  const adapters = checkAdapter(options.adapter);
  const { instruction = defaultInstruction(checked), examples = [], calibrate = false, signal } = options;
  if (!Array.isArray(examples)) throw invalidOption('examples', 'an array of { text, label }', examples);
  const shown = (examples as Labelling['examples']).map((example, index) => {
    const at = `examples[${index}]`;
    const [text, label] = [checkText(`${at}.text`, example?.text), checkText(`${at}.label`, example?.label)];
    if (!checked.includes(label)) throw invalidOption(`${at}.label`, 'one of the labels', label);
    return { text, label };
  });
  if (typeof calibrate !== 'boolean') throw invalidOption('calibrate', 'a boolean', calibrate);
  checkSignal(signal);
  const instructed = checkText('instruction', instruction);
  return { text, labels: checked, instruction: instructed, examples: shown, calibrate, adapters, signal };
}

const defaultInstruction = (labels: readonly string[]) =>
  `What fits the text best: ${labels.join(', ')}? Answer with one of them alone.`;
