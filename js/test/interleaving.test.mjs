// Several calls on one model: whose step is next, and that each call is left alone by the others.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue } from '../dist/worker/queue.js';
import { collect, gate, settle, textOf } from './support/fake.mjs';
import { Noted, tabs, together } from './support/tabs.mjs';

test('two chats take turns, one step each', async (t) => {
  const fake = new Noted();
  const [{ llm }] = await tabs(t, fake, 1);
  const answers = await together(fake, llm, () => ['a 1 2', 'b 1 2'].map((prompt) => collect(llm.generate(prompt))));
  assert.deepEqual(answers.map(textOf), ['a 1 2 .', 'b 1 2 .']);
  const [a, b] = ['a', 'b'].map((name) => fake.steps.filter((step) => step.startsWith(name)));
  const mixed = fake.steps.filter((step) => !step.startsWith('held'));
  assert.deepEqual(
    mixed,
    a.flatMap((step, index) => [step, b[index]]),
  );
  assert.ok(Math.abs(mixed.indexOf('a:a') - mixed.indexOf('b:b')) <= 2);
});

test('a tab with one chat gets as many steps as a tab with three', async (t) => {
  const fake = new Noted();
  const [one, other] = await tabs(t, fake, 2);
  const words = '1 2 3 4 5 6';
  await together(fake, one.llm, () => [
    ...['a', 'b', 'c'].map((name) => collect(one.llm.generate(`${name} ${words}`))),
    collect(other.llm.generate(`z ${words}`)),
  ]);
  const until = fake.steps.slice(fake.steps.indexOf('z:begin'), fake.steps.indexOf('z:end') + 1);
  const mine = until.filter((step) => step.startsWith('z')).length;
  const others = until.length - mine;
  assert.ok(Math.abs(mine - others) <= 1, `${mine} steps of one chat and ${others} of the others`);
  for (const name of ['a', 'b', 'c']) assert.ok(until.filter((step) => step.startsWith(name)).length >= 2);
});

test('a chunk of a long prompt is one step, so another chat waits for one at most', async (t) => {
  class LongPrompt extends Noted {
    start(ids, options, entropy) {
      super.start(ids, options, entropy);
      if (this.name !== 'long') return;
      const chunks = Array.from({ length: 9 }, (_, at) => ({ type: 'prompt', done: 32 * (at + 1), total: 320 }));
      this.events = [...chunks, ...this.events];
    }
  }
  const fake = new LongPrompt();
  const [{ llm }] = await tabs(t, fake, 1);
  await together(fake, llm, () => ['long', 'chat 1 2 3 4 5 6'].map((prompt) => collect(llm.generate(prompt))));
  const until = fake.steps
    .slice(fake.steps.indexOf('chat:prompt'), fake.steps.indexOf('chat:end'))
    .filter((step) => !step.startsWith('held'));
  until.forEach((step, at) => assert.equal(step.startsWith('long'), at % 2 === 1, until.join(' ')));
});

test('a chat that is left or aborted disturbs no other and gives back its memory', async (t) => {
  const fake = new Noted();
  const [{ llm }] = await tabs(t, fake, 1);
  const controller = new AbortController();
  const endless = Array.from({ length: 3000 }, (_, at) => at).join(' ');
  const left = async () => {
    for await (const { text } of llm.generate(`left ${endless}`)) if (text === '1') break;
  };
  const stopped = async () => {
    for await (const { text, finish } of llm.generate(`stopped ${endless}`, { signal: controller.signal })) {
      if (text === '1') controller.abort();
      if (finish) return finish.reason;
    }
  };
  const [, reason, kept] = await together(fake, llm, () => [
    left(),
    stopped(),
    collect(llm.generate(`kept ${endless}`)),
  ]);
  assert.equal(reason, 'abort');
  assert.equal(textOf(kept), `kept ${endless} .`);
  assert.deepEqual(fake.alive, []);
  const last = (name) => fake.steps.findLastIndex((step) => step.startsWith(name));
  assert.ok(
    Math.max(last('left'), last('stopped')) < last('kept') - 100,
    'both ended long before the one that went on',
  );
});

test('a tab that dies frees its places and turns', async (t) => {
  const held = gate();
  const fake = new Noted((event, name) => (name === 'b' && event.text === '1' ? held.opened : undefined));
  const [dying, living] = await tabs(t, fake, 2);
  for (let index = 0; index < 6; index += 1) void collect(dying.llm.generate('a 1 2 3 4'));
  const kept = collect(living.llm.generate('b 1 2'));
  await settle();
  dying.drop();
  held.open();
  assert.equal(textOf(await kept), 'b 1 2 .');
  await settle();
  assert.deepEqual(fake.alive, []);
  assert.ok(fake.log.filter(([what, name]) => what === 'start' && name === 'a').length <= 4);
});

