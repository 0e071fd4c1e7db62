// Random sequences of actions by tabs, the user, the browser and the server on a store, and what
// must always hold: a loaded file has one version, chunks of two versions never mix, lists and
// usage agree, and nothing of a deleted file remains.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { pattern, sha256 } from './server.mjs';

const MIB = 1 << 20;

/** Five chunks, the last one short. */
const SIZE = 4 * MIB + 321;
const SEEDS = [3, 5, 7, 9, 11, 13];
const FILES = SEEDS.map((seed) => pattern(SIZE, seed));
const HASHES = FILES.map(sha256);
const CHUNKS = FILES.map((file) => [0, 1, 2, 3, 4].map((at) => sha256(file.subarray(at * MIB, (at + 1) * MIB))));

/** Errors that a load may end with. */
const ENDS = ['NETWORK', 'FILE_CHANGED', 'INTEGRITY'];

const TABS = ['A', 'B', 'C'];

/** The actions, and their relative frequencies. */
const ACTIONS = [
  [6, 'load'],
  [12, 'step'],
  [3, 'finish'],
  [4, 'close'],
  [4, 'delete'],
  [1, 'restart'],
  [1, 'evict'],
  [2, 'sweep'],
  [3, 'change'],
  [2, 'cut'],
  [1, 'nothing'],
  [1, 'validator'],
];

/** A small generator with a seed (xorshift). */
function randomOf(seed) {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

export function actionsOf(seed, count) {
  const random = randomOf(seed);
  const bag = ACTIONS.flatMap(([times, what]) => Array(times).fill(what));
  return Array.from({ length: count }, () => [bag[random(bag.length)], TABS[random(TABS.length)], random(1000)]);
}

/**
 * Plays the actions with a new visitor and a server like `fileServer`; fails if an invariant is
 * violated. `patience`: milliseconds within which a tab must continue if it can.
 */
export async function play(actions, { visitor, server, patience }) {
  const tabs = new Map();
  let version = 0;
  let name = 0;
  Object.assign(server, {
    content: FILES[0],
    etag: '"0"',
    lastModified: null,
    cut: () => Infinity,
    fault: () => false,
  });

  /** Lets a tab continue until its next piece or its end, or until nothing happens. */
  const go = async (tab, how = {}) => {
    Object.assign(tab, how);
    const moved = new Promise((resolve) => (tab.moved = resolve));
    tab.wake?.();
    await Promise.race([moved, tab.loading, sleep(patience)]);
  };

  const begin = () => {
    const tab = { free: false, closing: false };
    const onPiece = async () => {
      tab.moved?.();
      if (!tab.free && !tab.closing) await new Promise((resolve) => (tab.wake = resolve));
      return tab.closing ? 'close' : undefined;
    };
    tab.loading = visitor.load(server.url, { onPiece }).then(
      (got) => {
        // the result of a closed tab is unknown
        if (tab.closing || !got) return;
        const isOne = got.length === 0 || HASHES.includes(got.sha256);
        assert.ok(isOne, 'what was loaded is one version of the file, or the nothing that the server answered');
      },
      (error) => {
        if (!ENDS.includes(error.code)) throw error;
      },
    );
    tab.loading.catch(() => {}); // awaited at the end
    tab.loading.finally(() => (tab.over = true)).catch(() => {});
    return tab;
  };

  const act = {
    load: async (id) => {
      const before = tabs.get(id);
      if (before && !before.over) return;
      await before?.loading;
      tabs.set(id, begin());
      await go(tabs.get(id));
    },
    step: async (id) => tabs.has(id) && go(tabs.get(id)),
    finish: async (id) => tabs.has(id) && go(tabs.get(id), { free: true }),
    close: async (id) => tabs.has(id) && go(tabs.get(id), { closing: true }),
    restart: () => Promise.all([...tabs.values()].map((tab) => go(tab, { closing: true }))),
    delete: () => visitor.deleteModel(server.url),
    evict: () => visitor.evict(),
    sweep: () => visitor.sweep(),
    change: () => {
      version = (version + 1) % FILES.length;
      name += 1;
      server.content = FILES[version];
      if (server.etag !== null) server.etag = server.etag.replace(/\d+/, name);
    },
    cut: (_, number) => {
      let left = 1;
      server.cut = () => (left-- > 0 ? (number + 1) * 4096 : Infinity);
    },
    nothing: (_, number) => {
      let left = 1 + (number % 2);
      server.fault = (_, response) => left-- > 0 && (response.writeHead(200, { 'Content-Length': 0 }).end(), true);
    },
    validator: (_, number) => (server.etag = [`"${name}"`, `W/"${name}"`, null][number % 3]),
  };

  const check = async () => {
    const chunks = await visitor.chunks(server.url);
    const together = CHUNKS.some((hashes) => chunks.every(([index, hash]) => hashes[index] === hash));
    assert.ok(together, 'chunks of two versions are never together');
  };

  for (const [what, tab, number] of actions) {
    await act[what](tab, number);
    await check();
  }
  for (const tab of tabs.values()) Object.assign(tab, { free: true });
  for (const tab of tabs.values()) tab.wake?.();
  await Promise.all([...tabs.values()].map(({ loading }) => loading));
  await check();

  // when all is quiet: the file loads, is listed and counted, and is deleted completely
  Object.assign(server, { cut: () => Infinity, fault: () => false, etag: server.etag ?? '"last"' });
  const last = await visitor.load(server.url).catch((error) => {
    if (error.code !== 'FILE_CHANGED') throw error;
    return visitor.load(server.url);
  });
  assert.ok(HASHES.includes(last.sha256), 'what was loaded last is one version of the file');
  assert.deepEqual(await visitor.list(), [[server.url, true]]);
  assert.equal(await visitor.namedBytes(), SIZE);
  assert.equal(await visitor.deleteModel(server.url), true);
  await visitor.sweep();
  assert.deepEqual(
    [await visitor.list(), await visitor.namedBytes(), await visitor.storedBytes()],
    [[], 0, 0],
    'nothing is left of what was deleted',
  );
}

/** Removes the actions that are not needed for `fails(actions)`. */
export async function shrink(actions, fails) {
  let left = actions;
  for (let size = Math.ceil(left.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < left.length;) {
      const shorter = left.toSpliced(at, size);
      if (await fails(shorter)) left = shorter;
      else at += size;
    }
  }
  return left;
}
