// `npm run test:models`: compares with real models: vocabularies, chat templates, perplexities, and
// an answer in a browser. It fetches 0.7 GB first, so `npm test` does none of it.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { build } from './lib/build.mjs';
import { ensureRenderings } from './lib/chat-templates.mjs';
import { ensureModel, gemma3, minilm, pathOf, smollm2 } from './lib/model.mjs';
import { ensurePackages } from './lib/npm.mjs';
import { inRoot, main, run, step } from './lib/run.mjs';
import { ensureRust } from './lib/rust.mjs';
import { ensureBrowsers } from './lib/system.mjs';
import { ensureVocabularies } from './lib/vocabularies.mjs';

/** llama.cpp's perplexities on the raw test set of WikiText-2 (`-c 512 --chunks 16`). */
const perplexities = [
  { model: smollm2, expected: 28.65 },
  { model: gemma3, expected: 19.73 },
];

/** That test set, which no package has: WEFT_WIKITEXT names a copy. */
const wikitext = {
  path: process.env.WEFT_WIKITEXT,
  sha256: '4f3e427e4aff23acff917a8a51aeae21bf12832256e26914c8fc250dcef4103c',
};

main(async () => {
  await ensureRust();
  await ensurePackages();
  await ensureBrowsers();
  await ensureVocabularies();
  await ensureRenderings();
  for (const model of [smollm2, gemma3, minilm]) await ensureModel(model);
  const failed = [];
  const check = (title, work) => step(title, work).catch((error) => failed.push(`${title}: ${error.message}`));

  await check('tests with real vocabularies and chat templates', async () => {
    const only = ['--lib', '--test', 'all', 'published_', '--', '--include-ignored'];
    return `${count(await run('cargo', ['test', '--release', '--locked', ...only]), /(\d+) passed;/g)} tests`;
  });
  await check('test suite of JSON Schema', async () => {
    const crate = ['--manifest-path', inRoot('grammar/Cargo.toml'), '--target-dir', inRoot('target')];
    const only = ['--test', 'schema_suite', 'published_', '--', '--include-ignored'];
    return `${count(await run('cargo', ['test', '--release', '--locked', ...crate, ...only]), /(\d+) passed;/g)} tests`;
  });
  for (const { model, expected } of perplexities) {
    await check(`perplexity of ${model.file}`, () => perplexity(model, expected));
  }
  await build();
  for (const [title, file] of [
    ['Gemma 3 in a browser', 'gemma3'],
    ['MiniLM, a folder, in a browser', 'minilm'],
    ['a file of 5 GB in a browser', 'streaming'],
    ["a server of OpenAI's API that is not ours", 'remote'],
  ]) {
    await check(title, async () => {
      const text = await run(process.execPath, ['--test', inRoot(`tests/web/models/${file}.test.mjs`)]);
      return `${count(text, /^[#ℹ] pass (\d+)$/gm)} tests`;
    });
  }

  if (failed.length) throw new Error(failed.join('\n\n'));
});

const count = (text, pattern) => [...text.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0);

/** Within 1 % of llama.cpp's. */
async function perplexity(model, expected) {
  if (!wikitext.path) return 'NOT MEASURED: WEFT_WIKITEXT does not name the raw test set of WikiText-2';
  const hash = createHash('sha256')
    .update(await readFile(wikitext.path))
    .digest('hex');
  if (hash !== wikitext.sha256) throw new Error(`${wikitext.path} has SHA-256 ${hash}, expected ${wikitext.sha256}`);
  const about = ['-m', pathOf(model), '--file', wikitext.path, '--ctx', '512', '--chunks', '16'];
  const command = ['run', '--release', '--locked', '--quiet', '--', 'perplexity', ...about];
  const lines = (await run('cargo', [...command, '--device', 'cpu', '--threads', '2'])).split('\n');
  const found = JSON.parse(lines.find((line) => line.startsWith('{'))).perplexity;
  const note = `${found.toFixed(3)}, llama.cpp's ${expected.toFixed(3)}`;
  if (!(Math.abs(found / expected - 1) <= 0.01)) throw new Error(`${note}: more than 1 % apart`);
  return note;
}
