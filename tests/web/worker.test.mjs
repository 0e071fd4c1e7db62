// Starting the package's worker: from another origin, under policies, and the messages when it
// fails.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { APP } from './app.mjs';
import { browsers } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';
import { tinyModel } from './tiny.mjs';

const timeout = 120_000;
const WORKER = '/weft-llm/dist/weft-worker.js';
const model = tinyModel();
let packed, chromium;

before(async () => {
  packed = await installPacked();
  chromium = await browsers.chromium();
});

after(async () => {
  await chromium?.close();
  await packed?.remove();
});

/** Serves a page and the package. `answer(response)` replaces the worker's script. */
async function site(t, { answer, ...options } = {}) {
  const handle = (request, response) => {
    if (request.url === '/') response.setHeader('Content-Type', 'text/html').end(APP);
    else if (request.url === '/model.gguf') response.end(model);
    else if (request.url === WORKER && answer) answer(response);
    else return false;
    return true;
  };
  const server = await serve({ '/weft-llm/': join(packed.folder, 'node_modules/weft-llm') }, { ...options, handle });
  t.after(() => server.close());
  return server.url;
}

/** The package on a server that allows all origins. */
async function cdn(t) {
  const open = { 'Access-Control-Allow-Origin': '*' };
  const handle = (_, response) => void Object.entries(open).forEach((header) => response.setHeader(...header));
  const server = await serve(
    { '/weft-llm/': join(packed.folder, 'node_modules/weft-llm') },
    { isolated: false, handle },
  );
  t.after(() => server.close());
  return server.url;
}

/**
 * Visits a page that loads the package from `base`; returns its engine and an answer, or an error,
 * and the violations of its policy.
 */
async function visit(t, url, { base = url, options = {}, browser = chromium } = {}) {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(url);
  return page.evaluate(
    async ({ base, options }) => {
      const forbidden = [];
      addEventListener('securitypolicyviolation', ({ effectiveDirective }) => forbidden.push(effectiveDirective));
      const { load } = await import(`${base}weft-llm/dist/index.js`);
      try {
        const llm = await load({ model: '/model.gguf', device: 'cpu', threads: 2, store: false, ...options });
        let text = '';
        const constraint = { choices: ['yes'] };
        for await (const piece of llm.generate('abc', { constraint })) text += piece.text;
        const { engine, shared, notShared } = llm.info;
        llm.dispose();
        return { text, build: engine.build, threads: engine.threads, shared, notShared, forbidden };
      } catch ({ code, message }) {
        return { code, message, forbidden };
      }
    },
    { base, options },
  );
}

/** The policy of a careful page, with these directives replaced. */
const policy = (directives) => {
  const own = { 'default-src': "'self'", 'script-src': "'self' 'wasm-unsafe-eval'", 'worker-src': "'self'" };
  return Object.entries({ ...own, ...directives })
    .map((directive) => directive.join(' '))
    .join('; ');
};

/** A page with the package on another origin. */
const fromElsewhere = (base) => ({
  'script-src': `'self' ${base} 'wasm-unsafe-eval'`,
  'worker-src': `blob: ${base}`,
  'connect-src': `'self' ${base}`,
});

const WELL = { text: 'yes', build: 'weft-relaxed-threads', threads: 2, shared: false, notShared: null, forbidden: [] };

for (const [name, launch] of Object.entries(browsers)) {
  test(`${name}: a page imports the package from another origin, with threads`, { timeout }, async (t) => {
    const base = await cdn(t);
    const browser = await launch();
    t.after(() => browser.close());
    const url = await site(t, { policy: policy(fromElsewhere(base)) });
    assert.deepEqual(await visit(t, url, { base, browser }), WELL);
    const shared = await visit(t, url, { base, browser, options: { shared: true } });
    assert.deepEqual({ ...shared, notShared: null }, WELL);
    assert.match(shared.notShared, /another origin/);
  });
}

