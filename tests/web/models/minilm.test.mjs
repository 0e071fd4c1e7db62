// A MiniLM in the format of transformers, in Chromium through the packed package, quantised while
// loading: `npm run test:models` fetches it and runs this.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { minilm } from '../../../scripts/lib/model.mjs';
import { inRoot } from '../../../scripts/lib/run.mjs';
import { prepareApp, serveApp } from '../app.mjs';
import { browsers } from '../browsers.mjs';
import { installPacked } from '../packed.mjs';

const MINUTE = 60_000;

/**
 * Maximum of 1 minus the cosine to the vectors of transformers. On the CPU, activations have 8
 * bits.
 */
const LARGEST = {
  cpu: { none: 1e-5, q8_0: 2e-3, q4_k: 0.05 },
  gpu: { none: 1e-5, q8_0: 1e-3, q4_k: 0.05 },
};

let packed, server, golden;

before(async () => {
  golden = JSON.parse(await readFile(inRoot('tests/golden/minilm/figures.json'), 'utf8')).texts;
  packed = await installPacked();
  server = await serveApp(packed);
});

after(async () => {
  await server?.close();
  await packed?.remove();
});

const cosine = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

for (const [device, bounds] of Object.entries(LARGEST)) {
  for (const [quantize, bound] of Object.entries(bounds)) {
    test(
      `chromium, ${device}, ${quantize}: ids and vectors are those of transformers`,
      { timeout: 10 * MINUTE },
      async (t) => {
        const browser = await browsers.chromium();
        try {
          const page = await browser.newPage();
          await page.goto(server.url);
          await prepareApp(page);
          const { kind, ids, vectors } = await page.evaluate(
            async ([model, device, quantize, texts]) => {
              const llm = await weft.load({ model, device, quantize, store: false });
              const ids = [];
              for (const text of texts) ids.push(await llm.tokenize(text, { addSpecial: true }));
              const vectors = await llm.embed(texts);
              return { kind: llm.info.engine.kind, ids, vectors: vectors.map((vector) => [...vector]) };
            },
            [`/models/${minilm.folder}/`, device, quantize, golden.map(({ text }) => text)],
          );
          assert.equal(kind, device);
          assert.deepEqual(
            ids,
            golden.map(({ ids }) => ids),
          );
          const apart = vectors.map((vector, i) => 1 - cosine(vector, golden[i].vector));
          t.diagnostic(`1 − cosine, at most: ${Math.max(...apart).toExponential(1)}`);
          assert.ok(Math.max(...apart) <= bound, `${apart}`);
        } finally {
          await browser.close();
        }
      },
    );
  }
}
