// A request that cannot run fails before the first byte, streamed or not, as on OpenAI's servers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { openaiFetch } from '../dist/openai/fetch.js';
import { collect, FakeLlm, gate, loadFake, settle } from './support/fake.mjs';

const ask = { messages: [{ role: 'user', content: 'hi' }] };

/** Refuses to start with this error. */
class Refuses extends FakeLlm {
  constructor(code) {
    super();
    this.code = code;
  }

  start() {
    throw Object.assign(new Error('it cannot'), { code: this.code });
  }
}

const grammars = async () => ({
  Grammars: class {
    constrain() {
      throw Object.assign(new Error('`not` cannot be enforced'), { code: 'INVALID_CONSTRAINT' });
    }
  },
});

/** Status and error of a request. */
async function post(llm, path, body, init = {}) {
  const response = await openaiFetch(llm)(`http://localhost/v1${path}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  });
  const { error } = await response.json();
  return { status: response.status, ...error };
}

const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,' } };
const cases = [
  // path, request, param, part of the message
  ['/chat/completions', {}, 'messages'],
  ['/chat/completions', { messages: [] }, 'messages'],
  ['/chat/completions', { messages: 'hi' }, 'messages'],
  ['/chat/completions', { messages: [null] }, 'messages[0].role'],
  ['/chat/completions', { messages: [{ role: 'usr', content: 'a' }] }, 'messages[0].role', /'user'\?/],
  ['/chat/completions', { messages: [...ask.messages, { role: 'human', content: 'a' }] }, 'messages[1].role', /'user'/],
  ['/chat/completions', { messages: [...ask.messages, { role: 'user' }] }, 'messages[1].content'],
  ['/chat/completions', { messages: [{ role: 'user', content: [image] }] }, 'messages[0].content[0].type', /image_url/],
  ['/chat/completions', { ...ask, max_tokens: -3 }, 'max_tokens', /at least 0.*got -3/],
  ['/chat/completions', { ...ask, max_completion_tokens: 1.5 }, 'max_completion_tokens'],
  ['/chat/completions', { ...ask, temperature: 'hot' }, 'temperature'],
  ['/chat/completions', { ...ask, top_p: 2 }, 'top_p'],
  ['/chat/completions', { ...ask, top_k: -1 }, 'top_k'],
  ['/chat/completions', { ...ask, min_p: 7 }, 'min_p'],
  ['/chat/completions', { ...ask, frequency_penalty: 'a' }, 'frequency_penalty'],
  ['/chat/completions', { ...ask, presence_penalty: 'a' }, 'presence_penalty'],
  ['/chat/completions', { ...ask, logit_bias: { a: 1 } }, 'logit_bias'],
  ['/chat/completions', { ...ask, logit_bias: { 5: 'a' } }, 'logit_bias[5]'],
  ['/chat/completions', { ...ask, stop: [''] }, 'stop'],
  ['/chat/completions', { ...ask, stop: {} }, 'stop'],
  ['/chat/completions', { ...ask, seed: -1 }, 'seed'],
  ['/chat/completions', { ...ask, n: 'two' }, 'n'],
  ['/chat/completions', { ...ask, logprobs: true, top_logprobs: 99 }, 'top_logprobs'],
  ['/chat/completions', { ...ask, response_format: { type: 'xml' } }, 'response_format'],
  ['/chat/completions', { ...ask, response_format: 'json' }, 'response_format'],
  ['/chat/completions', { ...ask, tools: {} }, 'tools'],
  ['/chat/completions', { ...ask, tools: [null] }, 'tools[0].function.name'],
  ['/chat/completions', { ...ask, tools: [{ type: 'function', function: {} }] }, 'tools[0].function.name'],
  ['/chat/completions', { ...ask, tool_choice: 'required' }, 'tool_choice'],
  ['/chat/completions', { ...ask, chat_template_kwargs: 'a' }, 'chat_template_kwargs'],
  ['/chat/completions', { ...ask, stream_options: true }, 'stream_options'],
  ['/chat/completions', { ...ask, logprobs: 5 }, 'logprobs'],
  ['/chat/completions', { ...ask, reasoning_effort: {} }, 'reasoning_effort'],
  ['/chat/completions', { ...ask, model: 5 }, 'model'],
  ['/chat/completions', { ...ask, temprature: 1 }, 'temprature', /Did you mean `temperature`\?/],
  ['/chat/completions', { ...ask, maxTokens: 1 }, 'maxTokens', /Did you mean `max_tokens`\?/],
  ['/chat/completions', { ...ask, max_new_tokens: 1 }, 'max_new_tokens', /Did you mean `max_tokens`\?/],
  ['/chat/completions', { ...ask, guided_json: {} }, 'guided_json', /Did you mean `response_format`\?/],
  ['/chat/completions', { ...ask, enable_thinking: false }, 'enable_thinking', /Did you mean `reasoning_effort`\?/],
  ['/chat/completions', { ...ask, function_call: 'auto' }, 'function_call', /Did you mean `tool_choice`\?/],
  ['/chat/completions', { ...ask, seed: '5' }, 'seed', /got "5"$/],
  ['/chat/completions', { messages: [{ role: 'assistant', tool_calls: 'f' }] }, 'messages[0].tool_calls'],
  ['/chat/completions', { messages: [{ role: 'assistant', tool_calls: [null] }] }, 'messages[0].tool_calls[0]'],
  [
    '/chat/completions',
    { messages: [{ role: 'assistant', tool_calls: [{ type: 'function', function: {} }] }] },
    'messages[0].tool_calls[0].function.name',
  ],
  ['/chat/completions', { ...ask, web_search_options: {} }, 'web_search_options'],
  ['/completions', {}, 'prompt'],
  ['/completions', { prompt: [] }, 'prompt'],
  ['/completions', { prompt: [-1] }, 'prompt[0]'],
  ['/completions', { prompt: 'a', logprobs: 99 }, 'logprobs'],
  ['/completions', { prompt: 'a', max_tokens: -3 }, 'max_tokens'],
  ['/completions', { prompt: 'a', best_of: 5 }, 'best_of'],
  ['/embeddings', {}, 'input'],
  ['/embeddings', { input: [[1]] }, 'input'],
  ['/embeddings', { input: ['a', ''] }, 'input[1]', /`input\[1\]`/],
  ['/embeddings', { input: 'a', encoding_format: 'hex' }, 'encoding_format'],
];

test('max_tokens: -3 was reported as maxTokens with no param: each mistake has OpenAI’s name and status 400', async (t) => {
  const { llm, fake } = await loadFake(t);
  for (const stream of [false, true]) {
    for (const [path, request, param, message] of cases) {
      if (stream && path === '/embeddings') continue;
      const found = await post(llm, path, stream ? { ...request, stream } : request);
      const { status, type, code } = found;
      const what = `${path} ${JSON.stringify(request)}: ${JSON.stringify(found)}`;
      const expected = { status: 400, type: 'invalid_request_error', code: 'INVALID_OPTION', param };
      assert.deepEqual({ status, type, code, param: found.param }, expected, what);
      assert.ok(found.message.includes(param), what);
      if (message) assert.match(found.message, message);
    }
  }
  assert.equal(fake.log.filter(([what]) => what === 'start').length, 0);
});

test('kronk#862: a streamed request that the model refuses is status 400, not an error in a body of status 200', async (t) => {
  const schema = { type: 'json_schema', json_schema: { name: 'a', schema: { not: {} } } };
  for (const stream of [true, false]) {
    const found = async (code, path, request, more) =>
      post((await loadFake(t, new Refuses(code), more)).llm, path, { ...request, stream });
    const { status, code, param, type } = await found('CONTEXT_OVERFLOW', '/chat/completions', ask);
    assert.deepEqual(
      { status, code, param, type },
      { status: 400, code: 'context_length_exceeded', param: 'messages', type: 'invalid_request_error' },
    );
    const text = await found('CONTEXT_OVERFLOW', '/completions', { prompt: 'a' });
    assert.deepEqual([text.status, text.code, text.param], [400, 'context_length_exceeded', 'prompt']);
    const template = await found('CHAT_TEMPLATE', '/chat/completions', ask);
    assert.deepEqual([template.status, template.code, template.param], [400, 'CHAT_TEMPLATE', 'messages']);
    const bad = await post((await loadFake(t, new FakeLlm(), { grammars })).llm, '/chat/completions', {
      ...ask,
      stream,
      response_format: schema,
    });
    assert.deepEqual([bad.status, bad.code, bad.param], [400, 'INVALID_CONSTRAINT', 'response_format']);
    const broken = await found('INVALID_LOGITS', '/chat/completions', ask);
    assert.deepEqual([broken.status, broken.type], [500, 'server_error']);
  }
});

test('one of several prompts is too long: status 400 before the first answer', async (t) => {
  const fake = new FakeLlm();
  const { start } = fake;
  fake.start = function (ids, options) {
    if (ids.length > 3) throw Object.assign(new Error('too long'), { code: 'CONTEXT_OVERFLOW' });
    start.call(this, ids, options);
  };
  const { llm } = await loadFake(t, fake);
  const { status, code } = await post(llm, '/completions', { prompt: ['a', 'b c d e f'], stream: true });
  assert.deepEqual([status, code], [400, 'context_length_exceeded']);
});

test('a body that is no JSON object is 400, an unknown path 404, an unknown method 405', async (t) => {
  const { llm } = await loadFake(t);
  for (const body of ['', '{', '[]', 'null', '"a"', 'messages=hi']) {
    const { status, param, type } = await post(llm, '/chat/completions', body);
    assert.deepEqual([status, param, type], [400, null, 'invalid_request_error'], body);
  }
  const form = new URLSearchParams({ messages: 'hi' });
  assert.match((await post(llm, '/completions', '', { body: form })).message, /x-www-form-urlencoded/);
  const unknown = await post(llm, '/responses', {});
  assert.deepEqual([unknown.status, unknown.code], [404, 'unknown_url']);
  const response = await openaiFetch(llm)('http://localhost/v1/chat/completions');
  assert.deepEqual([response.status, response.headers.get('allow')], [405, 'POST']);
  assert.equal((await post(llm, '/models', {})).status, 405);
  assert.equal((await openaiFetch(llm)('http://localhost/v1/models/fake').then((r) => r.json())).id, 'fake');
  for (const name of ['gpt-5', '%E0%A4%A']) {
    const other = await openaiFetch(llm)(`http://localhost/v1/models/${name}`);
    assert.deepEqual([other.status, (await other.json()).error.code], [404, 'model_not_found']);
  }
});

