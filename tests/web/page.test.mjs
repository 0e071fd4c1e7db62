// The demo page as users see it: the built files, the real model and the real engine, in Chromium.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { Remedy } from '../../scripts/lib/run.mjs';
import { launchChromium } from './browsers.mjs';
import { pressInHead, serveFake, servePage } from './page.mjs';

/** Texts with which a model could try to run a script, fetch something or leave its place. */
const HOSTILE = [
  '<script>pwned = 1</script>',
  '<img src=https://example.org/x onerror="pwned1 = 1">',
  '<svg onload="pwned2 = 1"><script>pwned3 = 1</script><image href="https://example.org/x"/></svg>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=pwned4=1&gt;">',
  '<math href="javascript:pwned=1"><maction actiontype="statusline#https://example.org">x</maction></math>',
  '<!--><img src=https://example.org/x onerror="pwned5 = 1">-->',
  '<![CDATA[<img src=https://example.org/x>]]>',
  '<iframe srcdoc="<script>parent.pwned = 1</script>"></iframe>',
  '<base href="https://example.org"><link rel="stylesheet" href="https://example.org/x.css">',
  '<meta http-equiv="refresh" content="0;url=https://example.org">',
  '<details open ontoggle="pwned6 = 1"><video poster="https://example.org/x" src="https://example.org/x"></details>',
  '<form action="https://example.org"><input autofocus onfocus="pwned7 = 1"><button>Send</button></form>',
  '<div id="turns" class="copy" style="background:url(https://example.org/x)">x</div>',
  '<a href="javascript:pwned=1" ping="https://example.org">x</a> <javascript:pwned=1>',
  '[x](javascript:pwned=1) [x](JaVaScRiPt&colon;pwned=1) [x](&#106;avascript:pwned=1) [x](java&Tab;script:pwned=1)',
  '[x](<java\tscript:pwned=1>) [x](\u0001javascript:pwned=1) [x](vbscript:x) [x](file:///etc/passwd) [x](//example.org)',
  '[x](data:text/html,<script>alert(1)</script>) [x](blob:https://example.org/1) ![x](data:image/svg+xml,<svg/>)',
  '[x](https://example.org/"onmouseover="pwned=1) [x](https://example.org "\\" onclick=\\"pwned=1")',
  '![x](https://example.org/x.png) ![x" onerror="pwned=1](https://example.org/x) ![<img src=x>][r] [y][r]',
  '[r]: javascript:pwned=1 "x\\" onclick=\\"y"',
  '```x"onload="pwned=1\ncode\n```',
  '```"><script>pwned=1</script>\n</code></pre><img src=https://example.org/x>\n```',
  '# <img src=https://example.org/x>\n\n> <iframe src=https://example.org>\n\n- <object data=https://example.org>',
  '| <img src=https://example.org/x> | [x](javascript:pwned=1) |\n|:-|-:|\n| <embed src=https://example.org> | `<b>` |',
  '&lt;img src=https://example.org/x onerror=pwned=1&gt; \\<img src=https://example.org/x>',
  '<b onclick="pwned = 1" <p title="</b><img src=https://example.org/x>">',
];

/** Endlessly nested quotes, emphasis and links. */
const DEEP = ['>', '*_', '[', '!['].map((mark) => mark.repeat(9000));

const inRoot = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const timeout = 240_000;
const model = 'models/SmolLM2-135M-Instruct.Q4_1.gguf';
let server, browser, page, problems;

