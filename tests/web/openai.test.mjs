// OpenAI's format and constrained answers of the packed package with a real model: by hand, and
// with the official client in the page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { prepareApp, serveApp } from './app.mjs';
import { browsers } from './browsers.mjs';
import { installPacked } from './packed.mjs';

const MODEL = '/models/SmolLM2-135M-Instruct.Q4_1.gguf';
const MINUTE = 60_000;
/** Seeds of answers to a schema: a number of seeds, or a range such as `100-200`. */
const [END_SEED = 0, FIRST_SEED = 0] = (process.env.WEFT_SEEDS ?? '12').split('-').map(Number).reverse();

let packed, server, browser, page, requests;

before(async () => {
  packed = await installPacked();
  requests = [];
  const mounts = { '/node_modules/openai/': inRoot('node_modules/openai') };
  server = await serveApp(packed, { mounts, onRequest: (url) => requests.push(url) });
  browser = await browsers.chromium();
  page = await browser.newPage();
  await page.goto(server.url);
  await prepareApp(page);
  await page.evaluate(async (model) => {
    globalThis.llm = await weft.load({ model, device: 'cpu', contextLength: 1024 });
    globalThis.ask = { messages: [{ role: 'user', content: 'What is the capital of Germany?' }], temperature: 0 };
  }, MODEL);
});

after(async () => {
  await browser?.close();
  await server?.close();
  await packed?.remove();
});

