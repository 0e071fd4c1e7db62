// Several clients of one model: turns, replies, and clients that leave without harm to the others.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { browserDownloads } from '../dist/download/browser.js';
import { Connection } from '../dist/page/connection.js';
import { createLlm } from '../dist/page/llm.js';
import { checkLoad } from '../dist/options/load.js';
import { Service } from '../dist/worker/serve.js';
import { nameOf, VERSION } from '../dist/page/shared.js';
import { collect, FakeLlm, fakeRuntime, gate, INFO, loadCall, settle, textOf } from './support/fake.mjs';

const call = loadCall([new Blob(['x'])], { device: 'auto' });

/**
 * A service, how often it became unused, and `open()`: connects to it, with a way to drop the
 * connection as if its page were closed.
 */
function service(t, llm, start = async () => fakeRuntime(llm)) {
  const state = { unused: 0 };
  const served = new Service(start, browserDownloads, () => (state.unused += 1));
  const open = () => {
    const { port1, port2 } = new MessageChannel();
    t.after(() => port1.close());
    return { connection: new Connection(port1, () => port1.close()), drop: served.connect(port2) };
  };
  return Object.assign(state, { service: served, open });
}

/** `count` pages with the model loaded. */
async function pages(t, llm, count) {
  const shared = service(t, llm);
  const opened = Array.from({ length: count }, shared.open);
  const loaded = await Promise.all(opened.map(({ connection }) => connection.request(call)));
  const pages = opened.map((page, index) => ({ ...page, llm: createLlm(page.connection, loaded[index]) }));
  return Object.assign(shared, { pages });
}

const started = (fake) => fake.log.filter(([what]) => what === 'start').map(([, name]) => name);

test('a page with twenty calls leaves places for other pages', async (t) => {
  const held = gate();
  const fake = new FakeLlm((event, name) => (name === 'a0' ? held.opened : undefined));
  const {
    pages: [a, b, c],
  } = await pages(t, fake, 3);
  const many = Array.from({ length: 20 }, (_, index) => collect(a.llm.generate(`a${index}`)));
  await settle();
  const few = ['b0', 'b1'].map((prompt) => collect(b.llm.generate(prompt)));
  await settle();
  const one = collect(c.llm.generate('c0'));
  await settle();
  held.open();
  const answers = await Promise.all([...many, ...few, one]);
  assert.deepEqual(started(fake).slice(0, 7), ['a0', 'a1', 'a2', 'a3', 'b0', 'c0', 'b1']);
  assert.equal(textOf(answers.at(-1)), 'c0 .');
  assert.deepEqual(
    started(fake).filter((name) => name.startsWith('a')),
    many.map((_, index) => `a${index}`),
  );
});

test('a call cancelled before its first step never begins', async (t) => {
  const held = gate();
  const fake = new FakeLlm((event, name) => (name === 'a0' ? held.opened : undefined));
  const {
    pages: [a, b],
  } = await pages(t, fake, 2);
  const controller = new AbortController();
  const first = collect(a.llm.generate('a0'));
  await settle();
  const given = collect(b.llm.generate('b0', { signal: controller.signal }));
  const kept = collect(b.llm.generate('b1'));
  const last = collect(a.llm.generate('a1'));
  await settle();
  controller.abort();
  assert.equal((await given).at(-1).finish.reason, 'abort');
  await settle(); // the worker learns of it
  held.open();
  await Promise.all([first, kept, last]);
  assert.deepEqual(started(fake), ['a0', 'a1', 'b1']);
});

test('pages that come during a load get its progress and model; later pages get the model at once', async (t) => {
  const held = gate();
  let starts = 0;
  const fake = new FakeLlm();
  const { open } = service(t, fake, async () => {
    starts += 1;
    await held.opened;
    return fakeRuntime(fake);
  });
  const heard = [[], [], []];
  const request = (index) => open().connection.request(call, ({ phase }) => heard[index].push(phase));
  const first = request(0);
  await settle();
  const second = request(1);
  await settle();
  assert.equal(heard[1][0], heard[0].at(-1), 'what is known is told to who comes');
  const before = heard[0].length - 1;
  held.open();
  const [one, two] = await Promise.all([first, second]);
  assert.deepEqual(one, two);
  assert.equal(one.name, INFO.name);
  assert.deepEqual(heard[1], heard[0].slice(before));
  assert.equal(heard[1].at(-1), 'prepare');
  assert.deepEqual(await request(2), one);
  assert.deepEqual(heard[2], ['prepare']);
  assert.equal(starts, 1);
});

test('a failed load fails for all waiting pages and ends the worker', async (t) => {
  const held = gate();
  const fake = new FakeLlm();
  const shared = service(t, fake, async () => {
    await held.opened;
    throw Object.assign(new Error('no adapter'), { code: 'GPU_UNAVAILABLE' });
  });
  const loads = [shared.open(), shared.open()].map(({ connection }) => connection.request(call));
  const failed = loads.map((load) => assert.rejects(load, { code: 'GPU_UNAVAILABLE', message: 'no adapter' }));
  await settle();
  held.open();
  await Promise.all(failed);
  assert.deepEqual([shared.service.ended, shared.service.used, shared.unused], [true, false, 0]);
});

