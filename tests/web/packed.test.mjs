// The packed package in real browsers with a real model, as an installed app gets it.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { APP, prepareApp } from './app.mjs';
import { browsers } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';

const MODEL = '/models/SmolLM2-135M-Instruct.Q4_1.gguf';
const GERMANY = 'What is the capital of Germany?';
const MINUTE = 60_000;

let packed, golden;
/** Servers of the same files in different ways, by name. */
const servers = {};

const WORKER = '/node_modules/weft-llm/dist/weft-worker.js';

/** Changes to the worker's script, by server. */
const workers = {
  isolated: (script) => script,
  /** Without the headers that threads need. */
  open: (script) => script,
  /** As in a browser without relaxed SIMD. */
  old: (script) => `WebAssembly.validate = () => false; ${script}`,
  /** Threads cannot start. */
  threadless: (script) => `if (name === 'weft-thread') throw new Error('no thread starts here'); ${script}`,
  /** Every thread crashes as soon as it joins. */
  crashing: (script) => {
    const crash = "(() => { throw new WebAssembly.RuntimeError('unreachable executed'); })()";
    const crashing = script.replaceAll(/\w+\.join_pool\(\)/g, crash);
    assert.notEqual(crashing, script);
    return crashing;
  },
};

before(async () => {
  golden = JSON.parse(await readFile(inRoot('tests/golden/smollm2-135m-q4_1/figures.json'), 'utf8'));
  packed = await installPacked();
  const mounts = { '/node_modules/': join(packed.folder, 'node_modules'), '/models/': inRoot('models') };
  const script = await readFile(join(packed.folder, WORKER), 'utf8');
  for (const [name, changed] of Object.entries(workers)) {
    servers[name] = await serve(mounts, { isolated: name !== 'open', handle: pages(changed(script)) });
  }
});

after(async () => {
  for (const server of Object.values(servers)) await server.close();
  await packed?.remove();
});

/** An empty page, a web page in place of a model, and the worker's script. */
const pages = (script) => (request, response) => {
  const answer = (type, text) => {
    response.setHeader('Content-Type', type);
    response.end(text);
    return true;
  };
  if (request.url === '/' || request.url === '/missing.gguf.html') return answer('text/html', APP);
  return request.url === WORKER && answer('text/javascript', script);
};

/** Runs `work(page)` in a page with `weft` (the package) and a few helpers as globals. */
async function inBrowser(name, work, { server = 'isolated', expectComplaints = false } = {}) {
  const browser = await browsers[name]();
  try {
    const page = await browser.newPage();
    const complaints = [];
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    await page.goto(servers[server].url);
    await prepareApp(page);
    await work(page);
    if (!expectComplaints) assert.deepEqual(complaints, []);
  } finally {
    await browser.close();
  }
}

/** Loads the model as `llm` in the page. Playwright passes only one argument. */
const load = (page, device, options = {}) =>
  page.evaluate(
    async ({ model, device, options }) => {
      const progress = [];
      globalThis.llm = await weft.load({
        model,
        device,
        contextLength: 1024,
        onProgress: (event) => progress.push(event),
        ...options,
        ...(options.builds && { builds: allBuilds() }),
      });
      return { info: llm.info, progress };
    },
    { model: MODEL, device, options },
  );

const chat = (page, content, options) =>
  page.evaluate(({ content, options }) => collect(llm.chat([{ role: 'user', content }], options)), {
    content,
    options,
  });

/**
 * If the best two logits are closer, either token is accepted: the CPU engine's activations have 8
 * bits.
 */
const CLOSE_CALL = { cpu: 0.8, gpu: 0.05 };

/**
 * Checks each step of a greedy answer, behind the golden tokens before it, but for steps where two
 * tokens were nearly equal.
 */
async function agreesWithGolden(page, { prompt, prompt_ids, new_ids, top1_minus_top2 }, mostSteps = Infinity) {
  const { usage } = await chat(page, prompt, { maxTokens: 1 });
  assert.equal(usage.promptTokens, prompt_ids.length);
  const kind = await page.evaluate(() => llm.info.engine.kind);
  const sure = new_ids.map((_, step) => step).filter((step) => top1_minus_top2[step] >= CLOSE_CALL[kind]);
  const steps = sure.slice(0, mostSteps);
  const contexts = steps.map((step) => [...prompt_ids, ...new_ids.slice(0, step)]);
  const drawn = await page.evaluate(async (contexts) => {
    const drawn = [];
    for (const context of contexts) {
      drawn.push((await collect(llm.generate(context, { temperature: 0, maxTokens: 1 }))).ids);
    }
    return drawn;
  }, contexts);
  const expected = steps.map((step) => (new_ids[step] === END ? [] : [new_ids[step]]));
  assert.deepEqual(drawn, expected);
}

