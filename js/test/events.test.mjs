// Server-sent events as in the HTML standard, however the network splits them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventParser } from '../dist/remote/events.js';
import { remote } from '../dist/remote/index.js';
import { collect } from './support/fake.mjs';

/** The events of a text that arrives in pieces of `size` characters. */
function read(text, size) {
  const parser = new EventParser();
  const events = [];
  for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
  return [...events, ...parser.end()].map(({ type, data }) => (type === 'message' ? data : [type, data]));
}

const streams = [
  ['data: a\n\ndata: b\n\n', ['a', 'b']],
  ['data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
  ['data: a\r\rdata: b\r\r', ['a', 'b']],
  ['data: a\r\n\rdata: b\n\r\ndata: c\r\r\n', ['a', 'b', 'c']],
  ['data: a\ndata: b\n\n', ['a\nb']],
  ['data:a\ndata\ndata:  b\n\n', ['a\n\n b']],
  ['data:\n\n', ['']],
  ['data\n\ndata\ndata\n\n', ['', '\n']],
  [': hello\n\n:\n\ndata: a\n: b\n\n', ['a']],
  ['id: 1\nretry: 10\nevent: ping\n\ndata: a\n\n', ['a']],
  ['event: error\ndata: a\n\ndata: b\n\n', [['error', 'a'], 'b']],
  ['\n\n\ndata: a\n\n\n', ['a']],
  ['DATA: a\n\n data: b\n\nother: c\n\ndata: d\n\n', ['d']],
  ['data: a: b\u2028c\n\n', ['a: b\u2028c']],
  // dropped by the standard, but meant by servers that close after their last event
  ['data: a\n\ndata: b', ['a', 'b']],
  ['data: a\n\ndata: b\r', ['a', 'b']],
  ['', []],
];

test('events are the same however the network cuts them', () => {
  for (const [text, expected] of streams) {
    for (const size of [1, 2, 3, 5, 1000]) {
      assert.deepEqual(read(text, size), expected, `${JSON.stringify(text)} in pieces of ${size}`);
    }
  }
});

const chunk = (content, finish_reason = null) => JSON.stringify({ choices: [{ delta: { content }, finish_reason }] });

/** The pieces of a chat with a server that sends `stream` in pieces of `size` bytes. */
async function chat(stream, { size = 7, type = 'text/event-stream' } = {}) {
  const bytes = new TextEncoder().encode(stream);
  const fetch = async (url) => {
    if (url.endsWith('/models')) return Response.json({ data: [] });
    let at = 0;
    const body = new ReadableStream({
      pull: (controller) =>
        at < bytes.length ? controller.enqueue(bytes.subarray(at, (at += size))) : controller.close(),
    });
    return new Response(body, { headers: { 'content-type': type } });
  };
  const llm = await remote({ baseURL: 'http://localhost/v1', model: 'm', fetch });
  return (await collect(llm.chat([{ role: 'user', content: 'x' }]))).map(({ text }) => text).join('');
}

test('empty data and several data lines in an event are read', async () => {
  const [a, b] = [chunk('Zür'), chunk('ich', 'stop')];
  const lines = a.replace('{"choices":', '{"choices":\ndata: ');
  const answers = [
    `data: ${a}\n\ndata:\n\ndata: ${b}\n\ndata: [DONE]\n\n`,
    `data: ${lines}\n\ndata: ${b}\n\ndata: [DONE]\n\n`,
    `\uFEFFdata: ${a}\r\rdata: ${b}\r\rdata: [DONE]\r\r`,
    // without empty lines between events, and without an end
    `data: ${a}\ndata: ${b}\ndata: [DONE]\n`,
    `event: message\nid: 7\ndata:${a}\n\n: ping\n\ndata:${b}`,
  ];
  for (const answer of answers) for (const size of [1, 3, 1000]) assert.equal(await chat(answer, { size }), 'Zürich');
});

test('a response that is not streamed is read as one, and a web page is named as such', async () => {
  const whole = JSON.stringify({
    choices: [{ message: { role: 'assistant', content: 'Bern' }, finish_reason: 'stop' }],
  });
  assert.equal(await chat(whole, { type: 'application/json' }), 'Bern');
  await assert.rejects(chat('event: error\ndata: {"message":"out of memory"}\n\n'), {
    code: 'SERVER',
    message: /out of memory/,
  });
  for (const failed of [{ error: { message: 'out of memory' } }, { object: 'error', message: 'out of memory' }]) {
    const json = JSON.stringify(failed);
    const refused = { code: 'SERVER', message: /answered: out of memory/ };
    await assert.rejects(chat(json, { type: 'application/json' }), refused);
    await assert.rejects(chat(`data: ${chunk('a')}\n\ndata: ${json}\n\n`), refused);
  }
  await assert.rejects(chat(`data: ${chunk('a')}\n\n`), { code: 'NETWORK', message: /complete\. Ask again/ });
  const page = async () =>
    new Response('<!doctype html><title>app</title>', { headers: { 'content-type': 'text/html' } });
  await assert.rejects(remote({ baseURL: 'http://localhost/', fetch: page }), {
    code: 'SERVER',
    message: /answered a web page.*baseURL.*\/v1/,
  });
});

test('fields may be missing in a chunk, and parts of its content are text and thoughts', async () => {
  const parts = [
    { type: 'thinking', thinking: [{ type: 'text', text: 'Hm' }] },
    { type: 'text', text: 'Bern' },
  ];
  const chunks = [
    null,
    {},
    { choices: [] },
    { choices: [{ delta: null }] },
    { choices: [{ delta: { content: parts } }] },
  ];
  const answer = [...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]']
    .map((data) => `data: ${data}\n\n`)
    .join('');
  assert.equal(await chat(answer), 'Bern');
});

test('baseURL is what comes before all paths of the API', async () => {
  for (const baseURL of ['localhost:8080/v1', 'http://localhost/v1/chat/completions', 'ftp://localhost/v1']) {
    await assert.rejects(remote({ baseURL, model: 'm' }), { code: 'INVALID_OPTION', message: /`baseURL`/ });
  }
  const asked = [];
  const fetch = async (url) => asked.push(url) && Response.json({ data: [{ id: 'm' }] });
  await remote({ baseURL: 'http://localhost/v1/?api-version=1#x', fetch });
  assert.deepEqual(asked, ['http://localhost/v1/models?api-version=1']);
});
