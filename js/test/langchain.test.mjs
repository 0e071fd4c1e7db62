// The real LangChain on a model whose tokens the test chooses.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { StringOutputParser } from '@langchain/core/output_parsers';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { tool } from '@langchain/core/tools';
import { z } from 'zod';
import { ChatWeft, WeftEmbeddings } from '../dist/langchain.js';
import { remote } from '../dist/remote/index.js';
import { collect, FakeLlm, gate, loadFake } from './support/fake.mjs';
import { Says, serveModel } from './support/openai-server.mjs';

const CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>';

const load = async (t, texts, request) => {
  const { llm, fake } = await loadFake(t, new Says(texts));
  return { llm, fake, model: new ChatWeft({ llm, request }) };
};

test('invoke gives text, finish reason and usage, also in a chain of prompt, model and parser', async (t) => {
  const { model, fake } = await load(t, ['Hel', 'lo'], { temperature: 0, max_completion_tokens: 9 });
  const answer = await model.invoke([new SystemMessage('be brief'), new HumanMessage('hi')], { stop: ['END'] });
  assert.equal(answer.content, 'Hello');
  assert.equal(answer.response_metadata.finish_reason, 'stop');
  assert.equal(answer.usage_metadata.output_tokens, 2);
  const { temperature, maxTokens, stop } = fake.options;
  assert.deepEqual([temperature, maxTokens, stop], [0, 9, ['END']]);
  assert.deepEqual(fake.conversation.messages, [
    { role: 'system', content: 'be brief' },
    { role: 'user', content: 'hi' },
  ]);
  const chain = ChatPromptTemplate.fromTemplate('Where is {city}?').pipe(model).pipe(new StringOutputParser());
  assert.equal(await chain.invoke({ city: 'Bern' }), 'Hello');
  assert.equal(fake.conversation.messages[0].content, 'Where is Bern?');
});

test('stream gives chunks as they come, and an abort stops the model', async (t) => {
  const { model, llm, fake } = await load(t, ['a', 'b', 'c']);
  const chunks = await collect(await model.stream('hi'));
  assert.equal(
    chunks
      .map(({ content }) => content)
      .join('|')
      .replace(/\|+$/, ''),
    'a|b|c',
  );
  const held = gate();
  fake.before = ({ id }) => (id === 1 ? held.opened : undefined);
  const controller = new AbortController();
  await assert.rejects(async () => {
    for await (const _ of await model.stream('hi', { signal: controller.signal })) {
      controller.abort();
      held.open();
    }
  });
  await llm.detokenize([97]);
  assert.equal(fake.log.at(-1)[0], 'stop');
});

test('a tool call is parsed, and its result goes back as the template reads it', async (t) => {
  const { model, fake } = await load(t, [...CALL]);
  const weather = tool(async ({ city }) => `sunny in ${city}`, {
    name: 'weather',
    description: 'The weather of a city.',
    schema: z.object({ city: z.string() }),
  });
  const bound = model.bindTools([weather]);
  const asked = new HumanMessage('weather?');
  const answer = await bound.invoke([asked]);
  const [call] = answer.tool_calls;
  assert.deepEqual([call.name, call.args], ['weather', { city: 'Bern' }]);
  assert.equal(fake.conversation.tools[0].function.name, 'weather');
  const result = await weather.invoke(call);
  assert.ok(result instanceof ToolMessage);
  fake.texts = ['Sunny.'];
  assert.equal((await bound.invoke([asked, answer, result])).content, 'Sunny.');
  const [, called, given] = fake.conversation.messages;
  assert.deepEqual(called.tool_calls[0].function, { name: 'weather', arguments: '{"city":"Bern"}' });
  assert.deepEqual([given.role, given.content, given.tool_call_id], ['tool', 'sunny in Bern', call.id]);
});

test('structured output constrains the answer by the schema', async (t) => {
  const requests = [];
  const { llm } = await load(t, ['{"capital":', '"Bern"}']);
  const model = new ChatWeft({
    llm: {
      info: llm.info,
      chat: {
        completions: {
          create({ response_format: format, ...request }, options) {
            requests.push(format);
            return llm.chat.completions.create(request, options);
          },
        },
      },
    },
  });
  const schema = z.object({ capital: z.enum(['Bern', 'Berlin']) });
  assert.deepEqual(await model.withStructuredOutput(schema).invoke('Switzerland?'), { capital: 'Bern' });
  const { json_schema: asked } = requests[0];
  assert.deepEqual(asked.schema.properties.capital.enum, ['Bern', 'Berlin']);
  const both = await model.withStructuredOutput(schema, { includeRaw: true }).invoke('Switzerland?');
  assert.deepEqual([both.raw instanceof AIMessage, both.parsed], [true, { capital: 'Bern' }]);
});

/** A model that records its requests and makes this call. */
function calling(name, json) {
  const requests = [];
  const create = async (request) => {
    requests.push(request);
    const common = { id: 'x', created: 0, model: 'm' };
    const delta = { tool_calls: [{ index: 0, id: 'c', type: 'function', function: { name, arguments: json } }] };
    return (async function* () {
      yield { ...common, choices: [{ index: 0, delta, finish_reason: 'tool_calls' }] };
    })();
  };
  const llm = { info: { name: 'm', contextLength: 2048 }, chat: { completions: { create } } };
  return { requests, model: new ChatWeft({ llm }) };
}