before(async () => {
  if (!existsSync(inRoot('www/dist/index.html'))) {
    throw new Remedy('www/dist is missing. `npm run build` and then `npm run build -w www` make it.');
  }
  if (!existsSync(inRoot(model))) throw new Remedy(`${model} is missing. \`npm start\` fetches it.`);
  server = await servePage();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

// Every test has its own page, and ends with a check for errors on it.
beforeEach(async (t) => {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
  page = await context.newPage();
  page.setDefaultTimeout(timeout);
  problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  page.on('request', (request) => {
    if (new URL(request.url()).hostname !== '127.0.0.1') problems.push(`a request to ${request.url()}`);
  });
  page.on('dialog', () => problems.push('a script opened a dialog'));
  await page.goto(server.resolvedUrls.local[0]);
  t.after(() => context.close());
});

/** The address of the page with a fake engine. */
async function openFake(t) {
  const { address, close } = await serveFake();
  t.after(close);
  return address;
}

const view = (name) => page.waitForSelector(`body[data-view=${name}]`);
const lastTurn = (state) => page.waitForSelector(`chat-turn:last-child .turn[data-state=${state}]`);
const answer = () => page.getByTestId('answer').last().textContent();
const stats = () => page.getByTestId('stats').last().textContent();

async function loadDefault() {
  await page.getByTestId('load-default').click();
  await view('chat');
}

async function ask(question) {
  await page.getByTestId('prompt').fill(question);
  await page.getByTestId('send').click();
}

test('the page fetches one build of the engine, with threads, since it is isolated', { timeout }, async () => {
  const fetched = [];
  page.on('request', (request) => request.url().endsWith('.gz') && fetched.push(request.url()));
  await loadDefault();
  assert.equal(fetched.length, 1);
  assert.match(fetched[0], /\/weft-relaxed-threads\.wasm-[^/]+\.gz$/);
});

test('the page loads the model, streams an answer, stops one, and goes on', { timeout }, async () => {
  await page.getByTestId('settings').click();
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await loadDefault();
  assert.match(await page.getByTestId('engine').textContent(), /^\s*SmolLM2-135M-Instruct · (GPU|CPU)\s*$/);
  assert.match(await page.getByTestId('engine-details').textContent(), /on the (GPU|CPU) \(.+\) · \d+ MB\s+\w+/);

  // A short answer can arrive between two checks, so the page records how it grew.
  await page.evaluate(() => {
    window.lengths = [];
    const note = () => window.lengths.push(document.querySelector('.answer')?.textContent.length ?? 0);
    new MutationObserver(note).observe(document.getElementById('turns'), { childList: true, subtree: true });
  });
  await ask('What is the capital of Germany?');
  await lastTurn('answered');
  assert.match(await answer(), /Berlin/);
  assert.match(await stats(), /[\d.]+ tokens\/s · first after [\d.]+ s · \d+ tokens · prompt \d+/);
  const lengths = new Set(await page.evaluate(() => window.lengths));
  // A busy browser draws few frames of such a short answer: at least one between nothing and the
  // whole.
  assert.ok(lengths.size > 2, `the answer should have grown step by step, not ${[...lengths]}`);

  await ask('Write a long story about a weaver and her loom.');
  await lastTurn('streaming');
  await page.getByTestId('stop').click();
  await lastTurn('stopped');
  assert.match(await stats(), /^stopped/);
  assert.notEqual(await answer(), '');

  // The continuation of half a story by such a small model depends on where it was stopped.
  await pressInHead(page, 'settings');
  await page.getByLabel('Longest answer').fill('12');
  await page.getByRole('button', { name: 'Done' }).click();
  await ask('Thank you.');
  await page.waitForFunction(() =>
    /prompt: [\d,]+ of [\d,]+ remembered/.test(document.querySelectorAll('.stats')[2]?.textContent),
  );
  assert.notEqual(await answer(), '');
  assert.match(await stats(), /prompt: [\d,]+ of [\d,]+ remembered/);
  assert.equal(await page.locator('.turn').count(), 3);

  // A new chat costs nothing: the old one is an entry of the history.
  await page.getByTestId('new-chat').click();
  assert.equal(await page.locator('.turn').count(), 0);
  await page.goBack();
  await page.locator('.turn').nth(2).waitFor();
  assert.deepEqual(problems, []);
});

test('a broken file: an error with a remedy; model and conversation stay', { timeout }, async () => {
  const broken = { name: 'broken.gguf', mimeType: 'application/octet-stream', buffer: Buffer.from('<!doctype html>') };
  const error = page.getByTestId('error');
  await page.getByTestId('model-file').setInputFiles(broken);
  await error.waitFor();
  assert.match(await error.textContent(), /This file is not a model.*Choose another file.*INVALID_FILE/s);
  assert.equal(await page.getByTestId('load-default').isVisible(), true);

  await loadDefault();
  assert.equal(await error.count(), 0);
  await page.getByTestId('prompt').fill('a draft');
  await page.getByTestId('model-file').setInputFiles(broken);
  await error.waitFor();
  assert.equal(await page.getByTestId('prompt').inputValue(), 'a draft');
  await ask('What is the capital of Germany?');
  await lastTurn('answered');
  assert.match(await answer(), /Berlin/);
  assert.deepEqual(problems, []);
});

test('a dropped folder loads; one without a model is an error with a remedy', { timeout }, async () => {
  // Only users can drop files: this imitates the browser's event.
  await page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('dropped', { create: true });
    for (const [name, text] of [
      ['config.json', '{"model_type": "jamba"}'],
      ['tokenizer.json', '{}'],
      ['model.safetensors', ''],
    ]) {
      const file = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await file.write(text);
      await file.close();
    }
    const item = { webkitGetAsEntry: () => ({ isDirectory: true }), getAsFileSystemHandle: async () => folder };
    const drop = new Event('drop', { bubbles: true, cancelable: true });
    const dataTransfer = { types: ['Files'], files: [], items: [item] };
    document.body.dispatchEvent(Object.defineProperty(drop, 'dataTransfer', { value: dataTransfer }));
  });
  const error = page.getByTestId('error');
  await error.waitFor();
  assert.match(await error.textContent(), /UNSUPPORTED_MODEL.*jamba/s);
  assert.deepEqual(problems, []);
});

