// What a GPU does wrong, in Chromium, and what becomes of it. Each test's name is a row of docs/RELIABILITY.md:
// fault → what the user sees → what is kept.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { APP, prepareApp } from './app.mjs';
import { launchChromium } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';
import { tinyModel } from './tiny.mjs';

const timeout = 300_000;
const SMOLLM2 = '/models/SmolLM2-135M-Instruct.Q4_1.gguf';
const WORKER = '/node_modules/weft-llm/dist/worker.js';

let packed, browser;
/** By what the adapter calls itself: '' for what it is. */
const servers = {};
/** Files that the server has besides: by path, bytes; null for one that is gone. */
const files = { '/tiny.gguf': tinyModel(), '/long.gguf': tinyModel({ context: 1 << 24 }) };
files['/nan.gguf'] = tinyModel({ spoil: (name, values) => name === 'output_norm.weight' && (values[7] = NaN) });
files['/infinite.gguf'] = tinyModel({
  spoil: (name, values) => name === 'blk.1.ffn_norm.weight' && (values[7] = Infinity),
});

before(async () => {
  packed = await installPacked();
  browser = await launchChromium();
  const faulty = await readFile(inRoot('tests/web/faulty-gpu.js'));
  for (const name of ['', 'Radeon']) {
    const handle = (request, response) => {
      const send = (type, body) => {
        response.writeHead(body === null ? 404 : 200, { 'Content-Type': type }).end(body);
        return true;
      };
      const path = request.url.split('?')[0];
      if (path === '/') return send('text/html', APP);
      if (path === '/faulty-gpu.js') return send('text/javascript', faulty);
      if (request.url === WORKER) {
        return send('text/javascript', `import '/faulty-gpu.js?as=${name}'; import './worker.js?real';`);
      }
      return path in files && send('application/octet-stream', files[path]);
    };
    const mounts = { '/node_modules/': join(packed.folder, 'node_modules'), '/models/': inRoot('models') };
    servers[name] = await serve(mounts, { handle });
  }
});

after(async () => {
  for (const server of Object.values(servers)) await server.close();
  await browser?.close();
  await packed?.remove();
});

/** A page with a model: `llm`. */
async function load(t, model, options, adapter = '') {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(servers[adapter].url);
  await prepareApp(page);
  await page.evaluate(
    async ({ model, options }) => {
      globalThis.channel = new BroadcastChannel('faults');
      globalThis.arm = async (fault) => {
        const armed = new Promise((resolve) => (channel.onmessage = resolve));
        channel.postMessage(fault);
        await armed;
      };
      globalThis.llm = await weft.load({ model, ...options });
    },
    { model, options },
  );
  return page;
}

const PROMPT = 'word after word after word, which is more than a chunk holds';
const GREEDY = { temperature: 0, maxTokens: 24 };
const SEEDED = { temperature: 1.5, seed: 7, maxTokens: 24 };
/** Penalties need the history, so the host samples. */
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

const answerOf = ({ text, ids, reason }) => ({ text, ids, reason });

test(
  'the GPU device is destroyed in the middle of an answer → the answer goes on, as without it; `info.engine.deviceLosses` counts → the model (read again from its URL), the KV cache (computed again), the random state',
  { timeout },
  async (t) => {
    const page = await load(t, '/tiny.gguf', { device: 'gpu' });
    let losses = 0;
    for (const options of [GREEDY, SEEDED, PENALISED]) {
      const expected = answerOf(await generate(page, options));
      assert.equal(expected.ids.length, 24);
      for (const readback of [1, 9]) {
        // another prompt first, so that nothing is left of this one in the KV cache
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
