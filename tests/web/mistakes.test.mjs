// Mistakes of a page and its server, in Chromium, and their messages. js/test/mistakes.test.mjs has
// mistakes in calls.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { listen } from '../../js/test/support/server.mjs';
import { APP, prepareApp } from './app.mjs';
import { launchChromium } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';
import { tinyModel } from './tiny.mjs';

const timeout = 120_000;
const content = tinyModel();
const OPEN = "default-src 'self' 'wasm-unsafe-eval'; connect-src *";
const XML = '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>';
const POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n';

let packed, server, browser, policy;

before(async () => {
  packed = await installPacked();
  server = await serve({ '/node_modules/': join(packed.folder, 'node_modules') }, { handle });
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

/** Like Vite, responds with the page for missing files. */
function handle({ url }, response) {
  response.setHeader('Content-Security-Policy', policy);
  if (url.startsWith('/node_modules/')) return false;
  const send = (type, body, status = 200) => {
    response.writeHead(status, { 'Content-Type': type }).end(body);
    return true;
  };
  if (url === '/tiny.gguf') return send('application/octet-stream', content);
  if (url === '/pointer.gguf') return send('application/octet-stream', POINTER);
  if (url === '/denied.gguf') return send('application/xml', XML);
  if (url === '/json.gguf') return send('application/json', '{"error":"no such file"}');
  if (url.startsWith('/gone/')) return send('text/plain', 'gone', 404);
  if (url === '/down.gguf') return send('text/plain', 'down', 500);
  return send('text/html', APP);
}

/** Opens a page with this policy, in which `load` returns the error and the notes before it. */
async function open(t, csp = OPEN) {
  policy = csp;
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(server.url);
  await prepareApp(page);
  const load = (model) =>
    page.evaluate(async (model) => {
      const notes = [];
      const options = { model, device: 'cpu', store: false };
      const failed = await failure(() => weft.load({ ...options, onProgress: ({ note }) => note && notes.push(note) }));
      return { ...failed, notes };
    }, model);
  return { load };
}

const tells = (found, code, ...messages) => {
  assert.equal(found.code, code, JSON.stringify(found));
  for (const message of messages) assert.match(found.message, message);
};

test('a missing file in Vite is a web page with status 200, and the error says so', { timeout }, async (t) => {
  const { load } = await open(t);
  const page = /\/models\/x\.gguf answered a web page, not a model\..*`public\/`/;
  tells(await load('/models/x.gguf'), 'INVALID_FILE', page);
  tells(await load('HuggingFaceTB/SmolLM2'), 'INVALID_FILE', /answered a web page.*'hf:HuggingFaceTB\/SmolLM2'/);
  tells(await load('/models/folder/'), 'INVALID_MODEL', /\/config\.json answered a web page, not a model\./);
  tells(await load('/pointer.gguf'), 'INVALID_FILE', /\/pointer\.gguf is no model.*Git LFS pointer/);
  tells(await load('/denied.gguf'), 'INVALID_FILE', /\/denied\.gguf is no model.*XML document/);
  tells(await load('/json.gguf'), 'INVALID_FILE', /\/json\.gguf is no model.*JSON/);
});

test('a missing file is looked for in likely places', { timeout }, async (t) => {
  const { load } = await open(t);
  tells(await load('/gone/m.gguf'), 'NETWORK', /answered 404.*`public\/`.*'hf:owner\/repository\/file\.gguf'/);
});

test('a failing server is tried again, with a note', { timeout }, async (t) => {
  const { load } = await open(t);
  const found = await load('/down.gguf');
  tells(found, 'NETWORK', /answered 500.*\(tried 7 times\)/);
  assert.equal(found.notes.length, 5);
  assert.match(found.notes[0], /answered 500.*Trying again in \d\.\d s \(3 of 7\)\.$/);
});

test('a policy that forbids the connection is named, with the directive that allows it', { timeout }, async (t) => {
  const origin = await listen(t, (_, response) => response.end(content));
  const { load } = await open(t, "default-src 'self' 'wasm-unsafe-eval'");
  const found = await load(`${origin}/m.gguf`);
  tells(found, 'NETWORK', /content security policy/, new RegExp(`connect-src ${origin}`));
});

test('a server without CORS headers is named as the cause', { timeout }, async (t) => {
  const origin = await listen(t, (_, response) => {
    response.removeHeader('Access-Control-Allow-Origin');
    response.end(content);
  });
  const { load } = await open(t);
  tells(await load(`${origin}/m.gguf`), 'NETWORK', /Most likely.*CORS.*Access-Control-Allow-Origin/);
});

test('a policy that forbids the worker is named, with the directive that allows it', { timeout }, async (t) => {
  const { load } = await open(t, `${OPEN}; worker-src 'none'`);
  tells(await load('/tiny.gguf'), 'WORKER_FAILED', /content security policy.*worker-src/, /`worker-src 'self'`/);
});
