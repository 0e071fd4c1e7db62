// Layers other than Llama's in the packed package, in Chromium: a browser checks shaders more
// strictly than the native engine, so both engines must give what transformers gives there too, for
// a text at once and token by token.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { appInChromium } from './app.mjs';
import { logprobs } from './logprobs.mjs';

const FIXTURES = inRoot('tests/fixtures/architectures');
/** Nats. Keys and values are in f16. */
const TOLERANCE = 2e-3;

const open = appInChromium({ mounts: { '/fixtures/': FIXTURES } });

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
    'rwkv7',
    'smallthinker',
    'ernie4_5-moe',
  ]) {
    test(`${device}: ${model} scores as transformers`, async (t) => {
      const page = await open(t);
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

  test(`${device}: t5 answers as transformers`, async (t) => {
    const page = await open(t);
    const reference = JSON.parse(readFileSync(join(FIXTURES, 't5', 'reference.json'), 'utf8')).prompts[1];
    const got = await page.evaluate(
      async ({ prompts, device }) => {
        const llm = await weft.load({ model: '/fixtures/t5/model.gguf', device, store: false });
        const options = { temperature: 0, maxTokens: 12 };
        const answer = (prompt) => collect(llm.generate(prompt, options));
        const alone = [await answer(prompts[0]), await answer(prompts[1])];
        const together = await Promise.all(prompts.map(answer));
        const { engine, tasks } = llm.info;
        llm.dispose();
        const ids = (answers) => answers.map((each) => each.ids);
        return { engine, tasks, alone: ids(alone), together: ids(together) };
      },
      { prompts: [reference.ids, reference.ids.slice(0, 20)], device },
    );
    assert.equal(got.engine.kind, device);
    assert.deepEqual(got.tasks, ['generate']);
    // the first id behind the one that starts an answer
    const [first] = reference.logits;
    assert.equal(got.alone[0][0], first.indexOf(Math.max(...first)));
    assert.deepEqual(got.together, got.alone);
  });
}
