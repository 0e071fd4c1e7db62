/**
 * Conversations in the browser's storage (IndexedDB). Without it, they last as long as the page.
 */

import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import {
  applied,
  emptyConversation,
  readConversation,
  type Changes,
  type SavedConversation,
} from './conversations/record.js';
import { tell } from './conversations/tabs.js';

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

/** All conversations, the last changed first. One that cannot be read does not hide the others. */
export async function savedConversations(): Promise<SavedConversation[]> {
  const stored = await (await open())?.getAll('conversations');
  const all = [...(stored ?? []), ...inMemory.values()].flatMap((one) => readable(one) ?? []);
  return all.sort((a, b) => b.changed - a.changed);
}

export async function savedConversation(id: string): Promise<SavedConversation | undefined> {
  return readable(inMemory.get(id) ?? (await (await open())?.get('conversations', id)));
}

function readable(stored: unknown): SavedConversation | undefined {
  try {
    return stored === undefined ? undefined : readConversation(stored);
  } catch {
    return undefined;
  }
}

/** Saves a whole conversation: a new one, or one that comes back. */
export async function saveConversation(conversation: SavedConversation): Promise<void> {
  const db = await open();
  const keep = () => void inMemory.set(conversation.id, conversation);
  if (!db) keep();
  else await db.put('conversations', conversation).catch(keep);
  tell({ what: 'saved', id: conversation.id });
}

/**
 * Saves what changed, so that what another tab saved stays. `mayBegin`: the conversation may be
 * new; otherwise it was deleted if it is not there, and stays so. Full storage costs the page
 * nothing but this save.
 */
export async function saveChanges(id: string, changes: Changes, mayBegin: boolean): Promise<void> {
  const db = await open();
  const next = (stored: unknown) => {
    const before = readable(stored) ?? (mayBegin ? emptyConversation(id) : undefined);
    return before && applied(before, changes);
  };
  const keep = (changed: SavedConversation | undefined) => void (changed && inMemory.set(id, changed));
  if (!db || inMemory.has(id)) {
    keep(next(inMemory.get(id)));
  } else {
    let changed: SavedConversation | undefined;
    try {
      const transaction = db.transaction('conversations', 'readwrite');
      changed = next(await transaction.store.get(id));
      if (changed) await transaction.store.put(changed);
      await transaction.done;
    } catch {
      keep(changed);
    }
  }
  tell({ what: 'saved', id });
}

export async function deleteConversation(id: string): Promise<void> {
  inMemory.delete(id);
  await (await open())?.delete('conversations', id);
  tell({ what: 'deleted', id });
}
