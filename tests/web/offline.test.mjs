// The demo page without a network, in Chromium. Test names are rows of a table: fault → what the
// user sees → what is kept.

import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build, preview } from 'vite';
import { inRoot } from '../../scripts/lib/run.mjs';
import { launchChromium } from './browsers.mjs';
import { pressInHead } from './page.mjs';

const timeout = 240_000;
let browser;

before(async () => {
  browser = await launchChromium();
});

after(() => browser?.close());

/** Serves a built page. `stop` closes the server and all connections. */
async function serve(outDir) {
  const config = { root: inRoot('www'), logLevel: 'error', build: { outDir } };
  const server = await preview({ ...config, preview: { port: 0, host: '127.0.0.1' } });
  return { address: server.resolvedUrls.local[0], stop: () => server.close() };
}

/** A browser with its own store. `open()` visits the page; `visit.close()` ends the visit. */
async function newContext(t) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
  t.after(() => context.close());
  context.setDefaultTimeout(timeout);
  const open = async (address) => {
    const page = await context.newPage();
    await page.goto(address);
    return page;
  };
  return { context, open };
}

const view = (page, name) => page.waitForSelector(`body[data-view=${name}]`);

/** Paths of everything in the page's caches. */
const kept = (page) =>
  page.evaluate(async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith('weft-page'));
    const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return requests.flat().map(({ url }) => url.slice(location.origin.length));
  });

/** Resolves when `condition()` holds; the test's time limit applies. */
async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 100));
}

test(
  'the network is gone after one visit → the page opens, isolated as before, loads and answers → one engine and the model',
  { timeout },
  async (t) => {
    const server = await serve('dist');
    t.after(() => server.stop());
    const { context, open } = await newContext(t);
    const first = await open(server.address);
    await first.getByTestId('load-default').click();
    await view(first, 'chat');
    await until(async () => (await kept(first)).some((path) => path.endsWith('.gz')));
    const paths = await kept(first);
    const modules = paths.flatMap((path) => /([\w-]+)\.wasm-[\w-]+\.gz$/.exec(path)?.[1] ?? []);
    assert.deepEqual(modules.sort(), ['weft-grammar', 'weft-relaxed-threads']);
    assert.deepEqual(
      paths.filter((path) => path.includes('gguf')),
      [],
    );
    await first.close();

    await context.setOffline(true);
    await server.stop();
    const second = await open(server.address);
    assert.equal(await second.evaluate(() => crossOriginIsolated), true);
    const policy = await second.evaluate(async () => (await fetch('.')).headers.get('content-security-policy'));
    assert.match(policy, /default-src 'none'/);
    await second.getByTestId('load-default').click();
    await view(second, 'chat');
    await second.getByTestId('prompt').fill('What is the capital of Germany?');
    await second.getByTestId('send').click();
    await second.waitForSelector('.turn[data-state=answered]');
    assert.match(await second.getByTestId('answer').textContent(), /Berlin/);
  },
);

test(
  'the server has a new build → the next visit has it, also without a network → nothing of the old build',
  { timeout },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-offline-'));
    t.after(() => rm(folder, { recursive: true }));
    await cp(inRoot('www/dist'), folder, { recursive: true });
    const server = await serve(folder);
    t.after(() => server.stop());
    const { context, open } = await newContext(t);
    const first = await open(server.address);
    await first.evaluate(() => navigator.serviceWorker.ready);
    const script = (page) => page.evaluate(() => document.querySelector('script[type=module]').src);
    const [before, oldScript] = [await kept(first), await script(first)];
    assert.ok(before.some((path) => oldScript.endsWith(path)));
    await first.close();

    // Another build: the page with the fake engine.
    await build({ root: inRoot('www'), logLevel: 'error', mode: 'fake', build: { outDir: folder, emptyOutDir: true } });
    const second = await open(server.address);
    const newScript = await script(second);
    assert.notEqual(newScript, oldScript);
    await until(async () => (await kept(second)).some((path) => newScript.endsWith(path)));
    await second.close();

    await context.setOffline(true);
    await server.stop();
    const third = await open(server.address);
    assert.equal(await script(third), newScript);
    await until(async () => !(await kept(third)).some((path) => oldScript.endsWith(path)));
    await third.getByTestId('load-default').click();
    await view(third, 'chat');
    // The parts that are fetched when needed are kept too.
    await third.getByTestId('prompt').fill('Show me code and a formula.');
    await third.getByTestId('send').click();
    await third.waitForSelector('.katex');
    await third.waitForSelector('.tok-keyword');
    assert.ok(await third.evaluate(async () => (await document.fonts.load('1em KaTeX_Main')).length > 0));
    await pressInHead(third, 'tasks');
    await third.locator('#task-documents').click();
    const broken = { name: 'broken.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.7\n') };
    await third.getByTestId('text-files').setInputFiles([broken]);
    await third.getByText('cannot be read: Invalid PDF structure').waitFor(); // pdf.js says so
  },
);
