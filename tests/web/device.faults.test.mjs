// Faults of a GPU, in Chromium. Test names are rows of docs/RELIABILITY.md: fault → what the user
// sees → what is kept.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inRoot } from '../../scripts/lib/run.mjs';
import { APP, prepareApp } from './app.mjs';
import { launchChromium } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';
import { tinyModel } from './tiny.mjs';

const timeout = 300_000;
const SMOLLM2 = '/models/SmolLM2-135M-Instruct.Q4_1.gguf';
const WORKER = '/node_modules/weft-llm/dist/weft-worker.js';

let packed, browser, faulty;
/** Servers by the fault that tests/web/faulty-gpu.js causes. */
const servers = new Map();
/** More files of the servers, by path; null for a missing one. */
const files = {
  '/tiny.gguf': tinyModel(),
  '/long.gguf': tinyModel({ context: 1 << 26 }),
  // 85 MB
  '/wide.gguf': tinyModel({ ffn: 3 << 17 }),
};
const spoiled = (tensor, value) => tinyModel({ spoil: (name, values) => name === tensor && (values[7] = value) });
files['/nan.gguf'] = spoiled('output_norm.weight', NaN);
files['/infinite.gguf'] = spoiled('blk.1.ffn_norm.weight', Infinity);

before(async () => {
  packed = await installPacked();
  faulty = await readFile(inRoot('tests/web/faulty-gpu.js'));
  browser = await launchChromium();
});

after(async () => {
  for (const server of servers.values()) await server.close();
  await browser?.close();
  await packed?.remove();
});

async function serverFor(fault) {
  const handle = (request, response) => {
    const send = (type, body) => {
      response.writeHead(body === null ? 404 : 200, { 'Content-Type': type }).end(body);
      return true;
    };
    const path = request.url.split('?')[0];
    if (path === '/') return send('text/html', APP);
    if (path === '/faulty-gpu.js') return send('text/javascript', faulty);
    if (request.url === WORKER) {
      return send('text/javascript', `import '/faulty-gpu.js?${fault}'; import './weft-worker.js?real';`);
    }
    return path in files && send('application/octet-stream', files[path]);
  };
  const mounts = { '/node_modules/': join(packed.folder, 'node_modules'), '/models/': inRoot('models') };
  if (!servers.has(fault)) servers.set(fault, await serve(mounts, { handle }));
  return servers.get(fault);
}

/** Opens an app's page with a fault in its worker. */
async function open(t, fault = '', host = browser) {
  const context = await host.newContext();
  context.setDefaultTimeout(timeout);
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto((await serverFor(fault)).url);
  await prepareApp(page);
  await page.evaluate(() => {
    const channel = new BroadcastChannel('faults');
    globalThis.arm = async (fault) => {
      const armed = new Promise((resolve) => (channel.onmessage = resolve));
      channel.postMessage(fault);
      await armed;
    };
    globalThis.load = async (options) => (globalThis.llm = await weft.load(options)).info;
  });
  return page;
}

/** Loads the model as `llm` and returns its info. */
const load = (page, model, options) => page.evaluate((options) => load(options), { model, ...options });
const loadFailure = (page, model, options) =>
  page.evaluate((options) => failure(() => load(options)), { model, ...options });

const PROMPT = 'word after word after word, which is more than a chunk holds';
const GREEDY = { temperature: 0, maxTokens: 24 };
const SEEDED = { temperature: 1.5, seed: 7, maxTokens: 24 };
/** Penalties need the history, so sampling runs on the host. */
const PENALISED = { ...SEEDED, repetitionPenalty: 1.3 };

const generate = (page, options, prompt = PROMPT) =>
  page.evaluate(({ prompt, options }) => collect(llm.generate(prompt, options)), { prompt, options });
const info = (page) => page.evaluate(() => llm.info.engine);
const arm = (page, fault) => page.evaluate((fault) => arm(fault), fault);
const failure = (page, options) =>
  page.evaluate(({ prompt, options }) => failure(() => collect(llm.generate(prompt, options))), {
    prompt: PROMPT,
    options,
  });

/** The browser takes a moment to end a worker. */
async function workersEnd(page) {
  while (page.workers().length > 0) await sleep(20);
}

const answerOf = ({ text, ids, reason }) => ({ text, ids, reason });

test(
  'the GPU device is destroyed during an answer → the answer goes on with the same text; `info.engine.deviceLosses` counts → the model (read again), the KV cache (computed again), the random state',
  { timeout },
  async (t) => {
    const page = await open(t);
    await load(page, '/tiny.gguf', { device: 'gpu' });
    let losses = 0;
    for (const options of [GREEDY, SEEDED, PENALISED]) {
      const expected = answerOf(await generate(page, options));
      assert.equal(expected.ids.length, 24);
      for (const readback of [1, 9]) {
        // another prompt first, to empty the KV cache of this one
        await generate(page, { maxTokens: 1 }, 'x');
        await arm(page, { readback, times: 1 });
        assert.deepEqual(answerOf(await generate(page, options)), expected, `lost at readback ${readback}`);
        losses += 1;
        assert.equal((await info(page)).deviceLosses, losses);
      }
    }
    assert.equal((await info(page)).kind, 'gpu');
  },
);

