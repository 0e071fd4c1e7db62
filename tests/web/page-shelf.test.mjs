// The models of the demo page, stored and to choose from, in Chromium with the fake engine.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { createServer } from 'vite';
import { inRoot } from '../../scripts/lib/run.mjs';
import { ask, fakePage, focused, view, violations } from './page.mjs';

const timeout = 120_000;
const open = fakePage();
const GiB = 2 ** 30;

/** Modules of the page that need no browser. */
let catalog, device;

before(async () => {
  const config = { root: inRoot('www'), logLevel: 'error', configFile: false };
  const vite = await createServer({ ...config, server: { middlewareMode: true, ws: false }, appType: 'custom' });
  after(() => vite.close());
  catalog = await vite.ssrLoadModule('/src/models/catalog.ts');
  device = await vite.ssrLoadModule('/src/models/device.ts');
});

test('the entries of the shelf are whole, and each is there once', () => {
  const uses = ['chat', 'code', 'reasoning', 'tools', 'search'];
  for (const model of catalog.catalog) {
    const { name, family, parameters, bytes, active, license, source } = model;
    const where = JSON.stringify(model);
    for (const text of [name, family, parameters, license]) assert.match(text, /^\S(.*\S)?$/, where);
    assert.ok(Number.isSafeInteger(bytes) && bytes > 5e7 && bytes < 5e9, where);
    assert.ok(active === undefined || (active > 0 && active < 1), where);
    assert.ok(model.uses.length > 0 && model.uses.every((use) => uses.includes(use)), where);
    assert.match(source, /^hf:[\w.-]+\/[\w.-]+(\/[\w.-]+\.gguf)?$/, where);
    assert.equal(catalog.entryOf(`${source}@main`), model, where);
  }
  for (const key of ['name', 'source']) {
    const values = catalog.catalog.map((model) => model[key]);
    assert.deepEqual(values, [...new Set(values)]);
  }
  const families = catalog.catalog.map(({ family }) => family).filter((one, at, all) => one !== all[at - 1]);
  assert.deepEqual(families, [...new Set(families)], 'a family stands together');
  assert.equal(catalog.entryOf('hf:sentence-transformers/all-MiniLM-L6-v2/config.json@main').family, 'MiniLM');
  assert.equal(catalog.entryOf('https://example.org/model.gguf'), undefined);
});

test('a model that will not fit is told by its size, with the largest that does', () => {
  const small = { memory: 2 * GiB, room: 3e9 };
  const why = (bytes, on) => device.obstacle(bytes, on, (size) => `${size}`);
  assert.equal(why(1e9, small), null);
  assert.equal(why(2e9, small).kind, 'impossible');
  assert.equal(why(4.2e9, { memory: 8 * GiB, room: null }).kind, 'unlikely');
  assert.equal(why(4e9, { memory: 8 * GiB, room: 1e9 }).kind, 'not kept');
  assert.equal(why(4e9, { memory: null, room: null }), null);

  const named = (name) => catalog.catalog.find((model) => model.name === name);
  const would = (name, on) => device.whatWould(named(name), catalog.catalog, on)?.name;
  assert.equal(would('Llama 3.2 3B Instruct', small), 'Llama 3.2 1B Instruct');
  assert.equal(would('Phi-3.5 mini Instruct', small), 'Granite 3.3 2B Instruct');
  assert.equal(would('SmolLM2 135M Instruct', small), undefined);
  assert.equal(would('all-MiniLM-L6-v2', small), undefined);
});

test('the shelf is searched, and tells what a model needs when it is asked', { timeout }, async (t) => {
  const page = await open(t);
  const shelf = page.locator('#shelf');
  const names = () => shelf.locator('.name').allTextContents();
  assert.equal((await names()).length, catalog.catalog.length);
  await page.locator('#shelf-search').fill('mit reasoning');
  assert.deepEqual(await names(), ['DeepSeek R1 Distill Qwen 1.5B']);
  await page.locator('#shelf-search').fill('');
  await page.locator('#shelf-use').selectOption('code');
  assert.deepEqual(await names(), ['Qwen2.5 Coder 1.5B Instruct']);
  await page.locator('#shelf-size').selectOption('up to 500 MB');
  assert.match(await page.locator('#shelf-count').textContent(), /No model is like that/);
  await page.locator('#shelf-use').selectOption('chat');
  assert.match(await page.locator('#shelf-count').textContent(), /5 of 20/);

  const entry = shelf.locator('li', { hasText: 'Gemma 3 270M' });
  assert.equal(await entry.locator('dl').count(), 0);
  await entry.locator('summary').click();
  await entry.getByText('819 MB when it is loaded, and 134 MB more for a chat of 2,048 tokens.').waitFor();
  assert.match(
    await entry.textContent(),
    /Can be told after a first answer.*1\.2 billion weights.*Gemma Terms of Use/s,
  );
  await entry.getByRole('button', { name: 'Load Gemma 3 270M' }).click();
  await view(page, 'chat');

  // The first answer tells how fast others may be: 64 tokens/s of 137 MB are 30 of 292 MB.
  await ask(page);
  await page.getByRole('button', { name: 'Model', exact: true }).click();
  await page.getByText('Roughly 30 tokens/s: SmolLM2 135M Instruct gave 60 on this device.').waitFor();
});

test('before a first answer the speed is what is published of this kind of GPU', { timeout }, async (t) => {
  const page = await open(t, { query: { gpu: '' } });
  const entry = page.locator('#shelf li', { hasText: 'Gemma 3 270M' });
  await entry.locator('summary').click();
  await entry
    .getByText('Roughly 20 to 80 tokens/s, by the published figures of this kind of GPU (Intel Iris Xe).')
    .waitFor();
});