test('a page that aborts a load leaves it to the others; the last one ends the worker', async (t) => {
  const held = gate();
  const fake = new FakeLlm();
  const shared = service(t, fake, () => held.opened.then(() => fakeRuntime(fake)));
  const [first, second, third] = [shared.open(), shared.open(), shared.open()];
  const heard = [];
  first.connection.request(call, () => heard.push('first')).catch(() => undefined);
  const loading = second.connection.request(call);
  await settle();
  const before = heard.length;
  first.drop();
  assert.deepEqual([shared.service.used, shared.unused], [true, 0]);
  held.open();
  assert.equal((await loading).name, INFO.name);
  assert.equal(heard.length, before);
  second.drop();
  second.drop();
  assert.equal(shared.unused, 0);
  third.drop();
  assert.deepEqual([shared.service.used, shared.unused], [false, 1]);
});

test('a page closed during its answer leaves the model to the others', async (t) => {
  const held = gate();
  const fake = new FakeLlm((event, name) => (name === 'a0' && event.id === 0 ? held.opened : undefined));
  const {
    pages: [a, b],
  } = await pages(t, fake, 2);
  void collect(a.llm.generate('a0 x y z'));
  void collect(a.llm.generate('a1'));
  await settle();
  const other = collect(b.llm.generate('b0'));
  await settle();
  a.drop();
  held.open();
  assert.equal(textOf(await other), 'b0 .');
  await settle();
  assert.deepEqual(started(fake), ['a0', 'a1', 'b0']);
  assert.equal(fake.log.filter(([what]) => what === 'stop').length, 3);
});

test('a crash of the engine is CRASHED in every page and ends the worker', async (t) => {
  const fake = new FakeLlm((event) => {
    if (event.type === 'token') throw new WebAssembly.RuntimeError('unreachable');
  });
  const shared = await pages(t, fake, 3);
  const [a, b, idle] = shared.pages;
  const answers = [collect(a.llm.generate('a')), collect(b.llm.generate('b'))];
  await Promise.all(answers.map((answer) => assert.rejects(answer, { code: 'CRASHED', message: /unreachable/ })));
  await settle();
  await assert.rejects(idle.llm.tokenize('later'), { code: 'CRASHED', message: /unreachable/ });
  assert.equal(shared.service.ended, true);
  for (const { drop } of shared.pages) drop();
  assert.equal(shared.unused, 1);
});

test('every page is told of a reload', async (t) => {
  let lost = false;
  const fake = new FakeLlm((event) => {
    if (event.type !== 'token' || lost) return;
    lost = true;
    throw Object.assign(new Error('gone'), { code: 'DEVICE_LOST' });
  });
  const {
    pages: [a, b],
  } = await pages(t, fake, 2);
  assert.equal(textOf(await collect(a.llm.generate('a b'))), 'a b .');
  assert.deepEqual(
    [a, b].map(({ llm }) => llm.info.engine.deviceLosses),
    [1, 1],
  );
});

test('only sources and options that every tab can have are shared', () => {
  const shared = (options) => () => checkLoad({ shared: true, model: 'http://localhost/m', ...options });
  for (const model of [new Blob(['x']), new ReadableStream(), ['http://localhost/m', new Blob()], 'blob:http://x/1']) {
    assert.throws(shared({ model }), { code: 'INVALID_OPTION', message: /`model`.*or no `shared`/ });
  }
  assert.throws(shared({ fetch }), { code: 'INVALID_OPTION', message: /`fetch`.*or no `shared`/ });
  assert.throws(shared({ shared: 1 }), { code: 'INVALID_OPTION', message: /`shared`: expected a boolean/ });
  assert.equal(shared({ model: ['http://localhost/m', new URL('http://localhost/n')] })().files.length, 2);
});

test('the same options give the same worker, and others another', () => {
  const model = 'http://localhost/m';
  const name = (options) => nameOf(checkLoad({ model, ...options }));
  assert.equal(name({}), name({ shared: true, store: true, device: 'auto', threads: 2, token: 'secret' }));
  assert.ok(!name({ token: 'secret' }).includes('secret'));
  const others = [
    { model: `${model}2` },
    { model: [model, model] },
    { device: 'cpu' },
    { contextLength: 64 },
    { prefixCache: { maxBytes: 0 } },
    { store: false },
    { store: { required: true } },
    { sha256: '0'.repeat(64) },
  ];
  assert.equal(new Set([{}, ...others].map(name)).size, others.length + 1);
});

test('pages of two versions of the package share nothing', () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  assert.equal(VERSION, version);
});
