/** `chat.completions.create`. */

import { atOnce } from '../answers/at-once.js';
import { Told } from '../answers/told.js';
import { begun, unlessEnded } from '../common/signals.js';
import { ToolParser, type Part } from '../tools/parser.js';
import type { IgnoredKeyword, Llm, Piece } from '../types/index.js';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatCompletions,
  ChatDelta,
  ChatFinishReason,
  ChatLogprobs,
  CompletionUsage,
  FunctionToolCall,
  RequestOptions,
} from '../types/openai.js';
import { header, toChatLogprob, UsageSum, type Header } from './answer.js';
import { chatNames, inTheirNames, planChat, type ChatPlan } from './request.js';

/** One step of an answer. */
interface Step {
  readonly index: number;
  readonly delta: ChatDelta;
  readonly logprobs: ChatLogprobs | null;
  readonly finish: ChatFinishReason | null;
  /** See {@link Piece}. A stream cannot take back text that it has sent. */
  readonly endsReasoning?: true;
  /** In the last step. */
  readonly ignored?: readonly IgnoredKeyword[];
}

export function createChatCompletions(llm: () => Llm): ChatCompletions {
  const create = async (request: ChatCompletionRequest, options: RequestOptions = {}) => {
    const plan = planChat(request, options, llm().info.contextLength);
    return inTheirNames(chatNames(request), async () => {
      const usage = new UsageSum();
      const first = llm().chat(plan.messages, plan.answers[0]);
      if (plan.stream) await begun(first, options.signal);
      const steps = answer(llm(), plan, first, usage, options.signal);
      const common = header(llm(), 'chatcmpl');
      return plan.stream
        ? chunks(steps, common, plan.includeUsage ? usage : null)
        : await whole(steps, common, usage, plan.answers.length);
    });
  };
  return { create: create as ChatCompletions['create'] };
}

/** Generates the answers at once. */
async function* answer(
  llm: Llm,
  plan: ChatPlan,
  first: AsyncIterable<Piece>,
  usage: UsageSum,
  signal: RequestOptions['signal'],
): AsyncGenerator<Step> {
  const answers = plan.answers.map((_, index) => new Answer(index, plan, usage));
  const starts = plan.answers.map((options, index) => () => (index === 0 ? first : llm.chat(plan.messages, options)));
  // a stream begins before the prompt is read
  yield* (answers[0] as Answer).begin();
  for await (const [index, piece] of atOnce([starts])) {
    unlessEnded(piece, signal);
    yield* (answers[index] as Answer).steps(piece);
  }
}

/** Makes the steps of one answer. */
class Answer {
  readonly #index: number;
  readonly #parser: ToolParser | undefined;
  readonly #usage: UsageSum;
  #begun = false;
  #calls = 0;

  constructor(index: number, plan: ChatPlan, usage: UsageSum) {
    this.#index = index;
    this.#parser = plan.tools.length > 0 ? new ToolParser(plan.tools, plan.calls) : undefined;
    this.#usage = usage;
  }

