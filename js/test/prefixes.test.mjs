// Prompts in the store: with storage in memory, and with a fake of the module's KV cache.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '../dist/page/connection.js';
import { createLlm } from '../dist/page/llm.js';
import { storedModels } from '../dist/page/models.js';
import { StoredPrefixes } from '../dist/store/prefixes.js';
import { serve } from '../dist/worker/serve.js';
import { collect, FakeLlm, fakeRuntime, loadCall } from './support/fake.mjs';
import { pattern } from './support/server.mjs';
import { MemoryVisitor } from './support/store.mjs';

const MIB = 1 << 20;
const MODEL = 'http://localhost/m.gguf';
const ids = (length, first = 0) => Array.from({ length }, (_, i) => first + i);

/** Blocks of `bytes` each, of which each depends on all ids before. */
const blocksOf =
  (bytes, seed = 1) =>
  async (beginning) =>
    new Uint8Array(pattern(bytes, seed + beginning.reduce((sum, id, at) => (sum * 31 + id + at) % 9973, 7)));

async function all(blocks) {
  const found = [];
  for await (const block of blocks) found.push(block);
  return found;
}

/** What is read must be what was written, for the ids up to there. */
async function check(found, read) {
  for (const { ids, bytes } of found) assert.deepEqual(bytes, await read(ids));
}

for (const bytes of [1000, MIB / 4, MIB, 3 * MIB + 17]) {
  test(`blocks of ${bytes} bytes are read as they were written, from any position on`, async (t) => {
    const storage = await new MemoryVisitor(t).downloads.storage();
    const read = blocksOf(bytes);
    const text = ids(5 * 64 + 9);
    assert.equal(await new StoredPrefixes(storage).put(MODEL, { key: 'k', ids: text, pinned: true }, read), 6 * bytes);
    for (const [prompt, cached, ends] of [
      [text, 0, [64, 128, 192, 256, 320, 329]],
      [[...text, 7, 8], 64, [128, 192, 256, 320, 329]],
      [[...text.slice(0, 200), 5000], 100, [128, 192, 256]],
      [[...text.slice(0, 200), 5000], 150, []],
      [ids(300, 1), 0, []],
    ]) {
      const found = await all(new StoredPrefixes(storage).read('k', prompt, cached));
      assert.deepEqual(
        found.map((block) => block.ids.length),
        ends,
      );
      await check(found, read);
    }
    assert.deepEqual(await all(new StoredPrefixes(storage).read('another key', text, 0)), []);
  });
}

for (const what of ['altered', 'torn', 'missing']) {
  test(`a stored prompt with a part that is ${what} gives what is before it, and is deleted`, async (t) => {
    const visitor = new MemoryVisitor(t);
    const storage = await visitor.downloads.storage();
    const read = blocksOf(MIB);
    await new StoredPrefixes(storage).put(MODEL, { key: 'k', ids: ids(256), pinned: true }, read);
    const [[source]] = await visitor.manifests();
    await visitor.damage(source, 2, what);
    const stored = new StoredPrefixes(storage);
    const found = await all(stored.read('k', ids(256), 0));
    assert.equal(found.length, 2);
    await check(found, read);
    assert.deepEqual(await all(stored.read('k', ids(256), 0)), []);
    assert.deepEqual(await visitor.manifests(), []);
    assert.equal(await visitor.storedBytes(), 0);
  });
}

