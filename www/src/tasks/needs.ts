/** What a task needs of a model, and what to say of a model that lacks it. */

import type { ModelInfo } from 'weft-llm';

export type Need = 'chat' | 'infill' | 'own labels' | 'labels' | 'embed';

/** A few words for the list of tasks. */
export const shortNeed: Record<Need, string> = {
  chat: 'needs a model that chats',
  infill: 'needs a coder model',
  'own labels': 'needs a model that writes text',
  labels: 'needs a model that writes text, or a classifier',
  embed: 'needs an embedding model',
};

/** A sentence about what the model lacks and which would do, or null if it can. */
export function lacks(need: Need, { kind, tasks, labels, hasChatTemplate }: ModelInfo): string | null {
  const isEncoder = kind === 'encoder';
  switch (need) {
    case 'chat':
      if (isEncoder) return 'This model is an encoder: it reads text and writes none. Load a decoder that chats.';
      return hasChatTemplate
        ? null
        : 'This model has no chat template: it continues texts, and was not trained to follow instructions. Load one whose name says Instruct, Chat or it.';
    case 'infill':
      return tasks.includes('infill')
        ? null
        : 'This model has no tokens for filling a gap. Coder models have them: Qwen2.5-Coder, StarCoder, CodeGemma, Granite.';
    case 'own labels':
      if (!isEncoder) return null;
      return labels.length > 0
        ? `This model is an encoder with labels of its own: ${labels.join(', ')}. Labels of yours need a decoder.`
        : 'This model is an encoder, which cannot be given labels. Load a decoder.';
    case 'labels':
      return !isEncoder || tasks.includes('classify')
        ? null
        : 'This model is an encoder without a classifier. Load a decoder, or an encoder that was trained for this task.';
    case 'embed':
      return tasks.includes('embed')
        ? null
        : 'This model gives no vectors. Load an embedding model: an encoder such as MiniLM, bge or e5, or Qwen3-Embedding.';
  }
}
