// What an inspection asks of the runtime, and what it makes of the events. The figures are those of
// tests/inspect.rs; tests/web/inspect.test.mjs looks into a real model.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, FakeLlm, gate, INFO, loadFake } from './support/fake.mjs';

const bytes = (...values) => new Uint8Array(Float32Array.from(values).buffer);

/** An empty list means all layers. */
const has = (layers, layer) => layer !== null && (layers?.length === 0 || (layers?.includes(layer) ?? false));

/** Has two layers, of which the second has experts. */
class Looking extends FakeLlm {
  info = () => ({ ...INFO, layers: 2 });
  asked = [];
  stopped = [];
  underWay = undefined;

  inspect(ids, options) {
    this.asked.push([[...ids], options]);
    const layer = (layer, more) => ({
      type: 'layer',
      layer,
      heads: 1,
      norms: options.hiddenStates ? bytes(layer ?? 9, 1) : null,
      attention: has(options.attention, layer) ? bytes(1, 0, 0.5, 0.5) : null,
      lens: has(options.lens?.layers, layer) ? [{ position: 1, top: [] }] : null,
      experts: null,
      ...more,
    });
    this.underWay = [
      layer(null),
      { type: 'working' },
      layer(0),
      layer(1, { experts: options.experts ? [[{ expert: 3, weight: 1 }]] : null }),
      {
        type: 'end',
        tokens: [...ids].map((id) => ({ id, text: 'a', bytes: Uint8Array.of(97), special: false, logprob: null })),
        next: options.next ? [{ stage: 'model', left: 2, top: [] }] : null,
        rotations: options.rotations ? [{ layers: [0, 1], angles: [bytes(0), bytes(2)] }] : null,
        timing: options.timing ? [{ operation: 'lm_head', layer: null, milliseconds: 1, bytes: 2 }] : null,
        cachedTokens: 1,
      },
    ];
    return 77;
  }

  async inspect_next() {
    await this.before(this.underWay[0], 'inspect');
    return this.underWay.shift();
  }

  /** Tokens 0 to 9, three at a time; the higher, the nearer. */
  async nearest(id, from, top) {
    const next = Math.min(from + 3, 10);
    const ids = Array.from({ length: next - from }, (_, i) => from + i).filter((other) => other !== id);
    const tokens = ids.map((id) => ({ id, text: `${id}`, similarity: id / 10 })).reverse();
    return { next, count: 10, tokens: tokens.slice(0, top) };
  }
}

test('only what is asked for is asked of the runtime, and is there', async (t) => {
  const { llm, fake } = await loadFake(t, new Looking());
  const nothing = await llm.inspect([4, 5]);
  assert.deepEqual(Object.keys(nothing), ['tokens', 'cachedTokens']);
  const [ids, { sampling, ...asked }] = fake.asked[0];
  assert.deepEqual(ids, [4, 5]);
  assert.deepEqual(sampling, { logitBias: [] });
  const off = { hiddenStates: false, logprobs: false, experts: false, rotations: false, timing: false };
  assert.deepEqual(asked, off);

  const everything = { attention: true, hiddenStates: true, lens: true, next: true, logprobs: true };
  const seen = await llm.inspect('a b', { ...everything, experts: true, rotations: true, timing: true, topK: 3 });
  const [, all] = fake.asked[1];
  assert.deepEqual(all.attention, []);
  assert.deepEqual(all.lens, { top: 5, layers: [] });
  assert.deepEqual([all.next, all.logprobs, all.sampling.topK], [20, true, 3]);
  assert.deepEqual(
    seen.attention,
    [0, 1].map((layer) => ({ layer, heads: 1, weights: Float32Array.of(1, 0, 0.5, 0.5) })),
  );
  assert.deepEqual(
    seen.hiddenStates,
    [9, 0, 1].map((first) => Float32Array.of(first, 1)),
  );
  assert.deepEqual(seen.lens[1], { layer: 1, positions: [{ position: 1, top: [] }] });
  assert.deepEqual(seen.experts, [{ layer: 1, tokens: [[{ expert: 3, weight: 1 }]] }]);
  assert.deepEqual(seen.rotations, [{ layers: [0, 1], angles: [Float32Array.of(0), Float32Array.of(2)] }]);
  assert.equal(seen.timing[0].operation, 'lm_head');
  assert.equal(seen.next[0].stage, 'model');

  const some = { attention: { layers: [1] }, lens: { top: 2, positions: [0], layers: [0] }, next: { top: 7 } };
  assert.deepEqual(
    (await llm.inspect('a', some)).attention.map(({ layer }) => layer),
    [1],
  );
  const [, parts] = fake.asked[2];
  assert.deepEqual([parts.attention, parts.lens, parts.next], [[1], { top: 2, layers: [0], positions: [0] }, 7]);
});

test('a conversation is read as the chat template writes it', async (t) => {
  const { llm, fake } = await loadFake(t, new Looking());
  const { tokens } = await llm.inspect([{ role: 'user', content: 'hello' }], { next: true });
  assert.equal(tokens.length, 2);
  assert.deepEqual(fake.conversation.messages, [{ role: 'user', content: 'hello' }]);
});