test('a load can be cancelled and begun again', { timeout }, async () => {
  // The response waits, so that there is a load to cancel.
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route('**/models/**', async (route) => {
    await held;
    await route.continue().catch(() => undefined); // it was cancelled meanwhile
  });
  await page.getByTestId('load-default').click();
  await page.waitForRequest('**/models/**');
  await page.getByTestId('cancel-load').click();
  await view('picker');
  assert.equal(await page.getByTestId('error').count(), 0);
  release();
  await loadDefault();
  assert.deepEqual(problems, []);
});

test('the keyboard alone loads, asks, stops and changes a setting that lasts', { timeout }, async () => {
  const press = (key) => page.keyboard.press(key);
  const focused = () => page.evaluate(() => document.activeElement.id);
  for (const button of ['open-chats', 'open-tasks', 'open-settings']) {
    await press('Tab');
    assert.equal(await focused(), button);
  }
  await press('Enter');
  for (let tabs = 0; (await focused()) !== 'temperature' && tabs < 9; tabs++) await press('Tab');
  await press('ArrowRight');
  await press('Escape');
  assert.equal(await focused(), 'open-settings');
  await press('Tab');
  assert.equal(await focused(), 'load-default');
  await press('Enter');
  await view('chat');
  assert.equal(await focused(), 'prompt');
  await page.keyboard.type('Write a long story');
  await press('Shift+Enter');
  await page.keyboard.type('about the sea.');
  await press('Enter');
  await lastTurn('streaming');
  assert.equal(await page.locator('.question').textContent(), 'Write a long story\nabout the sea.');
  await press('Escape');
  await lastTurn('stopped');
  assert.match(await stats(), /^stopped/);
  assert.equal(await focused(), 'prompt');
  await page.reload();
  await view('chat'); // with the model from the store, and the conversation
  assert.equal(await page.getByLabel('Temperature').inputValue(), '0.05');

  // A number out of range does not survive the dialog.
  const contextLength = page.getByLabel('Context length');
  await pressInHead(page, 'settings');
  await contextLength.fill('512');
  await contextLength.fill('5');
  await press('Escape');
  // The dialog is hidden a moment before its close event.
  await page.waitForFunction((input) => input.value === '512', await contextLength.elementHandle());
  assert.deepEqual(problems, []);
});

test('an answer runs and fetches nothing, can be asked again, and survives a lost device', { timeout }, async (t) => {
  const address = await openFake(t);
  await page.goto(address);
  await loadDefault();
  await ask('Show me what you can do.');
  await lastTurn('answered');
  const allowed = 'p br h3 ol ul li div span button pre code table thead tbody tr th td blockquote strong em a';
  const names = await page.$$eval('.answer *', (elements) =>
    elements.filter((element) => !element.closest('.katex')).map((element) => element.localName),
  );
  assert.deepEqual(
    [...new Set(names)].filter((name) => !allowed.split(' ').includes(name)),
    [],
  );
  const links = await page.$$eval('.answer [href]', (elements) =>
    elements.map(({ href, rel, target }) => [href, rel, target]),
  );
  assert.deepEqual(links, [['https://example.org/looms', 'noopener noreferrer', '_blank']]);
  assert.match(await answer(), /<script>alert\(1\)<\/script>/);

  // At temperature 0 the answer would be the same.
  assert.match(await answer(), /"temperature":0,/);
  await page.getByTestId('regenerate').click();
  await lastTurn('streaming');
  await lastTurn('answered');
  assert.match(await answer(), /"temperature":0\.8,/);

  await page.goto(`${address}?chat=DEVICE_LOST`);
  await loadDefault();
  await ask('Are you there?');
  await page.getByTestId('error').getByRole('button', { name: 'Reload the model' }).click();
  await view('chat');
  assert.equal(await page.locator('.question').textContent(), 'Are you there?');
  assert.equal(await page.getByTestId('error').count(), 0);
  assert.equal(await page.getByTestId('regenerate').isVisible(), true);
  assert.deepEqual(problems, []);
});

