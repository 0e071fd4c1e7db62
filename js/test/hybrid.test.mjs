// A loaded model with a server for what it cannot do: which of them answers, and that nothing
// leaves the device unasked.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hybrid, remote } from '../dist/remote/index.js';
import { serve } from '../dist/worker/serve.js';
import { collect, FakeLlm, fakeRuntime, loadFake } from './support/fake.mjs';
import { Says, serveModel } from './support/openai-server.mjs';

const messages = [{ role: 'user', content: 'hi' }];
const ask = { messages };
const text = (pieces) => pieces.map((piece) => piece.text).join('');

/**
 * A local model that says `here` and a server that says `there`. `fails(event)` may throw in the
 * local model.
 */
async function both(t, { when = [], fails, local, instead } = {}) {
  const requests = [];
  const { llm: far } = await loadFake(t, new Says(['the', 're']));
  const baseURL = await serveModel(t, far, { requests, ...(instead && { instead }) });
  const near = await loadFake(t, new Says(['he', 're'], fails));
  const llm = await hybrid({ local: local ?? near.llm, remote: { baseURL }, when });
  return { llm, requests, near };
}

const broken = (code) => () => {
  throw Object.assign(new Error('it broke'), { code });
};

test('the device answers what it can, and the answer says so', async (t) => {
  const { llm, requests } = await both(t, { when: ['unfit', 'too-long', 'failed'] });
  const pieces = await collect(llm.chat(messages));
  assert.equal(text(pieces), 'here');
  assert.deepEqual(pieces.at(-1).finish.ranOn, { where: 'local', model: 'fake', reason: null });
  const whole = await llm.chat.completions.create(ask);
  assert.deepEqual([whole.choices[0].message.content, whole.ran_on.where], ['here', 'local']);
  const chunks = await collect(await llm.completions.create({ prompt: 'x', stream: true }));
  assert.ok(chunks.every((chunk) => chunk.ran_on.where === 'local'));
  assert.equal(text(await collect(llm.generate('x'))), 'here');
  assert.deepEqual([requests.length, llm.info.remote, llm.info.local.name], [0, null, 'fake']);
});

test('a prompt that is too long goes to the server if allowed, in every kind of call', async (t) => {
  const { llm, requests } = await both(t, { when: ['too-long'], fails: broken('CONTEXT_OVERFLOW') });
  const reason = 'too-long: it broke';
  const ranOn = { where: 'remote', model: 'fake', reason };
  for (const pieces of [await collect(llm.chat(messages)), await collect(llm.generate('x'))]) {
    assert.equal(text(pieces), 'there');
    assert.deepEqual(pieces.at(-1).finish.ranOn, ranOn);
  }
  const whole = await llm.chat.completions.create(ask);
  assert.deepEqual([whole.choices[0].message.content, whole.ran_on], ['there', ranOn]);
  const chunks = await collect(await llm.chat.completions.create({ ...ask, stream: true }));
  assert.equal(chunks.map(({ choices: [choice] }) => choice.delta.content ?? '').join(''), 'there');
  assert.ok(chunks.every((chunk) => chunk.ran_on.where === 'remote'));
  assert.equal(requests.filter(({ path }) => path === '/v1/models').length, 1);
});

test('a fallback that is not allowed gives the device’s error, and nothing is sent', async (t) => {
  for (const when of [[], ['unfit'], ['failed'], () => false]) {
    const { llm, requests } = await both(t, { when, fails: broken('CONTEXT_OVERFLOW') });
    await assert.rejects(collect(llm.chat(messages)), { code: 'CONTEXT_OVERFLOW', message: 'it broke' });
    await assert.rejects(llm.chat.completions.create(ask), { code: 'CONTEXT_OVERFLOW' });
    assert.equal(requests.length, 0);
  }
});

test('a function is asked before each fallback, with the cause and the error', async (t) => {
  const asked = [];
  const answers = [true, false];
  const when = async (cause, { code }) => (asked.push([cause, code]), answers.shift());
  const { llm, requests } = await both(t, { when, fails: broken('INVALID_LOGITS') });
  assert.equal(text(await collect(llm.chat(messages))), 'there');
  const sent = requests.length;
  await assert.rejects(collect(llm.chat(messages)), { code: 'INVALID_LOGITS' });
  assert.deepEqual(asked, Array(2).fill(['failed', 'INVALID_LOGITS']));
  assert.equal(requests.length, sent);
});

