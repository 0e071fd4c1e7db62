/** How likely the model finds texts that are there already. */

import { serializeError } from '../common/errors.js';
import type { ScoreCall, ScoredText } from '../common/protocol.js';
import { aborted } from '../common/signals.js';
import { prepare } from './conversation.js';
import type { Model } from './model.js';
import type { RuntimeLlm } from './runtime.js';
import { Turns } from './turns.js';

/** Tokens that are computed between two looks at whether to go on. */
const PIECE = 128;

/** Scores text by text; undefined where `signal` stopped it. A lost GPU interrupts it only. */
export async function score(model: Model, call: ScoreCall, signal: AbortSignal): Promise<ScoredText[] | undefined> {
  const turns = new Turns();
  const done: ScoredText[] = [];
  try {
    while (done.length < call.texts.length) {
      try {
        const llm = await Promise.race([model.get(), aborted(signal)]);
        if (!llm) return undefined;
        const scored = await scoreText(llm, call, done.length, turns, signal);
        if (!scored) return undefined;
        done.push(scored);
        model.progressed();
      } catch (error) {
        model.failed(error);
      }
    }
  } finally {
    turns.close();
  }
  return done;
}

async function scoreText(
  llm: RuntimeLlm,
  call: ScoreCall,
  index: number,
  turns: Turns,
  signal: AbortSignal,
): Promise<ScoredText | undefined> {
  const { ids, from } = idsOf(llm, call, index);
  const logprobs: number[] = [];
  for (let begin = 0; begin < ids.length; begin += PIECE) {
    await turns.next();
    if (signal.aborted) return undefined;
    const end = Math.min(begin + PIECE, ids.length);
    // what stands before the text is read in pieces too, though nothing of it is told
    const first = Math.min(Math.max(begin, from), end);
    logprobs.push(...(await llm.score(ids.subarray(0, end), first, call.end && end === ids.length)));
  }
  const scored = [...ids.subarray(from)];
  return { ids: scored, texts: scored.map((id) => textOf(llm, id)), logprobs };
}

/** Empty where the model has no tokenizer. */
function textOf(llm: RuntimeLlm, id: number): string {
  try {
    return llm.detokenize(Uint32Array.of(id));
  } catch (error) {
    if (serializeError(error).code === 'UNSUPPORTED_TOKENIZER') return '';
    throw error;
  }
}

/** `from`: the first token that is scored. Where nothing stands before the text, not even a token that begins all texts, that is its second one. */
function idsOf(llm: RuntimeLlm, { after, texts }: ScoreCall, index: number): { ids: Uint32Array; from: number } {
  const text = texts[index] ?? '';
  if (after === null)
    return { ids: typeof text === 'string' ? llm.tokenize(text, true, false) : Uint32Array.from(text), from: 1 };
  if (typeof after === 'string' && typeof text === 'string') {
    // the two are read as one text: where they meet, letters of both may be one token
    const [before, ids] = [llm.tokenize(after, true, false), llm.tokenize(after + text, true, false)];
    const differs = ids.findIndex((id, i) => id !== before[i]);
    return { ids, from: Math.max(1, differs < 0 ? ids.length : differs) };
  }
  const before = idsBefore(llm, after);
  const rest = typeof text === 'string' ? llm.tokenize(text, false, false) : text;
  return { ids: Uint32Array.from([...before, ...rest]), from: Math.max(1, before.length) };
}

function idsBefore(llm: RuntimeLlm, after: NonNullable<ScoreCall['after']>): ArrayLike<number> & Iterable<number> {
  if (typeof after === 'string') return llm.tokenize(after, true, false);
  return 'messages' in after ? prepare(llm, after).ids : after;
}