test('prompts that begin alike share their parts, and a longer one takes the place of a shorter', async (t) => {
  const visitor = new MemoryVisitor(t);
  const stored = new StoredPrefixes(await visitor.downloads.storage());
  const put = (text, pinned = false) => stored.put(MODEL, { key: 'k', ids: text, pinned }, blocksOf(MIB));
  await put(ids(128), true);
  await put([...ids(128), ...ids(64, 500)]);
  assert.equal(await visitor.storedBytes(), 3 * MIB);
  await put([...ids(128), ...ids(64, 500), ...ids(64, 700)]);
  assert.equal(await visitor.storedBytes(), 4 * MIB);
  assert.deepEqual((await visitor.manifests()).map(([, { prefix }]) => prefix.ids.length).sort(), [128, 256]);
  for (const [text, pinned, has] of [
    [ids(100), false, true],
    [ids(129), false, false],
    [[...ids(128), ...ids(64, 500)], true, true],
  ]) {
    assert.equal(await stored.has({ key: 'k', ids: text, pinned }), has);
  }
  // it is now kept for good
  assert.deepEqual(
    (await visitor.manifests()).map(([, { prefix }]) => prefix.pinned),
    [true, true],
  );
});

test('of a prompt that grows, only what is new is read and written', async (t) => {
  for (const bytes of [1000, MIB / 2 + 100]) {
    const visitor = new MemoryVisitor(t);
    const storage = await visitor.downloads.storage();
    const read = blocksOf(bytes);
    const ends = [];
    const noting = (beginning) => (ends.push(beginning.length), read(beginning));
    const put = (length) =>
      new StoredPrefixes(storage).put(MODEL, { key: 'k', ids: ids(length), pinned: false }, noting);
    assert.equal(await put(5 * 64 + 9), 6 * bytes);
    ends.length = 0;
    // the last block was not full
    const shared = Math.floor((5 * bytes) / MIB) * MIB;
    assert.equal(await put(8 * 64), 8 * bytes - shared);
    assert.deepEqual(
      ends,
      ids(8)
        .map((block) => (block + 1) * 64)
        .slice(Math.floor(shared / bytes)),
    );
    const found = await all(new StoredPrefixes(storage).read('k', ids(8 * 64), 0));
    assert.equal(found.length, 8);
    await check(found, read);
    assert.equal((await visitor.manifests()).length, 1);
    assert.equal(await visitor.storedBytes(), 8 * bytes);
  }
});

test('a prompt that another page deleted is stored again', async (t) => {
  const visitor = new MemoryVisitor(t);
  const storage = await visitor.downloads.storage();
  const stored = new StoredPrefixes(storage);
  for (const pinned of [false, true]) {
    const prefix = { key: 'k', ids: ids(128), pinned };
    await stored.put(MODEL, prefix, blocksOf(1000));
    assert.equal(await stored.has(prefix), true);
    const [[source]] = await visitor.manifests();
    await storage.manifests.delete(source);
    assert.equal(await stored.has(prefix), false);
    assert.equal(await stored.put(MODEL, prefix, blocksOf(1000)), 2000);
    assert.equal((await all(stored.read('k', ids(128), 0))).length, 2);
  }
});

test('a full storage drops older prompts and no model, and what does not fit leaves nothing', async (t) => {
  const visitor = new MemoryVisitor(t);
  const storage = await visitor.downloads.storage();
  for (const told of [true, false]) {
    const stored = new StoredPrefixes(storage);
    await visitor.setQuota(5 * MIB, { told });
    const put = (first, blocks) =>
      stored.put(MODEL, { key: 'k', ids: ids(64 * blocks, first), pinned: false }, blocksOf(MIB, first));
    await put(1000, 3);
    await sleep(2);
    await put(2000, 3);
    assert.deepEqual((await all(stored.read('k', ids(192, 1000), 0))).length, 0);
    assert.deepEqual((await all(stored.read('k', ids(192, 2000), 0))).length, 3);
    await assert.rejects(put(3000, 6), (error) => /QUOTA_EXCEEDED|QuotaExceeded/.test(error.code + error.name));
    assert.equal((await visitor.manifests()).length, 0);
    assert.equal(await visitor.storedBytes(), 0);
  }
});

/** The module's KV cache: the ids up to the end of each block, and what stands for its values. */
class Remembering extends FakeLlm {
  words = ['word'];
  blocks = new Map();
  /** Tokens that several texts begin with. */
  shared = 0;
  computed = 0;
  kv_key = () => `weights ${(this.adapters ?? []).join()}`;
  at = (ids) => `${this.kv_key()} ${ids.join()}`;