test('the official client rejects before it iterates', async (t) => {
  const { llm } = await loadFake(t, new Refuses('CONTEXT_OVERFLOW'));
  const openai = new OpenAI({ baseURL: 'http://localhost/v1', apiKey: 'none', fetch: openaiFetch(llm) });
  await assert.rejects(openai.chat.completions.create({ ...ask, model: 'any', stream: true }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    return error.code === 'context_length_exceeded' && error.param === 'messages';
  });
  await assert.rejects(llm.chat.completions.create({ ...ask, stream: true }), { code: 'CONTEXT_OVERFLOW' });
  await assert.rejects(llm.completions.create({ prompt: 'a', stream: true }), { code: 'CONTEXT_OVERFLOW' });
});

test('cancelling a stream during the prompt ends the answer at once', async (t) => {
  const held = gate();
  t.after(held.open);
  const { llm, fake } = await loadFake(t, new FakeLlm((event) => (event.type === 'prompt' ? held.opened : undefined)));
  const response = await openaiFetch(llm)('http://localhost/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({ ...ask, stream: true }),
  });
  const reader = response.body.getReader();
  await reader.read(); // the role
  const reading = reader.read();
  await reader.cancel();
  await reading;
  held.open();
  await settle();
  assert.equal(fake.log.at(-1)[0], 'stop');
  assert.ok(fake.events.length > 1);
});