test('a page that requires Trusted Types and allows the policy weft-llm: the worker starts', { timeout }, async (t) => {
  const types = { 'require-trusted-types-for': "'script'", 'trusted-types': 'weft-llm' };
  const url = await site(t, { policy: policy(types) });
  assert.deepEqual(await visit(t, url), WELL);
  const shared = await visit(t, url, { options: { shared: true } });
  assert.deepEqual([shared.shared, shared.forbidden], [true, []]);
  const base = await cdn(t);
  const elsewhere = await site(t, { policy: policy({ ...types, ...fromElsewhere(base) }) });
  assert.deepEqual(await visit(t, elsewhere, { base }), WELL);
});

test('a page that requires Trusted Types and has a default policy: the worker starts', { timeout }, async (t) => {
  const url = await site(t, {
    policy: policy({ 'require-trusted-types-for': "'script'", 'trusted-types': 'default' }),
  });
  const page = await chromium.newPage();
  t.after(() => page.close());
  await page.goto(url);
  const build = await page.evaluate(async () => {
    trustedTypes.createPolicy('default', { createScriptURL: (address) => address });
    const { load } = await import('/weft-llm/dist/index.js');
    return (await load({ model: '/model.gguf', device: 'cpu', store: false })).info.engine.build;
  });
  assert.equal(build, 'weft-relaxed-threads');
});

const ownIs = (type, body, status = 200) => ({
  answer: (response) => response.writeHead(status, { 'Content-Type': type }).end(body),
});

/** Fault, how it is served, and the expected error. */
const FAILURES = [
  [
    'Trusted Types without the policy',
    { policy: policy({ 'require-trusted-types-for': "'script'", 'trusted-types': "'none'" }) },
    /requires Trusted Types.*`trusted-types weft-llm`/,
  ],
  ['worker-src forbids it', { policy: policy({ 'worker-src': "'none'" }) }, /\(worker-src\).*`worker-src 'self'`/],
  ['a web page in its place', ownIs('text/html', '<!doctype html>'), /answered a web page\. Copy the files `weft\*`/],
  [
    'another type',
    ownIs('application/octet-stream', ''),
    /served as application\/octet-stream\. Serve it as text\/javasc/,
  ],
  ['no such file', ownIs('text/plain', 'gone', 404), /answered 404 Not Found\. Copy the files `weft\*`/],
  ['a script with an error', ownIs('text/javascript', "throw new Error('spoiled')"), /spoiled/],
  [
    'no Cross-Origin-Embedder-Policy',
    {
      answer: (response) => {
        response.removeHeader('Cross-Origin-Embedder-Policy');
        response.setHeader('Content-Type', 'text/javascript').end('');
      },
    },
    /Serve it with Cross-Origin-Embedder-Policy: require-corp/,
  ],
];

for (const [what, options, message] of FAILURES) {
  test(`the worker does not start: ${what} → WORKER_FAILED, which says so`, { timeout }, async (t) => {
    const said = await visit(t, await site(t, options));
    assert.equal(said.code, 'WORKER_FAILED');
    assert.match(said.message, message);
  });
}

test('from another origin, a policy without blob: → WORKER_FAILED, which names it', { timeout }, async (t) => {
  const base = await cdn(t);
  const url = await site(t, { policy: policy({ ...fromElsewhere(base), 'worker-src': "'self'" }) });
  const said = await visit(t, url, { base });
  assert.equal(said.code, 'WORKER_FAILED');
  assert.match(said.message, /\(worker-src\).*`worker-src blob: http/);
});

test(
  'a policy that forbids the worker to fetch the engine → WORKER_FAILED, which names connect-src',
  { timeout },
  async (t) => {
    const base = await cdn(t);
    const url = await site(t, { policy: policy({ ...fromElsewhere(base), 'connect-src': "'self'" }) });
    const said = await visit(t, url, { base });
    assert.equal(said.code, 'WORKER_FAILED');
    assert.match(said.message, /`connect-src`/);
  },
);
