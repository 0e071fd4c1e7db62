/** Runs an encoder over the texts of a task. */

import { serializeError, WeftError } from '../common/errors.js';
import type { EncodeCall, EncodeResult, EncodeTask } from '../common/protocol.js';
import type { LabelScore } from '../types/index.js';
import { useAdapters } from './adapters.js';
import type { Model } from './model.js';
import type { RuntimeLlm } from './runtime.js';
import { run } from './steps.js';
import type { Turn } from './turns.js';

/** Texts that are handed over at once; the module takes those of them that go in one step. */
const MOST_TEXTS = 64;

/** Runs a task, in each step one text, or several to embed; undefined if `signal` stopped it. */
export async function encode(
  model: Model,
  { task, adapters }: EncodeCall,
  turn: Turn,
  signal: AbortSignal,
): Promise<EncodeResult | undefined> {
  const texts = textsOf(task);
  const done: unknown[] = [];
  const step = async (llm: RuntimeLlm) => {
    useAdapters(llm, adapters);
    try {
      const left = texts.slice(done.length, done.length + MOST_TEXTS);
      if (left.length > 0) done.push(...(await encodeTexts(llm, task, left)));
    } catch (error) {
      throw named(task, done.length, error);
    }
    model.progressed();
    return done.length === texts.length;
  };
  return (await run(model, turn, signal, step)) ? resultOf(task, done) : undefined;
}

function textsOf(task: EncodeTask): readonly string[] {
  return task.name === 'embed' || task.name === 'rerank' ? task.texts : [task.text];
}

/** The results of the first texts, at least of one. */
async function encodeTexts(llm: RuntimeLlm, task: EncodeTask, texts: readonly string[]): Promise<unknown[]> {
  const { truncate } = task;
  if (task.name === 'embed') return llm.embed([...texts], { ...task.options, truncate });
  return [await encodeText(llm, task, texts[0] as string)];
}

async function encodeText(
  llm: RuntimeLlm,
  task: Exclude<EncodeTask, { name: 'embed' }>,
  text: string,
): Promise<unknown> {
  const { truncate } = task;
  switch (task.name) {
    case 'rerank':
      return llm.rerank(task.query, text, truncate);
    case 'classify':
      return llm.classify(text, task.pair, truncate);
    case 'classifyTokens':
      return llm.classify_tokens(text, truncate);
    case 'fillMask':
      return llm.fill_mask(text, task.topK, truncate);
    default:
      throw new WeftError('INTERNAL', 'the worker does not know such a task');
  }
}

function resultOf(task: EncodeTask, done: unknown[]): EncodeResult {
  if (task.name === 'embed') return done as Float32Array[];
  if (task.name !== 'rerank') return done[0] as EncodeResult;
  const ranked = (done as LabelScore[]).map(({ score, logit }, index) => ({ index, score, logit }));
  return ranked.sort((a, b) => b.logit - a.logit);
}

/** Adds to an error which of several texts it is about. */
function named(task: EncodeTask, index: number, error: unknown): unknown {
  const { code, message } = serializeError(error);
  if (code !== 'CONTEXT_OVERFLOW' && code !== 'INVALID_OPTION') return error;
  const option = task.name === 'embed' ? `texts[${index}]` : task.name === 'rerank' ? `documents[${index}]` : 'text';
  return new WeftError(code, `${option}: ${message}`, { cause: error });
}
