// `npm run test:bundlers`: an app with each bundler and framework that `npm test` leaves out. It is
// built and also run on its development server, opened in Chromium, up to the answer of a tiny
// model. Each bundler is installed into .weft-cache/bundlers at first use. `npm run test:bundlers
// -- rspack nuxt` runs these alone.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot, run } from '../../scripts/lib/run.mjs';
import { launchChromium } from '../web/browsers.mjs';
import { serve } from '../web/serve.mjs';
import { tinyModel } from '../web/tiny.mjs';
import { resultOf, serving, sizeOf } from './app.mjs';
import { here, unpackPackage } from './package.mjs';

const MINUTE = 60_000;
const CACHE = inRoot('.weft-cache/bundlers');

/**
 * By folder in apps: the folder of a build; its server, if it needs its own; whether there is a
 * development server; the number of wasm modules in the build; threads of a page from the
 * development server.
 */
const APPS = {
  vite6: { out: 'dist' },
  webpack: { out: 'dist' },
  rspack: { out: 'dist' },
  rollup: { out: 'dist', develops: false, modules: 5 },
  parcel: { out: 'dist' },
  'next-webpack': { out: 'out' },
  'next-turbopack': { out: 'out' },
  nuxt: { out: '.output/public', start: '.output/server/index.mjs', threads: 2 },
  sveltekit: { out: 'build' },
  astro: { out: 'dist' },
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in APPS));
if (unknown.length) throw new Error(`no app is named ${unknown}; they are ${Object.keys(APPS).join(', ')}`);
const apps = wanted.length ? wanted : Object.keys(APPS);

let browser, models, modelAddress;
let port = 5300;

before(async () => {
  browser = await launchChromium();
  const content = tinyModel();
  models = createServer((_, response) => {
    response.writeHead(200, { 'Access-Control-Allow-Origin': '*' }).end(content);
  });
  await new Promise((resolve) => models.listen(0, resolve));
  modelAddress = `http://localhost:${models.address().port}/model.gguf`;
});

after(async () => {
  await browser?.close();
  models?.closeAllConnections();
  models?.close();
});

/** The folder of an app in the cache, with its packages and this package installed. */
async function install(name) {
  const folder = join(CACHE, name);
  await mkdir(folder, { recursive: true });
  const source = join(here, 'apps', name.replace(/^next-.*/, 'next-app'));
  const description = await readFile(join(source, 'package.json'), 'utf8');
  const installed = await readFile(join(folder, 'installed.json'), 'utf8').catch(() => '');
  // Frameworks make the page themselves and ignore this one.
  await cp(join(here, 'apps/page.html'), join(folder, 'index.html'));
  await cp(join(here, 'apps/main.js'), join(folder, 'main.js'));
  await cp(source, folder, { recursive: true });
  if (installed !== description) {
    await rm(join(folder, 'node_modules'), { recursive: true, force: true });
    await run('npm', ['install', '--no-audit', '--no-fund'], { cwd: folder });
    await writeFile(join(folder, 'installed.json'), description);
  }
  await unpackPackage(join(folder, 'node_modules/weft-llm'));
  return folder;
}

async function open(url) {
  const page = await browser.newPage();
  try {
    return await resultOf(page, `${url}?model=${encodeURIComponent(modelAddress)}`);
  } finally {
    await page.close();
  }
}

/** `threads`: how many the page may have. */
function check({ ids, chosen, build, threads }, expected) {
  assert.equal(ids.length, 5);
  assert.ok(['yes', 'no'].includes(chosen), chosen);
  assert.deepEqual([build, threads], ['weft-relaxed-threads', expected]);
}

/** A build on any web server, or on its own. */
async function serveBuild({ out, start }, cwd) {
  if (!start) {
    const { url, close } = await serve({ '/': join(cwd, out) }, { policy: "worker-src 'self'" });
    return { url, stop: close };
  }
  const own = String(port++);
  return serving(process.execPath, [start], { cwd, env: { PORT: own }, address: `http://localhost:${own}/` });
}

for (const name of apps) {
  const { out, develops = true, modules = 3, threads = 1 } = APPS[name];
  const env = {
    NEXT_TELEMETRY_DISABLED: '1',
    ASTRO_TELEMETRY_DISABLED: '1',
    NUXT_TELEMETRY_DISABLED: '1',
    BROWSER: 'none',
  };
  const [, kind = ''] = /^next(-.*)/.exec(name) ?? [];

  test(`${name}: built`, { timeout: 10 * MINUTE }, async (t) => {
    const folder = await install(name);
    await run('npm', ['run', `build${kind}`], { cwd: folder, env });
    const { url, stop } = await serveBuild(APPS[name], folder);
    t.after(stop);
    check(await open(url), 2);
    const files = await readdir(join(folder, out), { recursive: true });
    // Two builds of the engine and the module for constraints; some bundlers name files by their
    // hash alone.
    assert.equal(files.filter((file) => file.endsWith('.gz')).length, modules, files.join('\n'));
    const bytes = await sizeOf(join(folder, out));
    t.diagnostic(`${(bytes / 1e6).toFixed(1)} MB`);
    assert.ok(bytes <= 8e6, `${bytes} bytes`);
  });

  if (!develops) continue;
  test(`${name}: from its development server`, { timeout: 10 * MINUTE }, async (t) => {
    const cwd = await install(name);
    const own = String(port++);
    const args = ['run', `dev${kind}`, '--', '--port', own];
    const { url, stop } = await serving('npm', args, { cwd, env, address: `http://localhost:${own}/` });
    t.after(stop);
    check(await open(url), threads);
  });
}
