/** Names of models, as people know them. */

import type { ModelInfo, ModelSource } from 'weft-llm';
import { t } from './text/text.js';

export function fileName(source: string): string {
  return source.split(/[/@?]/).findLast((part) => /\.gguf$/i.test(part)) ?? source;
}

/**
 * Family and size, as in `SmolLM2-135M-Instruct`. A file with an address is named so more often
 * than it names itself: many have the name of a training run. A file of the user may be called
 * anything.
 */
export function modelName(source: ModelSource, info: ModelInfo): string {
  const first = Array.isArray(source) ? source[0] : source;
  const isOfUser = typeof first !== 'string' && !(first instanceof URL);
  if (isOfUser && info.basename !== null) return [info.basename, info.sizeLabel].filter(Boolean).join(' ');
  const file =
    typeof first === 'string' ? first : first instanceof URL ? first.href : first instanceof File ? first.name : '';
  const name = fileName(file);
  if (!/\.gguf$/i.test(name)) return info.name;
  return decodeURIComponent(name)
    .replace(/\.gguf$/i, '')
    .replace(/-\d{5}-of-\d{5}$/, '')
    .replace(/[-.](?:[IT]?Q\d\w*|B?F(?:16|32)|(?:MX|NV)FP4)$/i, '');
}

/** What a model was chosen by, to tell it to people. */
export function sourceName(source: ModelSource): string {
  const first = Array.isArray(source) ? source[0] : source;
  if (typeof first === 'string') return fileName(first);
  if (first instanceof URL) return fileName(first.href);
  return first && 'name' in first ? String(first.name) : t('a-file');
}

/** crypto.randomUUID is not there on a page without TLS. */
export const newId = () => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
