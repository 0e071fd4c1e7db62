// The real AI SDK on models whose tokens the test chooses: a loaded one, and one behind a server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProviderRegistry, embed, embedMany, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { embeddingModel, languageModel, provider } from '../dist/ai-sdk/index.js';
import { hybrid, remote } from '../dist/remote/index.js';
import { collect, FakeLlm, loadFake } from './support/fake.mjs';
import { Says, serveModel } from './support/openai-server.mjs';

const CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>';
const prompt = 'hi';

const load = async (t, texts) => {
  const { llm, fake } = await loadFake(t, new Says(texts));
  return { llm, fake, model: languageModel(llm) };
};

test('generateText gives text, finish reason and usage, and passes settings under weft’s names', async (t) => {
  const { model, fake } = await load(t, ['Hel', 'lo']);
  const settings = { maxOutputTokens: 9, temperature: 0, topK: 5, topP: 0.9, seed: 3, stopSequences: ['END'] };
  const answer = await generateText({ model, system: 'be brief', prompt, ...settings });
  assert.deepEqual([answer.text, answer.finishReason, answer.warnings ?? []], ['Hello', 'stop', []]);
  assert.deepEqual([answer.usage.outputTokens, answer.response.modelId], [2, 'fake']);
  const { maxTokens, temperature, topK, topP, seed, stop } = fake.options;
  assert.deepEqual([maxTokens, temperature, topK, topP, seed, stop], [9, 0, 5, 0.9, 3, ['END']]);
  assert.deepEqual(fake.conversation.messages, [
    { role: 'system', content: 'be brief' },
    { role: 'user', content: prompt },
  ]);
});

test('streamText gives text as it comes, and an abort stops the model', async (t) => {
  const { model, llm, fake } = await load(t, ['a', 'b', 'c']);
  const whole = streamText({ model, prompt });
  assert.deepEqual(await collect(whole.textStream), ['a', 'b', 'c']);
  assert.deepEqual([await whole.finishReason, (await whole.usage).outputTokens], ['stop', 3]);

  const controller = new AbortController();
  let aborted = false;
  const stopped = streamText({ model, prompt, abortSignal: controller.signal, onAbort: () => (aborted = true) });
  const parts = [];
  for await (const part of stopped.fullStream) {
    parts.push(part.type);
    if (part.type === 'text-delta') controller.abort();
  }
  assert.deepEqual([aborted, parts.at(-1)], [true, 'abort']);
  await llm.detokenize([97]);
  assert.equal(fake.log.at(-1)[0], 'stop');
});

test('a schema gives an object, whole and streamed', async (t) => {
  const requests = [];
  const { llm } = await loadFake(t, new Says(['{"capital":', '"Bern"}']));
  // The module for constraints is not loaded here: check the request instead.
  const watched = new Proxy(llm, {
    get(target, name) {
      if (name !== 'chat') return target[name];
      const create = async ({ response_format: format, ...request }, options) => {
        requests.push(format);
        return target.chat.completions.create(request, options);
      };
      return { completions: { create } };
    },
  });
  const model = languageModel(watched);
  const schema = z.object({ capital: z.enum(['Bern', 'Berlin']) });
  const { output } = await generateText({ model, prompt, output: Output.object({ schema }) });
  assert.deepEqual(output, { capital: 'Bern' });
  const { type, json_schema: asked } = requests[0];
  assert.deepEqual(
    [type, asked.strict, asked.schema.properties.capital.enum],
    ['json_schema', true, ['Bern', 'Berlin']],
  );
  const streamed = streamText({ model, prompt, output: Output.object({ schema }) });
  assert.deepEqual((await collect(streamed.partialOutputStream)).at(-1), { capital: 'Bern' });
});

test('a tool runs with the parsed call, and the model answers with its result', async (t) => {
  const { model, fake } = await load(t, ['Let me see. ', ...CALL]);
  const asked = [];
  const tools = {
    weather: tool({
      description: 'The weather of a city.',
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => {
        asked.push(city);
        fake.texts = ['It is ', 'sunny.'];
        return { sky: 'blue' };
      },
    }),
  };
  const answer = await generateText({ model, prompt, tools, stopWhen: stepCountIs(3) });
  assert.deepEqual([asked, answer.text, answer.steps.length], [['Bern'], 'It is sunny.', 2]);
  assert.equal(answer.steps[0].finishReason, 'tool-calls');
  const [, called, result] = fake.conversation.messages;
  assert.deepEqual(called.tool_calls[0].function, { name: 'weather', arguments: '{"city":"Bern"}' });
  assert.deepEqual([result.role, JSON.parse(result.content)], ['tool', { sky: 'blue' }]);
  assert.equal(result.tool_call_id, called.tool_calls[0].id);

  fake.texts = [...CALL];
  const streamed = streamText({ model, prompt, tools: { weather: { ...tools.weather, execute: undefined } } });
  const parts = (await collect(streamed.fullStream)).map(({ type }) => type);
  assert.ok(parts.includes('tool-input-start') && parts.includes('tool-call'), parts.join());
  assert.deepEqual((await streamed.toolCalls)[0].input, { city: 'Bern' });
});

/** A model that records its requests and always gives this answer. */
function watched(message) {
  const requests = [];
  const create = async ({ stream, ...request }) => {
    requests.push(request);
    const common = { id: 'x', created: 0, model: 'm' };
    const choice = { index: 0, finish_reason: 'stop' };
    if (!stream) return { ...common, choices: [{ ...choice, message }] };
    const { role: _, ...deltas } = message;
    const parts = Object.entries(deltas).map(([name, text]) => ({
      ...common,
      choices: [{ ...choice, delta: { [name]: text } }],
    }));
    return (async function* () {
      yield* parts;
    })();
  };
  return { requests, model: languageModel({ info: { name: 'm' }, chat: { completions: { create } } }) };
}

