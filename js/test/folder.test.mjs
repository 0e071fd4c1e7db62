// Folders of transformers, as URLs, files and handles; and their estimates.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { createGzip } from 'node:zlib';
import { Meter } from '../dist/download/meter.js';
import { ModelReader } from '../dist/download/model.js';
import { estimate } from '../dist/worker/estimate.js';
import { storedModels } from '../dist/page/models.js';
import { checkEstimate, checkLoad } from '../dist/options/load.js';
import { FakeLlm, fakeRuntime, FakeSha256 } from './support/fake.mjs';
import { load } from '../dist/worker/load.js';
import { listen, tensors, until } from './support/server.mjs';
import { MemoryVisitor } from './support/store.mjs';

const MIB = 1 << 20;
const shard = (n) => `model-0000${n}-of-00002.safetensors`;

/** Contents of a folder with two shards, by path. */
const folder = () => ({
  'config.json': '{"model_type": "llama"}',
  'tokenizer.json': '{"ä": 1}',
  'model.safetensors.index.json': JSON.stringify({
    metadata: { total_size: 3 * MIB },
    weight_map: { b: shard(2), a: shard(1), c: shard(2) },
  }),
  [shard(1)]: tensors(2 * MIB),
  [shard(2)]: tensors(MIB + 7, 3),
});

