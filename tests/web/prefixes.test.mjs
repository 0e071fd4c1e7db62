// Prompts that are remembered beyond the page, of the packed package in a browser.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { prepareApp, serveApp } from './app.mjs';
import { browsers } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { tinyModel } from './tiny.mjs';

const timeout = 5 * 60_000;
/** The ids of 2,000 tokens, none of which ends an answer. */
const DOCUMENT = Array.from({ length: 2000 }, (_, i) => 3 + ((i * i * 7 + i) % 250));

let packed, server, browser, context;

before(async () => {
  packed = await installPacked();
  server = await serveApp(packed, { files: { '/tiny.gguf': tinyModel({ context: 4096, endless: true }) } });
  browser = await browsers.chromium();
  context = await browser.newContext();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

/** What `work` returns in a new page, where `llm` is the model. It is given the ids of a text. */
async function visit(work, { prefixCache = { persist: true }, text = DOCUMENT } = {}) {
  const page = await context.newPage();
  try {
    await page.goto(server.url);
    await prepareApp(page);
    await page.evaluate(async (prefixCache) => {
      const options = { device: 'cpu', contextLength: 4096, kvCache: 'f32', prefixCache };
      globalThis.llm = await weft.load({ model: '/tiny.gguf', ...options });
      globalThis.ask = async (text, ...question) => {
        const generation = llm.generate([...text, ...question], { temperature: 0, maxTokens: 8 });
        return { text: await generation.text, cached: (await generation.finish).usage.cachedTokens };
      };
      globalThis.prompts = async () => (await weft.models.list()).filter((model) => model.promptTokens);
    }, prefixCache);
    return await page.evaluate(work, text);
  } finally {
    await page.close();
  }
}

test('a later visit computes nothing of a prompt that was remembered, and answers alike', { timeout }, async () => {
  const { remembered, first, listed } = await visit(async (text) => ({
    remembered: await llm.remember(text),
    first: await ask(text, 7, 8, 9),
    listed: await prompts(),
  }));
  assert.equal(remembered.tokens, 2000);
  // blocks of 64 tokens, of two layers with two heads of 16 keys and values
  assert.equal(remembered.storedBytes, 32 * 64 * 2 * 2 * 2 * 16 * 4);
  assert.equal(first.cached, 2000);
  assert.deepEqual(
    listed.map(({ promptTokens, storedBytes, complete }) => [promptTokens, storedBytes, complete]),
    [[2000, remembered.storedBytes, true]],
  );
  assert.deepEqual(await visit((text) => ask(text, 7, 8, 9)), first);
  const computed = await visit((text) => ask(text, 7, 8, 9), { prefixCache: {} });
  assert.deepEqual(computed, { ...first, cached: 0 });
});

test('what two questions begin with is remembered when the model rests', { timeout }, async () => {
  const text = DOCUMENT.map((id) => 3 + ((id + 100) % 250));
  const stored = async (text) => {
    await ask(text, 7, 8, 9);
    await ask(text, 10, 11);
    while (!(await prompts()).some(({ promptTokens, complete }) => promptTokens === 1984 && complete)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await visit(stored, { text });
  const { cached } = await visit((text) => ask(text, 12), { text });
  assert.equal(cached, 1984);
});

test('a model takes its prompts with it', { timeout }, async () => {
  const left = await visit(async () => {
    const before = (await prompts()).length;
    await weft.models.delete('/tiny.gguf');
    return [before, (await weft.models.list()).length];
  });
  assert.deepEqual(left, [2, 0]);
});
