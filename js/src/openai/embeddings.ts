/** `embeddings.create`. */

import { invalidOption } from '../common/errors.js';
import { areStrings } from '../options/check.js';
import type { Llm } from '../types/index.js';
import type { CreateEmbeddingResponse, EmbeddingRequest, Embeddings, RequestOptions } from '../types/openai.js';
import { checkFields, inTheirNames } from './request.js';

const FIELDS = new Set(['input', 'model', 'encoding_format', 'adapter', 'task']);

export function createEmbeddings(llm: () => Llm): Embeddings {
  return {
    async create(request: EmbeddingRequest, { signal }: RequestOptions = {}): Promise<CreateEmbeddingResponse> {
      checkFields(request, FIELDS);
      const { input, encoding_format: format = 'float', adapter, task } = request;
      if (format !== 'float' && format !== 'base64') {
        throw invalidOption('encoding_format', "'float' or 'base64'", format);
      }
      const texts = typeof input === 'string' ? [input] : input;
      if (!areStrings(texts) || texts.length === 0) {
        throw invalidOption('input', 'a string, or an array of strings, not empty', input);
      }
      const model = llm();
      const names = { texts: 'input' };
      const options = {
        ...(signal && { signal }),
        ...(adapter != null && { adapter }),
        ...(task != null && { task }),
      };
      const vectors = await inTheirNames(names, () => model.embed(texts, options));
      let tokens = 0;
      for (const text of texts as string[]) tokens += (await model.tokenize(text)).length;
      return {
        object: 'list',
        model: model.info.name,
        data: vectors.map((vector, index) => ({
          object: 'embedding',
          index,
          embedding: (format === 'base64' ? base64(vector) : [...vector]) as number[],
        })),
        usage: { prompt_tokens: tokens, total_tokens: tokens },
      };
    },
  };
}

/** Encodes little-endian floats, as the official client expects them. */
function base64(vector: Float32Array): string {
  const bytes = new Uint8Array(vector.length * 4);
  const view = new DataView(bytes.buffer);
  vector.forEach((value, index) => view.setFloat32(index * 4, value, true));
  return btoa(String.fromCharCode(...bytes));
}