/** Such a call once ran to its end, and nothing could stop it. */
test('a call that arrives when its tab is gone never runs', async (t) => {
  const fake = new Noted();
  const [gone, living] = await tabs(t, fake, 2);
  const late = collect(gone.llm.generate('late 1 2'));
  gone.drop();
  assert.equal(textOf(await collect(living.llm.generate('a 1 2'))), 'a 1 2 .');
  await settle();
  assert.deepEqual(
    fake.steps.filter((step) => step.startsWith('late')),
    [],
  );
  gone.llm.dispose();
  await late;
});

test('every chat goes on after a lost GPU, with no piece twice and none missing', async (t) => {
  let losses = 2;
  const fake = new Noted((event, name) => {
    if (!(name === 'a' && event.text === '2') && !(name === 'b' && event.text === '4')) return;
    if (losses-- > 0) throw Object.assign(new Error('gone'), { code: 'DEVICE_LOST' });
  });
  const [{ llm }] = await tabs(t, fake, 1);
  const answers = await together(fake, llm, () =>
    ['a 1 2 3', 'b 1 2 3 4 5', 'c 1 2 3'].map((prompt) => collect(llm.generate(prompt))),
  );
  assert.deepEqual(answers.map(textOf), ['a 1 2 3 .', 'b 1 2 3 4 5 .', 'c 1 2 3 .']);
  assert.equal(llm.info.engine.deviceLosses, 2, 'one loss counts once, however many chats it interrupts');
  assert.deepEqual(fake.alive, []);
});

test('an error ends its own chat, and a crash ends all', async (t) => {
  const fake = new Noted((event, name) => {
    if (name === 'bad' && event.text === '1') throw Object.assign(new Error('full'), { code: 'OUT_OF_MEMORY' });
    if (name === 'crash' && event.text === '1') throw new WebAssembly.RuntimeError('unreachable');
  });
  const [{ llm }, other] = await tabs(t, fake, 2);
  await together(fake, llm, () => [
    assert.rejects(collect(llm.generate('bad 1 2')), { code: 'OUT_OF_MEMORY' }),
    collect(llm.generate('good 1 2 3 4')).then((pieces) => assert.equal(textOf(pieces), 'good 1 2 3 4 .')),
  ]);
  const crashed = [llm, other.llm].map((each, at) =>
    assert.rejects(collect(each.generate(at === 0 ? 'crash 1 2' : 'other 1 2 3 4 5 6')), { code: 'CRASHED' }),
  );
  await Promise.all(crashed);
});

/** The line of such a client once stayed for as long as the worker lived. */
test('a client whose calls were all taken back leaves nothing behind', async () => {
  const queue = new FairQueue(1);
  const held = gate();
  queue.add('busy', () => held.opened);
  const leave = ['gone', 'gone'].map((client) => queue.add(client, async () => assert.fail('it was taken back')));
  assert.equal(queue.clients, 2);
  assert.deepEqual([leave[0](), leave[0](), leave[1]()], [true, false, true]);
  assert.equal(queue.clients, 1);
  held.open();
  await settle();
  assert.equal(queue.clients, 0);
});

test('other calls run between the steps of generations', async (t) => {
  const fake = new Noted();
  const [{ llm }] = await tabs(t, fake, 1);
  const words = Array.from({ length: 40 }, (_, at) => at).join(' ');
  let behind = 0;
  fake.detokenize = () => {
    behind = fake.steps.length;
    return 'a';
  };
  await together(fake, llm, () => [
    ...['a', 'b'].map((name) => collect(llm.generate(`${name} ${words}`))),
    llm.detokenize([97]),
    llm.score([1, 2, 3]),
  ]);
  const begun = fake.steps.indexOf('a:prompt');
  assert.ok(behind - begun <= 10, `it waited for ${behind - begun} steps`);
  assert.equal(fake.log.filter(([what]) => what === 'score').length, 1);
});

test('eight of fifty calls run at once, at most four of a tab; the others wait', async (t) => {
  const held = gate();
  const fake = new Noted((event) => (event.type === 'token' ? held.opened : undefined));
  const [many, few] = await tabs(t, fake, 2);
  const all = Array.from({ length: 50 }, (_, at) => collect(many.llm.generate(`m${at} 1 2`)));
  await settle();
  const two = ['f0 1', 'f1 1'].map((prompt) => collect(few.llm.generate(prompt)));
  await settle();
  held.open();
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, fake.alive.length)), 1);
  t.after(() => clearInterval(watch));
  const answers = await Promise.all([...all, ...two]);
  assert.equal(answers.length, 52);
  const ofMany = fake.log.filter(([what, name]) => what === 'start' && name.startsWith('m')).map(([, name]) => name);
  assert.deepEqual(
    ofMany,
    all.map((_, at) => `m${at}`),
    'in the order in which they were asked',
  );
  const starts = fake.log.filter(([what]) => what === 'start').map(([, name]) => name);
  assert.ok(starts.indexOf('f0') <= 5 && starts.indexOf('f1') <= 6, starts.slice(0, 8).join(' '));
  let alive = 0;
  for (const [what] of fake.log) {
    if (what === 'start') alive += 1;
    if (what === 'stop') alive -= 1;
    assert.ok(alive <= 6);
  }
  assert.deepEqual(fake.alive, []);
});

