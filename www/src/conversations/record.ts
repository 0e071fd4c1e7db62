/** A saved conversation: its format, how older ones are read, and how changes are put into it. */

import { add, EMPTY, path, remove, START, type Tree } from './tree.js';
import { t } from '../text/text.js';

/**
 * `interrupted`: the page was closed while the answer streamed. `stopped`: the user stopped it, or
 * it was cut off.
 */
export type TurnState = 'waiting' | 'streaming' | 'answered' | 'stopped' | 'interrupted' | 'unanswered';

const STATES: readonly TurnState[] = ['waiting', 'streaming', 'answered', 'stopped', 'interrupted', 'unanswered'];

export interface SavedTurn {
  id: string;
  /** The turn before it, {@link START} for a first one. */
  parent: string;
  question: string;
  /** `data:` URLs; absent without any. */
  pictures?: readonly string[];
  /** Markdown as the model wrote it. */
  answer: string;
  state: TurnState;
  /** Empty without an answer. */
  stats: Stats;
}

/** How an answer ended, and how fast it came. Earlier versions of the page saved it as a text. */
export type Stats = string | Figures;

const ENDS = ['stop', 'abort', 'length', 'full'] as const;

interface Figures {
  /** `length`: it is as long as an answer may be. `full`: the context is. */
  end: (typeof ENDS)[number];
  tokensPerSecond: number;
  /** Until its first token. */
  firstMs: number;
  tokens: number;
  /** Steps of the model that they took: fewer than tokens where drafts were right. */
  steps: number;
  promptTokens: number;
  cachedTokens: number;
}

/** Values of the settings of a chat, by name. */
export type Values = Readonly<Record<string, string>>;

export interface SavedConversation {
  id: string;
  /** Null: named by its first question. */
  title: string | null;
  /** When a turn last changed, in milliseconds since 1970. */
  changed: number;
  turns: readonly SavedTurn[];
  /** The turn that is shown after a turn, where several follow. */
  shown: Values;
  /** Address of the model that answered last; null for a file of the user. */
  model: string | null;
  /** Name of the user's file, if it was one. */
  file: string | null;
  /** Null: the settings of new chats. */
  settings: Values | null;
}

/** What a tab changed in a conversation. What it did not change is another tab's matter. */
export interface Changes extends Partial<Omit<SavedConversation, 'id' | 'turns'>> {
  /** New and changed turns. */
  turns: readonly SavedTurn[];
  removed: readonly string[];
}

export function emptyConversation(id: string): SavedConversation {
  return { id, title: null, changed: 0, turns: [], shown: {}, model: null, file: null, settings: null };
}

/** Puts the changes of a tab into what is stored, so that the turns of another tab stay. */
export function applied(stored: SavedConversation, { turns, removed, ...rest }: Changes): SavedConversation {
  let tree = treeOf(stored);
  const kept = new Map(stored.turns.map((turn) => [turn.id, turn]));
  for (const id of removed) {
    tree = remove(tree, id);
    kept.delete(id);
  }
  for (const turn of turns) kept.set(turn.id, turn);
  const parentOf = ({ id, parent }: SavedTurn) =>
    parent === START || kept.has(parent) ? parent : (tree.parents.get(id) ?? START);
  const changed = new Set(turns);
  const placed = [...kept.values()].map((turn) => ({
    ...turn,
    parent: changed.has(turn) ? parentOf(turn) : (tree.parents.get(turn.id) ?? START),
  }));
  return { ...stored, ...rest, turns: placed, shown: { ...Object.fromEntries(tree.shown), ...rest.shown } };
}

export function treeOf({ turns, shown }: Pick<SavedConversation, 'turns' | 'shown'>): Tree {
  return { parents: new Map(turns.map(({ id, parent }) => [id, parent])), shown: new Map(Object.entries(shown)) };
}

/** The turns that are shown. */
export function shownTurns(saved: SavedConversation): SavedTurn[] {
  const turns = new Map(saved.turns.map((turn) => [turn.id, turn]));
  return path(treeOf(saved)).map((id) => turns.get(id)!);
}

/**
 * Reads a conversation that was saved by this or an earlier version of the page, or a file that
 * claims to hold one. Turns used to be a plain list, without branches. Throws where it is none.
 */
export function readConversation(value: unknown): SavedConversation {
  const { id, title, changed, turns, shown, model, file, settings } = record(value, 'a chat');
  if (typeof id !== 'string' || id === '') throw new TypeError('a chat has no id');
  if (!Array.isArray(turns)) throw new TypeError(`the chat ${id} has no turns`);
  const read: SavedTurn[] = [];
  let tree = EMPTY;
  for (const [index, turn] of turns.entries()) {
    const { id: own, parent, question, pictures, answer, state, stats } = record(turn, 'a turn');
    if (typeof question !== 'string') throw new TypeError(`a turn of the chat ${id} has no question`);
    const branches = typeof own === 'string' && own !== '' && !tree.parents.has(own);
    const turnId = branches ? own : `${index}`;
    // A turn stands behind an earlier one, so that there is no circle.
    tree = add(tree, turnId, branches ? text(parent) : (read.at(-1)?.id ?? START));
    read.push({
      id: turnId,
      parent: tree.parents.get(turnId)!,
      question,
      ...shownPictures(pictures),
      answer: text(answer),
      state: STATES.includes(state as TurnState) ? (state as TurnState) : 'unanswered',
      stats: figures(stats) ?? text(stats),
    });
  }
  return {
    id,
    title: typeof title === 'string' ? title : null,
    changed: typeof changed === 'number' ? changed : 0,
    turns: read,
    shown: strings(shown) ?? {},
    model: typeof model === 'string' ? model : null,
    file: typeof file === 'string' ? file : null,
    settings: strings(settings),
  };
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new TypeError(`${what} was expected, not ${String(value)}`);
  return value as Record<string, unknown>;
}

function figures(value: unknown): Figures | null {
  if (typeof value !== 'object' || value === null) return null;
  const { end, ...rest } = value as Figures;
  // without steps where an earlier version of the page saved it
  const { tokensPerSecond, firstMs, tokens, steps = tokens, promptTokens, cachedTokens } = rest;
  const numbers = { tokensPerSecond, firstMs, tokens, steps, promptTokens, cachedTokens };
  if (!ENDS.includes(end) || !Object.values(numbers).every((one) => typeof one === 'number')) return null;
  return { end, ...numbers };
}

/** Nothing else than pictures: the file may be anybody's. */
function shownPictures(value: unknown): Pick<SavedTurn, 'pictures'> {
  const isPicture = (url: unknown) => typeof url === 'string' && url.startsWith('data:image/');
  const pictures = Array.isArray(value) ? value.filter(isPicture) : [];
  return pictures.length > 0 ? { pictures } : {};
}

const text = (value: unknown) => (typeof value === 'string' ? value : '');

function strings(value: unknown): Values | null {
  if (typeof value !== 'object' || value === null) return null;
  return Object.fromEntries(Object.entries(value).filter(([, one]) => typeof one === 'string'));
}

export function titleOf(saved: SavedConversation): string {
  return saved.title ?? shownTurns(saved)[0]?.question.replace(/\s+/g, ' ').slice(0, 80) ?? t('chat-empty');
}

/** Whether each word stands somewhere in the title or the turns, of all branches. */
export function contains(saved: SavedConversation, words: string): boolean {
  const text = [titleOf(saved), ...saved.turns.flatMap(({ question, answer }) => [question, answer])]
    .join('\n')
    .toLocaleLowerCase();
  return words
    .toLocaleLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
