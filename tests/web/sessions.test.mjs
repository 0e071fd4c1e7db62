// Sessions of the packed package with a real model: what is computed for a turn, a fork, and after
// a page was closed; and the Prompt API on top.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { prepareApp, serveApp } from './app.mjs';
import { browsers } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { tinyModel } from './tiny.mjs';

const MODEL = '/models/SmolLM2-135M-Instruct.Q4_1.gguf';
const timeout = 5 * 60_000;

let packed, server, browser, context, page;

before(async () => {
  packed = await installPacked();
  const endless = tinyModel({ endless: true });
  server = await serveApp(packed, { files: { '/tiny.gguf': tinyModel(), '/endless.gguf': endless } });
  browser = await browsers.chromium();
  context = await browser.newContext();
  page = await open({ contextLength: 512 });
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

/** Opens a page with the model as `llm`, on the CPU. */
async function open(options) {
  const page = await context.newPage();
  await page.goto(server.url);
  await prepareApp(page);
  await page.evaluate(
    async ({ model, options }) => {
      globalThis.llm = await weft.load({ model, device: 'cpu', ...options });
      globalThis.greedy = { temperature: 0, maxTokens: 16 };
      globalThis.begin = (options) =>
        llm.session({
          messages: [{ role: 'system', content: 'Answer in one short sentence.' }],
          ...greedy,
          ...options,
        });
      globalThis.say = (session, turn, options) => collect(session.send(turn, options));
    },
    { model: MODEL, options },
  );
  return page;
}

test('a second turn computes new tokens alone, and answers like the whole conversation', { timeout }, async () => {
  const { first, second, whole } = await page.evaluate(async () => {
    const session = begin();
    const first = await say(session, 'What is the capital of Japan?');
    const second = await say(session, 'And of Germany?');
    const conversation = session.messages.slice(0, -1);
    await collect(llm.generate('something else'));
    const whole = await collect(llm.chat(conversation, greedy));
    return { first, second, whole };
  });
  assert.match(first.text, /Tokyo/);
  assert.match(second.text, /Berlin/);
  assert.equal(second.usage.cachedTokens, first.usage.promptTokens + first.usage.completionTokens);
  assert.ok(second.usage.promptTokens - second.usage.cachedTokens < 20);
  // what came in between has a sequence of its own
  assert.ok(whole.usage.cachedTokens >= second.usage.cachedTokens, `${whole.usage.cachedTokens}`);
  assert.equal(second.text, whole.text);
});

test('two sessions at once answer as each alone', { timeout }, async () => {
  const { alone, together, orders } = await page.evaluate(async () => {
    const questions = ['Name three rivers in France.', 'What is the capital of Spain?'];
    const alone = [];
    for (const question of questions) alone.push((await say(begin(), question)).text);
    const together = [];
    const orders = [];
    for (let round = 0; round < 3; round += 1) {
      const order = [];
      const answer = async (question, index) => {
        let text = '';
        for await (const piece of begin().send(question)) {
          if (piece.id !== null) order.push(index);
          text += piece.text;
        }
        return text;
      };
      together.push(await Promise.all(questions.map(answer)));
      orders.push(order);
    }
    return { alone, together, orders };
  });
  for (const texts of together) assert.deepEqual(texts, alone);
  // on a busy machine, the second question may arrive late: the best of three counts
  const inTurns = (order) => order.indexOf(0) < order.lastIndexOf(1) && order.indexOf(1) < order.lastIndexOf(0);
  assert.ok(orders.some(inTurns), `one answer ended before the other began: ${orders.join(' · ')}`);
});

test('a fork answers like its original, and does not compute the common prefix', { timeout }, async () => {
  const { original, fork, common } = await page.evaluate(async () => {
    const session = begin();
    await say(session, 'Name a river in Germany.');
    const common = session.contextUsage;
    const fork = session.fork();
    const original = await say(session, 'Which cities are on it?');
    return { original, fork: await say(fork, 'Which cities are on it?'), common };
  });
  assert.equal(fork.text, original.text);
  assert.ok(fork.usage.cachedTokens >= common, `${fork.usage.cachedTokens} of ${common}`);
});

test(
  'a saved session continues in another page with the same answer, and computes nothing again',
  { timeout },
  async (t) => {
    const { expected, usage, small, ms } = await page.evaluate(async () => {
      const session = begin();
      await say(session, 'Tell me about the moon.', { maxTokens: 60 });
      const begun = performance.now();
      const bytes = await session.save();
      const ms = performance.now() - begun;
      const small = (await session.save({ cache: false })).length;
      const usage = session.contextUsage;
      const expected = await say(session, 'How far away is it?');
      await (await caches.open('saved')).put('/session', new Response(bytes));
      return { expected, usage, small, ms };
    });
    const next = await open({ contextLength: 400 });
    t.after(() => next.close());
    const { restored, size, foreign, damaged } = await next.evaluate(async () => {
      const bytes = new Uint8Array(await (await caches.match('/session')).arrayBuffer());
      const session = await llm.restore(bytes);
      await collect(llm.generate('something else first'));
      const restored = await say(session, 'How far away is it?');
      const changed = bytes.slice();
      changed[bytes.length - 5] ^= 1;
      const other = await weft.load({ model: '/tiny.gguf', device: 'cpu' });
      const foreign = await failure(() => other.restore(bytes));
      other.dispose();
      return { restored, size: bytes.length, foreign, damaged: await failure(() => llm.restore(changed)) };
    });
    t.diagnostic(`${usage} tokens are ${size} bytes, in ${ms.toFixed(0)} ms; ${small} bytes without their cache`);
    assert.deepEqual([restored.text, restored.ids], [expected.text, expected.ids]);
    assert.equal(restored.usage.cachedTokens, usage);
    // 2 · 30 layers · 3 heads · 64 values of 4 bytes
    assert.ok(Math.abs(size - small - usage * 46_080) < 200, `${size} bytes`);
    assert.equal(foreign.code, 'INVALID_SESSION');
    assert.match(foreign.message, /SmolLM2/i);
    assert.equal(damaged.code, 'INVALID_SESSION');
  },
);

test(
  'a second model drafts, of a worker of its own or of several tabs, and may end meanwhile',
  { timeout },
  async () => {
    const page = await context.newPage();
    await page.goto(server.url);
    await prepareApp(page);
    const { plain, drafted, rest } = await page.evaluate(async () => {
      const open = (options) => weft.load({ model: '/endless.gguf', device: 'cpu', ...options });
      const [llm, own, shared] = await Promise.all([open(), open(), open({ shared: true })]);
      const answer = (speculate) => llm.generate('A, B', { temperature: 0, maxTokens: 40, ...speculate });
      const plain = await collect(answer({}));
      const drafted = [];
      for (const draft of [own, shared]) drafted.push(await collect(answer({ speculate: { draft } })));
      const rest = [];
      for await (const piece of answer({ speculate: { draft: own } })) {
        if (rest.push(piece.text) === 3) own.dispose();
      }
      [llm, shared].forEach((model) => model.dispose());
      return { plain, drafted, rest: rest.join('') };
    });
    for (const { text, ids, usage } of drafted) {
      assert.deepEqual([text, ids], [plain.text, plain.ids]);
      assert.ok(usage.draftedTokens > 0 && usage.draftedTokens === usage.acceptedTokens, JSON.stringify(usage));
    }
    assert.equal(rest, plain.text);
    await page.close();
  },
);

test('overflow error: a turn that does not fit fails, and the session goes on', { timeout }, async () => {
  const { refused, after, messages } = await page.evaluate(async () => {
    const session = begin();
    await say(session, 'What is the capital of Japan?');
    const refused = await failure(() => say(session, 'word '.repeat(600)));
    const after = await say(session, 'And of Germany?');
    return { refused, after, messages: session.messages.length };
  });
  assert.equal(refused.code, 'CONTEXT_OVERFLOW');
  assert.match(after.text, /Berlin/);
  assert.equal(messages, 5);
});

test('overflow truncate-oldest-turns: the system message stays when old turns are dropped', { timeout }, async () => {
  const { answers, dropped, messages, usage } = await page.evaluate(async () => {
    const session = begin({ overflow: 'truncate-oldest-turns' });
    const answers = [];
    for (let turn = 0; turn < 5; turn += 1) answers.push(await say(session, `${turn}. ${'word '.repeat(120)}`));
    return { answers, dropped: session.dropped, messages: session.messages.length, usage: session.contextUsage };
  });
  assert.ok(answers.every(({ reason }) => reason !== 'abort'));
  assert.ok(dropped.messages >= 2 && dropped.messages % 2 === 0, JSON.stringify(dropped));
  assert.equal(messages, 11);
  assert.ok(usage <= 512);
  // after turns were dropped, the system message is still in the cache
  const least = Math.min(...answers.slice(1).map(({ usage }) => usage.cachedTokens));
  assert.ok(least >= 8 && least < 40, `${least}`);
});

test('overflow shift: an answer goes on past the end of the context', { timeout }, async () => {
  const small = await open({ contextLength: 96 });
  const { answer, dropped, usage, next } = await small.evaluate(async () => {
    const session = begin({ overflow: 'shift' });
    const answer = await say(session, 'Tell me a long story.', { maxTokens: 120, logitBias: { 0: -100, 2: -100 } });
    const { dropped, contextUsage } = session;
    return { answer, dropped, usage: contextUsage, next: await say(session, 'What is the capital of Germany?') };
  });
  await small.close();
  assert.equal(answer.usage.completionTokens, 120);
  assert.ok(dropped.tokens > 0);
  assert.equal(answer.usage.droppedTokens, dropped.tokens);
  assert.ok(usage <= 96, `${usage}`);
  assert.equal(next.reason === 'abort', false);
  assert.ok(next.usage.promptTokens < 96);
});

test('the Prompt API is installed if there is none, and does what its explainer says', { timeout }, async () => {
  const found = await page.evaluate(async () => {
    const has = 'LanguageModel' in globalThis;
    const { configure, LanguageModel: Own } = await import('/node_modules/weft-llm/dist/prompt-api/index.js');
    const installed = globalThis.LanguageModel === Own;
    const before = await Own.availability();
    configure({ llm });
    const session = await Own.create({
      initialPrompts: [{ role: 'system', content: 'Answer in one short sentence.' }],
      samplingMode: 'most-predictable',
    });
    const begun = session.contextUsage;
    const answer = await session.prompt('What is the capital of Japan?');
    const clone = await session.clone();
    let streamed = '';
    for await (const chunk of session.promptStreaming('And of Germany?')) streamed += chunk;
    const cloned = await clone.prompt('And of Germany?');
    const rating = await clone.prompt('How sure are you?', {
      responseConstraint: {
        type: 'object',
        properties: { rating: { enum: [1, 2, 3] } },
        required: ['rating'],
        additionalProperties: false,
      },
    });
    const matched = await clone.prompt('Yes or no?', { responseConstraint: /^(yes|no)$/ });
    const unsupported = await clone.prompt('a', { responseConstraint: { not: {} } }).catch(({ name }) => name);
    const exceeded = await clone
      .prompt('word '.repeat(600))
      .catch(({ name, requested, quota }) => ({ name, requested, quota }));
    const controller = new AbortController();
    const aborting = clone.prompt('Tell me a story.', { signal: controller.signal }).catch(({ name }) => name);
    controller.abort();
    const aborted = await aborting;
    const measured = await session.measureContextUsage('And of Spain?');
    session.destroy();
    const destroyed = await session.prompt('a').catch(({ name }) => name);
    return {
      has,
      installed,
      before,
      begun,
      answer,
      streamed,
      cloned,
      rating,
      matched,
      unsupported,
      exceeded,
      aborted,
      measured,
      destroyed,
    };
  });
  assert.equal(found.installed, !found.has);
  assert.equal(found.before, 'unavailable');
  assert.ok(found.begun > 8);
  assert.match(found.answer, /Tokyo/);
  assert.match(found.streamed, /Berlin/);
  assert.equal(found.cloned, found.streamed);
  assert.ok([1, 2, 3].includes(JSON.parse(found.rating).rating));
  assert.match(found.matched, /^(yes|no)$/);
  assert.equal(found.unsupported, 'NotSupportedError');
  assert.equal(found.exceeded.name, 'QuotaExceededError');
  assert.equal(found.exceeded.quota, 512);
  assert.ok(found.exceeded.requested > 512);
  assert.equal(found.aborted, 'AbortError');
  assert.ok(found.measured > 3 && found.measured < 20);
  assert.equal(found.destroyed, 'AbortError');
});

test('the Prompt API loads its model with the first session, and reports progress', { timeout }, async (t) => {
  const fresh = await browser.newPage();
  t.after(() => fresh.close());
  await fresh.goto(server.url);
  const found = await fresh.evaluate(async (model) => {
    const { configure, LanguageModel: Own } = await import('/node_modules/weft-llm/dist/prompt-api/index.js');
    configure({ model, device: 'cpu', contextLength: 256, store: false });
    const before = await Own.availability();
    const heard = [];
    const monitor = (monitor) => monitor.addEventListener('downloadprogress', ({ loaded }) => heard.push(loaded));
    const given = new AbortController();
    const aborting = Own.create({ signal: given.signal }).catch(({ name }) => name);
    given.abort();
    const aborted = await aborting;
    const creating = Own.create({ monitor });
    const during = await Own.availability();
    const [session, other] = await Promise.all([creating, Own.create()]);
    const after = await Own.availability();
    const answers = [await session.prompt('Hi!'), await other.prompt('Hi!')].map((text) => typeof text);
    configure(null);
    const gone = await session.prompt('Hi!').catch(({ name }) => name);
    return { before, aborted, during, after, heard, answers, gone };
  }, MODEL);
  assert.deepEqual([found.before, found.during, found.after], ['downloadable', 'downloading', 'available']);
  assert.equal(found.aborted, 'AbortError');
  assert.deepEqual([found.heard[0], found.heard.at(-1)], [0, 1]);
  assert.ok(found.heard.length >= 3 && found.heard.every((loaded, i) => i === 0 || loaded > found.heard[i - 1]));
  assert.deepEqual(found.answers, ['string', 'string']);
  assert.equal(found.gone, 'InvalidStateError');
});
