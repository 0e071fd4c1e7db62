// Encoders in the packed package, in Chromium: tiny models with random weights, whose values
// tests/architectures.rs compares with transformers. Here both engines must agree, and results must
// have the documented types.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { APP, prepareApp } from './app.mjs';
import { launchChromium } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';
import { tinyModel } from './tiny.mjs';

const timeout = 300_000;
const DEVICES = ['cpu', 'gpu'];
const decoder = tinyModel();

let packed, server, browser;

before(async () => {
  packed = await installPacked();
  const mounts = {
    '/node_modules/': join(packed.folder, 'node_modules'),
    '/models/': inRoot('tests/fixtures/architectures'),
  };
  // without the headers that threads need: two tokens are too little work for several threads
  server = await serve(mounts, { handle, isolated: false });
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

function handle(request, response) {
  if (request.url === '/') response.setHeader('Content-Type', 'text/html').end(APP);
  else if (request.url === '/decoder.gguf') response.end(decoder);
  else return false;
  return true;
}

/** Opens a page with the model as `llm`. */
async function open(t, name, device, options = {}) {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(server.url);
  await prepareApp(page);
  const model = name === 'decoder' ? '/decoder.gguf' : `/models/${name}/model.gguf`;
  const info = await page.evaluate(
    async (options) => {
      globalThis.llm = await weft.load(options);
      return llm.info;
    },
    { model, device, store: false, ...options },
  );
  return { page, info };
}

const near = (a, b) => a.length === b.length && a.every((value, i) => Math.abs(value - b[i]) < 1e-4);
const product = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

test('texts become vectors of length 1, the same on both engines', { timeout }, async (t) => {
  const vectors = {};
  for (const device of DEVICES) {
    const { page, info } = await open(t, 'sentence-bert', device);
    assert.deepEqual([info.kind, info.tasks, info.engine.kind], ['encoder', ['embed'], device]);
    assert.deepEqual([info.labels, info.maskToken, info.contextLength], [[], null, 48]);
    vectors[device] = await page.evaluate(async () => {
      const arrays = await llm.embed(['a cat', 'the dog, the thing', 'a cat']);
      const raw = await llm.embed(['a cat'], { pooling: 'cls', normalize: false });
      return [...arrays, ...raw].map((array) => {
        if (!(array instanceof Float32Array)) throw new Error('no Float32Array');
        return [...array];
      });
    });
    const [cat, dog, again, raw] = vectors[device];
    assert.equal(cat.length, 36);
    assert.deepEqual(again, cat);
    for (const vector of [cat, dog]) assert.ok(Math.abs(product(vector, vector) - 1) < 1e-5);
    assert.ok(product(cat, dog) < 0.999 && Math.abs(product(raw, raw) - 1) > 0.01);
  }
  vectors.cpu.forEach((vector, i) => assert.ok(near(vector, vectors.gpu[i]), `vector ${i} differs`));
});

test('texts, pairs and tokens get labels, and masks are filled', { timeout }, async (t) => {
  const answers = {};
  for (const device of DEVICES) {
    const { page: classifier, info } = await open(t, 'bert-sequence-classification', device);
    assert.deepEqual(info.labels, ['LABEL_0', 'LABEL_1', 'LABEL_2']);
    assert.deepEqual(info.tasks, ['embed', 'classify']);
    const { page: tagger } = await open(t, 'bert-token-classification', device);
    const { page: filler, info: masked } = await open(t, 'bert-masked-lm', device);
    assert.deepEqual([masked.maskToken, masked.tasks], ['[MASK]', ['embed', 'fillMask']]);
    answers[device] = {
      one: await classifier.evaluate(() => llm.classify('a cat')),
      two: await classifier.evaluate(() => llm.classify('a cat', { pair: 'a dog' })),
      tokens: await tagger.evaluate(() => llm.classifyTokens('a singer')),
      masks: await filler.evaluate(() => llm.fillMask('a [MASK] and a [MASK].', { topK: 3 })),
    };
    const { one, two, tokens, masks } = answers[device];
    for (const scores of [one, two]) {
      assert.ok(Math.abs(scores.reduce((sum, { score }) => sum + score, 0) - 1) < 1e-5);
      assert.ok(scores[0].score >= scores[1].score && scores[1].score >= scores[2].score);
    }
    assert.notDeepEqual(one, two);
    assert.equal(tokens.map(({ text }) => text).join(''), ' a singer');
    assert.ok(tokens.every(({ label, score }) => label.startsWith('LABEL_') && score > 0.2 && score <= 1));
    assert.deepEqual(
      masks.map((fillings) => fillings.length),
      [3, 3],
    );
    assert.ok(masks[0][0].score >= masks[0][1].score && typeof masks[0][0].text === 'string');
  }
  const numbers = ({ one, two, tokens, masks }) =>
    [one, two, tokens, ...masks].flat().map(({ score, label, id }) => ({ score: score.toFixed(3), label, id }));
  assert.deepEqual(numbers(answers.cpu), numbers(answers.gpu));
});

test('bad input is named, and the model stays usable', { timeout }, async (t) => {
  const { page } = await open(t, 'bert-masked-lm', 'cpu');
  const failures = await page.evaluate(async () => {
    const long = 'word '.repeat(60);
    const works = [
      () => collect(llm.generate('a')),
      () => collect(llm.chat([{ role: 'user', content: 'a' }])),
      () => llm.rerank('a', ['b']),
      () => llm.classify('a'),
      () => llm.classifyTokens('a'),
      () => llm.embed(['a', long]),
      () => llm.fillMask('no mask'),
      () => llm.embed(['a', '']),
    ];
    const failures = [];
    for (const work of works) failures.push(await failure(work));
    const [cut] = await llm.embed([long], { truncate: true });
    return { failures, cut: cut.length, after: (await llm.embed(['a'])).length };
  });
  const [generate, chat, rerank, classify, tokens, tooLong, unmasked, empty] = failures.failures;
  for (const [error, task] of [
    [generate, 'generate'],
    [chat, 'chat'],
    [rerank, 'rerank'],
    [classify, 'classify'],
    [tokens, 'classifyTokens'],
  ]) {
    assert.equal(error.code, 'UNSUPPORTED_TASK');
    assert.match(
      error.message,
      new RegExp(`^(text: |documents\\[0\\]: )?\`${task}\` needs .* an encoder \\(\`bert\`\\), for: embed, fillMask`),
    );
  }
  assert.equal(tooLong.code, 'CONTEXT_OVERFLOW');
  assert.match(tooLong.message, /^texts\[1\]: the text has \d+ tokens, and this model takes 48/);
  assert.equal(unmasked.code, 'INVALID_OPTION');
  assert.match(unmasked.message, /\[MASK\]/);
  assert.match(empty.message, /`texts\[1\]`/);
  assert.deepEqual([failures.cut, failures.after], [36, 1]);
});

test('tasks of encoders are errors on a decoder, which stays usable', { timeout }, async (t) => {
  const { page, info } = await open(t, 'decoder', 'cpu');
  assert.deepEqual([info.kind, info.tasks, info.maskToken], ['decoder', ['generate', 'score'], null]);
  const { error, ids } = await page.evaluate(async () => ({
    error: await failure(() => llm.embed(['a'])),
    ids: (await collect(llm.generate('a', { maxTokens: 3 }))).ids,
  }));
  assert.equal(error.code, 'UNSUPPORTED_TASK');
  assert.match(error.message, /a decoder \(`llama`\), for: generate/);
  assert.equal(ids.length, 3);
});

test('tabs share an encoder, and each abort ends its own call', { timeout }, async (t) => {
  const { page, info } = await open(t, 'sentence-bert', 'cpu', { shared: true, store: true });
  const { page: other } = await open(t, 'sentence-bert', 'cpu', { shared: true, store: true });
  assert.ok(info.shared, info.notShared);
  const [vectors, stopped] = await Promise.all([
    page.evaluate(async () => (await llm.embed(['a', 'b'])).map((array) => array.length)),
    other.evaluate(() => {
      const controller = new AbortController();
      const work = llm.embed(Array(20_000).fill('a long text, of which there are many'), { signal: controller.signal });
      setTimeout(() => controller.abort(), 50);
      return failure(() => work);
    }),
  ]);
  assert.deepEqual(vectors, [36, 36]);
  assert.equal(stopped.name, 'AbortError');
});
