// The store between loads, and damage to it. Test names are rows of a table: fault → what the user
// sees → what is kept. The tests run here with storage in memory, and in tests/web/faults.test.mjs
// in a browser. They use either only through the visitor.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileServer, pattern, sha256, until } from './support/server.mjs';
import { Visitor } from './support/store.mjs';

const MIB = 1 << 20;
const SIZE = 13 * MIB + 777;
const content = pattern(SIZE);
const hash = sha256(content);
const other = pattern(SIZE, 11);

test('nothing fails → the second load needs no network → everything', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  assert.equal((await visitor.load(server.url)).storage, 'opfs');
  server.fault = (_, response) => response.writeHead(500).end();
  const { counts, ...got } = await visitor.load(server.url);
  assert.equal(got.sha256, hash);
  assert.deepEqual([counts.loaded, counts.fromStore, counts.total], [SIZE, SIZE, SIZE]);
});

test('the tab closes again and again → the download goes on where it was → every chunk that came whole', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  for (const at of [1, 2, 4, 7, 11]) {
    server.holdFrom = (at + 0.5) * MIB;
    await visitor.load(server.url, { closeAt: at * MIB });
  }
  server.holdFrom = Infinity;
  const { fromStoreBytes, ...got } = await visitor.load(server.url);
  assert.equal(got.sha256, hash);
  assert.ok(fromStoreBytes <= 11 * MIB && fromStoreBytes >= 11 * MIB - Visitor.lostWithTab, `${fromStoreBytes} bytes`);
});

test('the store is off → nothing is stored or looked up → what was there', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  assert.equal((await visitor.load(server.url, { store: null })).storage, 'none');
  assert.equal(await visitor.storedBytes(), 0);
  await visitor.load(server.url);
  assert.equal((await visitor.load(server.url, { store: null })).fetchedBytes, SIZE);
});

for (const what of ['altered', 'torn', 'missing']) {
  test(`a chunk in the store is ${what} → a note that names it → all other chunks; this one is fetched again`, async (t) => {
    const server = await fileServer(t, content);
    const visitor = new Visitor(t);
    await visitor.load(server.url);
    await visitor.damage(server.url, 6, what);
    server.requests.length = 0;
    const { notes, ...got } = await visitor.load(server.url);
    assert.equal(got.sha256, hash);
    assert.deepEqual(server.requests, [`${6 * MIB}-${7 * MIB}`]);
    assert.deepEqual(notes, ['Part 7 of m.gguf was damaged or missing in the store, and is fetched again.']);
    assert.equal((await visitor.load(server.url)).fetchedBytes, 0);
  });
}

for (const [what, less] of [
  ['which is as long', 0],
  ['which is shorter', 3],
]) {
  test(`a server without versions has a new file, ${what}, and the first stored chunk is damaged → a note, and the new file → nothing of the old one`, async (t) => {
    const server = await fileServer(t, content, { etag: null });
    const visitor = new Visitor(t);
    await visitor.load(server.url);
    await visitor.damage(server.url, 0, 'altered');
    const changed = other.subarray(0, SIZE - less * MIB);
    server.content = changed;
    const { notes, ...got } = await visitor.load(server.url);
    assert.equal(got.sha256, sha256(changed));
    assert.match(notes.join(), /its stored part is deleted/);
    assert.equal((await visitor.load(server.url)).sha256, sha256(changed));
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
    const visitor = new Visitor(t);
    server.holdFrom = 5.5 * MIB;
    await visitor.load(server.url, { closeAt: 5 * MIB });
    Object.assign(server, { content: other, holdFrom: Infinity });
    change(server);
    const { notes, ...got } = await visitor.load(server.url);
    assert.equal(got.sha256, sha256(server.content));
    assert.match(notes.join(), /m\.gguf changed on the server/);
    assert.equal(await visitor.namedBytes(), server.content.length);
  });
}

test('the file has another SHA-256 than the caller gave → INTEGRITY with both → nothing of it', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  const expected = sha256(other);
  await assert.rejects(visitor.load(server.url, { sha256: [expected] }), (error) => {
    assert.equal(error.code, 'INTEGRITY');
    for (const named of ['m.gguf', expected, sha256(content)]) assert.ok(error.message.includes(named), named);
    return true;
  });
  assert.equal(await visitor.storedBytes(), 0);
  assert.deepEqual(await visitor.manifests(), []);
});

