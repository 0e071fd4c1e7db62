// `weft-llm/remote` with another project's server of OpenAI's API and the default model: `npm run
// test:models` fetches and starts it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { generateText } from 'ai';
import { languageModel } from '../../../js/dist/ai-sdk/index.js';
import { remote } from '../../../js/dist/remote/index.js';
import { ensureServer, serverRuns, startServer } from '../../../scripts/lib/openai-server.mjs';

const MINUTE = 60_000;
const options = { timeout: 2 * MINUTE, skip: !serverRuns && 'the server was not tried on this system' };
const messages = [{ role: 'user', content: 'What is the capital of Germany?' }];

let server, llm;

before(async () => {
  if (!serverRuns) return;
  await ensureServer();
  server = await startServer();
  llm = await remote({ baseURL: server.baseURL });
});

after(() => server?.stop());

const textOf = async (pieces) => {
  let text = '';
  let finish;
  for await (const piece of pieces) {
    text += piece.text;
    finish = piece.finish;
  }
  return { text, finish };
};

test('the server chats, whole and streamed, in weft’s shape and OpenAI’s', options, async () => {
  const { text, finish } = await textOf(llm.chat(messages, { temperature: 0, maxTokens: 12 }));
  assert.match(text, /Berlin/);
  assert.deepEqual([finish.ranOn.where, finish.usage.completionTokens > 0], ['remote', true]);
  const request = { messages, temperature: 0, max_tokens: 12 };
  const whole = await llm.chat.completions.create(request);
  assert.match(whole.choices[0].message.content, /Berlin/);
  let streamed = '';
  for await (const chunk of await llm.chat.completions.create({ ...request, stream: true })) {
    streamed += chunk.choices[0]?.delta.content ?? '';
  }
  assert.equal(streamed.trim(), whole.choices[0].message.content.trim());
});

test('the server continues a text; an abort or a limit ends it', options, async () => {
  const { finish } = await textOf(llm.generate('The capital of Germany is', { temperature: 0, maxTokens: 4 }));
  assert.equal(finish.reason, 'length');
  const controller = new AbortController();
  const asked = llm.chat([{ role: 'user', content: 'Count to a hundred.' }], { signal: controller.signal });
  let pieces = 0;
  let last;
  for await (const piece of asked) {
    last = piece;
    if ((pieces += 1) === 3) controller.abort();
  }
  assert.deepEqual([pieces, last.finish.reason], [4, 'abort']);
});

test('an answer fits its schema', options, async () => {
  const jsonSchema = {
    type: 'object',
    properties: { capital: { enum: ['Berlin', 'Bonn'] } },
    required: ['capital'],
    additionalProperties: false,
  };
  const { text } = await textOf(llm.chat(messages, { constraint: { jsonSchema }, temperature: 0, maxTokens: 40 }));
  assert.ok(['Berlin', 'Bonn'].includes(JSON.parse(text).capital), text);
});

test('a prompt that is too long fails with its code', options, async () => {
  const long = [{ role: 'user', content: 'word '.repeat(600) }];
  await assert.rejects(textOf(llm.chat(long, { maxTokens: 4 })), { code: 'CONTEXT_OVERFLOW' });
});

test('the AI SDK runs on it', options, async () => {
  const answer = await generateText({ model: languageModel(llm), messages, temperature: 0, maxOutputTokens: 12 });
  assert.match(answer.text, /Berlin/);
  assert.equal(answer.providerMetadata.weft.ranOn.where, 'remote');
});