test('a model that fails during a stream writes the error into it', async (t) => {
  const fake = new FakeLlm((event) => {
    if (event.id === 1) throw Object.assign(new Error('NaN'), { code: 'INVALID_LOGITS' });
  });
  const { llm } = await loadFake(t, fake);
  const body = JSON.stringify({ ...ask, stream: true });
  const response = await openaiFetch(llm)('http://localhost/v1/chat/completions', { method: 'POST', body });
  const events = (await response.text()).trim().split('\n\n');
  assert.equal(response.status, 200);
  assert.equal(JSON.parse(events.at(-1).slice(6)).error.code, 'INVALID_LOGITS');
  await assert.rejects(collect(await llm.chat.completions.create({ ...ask, stream: true })), {
    code: 'INVALID_LOGITS',
  });
});

test('whatever JSON a request has, the answer is never status 500', async (t) => {
  const { llm } = await loadFake(t);
  const values = [null, true, 7, -1, 'x', [], {}, [null], [7], ['x'], [{}], [[]], { type: 'function' }, { a: [1] }];
  const fields = [...new Set(cases.flatMap(([, request]) => Object.keys(request)))];
  const more = ['stream_options', 'tool_choice', 'modalities', 'reasoning_effort', 'logprobs', 'echo', 'model'];
  for (const field of [...fields, ...more]) {
    for (const value of values) {
      for (const path of ['/chat/completions', '/completions']) {
        const request = { ...ask, prompt: 'a', [field]: value, max_tokens: field === 'max_tokens' ? value : 1 };
        delete request[path === '/completions' ? 'messages' : 'prompt'];
        if (field === 'n' && value > 1) continue;
        const response = await openaiFetch(llm)(`http://localhost/v1${path}`, {
          method: 'POST',
          body: JSON.stringify(request),
        });
        const text = await response.text();
        assert.ok(
          response.status === 200 || response.status === 400,
          `${path} ${field} ${JSON.stringify(value)}: ${text}`,
        );
      }
    }
  }
});
