// A model on a server, over HTTP: weft's own, and servers that fail in their own ways.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { remote } from '../dist/remote/index.js';
import { collect, FakeLlm, gate, loadFake } from './support/fake.mjs';
import { Says, serveModel } from './support/openai-server.mjs';
import { deserted, listen, until } from './support/server.mjs';

const messages = [{ role: 'user', content: 'hi there' }];

async function connect(t, fake = new Says(['Hel', 'lo']), options = {}) {
  const requests = [];
  const { llm } = await loadFake(t, fake);
  const baseURL = await serveModel(t, llm, { requests, ...options });
  return { llm: await remote({ baseURL, ...options.remote }), fake, requests, baseURL };
}

const text = (pieces) => pieces.map((piece) => piece.text).join('');

test('chat and generate give the server’s text, and say that it ran there', async (t) => {
  const { llm, requests } = await connect(t);
  assert.deepEqual([llm.info.name, llm.info.contextLength], ['fake', null]);
  for (const ask of [() => llm.chat(messages), () => llm.generate('a b')]) {
    const pieces = await collect(ask());
    assert.equal(text(pieces), 'Hello');
    const { reason, usage, ranOn } = pieces.at(-1).finish;
    assert.deepEqual([reason, usage.promptTokens > 0, usage.completionTokens], ['stop', true, 2]);
    assert.ok(usage.timeToFirstTokenMs > 0);
    assert.deepEqual(ranOn, { where: 'remote', model: 'fake', reason: null });
  }
  assert.deepEqual(
    requests.map(({ path }) => path),
    ['/v1/models', '/v1/chat/completions', '/v1/completions'],
  );
});

test('options have the names of OpenAI’s API', async (t) => {
  const { llm, requests } = await connect(t, undefined, { remote: { apiKey: 'key', headers: { 'x-team': 'a' } } });
  const options = {
    maxTokens: 9,
    temperature: 0,
    topK: 5,
    topP: 0.9,
    minP: 0.1,
    seed: 3,
    stop: 'END',
    constraint: { jsonSchema: { type: 'object' } },
    variables: { enable_thinking: false },
  };
  const calls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: { city: 'Bern' } } }];
  const asked = [...messages, { role: 'assistant', content: null, tool_calls: calls }];
  await collect(llm.chat([...asked, { role: 'tool', tool_call_id: 'c', content: 'sunny' }], options)).catch(() => {});
  const { body, headers } = requests.at(-1);
  assert.deepEqual([headers.authorization, headers['x-team']], ['Bearer key', 'a']);
  const { messages: sent, ...rest } = body;
  assert.deepEqual(rest, {
    model: 'fake',
    max_tokens: 9,
    temperature: 0,
    top_p: 0.9,
    seed: 3,
    stop: 'END',
    top_k: 5,
    min_p: 0.1,
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'answer', strict: true, schema: { type: 'object' } },
    },
    chat_template_kwargs: { enable_thinking: false },
    stream: true,
    stream_options: { include_usage: true },
  });
  assert.equal(sent[1].tool_calls[0].function.arguments, '{"city":"Bern"}');
});

test('options that a server lacks throw at the call, by name', async (t) => {
  const { llm } = await connect(t);
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const cases = [
    ['constraint', { constraint: { regex: 'a' } }],
    ['tools', { tools }],
    ['topLogprobs', { topLogprobs: 1 }],
    ['penaltyLastN', { penaltyLastN: 3 }],
    ['temperature', { temperature: -1 }],
    ['misspelt', { misspelt: 1 }],
  ];
  for (const [name, options] of cases) {
    const refused = ({ code, message }) => code === 'INVALID_OPTION' && message.includes(`\`${name}\``);
    assert.throws(() => llm.chat(messages, options), refused, name);
  }
  await assert.rejects(remote({ baseURL: 'http://[' }), /`baseURL`/);
  await assert.rejects(
    remote({ baseURL: 'http://localhost', apiKey: 'a\nb' }),
    ({ message }) => !message.includes('a\nb'),
  );
  await assert.rejects(remote({ baseUrl: 'http://localhost' }), /`baseUrl`/);
});

