// Loading: sources, progress, and load() itself with a fake Worker.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Meter } from '../dist/download/meter.js';
import { ModelReader } from '../dist/download/model.js';
import { nameOf } from '../dist/common/source.js';
import { browserDownloads } from '../dist/download/browser.js';
import { Connection } from '../dist/page/connection.js';
import { load } from '../dist/index.js';
import { serve } from '../dist/worker/serve.js';
import { isElsewhere } from '../dist/page/spawn.js';
import { collect, connect, FakeLlm, fakeRuntime, gate, INFO, loadCall, settle, textOf } from './support/fake.mjs';
import { listen, pattern } from './support/server.mjs';

const MIB = 1 << 20;

/** The bytes that the engine gets. */
async function read(files) {
  const around = {
    ...browserDownloads,
    store: null,
    meter: new Meter(() => {}),
    note: assert.fail,
    hasher: assert.fail,
  };
  const pieces = [];
  for await (const { bytes } of new ModelReader(loadCall(files).files, [], around).pieces())
    pieces.push(Buffer.from(bytes));
  return { pieces, bytes: Buffer.concat(pieces) };
}

test('a source reads a URL', async (t) => {
  const content = pattern(3 * MIB + 5);
  const origin = await listen(t, (_, response) => response.end(content));
  const { bytes } = await read([`${origin}/models/my%20model.gguf?download=true`]);
  assert.ok(bytes.equals(content));
});

test('a source gives pieces of at most 1 MiB', async (t) => {
  const content = pattern(2 * MIB + 3);
  t.mock.method(globalThis, 'fetch', async () => {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(content));
        controller.close();
      },
    });
    return new Response(body);
  });
  const { pieces, bytes } = await read(['http://localhost/m']);
  assert.deepEqual(
    pieces.map((piece) => piece.length),
    [MIB, MIB, 3],
  );
  assert.ok(bytes.equals(content));
});

test('blobs and URLs are one stream, in their order', async (t) => {
  const origin = await listen(t, (request, response) => response.end(request.url));
  const { bytes } = await read([new Blob(['first']), `${origin}/b`, new File(['last'], 'c.gguf')]);
  assert.equal(bytes.toString(), 'first/blast');
});

test('every source has a name, however odd its URL', () => {
  const name = (source) => nameOf(loadCall([source]).files[0]);
  assert.equal(name('http://localhost/100%.gguf'), '100%.gguf');
  assert.equal(name('http://localhost/my%20model.gguf?download=true'), 'my model.gguf');
  assert.equal(name('http://localhost/'), 'http://localhost/');
  assert.equal(name(new Blob([])), 'file');
  assert.equal(name(new File([], 'c.gguf')), 'c.gguf');
});

test('leaving the stream early closes the connection', async (t) => {
  const closed = gate();
  const origin = await listen(t, (_, response) => {
    response.on('close', closed.open);
    response.write(pattern(3 * MIB));
  });
  const around = { ...browserDownloads, store: null, meter: new Meter(() => {}), note: assert.fail };
  for await (const _ of new ModelReader(loadCall([`${origin}/m`]).files, [], around).pieces()) break;
  await closed.opened;
});

async function loadWith(t, runtime, files, device = 'cpu') {
  const progress = [];
  const { connection } = connect(t, runtime);
  const call = loadCall(files, { device, contextLength: 64 });
  const info = await connection.request(call, (step) => progress.push(step));
  return { info, progress };
}

test('load feeds the engine every byte, and says what was loaded', async (t) => {
  const runtime = fakeRuntime(new FakeLlm(), 6);
  const { info } = await loadWith(t, runtime, [new Blob(['abc']), new Blob(['def'])]);
  const [length, ...fed] = runtime.fed;
  assert.equal(length, 6);
  assert.equal(Buffer.concat(fed).toString(), 'abcdef');
  assert.deepEqual(runtime.options, {
    device: 'cpu',
    contextLength: 64,
    tuning: null,
    subgroups: false,
    gpu: null,
    quantize: null,
    ropeScaling: null,
    kvCache: null,
    prefixBytes: null,
    folder: null,
  });
  const { memoryBytes, engine, ...model } = INFO;
  const about = {
    ...engine,
    deviceLosses: 0,
    reason: 'asked for',
    memoryBytes,
    wasmMemoryBytes: 65536,
    build: 'fake-build',
    threads: 4,
  };
  const download = { fetchedBytes: 6, fromStoreBytes: 0, storage: 'none', notes: [] };
  const roles = ['system', 'user', 'assistant', 'tool'];
  assert.deepEqual(info, { ...model, roles, inputs: ['text'], engine: about, download });
});

