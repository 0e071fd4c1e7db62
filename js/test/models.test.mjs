// What the page can do with the store: list, delete, export and import.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storedModels } from '../dist/store/models.js';
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
  const stored = await storedModels(there.downloads).import(stream, { as: server.url });
  assert.deepEqual([stored.source, stored.size, stored.storedBytes, stored.complete], [server.url, SIZE, SIZE, true]);
  server.requests.length = 0;
  assert.equal((await there.load(server.url)).sha256, sha256(content));
  assert.deepEqual(server.requests, []);
  await assert.rejects(storedModels(here.downloads).export('http://localhost/absent'), { code: 'NOT_STORED' });
});

test('the store is listed: source, size, what is there', async (t) => {
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