test('requests in OpenAI’s shape are sent unchanged, whole and streamed', async (t) => {
  const { llm, requests } = await connect(t, undefined, { remote: { model: 'mine' } });
  const request = { messages, model: 'other', logprobs: false };
  const whole = await llm.chat.completions.create(request);
  assert.equal(whole.choices[0].message.content, 'Hello');
  assert.deepEqual(whole.ran_on, { where: 'remote', model: 'mine', reason: null });
  assert.deepEqual(requests.at(-1).body, { messages, model: 'mine', logprobs: false });
  const chunks = await collect(await llm.completions.create({ prompt: 'x', stream: true }));
  assert.equal(chunks.map(({ choices: [choice] }) => choice.text).join(''), 'Hello');
  assert.ok(chunks.every(({ ran_on: { where } }) => where === 'remote'));
});

test('abort, break and dispose end the answer at the server too', async (t) => {
  const { llm, fake, requests } = await connect(t, new Says(['a', 'b', 'c']));
  const leave = {
    abort: (controller) => controller.abort(),
    break: () => 'break',
    dispose: () => llm.dispose(),
  };
  for (const [name, act] of Object.entries(leave)) {
    const held = gate();
    fake.before = ({ id }) => (id === 1 ? held.opened : undefined);
    const controller = new AbortController();
    const pieces = [];
    const reading = (async () => {
      for await (const piece of llm.chat(messages, { signal: controller.signal })) {
        pieces.push(piece);
        if (piece.text && act(controller) === 'break') break;
      }
    })();
    await (name === 'dispose' ? assert.rejects(reading, { code: 'DISPOSED' }) : reading);
    assert.equal(text(pieces), 'a', name);
    if (name === 'abort') assert.equal(pieces.at(-1).finish.reason, 'abort');
    // the model waits until the server knows
    await requests.at(-1).closed;
    held.open();
    await until(() => fake.log.at(-1)[0] === 'stop');
  }
  await assert.rejects(collect(llm.chat(messages)), { code: 'DISPOSED' });
});

test('an aborted request in OpenAI’s shape rejects with the reason', async (t) => {
  const { llm } = await connect(t);
  const signal = AbortSignal.abort(new Error('enough'));
  await assert.rejects(llm.chat.completions.create({ messages }, { signal }), /enough/);
  const before = await collect(llm.chat(messages, { signal }));
  assert.deepEqual([before.length, before[0].finish.reason], [1, 'abort']);
});

test('an error of a server keeps a code of weft, or is SERVER with its message', async (t) => {
  const answers = {
    overflow: [
      400,
      {
        error: { message: 'request (9 tokens) exceeds the available context size', type: 'exceed_context_size_error' },
      },
    ],
    vllm: [400, { error: { message: "This model's maximum context length is 8 tokens", code: 400 } }],
    dasllama: [400, { error: { message: 'the rendered prompt is 631 tokens; the model context is 256' } }],
    busy: [503, { error: { message: 'loading model' } }],
    proxy: [502, '<html>Bad Gateway</html>'],
    ollama: [404, { error: 'model "x" not found' }],
  };
  const { llm } = await connect(t, undefined, {
    instead({ body }, response) {
      const answer = answers[body?.messages?.[0].content];
      if (answer)
        response.writeHead(answer[0]).end(typeof answer[1] === 'string' ? answer[1] : JSON.stringify(answer[1]));
      return Boolean(answer);
    },
  });
  const failure = (content) => collect(llm.chat([{ role: 'user', content }])).catch((error) => error);
  const found = {};
  for (const name of Object.keys(answers)) found[name] = await failure(name);
  assert.deepEqual(
    Object.values(found).map(({ name, code }) => `${name} ${code}`),
    [...Array(3).fill('CONTEXT_OVERFLOW'), ...Array(3).fill('SERVER')].map((code) => `WeftError ${code}`),
  );
  assert.match(found.busy.message, /chat\/completions answered 503: loading model/);
  assert.match(found.proxy.message, /502: <html>/);
  assert.match(found.ollama.message, /404: model "x" not found/);
  await assert.rejects(llm.chat.completions.create({ messages, n: 0 }), { code: 'INVALID_OPTION' });
  const nothing = await listen(t, (_, response) => response.writeHead(404).end('no'));
  await assert.rejects(remote({ baseURL: nothing }), { code: 'SERVER' });
  assert.equal((await remote({ baseURL: nothing, model: 'm' })).info.name, 'm');
  await assert.rejects(remote({ baseURL: `${await deserted()}/v1` }), { code: 'NETWORK', message: /CORS/ });
});