test('the file has the SHA-256 that the caller gave → nothing → its hash, so that the next load need not compute it', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  await visitor.load(server.url, { sha256: [hash] });
  const [[, manifest]] = await visitor.manifests();
  assert.equal(manifest.sha256, hash);
  assert.equal((await visitor.load(server.url, { sha256: [hash] })).sha256, hash);
});

test('the stored file has another SHA-256 than the caller gave → a note, and the right file → nothing of the other', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  await visitor.load(server.url, { sha256: [sha256(content)] });
  Object.assign(server, { content: other, etag: '"two"' });
  const { notes, ...got } = await visitor.load(server.url, { sha256: [sha256(other)] });
  assert.equal(got.sha256, sha256(other));
  assert.match(notes.join(), /has another SHA-256/);
});

test('two URLs have the same file → nothing → its chunks, once', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  await visitor.load(server.url);
  await visitor.load(`${server.url}?mirror`);
  assert.equal(await visitor.storedBytes(), SIZE);
  assert.equal(await visitor.namedBytes(), SIZE);
  await visitor.deleteModel(server.url);
  server.fault = (_, response) => response.writeHead(500).end();
  assert.equal((await visitor.load(`${server.url}?mirror`)).sha256, hash);
  await visitor.deleteModel(`${server.url}?mirror`);
  assert.equal(await visitor.storedBytes(), 0);
});

test('the quota is too small → a note, and the model → nothing', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  await visitor.setQuota(10 * MIB, { told: true });
  const { notes, storage, ...got } = await visitor.load(server.url);
  assert.equal(got.sha256, hash);
  assert.equal(storage, 'none');
  const [, needed, free] = /needs (\d+) more bytes, and the browser has room for (\d+)/.exec(notes.join());
  assert.equal(Number(needed), SIZE);
  assert.ok(free <= 10 * MIB && free > 9 * MIB, `${free} bytes are free`);
  assert.equal(await visitor.storedBytes(), 0);
});

test('the quota is too small and storing is required → QUOTA_EXCEEDED with needed and free bytes → what was there', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  const { url } = await fileServer(t, other.subarray(0, MIB));
  await visitor.load(url);
  await visitor.setQuota(10 * MIB, { told: true });
  await assert.rejects(visitor.load(server.url, { store: { required: true } }), {
    code: 'QUOTA_EXCEEDED',
    message: new RegExp(`needs ${SIZE} more bytes.*room for \\d+\\..*models\\.delete`),
  });
  assert.equal((await visitor.load(url)).fromStoreBytes, MIB);
});

for (const [what, told] of [
  ['the quota is too small', true],
  ['the storage is full before the browser said so', false],
])
  test(`${what} and the caller allows eviction → nothing → all but the oldest model`, async (t) => {
    const visitor = new Visitor(t);
    const servers = [];
    for (const seed of [3, 5, 9]) servers.push(await fileServer(t, pattern(2 * MIB, seed)));
    for (const { url } of servers) {
      await visitor.load(url);
      await sleep(5);
    }
    await visitor.load(servers[0].url); // makes the second the oldest
    await visitor.setQuota(7.5 * MIB, { told });
    const last = await fileServer(t, pattern(3 * MIB, 13));
    await visitor.load(last.url, { store: { evict: 'least-recently-used' } });
    const kept = (await visitor.manifests()).map(([source]) => source);
    assert.deepEqual(kept.sort(), [servers[0].url, servers[2].url, last.url].sort());
    assert.equal((await visitor.load(last.url)).fetchedBytes, 0);
  });

test('the storage is full without a warning → a note, and the model → what was stored', async (t) => {
  // its length is unknown, so the lack of space shows late
  const server = await fileServer(t, content, { ranges: false, length: false });
  const visitor = new Visitor(t);
  await visitor.setQuota(4.5 * MIB, { told: false });
  const { notes, storage, ...got } = await visitor.load(server.url);
  assert.equal(got.sha256, hash);
  assert.equal(storage, 'none');
  assert.equal(notes.length, 1);
  assert.match(notes[0], /m.gguf is not stored: storing .* needs 1048576 more bytes/);
  await visitor.setQuota(Infinity, { told: false });
  const again = await visitor.load(server.url);
  assert.ok(again.fromStoreBytes >= 3 * MIB && again.fromStoreBytes <= 4 * MIB, `${again.fromStoreBytes} bytes`);
  assert.deepEqual(again.notes, [], 'no chunk is torn');
});