test('progress comes at most every 100 ms, always at first and last', async (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const runtime = fakeRuntime(new FakeLlm(), 10);
  const { create } = runtime.Loader;
  runtime.Loader.create = async (options) => {
    const loader = await create(options);
    return { ...loader, feed: async () => void (now += 30) };
  };
  const files = Array.from('0123456789', (digit) => `data:,${digit}`);
  const { progress } = await loadWith(t, runtime, files);
  // The length of a data: URL is unknown until it is read, and the total until the last one. After
  // the pieces the clock shows 30, 60, …, 300: progress comes at 30, then every 100 ms, then at the
  // end.
  assert.deepEqual(
    progress.map(({ phase, loaded, total, file }) => `${phase} ${loaded} ${total} ${file}`),
    [
      'start 0 null ,0',
      'download 1 null ,0',
      'download 5 null ,4',
      'download 9 null ,8',
      'download 10 10 ,9',
      'prepare 10 10 ,9',
    ],
  );
});

/** The total in the last progress, and the stream length that the loader got. */
async function totals(t, files, header) {
  const runtime = fakeRuntime(new FakeLlm(), header);
  const { progress } = await loadWith(t, runtime, files);
  return [progress.at(-1).total, runtime.fed.find(Number.isInteger)];
}

test('the total is the sum of all files, or what the header of a single file says', async (t) => {
  const origin = await listen(t, ({ url }, response) => {
    if (url === '/length') return response.writeHead(200, { 'content-length': 4 }).end('four');
    if (url === '/packed') {
      const packed = gzipSync('long enough to be smaller when packed'.repeat(9));
      return response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed);
    }
    response.write('ch');
    response.end('unks');
  });
  assert.deepEqual(await totals(t, [new Blob(['abc'])], 99), [3, 3]);
  assert.deepEqual(await totals(t, [new Blob(['abc']), new Blob(['de'])], 3), [5, 5]);
  assert.deepEqual(await totals(t, [`${origin}/length`], 99), [4, 4]);
  assert.deepEqual(await totals(t, [`${origin}/length`, new Blob(['abc'])], 4), [7, 7]);
  assert.deepEqual(await totals(t, [`${origin}/chunks`], 6), [6, undefined]);
  assert.deepEqual(await totals(t, [`${origin}/packed`], 333), [333, undefined]);
  assert.deepEqual(await totals(t, [new Blob(['abc']), `${origin}/chunks`], 3), [9, undefined]);
  // The last size is too late for the loader, but in time for the progress.
  assert.deepEqual(await totals(t, [new Blob(['abc']), `${origin}/length`], 3), [7, undefined]);
});

test('a length from another origin is not trusted, as its encoding is hidden', async (t) => {
  t.mock.method(globalThis, 'fetch', async () => {
    const response = new Response('abc', { headers: { 'content-length': '2' } });
    return Object.defineProperty(response, 'type', { value: 'cors' });
  });
  assert.deepEqual(await totals(t, ['http://localhost/m'], 3), [3, undefined]);
});

function fakeGpu() {
  const llm = new FakeLlm();
  llm.info = () => ({ ...INFO, engine: { kind: 'gpu', description: 'WebGPU', notes: [] } });
  return fakeRuntime(llm);
}

test('the GPU is named by the browser, or by the engine where that fails', async (t) => {
  const runtime = fakeGpu();
  const describe = async () => (await loadWith(t, runtime, [new Blob(['x'])], 'gpu')).info.engine.description;
  assert.equal(await describe(), 'fake adapter (WebGPU)');
  runtime.gpu = async () => undefined;
  assert.equal(await describe(), 'WebGPU');
});