/** The KV cache cannot keep the prefixes of many scores: each step computed its own anew. */
test('a tab scores one call after the other', async (t) => {
  const fake = new Noted();
  const [one, other] = await tabs(t, fake, 2);
  const long = Array.from({ length: 300 }, (_, id) => id);
  const controller = new AbortController();
  const stopped = one.llm.score(long, { signal: controller.signal });
  const waiting = one.llm.score(long, { signal: controller.signal });
  const scores = [one, one, one].map(({ llm }) => llm.score(long));
  controller.abort();
  for (const call of [stopped, waiting]) await assert.rejects(call, { name: 'AbortError' });
  await Promise.all(scores);
  const lengths = fake.log.filter(([what]) => what === 'score').map(([, length]) => length);
  assert.deepEqual(lengths.slice(-9), [128, 256, 300, 128, 256, 300, 128, 256, 300]);
  // another tab does not wait for all of them
  const order = [];
  const first = [long, long, long].map((ids) => one.llm.score(ids).then(() => order.push('one')));
  await Promise.all([...first, other.llm.score([1, 2]).then(() => order.push('other'))]);
  assert.ok(order.indexOf('other') <= 1, order.join(' '));
});

/** A module for constraints that allows everything; `changes` are other methods of a constraint. */
const grammarsWith = (changes = {}) =>
  class {
    constrain() {
      return {
        ignored: () => [],
        mask: () => Uint32Array.of(7),
        forced: () => '',
        accept() {},
        may_end: () => true,
        must_end: () => false,
        free() {},
        ...changes,
      };
    }
  };

test('no chat waits while another fetches the module for its constraint', async (t) => {
  const network = gate();
  const grammars = async () => {
    await network.opened;
    return { Grammars: grammarsWith() };
  };
  const fake = new Noted();
  const [{ llm }] = await tabs(t, fake, 1, { grammars });
  const constrained = collect(llm.generate('constrained 1', { constraint: { choices: ['x'] } }));
  await settle();
  assert.equal(textOf(await collect(llm.generate('free 1 2'))), 'free 1 2 .');
  network.open();
  assert.equal(textOf(await constrained), 'constrained 1 .');
  const masked = fake.log.filter(([what]) => what === 'allow');
  assert.equal(masked.length, 3, 'only the constrained one has masks: at its start and behind each of its two tokens');
});

/** Four of them once took all places of their tab for as long as the network was stuck. */
test('an answer that is stopped while the module for its constraint is fetched gives back its place', async (t) => {
  const [{ llm }] = await tabs(t, new Noted(), 1, { grammars: () => new Promise(() => {}) });
  const controller = new AbortController();
  const stopped = ['a', 'b', 'c', 'd'].map((prompt) =>
    collect(llm.generate(prompt, { constraint: { choices: ['x'] }, signal: controller.signal })),
  );
  await settle();
  controller.abort();
  await Promise.all(stopped);
  assert.equal(textOf(await collect(llm.generate('free 1'))), 'free 1 .');
});

test('a crash of the module for constraints ends its own answer alone', async (t) => {
  const crash = () => {
    throw new WebAssembly.RuntimeError('unreachable');
  };
  // what Rust still borrows cannot be freed
  const free = () => {
    throw new Error('attempted to take ownership of Rust value while it was borrowed');
  };
  for (const method of ['mask', 'forced', 'accept', 'must_end']) {
    const fake = new Noted();
    const grammars = async () => ({ Grammars: grammarsWith({ [method]: crash, free }) });
    const [{ llm }] = await tabs(t, fake, 1, { grammars });
    const [, text] = await together(fake, llm, () => [
      assert.rejects(collect(llm.generate('constrained 1 2', { constraint: { choices: ['x'] } })), {
        code: 'INVALID_CONSTRAINT',
        message: /crashed: RuntimeError: unreachable/,
      }),
      collect(llm.generate('free 1 2')).then(textOf),
    ]);
    assert.equal(text, 'free 1 2 .');
    assert.deepEqual(fake.alive, [], method);
  }
});
