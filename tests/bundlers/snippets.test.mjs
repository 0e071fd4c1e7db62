// The code in documents: all of it compiles against the packed package, and blocks marked `run` run
// in Chromium on a tiny model.

import assert from 'node:assert/strict';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import * as esbuild from 'esbuild';
import { blocksOf, documents } from '../../scripts/lib/snippets.mjs';
import { inRoot, run } from '../../scripts/lib/run.mjs';
import { launchChromium } from '../web/browsers.mjs';
import { serve } from '../web/serve.mjs';
import { tinyModel } from '../web/tiny.mjs';
import { here, installPackage, PACKAGE } from './package.mjs';

const MINUTE = 60_000;
/** Inside this folder, so that its packages are found. */
const WORK = join(here, '.snippets');

const blocks = (await Promise.all((await documents()).map(blocksOf))).flat();
const nameOf = ({ document, line }) => `${document.replaceAll(/[/.]/g, '-')}-${line}`;

before(async () => {
  await installPackage();
  await rm(WORK, { recursive: true, force: true });
  await mkdir(WORK);
});

after(() => rm(WORK, { recursive: true, force: true }));

/** JavaScript has no types, so less is checked. */
const configOf = (include, js) => ({
  compilerOptions: {
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    lib: ['es2023', 'dom', 'dom.iterable', 'dom.asynciterable', 'esnext.disposable'],
    jsx: 'react-jsx',
    types: [],
    allowJs: true,
    checkJs: true,
    strict: true,
    ...(js && { noImplicitAny: false, strictNullChecks: false, useUnknownInCatchVariables: false }),
    skipLibCheck: true,
    noEmit: true,
  },
  include: [...include, 'globals.d.ts'],
});

test('all code in documents compiles', { timeout: 2 * MINUTE }, async (t) => {
  await cp(join(here, 'globals.d.ts'), join(WORK, 'globals.d.ts'));
  for (const block of blocks) {
    if (block.language === 'json') JSON.parse(block.code);
    else if (block.syntax) await esbuild.transform(block.code, { loader: block.language });
    else
      await writeFile(
        join(WORK, block.file ? basename(block.file) : `${nameOf(block)}.${block.language}`),
        `${block.code}\nexport {};\n`,
      );
  }
  for (const js of [true, false]) {
    const config = join(WORK, `tsconfig.${js ? 'js' : 'ts'}.json`);
    await writeFile(config, JSON.stringify(configOf(js ? ['*.js', '*.jsx'] : ['*.ts', '*.tsx'], js)));
    await run(process.execPath, [inRoot('node_modules/typescript/bin/tsc'), '-p', config]);
  }
  t.diagnostic(`${blocks.length} blocks, ${blocks.filter(({ syntax }) => syntax).length} of them parsed alone`);
});

/**
 * The package, or the module that knows where its workers are, is served beside these; the rest is
 * bundled.
 */
const besidePackage = {
  name: 'beside the package',
  setup(build) {
    build.onResolve({ filter: /^weft-llm$|\/assets\.js$/ }, ({ path, resolveDir }) => {
      if (path === 'weft-llm') return { path: '/weft-llm/dist/index.js', external: true };
      return resolveDir.startsWith(join(PACKAGE, 'dist'))
        ? { path: '/weft-llm/dist/assets.js', external: true }
        : undefined;
    });
  },
};

/** Globals of the pages that documents use; `globals.d.ts` has their types. */
const PRELUDE = `
  import { load } from 'weft-llm';
  const llm = await load({ model: '/models/tiny.gguf', device: 'cpu', contextLength: 256, store: false });
  const messages = [{ role: 'user', content: 'Hi' }];
  Object.assign(globalThis, { llm, messages, output: document.body });
`;

const CORS = { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' };

/** The response of a server with OpenAI's API. */
async function answerAsServer(route) {
  const request = route.request();
  const headers = CORS;
  if (request.method() === 'OPTIONS') return route.fulfill({ status: 204, headers });
  if (request.url().endsWith('/models')) return route.fulfill({ headers, json: { data: [{ id: 'large' }] } });
  const common = { id: 'x', created: 0, model: 'large' };
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  if (!request.postDataJSON().stream) {
    const choice = { index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' };
    return route.fulfill({ headers, json: { ...common, choices: [choice], usage } });
  }
  const chunk = { ...common, choices: [{ index: 0, delta: { content: 'Hello' }, finish_reason: 'stop' }], usage };
  return route.fulfill({
    headers,
    contentType: 'text/event-stream',
    body: `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`,
  });
}

test('blocks marked run do run', { timeout: 5 * MINUTE }, async (t) => {
  const model = tinyModel({ template: '{% for message in messages %}{{ message.content }}{% endfor %}' });
  const scripts = new Map();
  const bundle = async (code) => {
    const options = { bundle: true, format: 'esm', write: false, plugins: [besidePackage], logLevel: 'silent' };
    const { outputFiles } = await esbuild.build({ ...options, stdin: { contents: code, resolveDir: here } });
    return outputFiles[0].text;
  };
  const server = await serve(
    { '/weft-llm/': PACKAGE },
    {
      policy: "worker-src 'self'", // workers may ask the hub
      handle(request, response) {
        if (request.url.startsWith('/models/')) response.end(model);
        else if (request.url === '/')
          response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>x</title>');
        else if (scripts.has(request.url))
          response.setHeader('Content-Type', 'text/javascript').end(scripts.get(request.url));
        else return false;
        return true;
      },
    },
  );
  const browser = await launchChromium();
  try {
    scripts.set('/prelude.js', await bundle(PRELUDE));
    const running = blocks.filter(({ run }) => run);
    for (const block of running) {
      const path = `/${nameOf(block)}.js`;
      scripts.set(path, await bundle(block.code));
      // the server of the documents has another origin
      const page = await browser.newPage({ bypassCSP: true });
      await page.route('http://localhost:8080/**', answerAsServer);
      await page.route('https://huggingface.co/**', (route) =>
        route.fulfill({ headers: CORS, body: Buffer.from(model) }),
      );
      await page.goto(server.url);
      const failed = await page.evaluate(async (path) => {
        try {
          await import('/prelude.js');
          await import(path);
          return null;
        } catch (error) {
          return error.stack ?? String(error);
        }
      }, path);
      assert.equal(failed, null, `${block.document}:${block.line}`);
      await page.close();
    }
    t.diagnostic(`${running.length} blocks`);
  } finally {
    await browser.close();
    await server.close();
  }
});