test('a stream that breaks, ends early or has an error fails after its text so far', async (t) => {
  const event = (text, finish = null) =>
    `data: ${JSON.stringify({ choices: [{ delta: { content: text }, finish_reason: finish }] })}\n\n`;
  const endings = {
    early: [event('a'), (response) => response.end(), 'NETWORK'],
    broken: [event('a'), (response) => setTimeout(() => response.destroy(), 50), 'NETWORK'],
    error: [event('a'), (response) => response.end('data: {"error":{"message":"out of memory"}}\n\n'), 'SERVER'],
    garbage: [event('a'), (response) => response.end('data: {\n\n'), 'NETWORK'],
    // not every server says [DONE]
    finished: [event('a') + event('', 'length'), (response) => response.end(), null],
  };
  const origin = await listen(t, async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    if (request.url === '/models') return response.end('{"data":[{"id":"m","meta":{"n_ctx":64}}]}');
    const [begin, end] = endings[JSON.parse(body).messages[0].content];
    response.write(begin);
    end(response);
  });
  const llm = await remote({ baseURL: origin });
  assert.equal(llm.info.contextLength, 64);
  for (const [content, [, , code]] of Object.entries(endings)) {
    const pieces = [];
    const reading = (async () => {
      for await (const piece of llm.chat([{ role: 'user', content }])) pieces.push(piece);
    })();
    await (code ? assert.rejects(reading, { code }, content) : reading);
    assert.equal(pieces[0].text, 'a', content);
  }
});

test('events are read however the network cuts them, with any line ends', async () => {
  const words = ['Zür', 'ich ', '🌊'];
  const chunk = (content) => JSON.stringify({ choices: [{ delta: { content } }] });
  const stream = `: hello\r\n\r\n${words.map((word) => `event: message\r\ndata: ${chunk(word)}\r\n\r\n`).join('')}data: [DONE]\r\n\r\n`;
  const bytes = new TextEncoder().encode(stream);
  const fetch = async (url) => {
    if (url.endsWith('/models')) return Response.json({ data: [] });
    let at = 0;
    return new Response(
      new ReadableStream({
        pull: (controller) =>
          at < bytes.length ? controller.enqueue(bytes.subarray(at, (at += 1))) : controller.close(),
      }),
    );
  };
  const llm = await remote({ baseURL: 'http://localhost/v1/', model: 'm', fetch });
  assert.equal(text(await collect(llm.chat(messages))), 'Zürich 🌊');
  await assert.rejects(remote({ baseURL: 'http://localhost/v1', fetch }), /`model`.*lists none/);
});

test('embed gives vectors in order, of length 1 by default', async (t) => {
  const fake = new FakeLlm();
  fake.embed = async (texts) => texts.map((text) => Float32Array.of(text.length * 3, text.length * 4));
  const { llm } = await connect(t, fake);
  assert.deepEqual(await llm.embed(['a', 'bb']), [Float32Array.of(0.6, 0.8), Float32Array.of(0.6, 0.8)]);
  assert.deepEqual(await llm.embed(['bb'], { normalize: false }), [Float32Array.of(6, 8)]);
  assert.deepEqual(await llm.embed([]), []);
  await assert.rejects(llm.embed(['a'], { pooling: 'cls' }), /`pooling`/);
  assert.equal((await llm.embeddings.create({ input: 'a' })).data.length, 1);
});

test('thoughts stand beside the answer, whatever the server calls them', async (t) => {
  for (const name of ['reasoning_content', 'reasoning']) {
    const origin = await listen(t, async (request, response) => {
      let body = '';
      for await (const piece of request) body += piece;
      const { stream } = JSON.parse(body || '{}');
      const whole = {
        choices: [{ message: { role: 'assistant', content: 'Bern', [name]: 'hm' }, finish_reason: 'stop' }],
      };
      const deltas = [{ [name]: 'hm' }, { content: 'Bern' }];
      const chunks = deltas.map((delta, at) => ({ choices: [{ delta, finish_reason: at ? 'stop' : null }] }));
      response.end(
        stream ? chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('') : JSON.stringify(whole),
      );
    });
    const llm = await remote({ baseURL: origin, model: 'm' });
    const pieces = await collect(llm.chat(messages));
    assert.deepEqual([text(pieces), pieces[0].reasoning], ['Bern', 'hm'], name);
    const [choice] = (await llm.chat.completions.create({ messages })).choices;
    assert.deepEqual([choice.message.content, choice.message.reasoning_content], ['Bern', 'hm']);
    const [first] = await collect(await llm.chat.completions.create({ messages, stream: true }));
    assert.deepEqual(first.choices[0].delta, { reasoning_content: 'hm' });
  }
});
