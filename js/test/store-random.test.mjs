// Random sequences of load, store, delete, evict, close, change on the server, broken connections,
// sweep and restart in three tabs, with storage in memory. tests/web/store-random.test.mjs runs
// some in Chromium.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Manifests } from '../dist/store/manifest.js';
import { actionsOf, play, shrink } from './support/random-store.mjs';
import { MemoryVisitor } from './support/store.mjs';

/** A server in this process, on the page's origin, that responds like `fileServer`. */
function serverInside() {
  const server = { url: 'http://localhost/m.gguf' };
  server.fetch = async (_, { headers, signal }) => {
    const { content, etag, lastModified } = server;
    const told = { ...(etag && { etag }), ...(lastModified && { 'last-modified': lastModified }) };
    let instead;
    const response = {
      writeHead: (status, headers) => ((instead = new Response('', { status, headers })), response),
      end: () => response,
    };
    if (server.fault(undefined, response)) return instead;
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.Range ?? '');
    const isPart = range && (!headers['If-Range'] || headers['If-Range'] === etag);
    const [start, end] = isPart
      ? [Number(range[1]), Math.min(Number(range[2]) + 1, content.length)]
      : [0, content.length];
    if (start >= end) return new Response('', { status: 416 });
    let [at, left] = [start, server.cut()];
    const body = new ReadableStream({
      pull(controller) {
        if (signal.aborted || left <= 0) return controller.error(new Error('broken'));
        const piece = content.subarray(at, Math.min(end, at + Math.min(left, 1 << 19)));
        at += piece.length;
        left -= piece.length;
        controller.enqueue(new Uint8Array(piece));
        if (at === end) controller.close();
      },
    });
    if (isPart) told['content-range'] = `bytes ${start}-${end - 1}/${content.length}`;
    else told['content-length'] = String(content.length);
    return new Response(body, { status: isPart ? 206 : 200, headers: told });
  };
  return server;
}

const run = (t, actions, { patience = 5, ...more } = {}) => {
  const server = serverInside();
  return play(actions, { visitor: new MemoryVisitor(t, { fetch: server.fetch, ...more }), server, patience });
};

/** The first failing sequence of `seeds`, shortened; undefined if none fails. */
async function findFailure(t, seeds, length, options) {
  const fails = (actions) =>
    run(t, actions, options).then(
      () => undefined,
      (error) => error,
    );
  for (const seed of seeds) {
    if (!(await fails(actionsOf(seed, length)))) continue;
    const actions = await shrink(actionsOf(seed, length), fails);
    return { seed, actions: actions.map(([what, tab]) => `${what} ${tab}`), error: await fails(actions) };
  }
  return undefined;
}

const SEEDS = Array.from({ length: Number(process.env.WEFT_STORE_SEQUENCES ?? 60) }, (_, index) => index + 1);

test('random loads, changes and deletions: every load gives one version of the file, and deleted files leave nothing', async (t) => {
  const found = await findFailure(t, SEEDS, 25);
  assert.equal(found, undefined, found && `seed ${found.seed}: ${found.actions.join(', ')}: ${found.error?.stack}`);
});

/**
 * A former bug: records a chunk even if its copy is gone, so that the next copy takes it for its
 * own.
 */
class Careless extends Manifests {
  #table;

  constructor(table) {
    super(table);
    this.#table = table;
  }

  begin = (source, manifest) => super.begin(source, { ...manifest, id: 'any' });
  async setChunk(_, index, hash) {
    await this.#table.set(`chunk\nany\n${index}`, hash);
    return true;
  }
}

test('the same finds a store that writes chunks of a deleted copy', async (t) => {
  // On a busy machine a tab needs more patience to continue where the bug shows.
  let found;
  for (const patience of [5, 50, 500]) {
    found ??= await findFailure(t, SEEDS, 25, { patience, Manifests: Careless });
  }
  assert.ok(found);
  t.diagnostic(`seed ${found.seed}: ${found.actions.join(', ')}: ${found.error?.message}`);
});
