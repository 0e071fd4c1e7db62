// The CPU engine stays fast in a browser: tokens are timed in turns with a plain loop in
// JavaScript, each on one thread. Other load slows both, and the median ignores rounds where it
// slowed only one.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { launchChromium } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';

/**
 * Multiply-adds per second, relative to the plain loop. The median was 53 to 59 in three runs on a
 * busy machine; an engine whose kernels fell back to scalar code is near 1.
 */
const least = 20;

let packed, server;

before(async () => {
  packed = await installPacked();
  const mounts = {
    '/': inRoot('tests/web/harness'),
    '/node_modules/': join(packed.folder, 'node_modules'),
    '/models/': inRoot('models'),
  };
  server = await serve(mounts);
});

after(async () => {
  await server?.close();
  await packed?.remove();
});

/** Runs in the page. */
async function ratios(rounds) {
  const { load } = await import('/node_modules/weft-llm/dist/index.js');
  const model = '/models/SmolLM2-135M-Instruct.Q4_1.gguf';
  const llm = await load({ model, device: 'cpu', threads: 1, contextLength: 256 });

  const question = [{ role: 'user', content: 'Tell me a long story about a lighthouse.' }];
  const engineSpeed = async () => {
    const times = [];
    for await (const { id } of llm.chat(question, { temperature: 0, maxTokens: 9 })) {
      if (id !== null) times.push(performance.now());
    }
    // a token takes one multiply-add per weight
    return ((times.length - 1) * llm.info.parameters) / (times.at(-1) - times[0]);
  };

  const a = new Float32Array(1 << 12).fill(0.5);
  const b = new Float32Array(1 << 12).fill(0.25);
  const dot = () => {
    let sum = 0;
    for (let i = 0; i < a.length; i += 1) sum = Math.fround(sum + Math.fround(a[i] * b[i]));
    return sum;
  };
  const loopSpeed = () => {
    const start = performance.now();
    const repetitions = 10_000;
    let sum = 0;
    for (let i = 0; i < repetitions; i += 1) sum += dot();
    if (sum !== (repetitions * a.length) / 8) throw new Error(`the loop computed ${sum}`);
    return (repetitions * a.length) / (performance.now() - start);
  };

  // warm up both: caches, and code that the browser optimises
  await engineSpeed();
  loopSpeed();
  const found = [];
  for (let round = 0; round < rounds; round += 1) found.push((await engineSpeed()) / loopSpeed());
  llm.dispose();
  return found.sort((x, y) => x - y);
}

test('chromium: the CPU engine is many times faster than a plain loop', async (t) => {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(server.url);
    const found = await page.evaluate(ratios, 15);
    const median = found[7];
    t.diagnostic(
      `${median.toFixed(1)} times as many multiply-adds (${found[0].toFixed(1)} to ${found[14].toFixed(1)})`,
    );
    assert.ok(median >= least, `${median.toFixed(1)} times, at least ${least} is expected`);
  } finally {
    await browser.close();
  }
});