  remembered(ids) {
    let end = 0;
    while (end < ids.length && this.blocks.has(this.at(ids.slice(0, end + 64)))) end = Math.min(end + 64, ids.length);
    return Uint32Array.of(end, Math.min(this.shared, end));
  }

  start(ids, options, entropy) {
    super.start(ids, options, entropy);
    this.cached = this.remembered(ids)[0];
    this.computed += ids.length - this.cached;
    for (let end = 64; end < ids.length + 64; end += 64) {
      const at = this.at(ids.slice(0, end));
      if (!this.blocks.has(at))
        this.blocks.set(
          at,
          pattern(
            1000,
            ids.slice(0, end).reduce((a, b) => (a * 7 + b) % 997, 1),
          ),
        );
    }
  }

  read_block = async (ids) => this.blocks.get(this.at(ids));
  write_block = async (ids, bytes) => void this.blocks.set(this.at(ids), bytes.slice());
}

/** A page with a model: `visit(fake)` for each visit of one browser. */
function browser(t) {
  const visitor = new MemoryVisitor(t);
  const downloads = { ...visitor.downloads, sleep: () => sleep(1) };
  const visit = async (fake = new Remembering(), prefixCache = { persist: true }) => {
    const { port1, port2 } = new MessageChannel();
    t.after(() => port1.close());
    serve(port2, async () => fakeRuntime(fake), downloads);
    const connection = new Connection(port1, () => port1.close());
    const call = loadCall([new File(['x'], 'm.gguf')], { prefixCache: { maxBytes: null, ...prefixCache }, store: {} });
    return { fake, llm: createLlm(connection, await connection.request(call)) };
  };
  return { visitor, visit, models: storedModels(downloads) };
}

const usageOf = async (generation) => (await collect(generation)).at(-1).finish.usage;

async function until(what) {
  for (let waited = 0; !(await what()); waited += 1) {
    assert.ok(waited < 1000, String(what));
    await sleep(2);
  }
}

