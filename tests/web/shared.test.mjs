// One model in several tabs, in real browsers. The model is tiny, and the server counts requests to
// show what is shared. A name with arrows is a row of docs/RELIABILITY.md: fault → what the user
// sees → what is kept.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inRoot } from '../../scripts/lib/run.mjs';
import { APP, prepareApp } from './app.mjs';
import { launchChromium, launchFirefox } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';
import { tinyModel } from './tiny.mjs';

const timeout = 300_000;
const WORKER = '/node_modules/weft-llm/dist/weft-worker.js';
/** An answer that fills this context lasts longer than any test. */
const CONTEXT = 1 << 15;
const content = tinyModel({ context: CONTEXT });
const GREEDY = { temperature: 0, maxTokens: 24 };
/** Lets a test end the worker without warning, or make it fail outside of a call. */
const FAULTY = `import '${WORKER}?real';
new BroadcastChannel('end').onmessage = ({ data }) => {
  if (data === 'close') self.close();
  else setTimeout(() => { throw new WebAssembly.RuntimeError('unreachable executed'); });
};`;

let packed, server, browser, faultyGpu;
/**
 * State of the server: requests for models so far, open ones, and a replacement for the shared
 * worker.
 */
let state;

before(async () => {
  packed = await installPacked();
  faultyGpu = await readFile(inRoot('tests/web/faulty-gpu.js'));
  const folder = join(packed.folder, 'node_modules');
  server = await serve({ '/node_modules/': folder, '/other/': folder }, { handle });
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

function handle(request, response) {
  const send = (type, body, status = 200) => {
    response.writeHead(status, { 'Content-Type': type }).end(body);
    return true;
  };
  const { pathname } = new URL(request.url, server.url);
  if (pathname === '/') return send('text/html', APP);
  if (pathname === '/faulty-gpu.js') return send('text/javascript', faultyGpu);
  const isShared = request.headers['sec-fetch-dest'] === 'sharedworker';
  if (request.url === WORKER && isShared && state.worker !== undefined) {
    return state.worker === null ? send('text/plain', 'gone', 404) : send('text/javascript', state.worker);
  }
  if (!pathname.endsWith('.gguf')) return false;
  state.requests += 1;
  state.open += 1;
  response.on('close', () => (state.open -= 1));
  if (pathname === '/absent.gguf') return send('text/plain', 'no', 404);
  if (pathname === '/endless.gguf') {
    response.writeHead(200, { 'Content-Length': content.length });
    response.write(content.subarray(0, 4096));
    return true;
  }
  return send('application/octet-stream', content);
}

/** `open()` opens a tab of one profile; `t` closes it. */
function profile(t, host = browser) {
  state = { requests: 0, open: 0, worker: undefined };
  // Playwright and Puppeteer use different names.
  const made = host.newContext?.() ?? host.createBrowserContext();
  t.after(async () => (await made).close());
  return async () => {
    const page = await (await made).newPage();
    await page.goto(server.url);
    await prepareApp(page);
    await page.evaluate((contextLength) => {
      const defaults = { model: '/tiny.gguf', device: 'cpu', contextLength, shared: true };
      globalThis.load = async (options) => (globalThis.llm = await weft.load({ ...defaults, ...options })).info;
    }, CONTEXT);
    return page;
  };
}

const load = (page, options = {}) => page.evaluate((options) => load(options), options);
const generate = (page, options = GREEDY, prompt = 'a word') =>
  page.evaluate(({ prompt, options }) => collect(llm.generate(prompt, options)), { prompt, options });
const failure = (page, options = {}) => page.evaluate((options) => failure(() => load(options)), options);
const answerOf = ({ text, ids, reason }) => ({ text, ids, reason });
const dispose = (page) => page.evaluate(() => llm.dispose());

/** Starts an endless answer, as `answer`. */
const begin = (page) =>
  page.evaluate(async () => {
    const pieces = llm.generate('on and on', { temperature: 0 })[Symbol.asyncIterator]();
    await pieces.next();
    globalThis.answer = collect({ [Symbol.asyncIterator]: () => pieces });
    globalThis.answer.catch(() => undefined);
  });

/** Running shared workers of the browser. */
async function workers() {
  const session = await browser.newBrowserCDPSession();
  const { targetInfos } = await session.send('Target.getTargets');
  await session.detach();
  return targetInfos.filter(({ type }) => type === 'shared_worker').length;
}

async function workersEnd() {
  while ((await workers()) > 0) await sleep(20);
}

/**
 * Checks that tabs that load at the same time, and a later one, share one model with the same info
 * as a tab's own.
 */
async function sharesOne(open, device) {
  const pages = [await open(), await open()];
  const infos = await Promise.all(pages.map((page) => load(page, { device, store: false })));
  assert.equal(state.requests, 1, 'the model is fetched once');
  assert.deepEqual(infos[0], infos[1]);
  assert.deepEqual([infos[0].shared, infos[0].notShared, infos[0].engine.kind], [true, null, device]);
  assert.equal((await load(await open(), { device, store: false })).shared, true);
  assert.equal(state.requests, 1, 'nor does one that comes later');

  const alone = await open();
  const { shared, notShared, engine } = await load(alone, { device, shared: false, store: false, threads: 1 });
  assert.deepEqual([shared, notShared, engine.build], [false, null, infos[0].engine.build]);
  const expected = answerOf(await generate(alone));
  assert.equal(expected.ids.length, GREEDY.maxTokens);
  const answers = await Promise.all(pages.map((page) => generate(page)));
  assert.deepEqual(answers.map(answerOf), [expected, expected]);
  return infos[0];
}

test('chromium: tabs share one model, with the answers of a model of their own', { timeout }, async (t) => {
  const open = profile(t);
  const { engine } = await sharesOne(open, 'cpu');
  assert.equal(engine.threads, 1);
  assert.match(engine.reason, /one thread.*without `shared`/);
  assert.equal(await workers(), 1);
  // Options that affect the model have separate workers.
  const other = await open();
  assert.equal((await load(other, { contextLength: 64, store: false })).contextLength, 64);
  assert.equal(await workers(), 2);
});

test('chromium: tabs share the GPU, and every tab recovers from a lost one', { timeout }, async (t) => {
  const open = profile(t);
  state.worker = `import '/faulty-gpu.js'; import '${WORKER}?real';`;
  await sharesOne(open, 'gpu');
  const [first, second] = [await open(), await open()];
  for (const page of [first, second]) await load(page, { device: 'gpu', store: false });
  const expected = answerOf(await generate(first));
  await generate(first, { maxTokens: 1 }, 'x');
  await first.evaluate(async () => {
    const channel = new BroadcastChannel('faults');
    const armed = new Promise((resolve) => (channel.onmessage = resolve));
    channel.postMessage({ readback: 5, times: 1 });
    await armed;
  });
  assert.deepEqual(answerOf(await generate(first)), expected);
  for (const page of [first, second]) assert.equal(await page.evaluate(() => llm.info.engine.deviceLosses), 1);
});

test('firefox: tabs share one model', { timeout }, async (t) => {
  const firefox = await launchFirefox();
  t.after(() => firefox.close());
  await sharesOne(profile(t, firefox), 'cpu');
});

for (const [kind, what, broken] of [
  ['opfs', 'in files', ''],
  ['cache', 'in the Cache API where files cannot be written', 'FileSystemFileHandle.prototype.createWritable'],
  [
    'none',
    'nowhere where nothing works, and says so',
    'StorageManager.prototype.getDirectory = CacheStorage.prototype.open',
  ],
]) {
  test(`a shared worker stores what it fetches ${what}`, { timeout }, async (t) => {
    const page = await profile(t)();
    const refuse = broken && `${broken} = () => Promise.reject(new DOMException('no', 'SecurityError'));`;
    state.worker = `import '${WORKER}?real'; ${refuse}`;
    const { download } = await load(page);
    assert.deepEqual([download.storage, download.notes.length], [kind, kind === 'none' ? 1 : 0]);
    await dispose(page);
    await workersEnd();
    const { shared, download: again } = await load(page);
    assert.deepEqual([shared, again.fromStoreBytes], [true, kind === 'none' ? 0 : content.length]);
  });
}

test('pages with the package from two URLs share by URL, and none waits for another', { timeout }, async (t) => {
  const open = profile(t);
  const pages = [];
  for (const place of ['node_modules', 'other', 'other', 'node_modules', 'other']) {
    const page = await open();
    await page.evaluate(async (place) => (globalThis.weft = await import(`/${place}/weft-llm/dist/index.js`)), place);
    assert.equal((await load(page, { store: false })).shared, true);
    pages.push(page);
  }
  assert.equal(state.requests, 2);
  await Promise.all(pages.map((page) => generate(page)));
});

test('tabs run at once, and one that stops disturbs no other', { timeout }, async (t) => {
  const open = profile(t);
  const [busy, other] = [await open(), await open()];
  for (const page of [busy, other]) await load(page);
  await busy.evaluate(() => {
    globalThis.controller = new AbortController();
    const options = { temperature: 0, signal: controller.signal };
    globalThis.all = Array.from({ length: 20 }, (_, index) => collect(llm.generate(`number ${index}`, options)));
  });
  const short = await generate(other);
  assert.equal(short.reason, 'length', 'beside twenty answers without end');
  const reasons = await busy.evaluate(() =>
    (controller.abort(), Promise.all(all)).then((all) => all.map((a) => a.reason)),
  );
  assert.deepEqual(reasons, Array(20).fill('abort'));

  await begin(busy);
  const given = await other.evaluate(async () => {
    const controller = new AbortController();
    const answer = collect(llm.generate('on and on', { temperature: 0, signal: controller.signal }));
    setTimeout(() => controller.abort(), 50);
    return answer;
  });
  assert.equal(given.reason, 'abort');
  const beside = await generate(other);
  assert.deepEqual(answerOf(beside), answerOf(short));
  await dispose(busy);
  assert.deepEqual(answerOf(await generate(other)), answerOf(short));
});

for (const [what, end] of [
  ['is closed', (page) => page.close()],
  ['crashes', (page) => Promise.all([page.waitForEvent('crash'), page.goto('chrome://crash').catch(() => {})])],
]) {
  test(
    `a tab ${what} during its answer → nothing in the others → the model, which goes on with their calls`,
    { timeout },
    async (t) => {
      const open = profile(t);
      const [ending, other] = [await open(), await open()];
      for (const page of [ending, other]) await load(page);
      await begin(ending);
      const waiting = generate(other);
      await end(ending);
      assert.equal((await waiting).reason, 'length');
      assert.equal(state.requests, 1);
    },
  );
}

test('dispose in one tab keeps the others; in the last it ends the worker', { timeout }, async (t) => {
  const open = profile(t);
  const [first, second] = [await open(), await open()];
  for (const page of [first, second]) await load(page);
  await begin(first);
  await dispose(first);
  assert.equal((await first.evaluate(() => answer)).reason, 'abort');
  assert.equal((await generate(second)).reason, 'length');
  assert.equal(await workers(), 1);
  await dispose(second);
  await workersEnd();
});

test('repeated and simultaneous load and dispose end all workers', { timeout }, async (t) => {
  const open = profile(t);
  const pages = [await open(), await open()];
  const cycles = (page) =>
    page.evaluate(async () => {
      for (let cycle = 0; cycle < 15; cycle += 1) {
        const { shared } = await load({ contextLength: 64 });
        if (!shared) throw new Error('not shared');
        await collect(llm.generate('x', { maxTokens: 1 }));
        llm.dispose();
      }
    });
  await Promise.all(pages.map(cycles));
  await workersEnd();
});

test('a load aborted in one tab goes on for another; without any its requests end', { timeout }, async (t) => {
  const open = profile(t);
  const [first, second] = [await open(), await open()];
  const start = (page) =>
    page.evaluate(async () => {
      globalThis.controller = new AbortController();
      await new Promise((resolve) => {
        const onProgress = ({ phase }) => phase === 'download' && resolve();
        const options = { model: '/endless.gguf', store: false, signal: controller.signal, onProgress };
        globalThis.outcome = load(options).then(
          () => 'loaded',
          ({ name }) => name,
        );
      });
    });
  const giveUp = (page) => page.evaluate(() => (controller.abort(), outcome));
  await start(first);
  await start(second);
  assert.equal(state.requests, 1);
  assert.equal(await giveUp(first), 'AbortError');
  await sleep(200);
  assert.deepEqual([state.open, await workers()], [1, 1]);
  assert.equal(await giveUp(second), 'AbortError');
  await workersEnd();
  while (state.open > 0) await sleep(10);
});

test('a failed load fails in all waiting tabs, and the next one works', { timeout }, async (t) => {
  const open = profile(t);
  const pages = [await open(), await open()];
  const errors = await Promise.all(pages.map((page) => failure(page, { model: '/absent.gguf', contextLength: 64 })));
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['NETWORK', 'NETWORK'],
  );
  await workersEnd();
  assert.equal((await load(pages[0])).shared, true);
});

for (const [what, message, sentence] of [
  ['ends without a word', 'close', /the shared worker ended/],
  ['crashes', 'throw', /crashed: .*unreachable executed/s],
]) {
  test(
    `the shared worker ${what} → \`CRASHED\` in every tab, also in one that asks later → what is stored; the next load works`,
    { timeout },
    async (t) => {
      const open = profile(t);
      state.worker = FAULTY;
      const [first, second] = [await open(), await open()];
      for (const page of [first, second]) await load(page);
      await begin(first);
      await first.evaluate((message) => new BroadcastChannel('end').postMessage(message), message);
      const ended = await first.evaluate(() => failure(() => answer));
      assert.equal(ended.code, 'CRASHED');
      assert.match(ended.message, sentence);
      await sleep(100);
      const later = await second.evaluate(() => failure(() => llm.tokenize('later')));
      assert.deepEqual(later, ended);
      const { shared, download } = await load(second);
      assert.deepEqual([shared, download.fetchedBytes], [true, 0]);
      assert.equal((await generate(second)).reason, 'length');
    },
  );
}

for (const [what, sentence, prepare] of [
  [
    'has none',
    /own: this browser has no shared workers/,
    (page) => page.evaluate(() => delete globalThis.SharedWorker),
  ],
  ['cannot start it', /own: the worker did not start/, () => (state.worker = null)],
]) {
  test(
    `a browser ${what} where a shared worker is asked for → \`info.notShared\` says so → the model, in a worker of the tab`,
    { timeout },
    async (t) => {
      const page = await profile(t)();
      await prepare(page);
      const { shared, notShared } = await load(page);
      assert.equal(shared, false);
      assert.match(notShared, sentence);
      assert.equal((await generate(page)).reason, 'length');
      assert.equal(await workers(), 0);
    },
  );
}