test('the storage fails in the middle → a note, and the model → what was stored', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  const { notes, storage, ...got } = await visitor.load(server.url, { failAfter: 4 });
  assert.equal(got.sha256, hash);
  assert.equal(storage, 'none');
  assert.deepEqual(notes, ['m.gguf is not stored: the disk does not answer']);
  assert.equal((await visitor.load(server.url)).fromStoreBytes, 4 * MIB);
});

test('the storage fails and storing is required → its error → what was stored', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  const required = visitor.load(server.url, { failAfter: 2, store: { required: true } });
  await assert.rejects(required, { message: 'the disk does not answer' });
  assert.equal((await visitor.load(server.url)).fromStoreBytes, 2 * MIB);
});

test('the browser has no file system for pages → nothing → everything, in Cache storage', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t, { storage: 'cache' });
  assert.equal((await visitor.load(server.url)).storage, 'cache');
  const { fromStoreBytes, ...got } = await visitor.load(server.url);
  assert.equal(got.sha256, hash);
  assert.equal(fromStoreBytes, SIZE);
});

test('the browser stores nothing → a note, and the model → nothing', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t, { storage: 'refused' });
  const { notes, ...got } = await visitor.load(server.url);
  assert.equal(got.sha256, hash);
  assert.match(notes.join(), /The store cannot be used/);
});

test('two tabs load one model → both get it → it is fetched once', async (t) => {
  const server = await fileServer(t, content, { delay: 30 });
  const visitor = new Visitor(t);
  const both = await Promise.all([visitor.load(server.url), visitor.load(server.url)]);
  for (const got of both) assert.equal(got.sha256, hash);
  assert.deepEqual([...new Set(server.sent)], [1]);
  // the browser decides which one is first
  assert.deepEqual(both.map(({ fromStoreBytes }) => fromStoreBytes).sort(), [0, SIZE]);
});

test('the tab that downloads for two dies → the other continues → what it had stored', async (t) => {
  const server = await fileServer(t, content, { holdFrom: 6.5 * MIB });
  const visitor = new Visitor(t);
  const dying = visitor.load(server.url, { closeAt: 6 * MIB });
  await until(() => server.requests.length > 0);
  const living = visitor.load(server.url);
  await dying;
  server.holdFrom = Infinity;
  const { fromStoreBytes, ...got } = await living;
  assert.equal(got.sha256, hash);
  assert.ok(fromStoreBytes <= 6 * MIB && fromStoreBytes >= 6 * MIB - Visitor.lostWithTab, `${fromStoreBytes} bytes`);
});

