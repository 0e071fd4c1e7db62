// Scores, labels, the best of several answers, examples and tools, of the packed package with a
// real model.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { prepareApp, serveApp } from './app.mjs';
import { browsers } from './browsers.mjs';
import { installPacked } from './packed.mjs';

const MODEL = '/models/SmolLM2-135M-Instruct.Q4_1.gguf';
const GOLDEN = inRoot('tests/golden/smollm2-135m-q4_1');
const timeout = 300_000;

let packed, server, browser, page;

before(async () => {
  packed = await installPacked();
  server = await serveApp(packed, { mounts: { '/node_modules/openai/': inRoot('node_modules/openai') } });
  browser = await browsers.chromium();
  page = await browser.newPage();
  await page.goto(server.url);
  await prepareApp(page);
  await page.evaluate(async (model) => {
    globalThis.llm = await weft.load({ model, device: 'cpu', contextLength: 1024 });
  }, MODEL);
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

test('scores of a text are those of transformers, and an abort ends scoring', { timeout }, async () => {
  const text = await readFile(join(GOLDEN, 'text.txt'), 'utf8');
  const { mean_nll: golden, token_ids: ids } = JSON.parse(await readFile(join(GOLDEN, 'figures.json'), 'utf8')).text;
  const { score, sum, ms, stopped, tasks } = await page.evaluate(async (text) => {
    const begun = performance.now();
    const score = await llm.score(text);
    const ms = performance.now() - begun;
    const sum = score.tokens.reduce((sum, { logprob }) => sum + logprob, 0);
    const stop = new AbortController();
    const stopped = llm.score(text, { signal: stop.signal }).catch(({ message }) => message);
    stop.abort(new Error('enough'));
    return { score, sum, ms, stopped: await stopped, tasks: llm.info.tasks };
  }, text);
  assert.deepEqual(
    score.tokens.map(({ id }) => id),
    ids.slice(1),
  );
  const mean = -score.logprob / score.tokens.length;
  assert.ok(Math.abs(mean / golden - 1) < 0.005, `${mean} instead of ${golden}`);
  assert.ok(Math.abs(score.perplexity - Math.exp(mean)) < 1e-9 && Math.abs(sum - score.logprob) < 1e-9);
  assert.equal(stopped, 'enough');
  assert.ok(tasks.includes('score'));
  console.log(`mean NLL ${mean.toFixed(4)}, golden ${golden.toFixed(4)}; ${ids.length} tokens in ${ms.toFixed(0)} ms`);
});

test('the context changes the score of a text', { timeout }, async () => {
  const scores = await page.evaluate(async () => {
    const after = 'The capital of Germany is';
    const asked = [{ role: 'user', content: 'What is the capital of Germany? Answer with one word.' }];
    const logprob = async (text, options) => (await llm.score(text, options)).logprob;
    return {
      text: [await logprob(' Berlin', { after }), await logprob(' Madrid', { after })],
      chat: [await logprob('Berlin', { after: asked }), await logprob('Madrid', { after: asked })],
    };
  });
  assert.ok(scores.text[0] > scores.text[1], String(scores.text));
  assert.ok(scores.chat[0] > scores.chat[1], String(scores.chat));
});

test('classify takes any labels, with examples, a description and calibration', { timeout }, async () => {
  const reviews = {
    'The food was cold and the waiter was rude.': 'Negative',
    'A wonderful evening, we laughed all the time!': 'Positive',
    'The worst film that I have ever seen.': 'Negative',
    'Best purchase of the year, I love it.': 'Positive',
  };
  const found = await page.evaluate(async (reviews) => {
    const examples = [
      { text: 'Great value, works well.', label: 'Positive' },
      { text: 'Terrible. It never worked.', label: 'Negative' },
      { text: 'I was bored to tears.', label: 'Negative' },
      { text: 'What a lovely place!', label: 'Positive' },
    ];
    const all = [];
    for (const options of [{}, { calibrate: true }, { examples }]) {
      for (const review of reviews) {
        const instruction = 'Sentiment of the text:';
        all.push(await llm.classify(review, ['Negative', 'Positive'], { instruction, ...options }));
      }
    }
    return all;
  }, Object.keys(reviews));
  const right = Object.values(reviews);
  assert.deepEqual(
    found.map(([best]) => best.label),
    [...right, ...right, ...right],
    JSON.stringify(found),
  );
  for (const [best, other] of found) {
    assert.ok(Math.abs(best.score + other.score - 1) < 1e-9 && best.logit >= other.logit);
  }
});

test('several answers are ranked by likelihood and by a scorer', { timeout }, async () => {
  const { likely, again, long } = await page.evaluate(async () => {
    const messages = [{ role: 'user', content: 'Name a colour.' }];
    const options = { seed: 1, maxTokens: 12, temperature: 1.2 };
    return {
      likely: await llm.bestOf(4).chat(messages, options),
      again: await llm.bestOf(4).chat(messages, options),
      long: await llm.bestOf(4, ({ text }) => text.length).chat(messages, options),
    };
  });
  const means = likely.map(({ logprob, finish }) => logprob / finish.usage.completionTokens);
  assert.ok(
    means.every((mean, i) => mean < 0 && (i === 0 || mean <= means[i - 1])),
    String(means),
  );
  assert.ok(new Set(likely.map(({ text }) => text)).size > 1);
  assert.deepEqual(
    again.map(({ text }) => text),
    likely.map(({ text }) => text),
  );
  const lengths = long.map(({ text }) => text.length);
  assert.deepEqual(
    lengths,
    lengths.toSorted((a, b) => b - a),
  );
  assert.deepEqual(long.map(({ text }) => text).sort(), likely.map(({ text }) => text).sort());
});

test('examples guide the answer, and a model that does not think is asked for its steps', { timeout }, async () => {
  const { shown, auto, off, steps } = await page.evaluate(async () => {
    const examples = [
      { user: 'dog', assistant: '#dog' },
      { user: 'river', assistant: '#river' },
      { user: 'stone', assistant: '#stone' },
    ];
    const ask = (content, options) => collect(llm.chat([{ role: 'user', content }], { temperature: 0, ...options }));
    const sum = 'What is 3 + 4?';
    return {
      shown: await ask('house', { examples, maxTokens: 8 }),
      auto: await ask(sum, { maxTokens: 12 }),
      off: await ask(sum, { maxTokens: 12, reasoning: 'off' }),
      steps: await ask(sum, { maxTokens: 40, reasoning: 'step-by-step' }),
    };
  });
  assert.equal(shown.text.trim(), '#house');
  assert.equal(off.text, auto.text);
  assert.equal(off.usage.promptTokens, auto.usage.promptTokens);
  assert.ok(steps.usage.promptTokens > auto.usage.promptTokens);
  assert.ok(steps.text !== '' && !('reasoning' in steps));
});

test('a tool call, its result and the answer go through the official client', { timeout }, async () => {
  const { streamed, whole, answer, named } = await page.evaluate(async () => {
    const { default: OpenAI } = await import('/node_modules/openai/index.mjs');
    const { openaiFetch } = await import('/node_modules/weft-llm/dist/openai/fetch.js');
    const fetch = openaiFetch(llm);
    const client = new OpenAI({ baseURL: 'http://localhost/v1', apiKey: 'none', fetch, dangerouslyAllowBrowser: true });
    const parameters = { type: 'object', properties: { city: { type: 'string', maxLength: 20 } }, required: ['city'] };
    const tools = [
      { type: 'function', function: { name: 'get_weather', description: 'The weather of a city', parameters } },
      {
        type: 'function',
        function: { name: 'get_time', description: 'What time it is', parameters: { type: 'object', properties: {} } },
      },
    ];
    const messages = [{ role: 'user', content: 'What is the weather in Paris?' }];
    const request = { model: 'any', temperature: 0, max_completion_tokens: 60, tools };
    const must = { ...request, messages, tool_choice: 'required', parallel_tool_calls: false };
    const streamed = await client.chat.completions.stream(must).finalChatCompletion();
    const whole = await client.chat.completions.create(must);
    const [call] = whole.choices[0].message.tool_calls;
    messages.push(whole.choices[0].message);
    messages.push({ role: 'tool', tool_call_id: call.id, content: JSON.stringify({ weather: 'sunny', celsius: 23 }) });
    const answer = await client.chat.completions.create({ ...request, messages });
    const named = await client.chat.completions.create({
      ...must,
      tool_choice: { type: 'function', function: { name: 'get_time' } },
    });
    return { streamed, whole, answer: answer.choices[0], named: named.choices[0] };
  });
  for (const { choices } of [streamed, whole]) {
    assert.equal(choices[0].finish_reason, 'tool_calls');
    const [{ function: called }] = choices[0].message.tool_calls;
    assert.equal(called.name, 'get_weather');
    assert.match(JSON.parse(called.arguments).city, /Paris/);
  }
  assert.equal(named.message.tool_calls[0].function.name, 'get_time');
  assert.deepEqual(JSON.parse(named.message.tool_calls[0].function.arguments), {});
  assert.equal(answer.finish_reason, 'stop');
  assert.match(answer.message.content, /sunny|23/);
});