test('the picker lists what is stored, loads it without a request, and deletes it', { timeout }, async () => {
  const stored = page.locator('#stored');
  assert.equal(await stored.isVisible(), false);
  await loadDefault();
  await page.reload();
  await page.locator('#stored-list li').waitFor(); // an empty chat is not gone on with
  assert.match(
    await stored.textContent(),
    /SmolLM2-135M-Instruct\.Q4_1\.gguf\s+98 MB.*Models take 98 MB of the .* that this page may use/s,
  );
  const requests = [];
  page.on('request', (request) => request.url().endsWith('.gguf') && requests.push(request.url()));
  await stored.getByRole('button', { name: 'Load SmolLM2' }).click();
  await view('chat');
  assert.deepEqual(requests, []);

  await pressInHead(page, 'change-model');
  await stored.getByRole('button', { name: 'Delete SmolLM2' }).click();
  await stored.waitFor({ state: 'hidden' });
  assert.equal(await page.evaluate(() => document.activeElement.id), 'load-default');
  await page.reload();
  await view('picker');
  assert.equal(await stored.isVisible(), false);
  assert.deepEqual(problems, []);
});

test('hostile answers become harmless text, however they are written', { timeout }, async (t) => {
  const address = await openFake(t);
  const hear = async (text) => {
    await page.goto('about:blank'); // otherwise only the fragment would change
    await page.goto(`${address}#${new URLSearchParams({ say: text })}`);
    await loadDefault();
    await ask('Go on.');
    await lastTurn('answered');
  };
  await hear(HOSTILE.join('\n\n'));
  const elements = await page.$$eval('.answer *', (all) =>
    all.map(({ localName, attributes }) => [localName, ...[...attributes].map(({ name, value }) => [name, value])]),
  );
  const names = 'p br h3 ul ol li div span button pre code table thead tbody tr th td blockquote strong em a'.split(
    ' ',
  );
  const harmless = ['dir', 'scope', 'start', 'class', 'rel', 'target', 'tabindex', 'type', 'aria-label'];
  assert.ok(elements.length > HOSTILE.length);
  for (const [element, ...attributes] of elements) {
    assert.ok(names.includes(element), `<${element}>`);
    for (const [name, value] of attributes) {
      const allowed = name === 'href' ? /^(https?|mailto):/.test(value) : harmless.includes(name);
      assert.ok(allowed, `<${element} ${name}="${value}">`);
    }
  }
  assert.deepEqual(await page.evaluate(() => Object.keys(window).filter((name) => name.startsWith('pwned'))), []);

  const table = `|a|\n|-|\n${'|<img_src=x>|\n'.repeat(300)}`;
  for (const text of [table, ...DEEP]) {
    await hear(text);
    assert.ok((await answer()).length > 2000);
  }
  assert.deepEqual(problems, []);
});

test('what is fetched before the first click is small', async () => {
  const html = await readFile(inRoot('www/dist/index.html'), 'utf8');
  const files = [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.(?:js|css))"/g)].map(([, file]) => file);
  assert.ok(files.length >= 2, html);
  const sizes = await Promise.all(
    files.map(async (file) => gzipSync(await readFile(inRoot(`www/dist/${file}`))).length),
  );
  const total = sizes.reduce((sum, size) => sum + size);
  assert.ok(total < 250_000, `${total} bytes gzipped: ${files}`);
});

test('the licences of everything that is bundled lie beside it', async () => {
  const notices = await readFile(inRoot('www/dist/THIRD-PARTY-NOTICES.md'), 'utf8');
  for (const part of [
    /^# lit [\d.]+$/m,
    /^# lit-html [\d.]+$/m,
    /^# @lezer\/markdown [\d.]+$/m,
    /^# katex [\d.]+$/m,
    /^# pdfjs-dist [\d.]+$/m,
    /^# weft-llm [\d.]+$/m,
    /^- wgpu [\d.]+: MIT OR/m,
  ]) {
    assert.match(notices, part);
  }
});
