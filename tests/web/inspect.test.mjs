// Looking inside a model, on both engines of a browser: what crosses from the worker, beside an
// answer too, and in several tabs. tests/inspect.rs compares the figures themselves.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { prepareApp, serveApp } from './app.mjs';
import { browsers } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { tinyModel } from './tiny.mjs';

const timeout = 120_000;
let packed, server, browser, page;

before(async () => {
  packed = await installPacked();
  server = await serveApp(packed, { files: { '/tiny.gguf': tinyModel({ endless: true }) } });
  browser = await browsers.chromium();
  page = await browser.newPage();
  await page.goto(server.url);
  await prepareApp(page);
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

for (const device of ['cpu', 'gpu']) {
  test(`everything is seen on the engine '${device}'`, { timeout }, async () => {
    const { seen, kind, sums, plain, looked, steps, near, error } = await page.evaluate(async (device) => {
      const llm = await weft.load({ model: '/tiny.gguf', device, store: false });
      const text = 'Forty tokens of text, and some more of it.';
      const options = {
        ...{ attention: true, hiddenStates: true, lens: { top: 3 }, next: { top: 4 }, logprobs: true },
        ...{ rotations: true, timing: true, experts: true },
      };
      const greedy = { temperature: 0, maxTokens: 12 };
      const answer = async (options) => {
        const pieces = [];
        for await (const piece of llm.generate('abc', { ...greedy, ...options })) pieces.push(piece);
        return pieces;
      };
      const idsOf = (pieces) => pieces.map(({ id }) => id);
      const plain = idsOf(await answer());
      // beside an answer
      const [inspection, besides] = await Promise.all([llm.inspect(text, options), answer()]);
      const sums = inspection.attention.map(({ weights }) => {
        const tokens = inspection.tokens.length;
        const rows = Array.from({ length: weights.length / tokens }, (_, row) =>
          weights.subarray(row * tokens, (row + 1) * tokens).reduce((sum, weight) => sum + weight, 0),
        );
        return [Math.min(...rows), Math.max(...rows), weights.length];
      });
      const pieces = await answer({ inspect: { attention: { layers: [1] }, next: true, hiddenStates: true } });
      const error = await llm.inspect(text, { attention: { layers: [2] } }).catch(({ message }) => message);
      const list = (floats) => Array.from(floats);
      const seen = {
        ...inspection,
        attention: inspection.attention.map(({ layer, heads }) => ({ layer, heads })),
        hiddenStates: inspection.hiddenStates.map(list),
        rotations: inspection.rotations.map(({ layers, angles }) => ({ layers, angles: angles.map(list) })),
        tokens: inspection.tokens.map((token) => ({ ...token, bytes: list(token.bytes) })),
      };
      const steps = pieces.slice(0, -1).map(({ id, inspection: { attention, next, tokens, hiddenStates } }) => ({
        id,
        read: tokens[0].id,
        weights: list(attention[0].weights),
        best: next.at(-1).top[0],
        norms: hiddenStates.map(({ length }) => length),
      }));
      const near = await llm.nearestTokens(70, { top: 3 });
      const { kind } = llm.info.engine;
      llm.dispose();
      return { seen, kind, sums, plain, looked: [besides, pieces].map(idsOf), steps, near, error };
    }, device);
    assert.equal(kind, device);
    const count = seen.tokens.length;
    assert.ok(count > 32, 'more than a chunk');
    const bytes = seen.tokens.flatMap(({ bytes }) => bytes);
    assert.match(Buffer.from(bytes).toString(), /more▁of▁it\.$/);
    assert.deepEqual(
      seen.attention,
      [0, 1].map((layer) => ({ layer, heads: 4 })),
    );
    for (const [least, most, length] of sums) {
      assert.ok(least > 0.9999 && most < 1.0001, `${least} to ${most}`);
      assert.equal(length, 4 * count * count);
    }
    assert.deepEqual(
      seen.hiddenStates.map(({ length }) => length),
      [count, count, count],
    );
    assert.ok(seen.hiddenStates.flat().every((norm) => norm > 0));
    assert.deepEqual(
      seen.lens.map(({ layer, positions }) => [layer, positions[0].position]),
      [0, 1].map((layer) => [layer, count - 1]),
    );
    assert.equal(seen.next[0].stage, 'model');
    assert.equal(seen.next.at(-1).stage, 'temperature');
    // what the last layer says is what the model says
    const { top } = seen.lens[1].positions[0];
    assert.deepEqual(
      top.map(({ id }) => id),
      seen.next[0].top.slice(0, 3).map(({ id }) => id),
    );
    assert.ok(Math.abs(top[0].probability - seen.next[0].top[0].probability) < 1e-5);
    assert.equal(seen.tokens[0].logprob, null);
    assert.ok(seen.tokens.slice(1).every(({ logprob }) => logprob < 0));
    assert.equal(seen.rotations[0].angles[3][0], 3);
    assert.deepEqual(seen.experts, []);
    assert.ok(seen.timing.some(({ operation, layer, bytes }) => operation === 'attention' && layer === 1 && bytes > 0));
    assert.ok(seen.timing.every(({ milliseconds }) => milliseconds >= 0));
    for (const ids of looked) assert.deepEqual(ids, plain);
    for (const [at, { id, read, weights, best, norms }] of steps.entries()) {
      assert.equal(best.id, id);
      if (at > 0) assert.equal(read, plain[at - 1]);
      assert.equal(weights.length, steps[0].weights.length + 4 * at);
      assert.deepEqual(norms, [1, 1, 1]);
    }
    assert.equal(near.length, 3);
    assert.ok(near[0].similarity >= near[2].similarity && near.every(({ id }) => id !== 70));
    assert.match(error, /`attention\.layers`: expected a layer from 0 to 1, got 2/);
  });
}

test('a shared model is looked into from two tabs, and stopped from one', { timeout }, async () => {
  const context = await browser.newContext();
  const pages = [await context.newPage(), await context.newPage()];
  for (const page of pages) {
    await page.goto(server.url);
    await prepareApp(page);
  }
  const results = await Promise.all(
    pages.map((page, tab) =>
      page.evaluate(async (tab) => {
        const llm = await weft.load({ model: '/tiny.gguf', device: 'cpu', store: false, shared: true });
        const text = 'A text for both tabs. '.repeat(8);
        const controller = new AbortController();
        const stopped = llm.inspect(text, { attention: true, signal: controller.signal }).catch(({ name }) => name);
        if (tab === 0) controller.abort();
        const first = await stopped;
        const { attention, hiddenStates } = await llm.inspect(text, { attention: true, hiddenStates: true });
        return [first.attention?.length ?? first, attention.length, Array.from(hiddenStates[2]), llm.info.shared];
      }, tab),
    ),
  );
  assert.deepEqual(
    results.map(([first]) => first),
    ['AbortError', 2],
  );
  assert.deepEqual(results[0].slice(1), results[1].slice(1));
  assert.ok(results[0][3], 'shared');
  await context.close();
});