test(
  "the browser's GPU process crashes during an answer → the answer goes on with the same text → the model, the KV cache, the random state",
  { timeout },
  async (t) => {
    // such a crash affects the whole browser
    const own = await launchChromium();
    t.after(() => own.close());
    const page = await open(t, '', own);
    await load(page, SMOLLM2, { device: 'gpu', contextLength: 256 });
    const options = { temperature: 1, seed: 5, maxTokens: 16 };
    const expected = answerOf(await generate(page, options, 'Once upon a time'));
    await generate(page, { maxTokens: 1 }, 'x');
    const cdp = await own.newBrowserCDPSession();
    const interrupted = await page.evaluate(async (options) => {
      globalThis.tokens = 0;
      const counted = async function* () {
        for await (const piece of llm.generate('Once upon a time', options)) {
          globalThis.tokens += 1;
          yield piece;
        }
      };
      globalThis.answering = collect(counted());
    }, options);
    assert.equal(interrupted, undefined);
    await page.waitForFunction(() => tokens >= 3);
    await cdp.send('Browser.crashGpuProcess').catch(() => undefined);
    assert.deepEqual(answerOf(await page.evaluate(() => answering)), expected);
    assert.equal((await info(page)).deviceLosses, 1);
  },
);

test(
  'the GPU device is lost twice without a token in between, with `device: "auto"` → the answer goes on with the CPU engine; `info.engine` has the reason → the tokens so far',
  { timeout },
  async (t) => {
    const page = await open(t, 'as=Radeon');
    assert.equal((await load(page, '/tiny.gguf', { device: 'auto' })).engine.kind, 'gpu');
    const expected = await generate(page, GREEDY);
    await generate(page, { maxTokens: 1 }, 'x');
    await arm(page, { readback: 9, times: 2 });
    const answer = await generate(page, GREEDY);
    assert.deepEqual(answer.ids.slice(0, 8), expected.ids.slice(0, 8));
    assert.equal(answer.ids.length, 24);
    const { kind, reason, deviceLosses } = await info(page);
    assert.deepEqual([kind, deviceLosses], ['cpu', 2]);
    assert.match(reason, /GPU was given up/);
  },
);

test(
  'the GPU device is lost twice without a token in between, with `device: "gpu"` → `DEVICE_LOST` → nothing: the worker has ended',
  { timeout },
  async (t) => {
    const page = await open(t);
    await load(page, '/tiny.gguf', { device: 'gpu' });
    await arm(page, { readback: 9, times: 2 });
    assert.equal((await failure(page, GREEDY)).code, 'DEVICE_LOST');
    assert.equal((await failure(page, GREEDY)).code, 'DEVICE_LOST');
    await workersEnd(page);
  },
);

test(
  'the GPU device is lost and the model is gone from its URL → `NETWORK`, which says both → nothing; the next call loads it again',
  { timeout },
  async (t) => {
    const page = await open(t);
    await load(page, '/tiny.gguf', { device: 'gpu', store: false });
    const expected = answerOf(await generate(page, GREEDY));
    await arm(page, { readback: 5, times: 1 });
    const model = files['/tiny.gguf'];
    files['/tiny.gguf'] = null;
    const error = await failure(page, GREEDY);
    files['/tiny.gguf'] = model;
    assert.equal(error.code, 'NETWORK');
    assert.match(error.message, /GPU device was lost.*tiny\.gguf: the server answered 404/);
    assert.deepEqual(answerOf(await generate(page, GREEDY)), expected);
  },
);

test(
  'the GPU is lost and the model came from a stream → `NETWORK`, which says that it can be read only once → nothing',
  { timeout },
  async (t) => {
    const page = await open(t);
    await page.evaluate(async () => {
      const { body } = await fetch('/tiny.gguf');
      await load({ model: body, device: 'gpu' });
    });
    await arm(page, { readback: 5, times: 1 });
    for (let call = 0; call < 2; call += 1) {
      const { code, message } = await failure(page, GREEDY);
      assert.equal(code, 'NETWORK');
      assert.match(message, /GPU device was lost.*could not be loaded again: .*a stream can be read only once/);
    }
  },
);