/** `<|im_end|>`, which ends an answer and is not part of it. */
const END = 2;

test('the tarball holds the licences of everything in it', async () => {
  const folder = join(packed.folder, 'node_modules/weft-llm');
  assert.match(await readFile(join(folder, 'LICENSE-APACHE'), 'utf8'), /Apache License/);
  assert.match(await readFile(join(folder, 'LICENSE-MIT'), 'utf8'), /MIT License/);
  assert.match(await readFile(join(folder, 'THIRD-PARTY-NOTICES.md'), 'utf8'), /tokenizers/);
});

test('chromium, CPU engine: answers, streams, stops, samples', { timeout: 10 * MINUTE }, () =>
  inBrowser('chromium', async (page) => {
    const { info, progress } = await load(page, 'auto');
    assert.equal(info.engine.kind, 'cpu');
    assert.match(info.engine.reason, /software/);
    assert.equal(info.vocabularySize, 49152);
    const phases = progress.map(({ phase }) => phase);
    assert.equal(phases[0], 'start');
    assert.equal(phases.at(-1), 'prepare');
    assert.equal(progress.at(-1).loaded, 98_362_432);
    assert.equal(progress.at(-1).total, 98_362_432);

    for (const golden_ of golden.greedy) await agreesWithGolden(page, golden_);

    const answer = await chat(page, GERMANY, { temperature: 0 });
    assert.match(answer.text, /Berlin/);
    assert.equal(answer.reason, 'stop');
    assert.ok(answer.pieces > 5, 'the answer is streamed');

    const again = await chat(page, GERMANY, { temperature: 0 });
    assert.equal(again.text, answer.text);
    assert.equal(again.usage.cachedTokens, again.usage.promptTokens - 1, 'the prompt is still in the KV cache');

    const stopped = await chat(page, GERMANY, { temperature: 0, stop: [' of Germany'] });
    assert.equal(stopped.text, 'The capital');
    assert.equal(stopped.reason, 'stop');

    const seeded = [1, 1, 2].map((seed) => chat(page, 'Tell me a story.', { temperature: 1.5, seed, maxTokens: 12 }));
    const [first, same, other] = await Promise.all(seeded);
    assert.deepEqual(first.ids, same.ids);
    assert.notDeepEqual(first.ids, other.ids);
    assert.equal(first.reason, 'length');

    const text = 'Zwölf Boxkämpfer 🥊 jagen Viktor <|im_end|>.\n\n';
    const roundTrip = await page.evaluate(async (text) => {
      const ids = await llm.tokenize(text);
      const special = await llm.tokenize('<|im_end|>', { parseSpecial: true });
      return { ids, special, text: await llm.detokenize(ids) };
    }, text);
    assert.equal(roundTrip.text, text);
    assert.deepEqual(roundTrip.special, [END]);
    assert.ok(!roundTrip.ids.includes(END), 'special tokens in a text are plain text');
  }),
);

test('chromium, CPU engine: break and AbortSignal stop at once, the model stays usable', { timeout: 5 * MINUTE }, () =>
  inBrowser('chromium', async (page) => {
    await load(page, 'cpu');
    const result = await page.evaluate(async () => {
      const long = () => [{ role: 'user', content: 'Write a very long story about the sea.' }];
      let pieces = 0;
      for await (const _ of llm.chat(long())) if (++pieces === 5) break;

      const controller = new AbortController();
      const aborted = { pieces: 0 };
      for await (const piece of llm.chat(long(), { signal: controller.signal })) {
        if (++aborted.pieces === 5) controller.abort();
        aborted.finish = piece.finish;
      }
      const before = await collect(llm.generate('Once', { signal: AbortSignal.abort() }));

      // One waits while another runs, and is aborted meanwhile.
      const waiting = new AbortController();
      const running = collect(llm.generate('One, two, three,', { temperature: 0, maxTokens: 8 }));
      const queued = collect(llm.generate('Never', { signal: waiting.signal }));
      waiting.abort();
      return { pieces, aborted, before, queued: await queued, running: await running };
    });
    assert.equal(result.pieces, 5);
    assert.equal(result.aborted.finish.reason, 'abort');
    assert.equal(result.aborted.pieces, 6, 'nothing but the end comes after an abort');
    assert.equal(result.before.reason, 'abort');
    assert.deepEqual(result.before.ids, []);
    assert.equal(result.queued.reason, 'abort');
    assert.equal(result.running.ids.length, 8);
    assert.match((await chat(page, GERMANY, { temperature: 0 })).text, /Berlin/);

    const disposed = await page.evaluate(async () => {
      let last;
      for await (const piece of llm.generate('One, two, three,', { temperature: 0 })) {
        if (!last) llm.dispose();
        last = piece;
      }
      llm.dispose();
      return { last, later: await failure(() => collect(llm.generate('More'))) };
    });
    assert.equal(disposed.last.finish.reason, 'abort');
    assert.equal(disposed.later.code, 'DISPOSED');
  }),
);