// A page that a server once sends instead of the model, and how.
const page = '<!doctype html><title>Log in to the network</title>'.padEnd(5000);
for (const [what, answer] of [
  ['nothing', (response) => response.writeHead(200, { 'Content-Length': 0 }).end()],
  ['12 bytes', (response) => response.writeHead(200, { 'Content-Length': 12 }).end('Bad Gateway\n')],
  ['the magic number alone', (response) => response.writeHead(200, { 'Content-Length': 4 }).end('GGUF')],
  ['a web page', (response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(page)],
  ['a web page behind a byte order mark', (response) => response.writeHead(200).end(`\ufeff  ${page}`)],
  ['JSON', (response) => response.writeHead(200).end('{"error":"too many requests"}')],
  ['zeros', (response) => response.writeHead(200).end(Buffer.alloc(3 * MIB))],
  [
    'another part than the one asked for',
    (response) => response.writeHead(206, { 'Content-Range': 'bytes 0-11/12' }).end('Bad Gateway\n'),
  ],
]) {
  test(`a server once answers 200 with ${what} → an error with what it answered → nothing; the next load asks again`, async (t) => {
    const server = await fileServer(t, content);
    const visitor = new Visitor(t);
    let wrong = true;
    server.fault = (_, response) => wrong && (answer(response), true);
    const got = await visitor.load(server.url);
    assert.ok(got.length < SIZE);
    assert.deepEqual([await visitor.list(), await visitor.storedBytes()], [[], 0]);
    wrong = false;
    server.requests.length = 0;
    assert.equal((await visitor.load(server.url)).sha256, hash);
    assert.ok(server.requests.length > 0);
    assert.deepEqual(await visitor.list(), [[server.url, true]]);
  });
}

test('a server answers a web page and storing is required → INVALID_FILE with what it answered → nothing', async (t) => {
  const server = await fileServer(t, content, { fault: (_, response) => (response.writeHead(200).end(page), true) });
  const visitor = new Visitor(t);
  await assert.rejects(visitor.load(server.url, { store: { required: true } }), {
    code: 'INVALID_FILE',
    message: /web page/,
  });
  assert.deepEqual([await visitor.list(), await visitor.storedBytes()], [[], 0]);
});

test('a model is deleted while a tab downloads it and storing is required → NOT_STORED → nothing', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  const onPiece = async (length) => {
    if (length !== 3 * MIB) return;
    await until(async () => (await visitor.namedBytes()) >= 2 * MIB);
    await visitor.deleteModel(server.url);
  };
  const load = visitor.load(server.url, { onPiece, store: { required: true } });
  await assert.rejects(load, { code: 'NOT_STORED', message: /deleted from the store during the download/ });
  assert.deepEqual([await visitor.list(), await visitor.namedBytes()], [[], 0]);
});

test('a server answers 204 → NETWORK with the status → nothing', async (t) => {
  const server = await fileServer(t, content, { fault: (_, response) => response.writeHead(204).end() });
  const visitor = new Visitor(t);
  await assert.rejects(visitor.load(server.url), { code: 'NETWORK', message: /answered 204/ });
  assert.deepEqual([await visitor.list(), await visitor.storedBytes()], [[], 0]);
});

test('a model is deleted while another tab downloads it → a note there, and the model → nothing; it does not come back', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  let deleted;
  const onPiece = async (length) => {
    if (length !== 3 * MIB) return;
    await until(async () => (await visitor.namedBytes()) >= 2 * MIB);
    deleted = await visitor.deleteModel(server.url);
  };
  const { notes, storage, ...got } = await visitor.load(server.url, { onPiece });
  assert.equal(got.sha256, hash);
  assert.deepEqual([deleted, storage], [true, 'none']);
  assert.match(notes.join(), /m\.gguf is not stored: .*deleted from the store during the download/);
  assert.deepEqual([await visitor.list(), await visitor.namedBytes(), await visitor.storedBytes()], [[], 0, 0]);
  assert.equal((await visitor.load(server.url)).fetchedBytes, SIZE);
});

test('a model is deleted during a download, its tab closes, the file changes, and the next visit breaks off → the new file → nothing of the old one', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  server.holdFrom = 6.5 * MIB;
  const onPiece = async (length) => {
    if (length !== 3 * MIB) return;
    await until(async () => (await visitor.namedBytes()) >= 2 * MIB);
    await visitor.deleteModel(server.url);
  };
  await visitor.load(server.url, { onPiece, closeAt: 6 * MIB });
  assert.deepEqual([await visitor.list(), await visitor.namedBytes()], [[], 0]);
  await visitor.sweep();
  assert.equal(await visitor.storedBytes(), 0, 'nothing is left that nobody can delete');
  Object.assign(server, { content: other, etag: '"two"', holdFrom: 3.5 * MIB });
  await visitor.load(server.url, { closeAt: 3 * MIB });
  server.holdFrom = Infinity;
  const got = await visitor.load(server.url);
  assert.equal(got.sha256, sha256(other));
  assert.equal(await visitor.namedBytes(), SIZE);
});

test('a model is deleted while another tab reads it from the store → a note there, and the model → nothing', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  await visitor.load(server.url);
  const onPiece = (length) => length === 3 * MIB && visitor.deleteModel(server.url);
  const { notes, ...got } = await visitor.load(server.url, { onPiece });
  assert.equal(got.sha256, hash);
  assert.match(notes.join(), /deleted from the store during the download/);
  assert.deepEqual([await visitor.list(), await visitor.storedBytes()], [[], 0]);
});

