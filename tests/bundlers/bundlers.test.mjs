// Each bundler builds a small app on the packed package, which answers in Chromium with a tiny
// model. Where a bundle allows it, the page has a content security policy without inline scripts.

import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as esbuild from 'esbuild';
import * as vite8 from 'vite';
import * as vite7 from 'vite7';
import webpack from 'webpack';
import { fencesIn } from '../../scripts/lib/snippets.mjs';
import { inRoot, run } from '../../scripts/lib/run.mjs';
import { launchChromium, launchWithExtension } from '../web/browsers.mjs';
import { serve } from '../web/serve.mjs';
import { tinyModel } from '../web/tiny.mjs';
import { resultOf, sizeOf } from './app.mjs';
import { here, installPackage, PACKAGE } from './package.mjs';

const main = join(here, 'apps/main.js');
const MINUTE = 60_000;

let browser, out, answer;
const model = tinyModel();
const sendModel = (_, response) => response.end(model);
/** What threads need. */
const ISOLATION = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
const recipes = fencesIn('docs/RECIPES.md', await readFile(inRoot('docs/RECIPES.md'), 'utf8'));
const recipe = (file) => recipes.find((block) => block.file === file).code;

before(async () => {
  out = await mkdtemp(join(tmpdir(), 'weft-bundlers-'));
  await installPackage();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  if (out) await rm(out, { recursive: true });
});

const PAGE = '<!doctype html><html lang="en"><title>app</title><link rel="icon" href="data:," />';

/** Opens what is served and waits for its result. `inline`: the page needs inline scripts. */
async function open(mounts, { html, inline } = {}) {
  const server = await serve(mounts, {
    inline,
    handle(request, response) {
      const [path] = request.url.split('?');
      if (path === '/model.gguf') response.end(model);
      else if (path === '/' && html) response.setHeader('Content-Type', 'text/html').end(html);
      else return false;
      return true;
    },
  });
  const page = await browser.newPage();
  try {
    return await resultOf(page, server.url);
  } finally {
    await page.close();
    await server.close();
  }
}

/**
 * Every bundle has the same: a build of the engine, its threads, and the module for constraints.
 */
async function answers(mounts, options) {
  check(await open(mounts, options));
}

function check({ ids, chosen, build, threads }) {
  assert.equal(ids.length, 5);
  assert.ok(['yes', 'no'].includes(chosen), chosen);
  assert.deepEqual([build, threads], ['weft-relaxed-threads', 2]);
  answer ??= ids;
  assert.deepEqual(ids, answer);
}

test('no bundler: a script of type module with an import map', { timeout: 2 * MINUTE }, async () => {
  const map = { imports: { 'weft-llm': '/weft-llm/dist/index.js' } };
  const html = `${PAGE}<script type="importmap">${JSON.stringify(map)}</script><script type="module" src="/main.js"></script>`;
  // an import map has no URL, so it stands in the page
  await answers({ '/weft-llm/': PACKAGE, '/': join(here, 'apps') }, { html, inline: true });
});

async function viteApp(outDir, vite = vite8) {
  const root = join(here, 'apps/vite');
  await vite.build({
    root,
    configFile: false,
    logLevel: 'error',
    build: { outDir, emptyOutDir: true },
  });
  return outDir;
}

for (const [name, vite] of Object.entries({ vite: vite8, 'vite 7': vite7 })) {
  test(`${name}: an app ships two builds of the engine, in at most 8 MB`, { timeout: 2 * MINUTE }, async () => {
    const folder = await viteApp(join(out, name), vite);
    await answers({ '/': folder });
    const engines = (await readdir(join(folder, 'assets'))).map((file) => /^weft.*(?=\.wasm)/.exec(file)?.[0]);
    assert.deepEqual(engines.filter(Boolean).sort(), ['weft', 'weft-grammar', 'weft-relaxed-threads']);
    assert.ok((await sizeOf(folder)) <= 8e6, `${await sizeOf(folder)} bytes`);
  });

  test(`${name}: the development server, without settings`, { timeout: 2 * MINUTE }, async () => {
    delete process.env.NODE_ENV; // Vite sets it, and what it finds set holds
    const server = await vite.createServer({
      root: join(here, 'apps/vite'),
      cacheDir: join(out, `${name} cache`),
      configFile: false,
      logLevel: 'error',
      server: { headers: ISOLATION },
      plugins: [
        { name: 'model', configureServer: ({ middlewares }) => void middlewares.use('/model.gguf', sendModel) },
      ],
    });
    const page = await browser.newPage();
    try {
      await server.listen();
      check(await resultOf(page, server.resolvedUrls.local[0]));
    } finally {
      delete process.env.NODE_ENV;
      await page.close();
      await server.close();
    }
  });
}

test('vite: offline, with the service worker of the recipes', { timeout: 3 * MINUTE }, async () => {
  const folder = await viteApp(join(out, 'offline'));
  await writeFile(join(folder, 'service-worker.js'), recipe('service-worker.js'));
  await writeFile(join(folder, 'model.gguf'), model);
  const server = await serve({ '/': folder });
  const context = await browser.newContext();
  const page = await context.newPage();
  const url = `${server.url}?store`;
  try {
    await resultOf(page, url);
    await page.evaluate(async () => {
      await navigator.serviceWorker.register('/service-worker.js');
      await navigator.serviceWorker.ready;
    });
    // from now on, records all requests of the page
    check(await resultOf(page, url));
  } finally {
    await server.close();
  }
  check(await resultOf(page, url));
  await context.close();
});