test('chromium: each bad input has its error, and the model stays usable', { timeout: 5 * MINUTE }, () =>
  inBrowser('chromium', async (page) => {
    const errors = await page.evaluate(async (model) => {
      const whole = await (await fetch(model)).blob();
      const header = new Uint8Array(await whole.slice(0, 64).arrayBuffer());
      const patched = (at, bytes) => {
        const copy = header.slice();
        copy.set(bytes, at);
        return new Blob([copy, whole.slice(64)]);
      };
      const load = (options) => failure(() => weft.load({ device: 'cpu', ...options }));
      const controller = new AbortController();
      const aborting = load({
        model,
        signal: controller.signal,
        onProgress: ({ phase }) => phase === 'download' && controller.abort(),
      });
      return {
        'no file': await load({ model: '/models/no-such-model.gguf' }),
        'no server': await load({ model: 'http://127.0.0.1:1/model.gguf' }),
        'a web page': await load({ model: '/missing.gguf.html' }),
        'random bytes': await load({ model: new Blob([crypto.getRandomValues(new Uint8Array(5000))]) }),
        nothing: await load({ model: new Blob([]) }),
        'cut in the header': await load({ model: whole.slice(0, 100_000) }),
        'cut in the weights': await load({ model: whole.slice(0, 50_000_000) }),
        'wrong version': await load({ model: patched(4, [77]) }),
        'absurd tensor count': await load({ model: patched(8, [255, 255, 255, 255, 255, 255, 255, 127]) }),
        'something appended': await load({ model: [whole, new Blob(['more weights, perhaps?'.repeat(9)])] }),
        'context too long': await load({ model, contextLength: 1_000_000 }),
        'device unknown': await load({ model, device: 'tpu' }),
        'model of a wrong type': await load({ model: 42 }),
        aborted: await aborting,
      };
    }, MODEL);
    const codes = Object.fromEntries(Object.entries(errors).map(([what, error]) => [what, error?.code ?? error?.name]));
    for (const [what, error] of Object.entries(errors)) console.log(`  ${what}: ${error?.code}: ${error?.message}`);
    assert.deepEqual(codes, {
      'no file': 'NETWORK',
      'no server': 'NETWORK',
      'a web page': 'INVALID_FILE',
      'random bytes': 'INVALID_FILE',
      nothing: 'TRUNCATED_FILE',
      'cut in the header': 'TRUNCATED_FILE',
      'cut in the weights': 'TRUNCATED_FILE',
      'wrong version': 'UNSUPPORTED_MODEL',
      'absurd tensor count': 'INVALID_FILE',
      'something appended': 'INVALID_FILE',
      'context too long': 'INVALID_OPTION',
      'device unknown': 'INVALID_OPTION',
      'model of a wrong type': 'INVALID_OPTION',
      aborted: 20, // DOMException.ABORT_ERR: the signal's own reason
    });

    await page.evaluate(async (model) => {
      globalThis.llm = await weft.load({ model, device: 'cpu', contextLength: 64 });
    }, MODEL);
    const overflow = await page.evaluate(() => failure(() => collect(llm.generate('word '.repeat(100)))));
    assert.equal(overflow.code, 'CONTEXT_OVERFLOW');
    const full = await page.evaluate(() => collect(llm.generate('One, two, three,', { temperature: 0 })));
    assert.equal(full.reason, 'length');
    assert.equal(full.usage.promptTokens + full.usage.completionTokens, 64);
  }),
);

test('chromium, GPU engine on SwiftShader: the golden answers, in little memory', { timeout: 20 * MINUTE }, () =>
  inBrowser('chromium', async (page) => {
    const { info } = await load(page, 'gpu');
    assert.equal(info.engine.kind, 'gpu');
    // every candidate was tried, including those with subgroups, and none was wrong
    const { notes } = info.engine;
    assert.ok(notes.includes('beyond the core of WebGPU: subgroups, products of packed bytes'), notes.join('\n'));
    assert.ok(!notes.some((note) => note.includes('is not used')), notes.join('\n'));
    console.log(`  wasm memory after loading: ${(info.engine.wasmMemoryBytes / 2 ** 20).toFixed(1)} MiB`);
    assert.ok(info.engine.wasmMemoryBytes <= 64 * 2 ** 20);
    for (const golden_ of golden.greedy) await agreesWithGolden(page, golden_);
  }),
);

