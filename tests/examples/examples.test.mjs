// The examples without packages of their own: built outside the repository with the packages here,
// and opened in Chromium under a content security policy. `npm run test:examples` installs and
// opens all of them.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot, run } from '../../scripts/lib/run.mjs';
import { unpackPackage } from '../bundlers/package.mjs';
import { launchChromium } from '../web/browsers.mjs';
import { serve } from '../web/serve.mjs';
import { copyExample } from './copy.mjs';
import { serveModels } from './models.mjs';
import { EXAMPLES, use } from './people.mjs';

const MINUTE = 60_000;
const PLAIN = ['plain-page', 'offline'];
const BUILT = ['worker', 'extraction', 'document', 'search', 'tools'];
/** Paths of the packages that the examples import. */
const INSTALLED = ['tests/bundlers/node_modules', 'js/node_modules', 'node_modules'];
/** The page has an import map, which needs `unsafe-inline`, and its model is on another server. */
const policy = (scripts) =>
  `default-src 'self'; script-src 'self' 'wasm-unsafe-eval' ${scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src *`;

let out, browser, models;

before(async () => {
  out = await mkdtemp(join(tmpdir(), 'weft-examples-'));
  await unpackPackage(join(out, 'node_modules/weft-llm'));
  models = await serveModels();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await models?.close();
  if (out) await rm(out, { recursive: true });
});

/** Copies an example and its dependencies. */
async function copy(name) {
  const folder = join(out, name);
  await copyExample(name, folder);
  const { dependencies, devDependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  for (const dependency of Object.keys({ ...dependencies, ...devDependencies })) {
    const link = join(out, 'node_modules', dependency);
    // Replaces the server of the folder.
    if (existsSync(link) || dependency === 'sirv-cli') continue;
    const target = INSTALLED.map((place) => inRoot(place, dependency)).find((path) => existsSync(path));
    assert.ok(target, `${dependency} is installed nowhere`);
    await mkdir(dirname(link), { recursive: true });
    await symlink(target, link);
  }
  return folder;
}

async function useServed(t, name, mounts, scripts) {
  const server = await serve(mounts, { policy: policy(scripts), isolated: false });
  const context = await browser.newContext();
  t.after(() => Promise.all([context.close(), server.close()]));
  await use(name, {
    context,
    url: server.url,
    models: models.models,
    folder: join(out, `${name} files`),
    stop: server.close,
  });
}

for (const name of PLAIN) {
  test(`${name}: a person asks and is answered`, { timeout: 3 * MINUTE }, async (t) => {
    const folder = await copy(name);
    const mounts = { '/': folder, '/node_modules/': join(out, 'node_modules') };
    await useServed(t, name, mounts, "'unsafe-inline'");
  });
}

for (const name of BUILT) {
  test(`${name}: a person asks and is answered`, { timeout: 3 * MINUTE }, async (t) => {
    const folder = await copy(name);
    await run(process.execPath, [inRoot('node_modules/typescript/bin/tsc')], { cwd: folder });
    await run(process.execPath, [inRoot('tests/bundlers/node_modules/vite/bin/vite.js'), 'build'], { cwd: folder });
    await useServed(t, name, { '/': join(folder, 'dist') }, '');
  });
}

const isFolder = (entry) => entry.isDirectory();

test('every example is in the index, has ten lines to read, and is used by a person', async () => {
  const folders = (await readdir(inRoot('examples'), { withFileTypes: true })).filter(isFolder).map(({ name }) => name);
  assert.deepEqual(folders.sort(), Object.keys(EXAMPLES).sort());
  const index = await readFile(inRoot('examples/README.md'), 'utf8');
  for (const name of folders) {
    assert.ok(index.includes(`](${name}/README.md)`), `examples/README.md does not name ${name}`);
    const lines = (await readFile(inRoot('examples', name, 'README.md'), 'utf8')).trim().split('\n');
    assert.ok(lines.length <= 24, `the README of ${name} has ${lines.length} lines`);
  }
});

/** People copy one example, so files that several share are in each. */
const COPIES = {
  'src/ui.ts': ['worker', 'extraction', 'document', 'search', 'tools', 'extension'],
  'src/style.css': ['worker', 'extraction', 'document', 'search', 'tools', 'extension'],
};

test('files that several examples share are the same in each', async () => {
  for (const [file, names] of Object.entries(COPIES)) {
    const [first, ...others] = await Promise.all(names.map((name) => readFile(inRoot('examples', name, file), 'utf8')));
    others.forEach((text, i) => assert.equal(text, first, `${names[i + 1]}/${file}`));
  }
  const read = (path) => readFile(inRoot('examples', path), 'utf8');
  assert.equal(await read('offline/style.css'), await read('worker/src/style.css'));
  assert.equal(await read('next/app/use-chat.ts'), await read('vite-react/src/use-chat.ts'));
  assert.equal(await read('next/app/style.css'), await read('vite-react/src/style.css'));
});
