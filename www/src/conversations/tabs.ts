/**
 * What the tabs of the page tell each other about the chats. While one answers in a chat, it holds
 * a lock, and the others follow it. Where the browser has no channel or no locks, a tab is alone.
 */

/** A chat was saved or deleted; or the answer in it is to stop, whichever tab writes it. */
export type News = { what: 'saved' | 'deleted' | 'stop'; id: string };

const channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('weft-chats') : null;
/** Not there on a page without TLS. */
const locks = 'locks' in navigator ? navigator.locks : null;

export function tell(news: News): void {
  channel?.postMessage(news);
}

/** Calls back with what other tabs tell. Returns the end of it. */
export function onNews(listener: (news: News) => void): () => void {
  const listen = ({ data }: MessageEvent<News>) => listener(data);
  channel?.addEventListener('message', listen);
  return () => channel?.removeEventListener('message', listen);
}

const lockOf = (id: string) => `weft-chat ${id}`;

/** Lets the other tabs know that this one answers in a chat, until it is done or closed. */
export function answering(id: string, answer: Promise<void>): void {
  void locks?.request(lockOf(id), { mode: 'shared' }, () => answer);
}

/** Whether a tab answers in this chat. Those that wait for the end of it hold the lock alone. */
export async function isAnswered(id: string): Promise<boolean> {
  const { held = [] } = (await locks?.query()) ?? {};
  return held.some(({ name, mode }) => name === lockOf(id) && mode === 'shared');
}

/** Waits until no tab answers in a chat any more, even if it was closed. */
export async function untilAnswered(id: string): Promise<void> {
  await locks?.request(lockOf(id), () => undefined);
}