/**
 * A build, the server and number of threads for which it is chosen, and whether the app ships all
 * builds.
 */
const builds = [
  ['weft', 'old', 1, false],
  ['weft', 'old', 2, false],
  ['weft-relaxed', 'open', 2, true],
  ['weft-threads', 'old', 2, true],
  ['weft-relaxed-threads', 'isolated', 2, false],
  ['weft-relaxed-threads', 'open', 2, false],
];
for (const [build, server, threads, all] of builds) {
  const title = `chromium, ${build} of ${all ? 'all builds' : 'two'} on a page that is ${server}: only it is fetched, and gives the golden answer with ${threads} threads`;
  test(title, { timeout: 5 * MINUTE }, () =>
    inBrowser(
      'chromium',
      async (page) => {
        const fetched = [];
        page.on('request', (request) => request.url().endsWith('.wasm.gz') && fetched.push(request.url()));
        const { engine } = (await load(page, 'cpu', { threads, ...(all && { builds: true }) })).info;
        assert.equal(engine.build, build);
        assert.equal(engine.threads, build.endsWith('-threads') && server !== 'open' ? 2 : 1);
        assert.equal(/ships no build with threads/.test(engine.reason), build === 'weft' && threads === 2);
        assert.equal(/cross-origin isolated/.test(engine.reason), server === 'open');
        assert.deepEqual(
          fetched.map((url) => url.split('/').at(-1)),
          [`${build}.wasm.gz`],
        );
        await agreesWithGolden(page, golden.greedy[2]);
      },
      { server },
    ),
  );
}

test(
  'chromium: the model runs without threads that do not start, and dispose ends all threads',
  { timeout: 5 * MINUTE },
  async () => {
    await inBrowser(
      'chromium',
      async (page) => {
        assert.equal((await load(page, 'cpu', { threads: 3 })).info.engine.threads, 1);
        await agreesWithGolden(page, golden.greedy[2]);
      },
      { server: 'threadless', expectComplaints: true },
    );
    await inBrowser('chromium', async (page) => {
      await load(page, 'cpu', { threads: 3 });
      const workers = page.workers();
      assert.equal(workers.length, 3);
      const closed = workers.map((worker) => new Promise((resolve) => worker.on('close', resolve)));
      await page.evaluate(() => llm.dispose());
      await Promise.all(closed);
    });
  },
);

test('chromium: a thread that crashes ends the model with CRASHED', { timeout: 5 * MINUTE }, () =>
  inBrowser(
    'chromium',
    async (page) => {
      const error = await page.evaluate(
        (model) => failure(() => weft.load({ model, device: 'cpu', threads: 2 })),
        MODEL,
      );
      assert.equal(error.code, 'CRASHED');
      assert.match(error.message, /unreachable executed/);
    },
    { server: 'crashing' },
  ),
);

for (const server of ['isolated', 'open']) {
  test(`firefox, ${server}: the golden answer, with threads if isolated`, { timeout: 5 * MINUTE }, () =>
    inBrowser(
      'firefox',
      async (page) => {
        const { engine } = (await load(page, 'cpu', { threads: 2 })).info;
        assert.equal(engine.build, 'weft-relaxed-threads');
        assert.equal(engine.threads, server === 'isolated' ? 2 : 1);
        await agreesWithGolden(page, golden.greedy[2]);
      },
      { server },
    ),
  );
}

test('chromium, GPU engine in a threaded build: the golden answer, without threads', { timeout: 10 * MINUTE }, () =>
  inBrowser('chromium', async (page) => {
    const { engine } = (await load(page, 'gpu')).info;
    assert.deepEqual([engine.build, engine.threads], ['weft-relaxed-threads', 1]);
    await agreesWithGolden(page, golden.greedy[0], 4);
  }),
);

test('firefox, GPU engine on its own WebGPU: the golden answer', { timeout: 20 * MINUTE }, () =>
  inBrowser('firefox', async (page) => {
    const { info } = await load(page, 'gpu');
    assert.equal(info.engine.kind, 'gpu');
    await agreesWithGolden(page, golden.greedy[0]);
  }),
);

test('firefox, CPU engine: the golden answers', { timeout: 10 * MINUTE }, () =>
  inBrowser('firefox', async (page) => {
    await load(page, 'cpu');
    for (const golden_ of golden.greedy) await agreesWithGolden(page, golden_);
  }),
);