test('the GPU engine starts no threads, and the CPU engine says why it has no more', async (t) => {
  const gpu = fakeGpu();
  gpu.note = 'It has one thread.';
  const { engine } = (await loadWith(t, gpu, [new Blob(['x'])], 'gpu')).info;
  assert.deepEqual([engine.threads, engine.reason], [1, 'asked for']);
  const cpu = fakeRuntime(new FakeLlm());
  cpu.note = 'It has one thread.';
  assert.equal((await loadWith(t, cpu, [new Blob(['x'])])).info.engine.reason, 'asked for It has one thread.');
});

test('tuning is remembered for its GPU, and not read for the CPU', async (t) => {
  const runtime = fakeGpu();
  runtime.found = 'the best kernels';
  const tuningGiven = async (device) => {
    await loadWith(t, runtime, [new Blob(['x'])], device);
    return runtime.options.tuning;
  };
  assert.equal(await tuningGiven('auto'), null);
  assert.equal(await tuningGiven('auto'), 'the best kernels');
  assert.equal(await tuningGiven('cpu'), null);
});

test('pieces are read while a GPU is tuned, and the engine that was chosen then counts', async (t) => {
  const runtime = fakeGpu();
  runtime.gpu = async () => ({ family: ['nvidia', 'lovelace'], tuning: { recall: async () => null } });
  const { create } = runtime.Loader;
  const [read, started] = [[], []];
  runtime.startThreads = () => started.push('threads');
  runtime.Loader.create = async (options) => {
    const loader = await create(options);
    let kind;
    return {
      ...loader,
      engine_kind: () => kind,
      tuning: () => undefined,
      async feed(bytes) {
        // as one that finds out by the first header that its GPU is wrong
        while (!kind && read.length < 3) await settle();
        kind = 'cpu';
        await loader.feed(bytes);
      },
    };
  };
  const origin = await listen(t, ({ url }, response) => {
    read.push(url);
    response.end(url);
  });
  const { info } = await loadWith(t, runtime, [`${origin}/a`, `${origin}/b`, `${origin}/c`], 'auto');
  assert.equal(Buffer.concat(runtime.fed.filter((fed) => fed.length)).toString(), '/a/b/c');
  assert.deepEqual([runtime.options.gpu, started], [['nvidia', 'lovelace'], ['threads']]);
  assert.equal(info.engine.description, 'WebGPU');
});

test('the download begins while the runtime starts', async (t) => {
  const fetched = gate();
  const origin = await listen(t, (_, response) => {
    fetched.open();
    response.end('abc');
  });
  const runtime = fakeRuntime(new FakeLlm());
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  serve(port2, () => fetched.opened.then(() => runtime));
  const connection = new Connection(port1, () => {});
  const files = [`${origin}/m`];
  await connection.request(loadCall(files));
  assert.equal(Buffer.concat(runtime.fed.filter(ArrayBuffer.isView)).toString(), 'abc');
});

test('a runtime that does not start fails the load with its code', async (t) => {
  const { connection } = connect(t, {
    ...fakeRuntime(new FakeLlm()),
    Loader: { create: () => Promise.reject(Object.assign(new Error('no adapter'), { code: 'GPU_UNAVAILABLE' })) },
  });
  const call = loadCall([new Blob()], { device: 'gpu' });
  await assert.rejects(connection.request(call), { code: 'GPU_UNAVAILABLE', message: 'no adapter' });
});

/** Replaces the global Worker by one that serves `runtime`; returns the started workers. */
function fakeWorkers(t, runtime) {
  const workers = [];
  globalThis.Worker = class {
    terminated = 0;
    constructor(url, options) {
      Object.assign(this, { url: String(url), options });
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = (event) => this.onmessage?.(event);
      this.postMessage = (message) => port1.postMessage(message);
      this.close = () => port1.close();
      workers.push(this);
      serve(port2, async () => runtime);
    }
    terminate() {
      this.terminated += 1;
      this.close();
    }
  };
  t.after(() => {
    workers.forEach((worker) => worker.close());
    delete globalThis.Worker;
  });
  return workers;
}

test('outside of browsers the import works and load fails with NOT_SUPPORTED', async () => {
  assert.equal(typeof Worker, 'undefined');
  for (const model of ['http://localhost/m', '/models/m.gguf']) {
    await assert.rejects(load({ model }), { name: 'WeftError', code: 'NOT_SUPPORTED' });
  }
});

