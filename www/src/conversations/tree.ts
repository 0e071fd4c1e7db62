/**
 * The branches of a conversation: which turn follows which, and which one is shown where several
 * follow. Turns are known by their ids. Every function returns a tree and changes none.
 */

/** What stands before the first turn. */
export const START = '';

export interface Tree {
  /** The turn before each turn, in the order in which they were asked. */
  readonly parents: ReadonlyMap<string, string>;
  /** The turn that is shown after a turn; without an entry, the last one that was asked. */
  readonly shown: ReadonlyMap<string, string>;
}

export const EMPTY: Tree = { parents: new Map(), shown: new Map() };

/** Adds a turn behind another, and shows it. Behind an unknown turn it is a first one. */
export function add({ parents, shown }: Tree, id: string, parent: string): Tree {
  const known = parents.has(parent) ? parent : START;
  return { parents: new Map(parents).set(id, known), shown: new Map(shown).set(known, id) };
}

/** The turns that are shown, from the first to the last. */
export function path({ parents, shown }: Tree): string[] {
  const next = new Map<string, string>();
  for (const [id, parent] of parents) next.set(parent, id);
  for (const [parent, id] of shown) if (parents.get(id) === parent) next.set(parent, id);
  const found: string[] = [];
  for (let id = next.get(START); id !== undefined; id = next.get(id)) found.push(id);
  return found;
}

/** The turns before a turn, from the first. */
export function before({ parents }: Tree, id: string): string[] {
  const found: string[] = [];
  for (let at = parents.get(id); at; at = parents.get(at)) found.unshift(at);
  return found;
}

/** A turn and those that stand in its place in other branches, the oldest first. */
export function versions({ parents }: Tree, id: string): string[] {
  const parent = parents.get(id);
  return [...parents].filter(([, other]) => other === parent).map(([version]) => version);
}

/** Shows a turn instead of its other versions. */
export function show({ parents, shown }: Tree, id: string): Tree {
  return { parents, shown: new Map(shown).set(parents.get(id) ?? START, id) };
}

/** Removes a turn alone: the turns behind it follow the turn before it. */
export function remove(tree: Tree, id: string): Tree {
  const parent = tree.parents.get(id);
  if (parent === undefined) return tree;
  const parents = new Map(tree.parents);
  parents.delete(id);
  for (const [turn, before] of parents) if (before === id) parents.set(turn, parent);
  const shown = new Map(tree.shown);
  shown.delete(id);
  if (shownAfter(tree, parent) === id) {
    const next = shownAfter(tree, id);
    if (next === undefined) shown.delete(parent);
    else shown.set(parent, next);
  }
  return { parents, shown };
}

/** Puts a removed turn back where it was in a former tree. What came since then stays. */
export function putBack(tree: Tree, id: string, former: Tree): Tree {
  const { parents: now, shown } = add(tree, id, former.parents.get(id) ?? START);
  const parents = new Map<string, string>();
  for (const turn of new Set([...former.parents.keys(), ...now.keys()])) {
    const parent = now.get(turn);
    if (parent !== undefined) parents.set(turn, former.parents.get(turn) === id ? id : parent);
  }
  const next = shownAfter(former, id);
  return { parents, shown: next === undefined ? shown : new Map(shown).set(id, next) };
}

function shownAfter({ parents, shown }: Tree, id: string): string | undefined {
  const wanted = shown.get(id);
  if (wanted !== undefined && parents.get(wanted) === id) return wanted;
  return [...parents].findLast(([, parent]) => parent === id)?.[0];
}
