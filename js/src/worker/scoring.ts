/** Computes the log-probabilities of given texts. */

import { serializeError } from '../common/errors.js';
import type { ScoreCall, ScoredText } from '../common/protocol.js';
import { useAdapters } from './adapters.js';
import { prepare } from './conversation.js';
import type { Model } from './model.js';
import type { RuntimeLlm } from './runtime.js';
import { run } from './steps.js';
import type { Turn } from './turns.js';

/** Tokens in one step. */
const PIECE = 128;

/**
 * Scores texts, up to {@link PIECE} tokens in each step; undefined if `signal` stopped it. The
 * scores so far outlive an error, and the next step computes again what the KV cache has lost.
 */
export async function score(
  model: Model,
  call: ScoreCall,
  turn: Turn,
  signal: AbortSignal,
): Promise<ScoredText[] | undefined> {
  const done: ScoredText[] = [];
  let text: TextUnderway | undefined;
  const step = async (llm: RuntimeLlm) => {
    if (done.length === call.texts.length) return true;
    text ??= { ...idsOf(llm, call, done.length), read: 0, logprobs: [] };
    useAdapters(llm, call.adapters);
    await scorePiece(llm, text, call.end);
    model.progressed();
    if (text.read < text.ids.length) return false;
    done.push(scoredText(llm, text));
    text = undefined;
    return done.length === call.texts.length;
  };
  return (await run(model, turn, signal, step)) ? done : undefined;
}

interface TextUnderway {
  readonly ids: Uint32Array;
  /** Index of the first token that is scored. */
  readonly from: number;
  /** Tokens that were computed. */
  read: number;
  readonly logprobs: number[];
}

async function scorePiece(llm: RuntimeLlm, text: TextUnderway, answerEnds: boolean): Promise<void> {
  const { ids, from, read, logprobs } = text;
  const end = Math.min(read + PIECE, ids.length);
  // tokens before the text are computed in pieces too, without scores
  const first = Math.min(Math.max(read, from), end);
  logprobs.push(...(await llm.score(ids.subarray(0, end), first, answerEnds && end === ids.length)));
  text.read = end;
}

function scoredText(llm: RuntimeLlm, { ids, from, logprobs }: TextUnderway): ScoredText {
  const scored = [...ids.subarray(from)];
  return { ids: scored, texts: scored.map((id) => textOf(llm, id)), logprobs };
}

/** Empty if the model has no tokenizer. */
function textOf(llm: RuntimeLlm, id: number): string {
  try {
    return llm.detokenize(Uint32Array.of(id));
  } catch (error) {
    if (serializeError(error).code === 'UNSUPPORTED_TOKENIZER') return '';
    throw error;
  }
}

/** The first token of all has no predecessor and is never scored. */
function idsOf(llm: RuntimeLlm, { after, texts }: ScoreCall, index: number): { ids: Uint32Array; from: number } {
  const text = texts[index] ?? '';
  if (after === null)
    return { ids: typeof text === 'string' ? llm.tokenize(text, true, false) : Uint32Array.from(text), from: 1 };
  if (typeof after === 'string' && typeof text === 'string') {
    // both are tokenized as one text, because a token may span the boundary
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
