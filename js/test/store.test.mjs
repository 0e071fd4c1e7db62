// What is kept from one load to the next, and what damages it. A test's name is a row: fault → what the user sees → what is kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storedModels } from '../dist/store/models.js';
import { sweep } from '../dist/store/sweep.js';
import { fileServer, pattern, sha256 } from './support/server.mjs';
import { Visitor } from './support/store.mjs';

const MIB = 1 << 20;
const SIZE = 13 * MIB + 777;
const content = pattern(SIZE);
const other = pattern(SIZE, 11);

test('nothing fails → the second load needs no network → everything', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  assert.equal((await visitor.load(server.url)).storage, 'opfs');
  server.fault = (_, response) => response.writeHead(500).end();
  const { bytes, counts } = await visitor.load(server.url);
  assert.ok(bytes.equals(content));
  assert.deepEqual([counts.loaded, counts.fromStore, counts.total], [SIZE, SIZE, SIZE]);
});

test('the tab closes again and again → the download goes on where it was → every chunk that came whole', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  for (const at of [1, 2, 4, 7, 11]) await visitor.load(server.url, { upTo: at * MIB });
  const { bytes, fromStoreBytes } = await visitor.load(server.url);
  assert.ok(bytes.equals(content));
  assert.ok(fromStoreBytes >= 11 * MIB);
});

test('the store is turned off → nothing is stored or looked for → what was there', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  assert.equal((await visitor.load(server.url, { store: null })).storage, 'none');
  assert.equal(visitor.blobs.files.size, 0);
  await visitor.load(server.url);
  assert.equal((await visitor.load(server.url, { store: null })).fetchedBytes, SIZE);
});

for (const [what, damage] of [
  ['altered', (files, hash) => (files.get(hash)[5] ^= 1)],
  ['torn', (files, hash) => files.set(hash, files.get(hash).slice(0, 99))],
  ['missing', (files, hash) => files.delete(hash)],
]) {
  test(`a chunk in the store is ${what} → a note that names it → all others, and it alone is fetched again`, async (t) => {
    const server = await fileServer(t, content);
    const visitor = new Visitor();
    await visitor.load(server.url);
    const hashes = await visitor.manifests.chunks(server.url);
    damage(visitor.blobs.files, hashes.get(6));
    server.requests.length = 0;
    const { bytes, notes } = await visitor.load(server.url);
    assert.ok(bytes.equals(content));
    assert.deepEqual(server.requests, [`${6 * MIB}-${7 * MIB}`]);
    assert.deepEqual(notes, ['Part 7 of m.gguf was damaged or missing in the store, and is fetched again.']);
    assert.equal((await visitor.load(server.url)).fetchedBytes, 0);
  });
}

for (const [what, change] of [
  ['ETag', (server) => (server.etag = '"two"')],
  ['Last-Modified', (server) => Object.assign(server, { lastModified: 'Tue, 24 Nov 2026 12:00:00 GMT' })],
  ['size', (server) => (server.content = other.subarray(0, SIZE - 5))],
]) {
  test(`the file changed on the server (${what}) after a part was stored → a note, and the new file → nothing of the old one`, async (t) => {
    const server = await fileServer(t, content);
    if (what !== 'ETag') Object.assign(server, { etag: null, lastModified: 'Mon, 23 Nov 2026 12:00:00 GMT' });
    if (what === 'size') server.lastModified = null;
    const visitor = new Visitor();
    await visitor.load(server.url, { upTo: 5 * MIB });
    server.content = other;
    change(server);
    const { bytes, notes } = await visitor.load(server.url);
    assert.ok(bytes.equals(server.content));
    assert.match(notes.join(), /m\.gguf changed on the server/);
    assert.equal(visitor.blobs.bytes, server.content.length);
  });
}

