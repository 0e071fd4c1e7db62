// Random calls and cancels of several clients, which may leave, in any order: each call gets
// exactly one, correct answer. A failure names its seed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browserDownloads } from '../dist/download/browser.js';
import { Service } from '../dist/worker/serve.js';
import { FakeLlm, fakeRuntime, INFO, loadCall, settle } from './support/fake.mjs';

const SEEDS = 300;

/** Repeatable numbers from 0 to below `n` (mulberry32). */
function generator(seed) {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
  };
}

const load = loadCall([new Blob(['x'])]);
const words = ['a b c', 'one', 'chat', ''];
const nonsense = [
  undefined,
  null,
  7,
  'load',
  [],
  {},
  { type: 'stop' },
  { type: '__proto__' },
  { type: 'constructor' },
  { type: 'generate' },
  { type: 'prompt' },
  { type: 'readCache' },
  { type: 'readCache', ids: 7 },
  { type: 'encode' },
  { type: 'score' },
  { type: 'encode', task: { name: 'nonsense', text: 'a' } },
  { type: 'tokenize', text: {} },
  { type: 'detokenize', ids: [-1] },
  { type: 'detokenize', ids: { length: 2 ** 40 } },
];

/**
 * A call, and its correct last reply if nothing stops it. `loaded`: whether a model was loaded
 * first.
 */
function randomCall(below, id, loaded) {
  const text = words[below(words.length)];
  const spelled = Array.from(text.split(' '), (_, index) => index);
  const kinds = [
    () => [
      { type: 'tokenize', text, addSpecial: true, parseSpecial: false },
      { type: 'result', value: spelled },
    ],
    () => [
      { type: 'detokenize', ids: [104, 105] },
      { type: 'result', value: 'hi' },
    ],
    () => [
      {
        type: 'generate',
        prompt: `${id} ${text}`,
        options: { stop: [], keepSpecial: [], entropy: 1, constraint: null },
      },
      { type: 'end', text },
    ],
    () => [nonsense[below(nonsense.length)], { type: 'error' }],
  ];
  const kind = kinds[below(kinds.length)];
  const [call, right] = kind();
  return { call, right: loaded ? right : { type: 'error' } };
}

const isTerminal = ({ type, piece }) => type === 'result' || type === 'error' || (type === 'piece' && piece.finish);

function checkAnswer(replies, { id, right, cancelled, failing }, ended) {
  assert.equal(replies.filter(isTerminal).length, 1, `call ${id} has not exactly one answer`);
  const last = replies.at(-1);
  assert.ok(isTerminal(last), `call ${id} goes on after its answer`);
  const pieces = replies.filter(({ type }) => type === 'piece').map(({ piece }) => piece);
  if (cancelled && last.piece?.finish.reason === 'abort') return;
  // A crash of one ends all.
  if (ended && last.error?.code === 'CRASHED') return;
  if (failing) return assert.equal(last.error?.code, failing);
  switch (right.type) {
    case 'error':
      return assert.ok(last.error.message !== '' && typeof last.error.code === 'string');
    case 'end':
      assert.equal(pieces.map(({ text }) => text).join(' '), `${id} ${right.text} .`);
      return assert.equal(last.piece.finish.reason, 'stop');
    case 'result':
      return assert.deepEqual(last.value.name ?? last.value, right.value);
  }
}

test('each call gets its one answer, whatever the order of calls and cancels', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    await round(t, seed).catch((error) => {
      error.message = `seed ${seed}: ${error.message}`;
      throw error;
    });
  }
});

async function round(t, seed) {
  const below = generator(seed);
  const failures = new Map();
  // Some steps wait for a while, some fail.
  const llm = new FakeLlm(async (event, name) => {
    if (below(4) === 0) await settle();
    const code = failures.get(name);
    if (code === 'CRASHED') throw new WebAssembly.RuntimeError('unreachable');
    if (code) throw Object.assign(new Error('refused'), { code });
  });
  let ended = false;
  let unused = 0;
  const service = new Service(
    async () => fakeRuntime(llm),
    browserDownloads,
    () => (unused += 1),
  );
  const calls = [];
  const loaded = below(4) > 0;
  const clients = Array.from({ length: 1 + below(3) }, () => {
    const { port1, port2 } = new MessageChannel();
    t.after(() => port1.close());
    const replies = new Map();
    port1.onmessage = ({ data }) => (data.type === 'end' ? (ended = true) : replies.get(data.id).push(data));
    const client = { port: port1, replies, gone: false, drop: service.connect(port2) };
    if (loaded) post(client, load, { type: 'result', value: INFO.name });
    return client;
  });
  function post(client, call, right) {
    const id = calls.length;
    const failing =
      call?.type === 'generate' && right.type === 'end' && [undefined, undefined, 'CRASHED', 'TOKENIZE'][below(12)];
    if (failing) failures.set(String(id), failing);
    calls.push({ client, id, right, failing, cancelled: false });
    client.replies.set(id, []);
    client.port.postMessage({ type: 'call', id, call });
  }
  for (let steps = below(25); steps > 0; steps -= 1) {
    const client = clients[below(clients.length)];
    const what = below(20);
    if (client.gone) continue;
    if (what < 12) {
      const { call, right } = randomCall(below, calls.length, loaded);
      post(client, call, right);
    } else if (what < 16) {
      // A call that waits, runs or has ended, of this client or another; or none
      const id = below(calls.length + 3) - 1;
      if (calls[id]?.client === client) calls[id].cancelled = true;
      client.port.postMessage({ type: 'cancel', id });
    } else if (what < 17) {
      await settle();
      client.gone = true;
      client.drop();
    } else {
      await settle();
    }
  }
  const answers = ({ client, id }) => client.replies.get(id).filter(isTerminal).length;
  const answered = () => calls.every((call) => call.client.gone || answers(call) > 0);
  for (let turns = 0; turns < 100 && !answered(); turns += 1) await settle();
  await settle();
  for (const call of calls) {
    if (!call.client.gone) checkAnswer(call.client.replies.get(call.id), call, ended);
    else assert.ok(answers(call) <= 1, `call ${call.id} has more than one answer`);
  }
  assert.equal(unused, clients.every(({ gone }) => gone) ? 1 : 0);
}
