// Layers other than Llama's in the packed package, in Chromium: a browser checks shaders more
// strictly than the native engine, so both engines must give what transformers gives there too, for
// a text at once and token by token.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { prepareApp, serveApp } from './app.mjs';
import { launchChromium } from './browsers.mjs';
import { logprobs } from './logprobs.mjs';
import { installPacked } from './packed.mjs';

const FIXTURES = inRoot('tests/fixtures/architectures');
/** Nats. Keys and values are in f16. */
const TOLERANCE = 2e-3;

let packed, server, browser;

before(async () => {
  packed = await installPacked();
  server = await serveApp(packed, { mounts: { '/fixtures/': FIXTURES } });
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

for (const device of ['cpu', 'gpu']) {
  for (const model of [
    'lfm2',
    'qwen35',
    'qwen3next',
    'gemma3n',
    'gemma4',
    'gemma4-experts',
    'granitehybrid',
    'mamba',
    'deepseek2-lite',
    'mamba2',
    'smallthinker',
    'ernie4_5-moe',
  ]) {
    test(`${device}: ${model} scores as transformers`, async (t) => {
      const page = await browser.newPage();
      t.after(() => page.close());
      await page.goto(server.url);
      await prepareApp(page);
      const reference = JSON.parse(readFileSync(join(FIXTURES, model, 'reference.json'), 'utf8')).prompts[0];
      const got = await page.evaluate(
        async ({ model, ids, device }) => {
          const llm = await weft.load({ model: `/fixtures/${model}/model.gguf`, device, store: false });
          const { tokens } = await llm.score(ids.slice(1), { after: ids.slice(0, 1) });
          const answer = (prompt, maxTokens) => collect(llm.generate(prompt, { temperature: 0, maxTokens }));
          const whole = await answer(ids, 12);
          const parts = [...ids];
          while (parts.length < ids.length + 12) parts.push(...(await answer(parts, 1)).ids);
          const { engine } = llm.info;
          llm.dispose();
          return { engine, scores: tokens.map(({ logprob }) => logprob), whole: whole.ids, parts };
        },
        { model, ids: reference.ids, device },
      );
      assert.equal(got.engine.kind, device);
      const expected = logprobs(reference);
      assert.equal(got.scores.length, expected.length);
      got.scores.forEach((score, i) => assert.ok(Math.abs(score - expected[i]) < TOLERANCE, `${score} ${expected[i]}`));
      assert.equal(got.whole.length, 12);
      assert.deepEqual(got.parts, [...reference.ids, ...got.whole], 'prompts that go on where the last one ended');
    });
  }
}