test('the file has another SHA-256 than the caller said → INTEGRITY with both → nothing of it', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  const expected = sha256(other);
  await assert.rejects(visitor.load(server.url, { sha256: [expected] }), (error) => {
    assert.equal(error.code, 'INTEGRITY');
    for (const named of ['m.gguf', expected, sha256(content)]) assert.ok(error.message.includes(named), named);
    return true;
  });
  assert.equal(visitor.blobs.files.size, 0);
  assert.deepEqual(await visitor.manifests.all(), []);
});

test('a file with the right SHA-256 → nothing → its hash, so that the next load need not compute it', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  const hash = sha256(content);
  await visitor.load(server.url, { sha256: [hash] });
  assert.equal((await visitor.manifests.get(server.url)).sha256, hash);
  assert.ok((await visitor.load(server.url, { sha256: [hash] })).bytes.equals(content));
});

test('the store has another file than the caller asks for by SHA-256 → a note, and the right file → nothing of the other', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  await visitor.load(server.url, { sha256: [sha256(content)] });
  Object.assign(server, { content: other, etag: '"two"' });
  const { bytes, notes } = await visitor.load(server.url, { sha256: [sha256(other)] });
  assert.ok(bytes.equals(other));
  assert.match(notes.join(), /is not the file that is asked for/);
});

test('two addresses of one file → nothing → its chunks once', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  const models = storedModels(visitor.downloads);
  await visitor.load(server.url);
  await visitor.load(`${server.url}?mirror`);
  assert.equal(visitor.blobs.bytes, SIZE);
  assert.equal((await models.usage()).stored, SIZE);
  await models.delete(server.url);
  server.fault = (_, response) => response.writeHead(500).end();
  assert.ok((await visitor.load(`${server.url}?mirror`)).bytes.equals(content));
  await models.delete(`${server.url}?mirror`);
  assert.equal(visitor.blobs.files.size, 0);
});

test('the quota is too small → a note, and the model → nothing', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  visitor.quota = 10 * MIB;
  const { bytes, notes, storage } = await visitor.load(server.url);
  assert.ok(bytes.equals(content));
  assert.equal(storage, 'none');
  assert.match(notes.join(), new RegExp(`needs ${SIZE} more bytes, and the browser has room for ${10 * MIB}`));
  assert.equal(visitor.blobs.files.size, 0);
});

test('the quota is too small and storing is required → QUOTA_EXCEEDED with needed and free bytes → what was there', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  visitor.quota = 10 * MIB;
  await assert.rejects(visitor.load(server.url, { store: { required: true } }), {
    code: 'QUOTA_EXCEEDED',
    message: new RegExp(`needs ${SIZE} more bytes.*room for ${10 * MIB}.*models\\.delete`),
  });
});

test('the quota is too small and the caller lets the oldest go → nothing → all but the oldest', async (t) => {
  const visitor = new Visitor();
  const servers = [];
  for (const seed of [3, 5, 9]) servers.push(await fileServer(t, pattern(2 * MIB, seed)));
  for (const { url } of servers) {
    await visitor.load(url);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await visitor.load(servers[0].url); // so that the second is the oldest
  visitor.quota = 7 * MIB;
  const last = await fileServer(t, pattern(3 * MIB, 13));
  await visitor.load(last.url, { store: { evict: 'least-recently-used' } });
  const kept = (await visitor.manifests.all()).map(([source]) => source);
  assert.deepEqual(kept.sort(), [servers[0].url, servers[2].url, last.url].sort());
});

test('the storage fails in the middle → a note, and the model → what was stored', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  const { put } = visitor.blobs;
  visitor.blobs.put = async (hash, bytes) => {
    if (visitor.blobs.files.size >= 4) throw new DOMException('the disk is full', 'QuotaExceededError');
    return put(hash, bytes);
  };
  const { bytes, notes, storage } = await visitor.load(server.url);
  assert.ok(bytes.equals(content));
  assert.equal(storage, 'none');
  assert.equal(notes.length, 1);
  assert.match(notes[0], /m.gguf is not stored: storing .* needs 1048576 more bytes/);
  visitor.blobs.put = put;
  assert.equal((await visitor.load(server.url)).fromStoreBytes, 4 * MIB);
});