test('a wrong call is not sent to the server', async (t) => {
  const { llm, requests, near } = await both(t, {
    when: ['unfit', 'too-long', 'failed'],
    fails: broken('INVALID_CONSTRAINT'),
  });
  assert.throws(() => llm.chat(messages, { temperature: -1 }), { code: 'INVALID_OPTION' });
  await assert.rejects(collect(llm.chat(messages)), { code: 'INVALID_CONSTRAINT' });
  await assert.rejects(llm.chat.completions.create({ ...ask, n: 0 }), { code: 'INVALID_OPTION' });
  near.fake.before = () => {};
  const aborted = await collect(llm.chat(messages, { signal: AbortSignal.abort() }));
  assert.equal(aborted.at(-1).finish.reason, 'abort');
  assert.equal(requests.length, 0);
});

test('a started answer is not repeated on the server', async (t) => {
  const fails = ({ id }) => id === 1 && broken('INVALID_LOGITS')();
  const { llm, requests } = await both(t, { when: ['failed'], fails });
  const pieces = [];
  const reading = (async () => {
    for await (const piece of llm.chat(messages)) pieces.push(piece);
  })();
  await assert.rejects(reading, { code: 'INVALID_LOGITS' });
  assert.equal(text(pieces), 'he');
  const chunks = await llm.chat.completions.create({ ...ask, stream: true });
  await assert.rejects(collect(chunks), { code: 'INVALID_LOGITS' });
  assert.equal(requests.length, 0);
  // nothing of a whole answer was given yet
  assert.equal((await llm.chat.completions.create(ask)).ran_on.where, 'remote');
});

test('if the server fails too, the error has both failures', async (t) => {
  const instead = ({ body }, response) => body && response.writeHead(503).end('busy');
  const { llm } = await both(t, { when: ['failed'], fails: broken('CRASHED'), instead });
  const failure = await collect(llm.chat(messages)).catch((error) => error);
  assert.deepEqual([failure.code, failure.cause.code], ['SERVER', 'SERVER']);
  assert.match(failure.message, /503: busy.*because of failed: it broke/);
});

test('if no model can be loaded, the server answers alone, if allowed', async (t) => {
  // there are no workers in Node
  const local = { model: '/m.gguf' };
  const { llm } = await both(t, { when: ['unfit'], local });
  assert.match(llm.info.reason, /^unfit: weft needs Web Workers/);
  assert.deepEqual([llm.info.local, llm.info.remote.name], [null, 'fake']);
  const { finish } = (await collect(llm.chat(messages))).at(-1);
  assert.deepEqual(finish.ranOn, { where: 'remote', model: 'fake', reason: llm.info.reason });
  assert.throws(() => llm.chat(messages, { temperature: -1 }), { code: 'INVALID_OPTION' });
  await assert.rejects(both(t, { when: ['failed'], local }), { code: 'NOT_SUPPORTED' });
});

test('a model is loaded only if its estimate fits', async (t) => {
  const runtime = fakeRuntime(new FakeLlm());
  runtime.gpu = async () => undefined;
  globalThis.Worker = class {
    constructor() {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = (event) => this.onmessage?.(event);
      this.postMessage = (message) => port1.postMessage(message);
      this.terminate = () => port1.close();
      serve(port2, async () => runtime);
    }
  };
  t.after(() => delete globalThis.Worker);
  const local = { model: new Blob(['x']) };
  const none = { kvCache: 'f32', kvCacheBytes: 0 };
  runtime.estimate = { ...none, totalBytes: 2 ** 33, largestBufferBytes: 4096 };
  const { llm } = await both(t, { when: ['unfit'], local });
  assert.match(llm.info.reason, /^unfit: It does not fit: with a full context it needs/);
  assert.equal(runtime.fed.length, 0);
  runtime.estimate = { ...none, totalBytes: 2 ** 20, largestBufferBytes: 4096 };
  const fitting = await both(t, { when: ['unfit'], local });
  assert.equal(fitting.llm.info.local.name, 'fake');
  fitting.llm.dispose();
  // a GPU is required, and there is none
  await assert.rejects(both(t, { when: [], local: { ...local, device: 'gpu' } }), { code: 'GPU_UNAVAILABLE' });
});

test('a server’s model can be given, and dispose ends both', async (t) => {
  const { llm: far } = await loadFake(t, new Says(['there']));
  const server = await remote({ baseURL: await serveModel(t, far) });
  const { llm: near } = await loadFake(t, new Says(['here']));
  const llm = await hybrid({ local: near, remote: server, when: [] });
  llm.dispose();
  await assert.rejects(near.tokenize('x'), { code: 'DISPOSED' });
  await assert.rejects(collect(server.chat(messages)), { code: 'DISPOSED' });
  await assert.rejects(hybrid({ local: near, remote: server, when: ['sometimes'] }), /`when`/);
});
