/** How likely the model finds texts that are there already. */

import { serializeError } from '../common/errors.js';
import type { ScoreCall, ScoredText } from '../common/protocol.js';
import { prepare } from './conversation.js';
import type { Model } from './model.js';
import type { RuntimeLlm } from './runtime.js';
import type { Turn } from './turns.js';

/** Tokens that are computed between two looks at whether to go on. */
const PIECE = 128;

/**
 * Scores text by text, a piece of one in each step; undefined where `signal` stopped it. A lost GPU
 * interrupts it only: what was scored stays, and the next piece computes what it builds on anew.
 */
export async function score(
  model: Model,
  call: ScoreCall,
  turn: Turn,
  signal: AbortSignal,
): Promise<ScoredText[] | undefined> {
  const done: ScoredText[] = [];
  let text: TextUnderway | undefined;
  while (done.length < call.texts.length) {
    await turn.next();
    try {
      const llm = await model.unlessAborted(signal);
      if (!llm) return undefined;
      text ??= { ...idsOf(llm, call, done.length), read: 0, logprobs: [] };
      await scorePiece(llm, text, call.end);
      model.progressed();
      if (text.read < text.ids.length) continue;
      done.push(scoredText(llm, text));
      text = undefined;
    } catch (error) {
      model.failed(error);
    }
  }
  return done;
}

interface TextUnderway {
  readonly ids: Uint32Array;
  /** The first token that is scored. */
  readonly from: number;
  /** Tokens that were read. */
  read: number;
  readonly logprobs: number[];
}

async function scorePiece(llm: RuntimeLlm, text: TextUnderway, answerEnds: boolean): Promise<void> {
  const { ids, from, read, logprobs } = text;
  const end = Math.min(read + PIECE, ids.length);
  // what stands before the text is read in pieces too, though nothing of it is told
  const first = Math.min(Math.max(read, from), end);
  logprobs.push(...(await llm.score(ids.subarray(0, end), first, answerEnds && end === ids.length)));
  text.read = end;
}

function scoredText(llm: RuntimeLlm, { ids, from, logprobs }: TextUnderway): ScoredText {
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

/** Where nothing stands before the text, not even a token that begins all texts, the first token that is scored is its second one. */
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
