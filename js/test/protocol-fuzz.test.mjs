// Any calls and cancels in any order: each call is answered, once, and rightly. A failure names its seed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve } from '../dist/serve.js';
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
  { type: 'tokenize', text: {} },
  { type: 'detokenize', ids: [-1] },
  { type: 'detokenize', ids: { length: 2 ** 40 } },
];

/** A call, and the terminal reply that is right if nothing stops it. `loaded`: whether a model was loaded first. */
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
      { type: 'generate', prompt: `${id} ${text}`, options: { stop: [], entropy: 1 } },
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
  // A crash of one is the end of all.
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

test('calls and cancels in any order are each answered, once and rightly', async (t) => {
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
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const replies = new Map();
  let ended = false;
  port1.onmessage = ({ data }) => (data.type === 'end' ? (ended = true) : replies.get(data.id).push(data));
  serve(port2, async () => fakeRuntime(llm));

  const calls = [];
  const loaded = below(4) > 0;
  if (loaded) post(load, { type: 'result', value: INFO.name });
  function post(call, right) {
    const id = calls.length;
    const failing = call?.type === 'generate' && right.type === 'end' && [, , 'CRASHED', 'TOKENIZE'][below(12)];
    if (failing) failures.set(String(id), failing);
    calls.push({ id, right, failing, cancelled: false });
    replies.set(id, []);
    port1.postMessage({ type: 'call', id, call });
  }
  for (let steps = below(25); steps > 0; steps -= 1) {
    const what = below(10);
    if (what < 6) {
      const { call, right } = randomCall(below, calls.length, loaded);
      post(call, right);
    } else if (what < 8) {
      const id = below(calls.length + 3) - 1; // of a call that waits, runs or is over, or of none
      if (calls[id]) calls[id].cancelled = true;
      port1.postMessage({ type: 'cancel', id });
    } else {
      await settle();
    }
  }
  // A cancelled load leaves what comes after it without a model.
  const certain = !calls.some(({ cancelled, right }) => cancelled && right.value === INFO.name);
  const answered = () => calls.every(({ id }) => replies.get(id).some(isTerminal));
  for (let turns = 0; turns < 100 && !answered(); turns += 1) await settle();
  await settle();
  for (const call of calls) {
    if (certain) checkAnswer(replies.get(call.id), call, ended);
    else assert.equal(replies.get(call.id).filter(isTerminal).length, 1, `call ${call.id} has not exactly one answer`);
  }
}
