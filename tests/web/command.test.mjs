// The command `npx weft-llm` of the packed package: what it serves, what it says, and the page in
// Chromium with a model of 100,000 random weights.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { launchChromium } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { ask, view } from './page.mjs';
import { tinyModel } from './tiny.mjs';

const timeout = 120_000;
const TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}";
const model = tinyModel({ template: TEMPLATE, endless: true });
let packed, folder;

before(async () => {
  packed = await installPacked();
  folder = await mkdtemp(join(tmpdir(), 'weft-command-'));
  await writeFile(join(folder, 'tiny & small.gguf'), model);
  await writeFile(join(folder, 'secret.txt'), 'not a model');
});

after(async () => {
  await rm(folder, { recursive: true });
  await packed.remove();
});

/** Runs the command as npm's link of it does. `said` resolves when it listens or ends. */
function run(...args) {
  const child = spawn(process.execPath, [join(packed.folder, 'node_modules/.bin/weft-llm'), ...args], { cwd: folder });
  let text = '';
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const said = new Promise((resolve) => {
    const hear = (bytes) => {
      text += bytes;
      if (text.includes('Ctrl-C')) resolve();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void ended.then(resolve);
  });
  return { child, ended, said: said.then(() => text) };
}

/** Starts the server; returns its address and what it says. */
async function start(t, ...args) {
  const { child, ended, said } = run('--no-open', ...args);
  t.after(async () => {
    child.kill();
    assert.equal(await ended, 0);
  });
  const text = await said;
  const address = /weft is at (\S+)/.exec(text)?.[1];
  assert.ok(address, text);
  return { address, text };
}

test('a model of this machine chats in the page, which is isolated', { timeout }, async (t) => {
  const { address, text } = await start(t, '--port', '0', 'tiny & small.gguf');
  assert.match(text, /tiny & small\.gguf \(0 MB\)/);
  const browser = await launchChromium();
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(timeout);
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  page.on('response', (response) => response.status() >= 400 && problems.push(response.url()));
  await page.goto(address);
  await view(page, 'chat'); // nobody has pressed a button
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  await ask(page, 'Hello.', null);
  await page.locator('.turn:is([data-state=answered], [data-state=stopped])').waitFor();
  assert.notEqual(await page.getByTestId('answer').textContent(), '');
  assert.match(await page.getByTestId('engine').textContent(), /tiny & small/);
  await page.reload();
  await view(page, 'chat');
  // The disk has the model already: the browser keeps no copy.
  await page.getByRole('button', { name: 'Model', exact: true }).click();
  await view(page, 'picker');
  assert.equal(await page.locator('#stored-list li').count(), 0);
  assert.match(await page.getByTestId('load-default').textContent(), /Load tiny & small\.gguf/);
  assert.deepEqual(problems, []);
});

test('it serves the page, parts of a model, and nothing else', { timeout }, async (t) => {
  const { address } = await start(t, '--port', '0', 'tiny & small.gguf');
  const at = (path, options) => fetch(new URL(path, address), options);
  const html = await at('');
  assert.equal(html.headers.get('cross-origin-embedder-policy'), 'require-corp');
  assert.match(
    html.headers.get('content-security-policy'),
    /^default-src 'none'; script-src 'self' 'wasm-unsafe-eval'/,
  );
  const text = await html.text();
  const source = /name="weft-model" content="([^"]+)"/.exec(text)[1];
  assert.equal(source, 'models/0/tiny%20%26%20small.gguf');

  const part = await at(source, { headers: { range: 'bytes=4-7' } });
  assert.equal(part.status, 206);
  assert.equal(part.headers.get('content-range'), `bytes 4-7/${model.length}`);
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), model.subarray(4, 8));
  assert.deepEqual(Buffer.from(await (await at(source)).arrayBuffer()), model);

  // The engine comes from the package, under the names that the page was built with.
  const worker = await at(
    (await at('service-worker.js').then((file) => file.text())).match(/assets\/weft-worker[^"]+/)[0],
  );
  assert.match(worker.headers.get('content-type'), /javascript/);
  assert.match(worker.headers.get('content-security-policy'), /default-src 'none'/);
  await worker.body.cancel();

  for (const path of [
    'models/0/secret.txt',
    'models/0/..%2fsecret.txt',
    'models/1/x.gguf',
    'cli.js',
    'page.br',
    '%ff',
  ]) {
    const answer = await at(path);
    assert.ok([400, 404].includes(answer.status), path);
    await answer.body.cancel();
  }
  assert.equal((await at('', { method: 'POST' })).status, 405);
  const { port } = new URL(address);
  const elsewhere = await new Promise((resolve, reject) => {
    import('node:http').then(({ get }) => {
      get({ host: '127.0.0.1', port, headers: { host: 'example.org' } }, resolve).on('error', reject);
    });
  });
  assert.equal(elsewhere.statusCode, 403);
  elsewhere.resume();
});

test('a folder of models, a folder of transformers, and a port that is taken', { timeout }, async (t) => {
  const taken = createServer();
  await new Promise((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.after(() => taken.close());
  const { port } = taken.address();
  await mkdir(join(folder, 'many'), { recursive: true });
  for (const name of ['b.gguf', 'a.gguf', 'split-00001-of-00002.gguf', 'split-00002-of-00002.gguf']) {
    await writeFile(join(folder, 'many', name), model);
  }
  await cp(inRoot('tests/fixtures/architectures/qwen2'), join(folder, 'qwen2'), { recursive: true });
  const { address, text } = await start(t, 'many', 'qwen2', '--port', String(port));
  assert.equal(Number(new URL(address).port) > port, true);
  assert.match(text, new RegExp(`Port ${port} is in use by another program`));
  const html = await (await fetch(address)).text();
  const sources = [...html.matchAll(/name="weft-model" content="([^"]+)"/g)].map(([, source]) => source);
  assert.deepEqual(sources, [
    'models/0/a.gguf',
    'models/1/b.gguf',
    'models/2/split-00001-of-00002.gguf',
    'models/3/qwen2/',
  ]);
  for (const path of [sources[1], 'models/2/split-00002-of-00002.gguf', 'models/3/qwen2/config.json']) {
    assert.equal((await fetch(new URL(path, address), { method: 'HEAD' })).status, 200, path);
  }
});

test('what cannot be served is named, with what can', { timeout }, async () => {
  await mkdir(join(folder, 'empty'), { recursive: true });
  await writeFile(join(folder, 'split-00001-of-00002.gguf'), model);
  for (const [args, says] of [
    [['nosuch.gguf'], /^weft-llm: nosuch\.gguf: there is no such file or folder\n.*--help/],
    [['secret.txt'], /^weft-llm: secret\.txt is no GGUF file: it begins with "not "\. weft reads GGUF files/],
    [['empty'], /^weft-llm: empty holds no GGUF file and no config\.json\./],
    [['split-00001-of-00002.gguf'], /split-00002-of-00002\.gguf is missing/],
    [['--port', 'x'], /--port x is no port/],
    [['--prot', '1'], /Unknown option '--prot'/],
  ]) {
    const { ended, said } = run(...args);
    assert.match(await said, says);
    assert.equal(await ended, 1);
  }
  const help = run('--help');
  assert.match(await help.said, /^Usage: npx weft-llm/);
  assert.equal(await help.ended, 0);
});