const WRONG = [
  [{ atention: true }, /`atention`: there is no such option\. Did you mean `attention`\?/],
  [{ attention: 3 }, /`attention`: expected a boolean, or an object with layers, got 3/],
  [{ attention: { layers: [-1] } }, /`attention\.layers\[0\]`: expected an integer of at least 0/],
  [{ lens: { postions: [1] } }, /Did you mean `positions`\?/],
  [{ lens: { top: 0 } }, /`lens\.top`: expected an integer of at least 1/],
  [{ hiddenStates: 'yes' }, /`hiddenStates`: expected a boolean, got "yes"/],
  [{ temperature: -1 }, /`temperature`: expected a number of at least 0/],
  [{ inspect: {} }, /`inspect`: there is no such option/],
  [{ maxTokens: 3 }, /`maxTokens`: there is no such option/],
];

test('a wrong option is named', async (t) => {
  const { llm } = await loadFake(t, new Looking());
  for (const [options, message] of WRONG) {
    await assert.rejects(llm.inspect('a', options), (error) => {
      assert.equal(error.code, 'INVALID_OPTION');
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(llm.inspect([{ role: 'usr', content: 'a' }]), /`messages\[0\]\.role`.*Did you mean 'user'/);
  await assert.rejects(
    llm.nearestTokens('a b'),
    /`token`: expected a text that is one token \(these are the ids 0, 1\)/,
  );
  await assert.rejects(llm.nearestTokens(-1), /`token`: expected a token id, or a text that is one token/);
  await assert.rejects(llm.nearestTokens(1, { count: 2 }), /`count`: there is no such option/);
});

test('an abort ends an inspection between two layers, and a waiting one at once', async (t) => {
  const held = gate();
  const fake = new Looking((event, name) => (name === 'inspect' && event.layer === 0 ? held.opened : undefined));
  const { llm } = await loadFake(t, fake);
  const controller = new AbortController();
  const { signal } = controller;
  const calls = [llm.inspect('a', { signal }), llm.inspect('b', { signal })];
  while (fake.underWay?.[0]?.layer !== 0) await new Promise(setImmediate);
  controller.abort();
  for (const call of calls) await assert.rejects(call, { name: 'AbortError' });
  held.open();
  // the model serves other calls, and nobody went on with these
  await llm.tokenize('c');
  assert.equal(fake.asked.length, 1);
  assert.equal(fake.underWay[0].layer, 1);
});

test('inspections and generations go on beside each other', async (t) => {
  const order = [];
  const fake = new Looking((event, name) => void order.push(name === 'inspect' ? 'i' : 'g'));
  const { llm } = await loadFake(t, fake);
  const [pieces, seen] = await Promise.all([
    collect(llm.generate('x 1 2 3 4 5 6')),
    llm.inspect('a b', { hiddenStates: true }),
  ]);
  assert.equal(pieces.map(({ text }) => text).join(' '), 'x 1 2 3 4 5 6 .');
  assert.equal(seen.hiddenStates.length, 3);
  assert.match(order.join(''), /(ig){4}|(gi){4}/);
});

test('an inspection begins again after the GPU was lost', async (t) => {
  let losses = 1;
  const fake = new Looking((event, name) => {
    if (name !== 'inspect' || event.layer !== 1 || losses === 0) return;
    losses -= 1;
    throw Object.assign(new Error('gone'), { code: 'DEVICE_LOST' });
  });
  const { llm } = await loadFake(t, fake);
  const seen = await llm.inspect('a b', { hiddenStates: true });
  assert.equal(fake.asked.length, 2);
  assert.equal(seen.hiddenStates.length, 3);
});

test('the nearest of all tokens are found piece by piece', async (t) => {
  const { llm } = await loadFake(t, new Looking());
  const near = await llm.nearestTokens(8, { top: 3 });
  assert.deepEqual(
    near.map(({ id }) => id),
    [9, 7, 6],
  );
  // as a text: the fake's first word has the id 0
  assert.deepEqual(
    (await llm.nearestTokens('a', { top: 1 })).map(({ text }) => text),
    ['9'],
  );
});

test('the pieces of an answer have what their steps saw', async (t) => {
  const fake = new Looking();
  const start = fake.start;
  fake.start = function (ids, options, entropy, inspect) {
    start.call(this, ids, options, entropy);
    this.inspected = inspect;
    const seen = { tokens: [], next: [{ stage: 'model', left: 1, top: [] }], rotations: null, timing: null };
    const layer = { layer: 0, heads: 1, norms: null, attention: bytes(0.25, 0.75), lens: null, experts: null };
    const inspection = { layers: [layer], seen: { ...seen, cachedTokens: 1 } };
    if (inspect) this.events = this.events.map((event) => (event.type === 'token' ? { ...event, inspection } : event));
  };
  const { llm } = await loadFake(t, fake);
  const inspect = { attention: { layers: [0] }, next: true };
  const [first] = await collect(llm.generate('a b', { inspect }));
  assert.deepEqual(fake.inspected.attention, [0]);
  assert.deepEqual(first.inspection.attention, [{ layer: 0, heads: 1, weights: Float32Array.of(0.25, 0.75) }]);
  assert.deepEqual(Object.keys(first.inspection), ['tokens', 'attention', 'next', 'cachedTokens']);
  assert.throws(() => llm.generate('a', { inspect: { lenses: true } }), /Did you mean `lens`\?/);
  assert.throws(() => llm.generate('a', { inspect: { timing: 1 } }), /`inspect\.timing`: expected a boolean, got 1/);
  assert.throws(() => llm.generate('a', { inspect: true }), /`inspect`: expected an object, got true/);
  const [plain] = await collect(llm.generate('a b'));
  assert.equal('inspection' in plain, false);
  assert.equal(fake.inspected, undefined);
});
