// Adapters and drafts in the packed package, in Chromium, on both engines: an adapter from each of
// its sources scores as PEFT computes, and a drafted answer is the one without drafts.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { appInChromium } from './app.mjs';
import { logprobs } from './logprobs.mjs';

const FIXTURES = inRoot('tests/fixtures');
/** Models, and adapters of each. */
const ADAPTERS = { llama: ['llama', 'llama-second'], phi3: ['phi3'] };
/** Nats. Keys and values are in f16. */
const TOLERANCE = 2e-3;

const open = appInChromium({ mounts: { '/fixtures/': FIXTURES } });

const reference = (file) => JSON.parse(readFileSync(join(FIXTURES, file), 'utf8')).prompts[0];

function assertNear(got, expected, what) {
  assert.equal(got.length, expected.length, what);
  got.forEach((one, i) => assert.ok(Math.abs(one - expected[i]) < TOLERANCE, `${what}: ${got} is not ${expected}`));
}

for (const device of ['cpu', 'gpu']) {
  for (const [model, names] of Object.entries(ADAPTERS)) {
    test(`${device}: adapters of ${model} score as PEFT computes`, async (t) => {
      const page = await open(t);
      const without = reference(`architectures/${model}/reference.json`);
      const expected = Object.fromEntries(names.map((name) => [name, reference(`adapters/${name}/reference.json`)]));
      const { ids } = expected[names[0]];
      const got = await page.evaluate(
        async ({ model, names, ids, device }) => {
          const llm = await weft.load({ model: `/fixtures/architectures/${model}/model.gguf`, device, store: false });
          const score = async (adapter) => {
            const { tokens } = await llm.score(ids.slice(1), { after: ids.slice(0, 1), adapter });
            return tokens.map(({ logprob }) => logprob);
          };
          const scores = { before: await score() };
          for (const name of names) {
            const folder = `/fixtures/adapters/${name}/`;
            await llm.adapters.load(`${folder}adapter.gguf`, { name: `${name} of llama.cpp`, store: false });
            const files = ['adapter_config.json', 'adapter_model.safetensors'].map(async (file) => {
              return new File([await (await fetch(folder + file)).blob()], file);
            });
            await llm.adapters.load(await Promise.all(files), { name });
          }
          // in turn, so that each call has its own
          for (const name of names) {
            scores[name] = await score(name);
            scores[`${name}, GGUF`] = await score([{ name: `${name} of llama.cpp`, scale: 1 }]);
            scores[`without ${name}`] = await score();
          }
          await llm.adapters.merge(names[0]);
          scores.merged = await score();
          await llm.adapters.unmerge(names[0]);
          scores.unmerged = await score();
          const answer = (options) =>
            globalThis.collect(
              llm.generate([...ids, ...ids], { temperature: 0, maxTokens: 40, adapter: names[0], ...options }),
            );
          const [plain, drafted] = [await answer({}), await answer({ speculate: 'lookup' })];
          const failure = await globalThis.failure(() => score('another'));
          llm.dispose();
          return { scores, plain, drafted, failure };
        },
        { model, names, ids, device },
      );
      const { before, merged, unmerged, ...others } = got.scores;
      for (const [what, scores] of Object.entries(others)) {
        const name = names.find((name) => what === name || what === `${name}, GGUF`);
        if (name) assertNear(scores, logprobs(expected[name]), what);
        else assert.deepEqual(scores, before, what);
      }
      assert.deepEqual(without.ids, ids);
      assertNear(before, logprobs(without), 'without');
      assertNear(merged, logprobs(expected[names[0]]), 'merged');
      assert.deepEqual(unmerged, before);
      assert.notDeepEqual(others[names[0]], before);
      assert.deepEqual(got.drafted.ids, got.plain.ids);
      assert.ok(got.drafted.usage.draftedTokens > 0, 'a text that repeats is drafted');
      assert.equal(got.failure.code, 'INVALID_OPTION');
      assert.match(got.failure.message, /another/);
    });
  }
}
