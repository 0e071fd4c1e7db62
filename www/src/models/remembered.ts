/**
 * What the store has of chats beside their text: what a model computed of them, so that they go on
 * after a reload without being read again.
 */

import { models, type Llm, type Message, type StoredModel } from 'weft-llm';

/** A shorter chat is computed about as quickly as it is read from the store. */
const LEAST_TOKENS = 256;

/** Behind the source of a model in that of a chat. */
const MARK = '#prompt-';

let storing = new AbortController();
let stored: Promise<unknown> = Promise.resolve();

/** Stores a chat of so many tokens while nothing else is asked of the model. */
export function rememberChat(model: Llm, messages: readonly Message[], tokens: number): void {
  storing.abort();
  if (tokens < LEAST_TOKENS) return;
  storing = new AbortController();
  // What cannot be stored is computed on the next visit.
  stored = model.remember(messages, { pinned: false, signal: storing.signal }).catch(() => undefined);
}

/** Ends what {@link rememberChat} began. */
export async function stopRemembering(): Promise<void> {
  storing.abort();
  await stored;
}

/**
 * Deletes what is stored of chats: their text could be read from it. Of those of all models, since
 * nothing tells which chat each is of. Without a store there is nothing to delete.
 */
export async function forgetChats(): Promise<void> {
  await stopRemembering();
  const all = await models.list().catch(() => []);
  await forget(all.filter(isChat));
}

/** Deletes these; returns whether they were there. */
export async function forget(chats: readonly StoredModel[]): Promise<boolean> {
  const deleted = await Promise.all(chats.map(({ source }) => models.delete(source).catch(() => false)));
  return deleted.every(Boolean);
}

export const isChat = ({ promptTokens }: StoredModel): boolean => promptTokens !== undefined;
export const isModel = (stored: StoredModel): boolean => !isChat(stored);

/** The model that a stored chat is of. */
export const modelOf = ({ source }: StoredModel): string => source.slice(0, source.lastIndexOf(MARK));