test(
  'vite: an extension, with an offscreen document that holds the model, by the recipe',
  { timeout: 2 * MINUTE },
  async () => {
    const root = join(out, 'extension-app');
    await mkdir(root);
    for (const file of ['offscreen.html', 'offscreen.js', 'panel.js']) await writeFile(join(root, file), recipe(file));
    await writeFile(join(root, 'index.html'), `${PAGE}<script type="module" src="./main.js"></script>`);
    const script = `import { load } from 'weft-llm';
    import { ask } from './panel.js';
    const run = async () => {
      const own = await load({ model: 'model.gguf', device: 'cpu', threads: 2, store: false });
      let text = '';
      for await (const piece of ask([{ role: 'user', content: 'Hi' }])) text += piece;
      return { text, threads: own.info.engine.threads };
    };
    run().then((result) => (globalThis.result = result), (error) => (globalThis.result = { error: String(error) }));`;
    await writeFile(join(root, 'main.js'), script);
    const folder = join(out, 'extension');
    const input = ['index.html', 'offscreen.html'].map((file) => join(root, file));
    await vite8.build({
      ...{ root, base: './', configFile: false, logLevel: 'error', resolve: { alias: { 'weft-llm': PACKAGE } } },
      build: { outDir: folder, target: 'es2022', rolldownOptions: { input } },
    });
    await writeFile(join(folder, 'background.js'), recipe('background.js'));
    const manifest = { manifest_version: 3, name: 'app', version: '1', ...JSON.parse(recipe('manifest.json')) };
    await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
    await writeFile(join(folder, 'model.gguf'), tinyModel({ template: '{{ messages[0].content }}' }));
    const { context, origin } = await launchWithExtension(folder, join(out, 'profile'));
    try {
      const page = await context.newPage();
      const { text, threads } = await resultOf(page, `${origin}/index.html`);
      assert.ok(text.length > 0);
      assert.equal(threads, 2);
    } finally {
      await context.close();
    }
  },
);

test('webpack', { timeout: 2 * MINUTE }, async () => {
  const path = join(out, 'webpack');
  const config = { mode: 'production', entry: main, output: { path }, performance: { hints: false } };
  const stats = await new Promise((resolve, reject) =>
    webpack(config, (error, result) => (error ? reject(error) : resolve(result))),
  );
  assert.ok(!stats.hasErrors() && !stats.hasWarnings(), stats.toString({ all: false, errors: true, warnings: true }));
  await answers({ '/': path }, { html: `${PAGE}<script type="module" src="/main.js"></script>` });
});

test('esbuild, by the command of js/README.md', { timeout: 2 * MINUTE }, async () => {
  const outdir = join(out, 'esbuild/js');
  await esbuild.build({ entryPoints: [main], bundle: true, format: 'esm', outdir, logLevel: 'error' });
  const dist = join(PACKAGE, 'dist');
  for (const name of (await readdir(dist)).filter((file) => file.startsWith('weft'))) {
    await cp(join(dist, name), join(outdir, name));
  }
  await answers({ '/': join(out, 'esbuild') }, { html: `${PAGE}<script type="module" src="/js/main.js"></script>` });
});

test(
  'next: a client component, rendered on the server first, with the hook of the recipes',
  { timeout: 5 * MINUTE },
  async () => {
    // Next builds in the folder of the app.
    const root = join(here, 'apps/next');
    await writeFile(join(root, 'app/use-llm.jsx'), recipe('use-llm.jsx'));
    const cli = join(here, 'node_modules/next/dist/bin/next');
    await run(process.execPath, [cli, 'build'], { cwd: root, env: { NEXT_TELEMETRY_DISABLED: '1' } });
    await answers({ '/': join(root, 'out') }, { inline: true });
  },
);

test('vite: a worker of the app that holds the model, by the recipe', { timeout: 2 * MINUTE }, async () => {
  const root = join(out, 'worker-app');
  await cp(join(here, 'apps/worker'), root, { recursive: true });
  for (const file of ['page.js', 'answers.js']) await writeFile(join(root, file), recipe(file));
  const outDir = join(out, 'worker');
  const alias = { 'weft-llm': PACKAGE };
  await vite8.build({
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { alias },
    build: { outDir, emptyOutDir: true },
  });
  const { text } = await open({ '/': outDir });
  assert.ok(text.length > 0);
});

/** An import as esbuild bundles it, minified, as text. */
async function bundled(contents) {
  const options = { bundle: true, format: 'esm', minify: true, write: false, logLevel: 'silent' };
  const { outputFiles } = await esbuild.build({ ...options, stdin: { contents, resolveDir: here } });
  return outputFiles[0].text;
}

test('an import brings what it names and no more', async () => {
  assert.equal((await bundled("import 'weft-llm'; import 'weft-llm/remote'; import 'weft-llm/openai';")).trim(), '');
  const error = await bundled("export { WeftError } from 'weft-llm';");
  assert.ok(error.length < 500, `${error.length} characters`);
  const server = await bundled("export { remote } from 'weft-llm/remote';");
  assert.ok(!server.includes('Worker('), 'a model of a server needs no worker');
});

test('every entry can be imported where there is no browser', async () => {
  const { exports } = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8'));
  const entries = Object.keys(exports).filter((name) => !/json|langchain/.test(name));
  for (const entry of entries) {
    const name = join('weft-llm', entry);
    const script = `const before = Object.getOwnPropertyNames(globalThis); const found = await import('${name}');
      const added = Object.getOwnPropertyNames(globalThis).filter((name) => !before.includes(name));
      if (added.length || !Object.keys(found).length) process.exit(1);`;
    // The process ends by itself: nothing was started.
    await run(process.execPath, ['--input-type=module', '-e', script], { cwd: here });
  }
});