test('a model that does not fit says so, and what would', { timeout }, async (t) => {
  const page = await open(t, { query: { fits: 'no' } });
  const entry = page.locator('#shelf li', { hasText: 'Llama 3.2 3B' });
  await entry.locator('summary').click();
  await entry.getByText('It will not fit on this device.').waitFor();
  assert.match(await entry.textContent(), /a buffer needs 5 GB/);
  await page.locator('#shelf-search').fill('3B');
  await entry.getByRole('button', { name: 'Llama 3.2 1B Instruct, 808 MB' }).click();
  await page.locator('#shelf [data-source*="/Llama-3.2-1B"] dl').waitFor();
  assert.equal(await focused(page), 'summary');
  assert.equal(await page.locator('#shelf-search').inputValue(), '');

  const full = await open(t, { query: { quota: 8e8, header: 'NETWORK' } });
  const kept = full.locator('#shelf li', { hasText: 'Qwen2.5 0.5B' });
  await kept.getByText('It will not be kept: the browser has room for 290 MB more.').waitFor();
  await kept.locator('summary').click();
  await kept.getByText(/At least the 491 MB of its file.*could not be read.*NETWORK/s).waitFor();
});

test('a stored model is exported; a file is imported under the name of its model', { timeout }, async (t) => {
  const page = await open(t, {
    // Nobody is there to choose a place.
    prepare: (page) => page.addInitScript(() => delete globalThis.showSaveFilePicker),
  });
  const stored = page.locator('#stored-list li', { hasText: 'SmolLM2-135M-Instruct' });
  await stored.locator('summary').click();
  const download = page.waitForEvent('download');
  await stored.getByRole('button', { name: /^Export/ }).click();
  const file = await download;
  assert.equal(file.suggestedFilename(), 'SmolLM2-135M-Instruct.Q4_1.gguf');
  assert.equal(await readFile(await file.path(), 'utf8'), 'GGUF, and the rest');
  await page.getByText('SmolLM2-135M-Instruct.Q4_1.gguf is exported.').waitFor();

  const buffer = Buffer.from('GGUF');
  const upload = (name) => ({ name, mimeType: 'application/octet-stream', buffer });
  await page.getByTestId('import-file').setInputFiles([upload('gemma-3-1b-it-Q4_K_M.gguf'), upload('my own.gguf')]);
  await page.getByText('my own.gguf is stored in this browser.').waitFor();
  await page.locator('#shelf li', { hasText: 'Gemma 3 1B' }).getByText('on this device').waitFor();
  await page.getByRole('button', { name: /^Load my/ }).click();
  await view(page, 'chat');

  const full = await open(t, { query: { import: 'QUOTA_EXCEEDED' } });
  await full.getByTestId('import-file').setInputFiles(upload('x.gguf'));
  await full.getByText(/x\.gguf could not be imported\. QUOTA_EXCEEDED/).waitFor();
});

test('an import says how much of the file is stored', { timeout }, async (t) => {
  const page = await open(t, { query: { importing: 100 } });
  await page.evaluate(() => {
    globalThis.told = [];
    new MutationObserver(() => {
      const bar = document.querySelector('.import progress');
      if (bar) globalThis.told.push(`${bar.value} ${document.querySelector('.import .hint').textContent}`);
    }).observe(document.querySelector('stored-models'), { subtree: true, childList: true, characterData: true });
  });
  const file = { name: 'x.gguf', mimeType: 'application/octet-stream', buffer: Buffer.from('GGUF') };
  await page.getByTestId('import-file').setInputFiles(file);
  await page.getByText('x.gguf is stored in this browser.').waitFor();
  const told = await page.evaluate(() => [...new Set(globalThis.told)]);
  assert.ok(told.length > 2 && told.includes('0.5 50%'), told.join());
  assert.equal(await page.getByRole('progressbar').count(), 0);
});

test('a download is paused, and a part of a model says that it is resumed', { timeout }, async (t) => {
  const page = await open(t, { query: { slow: '' } });
  await page.getByTestId('load-default').click();
  await page.getByText('What has arrived is kept in this browser').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await view(page, 'picker');
  assert.match(
    await page.locator('#stored-list li', { hasText: 'rather-long-name' }).textContent(),
    /400 MB of 1\.3 GB, not yet whole.*Resume/s,
  );
  // A file of the user is read from where it is.
  const file = { name: 'x.gguf', mimeType: 'application/octet-stream', buffer: Buffer.from('GGUF') };
  await page.getByTestId('model-file').setInputFiles(file);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await view(page, 'picker');
});

test('a file of the user is called what it says it is', { timeout }, async (t) => {
  const page = await open(t);
  const file = { name: 'download (3).gguf', mimeType: 'application/octet-stream', buffer: Buffer.from('GGUF') };
  await page.getByTestId('model-file').setInputFiles(file);
  await view(page, 'chat');
  assert.match(await page.getByTestId('engine').textContent(), /^\s*smollm2 135M · GPU/);
});

test('axe finds nothing on the shelf, in any theme', { timeout }, async (t) => {
  const axe = await readFile(inRoot('node_modules/axe-core/axe.min.js'), 'utf8');
  for (const options of [
    { viewport: { width: 320, height: 640 } },
    { colorScheme: 'dark' },
    { forcedColors: 'active', query: { fits: 'no', quota: 8e8 } },
  ]) {
    const page = await open(t, options);
    await page.locator('#stored-list summary').first().click();
    await page.locator('#shelf-list summary').first().click();
    await page.locator('#shelf-list dl').getByText('819 MB').or(page.getByText('will not fit on')).first().waitFor();
    assert.deepEqual(await violations(page, axe), [], JSON.stringify(options));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels too wide`);
  }
});