test('chat completions have the text of chat, whole and streamed', { timeout: 5 * MINUTE }, async () => {
  const { plain, whole, streamed, last } = await page.evaluate(async () => {
    const limits = { ...ask, max_completion_tokens: 12 };
    const plain = await collect(llm.chat(ask.messages, { temperature: 0, maxTokens: 12 }));
    const whole = await llm.chat.completions.create(limits);
    const chunks = [];
    const stream = await llm.chat.completions.create({
      ...limits,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) chunks.push(chunk);
    const streamed = chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join('');
    return { plain, whole, streamed, last: chunks.at(-1) };
  });
  assert.match(plain.text, /Berlin/);
  assert.equal(whole.choices[0].message.content, plain.text);
  assert.equal(streamed, plain.text);
  assert.equal(whole.usage.prompt_tokens, plain.usage.promptTokens);
  assert.equal(last.usage.completion_tokens, plain.usage.completionTokens);
  // the conversation is in the cache: only its last token is computed again
  assert.equal(last.usage.prompt_tokens_details.cached_tokens, plain.usage.promptTokens - 1);
});

test('answers have log-probabilities, and biases change them', { timeout: 5 * MINUTE }, async () => {
  const { choices, banned } = await page.evaluate(async () => {
    const request = { ...ask, max_completion_tokens: 3, logprobs: true, top_logprobs: 3 };
    const { choices } = await llm.chat.completions.create(request);
    const [id] = await llm.tokenize(choices[0].logprobs.content[0].token);
    const banned = await llm.chat.completions.create({ ...request, logit_bias: { [id]: -100 } });
    return { choices, banned: banned.choices[0] };
  });
  const told = choices[0].logprobs.content;
  assert.equal(told.map(({ token }) => token).join(''), choices[0].message.content);
  for (const { token, logprob, top_logprobs: top } of told) {
    assert.equal(top.length, 3);
    // greedy: the token is the most likely one
    assert.deepEqual([top[0].token, top[0].logprob], [token, logprob]);
    assert.ok(logprob <= 0 && top[0].logprob >= top[1].logprob);
  }
  // a bias does not change the model's own probabilities
  assert.notEqual(banned.logprobs.content[0].token, told[0].token);
  assert.equal(banned.logprobs.content[0].token, told[0].top_logprobs[1].token);
  assert.ok(Math.abs(banned.logprobs.content[0].top_logprobs[0].logprob - told[0].logprob) < 1e-3);
});

test(
  `answers fit their schema with any seed, and the first fetches the module`,
  { timeout: 30 * MINUTE },
  async (t) => {
    assert.ok(!requests.some((url) => url.includes('weft-grammar')), 'fetched before anything was constrained');
    const { answers, first, constrainedMs, freeMs } = await page.evaluate(
      async ([firstSeed, endSeed]) => {
        const schema = {
          type: 'object',
          properties: {
            name: { type: 'string', maxLength: 20 },
            age: { type: 'integer', minimum: 0, maximum: 150 },
            tags: { type: 'array', items: { enum: ['kind', 'brave', 'wise'] }, maxItems: 3 },
          },
          required: ['name', 'age', 'tags'],
          additionalProperties: false,
        };
        const messages = [{ role: 'user', content: 'Describe a hero as JSON with name, age and tags.' }];
        const perToken = async (options) => {
          let [tokens, start, answer] = [0, 0, ''];
          let finish;
          for await (const piece of llm.chat(messages, { maxTokens: 100, temperature: 1, ...options })) {
            if (tokens === 1) start = performance.now();
            if (piece.id !== null) tokens += 1;
            answer += piece.text;
            finish = piece.finish;
          }
          return { answer, finish, ms: (performance.now() - start) / (tokens - 1) };
        };
        const constraint = { jsonSchema: schema };
        const begun = performance.now();
        await perToken({ constraint, seed: 0 });
        const first = performance.now() - begun;
        const [answers, constrained, free] = [[], [], []];
        for (let seed = firstSeed; seed < endSeed; seed += 1) {
          const one = await perToken({ constraint, seed });
          answers.push({ answer: one.answer, reason: one.finish.reason, fits: one.finish.fits });
          constrained.push(one.ms);
          // samples on the host, as with a constraint
          free.push((await perToken({ seed, maxTokens: 30, topLogprobs: 0 })).ms);
        }
        const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
        return { answers, first, constrainedMs: median(constrained), freeMs: median(free) };
      },
      [FIRST_SEED, END_SEED],
    );
    t.diagnostic(
      `${answers.length} answers; ${constrainedMs.toFixed(2)} ms a token, free ${freeMs.toFixed(2)}; the first took ${first.toFixed(0)} ms`,
    );
    for (const { answer, reason, fits } of answers) {
      assert.deepEqual([reason, fits], ['stop', true], answer);
      const { name, age, tags, ...rest } = JSON.parse(answer);
      assert.ok(typeof name === 'string' && [...name].length <= 20, answer);
      assert.ok(Number.isInteger(age) && age >= 0 && age <= 150, answer);
      assert.ok(tags.length <= 3 && tags.every((tag) => ['kind', 'brave', 'wise'].includes(tag)), answer);
      assert.deepEqual(rest, {});
    }
    assert.equal(new Set(requests.filter((url) => url.includes('weft-grammar'))).size, 1);
  },
);

test(
  'choices, expressions and grammars hold; truncation is reported; unenforceable keywords are refused',
  { timeout: 5 * MINUTE },
  async () => {
    const results = await page.evaluate(async () => {
      const answer = async (constraint, options) => {
        const { text, reason, fits } = await collect(
          llm.chat(ask.messages, { temperature: 0, constraint, ...options }),
        );
        return { text, reason, fits };
      };
      return {
        choice: await answer({ choices: ['Bonn', 'Berlin', 'Bern'] }),
        regex: await answer({ regex: '[A-Z][a-z]{3,8}\\.' }),
        lark: await answer({ lark: 'start: "The capital is " NAME "!"\nNAME: /[A-Z][a-z]+/' }, { maxTokens: 30 }),
        cut: await answer({ jsonSchema: { type: 'array', items: { type: 'string' }, minItems: 40 } }, { maxTokens: 5 }),
        refused: await failure(() =>
          answer({ jsonSchema: { type: 'array', items: { type: 'string' }, uniqueItems: true } }),
        ),
        after: await answer({ choices: ['yes'] }),
      };
    });
    assert.ok(['Bonn', 'Berlin', 'Bern'].includes(results.choice.text), results.choice.text);
    assert.deepEqual([results.choice.reason, results.choice.fits], ['stop', true]);
    assert.match(results.regex.text, /^[A-Z][a-z]{3,8}\.$/);
    assert.match(results.lark.text, /^The capital is [A-Z][a-z]+!?$/);
    assert.deepEqual([results.cut.reason, results.cut.fits], ['length', false]);
    assert.equal(results.refused.code, 'INVALID_CONSTRAINT');
    assert.match(results.refused.message, /uniqueItems/);
    assert.deepEqual(results.after, { text: 'yes', reason: 'stop', fits: true });
  },
);

test('the official client runs in the page, on its model', { timeout: 5 * MINUTE }, async () => {
  const { whole, streamed, json, refused } = await page.evaluate(async () => {
    const { default: OpenAI } = await import('/node_modules/openai/index.mjs');
    const { openaiFetch } = await import('/node_modules/weft-llm/dist/openai/fetch.js');
    const client = new OpenAI({
      baseURL: 'http://localhost/v1',
      apiKey: 'none',
      fetch: openaiFetch(llm),
      dangerouslyAllowBrowser: true,
    });
    const request = { model: 'any', ...ask, max_completion_tokens: 12 };
    const whole = await client.chat.completions.create(request);
    let streamed = '';
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
      streamed += chunk.choices[0]?.delta.content ?? '';
    }
    const schema = {
      type: 'object',
      properties: { capital: { enum: ['Berlin', 'Bonn'] } },
      required: ['capital'],
      additionalProperties: false,
    };
    const json = await client.chat.completions.create({
      ...request,
      max_completion_tokens: 40,
      response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } },
    });
    const refused = await client.chat.completions
      .create({ ...request, n: 0 })
      .catch(({ status, code }) => ({ status, code }));
    return { whole, streamed, json: json.choices[0].message.content, refused };
  });
  assert.match(whole.choices[0].message.content, /Berlin/);
  assert.equal(streamed, whole.choices[0].message.content);
  assert.ok(['Berlin', 'Bonn'].includes(JSON.parse(json).capital), json);
  assert.deepEqual(refused, { status: 400, code: 'INVALID_OPTION' });
});