test(
  'the driver compiles a shader wrongly → nothing but a note in `info.engine.notes`: another shader is used → everything',
  { timeout },
  async (t) => {
    const right = await open(t);
    await load(right, '/tiny.gguf', { device: 'gpu' });
    const expected = answerOf(await generate(right, GREEDY));
    // the only hopeful one on a software adapter, so that it is in no race and only the check of
    // the model's own shaders finds it
    const page = await open(t, 'break=attention_lane');
    const { notes } = (await load(page, '/tiny.gguf', { device: 'gpu' })).engine;
    assert.match(notes.join(), /attention_lane.*` is not used, for rope and attention/);
    assert.deepEqual(answerOf(await generate(page, GREEDY)), expected);
  },
);

test(
  'the driver compiles the shader of penalties wrongly → nothing: the host draws → everything',
  { timeout },
  async (t) => {
    const right = await open(t);
    await load(right, '/tiny.gguf', { device: 'gpu' });
    const expected = answerOf(await generate(right, PENALISED));
    const page = await open(t, 'break=adjust');
    assert.equal((await load(page, '/tiny.gguf', { device: 'gpu' })).engine.kind, 'gpu');
    assert.deepEqual(answerOf(await generate(page, PENALISED)), expected);
    assert.deepEqual(answerOf(await generate(page, PENALISED)), expected);
  },
);

test(
  'no shader for an operation is right, with `device: "auto"` → the CPU engine answers; `info.engine` has the reason → everything',
  { timeout },
  async (t) => {
    const page = await open(t, 'as=Radeon&break=embed');
    const { kind, reason } = (await load(page, '/tiny.gguf', { device: 'auto' })).engine;
    assert.equal(kind, 'cpu');
    assert.match(reason, /GPU was given up: .*wrong results for embedding/);
    assert.equal((await generate(page, GREEDY)).ids.length, 24);
  },
);

test(
  'no shader for an operation is right, with `device: "gpu"` → `GPU_UNAVAILABLE`, naming the operation → nothing: the worker has ended',
  { timeout },
  async (t) => {
    const page = await open(t, 'break=embed');
    const { code, message } = await loadFailure(page, '/tiny.gguf', { device: 'gpu' });
    assert.equal(code, 'GPU_UNAVAILABLE');
    assert.match(message, /wrong results for embedding/);
    await workersEnd(page);
  },
);

test(
  'weights are NaN or infinite → `INVALID_LOGITS`, and no text → the worker, which answers the next call',
  { timeout },
  async (t) => {
    for (const model of ['/nan.gguf', '/infinite.gguf']) {
      for (const device of ['cpu', 'gpu']) {
        const page = await open(t);
        await load(page, model, { device });
        for (const options of [GREEDY, SEEDED, PENALISED]) {
          const seen = await page.evaluate(
            async ({ prompt, options }) => {
              const texts = [];
              const error = await failure(async () => {
                for await (const { text } of llm.generate(prompt, options)) texts.push(text);
              });
              return { texts, code: error?.code };
            },
            { prompt: PROMPT, options },
          );
          assert.deepEqual(seen, { texts: [], code: 'INVALID_LOGITS' }, `${model} on ${device}`);
        }
        assert.ok((await page.evaluate(() => llm.tokenize('abc'))).length > 0);
      }
    }
  },
);

test(
  'the KV cache is larger than a buffer may be → `OUT_OF_MEMORY`, with the bytes and what to try → the page; nothing of the model is left',
  { timeout },
  async (t) => {
    for (const device of ['cpu', 'gpu']) {
      const page = await open(t);
      const { code, message } = await loadFailure(page, '/long.gguf', { device, contextLength: 1 << 26 });
      assert.equal(code, 'OUT_OF_MEMORY');
      assert.match(message, /a head's KV cache .*needs \d{10} bytes, .*one buffer.*shorter contextLength/);
      await workersEnd(page);
      await load(page, '/long.gguf', { device, contextLength: 64 });
      assert.equal((await generate(page, { ...GREEDY, maxTokens: 4 }, 'abc')).reason, 'length');
    }
  },
);

test(
  'the GPU driver has no more memory → `OUT_OF_MEMORY`, with the bytes and what to try → the page; nothing of the model is left',
  { timeout },
  async (t) => {
    const page = await open(t, 'memory=30');
    const { code, message } = await loadFailure(page, '/wide.gguf', { device: 'gpu' });
    assert.equal(code, 'OUT_OF_MEMORY', message);
    assert.match(message, /needs \d+ bytes, more than the GPU driver could give.*shorter contextLength/);
    await workersEnd(page);
    // a long context takes no memory before it is used
    await load(page, '/long.gguf', { device: 'gpu', contextLength: 1 << 19 });
    assert.equal((await generate(page, GREEDY)).ids.length, 24);
  },
);

test(
  'the memory of the WebAssembly module is used up → `OUT_OF_MEMORY`, with the bytes and what to try → the page; nothing of the model is left',
  { timeout },
  async (t) => {
    const page = await open(t, 'pages=1024');
    const options = { device: 'cpu', threads: 2 };
    const { code, message } = await loadFailure(page, '/wide.gguf', options);
    assert.equal(code, 'OUT_OF_MEMORY', message);
    assert.match(message, /needs \d+ bytes, .* \d+ are in use.*shorter contextLength/);
    await workersEnd(page);
    const { engine } = await load(page, '/long.gguf', { ...options, contextLength: 1 << 20 });
    assert.match(engine.build, /threads/);
    assert.equal((await generate(page, GREEDY)).ids.length, 24);
  },
);