/** Serves such a folder. `requests`: the requested paths. `sent`: bytes sent of each file. */
async function serveFolder(t, files, path = '/m/') {
  const seen = { requests: [], sent: {}, files };
  const origin = await listen(t, ({ url, headers }, response) => {
    const name = url.replace(path, '');
    seen.requests.push(name);
    const content = seen.files[name];
    if (content === undefined) return response.writeHead(404).end('no');
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '');
    const bytes = Buffer.from(content);
    const [start, end] = range ? [Number(range[1]), Math.min(Number(range[2]) + 1, bytes.length)] : [0, bytes.length];
    response.setHeader('ETag', seen.etags?.[name] ?? '"one"');
    if (range) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${bytes.length}`);
    response.writeHead(range ? 206 : 200);
    const pieces = function* () {
      for (let at = start; at < end; at += 65536) {
        const piece = bytes.subarray(at, Math.min(at + 65536, end));
        seen.sent[name] = (seen.sent[name] ?? 0) + piece.length;
        yield piece;
      }
    };
    Readable.from(pieces())
      .on('error', () => {})
      .pipe(response);
  });
  return Object.assign(seen, { url: `${origin}${path}`, origin });
}

function readerOf(visitor, files, meter = new Meter(() => {})) {
  return new ModelReader(files, [], {
    ...visitor.downloads,
    store: {},
    meter,
    note: () => {},
    hasher: async () => new FakeSha256(),
  });
}

async function read(visitor, files, meter) {
  const reader = readerOf(visitor, files, meter);
  const opened = await reader.open();
  const pieces = [];
  for await (const piece of reader.pieces()) pieces.push({ ...piece, bytes: Buffer.from(piece.bytes) });
  await reader.settle();
  const bytesOf = (file) => Buffer.concat(pieces.filter((piece) => piece.file === file).map(({ bytes }) => bytes));
  return { ...opened.folder, contents: opened.files.map((_, file) => bytesOf(file)), pieces };
}

const filesOf = (options) => checkLoad(options).files;

function assertWhole(got, files = folder()) {
  assert.deepEqual([...got.texts.keys()], ['config.json', 'tokenizer.json', 'model.safetensors.index.json']);
  assert.equal(got.texts.get('tokenizer.json'), '{"ä": 1}');
  assert.deepEqual(got.contents, [files[shard(1)], files[shard(2)]]);
}

test('a URL that ends with a slash is a folder: it is read, stored, and loads without a network', async (t) => {
  const seen = await serveFolder(t, folder());
  const visitor = new MemoryVisitor(t);
  const meter = new Meter(() => {});
  const got = await read(visitor, filesOf({ model: seen.url }), meter);
  assertWhole(got);
  assert.equal(got.name, 'm');
  assert.ok(meter.sums.fetchedBytes > 3 * MIB, 'the small files count too');
  assert.ok(got.pieces.every(({ total }) => total === null));

  const asked = seen.requests.length;
  seen.files = {};
  assertWhole(await read(visitor, filesOf({ model: seen.url })));
  assert.equal(seen.requests.length, asked, 'what is not there is known too');
});

test('a folder is deleted as a whole, and other folders stay', async (t) => {
  const seen = await serveFolder(t, folder());
  const visitor = new MemoryVisitor(t);
  await read(visitor, filesOf({ model: seen.url }));
  const other = await serveFolder(t, { 'config.json': '{}', 'model.safetensors': tensors(99) });
  await read(visitor, filesOf({ model: other.url }));
  const models = storedModels(visitor.downloads);
  const sources = async () => (await models.list()).map(({ source }) => source).sort();
  const own = Object.keys(folder()).map((name) => seen.url + name);
  const others = ['config.json', 'model.safetensors'].map((name) => other.url + name);
  assert.deepEqual(await sources(), [...own, ...others].sort());
  assert.equal(await models.delete(seen.url), true);
  assert.deepEqual(await sources(), others);
  assert.equal(await models.delete(seen.url), false);
});

test('a folder with `*` in its URL is stored and deleted', async (t) => {
  const files = { 'config.json': '{}', 'model.safetensors': tensors(99) };
  const seen = await serveFolder(t, files, '/a*b/m/');
  const visitor = new MemoryVisitor(t);
  await read(visitor, filesOf({ model: seen.url }));
  const models = storedModels(visitor.downloads);
  const sources = (await models.list()).map(({ source }) => source);
  assert.deepEqual(sources.sort(), [`${seen.url}config.json`, `${seen.url}model.safetensors`]);
  assert.equal(await models.delete(seen.url), true);
  assert.deepEqual(await models.list(), []);
});

test('a repository of a hub is a folder at a revision', async (t) => {
  const seen = await serveFolder(t, folder(), '/owner/repository/resolve/v2/');
  const got = await read(new MemoryVisitor(t), filesOf({ model: 'hf:owner/repository@v2', hub: seen.origin }));
  assertWhole(got);
  assert.equal(got.name, 'owner/repository');
  const inner = filesOf({ model: 'hf:owner/repository/sub/', hub: seen.origin });
  assert.equal(inner[0].url, `${seen.origin}/owner/repository/resolve/main/sub/`);
  assert.equal(inner[0].key, `${inner[0].url}*`);
  assert.equal(filesOf({ model: 'hf:owner/repository/sub/' })[0].key, 'hf:owner/repository/sub/*@main');
});

test('chosen files are a folder, in any order, with or without paths', async (t) => {
  for (const root of ['', 'my model/']) {
    const files = Object.entries(folder()).map(([name, content]) => {
      const file = new File([content], name);
      return root ? Object.defineProperty(file, 'webkitRelativePath', { value: root + name }) : file;
    });
    const got = await read(new MemoryVisitor(t), filesOf({ model: files.reverse() }));
    assertWhole(got);
    assert.equal(got.name, root ? 'my model' : 'model');
  }
});

/** A handle of a folder in memory, as far as it is asked. */
function handleOf(name, files) {
  const missing = () => Promise.reject(new DOMException('no', 'NotFoundError'));
  const file = (path) => ({ kind: 'file', name: path, getFile: async () => new File([files[path]], path) });
  return {
    kind: 'directory',
    name,
    getFileHandle: (path) => (path in files ? Promise.resolve(file(path)) : missing()),
    getDirectoryHandle: missing,
    async *values() {
      for (const path of Object.keys(files)) yield file(path);
    },
  };
}

test('the handle of a folder is read; without config.json it is a folder of GGUF files', async (t) => {
  const got = await read(new MemoryVisitor(t), [{ type: 'handle', handle: handleOf('dropped', folder()) }]);
  assertWhole(got);
  assert.equal(got.name, 'dropped');
  const other = handleOf('dropped', { 'm.gguf': 'GGUF' });
  const { contents, texts } = await read(new MemoryVisitor(t), [{ type: 'handle', handle: other }]);
  assert.deepEqual([contents, texts], [[Buffer.from('GGUF')], undefined]);
});

test('a folder without an index has one file of weights', async (t) => {
  const files = { 'config.json': '{}', 'tokenizer.json': '{}', 'model.safetensors': tensors(99) };
  const seen = await serveFolder(t, files);
  const { contents } = await read(new MemoryVisitor(t), filesOf({ model: seen.url }));
  assert.deepEqual(contents, [files['model.safetensors']]);
});

test('a missing shard is named, and the shards before it are kept', async (t) => {
  const files = folder();
  delete files[shard(2)];
  const seen = await serveFolder(t, files);
  const visitor = new MemoryVisitor(t);
  await assert.rejects(read(visitor, filesOf({ model: seen.url })), {
    code: 'NETWORK',
    message: /model-00002-of-00002\.safetensors.* answered 404/,
  });
  // received files are not downloaded again
  const { [shard(1)]: sent } = seen.sent;
  seen.files = folder();
  assertWhole(await read(visitor, filesOf({ model: seen.url })));
  assert.equal(seen.sent[shard(1)], sent);

  await assert.rejects(read(visitor, [{ type: 'handle', handle: handleOf('dropped', files) }]), {
    code: 'INVALID_MODEL',
    message: /dropped has no model-00002-of-00002\.safetensors/,
  });
});

test('a folder without config.json is an error that names it', async (t) => {
  const seen = await serveFolder(t, { 'm.gguf': 'GGUF' });
  await assert.rejects(read(new MemoryVisitor(t), filesOf({ model: seen.url })), {
    code: 'INVALID_OPTION',
    message: /config\.json.*m without one/,
  });
});

test('an invalid index is named', async (t) => {
  for (const index of ['<html>', '[]', '{"weight_map": null}']) {
    const files = { ...folder(), 'model.safetensors.index.json': index };
    const load = read(new MemoryVisitor(t), [{ type: 'handle', handle: handleOf('m', files) }]);
    await assert.rejects(load, { code: 'INVALID_MODEL', message: /model\.safetensors\.index\.json/ });
  }
});

test('progress counts the bytes of all files of a folder', async (t) => {
  const seen = await serveFolder(t, folder());
  const totals = [];
  const meter = new Meter(() => totals.push(meter.counts(null).total));
  await read(new MemoryVisitor(t), filesOf({ model: seen.url }), meter);
  const small = Object.values(folder())
    .slice(0, 3)
    .reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const known = totals.filter((total) => total !== null);
  assert.equal(known[0], 3 * MIB + small, 'first as the index says');
  assert.equal(known.at(-1), 3 * MIB + 7 + small);
  assert.equal(meter.counts(null).loaded, known.at(-1));
});

test('the engine gets a folder’s small files, its weights and how to quantise them', async (t) => {
  const seen = await serveFolder(t, folder());
  const runtime = fakeRuntime(new FakeLlm());
  const call = { ...checkLoad({ model: seen.url, quantize: 'q4_0' }), store: null };
  await load(
    async () => runtime,
    new MemoryVisitor(t).downloads,
    call,
    () => {},
  );
  assert.deepEqual([runtime.options.folder, runtime.options.quantize], ['m', 'q4_0']);
  assert.deepEqual(runtime.files.slice(0, 2), ['config.json', '{"model_type": "llama"}']);
  assert.equal(runtime.ended, 1, 'told between the two files');
});

test('an estimate fetches headers alone', async (t) => {
  const files = folder();
  files[shard(1)] = tensors(40 * MIB);
  const seen = await serveFolder(t, files);
  const runtime = fakeRuntime(new FakeLlm());
  const call = checkEstimate(seen.url, { contextLength: 5, quantize: 'none' });
  runtime.estimate = { totalBytes: 4 * 2 ** 30, kvCacheBytes: 2 ** 30, kvCache: 'f16', largestBufferBytes: 4096 };
  const family = ['intel', 'gen-12lp'];
  runtime.gpu = async () => ({ name: 'fake', maxBufferBytes: 4000, family });
  const got = await estimate(async () => runtime, new MemoryVisitor(t).downloads, call);
  assert.equal(got.cpu.fits, false);
  assert.match(got.cpu.reason, /4429185024 bytes, and WebAssembly can address 4294967296/);
  assert.match(got.gpu.reason, /4096 bytes, and this GPU allows 4000/);
  assert.deepEqual(runtime.options, {
    contextLength: 5,
    ropeScaling: null,
    quantize: 'none',
    kvCache: 'f16',
    folder: 'm',
    gpu: family,
  });
  assert.ok(runtime.estimated[0] < MIB && runtime.estimated[1] < MIB, 'it says when it has enough');
  assert.ok(seen.sent[shard(1)] < 20 * MIB, `${seen.sent[shard(1)]} bytes were sent`);

  const fits = { totalBytes: 9, largestBufferBytes: 4 };
  runtime.estimate = fits;
  runtime.gpu = async () => undefined;
  const other = await estimate(async () => runtime, new MemoryVisitor(t).downloads, call);
  assert.deepEqual(other, { ...fits, cpu: { fits: true, reason: null }, gpu: null });
});

test('wrong options of an estimate or of quantisation are named', () => {
  const rejects = (call, message) => assert.throws(call, { code: 'INVALID_OPTION', message });
  rejects(() => checkEstimate('/m.gguf', { device: 'cpu' }), /`device`/);
  rejects(() => checkLoad({ model: 'http://localhost/m.gguf', quantize: 'q3' }), /`quantize`: expected 'q8_0' or/);
  rejects(() => checkEstimate('http://localhost/m.gguf', { contextLength: 0 }), /`contextLength`/);
});

/** Reads the folder; returns the result or the error. */
const tryRead = (visitor, seen, meter) => read(visitor, filesOf({ model: seen.url }), meter).catch((error) => error);

test('a small file beyond its limit: INVALID_MODEL with its name and limit, before all of it is read; it is not kept', async (t) => {
  const seen = await serveFolder(t, folder());
  const bomb = await listen(t, ({ url }, response) => {
    if (!url.endsWith('config.json')) return response.writeHead(404).end();
    // a compressed response, whose length is unknown in advance
    response.writeHead(200, { 'content-encoding': 'gzip' });
    const zeros = createGzip({ level: 1 });
    zeros.pipe(response);
    zeros.write('{');
    for (let written = 0; written < 100; written += 1) zeros.write(Buffer.alloc(MIB, ' '));
    zeros.end();
  });
  const visitor = new MemoryVisitor(t);
  const meter = new Meter(() => {});
  const error = await tryRead(visitor, { url: `${bomb}/m/` }, meter);
  assert.deepEqual([error.code, /config\.json is larger than 16 MiB/.test(error.message)], ['INVALID_MODEL', true]);
  assert.ok(meter.sums.fetchedBytes < 40 * MIB, `${meter.sums.fetchedBytes} bytes were read`);
  assert.equal(await visitor.storedBytes(), 0);
  const handle = handleOf('m', { ...folder(), 'tokenizer_config.json': Buffer.alloc(65 * MIB, ' ') });
  await assert.rejects(read(visitor, [{ type: 'handle', handle }]), {
    code: 'INVALID_MODEL',
    message: /tokenizer_config/,
  });
  assertWhole(await read(visitor, filesOf({ model: seen.url })));
});

const PAGE = '<!DOCTYPE html>\n<html><body>the app</body></html>';

for (const [what, wrong] of [
  ['nothing', { 'config.json': '' }],
  ['a web page', { 'config.json': PAGE }],
  ['half of it', { 'config.json': '{"model_type": "lla' }],
  ['no object', { 'config.json': '[1]' }],
  ['an error in JSON behind the right beginning', { 'tokenizer.json': '{"error": }' }],
  ['404', { 'config.json': undefined }],
]) {
  test(`a server once answers ${what} for a small file: its error; nothing is kept, and the next load asks again`, async (t) => {
    const seen = await serveFolder(t, { ...folder(), ...wrong });
    const visitor = new MemoryVisitor(t);
    const error = await tryRead(visitor, seen);
    assert.ok(['INVALID_MODEL', 'INVALID_OPTION'].includes(error.code), String(error));
    assert.ok(!(await visitor.list()).some(([source]) => Object.keys(wrong).some((name) => source.endsWith(name))));
    seen.files = folder();
    assertWhole(await read(visitor, filesOf({ model: seen.url })));
  });
}

test('a server that answers a web page for missing files: no error; the files that exist are kept', async (t) => {
  const names = ['tokenizer_config.json', 'generation_config.json', 'chat_template.jinja', '1_Pooling/config.json'];
  const seen = await serveFolder(t, { ...folder(), ...Object.fromEntries(names.map((name) => [name, PAGE])) });
  const visitor = new MemoryVisitor(t);
  assertWhole(await read(visitor, filesOf({ model: seen.url })));
  // the server may have them the next time
  seen.files = { ...folder(), 'chat_template.jinja': '{{ messages }}' };
  const { texts } = await read(visitor, filesOf({ model: seen.url }));
  assert.equal(texts.get('chat_template.jinja'), '{{ messages }}');
});

test('named chat templates are fetched if the folder has a template file', async (t) => {
  const named = { 'additional_chat_templates/tool_use.jinja': '{{ tools }}', 'chat_template.json': '{}' };
  const without = await serveFolder(t, { ...folder(), ...named });
  const { texts } = await read(new MemoryVisitor(t), filesOf({ model: without.url }));
  assert.deepEqual(
    [texts.has('additional_chat_templates/tool_use.jinja'), texts.get('chat_template.json')],
    [false, '{}'],
  );
  const seen = await serveFolder(t, { ...folder(), ...named, 'chat_template.jinja': '{{ messages }}' });
  const all = (await read(new MemoryVisitor(t), filesOf({ model: seen.url }))).texts;
  assert.deepEqual(
    [all.get('additional_chat_templates/tool_use.jinja'), all.has('chat_template.json')],
    ['{{ tools }}', false],
  );
});

test('files that the engine refused are fetched again: the model, once the server has it; unchanged files are kept', async (t) => {
  const wrong = { ...folder(), 'tokenizer.json': '{"no": "tokenizer"}' };
  const seen = await serveFolder(t, wrong);
  const visitor = new MemoryVisitor(t);
  const reader = readerOf(visitor, filesOf({ model: seen.url }));
  for await (const _ of reader.pieces()) continue;
  await reader.settle();
  await reader.refused('INVALID_MODEL');
  seen.files = { ...folder(), 'chat_template.jinja': '{{ messages }}' };
  seen.etags = { 'tokenizer.json': '"two"' };
  const { [shard(1)]: sent } = seen.sent;
  const { texts } = await read(visitor, filesOf({ model: seen.url }));
  assert.deepEqual([texts.get('tokenizer.json'), texts.get('chat_template.jinja')], ['{"ä": 1}', '{{ messages }}']);
  assert.ok(seen.sent[shard(1)] <= sent + 65536, 'its first byte is asked for');
});

test('a GGUF file that is broken behind its header: its error; nothing is kept, and the next load asks again', async (t) => {
  const seen = await serveFolder(t, { 'm.gguf': tensors(3 * MIB).fill('GGUF', 0, 4) });
  const visitor = new MemoryVisitor(t);
  const reader = readerOf(visitor, filesOf({ model: `${seen.url}m.gguf` }));
  for await (const _ of reader.pieces()) continue;
  await reader.settle();
  assert.equal((await visitor.list()).length, 1);
  await reader.refused('TRUNCATED_FILE');
  assert.deepEqual([await visitor.list(), await visitor.storedBytes()], [[], 0]);
});

test('a load that the engine refuses stores no broken file, and the next load asks again', async (t) => {
  for (const [code, stored, asked] of [
    ['TRUNCATED_FILE', [], true],
    ['UNSUPPORTED_MODEL', [true], true],
    ['OUT_OF_MEMORY', [true], false],
  ]) {
    const seen = await serveFolder(t, { 'm.gguf': tensors(MIB).fill('GGUF', 0, 4) });
    const visitor = new MemoryVisitor(t);
    const runtime = fakeRuntime(new FakeLlm());
    const { create } = runtime.Loader;
    runtime.Loader.create = async (...given) => ({
      ...(await create(...given)),
      finish: () => Promise.reject(Object.assign(new Error('no'), { code })),
    });
    const call = checkLoad({ model: `${seen.url}m.gguf` });
    const tries = () =>
      load(
        async () => runtime,
        visitor.downloads,
        call,
        () => {},
      );
    await assert.rejects(tries(), { code });
    // chunks that are being stored are finished after the load has failed
    await until(async () => String((await visitor.list()).map(([, complete]) => complete)) === String(stored));
    seen.requests.length = 0;
    await assert.rejects(tries(), { code });
    assert.equal(seen.requests.length > 0, asked, code);
  }
});