test('load starts one module worker, and dispose ends it', async (t) => {
  const workers = fakeWorkers(t, fakeRuntime(new FakeLlm()));
  const { signal } = new AbortController();
  const llm = await load({ model: new Blob(['x']), signal });
  assert.equal(textOf(await collect(llm.generate('a b'))), 'a b .');
  assert.equal(workers.length, 1);
  assert.match(workers[0].url, /\/dist\/weft-worker\.js$/);
  assert.equal(workers[0].options.type, 'module');
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  llm.dispose();
  assert.equal(workers[0].terminated, 1);
});

test('load with a wrong option starts no worker', async (t) => {
  const workers = fakeWorkers(t, fakeRuntime(new FakeLlm()));
  await assert.rejects(load({ model: 1 }), { name: 'WeftError', code: 'INVALID_OPTION' });
  assert.equal(workers.length, 0);
});

test('load with an aborted signal starts no worker', async (t) => {
  const workers = fakeWorkers(t, fakeRuntime(new FakeLlm()));
  await assert.rejects(load({ model: new Blob(), signal: AbortSignal.abort() }), { name: 'AbortError' });
  assert.equal(workers.length, 0);
});

test('a load aborted during the download ends the worker at once', async (t) => {
  const controller = new AbortController();
  const origin = await listen(t, (_, response) => response.write('endless'));
  const workers = fakeWorkers(t, fakeRuntime(new FakeLlm()));
  const onProgress = ({ phase }) => phase === 'download' && controller.abort();
  const loading = load({ model: `${origin}/m`, signal: controller.signal, onProgress });
  await assert.rejects(loading, { name: 'AbortError' });
  assert.equal(workers[0].terminated, 1);
});

test('a failed load ends the worker', async (t) => {
  const runtime = fakeRuntime(new FakeLlm());
  runtime.Loader.create = () => Promise.reject(Object.assign(new Error('no'), { code: 'INVALID_FILE' }));
  const workers = fakeWorkers(t, runtime);
  await assert.rejects(load({ model: new Blob(['x']) }), { code: 'INVALID_FILE' });
  assert.equal(workers[0].terminated, 1);
});

test('a worker that does not start is WORKER_FAILED; one that dies later is CRASHED', async (t) => {
  const workers = fakeWorkers(t, fakeRuntime(new FakeLlm(() => gate().opened)));
  const preventDefault = () => {};
  const loading = load({ model: new Blob(['x']) });
  workers[0].close();
  workers[0].onerror({ preventDefault });
  await assert.rejects(loading, { code: 'WORKER_FAILED', message: /weft-worker\.js cannot be fetched/ });

  const llm = await load({ model: new Blob(['x']) });
  const answer = collect(llm.generate('a'));
  const failed = assert.rejects(answer, { code: 'CRASHED', message: /unreachable/ });
  await settle();
  workers[1].onerror({ preventDefault, message: 'RuntimeError: unreachable' });
  await failed;
  assert.equal(workers[1].terminated, 1);

  globalThis.Worker = class {
    constructor() {
      throw new DOMException('cannot be accessed from this origin', 'SecurityError');
    }
  };
  await assert.rejects(load({ model: new Blob(['x']) }), { code: 'WORKER_FAILED', message: /from this origin/ });
});

test('a page cannot start a worker of another origin or scheme', () => {
  assert.equal(isElsewhere('https://a.example/weft-worker.js', 'https://a.example'), false);
  assert.equal(isElsewhere('https://a.example:8443/weft-worker.js', 'https://a.example'), true);
  assert.equal(isElsewhere('https://cdn.example/weft-worker.js', 'https://a.example'), true);
  assert.equal(isElsewhere('https://a.example/weft-worker.js', 'null'), true, 'a sandboxed frame');
  assert.equal(isElsewhere('data:text/javascript,0', 'https://a.example'), true);
  assert.equal(isElsewhere('file:///app/weft-worker.js', 'null'), false);
  assert.equal(isElsewhere('tauri://localhost/weft-worker.js', 'tauri://localhost'), false, 'a scheme of an app');
  assert.equal(isElsewhere('tauri://elsewhere/weft-worker.js', 'tauri://localhost'), true);
});
