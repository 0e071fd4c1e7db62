// `npm run test:bundlers`: an app with each bundler and framework that `npm test` leaves out, built and from its development server,
// opened in Chromium, up to the words of a tiny model. Each is installed into .weft-cache/bundlers when it is first asked for.
// `npm run test:bundlers -- rspack nuxt` tries these alone.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot, run } from '../../scripts/lib/run.mjs';
import { launchChromium } from '../web/browsers.mjs';
import { serve } from '../web/serve.mjs';
import { tinyModel } from '../web/tiny.mjs';
import { resultOf, sizeOf } from './app.mjs';
import { here, unpackPackage } from './package.mjs';

const MINUTE = 60_000;
const CACHE = inRoot('.weft-cache/bundlers');

/** By folder in apps: where a build lands; how the development server is told its port, null where there is none; how many wasm modules are in it. */
const APPS = {
  vite6: { out: 'dist', port: (port) => ['--port', port] },
  webpack: { out: 'dist', port: (port) => ['--port', port] },
  rspack: { out: 'dist', port: (port) => ['--port', port] },
  rollup: { out: 'dist', port: null, modules: 5 },
  parcel: { out: 'dist', port: (port) => ['--port', port] },
  'next-webpack': { out: 'out', port: (port) => ['--port', port] },
  'next-turbopack': { out: 'out', port: (port) => ['--port', port] },
  nuxt: { out: '.output/public', port: (port) => ['--port', port] },
  sveltekit: { out: 'build', port: (port) => ['--port', port] },
  astro: { out: 'dist', port: (port) => ['--port', port] },
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

/** An app's folder in the cache, with what it needs installed, and the package of this repository. */
async function install(name) {
  const folder = join(CACHE, name);
  await mkdir(folder, { recursive: true });
  const source = join(here, 'apps', name.replace(/^next-.*/, 'next-app'));
  const description = await readFile(join(source, 'package.json'), 'utf8');
  const installed = await readFile(join(folder, 'installed.json'), 'utf8').catch(() => '');
  // Frameworks make the page themselves, and pay this one no heed.
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

/** `threads`: what the page may have. */
function check({ ids, chosen, build, threads }, expected) {
  assert.equal(ids.length, 5);
  assert.ok(['yes', 'no'].includes(chosen), chosen);
  assert.deepEqual([build, threads], ['weft-relaxed-threads', expected]);
}

/** Development servers have no word for being ready in common. */
async function answering(url, ended) {
  for (const end = Date.now() + 2 * MINUTE; Date.now() < end;) {
    if (ended()) throw new Error(`the development server ended:\n${ended()}`);
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return response.text();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`the development server does not answer at ${url}`);
}

for (const name of apps) {
  const { out, port: portOf, modules = 3 } = APPS[name];
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
    const server = await serve({ '/': join(folder, out) }, { policy: "worker-src 'self'" });
    t.after(() => server.close());
    check(await open(server.url), 2);
    const files = await readdir(join(folder, out), { recursive: true });
    // Two builds of the engine and the module for constraints; some bundlers name files by their hash alone.
    assert.equal(files.filter((file) => file.endsWith('.gz')).length, modules, files.join('\n'));
    const bytes = await sizeOf(join(folder, out));
    t.diagnostic(`${(bytes / 1e6).toFixed(1)} MB`);
    assert.ok(bytes <= 8e6, `${bytes} bytes`);
  });

  if (!portOf) continue;
  test(`${name}: from its development server`, { timeout: 10 * MINUTE }, async (t) => {
    const folder = await install(name);
    const own = String(port++);
    const child = spawn('npm', ['run', `dev${kind}`, '--', ...portOf(own)], {
      cwd: folder,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
    t.after(() => {
      if (child.exitCode === null) process.kill(-child.pid);
    });
    const url = `http://localhost:${own}/`;
    await answering(url, () => child.exitCode !== null && said);
    check(await open(url), 1);
  });
}
