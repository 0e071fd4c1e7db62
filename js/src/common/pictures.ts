/** Pictures in messages. */

import type { PictureSource, PlainMessage } from './protocol.js';

/** The pictures of a conversation, in order. */
export function picturesOf(messages: readonly PlainMessage[]): readonly PictureSource[] {
  return messages.flatMap(({ parts = [] }) => parts.filter((part) => typeof part !== 'string'));
}
