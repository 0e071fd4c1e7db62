// The store in the page: list, delete, export and import.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storedModels } from '../dist/page/models.js';
import { fileServer, pattern, sha256, until } from './support/server.mjs';
import { MemoryVisitor } from './support/store.mjs';

const MIB = 1 << 20;
const SIZE = 13 * MIB + 777;
const content = pattern(SIZE);

test('a model goes out of one store and into another → it loads there without a network', async (t) => {
  const server = await fileServer(t, content);
  const [here, there] = [new MemoryVisitor(t), new MemoryVisitor(t)];
  await here.load(server.url);
  const stream = await storedModels(here.downloads).export(server.url);
  const told = [];
  const stored = await storedModels(there.downloads).import(stream, {
    as: server.url,
    onProgress: (bytes) => told.push(bytes),
  });
  assert.deepEqual(told, [...Array.from({ length: 13 }, (_, index) => (index + 1) * MIB), SIZE]);
  assert.deepEqual([stored.source, stored.size, stored.storedBytes, stored.complete], [server.url, SIZE, SIZE, true]);
  server.requests.length = 0;
  assert.equal((await there.load(server.url)).sha256, sha256(content));
  assert.deepEqual(server.requests, []);
  await assert.rejects(storedModels(here.downloads).export('http://localhost/absent'), { code: 'NOT_STORED' });
});

test('list gives source, size and completeness of each model', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new MemoryVisitor(t);
  const models = storedModels(visitor.downloads);
  assert.deepEqual(await models.list(), []);
  await visitor.load(server.url, { upTo: 5 * MIB });
  await until(async () => (await visitor.storedBytes()) >= 5 * MIB);
  const [partly] = await models.list();
  assert.deepEqual([partly.source, partly.size, partly.complete, partly.sha256], [server.url, SIZE, false, null]);
  assert.ok(partly.storedBytes >= 5 * MIB && partly.storedBytes < SIZE);
  assert.equal(await models.delete(server.url), true);
  assert.equal(await models.delete(server.url), false);
});

test('an import that breaks off or is not a model: its error; the stored file is kept', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new MemoryVisitor(t);
  const models = storedModels(visitor.downloads);
  await visitor.load(server.url);
  const other = pattern(SIZE, 11);
  const broken = () =>
    new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(other.subarray(0, 3 * MIB)));
      },
      pull: (controller) => controller.error(new Error('the disk was taken out')),
    });
  await assert.rejects(models.import(broken(), { as: server.url }), /the disk was taken out/);
  for (const wrong of ['', 'GGUF', '<!doctype html><title>no</title>', '{"error":"no"}']) {
    await assert.rejects(models.import(new Blob([wrong]), { as: server.url }), {
      code: 'INVALID_FILE',
      message: /cannot be imported/,
    });
  }
  await assert.rejects(models.import(new Blob([other]), { as: server.url, onProgress: 'yes' }), {
    code: 'INVALID_OPTION',
    message: /onProgress/,
  });
  await visitor.setQuota(SIZE + 3 * MIB, { told: false });
  await assert.rejects(models.import(new Blob([other]), { as: server.url }), { code: 'QUOTA_EXCEEDED' });
  await visitor.setQuota(Infinity, { told: false });
  assert.deepEqual([await visitor.namedBytes(), await visitor.storedBytes()], [SIZE, SIZE]);
  server.requests.length = 0;
  assert.equal((await visitor.load(server.url)).sha256, sha256(content));
  assert.deepEqual(server.requests, []);
  // a complete one replaces it
  await models.import(new Blob([other]), { as: server.url });
  assert.equal((await visitor.load(server.url)).sha256, sha256(other));
  assert.deepEqual([await visitor.namedBytes(), await visitor.storedBytes()], [SIZE, SIZE]);
});

test('a tab closes during an import: what was stored is kept, and the sweep deletes the rest', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new MemoryVisitor(t);
  await visitor.load(server.url);
  // the import holds its lock until its tab closes
  const held = [];
  const locks = { ...visitor.downloads.locks, hold: async (...how) => held[held.push(await visitor.hold(...how)) - 1] };
  const never = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(pattern(3 * MIB, 11))),
    pull: () => new Promise(() => {}),
  });
  storedModels({ ...visitor.downloads, locks })
    .import(never, { as: server.url })
    .catch(() => {}); // its tab closes
  await until(async () => (await visitor.storedBytes()) >= SIZE + 2 * MIB);
  assert.ok((await visitor.namedBytes()) >= SIZE + 2 * MIB, 'what is imported counts');
  assert.deepEqual(await visitor.list(), [[server.url, true]]);
  await visitor.sweep();
  assert.ok((await visitor.storedBytes()) >= SIZE + 2 * MIB, 'an import that goes on is spared');
  held.forEach((release) => release());
  await until(async () => (await visitor.sweep(), await visitor.storedBytes()) === SIZE);
  assert.equal((await visitor.load(server.url)).fetchedBytes, 0);
});

test('files of an older layout are listed, counted and deleted', async (t) => {
  const server = await fileServer(t, content);
  const visitor = new MemoryVisitor(t);
  await visitor.load(server.url);
  const { manifests } = await visitor.downloads.storage();
  const { manifest } = await manifests.find(server.url);
  await manifests.change({ source: server.url, id: manifest.id }, { chunkBytes: 2 * MIB });
  const models = storedModels(visitor.downloads);
  const [listed] = await models.list();
  assert.deepEqual([listed.source, listed.complete], [server.url, false]);
  assert.equal((await models.usage()).stored, listed.storedBytes);
  assert.equal((await visitor.load(server.url)).sha256, sha256(content), 'fetched anew');
  assert.equal((await models.list())[0].complete, true);
  await manifests.change({ source: server.url, id: (await manifests.find(server.url)).manifest.id }, { chunkBytes: 7 });
  assert.equal(await models.delete(server.url), true);
  assert.equal(await visitor.storedBytes(), 0);
});