test('structured output by a tool forces the call', async () => {
  const { requests, model } = calling('extract', '{"capital": "Bern"}');
  const schema = z.object({ capital: z.enum(['Bern', 'Berlin']) });
  const config = { method: 'functionCalling' };
  assert.deepEqual(await model.withStructuredOutput(schema, config).invoke('Switzerland?'), { capital: 'Bern' });
  assert.deepEqual(requests[0].tool_choice, { type: 'function', function: { name: 'extract' } });
  assert.deepEqual(requests[0].tools[0].function.parameters.properties.capital.enum, ['Bern', 'Berlin']);
  const both = await model.withStructuredOutput(schema, { ...config, includeRaw: true }).invoke('Switzerland?');
  assert.deepEqual(both.parsed, { capital: 'Bern' });
  const wrong = calling('extract', '{"capital": "Rome"}').model.withStructuredOutput(schema, config);
  await assert.rejects(wrong.invoke('Switzerland?'), /capital/);
  // a function as described for OpenAI
  const named = { name: 'extract', description: 'd', parameters: { type: 'object', properties: {} } };
  await model.withStructuredOutput(named, config).invoke('hi');
  assert.deepEqual(requests.at(-1).tools[0].function, named);
});

test('the profile has structured output, and options of tools reach the model', async () => {
  const { requests, model } = calling('f', '{}');
  const { structuredOutput, toolCalling, maxInputTokens } = model.profile;
  assert.deepEqual([structuredOutput, toolCalling, maxInputTokens], [true, true, 2048]);
  const f = tool(async () => '', { name: 'f', description: 'd', schema: z.object({}) });
  const more = { parallel_tool_calls: false, strict: true, response_format: { type: 'json_object' } };
  await model.bindTools([f], more).invoke('hi');
  const { tools, ...request } = requests[0];
  assert.deepEqual([tools[0].function.strict, request.parallel_tool_calls], [true, false]);
  assert.deepEqual(request.response_format, { type: 'json_object' });
});

test('thoughts stand beside the answer, and go back with it', async () => {
  const requests = [];
  const create = async (request) => {
    requests.push(request);
    const common = { id: 'x', created: 0, model: 'm' };
    return (async function* () {
      yield { ...common, choices: [{ index: 0, delta: { reasoning_content: 'hm' }, finish_reason: null }] };
      yield { ...common, choices: [{ index: 0, delta: { content: 'Bern' }, finish_reason: 'stop' }] };
    })();
  };
  const model = new ChatWeft({ llm: { info: { name: 'm' }, chat: { completions: { create } } } });
  const answer = await model.invoke('hi');
  assert.deepEqual([answer.content, answer.additional_kwargs.reasoning_content], ['Bern', 'hm']);
  await model.invoke([new HumanMessage('hi'), answer, new HumanMessage('why?')], { tools: [], tool_choice: 'any' });
  assert.equal(requests.at(-1).messages[1].reasoning_content, 'hm');
});

test('errors are weft’s own, and an unknown kind of message is named', async (t) => {
  const { model, fake } = await load(t, ['a']);
  fake.before = () => {
    throw Object.assign(new Error('too long'), { code: 'CONTEXT_OVERFLOW' });
  };
  await assert.rejects(model.invoke('hi'), { code: 'CONTEXT_OVERFLOW' });
  await assert.rejects(model.invoke([{ role: 'remove', content: 'x' }]));
});

test('embeddings of documents and of a query', async (t) => {
  const fake = new FakeLlm();
  fake.embed = async (texts) => texts.map((text) => Float32Array.of(text.length, 1));
  const { llm } = await loadFake(t, fake);
  const embeddings = new WeftEmbeddings({ llm });
  assert.deepEqual(await embeddings.embedQuery('ab'), [2, 1]);
  assert.deepEqual(await embeddings.embedDocuments(['a', 'bbb']), [
    [1, 1],
    [3, 1],
  ]);
});

test('the metadata says that a server answered', async (t) => {
  const { llm } = await load(t, ['there']);
  const server = await remote({ baseURL: await serveModel(t, llm) });
  const answer = await new ChatWeft({ llm: server }).invoke('hi');
  assert.deepEqual([answer.content, answer.response_metadata.ran_on.where], ['there', 'remote']);
});

test("pictures of LangChain's blocks, of this version and the last one, become OpenAI's", async () => {
  const requests = [];
  const create = async (request) => {
    requests.push(request);
    return (async function* () {
      yield { choices: [{ index: 0, delta: { content: 'a cat' }, finish_reason: 'stop' }] };
    })();
  };
  const model = new ChatWeft({ llm: { chat: { completions: { create } }, info: { name: 'm' } } });
  const openai = { type: 'image_url', image_url: { url: 'https://a/b.png' } };
  const content = [
    { type: 'text', text: 'What?' },
    { type: 'image', url: 'https://a/b.png' },
    { type: 'image', data: new Uint8Array([1, 2, 3]), mimeType: 'image/png' },
    { type: 'image', source_type: 'base64', data: 'AQID', mime_type: 'image/png' },
    openai,
  ];
  const { content: said } = await model.invoke([new HumanMessage({ content })]);
  assert.equal(said, 'a cat');
  const bytes = { type: 'image_url', image_url: { url: 'data:image/png;base64,AQID' } };
  assert.deepEqual(requests[0].messages[0].content, [content[0], openai, bytes, bytes, openai]);
});
