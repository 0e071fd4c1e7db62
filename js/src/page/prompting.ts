/** Methods built on simpler ones: labels by their likelihood, and the best of several answers. */

import { Told } from '../answers/told.js';
import { invalidOption } from '../common/errors.js';
import type { PlainMessage, ScoreCall, ScoredText } from '../common/protocol.js';
import { untilAborted } from '../common/signals.js';
import { checkNumber, checkSignal, isRecord } from '../options/check.js';
import { answered, type Labelling } from '../options/score.js';
import type {
  Answer,
  BestOf,
  GenerateOptions,
  LabelScore,
  Llm,
  Piece,
  Score,
  ScoredAnswer,
  Scorer,
} from '../types/index.js';

/** A text without content (Zhao et al. 2021, "Calibrate Before Use", arXiv 2102.09690). */
const NO_TEXT = 'N/A';

/**
 * Sorts labels by how likely each is as the whole answer of a decoder. `chats`: whether it has a
 * chat template.
 */
export async function rankLabels(
  score: (call: ScoreCall, signal?: AbortSignal) => Promise<ScoredText[]>,
  labelling: Labelling,
  chats: boolean,
): Promise<LabelScore[]> {
  const { text, labels, calibrate, adapters, signal } = labelling;
  const logprobs = async (text: string) => {
    const call = chats ? chatCall(text, labelling) : textCall(text, labelling);
    const scored = await score({ ...call, ...(adapters && { adapters }) }, signal);
    return scored.map(({ logprobs }) => sum(logprobs));
  };
  const likely = await logprobs(text);
  const priors = calibrate ? await logprobs(NO_TEXT) : [];
  const logits = likely.map((logprob, i) => logprob - (priors[i] ?? 0));
  const largest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - largest));
  const scores = labels.map((label, i) => ({
    label,
    score: (weights[i] ?? 0) / sum(weights),
    logit: logits[i] ?? 0,
  }));
  return scores.sort((a, b) => b.logit - a.logit);
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/**
 * The label answers a conversation. Its end counts too, or `no` would always be likelier than `no
 * idea`.
 */
function chatCall(text: string, { labels, instruction, examples }: Labelling): ScoreCall {
  const ask = (text: string): PlainMessage => ({ role: 'user', content: `${instruction}\n\n${text}` });
  const shown = examples.flatMap(({ text, label }): PlainMessage[] => [
    ask(text),
    { role: 'assistant', content: label },
  ]);
  return { type: 'score', after: answered([...shown, ask(text)]), texts: labels, end: true };
}

/** The label continues a text up to the end of its line. */
function textCall(text: string, { labels, instruction, examples }: Labelling): ScoreCall {
  const shown = examples.map(({ text, label }) => `Text: ${text}\nLabel: ${label}`);
  const after = [instruction, ...shown, `Text: ${text}\nLabel:`].join('\n\n');
  return { type: 'score', after, texts: labels.map((label) => ` ${label}\n`), end: false };
}

/** Result of `llm.score`. */
export function scoreOf({ ids, texts, logprobs }: ScoredText): Score {
  const logprob = sum(logprobs);
  const tokens = ids.map((id, i) => ({ id, text: texts[i] ?? '', logprob: logprobs[i] ?? 0 }));
  return { logprob, perplexity: Math.exp(-logprob / tokens.length), tokens };
}

/** {@link Llm.bestOf}. */
export function bestOf(llm: () => Llm, n: number, scorer: Scorer = likeliest): BestOf {
  if (!Number.isInteger(n) || n < 1) throw invalidOption('n', 'an integer of at least 1', n);
  if (typeof scorer !== 'function') throw invalidOption('scorer', 'a function', scorer);
  const best = async (
    given: GenerateOptions,
    ask: (options: GenerateOptions) => AsyncIterable<Piece>,
  ): Promise<ScoredAnswer[]> => {
    if (!isRecord(given)) throw invalidOption('options', 'an object', given);
    const { seed = Math.floor(Math.random() * 2 ** 32), ...options } = given;
    checkNumber('seed', seed, { min: 0, max: Number.MAX_SAFE_INTEGER - n + 1, integer: true });
    checkSignal(options.signal);
    options.signal?.throwIfAborted();
    const answers: Answer[] = [];
    for (let i = 0; i < n; i += 1) {
      const pieces = ask({ topLogprobs: 0, ...options, seed: seed + i });
      answers.push(await whole(untilAborted(pieces, options.signal)));
    }
    const scores = await Promise.all(answers.map((answer) => scorer(answer, answers)));
    const wrong = scores.find((score) => typeof score !== 'number' || Number.isNaN(score));
    if (wrong !== undefined) throw invalidOption('scorer', 'a function that returns a number', wrong);
    return answers.map((answer, i) => ({ ...answer, score: scores[i] ?? 0 })).sort((a, b) => b.score - a.score);
  };
  return {
    chat: (messages, options = {}) => best(options, (each) => llm().chat(messages, each)),
    generate: (prompt, options = {}) => best(options, (each) => llm().generate(prompt, each)),
  };
}

/** The mean log-probability of the tokens: by the sum, a short answer would nearly always win. */
function likeliest({ logprob, finish }: Answer): number {
  return logprob / Math.max(1, finish.usage.completionTokens);
}

async function whole(pieces: AsyncIterable<Piece>): Promise<Answer> {
  const told = new Told();
  let logprob = 0;
  let finish: Answer['finish'] | undefined;
  for await (const piece of pieces) {
    told.add(piece);
    if (piece.finish) finish = piece.finish;
    else logprob += piece.logprobs?.logprob ?? 0;
  }
  const { text, reasoning } = told;
  return { text, reasoning, logprob, finish: finish as Answer['finish'] };
}
