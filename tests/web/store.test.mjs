// Downloading and storing a real model in Chromium, with a server that counts and fails. Test names
// are rows of a table: fault → what the user sees → what is kept.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { inRoot } from '../../scripts/lib/run.mjs';
import { launchChromium } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';

const MIB = 1 << 20;
const MINUTE = 60_000;
const MODEL = '/counted/model.gguf';
const WORKER = '/node_modules/weft-llm/dist/weft-worker.js';

let packed, server, content, sha256, browser;

/**
 * How the server sends the model: bytes per second, version, broken connections, and bytes sent.
 */
let model;

before(async () => {
  content = await readFile(inRoot('models/SmolLM2-135M-Instruct.Q4_1.gguf'));
  sha256 = createHash('sha256').update(content).digest('hex');
  packed = await installPacked();
  const mounts = { '/node_modules/': join(packed.folder, 'node_modules') };
  server = await serve(mounts, { handle });
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

beforeEach(() => {
  model = { rate: Infinity, etag: '"one"', breakAfter: () => Infinity, requests: [], sent: 0, open: 0 };
});

async function handle(request, response) {
  if (request.url === '/') {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><html lang="en"><title>test</title><link rel="icon" href="data:," /></html>');
    return true;
  }
  if (request.url === WORKER && model.worker) {
    response.setHeader('Content-Type', 'text/javascript');
    response.end(model.worker);
    return true;
  }
  if (request.url !== MODEL) return false;
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const conditionHolds = (request.headers['if-range'] ?? model.etag) === model.etag;
  const isPart = from !== undefined && conditionHolds;
  const start = isPart ? Number(from) : 0;
  const end = isPart ? Math.min(Number(to) + 1, content.length) : content.length;
  model.requests.push([start, end]);
  if (isPart && model.compressesParts) {
    const told = { 'Content-Range': `bytes ${start}-${end - 1}/${content.length}`, 'Content-Encoding': 'gzip' };
    response.writeHead(206, told).end(gzipSync(content.subarray(start, end)));
    return true;
  }
  response.setHeader('ETag', model.etag);
  response.setHeader('Content-Length', end - start);
  if (isPart) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${content.length}`);
  response.writeHead(isPart ? 206 : 200);
  model.open += 1;
  const closed = event(response, 'close').then(() => (model.open -= 1));
  const step = 64 * 1024;
  const upTo = Math.min(end, start + model.breakAfter());
  for (let at = start; at < upTo && !response.destroyed; at += step) {
    const bytes = content.subarray(at, Math.min(at + step, upTo));
    model.sent += bytes.length;
    if (!response.write(bytes)) await Promise.race([event(response, 'drain'), closed]);
    if (model.rate < Infinity) await pause((bytes.length / model.rate) * 1000);
  }
  if (upTo === end) response.end();
  else setTimeout(() => response.destroy(), 50);
  return true;
}

const event = (emitter, name) => new Promise((resolve) => emitter.once(name, resolve));
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Runs `work(open)` with its own store; `open()` opens a page with the package as `weft`. */
async function inProfile(work) {
  const context = await browser.newContext();
  try {
    await work(async () => {
      const page = await context.newPage();
      await page.goto(server.url);
      await page.evaluate(async () => {
        globalThis.weft = await import('/node_modules/weft-llm/dist/index.js');
      });
      return page;
    });
  } finally {
    await context.close();
  }
}

/** Loads and frees the model; returns what was reported of the download, or the error. */
const load = (page, options = {}) =>
  page.evaluate(
    async ({ model, options }) => {
      const progress = [];
      try {
        const llm = await weft.load({
          model,
          device: 'cpu',
          contextLength: 64,
          onProgress: (p) => progress.push(p),
          ...options,
        });
        llm.dispose();
        return { ...llm.info.download, last: progress.at(-1), told: progress.flatMap(({ note }) => note ?? []) };
      } catch ({ name, code, message }) {
        return { error: { name, code, message } };
      }
    },
    { model: MODEL, options },
  );

test(
  'connections and tabs are cut 20 times at random → the model, with the right hash → what had come',
  { timeout: 10 * MINUTE },
  (t) =>
    inProfile(async (open) => {
      let seed = 2026;
      const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
      model.rate = 6 * MIB;
      let broken = 0;
      // Half of the cuts break a connection, one while each tab is open; the others close the tab.
      for (let cut = 0; cut < 10; cut += 1) {
        let breaks = 1;
        model.breakAfter = () => (breaks-- > 0 ? ((broken += 1), Math.ceil(random() * 2 * MIB)) : Infinity);
        const page = await open();
        const until = ((cut + 0.3 + random() * 0.5) / 11) * content.length;
        await page.evaluate(
          ({ model, until }) =>
            new Promise((resolve, reject) => {
              const onProgress = ({ loaded }) => loaded >= until && resolve();
              weft.load({ model, device: 'cpu', onProgress }).then(resolve, reject);
            }),
          { model: MODEL, until },
        );
        await page.close();
        while (model.open > 0) await pause(10);
      }
      model.breakAfter = () => Infinity;
      const { error, fetchedBytes, fromStoreBytes } = await load(await open(), { sha256 });
      assert.equal(error, undefined);
      assert.equal(broken, 10);
      assert.equal(fetchedBytes + fromStoreBytes, content.length);
      const again = model.sent - content.length;
      t.diagnostic(
        `${(again / MIB).toFixed(1)} MiB were sent and not kept in 20 cuts, of ${(content.length / MIB).toFixed(1)}`,
      );
      // Bytes on three connections and in sockets are lost when a tab closes. If nothing were kept,
      // it would be 4 times the file.
      assert.ok(again <= content.length, `${again} bytes were fetched again`);
      assert.deepEqual([(await load(await open(), { sha256 })).fetchedBytes, model.sent - content.length], [0, again]);
    }),
);

test('two tabs load one model at once → both get it → it is fetched once', { timeout: 5 * MINUTE }, () =>
  inProfile(async (open) => {
    const [first, second] = await Promise.all([open(), open()]);
    const results = await Promise.all([load(first), load(second)]);
    assert.deepEqual(
      results.map(({ error }) => error),
      [undefined, undefined],
    );
    assert.equal(model.sent, content.length);
  }),
);

test('the tab that downloads for two is closed → the other goes on → what it had stored', { timeout: 5 * MINUTE }, () =>
  inProfile(async (open) => {
    model.rate = 8 * MIB; // storing keeps pace with that anywhere
    const [first, second] = [await open(), await open()];
    await first.evaluate((model) => {
      return new Promise(
        (resolve) => void weft.load({ model, device: 'cpu', onProgress: ({ loaded }) => loaded > 2e7 && resolve() }),
      );
    }, MODEL);
    const other = load(second);
    await pause(300);
    await first.close();
    const { error, fromStoreBytes, fetchedBytes } = await other;
    assert.equal(error, undefined);
    assert.equal(fromStoreBytes + fetchedBytes, content.length);
    // Less than the server sent: on a slow machine much of that was in sockets when the tab closed.
    assert.ok(fromStoreBytes > 2e7 - 8 * MIB, `${fromStoreBytes} bytes`);
  }),
);

test(
  'a chunk on the disk is damaged → a note that names it → all other chunks; this one is fetched again',
  { timeout: 5 * MINUTE },
  () =>
    inProfile(async (open) => {
      const page = await open();
      assert.equal((await load(page)).storage, 'opfs');
      const name = createHash('sha256')
        .update(content.subarray(7 * MIB, 8 * MIB))
        .digest('hex');
      await page.evaluate(async (name) => {
        const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('weft');
        const writable = await (await folder.getFileHandle(name)).createWritable({ keepExistingData: true });
        await writable.write({ type: 'write', position: 500, data: 'something else' });
        await writable.close();
      }, name);
      model.requests = [];
      const { told, fetchedBytes } = await load(page, { sha256 });
      assert.deepEqual(model.requests, [[7 * MIB, 8 * MIB]]);
      assert.equal(fetchedBytes, MIB);
      assert.match(told.join(), /Part 8 of model\.gguf was damaged/);
    }),
);

test(
  'the file changes on the server during the download → the model, read again → nothing of the old one',
  { timeout: 5 * MINUTE },
  () =>
    inProfile(async (open) => {
      const page = await open();
      model.rate = 60 * MIB;
      const loading = load(page, { sha256 });
      while (model.sent < 20 * MIB) await pause(5);
      model.etag = '"two"';
      const { error, fetchedBytes, fromStoreBytes } = await loading;
      assert.equal(error, undefined);
      assert.deepEqual([fetchedBytes, fromStoreBytes], [content.length, 0]);
    }),
);

test(
  'the quota is too small → a note, and the model; QUOTA_EXCEEDED if storing is required → what was stored',
  { timeout: 5 * MINUTE },
  () =>
    inProfile(async (open) => {
      const page = await open();
      const session = await page.context().newCDPSession(page);
      await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(server.url).origin, quotaSize: 20 * MIB });
      const { error } = await load(page, { store: { required: true } });
      assert.equal(error.code, 'QUOTA_EXCEEDED', error.message);
      assert.match(error.message, /needs \d+ more bytes/);
      const { storage, notes } = await load(page);
      assert.equal(storage, 'none');
      assert.match(notes.join(), /is not stored/);
    }),
);

test(
  'a server of the same origin compresses parts → nothing → everything, by one connection',
  { timeout: 5 * MINUTE },
  () =>
    inProfile(async (open) => {
      model.compressesParts = true;
      const { error, fetchedBytes } = await load(await open(), { sha256 });
      assert.deepEqual([error, fetchedBytes], [undefined, content.length]);
      assert.deepEqual(model.requests.at(-1), [0, content.length]);
      assert.ok(model.requests.length <= 4, `${model.requests.length} requests`);
    }),
);

test('the load is aborted → AbortError, and the requests end → what had come', { timeout: 5 * MINUTE }, () =>
  inProfile(async (open) => {
    const page = await open();
    model.rate = 8 * MIB; // storing keeps pace with that anywhere
    const name = await page.evaluate(async (model) => {
      const controller = new AbortController();
      const onProgress = ({ loaded }) => loaded > 3e7 && controller.abort();
      const loading = weft.load({ model, device: 'cpu', signal: controller.signal, onProgress });
      return loading.then(
        () => 'loaded',
        ({ name }) => name,
      );
    }, MODEL);
    assert.equal(name, 'AbortError');
    while (model.open > 0) await pause(10);
    const sent = model.sent;
    await pause(200);
    assert.equal(model.sent, sent);
    model.rate = Infinity;
    assert.ok((await load(page)).fromStoreBytes > 2e7);
  }),
);

test(
  'the page lists, measures, exports and deletes stored models; an imported model needs no network',
  { timeout: 5 * MINUTE },
  () =>
    inProfile(async (open) => {
      const page = await open();
      await load(page, { sha256 });
      const found = await page.evaluate(async (url) => {
        const { models } = weft;
        const [listed] = await models.list();
        const usage = await models.usage();
        const blob = await new Response(await models.export(url)).blob();
        const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('weft');
        await folder.getFileHandle('0'.repeat(64), { create: true }); // left by a closed tab
        const deleted = await models.delete(url);
        let files = 0;
        for await (const _ of folder.keys()) files += 1;
        const left = (await models.list()).length;
        const imported = await models.import(blob, { as: 'hf:owner/name/model.gguf' });
        return {
          listed: { ...listed, lastUsed: 0 },
          usage,
          size: blob.size,
          deleted,
          files,
          left,
          imported: imported.complete,
        };
      }, MODEL);
      const source = new URL(MODEL, server.url).href;
      const size = content.length;
      assert.deepEqual(found.listed, { source, size, storedBytes: size, complete: true, lastUsed: 0, sha256 });
      assert.ok(found.usage.stored === size && found.usage.used >= size && found.usage.quota > size);
      assert.deepEqual([found.size, found.deleted, found.files, found.left, found.imported], [size, true, 0, 0, true]);
      const { fetchedBytes, error } = await load(page, { model: 'hf:owner/name/model.gguf', sha256 });
      assert.deepEqual([fetchedBytes, error], [0, undefined]);
    }),
);

test(
  'the browser has no file system for pages → nothing; `info.download.storage` is `cache` → everything',
  { timeout: 5 * MINUTE },
  () =>
    inProfile(async (open) => {
      const refuse =
        "StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException('no', 'SecurityError'));";
      model.worker = `import '${WORKER}?real'; ${refuse}`;
      const page = await open();
      const { storage, fetchedBytes } = await load(page, { sha256 });
      assert.deepEqual([storage, fetchedBytes], ['cache', content.length]);
      const again = await load(page, { sha256 });
      assert.deepEqual([again.error, again.storage, again.fetchedBytes], [undefined, 'cache', 0]);
      await page.evaluate(refuse);
      const left = await page.evaluate(async (url) => {
        const [{ storedBytes, complete }] = await weft.models.list();
        const cache = await caches.open('weft');
        await cache.put(`https://weft.invalid/${'0'.repeat(64)}`, new Response('an orphan'));
        await weft.models.delete(url);
        return [storedBytes, complete, (await cache.keys()).length];
      }, MODEL);
      assert.deepEqual(left, [content.length, true, 0]);
    }),
);

test('streams, file handles and the caller’s fetch are sources too', { timeout: 5 * MINUTE }, () =>
  inProfile(async (open) => {
    const page = await open();
    const fetched = await page.evaluate(async (url) => {
      const result = {};
      const load = async (name, options) => {
        const llm = await weft.load({ device: 'cpu', contextLength: 64, ...options });
        llm.dispose();
        result[name] = llm.info.download.fetchedBytes;
      };
      const { body } = await fetch(url);
      await load('stream', { model: body });
      let calls = 0;
      await load('fetch', { model: url, store: false, fetch: (...all) => ((calls += 1), fetch(...all)) });
      if (calls === 0) throw new Error('the fetch of the caller was not called');
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('mine', { create: true });
      const handle = await folder.getFileHandle('model.gguf', { create: true });
      await (await fetch(url)).body.pipeTo(await handle.createWritable());
      await load('handle', { model: handle });
      await load('folder', { model: folder });
      return result;
    }, MODEL);
    const size = content.length;
    assert.deepEqual(fetched, { stream: size, fetch: size, handle: size, folder: size });
  }),
);
