/** Conversations as files: Markdown to read, JSON to keep and to bring back. */

import { newId } from '../names.js';
import { readConversation, shownTurns, titleOf, type SavedConversation } from './record.js';
import { t } from '../text/text.js';

const FORMAT = 'weft-chats';

/** The turns that are shown. */
export function toMarkdown(saved: SavedConversation): string {
  const turns = shownTurns(saved).flatMap(({ question, answer }) => [
    `## ${t('turn-question')}\n\n${question}`,
    `## ${t('turn-answer')}\n\n${answer === '' ? `*${t('turn-no-answer')}*` : answer}`,
  ]);
  return `${[`# ${titleOf(saved)}`, ...turns].join('\n\n')}\n`;
}

/** All branches of all of them. */
export function toJson(chats: readonly SavedConversation[]): string {
  return `${JSON.stringify({ format: FORMAT, version: 1, chats }, null, 2)}\n`;
}

/** Reads a file of {@link toJson}. Throws a sentence for the user where it is none. */
export function fromJson(text: string): SavedConversation[] {
  let chats: unknown;
  try {
    const file = JSON.parse(text) as { format?: unknown; chats?: unknown } | null;
    if (file?.format === FORMAT) chats = file.chats;
  } catch {
    // said below
  }
  if (!Array.isArray(chats)) throw new TypeError(t('import-no-chats'));
  try {
    return chats.map(readConversation);
  } catch (error) {
    throw new TypeError(t('import-damaged', { error: error instanceof Error ? error.message : String(error) }), {
      cause: error,
    });
  }
}

/** A name that every file system takes. */
export function fileNameOf(saved: SavedConversation, ending: string): string {
  const name = titleOf(saved)
    .replace(/[\p{Cc}\p{Cf}<>:"/\\|?*]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .slice(0, 60)
    .replace(/^[\s.]+|[\s.]+$/g, '');
  return `${name || t('nav-chat')}.${ending}`;
}

/** The chats of a file that are not here yet. One that differs from its namesake gets a new id. */
export function newChats(read: readonly SavedConversation[], here: readonly SavedConversation[]): SavedConversation[] {
  const known = new Map(here.map((chat) => [chat.id, chat]));
  return read.flatMap((chat) => {
    const namesake = known.get(chat.id);
    if (!namesake) return chat;
    return JSON.stringify(namesake.turns) === JSON.stringify(chat.turns) ? [] : { ...chat, id: newId() };
  });
}

export function download(name: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain;charset=utf-8' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
