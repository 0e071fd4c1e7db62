// A folder of transformers in a real browser: from a server, as a handle and as files; quantised
// while loading; and estimates.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { APP, prepareApp } from './app.mjs';
import { browsers } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';

const FIXTURE = inRoot('tests/fixtures/architectures/mixtral');

/** The vocabulary of the fixtures' GGUF files, see their conversion.py. */
function tokenizer() {
  const merges = 't h,h e,i n,e r,a n,r e,o n,Ġ t,Ġ a,Ġt h,in g,an d,Ġth e,i s'.split(',');
  const letters = [..."abcdefghijklmnopqrstuvwxyz0123456789.,!?'-:;()ĠĊ"];
  const tokens = ['<s>', '</s>', ...letters, ...merges.map((merge) => merge.replace(' ', ''))];
  const special = (content, id) => ({ id, content, special: true });
  return JSON.stringify({
    added_tokens: [special('<s>', 0), special('</s>', 1)],
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
  });
}

let packed, server, small;

before(async () => {
  packed = await installPacked();
  small = { '/m/tokenizer.json': tokenizer(), '/': APP };
  server = await serve(
    { '/node_modules/': join(packed.folder, 'node_modules'), '/m/': FIXTURE },
    {
      handle(request, response) {
        const text = small[request.url];
        if (text !== undefined) {
          response.setHeader('Content-Type', request.url === '/' ? 'text/html' : 'application/json');
          response.end(text);
          return true;
        }
        return false;
      },
    },
  );
});

after(async () => {
  await server?.close();
  await packed?.remove();
});

async function inBrowser(name, work) {
  const browser = await browsers[name]();
  try {
    const page = await browser.newPage();
    await page.goto(server.url);
    await prepareApp(page);
    return await work(page);
  } finally {
    await browser.close();
  }
}

for (const name of ['chromium', 'firefox']) {
  test(`${name}: a folder answers like its GGUF file, from every source`, async () => {
    const texts = { config: await readFile(join(FIXTURE, 'config.json'), 'utf8'), tokenizer: tokenizer() };
    const got = await inBrowser(name, (page) =>
      page.evaluate(async ({ config, tokenizer }) => {
        const { load, estimate, models } = globalThis.weft;
        const weights = await (await fetch('/m/model.safetensors')).blob();
        const files = [
          new File([tokenizer], 'tokenizer.json'),
          new File([weights], 'model.safetensors'),
          new File([config], 'config.json'),
        ];
        const root = await navigator.storage.getDirectory();
        const handle = await root.getDirectoryHandle('mixtral', { create: true });
        for (const file of files) {
          const writable = await (await handle.getFileHandle(file.name, { create: true })).createWritable();
          await writable.write(file);
          await writable.close();
        }
        const ids = {};
        const answer = async (what, model) => {
          const llm = await load({ model, device: 'cpu', threads: 1 });
          const options = { temperature: 0, maxTokens: 12 };
          ids[what] = (await globalThis.collect(llm.generate('the rain in an inn', options))).ids;
          const { info } = llm;
          llm.dispose();
          return info;
        };
        await answer('gguf', '/m/model.gguf');
        const info = await answer('address', '/m/');
        await answer('again', '/m/');
        await answer('handle', handle);
        await answer('files', files);
        return {
          ids,
          info,
          estimate: await estimate('/m/', { contextLength: 32, kvCache: 'f16' }),
          ofFiles: await estimate(files, { contextLength: 32, kvCache: 'f16' }),
          ofGguf: await estimate('/m/model.gguf', { contextLength: 32 }),
          failure: await globalThis.failure(() => load({ model: '/m/', contextLength: 4096 })),
          stored: (await models.list()).map(({ source }) => source.split('/').at(-1)).sort(),
        };
      }, texts),
    );
    const { ids, info, estimate, ofFiles, ofGguf } = got;
    assert.equal(ids.gguf.length, 12);
    assert.deepEqual(ids, { gguf: ids.gguf, address: ids.gguf, again: ids.gguf, handle: ids.gguf, files: ids.gguf });
    assert.deepEqual([info.name, info.architecture, info.vocabularySize], ['m', 'llama', 64]);
    assert.equal(got.failure.code, 'INVALID_OPTION');
    const names = ['config.json', 'model.gguf', 'model.safetensors', 'tokenizer.json'];
    assert.deepEqual(got.stored, names, 'what a folder has not is no model');

    assert.equal(estimate.parameters, info.parameters);
    // in whole blocks of 64 tokens
    assert.deepEqual([estimate.kvCacheBytes, estimate.kvCache], [2 * 2 * 2 * 8 * 64 * 2, 'f16']);
    assert.equal(estimate.loadedBytes, estimate.weightBytes + estimate.activationBytes);
    assert.deepEqual([estimate.cpu.fits, ofGguf.cpu.fits], [true, true]);
    assert.ok(ofGguf.weightBytes > estimate.weightBytes, 'f32 takes more than bf16');
    assert.deepEqual({ ...ofFiles, name: 'm' }, estimate);
  });
}
