/**
 * `weft-llm/ai-sdk`: a loaded or remote model for the AI SDK (version 7): `generateText({ model:
 * languageModel(llm), prompt })`.
 */

import type { EmbeddingModel } from 'ai';
import { invalidOption } from '../common/errors.js';
import { anyOf, streamOf } from '../common/signals.js';
import { checkLlm } from '../options/check.js';
import type { AnyLlm } from '../remote/types.js';
import type { Llm } from '../types/index.js';
import { finishOf, metadataOf, partsOf, responseOf, usageOf } from './parts.js';
import { requestOf, type SdkModel } from './prompt.js';

export type { SdkModel } from './prompt.js';
export type SdkEmbeddingModel = Extract<EmbeddingModel, { readonly specificationVersion: 'v4' }>;

/** A loaded or remote model that computes embeddings. */
export type Embeds = Pick<Llm, 'embed'> & { readonly info: { readonly name: string } };

const PROVIDER = 'weft';

/**
 * A language model for the AI SDK: text, objects (the schema constrains the answer), tools,
 * streams. `providerOptions: { weft }` takes more fields of {@link ChatCompletionRequest}. With
 * `hybrid` and `remote`, `providerMetadata.weft` tells where the answer was computed.
 */
export function languageModel(llm: AnyLlm): SdkModel {
  checkLlm(llm, 'chat');
  return {
    specificationVersion: 'v4',
    provider: PROVIDER,
    get modelId() {
      return llm.info.name;
    },
    supportedUrls: {},
    async doGenerate(call) {
      const { request, warnings } = requestOf(call);
      const answer = await llm.chat.completions.create({ ...request, stream: false }, { signal: call.abortSignal });
      const [choice] = answer.choices;
      const { content = null, tool_calls: calls = [], reasoning_content: thought } = choice?.message ?? {};
      return {
        content: [
          ...(thought ? [{ type: 'reasoning' as const, text: thought }] : []),
          ...(content ? [{ type: 'text' as const, text: content }] : []),
          ...calls.map(({ id, function: { name, arguments: input } }) => ({
            type: 'tool-call' as const,
            toolCallId: id,
            toolName: name,
            input: input || '{}',
          })),
        ],
        finishReason: finishOf(choice?.finish_reason),
        usage: usageOf(answer.usage),
        ...metadataOf(answer.ran_on, choice?.schema_ignored),
        response: responseOf(answer),
        warnings,
      };
    },
    async doStream(call) {
      const { request, warnings } = requestOf(call);
      const streamed = { ...request, stream: true, stream_options: { include_usage: true } } as const;
      const stop = new AbortController();
      const { signal } = anyOf(stop.signal, call.abortSignal);
      const chunks = await llm.chat.completions.create(streamed, { signal });
      return { stream: streamOf(partsOf(chunks, warnings), () => stop.abort()) };
    },
  };
}

/** An embedding model for the AI SDK. */
export function embeddingModel(llm: Embeds): SdkEmbeddingModel {
  checkLlm(llm, 'embed');
  return {
    specificationVersion: 'v4',
    provider: PROVIDER,
    get modelId() {
      return llm.info.name;
    },
    // texts are encoded one after the other
    maxEmbeddingsPerCall: Infinity,
    supportsParallelCalls: false,
    async doEmbed({ values, dimensions, abortSignal }) {
      if (dimensions !== undefined)
        throw invalidOption('dimensions', 'none: the model determines the dimensions', dimensions);
      const vectors = await llm.embed(values, abortSignal ? { signal: abortSignal } : {});
      return { embeddings: vectors.map((vector) => [...vector]), warnings: [] };
    },
  };
}

/** Models by name, for the AI SDK's registry: `provider({ chat: llm, search: encoder })`. */
export function provider(models: Readonly<Record<string, AnyLlm | Embeds>>): {
  readonly specificationVersion: 'v4';
  languageModel(id: string): SdkModel;
  embeddingModel(id: string): SdkEmbeddingModel;
  imageModel(id: string): never;
} {
  const find = <Kind extends 'chat' | 'embed'>(id: string, kind: Kind) => {
    const model = Object.hasOwn(models, id) ? models[id] : undefined;
    if (model && kind in model) return model as Extract<AnyLlm | Embeds, Record<Kind, unknown>>;
    const able = Object.keys(models).filter((name) => kind in (models[name] ?? {}));
    throw invalidOption('model', `one of ${able.join(', ') || 'none'}`, id);
  };
  return {
    specificationVersion: 'v4',
    languageModel: (id) => languageModel(find(id, 'chat')),
    embeddingModel: (id) => embeddingModel(find(id, 'embed')),
    imageModel(id) {
      throw invalidOption('model', 'a language model: weft does not generate images', id);
    },
  };
}
