/**
 * Conversations in the browser's storage (IndexedDB). Without it, they last as long as the page.
 */

import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { SavedTurn } from './conversation.js';

export interface SavedConversation {
  id: string;
  /** Null: named by its first question. */
  title: string | null;
  /** When it last changed, in milliseconds since 1970. */
  changed: number;
  turns: SavedTurn[];
  /** Address of the model that answered last; null for a file of the user. */
  model: string | null;
}

interface Schema extends DBSchema {
  conversations: { key: string; value: SavedConversation; indexes: { changed: number } };
}

const NAME = 'weft-page';

/** Used where the browser forbids IndexedDB, in some private windows for example. */
const inMemory = new Map<string, SavedConversation>();
let opening: Promise<IDBPDatabase<Schema> | null> | undefined;

function open(): Promise<IDBPDatabase<Schema> | null> {
  opening ??= openDB<Schema>(NAME, 1, {
    upgrade(db) {
      db.createObjectStore('conversations', { keyPath: 'id' }).createIndex('changed', 'changed');
    },
    terminated: () => (opening = undefined),
  }).catch(() => null);
  return opening;
}

/** All conversations, the last changed first. */
export async function savedConversations(): Promise<SavedConversation[]> {
  const db = await open();
  const all = db ? await db.getAllFromIndex('conversations', 'changed') : [...inMemory.values()];
  return db ? all.reverse() : all.sort((a, b) => b.changed - a.changed);
}

export async function savedConversation(id: string): Promise<SavedConversation | undefined> {
  const db = await open();
  return db ? db.get('conversations', id) : inMemory.get(id);
}

/** Full storage costs the page nothing but this save. */
export async function saveConversation(conversation: SavedConversation): Promise<void> {
  const db = await open();
  if (!db) inMemory.set(conversation.id, conversation);
  else await db.put('conversations', conversation).catch(() => inMemory.set(conversation.id, conversation));
}

export async function deleteConversation(id: string): Promise<void> {
  inMemory.delete(id);
  await (await open())?.delete('conversations', id);
}

export function titleOf({ title, turns }: SavedConversation): string {
  return title ?? turns[0]?.question.replace(/\s+/g, ' ').slice(0, 80) ?? 'Empty';
}

/** Whether each word stands somewhere in the title or the turns. */
export function contains(conversation: SavedConversation, words: string): boolean {
  const text = [titleOf(conversation), ...conversation.turns.flatMap(({ question, answer }) => [question, answer])]
    .join('\n')
    .toLocaleLowerCase();
  return words
    .toLocaleLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
