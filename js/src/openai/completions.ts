/** `completions.create`. */

import { atOnce } from '../answers/at-once.js';
import { begun, unlessEnded } from '../common/signals.js';
import type { Llm, Piece, TokenLogprobs } from '../types/index.js';
import type {
  Completion,
  CompletionChunk,
  CompletionRequest,
  Completions,
  CompletionUsage,
  RequestOptions,
  TextLogprobs,
} from '../types/openai.js';
import { header, UsageSum, type Header } from './answer.js';
import { inTheirNames, planText, TEXT_NAMES, type TextPlan } from './request.js';

interface Step {
  readonly index: number;
  readonly text: string;
  readonly logprobs: TextLogprobs | null;
  readonly finish: 'stop' | 'length' | null;
}

export function createCompletions(llm: () => Llm): Completions {
  const create = async (request: CompletionRequest, options: RequestOptions = {}) => {
    const plan = planText(request, options, llm().info.contextLength);
    return inTheirNames(TEXT_NAMES, async () => {
      const usage = new UsageSum();
      const first = await begin(llm(), plan, options.signal);
      const steps = answer(llm(), plan, first, usage, options.signal);
      const common = header(llm(), 'cmpl');
      const count = plan.prompts.length * plan.answers.length;
      return plan.stream
        ? chunks(steps, common, plan.includeUsage ? usage : null)
        : await whole(steps, common, usage, count);
    });
  };
  return { create: create as Completions['create'] };
}

/**
 * Starts the first answer. For a stream, waits until it has started and every further prompt is
 * known to fit.
 */
async function begin(
  llm: Llm,
  { prompts: [prompt = '', ...others], answers: [options], stream }: TextPlan,
  signal: RequestOptions['signal'],
): Promise<AsyncIterable<Piece>> {
  const first = llm.generate(prompt, options);
  if (!stream) return first;
  for (const other of others) await begun(llm.generate(other, { ...options, maxTokens: 0 }), signal);
  await begun(first, signal);
  return first;
}

/** Generates all answers at once; those to the first prompt have the first indices. */
async function* answer(
  llm: Llm,
  plan: TextPlan,
  first: AsyncIterable<Piece>,
  usage: UsageSum,
  signal: RequestOptions['signal'],
): AsyncGenerator<Step> {
  const { prompts, answers, echo } = plan;
  const groups = prompts.map((prompt, number) =>
    answers.map((options, i) => () => (number + i === 0 ? first : llm.generate(prompt, options))),
  );
  /** Where the text of each answer goes on, once it has begun. */
  const offsets = new Map<number, { next: number }>();
  for await (const [index, piece] of atOnce(groups)) {
    unlessEnded(piece, signal);
    const offset = offsets.get(index) ?? { next: 0 };
    if (echo && !offsets.has(index)) {
      const prompt = prompts[Math.floor(index / answers.length)] ?? '';
      const text = typeof prompt === 'string' ? prompt : await llm.detokenize(prompt);
      offset.next = text.length;
      yield { index, text, logprobs: null, finish: null };
    }
    offsets.set(index, offset);
    const logprobs = !piece.finish && piece.logprobs ? textLogprobs(piece.logprobs, offset) : null;
    if (piece.finish) usage.add(piece.finish, index % answers.length === 0);
    const finish = piece.finish && (piece.finish.reason === 'length' ? 'length' : 'stop');
    if (piece.text || logprobs || finish) yield { index, text: piece.text, logprobs, finish };
  }
}

function textLogprobs({ text, logprob, top }: TokenLogprobs, offset: { next: number }): TextLogprobs {
  const at = offset.next;
  offset.next += text.length;
  return {
    tokens: [text],
    token_logprobs: [logprob],
    top_logprobs: [Object.fromEntries(top.map((token) => [token.text, token.logprob]))],
    text_offset: [at],
  };
}

async function* chunks(
  steps: AsyncIterable<Step>,
  common: Header,
  usage: UsageSum | null,
): AsyncGenerator<CompletionChunk> {
  const chunk = (choices: CompletionChunk['choices'], sum: CompletionUsage | null): CompletionChunk => ({
    ...common,
    object: 'text_completion',
    choices,
    ...(usage ? { usage: sum } : {}),
  });
  for await (const { finish, ...step } of steps) yield chunk([{ ...step, finish_reason: finish }], null);
  if (usage) yield chunk([], usage.sum());
}

async function whole(steps: AsyncIterable<Step>, common: Header, usage: UsageSum, count: number): Promise<Completion> {
  const choices = Array.from({ length: count }, (_, index): Completion['choices'][number] => ({
    index,
    text: '',
    finish_reason: 'stop',
    logprobs: null,
  }));
  for await (const { index, text, logprobs, finish } of steps) {
    const choice = choices[index];
    if (!choice) continue;
    choice.text += text;
    if (logprobs) choice.logprobs = choice.logprobs ? join(choice.logprobs, logprobs) : logprobs;
    if (finish) choice.finish_reason = finish;
  }
  return { ...common, object: 'text_completion', choices, usage: usage.sum() };
}

function join(a: TextLogprobs, b: TextLogprobs): TextLogprobs {
  return {
    tokens: [...a.tokens, ...b.tokens],
    token_logprobs: [...a.token_logprobs, ...b.token_logprobs],
    top_logprobs: [...a.top_logprobs, ...b.top_logprobs],
    text_offset: [...a.text_offset, ...b.text_offset],
  };
}