  /** The first step, once. */
  *begin(): Generator<Step> {
    if (this.#begun) return;
    this.#begun = true;
    yield { index: this.#index, delta: { role: 'assistant', content: '' }, logprobs: null, finish: null };
  }

  *steps(piece: Piece): Generator<Step> {
    yield* this.begin();
    const index = this.#index;
    const parts = this.#parser ? this.#parser.push(piece.text) : plainPart(piece.text);
    if (piece.finish && this.#parser) parts.push(...this.#parser.end());
    const logprobs =
      !piece.finish && piece.logprobs ? { content: [toChatLogprob(piece.logprobs)], refusal: null } : null;
    const thought = piece.reasoning ? { reasoning_content: piece.reasoning } : {};
    // report each token once, whatever became of its text
    const { endsReasoning } = piece;
    if (piece.reasoning || endsReasoning || (logprobs && parts.length === 0)) {
      yield { index, delta: thought, logprobs, finish: null, ...(endsReasoning ? { endsReasoning } : {}) };
    }
    const deltas = parts.flatMap((part) =>
      part.type === 'text' ? [{ content: part.text }] : callDeltas(part, this.#calls++),
    );
    for (const [i, delta] of deltas.entries()) {
      yield { index, delta, logprobs: i === 0 && !piece.reasoning && !endsReasoning ? logprobs : null, finish: null };
    }
    if (!piece.finish) return;
    this.#usage.add(piece.finish, index === 0);
    const reason = piece.finish.reason === 'length' ? 'length' : 'stop';
    const { ignored } = piece.finish;
    const finish = this.#calls > 0 && reason === 'stop' ? 'tool_calls' : reason;
    yield { index, delta: {}, logprobs: null, finish, ...(ignored ? { ignored } : {}) };
  }
}

function plainPart(text: string): Part[] {
  return text ? [{ type: 'text', text }] : [];
}

function callDeltas({ name, arguments: json }: Extract<Part, { type: 'call' }>, index: number): ChatDelta[] {
  const begin = {
    index,
    id: `call_${crypto.randomUUID()}`,
    type: 'function',
    function: { name, arguments: '' },
  } as const;
  return [{ tool_calls: [begin] }, { tool_calls: [{ index, function: { arguments: json } }] }];
}

async function* chunks(
  steps: AsyncIterable<Step>,
  common: Header,
  usage: UsageSum | null,
): AsyncGenerator<ChatCompletionChunk> {
  const chunk = (choices: ChatCompletionChunk['choices'], sum: CompletionUsage | null): ChatCompletionChunk => ({
    ...common,
    object: 'chat.completion.chunk',
    choices,
    ...(usage ? { usage: sum } : {}),
  });
  for await (const { index, delta, logprobs, finish, ignored } of steps) {
    const told = ignored ? { schema_ignored: ignored } : {};
    yield chunk([{ index, delta, logprobs, finish_reason: finish, ...told }], null);
  }
  if (usage) yield chunk([], usage.sum());
}

async function whole(
  steps: AsyncIterable<Step>,
  common: Header,
  usage: UsageSum,
  count: number,
): Promise<ChatCompletion> {
  const answers = Array.from({ length: count }, () => ({
    told: new Told(),
    calls: [] as FunctionToolCall[],
    logprobs: [] as NonNullable<ChatLogprobs['content']>,
    finish: 'stop' as ChatFinishReason,
    ignored: undefined as readonly IgnoredKeyword[] | undefined,
  }));
  for await (const { index, delta, logprobs, finish, endsReasoning, ignored } of steps) {
    const answer = answers[index];
    if (!answer) continue;
    const { content: text = '', reasoning_content: reasoning = '' } = delta;
    answer.told.add({ text, reasoning, ...(endsReasoning ? { endsReasoning } : {}) });
    for (const { id = '', function: called, index: i } of delta.tool_calls ?? []) {
      const { name = '', arguments: json } = called;
      const call = (answer.calls[i] ??= { id, type: 'function', function: { name, arguments: '' } });
      call.function.arguments += json;
    }
    answer.logprobs.push(...(logprobs?.content ?? []));
    if (finish) answer.finish = finish;
    if (ignored) answer.ignored = ignored;
  }
  const choices = answers.map(
    ({ told: { text, reasoning }, calls, logprobs, finish, ignored }, index): ChatCompletion['choices'][number] => ({
      index,
      message: {
        role: 'assistant',
        content: calls.length > 0 && text === '' ? null : text,
        refusal: null,
        ...(calls.length > 0 ? { tool_calls: calls } : {}),
        ...(reasoning ? { reasoning_content: reasoning } : {}),
      },
      finish_reason: finish,
      logprobs: logprobs.length > 0 ? { content: logprobs, refusal: null } : null,
      ...(ignored ? { schema_ignored: ignored } : {}),
    }),
  );
  return { ...common, object: 'chat.completion', choices, usage: usage.sum() };
}
