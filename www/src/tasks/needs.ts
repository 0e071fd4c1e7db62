/** What a task needs of a model, and what to say of a model that lacks it. */

import type { ModelInfo } from 'weft-llm';
import { list, t } from '../text/text.js';

/** The message `need-` with it names the models that have it. */
export type Need = 'chat' | 'infill' | 'own-labels' | 'labels' | 'embed';

/** A sentence about what the model lacks and which would do, or null if it can. */
export function lacks(need: Need, { kind, tasks, labels, hasChatTemplate }: ModelInfo): string | null {
  const isEncoder = kind === 'encoder';
  switch (need) {
    case 'chat':
      if (isEncoder) return t('lacks-chat-encoder');
      return hasChatTemplate ? null : t('lacks-chat');
    case 'infill':
      return tasks.includes('infill') ? null : t('lacks-infill');
    case 'own-labels':
      if (!isEncoder) return null;
      return labels.length > 0 ? t('lacks-own-labels', { labels: list(labels) }) : t('lacks-any-labels');
    case 'labels':
      return !isEncoder || tasks.includes('classify') ? null : t('lacks-labels');
    case 'embed':
      return tasks.includes('embed') ? null : t('lacks-embed');
  }
}