test('a prompt that is remembered is not computed on the next visit', async (t) => {
  const { visit, models } = browser(t);
  const first = await visit();
  assert.deepEqual(await first.llm.remember(ids(200)), { tokens: 200, storedBytes: 4000 });
  assert.deepEqual(await first.llm.remember(ids(200)), { tokens: 200, storedBytes: 0 });
  const { fake, llm } = await visit();
  assert.equal((await usageOf(llm.generate(ids(200)))).cachedTokens, 200);
  assert.equal(fake.computed, 0);
  for (const [at, bytes] of fake.blocks)
    if (first.fake.blocks.has(at)) assert.ok(first.fake.blocks.get(at).equals(bytes));
  const [{ source, promptTokens, storedBytes, complete }, ...others] = await models.list();
  assert.deepEqual([promptTokens, storedBytes, complete, others], [200, 4000, true, []]);
  assert.match(source, /^file:.*#prompt-[0-9a-f]{16}$/);
  assert.equal(await models.delete(source), true);
  assert.deepEqual(await models.list(), []);
  const third = await visit();
  assert.equal((await usageOf(third.llm.generate(ids(200)))).cachedTokens, 0);
});

test('a chat that grows takes the place of what was stored of it, unless that was pinned', async (t) => {
  const { visit, models } = browser(t);
  const { llm } = await visit();
  const tokens = async () => (await models.list()).map(({ promptTokens }) => promptTokens).sort();
  await llm.remember([...ids(150), 7, 8], { pinned: false });
  await llm.remember(ids(200), { pinned: false });
  assert.deepEqual(await tokens(), [200]);
  await llm.remember(ids(200));
  await llm.remember(ids(330), { pinned: false });
  assert.deepEqual(await tokens(), [200, 330]);
  await assert.rejects(llm.remember('a', { pinned: 1 }), { code: 'INVALID_OPTION', message: /`pinned`.*a boolean/ });
  for (const { source } of await models.list()) await models.delete(source);
  assert.equal((await llm.remember(ids(330), { pinned: false })).tokens, 330);
  assert.deepEqual(await tokens(), [330]);
});

test('what several prompts begin with is stored when nothing runs', async (t) => {
  const { visit, models } = browser(t);
  const { fake, llm } = await visit();
  await usageOf(llm.generate(ids(300)));
  await sleep(20);
  assert.deepEqual(await models.list(), []);
  fake.shared = 256;
  await usageOf(llm.generate([...ids(290), 5]));
  await until(async () => (await models.list())[0]?.complete);
  assert.equal((await models.list())[0].promptTokens, 256);
  const next = await visit();
  assert.equal((await usageOf(next.llm.generate(ids(300)))).cachedTokens, 256);
});

test('another adapter, other weights and a model that stores nothing compute it', async (t) => {
  const { visit } = browser(t);
  const first = await visit();
  await first.llm.remember(ids(128));
  const other = new Remembering();
  other.kv_key = () => 'other weights';
  for (const page of [await visit(other), await visit(new Remembering(), { persist: false })]) {
    assert.equal((await usageOf(page.llm.generate(ids(130)))).cachedTokens, 0);
  }
  const { llm } = await visit();
  assert.equal((await usageOf(llm.generate(ids(130), { adapter: 'a' }))).cachedTokens, 0);
  assert.equal((await usageOf(llm.generate(ids(130)))).cachedTokens, 128);
});

test('a store that fails, hangs or is damaged fails no answer', async (t) => {
  const { visit, visitor } = browser(t);
  const first = await visit();
  await first.llm.remember(ids(640));
  const [[source]] = await visitor.manifests();
  await visitor.damage(source, 0, 'altered');
  const { llm } = await visit();
  assert.equal((await usageOf(llm.generate(ids(640)))).cachedTokens, 0);
  await first.llm.remember(ids(640));
  const storage = await visitor.downloads.storage();
  for (const get of [() => Promise.reject(new Error('the disk failed')), () => new Promise(() => {})]) {
    const page = await visit();
    t.mock.method(storage.blobs, 'get', get);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const usage = usageOf(page.llm.generate(ids(640)));
    let over = false;
    void usage.finally(() => (over = true));
    for (let turn = 0; !over; turn += 1) {
      await new Promise(setImmediate);
      if (turn > 50) t.mock.timers.tick(1000);
    }
    assert.equal((await usage).completionTokens, 1);
    t.mock.timers.reset();
    t.mock.restoreAll();
  }
});

test('a model without room for what is stored computes it', async (t) => {
  const { visit } = browser(t);
  await (await visit()).llm.remember(ids(256));
  for (const code of ['OUT_OF_MEMORY', 'INVALID_OPTION']) {
    const fake = new Remembering();
    const write = fake.write_block;
    fake.write_block = async (beginning, bytes) => {
      if (beginning.length > 128) throw Object.assign(new Error('no room'), { code });
      return write(beginning, bytes);
    };
    const { llm } = await visit(fake);
    assert.equal((await usageOf(llm.generate(ids(256)))).cachedTokens, 128);
  }
});

test('nothing is remembered without the option, and an abort stops it', async (t) => {
  const { visit, models } = browser(t);
  const without = await visit(new Remembering(), { persist: false });
  await assert.rejects(without.llm.remember('a'), { code: 'INVALID_OPTION', message: /persist: true/ });
  const { llm } = await visit();
  await assert.rejects(llm.remember('a', { maxTokens: 5 }), { code: 'INVALID_OPTION', message: /`maxTokens`/ });
  const controller = new AbortController();
  const remembering = llm.remember(ids(640), { signal: controller.signal });
  controller.abort();
  await assert.rejects(remembering, { name: 'AbortError' });
  assert.deepEqual(await models.list(), []);
});