for (const [what, headers] of [
  ['neither ETag nor Last-Modified', { etag: null }],
  ['a weak ETag alone', { etag: 'W/"one"' }],
]) {
  test(`a server sends ${what}, and the file changes after a part was stored → a note, and the new file → nothing of the old one`, async (t) => {
    const server = await fileServer(t, content, headers);
    const visitor = new Visitor(t);
    server.holdFrom = 5.5 * MIB;
    await visitor.load(server.url, { closeAt: 5 * MIB });
    Object.assign(server, { content: other, holdFrom: Infinity });
    const { notes, ...got } = await visitor.load(server.url);
    assert.equal(got.sha256, sha256(other));
    assert.match(notes.join(), /m\.gguf may have changed on the server/);
    assert.equal(await visitor.namedBytes(), SIZE);
    assert.equal((await visitor.load(server.url)).fetchedBytes, 0);
  });

  test(`a server sends ${what}, and a stored chunk is damaged → a note → all other chunks, if the fetched one has its hash`, async (t) => {
    const server = await fileServer(t, content, headers);
    const visitor = new Visitor(t);
    await visitor.load(server.url);
    await visitor.damage(server.url, 6, 'altered');
    assert.equal((await visitor.load(server.url)).sha256, hash);
    await visitor.damage(server.url, 6, 'altered');
    server.content = other;
    await assert.rejects(visitor.load(server.url), { code: 'FILE_CHANGED' });
    assert.equal((await visitor.load(server.url)).sha256, sha256(other));
  });
}

test('the file changed on the server after it was stored → the stored file, or with revalidation a note and the new file → the loaded one', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  const asking = { store: { revalidate: true } };
  await visitor.load(server.url);
  server.requests.length = 0;
  assert.equal((await visitor.load(server.url, asking)).fetchedBytes, 0);
  assert.deepEqual(server.requests, ['0-1'], 'its first byte is asked for');
  Object.assign(server, { content: other, etag: '"two"' });
  assert.equal((await visitor.load(server.url)).sha256, hash);
  const { notes, ...got } = await visitor.load(server.url, asking);
  assert.equal(got.sha256, sha256(other));
  assert.match(notes.join(), /changed on the server/);
  assert.equal(await visitor.namedBytes(), SIZE);
});

test('the server is down when a stored file is revalidated → a note, and the stored file → everything', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  await visitor.load(server.url);
  server.fault = (_, response) => response.writeHead(503).end();
  const { notes, ...got } = await visitor.load(server.url, { store: { revalidate: true } });
  assert.equal(got.sha256, hash);
  assert.match(notes.join(), /whether m\.gguf changed.*503/);
});

test('the storage never responds → a note, and the model → nothing', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t, { storage: 'silent' });
  const { notes, storage, ...got } = await visitor.load(server.url, { answerMs: 100 });
  assert.equal(got.sha256, hash);
  assert.equal(storage, 'none');
  assert.match(notes.join(), /The store cannot be used: .* does not answer/);
});

test('the storage stops responding in the middle → a note, and the model → what was stored', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  const { notes, storage, ...got } = await visitor.load(server.url, { hangAfter: 4, answerMs: 500 });
  assert.equal(got.sha256, hash);
  assert.equal(storage, 'none');
  assert.deepEqual(notes, ['m.gguf is not stored: the file system does not answer']);
  const again = await visitor.load(server.url);
  assert.deepEqual([again.fromStoreBytes, again.sha256], [4 * MIB, hash]);
});

test('a tab closes after writing a chunk and before naming it → nothing → named chunks; the other is deleted with the next model', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  await visitor.load(server.url);
  await visitor.orphan('0'.repeat(64), MIB);
  assert.equal(await visitor.deleteModel('http://localhost/absent'), false);
  await visitor.load(`${server.url}?other`);
  await visitor.deleteModel(`${server.url}?other`);
  assert.equal(await visitor.storedBytes(), SIZE);
  assert.equal((await visitor.load(server.url)).fetchedBytes, 0);
});

test('a sweep runs while another tab stores → nothing → all its chunks, also one without a name', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new Visitor(t);
  const { swept } = await visitor.load(server.url, { sweeping: true });
  assert.deepEqual(swept, Array(14).fill(0));
  assert.equal((await visitor.load(server.url)).fetchedBytes, 0);
});