test('the storage fails and storing is required → its error → what was stored', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  visitor.blobs.put = () => Promise.reject(new DOMException('the disk is full', 'QuotaExceededError'));
  await assert.rejects(visitor.load(server.url, { store: { required: true } }), { code: 'QUOTA_EXCEEDED' });
});

test('the browser stores nothing → a note, and the model → nothing', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  visitor.downloads.storage = async () => undefined;
  const { bytes, notes } = await visitor.load(server.url);
  assert.ok(bytes.equals(content));
  assert.match(notes.join(), /The store cannot be used/);
});

test('two tabs load one model → both get it → it is fetched once', async (t) => {
  const server = await fileServer(t, content, { delay: 30 });
  const visitor = new Visitor();
  const [first, second] = await Promise.all([visitor.load(server.url), visitor.load(server.url)]);
  assert.ok(first.bytes.equals(content) && second.bytes.equals(content));
  assert.deepEqual([...new Set(server.sent)], [1]);
  assert.equal(second.fromStoreBytes, SIZE);
});

test('the tab that downloads for two dies → the other goes on → what it had stored', async (t) => {
  const server = await fileServer(t, content, { delay: 30 });
  const visitor = new Visitor();
  const dying = visitor.load(server.url, { upTo: 6 * MIB });
  const { bytes, fromStoreBytes } = await visitor.load(server.url);
  await dying;
  assert.ok(bytes.equals(content));
  assert.ok(fromStoreBytes >= 6 * MIB);
});

test('a tab closes between a chunk and its name → nothing → what has a name; the chunk is deleted with the next model', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  await visitor.load(server.url);
  const orphan = pattern(MIB, 3);
  await visitor.blobs.put(sha256(orphan), orphan);
  const models = storedModels(visitor.downloads);
  assert.equal(await models.delete('http://localhost/absent'), false);
  await visitor.load(`${server.url}?other`);
  await models.delete(`${server.url}?other`);
  assert.equal(visitor.blobs.bytes, SIZE);
  assert.equal((await visitor.load(server.url)).fetchedBytes, 0);
});

test('a sweep while another tab stores → nothing → every chunk of it, also one that has no name yet', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  const { put } = visitor.blobs;
  const sweeps = [];
  visitor.blobs.put = async (hash, bytes) => {
    await put(hash, bytes);
    sweeps.push(visitor.downloads.storage().then(sweep));
    await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await visitor.load(server.url);
  assert.deepEqual(new Set(await Promise.all(sweeps)), new Set([0]));
  assert.equal((await visitor.load(server.url)).fetchedBytes, 0);
});

test('a model goes out of one store and into another → it loads there without a network', async (t) => {
  const server = await fileServer(t, content);
  const [here, there] = [new Visitor(), new Visitor()];
  await here.load(server.url);
  const stream = await storedModels(here.downloads).export(server.url);
  const stored = await storedModels(there.downloads).import(stream, { as: server.url });
  assert.deepEqual([stored.source, stored.size, stored.storedBytes, stored.complete], [server.url, SIZE, SIZE, true]);
  server.requests.length = 0;
  assert.ok((await there.load(server.url)).bytes.equals(content));
  assert.deepEqual(server.requests, []);
  await assert.rejects(storedModels(here.downloads).export('http://localhost/absent'), { code: 'NOT_STORED' });
});

test('the store is listed: source, size, what is there', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor();
  const models = storedModels(visitor.downloads);
  assert.deepEqual(await models.list(), []);
  await visitor.load(server.url, { upTo: 5 * MIB });
  const [partly] = await models.list();
  assert.deepEqual([partly.source, partly.size, partly.complete, partly.sha256], [server.url, SIZE, false, null]);
  assert.ok(partly.storedBytes >= 5 * MIB && partly.storedBytes < SIZE);
  assert.equal(await models.delete(server.url), true);
  assert.equal(await models.delete(server.url), false);
});
