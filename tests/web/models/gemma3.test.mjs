// The base model Gemma 3 270M in Chromium, through the packed package; `npm run test:models`
// fetches it.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { gemma3 } from '../../../scripts/lib/model.mjs';
import { inRoot } from '../../../scripts/lib/run.mjs';
import { prepareApp, serveApp } from '../app.mjs';
import { browsers } from '../browsers.mjs';
import { installPacked } from '../packed.mjs';

const MINUTE = 60_000;

/**
 * If llama.cpp's best two logits are closer, either token is accepted: it rounds activations to 8
 * bits.
 */
const CLOSE_CALL = 0.25;

let packed, server, golden;

before(async () => {
  golden = JSON.parse(await readFile(inRoot('tests/golden/gemma3-270m-q4_k_m/figures.json'), 'utf8'));
  packed = await installPacked();
  server = await serveApp(packed);
});

after(async () => {
  await server?.close();
  await packed?.remove();
});

for (const device of ['cpu', 'gpu']) {
  test(`chromium, ${device}: the model continues texts as in llama.cpp`, { timeout: 30 * MINUTE }, async () => {
    const browser = await browsers.chromium();
    try {
      const page = await browser.newPage();
      await page.goto(server.url);
      await prepareApp(page);
      const info = await page.evaluate(
        async ([model, device]) => {
          globalThis.llm = await weft.load({ model, device, contextLength: 128, store: false });
          return llm.info;
        },
        [`/models/${gemma3.file}`, device],
      );
      assert.equal(info.engine.kind, device);
      assert.equal(info.vocabularySize, 262144);
      for (const { prompt, prompt_ids, new_ids, top1_minus_top2 } of golden.greedy) {
        assert.deepEqual(await page.evaluate((text) => llm.tokenize(text, { addSpecial: true }), prompt), prompt_ids);
        const close = top1_minus_top2.findIndex((gap) => gap < CLOSE_CALL);
        const sure = close < 0 ? new_ids : new_ids.slice(0, close);
        const options = { temperature: 0, maxTokens: sure.length };
        const { ids } = await page.evaluate(
          ([text, options]) => collect(llm.generate(text, options)),
          [prompt, options],
        );
        assert.deepEqual(ids, sure);
      }
    } finally {
      await browser.close();
    }
  });
}