test('tool choice and reasoning effort go to the model in OpenAI’s shape', async () => {
  const { requests, model } = watched({ role: 'assistant', content: 'a' });
  const tools = { f: tool({ inputSchema: z.object({}) }) };
  for (const toolChoice of ['auto', 'none', 'required', { type: 'tool', toolName: 'f' }]) {
    // the SDK throws if a required call is missing
    await generateText({ model, prompt, tools, toolChoice }).catch(() => {});
  }
  await generateText({ model, prompt, reasoning: 'none' });
  assert.deepEqual(
    requests.map(({ tool_choice: choice, reasoning_effort: effort }) => choice ?? effort),
    ['auto', 'none', 'required', { type: 'function', function: { name: 'f' } }, 'none'],
  );
});

test('thoughts stand beside the answer, and go back with it', async () => {
  const { requests, model } = watched({ role: 'assistant', reasoning_content: 'hm', content: 'Bern' });
  const { text, reasoningText, response } = await generateText({ model, prompt });
  assert.deepEqual([text, reasoningText], ['Bern', 'hm']);
  const streamed = streamText({ model, prompt });
  assert.deepEqual([await streamed.text, await streamed.reasoningText], ['Bern', 'hm']);
  await generateText({
    model,
    messages: [{ role: 'user', content: prompt }, ...response.messages, { role: 'user', content: 'why?' }],
  });
  assert.deepEqual(requests.at(-1).messages[1], { role: 'assistant', content: 'Bern', reasoning_content: 'hm' });
});

test('embeddings, and models by name', async (t) => {
  const fake = new FakeLlm();
  fake.embed = async (texts) => texts.map((text) => Float32Array.of(text.length, 1));
  const { llm } = await loadFake(t, fake);
  const { embeddings } = await embedMany({ model: embeddingModel(llm), values: ['a', 'bbb'] });
  assert.deepEqual(embeddings, [
    [1, 1],
    [3, 1],
  ]);
  const registry = createProviderRegistry({ weft: provider({ search: llm }) });
  assert.deepEqual((await embed({ model: registry.embeddingModel('weft:search'), value: 'ab' })).embedding, [2, 1]);
  assert.throws(() => provider({ search: llm }).languageModel('chat'), { code: 'INVALID_OPTION', message: /search/ });
});

test('errors are weft’s own and not retried; pictures are refused by name', async (t) => {
  const { llm, fake, model } = await load(t, ['a']);
  let calls = 0;
  fake.before = () => {
    calls += 1;
    throw Object.assign(new Error('NaN'), { code: 'INVALID_LOGITS' });
  };
  await assert.rejects(generateText({ model, prompt }), { code: 'INVALID_LOGITS' });
  const errors = [];
  const streamed = streamText({ model, prompt, onError: ({ error }) => errors.push(error.code) });
  await collect(streamed.fullStream);
  assert.deepEqual([calls, errors], [2, ['INVALID_LOGITS']]);
  const picture = { type: 'file', data: new Uint8Array([1]), mediaType: 'image/png' };
  const messages = [{ role: 'user', content: [picture] }];
  await assert.rejects(generateText({ model: languageModel(llm), messages }), /`messages\[0\]\.content\[0\]\.type`/);
});

test('the metadata says whether a server or the device answered', async (t) => {
  const requests = [];
  const { llm } = await load(t, ['there']);
  const server = await remote({ baseURL: await serveModel(t, llm, { requests }) });
  const far = await generateText({ model: languageModel(server), prompt, providerOptions: { weft: { min_p: 0.1 } } });
  assert.deepEqual([far.text, far.providerMetadata.weft.ranOn.where], ['there', 'remote']);
  assert.equal(requests.at(-1).body.min_p, 0.1);
  const { llm: near } = await load(t, ['here']);
  const either = languageModel(await hybrid({ local: near, remote: server, when: ['failed'] }));
  const streamed = streamText({ model: either, prompt });
  assert.equal(await streamed.text, 'here');
  assert.equal((await streamed.providerMetadata).weft.ranOn.where, 'local');
});

test('the metadata names the parts of a schema that were not enforced', async () => {
  const ignored = [{ pointer: '/a', keyword: 'uniqueItems', reason: 'why' }];
  const base = { id: 'a', created: 0, model: 'm' };
  const create = async ({ stream }) => {
    if (!stream) {
      const message = { role: 'assistant', content: '[]' };
      return { ...base, choices: [{ index: 0, message, finish_reason: 'stop', schema_ignored: ignored }] };
    }
    return (async function* () {
      yield { ...base, choices: [{ index: 0, delta: { content: '[]' }, finish_reason: null }] };
      yield { ...base, choices: [{ index: 0, delta: {}, finish_reason: 'stop', schema_ignored: ignored }] };
    })();
  };
  const model = languageModel({ info: { name: 'm' }, chat: { completions: { create } } });
  const call = { prompt: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }] };
  const whole = await model.doGenerate(call);
  assert.deepEqual(whole.providerMetadata.weft.schemaIgnored, ignored);
  let last;
  for await (const part of (await model.doStream(call)).stream) last = part;
  assert.deepEqual(last.providerMetadata.weft.schemaIgnored, ignored);
});
