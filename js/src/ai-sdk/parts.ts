/** Converts answers in OpenAI's format to the AI SDK's. */

import { WeftError } from '../common/errors.js';
import type { AnyAnswer, AnyCompletionUsage, RanOn } from '../remote/types.js';
import type { IgnoredKeyword } from '../types/index.js';
import type { ChatCompletionChunk } from '../types/openai.js';
import type { SdkModel, SdkWarning } from './prompt.js';

export type SdkResult = Awaited<ReturnType<SdkModel['doGenerate']>>;
type SdkStream = Awaited<ReturnType<SdkModel['doStream']>>['stream'];
export type SdkPart = SdkStream extends ReadableStream<infer Part> ? Part : never;

/** A call as far as it was received: servers send its arguments in pieces. */
interface Call {
  readonly id: string;
  readonly name: string;
  input: string;
}

/** Errors of the model become parts before the last one. An abort ends the stream. */
export async function* partsOf(
  chunks: AsyncIterable<AnyAnswer<ChatCompletionChunk>>,
  warnings: SdkWarning[],
): AsyncGenerator<SdkPart> {
  try {
    yield* answerOf(chunks, warnings);
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    yield { type: 'error', error };
    yield { type: 'finish', finishReason: { unified: 'error', raw: error.code }, usage: usageOf(null) };
  }
}

async function* answerOf(
  chunks: AsyncIterable<AnyAnswer<ChatCompletionChunk>>,
  warnings: SdkWarning[],
): AsyncGenerator<SdkPart> {
  yield { type: 'stream-start', warnings };
  let told = false;
  let block: { readonly kind: 'text' | 'reasoning'; readonly id: string } | undefined;
  let blocks = 0;
  const calls = new Map<number, Call>();
  let finish: string | null = null;
  let usage: AnyCompletionUsage | undefined;
  let ranOn: RanOn | undefined;
  let ignored: readonly IgnoredKeyword[] | undefined;
  for await (const chunk of chunks) {
    if (!told) yield { type: 'response-metadata', ...responseOf(chunk) };
    told = true;
    usage = chunk.usage ?? usage;
    ranOn = chunk.ran_on ?? ranOn;
    const choice = chunk.choices[0];
    if (!choice) continue;
    finish = choice.finish_reason ?? finish;
    ignored = choice.schema_ignored ?? ignored;
    const { content, reasoning_content: thought, tool_calls: deltas = [] } = choice.delta as Delta;
    for (const [kind, delta] of [['reasoning', thought] as const, ['text', content] as const]) {
      if (!delta) continue;
      if (block?.kind !== kind) {
        if (block) yield { type: `${block.kind}-end`, id: block.id };
        block = { kind, id: String(blocks++) };
        yield { type: `${kind}-start`, id: block.id };
      }
      yield { type: `${kind}-delta`, id: block.id, delta };
    }
    for (const { index = 0, id, function: called } of deltas) {
      let call = calls.get(index);
      if (!call) {
        call = { id: id ?? `call_${crypto.randomUUID()}`, name: called?.name ?? '', input: '' };
        calls.set(index, call);
        yield { type: 'tool-input-start', id: call.id, toolName: call.name };
      }
      if (!called?.arguments) continue;
      call.input += called.arguments;
      yield { type: 'tool-input-delta', id: call.id, delta: called.arguments };
    }
  }
  if (block) yield { type: `${block.kind}-end`, id: block.id };
  for (const { id, name, input } of calls.values()) {
    yield { type: 'tool-input-end', id };
    yield { type: 'tool-call', toolCallId: id, toolName: name, input: input || '{}' };
  }
  yield { type: 'finish', finishReason: finishOf(finish), usage: usageOf(usage), ...metadataOf(ranOn, ignored) };
}

interface Delta {
  readonly content?: string | null;
  readonly reasoning_content?: string | null;
  readonly tool_calls?: readonly {
    readonly index?: number;
    readonly id?: string;
    readonly function?: { readonly name?: string; readonly arguments?: string };
  }[];
}

export function responseOf({ id, model, created }: { id: string; model: string; created: number }): {
  id: string;
  modelId: string;
  timestamp: Date;
} {
  return { id, modelId: model, timestamp: new Date(created * 1000) };
}

export function finishOf(reason: string | null | undefined): SdkResult['finishReason'] {
  const raw = reason ?? undefined;
  switch (reason) {
    case 'stop':
    case 'length':
      return { unified: reason, raw };
    case 'tool_calls':
      return { unified: 'tool-calls', raw };
    case 'content_filter':
      return { unified: 'content-filter', raw };
    default:
      return { unified: 'other', raw };
  }
}

export function usageOf(usage: AnyCompletionUsage | null | undefined): SdkResult['usage'] {
  const { prompt_tokens: prompt, completion_tokens: completion, prompt_tokens_details: details } = usage ?? {};
  const cached = details?.cached_tokens;
  return {
    inputTokens: {
      total: prompt,
      noCache: prompt === undefined || cached === undefined ? undefined : prompt - cached,
      cacheRead: cached,
      cacheWrite: undefined,
    },
    outputTokens: { total: completion, text: undefined, reasoning: undefined },
    ...(usage ? { raw: JSON.parse(JSON.stringify(usage)) } : {}),
  };
}

/**
 * Tells where the answer was computed and which parts of its schema are not enforced, if there is
 * something to tell.
 */
export function metadataOf(
  ranOn: RanOn | undefined,
  ignored: readonly IgnoredKeyword[] | undefined,
): Pick<SdkResult, 'providerMetadata'> {
  const weft = {
    ...(ranOn ? { ranOn: { ...ranOn } } : {}),
    ...(ignored ? { schemaIgnored: ignored.map((part) => ({ ...part })) } : {}),
  };
  return ranOn || ignored ? { providerMetadata: { weft } } : {};
}
