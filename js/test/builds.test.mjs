// The choice of build and number of threads, and threads that fail.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allBuilds } from '../dist/all-builds.js';
import { BUILDS } from '../dist/common/builds.js';
import { chooseBuild, threadsFor } from '../dist/worker/builds.js';
import { hasRelaxedSimd, isIsolated, sharedMemory } from '../dist/worker/features.js';
import { checkLoad } from '../dist/options/load.js';
import { Threads } from '../dist/worker/threads.js';
import { connect, fakeRuntime, FakeLlm, settle } from './support/fake.mjs';

const ALL = Object.fromEntries(BUILDS.map((build) => [build, `http://localhost/${build}.wasm.gz`]));

/** The build that a browser gets, of those that an app ships, on one thread or two. */
const chosen = (shipped, relaxed, memory, threads = 2) =>
  chooseBuild(threads, shipped, { hasRelaxedSimd: () => relaxed, sharedMemory: () => memory });

test('each combination of features has one build', () => {
  const memory = {};
  assert.deepEqual(chosen(ALL, false, undefined), { build: 'weft', memory: undefined });
  assert.deepEqual(chosen(ALL, true, undefined), { build: 'weft-relaxed', memory: undefined });
  assert.deepEqual(chosen(ALL, false, memory), { build: 'weft-threads', memory });
  assert.deepEqual(chosen(ALL, true, memory), { build: 'weft-relaxed-threads', memory });
  assert.deepEqual(chosen(ALL, true, memory, 1), { build: 'weft-relaxed', memory: undefined });
  assert.deepEqual(chosen(ALL, false, memory, 1), { build: 'weft', memory: undefined });
});

test('of the two default builds, the threaded one needs all features, and plain SIMD runs elsewhere', () => {
  const { modules } = checkLoad({ model: 'http://localhost/m' });
  const memory = {};
  assert.deepEqual(chosen(modules, true, memory), { build: 'weft-relaxed-threads', memory });
  assert.deepEqual(chosen(modules, true, memory, 1), { build: 'weft-relaxed-threads', memory });
  assert.deepEqual(chosen(modules, true, undefined), { build: 'weft', memory: undefined });
  assert.deepEqual(chosen(modules, false, memory), { build: 'weft', memory: undefined });
});

test('the option builds adds builds, and is checked', () => {
  const call = checkLoad({ model: 'http://localhost/m', builds: allBuilds() });
  assert.deepEqual(Object.keys(call.modules).sort(), ['weft-grammar', ...BUILDS].sort());
  for (const wrong of [null, 1, allBuilds, { weft: 1 }, { 'weft-fast': 'http://localhost/x' }, { weft: './x' }]) {
    assert.throws(() => checkLoad({ model: 'http://localhost/m', builds: wrong }), {
      code: 'INVALID_OPTION',
      message: /`builds`: expected what `allBuilds\(\)` gives/,
    });
  }
});

test('threads: as many as asked for, all of a few processors, half of many, none for a GPU', () => {
  const byDefault = [1, 2, 3, 4, 6, 8, 12, 16, 128].map((processors) => threadsFor('auto', null, processors));
  assert.deepEqual(byDefault, [1, 2, 3, 4, 4, 4, 6, 8, 8]);
  assert.equal(threadsFor('cpu', 3, 16), 3);
  assert.equal(threadsFor('cpu', 20, 2), 20);
  assert.equal(threadsFor('gpu', null, 8), 1);
  assert.equal(threadsFor('gpu', 4, 8), 1);
});

test('the option threads is checked', () => {
  const threads = (threads) => checkLoad({ model: 'http://localhost/m', threads }).threads;
  assert.equal(threads(1), 1);
  assert.equal(threads(64), 64);
  assert.equal(threads(undefined), null);
  for (const wrong of [0, 1.5, 65, '2', null, NaN]) {
    assert.throws(() => threads(wrong), { code: 'INVALID_OPTION', message: /`threads`: expected an integer of at/ });
  }
});

test('the probe for relaxed SIMD is a valid module', (t) => {
  let asked;
  t.mock.method(WebAssembly, 'validate', (bytes) => ((asked = bytes), true));
  assert.equal(hasRelaxedSimd(), true);
  t.mock.restoreAll();
  // With its relaxed instruction replaced by v128.xor and a drop, every engine with SIMD must
  // accept it.
  const plain = Uint8Array.from(asked);
  const at = plain.findLastIndex((byte) => byte === 0xfd);
  assert.deepEqual([...plain.subarray(at)], [0xfd, 0x93, 0x02, 0x0b]);
  plain.set([0xfd, 0x51, 0x1a], at); // one vector stays on the stack
  assert.equal(WebAssembly.validate(plain), true);
});

test('workers share a memory if the page is isolated', (t) => {
  assert.equal(isIsolated(), false);
  globalThis.crossOriginIsolated = true;
  t.after(() => delete globalThis.crossOriginIsolated);
  assert.equal(isIsolated(), true);
});

test('a shared memory is as large as the browser allows', (t) => {
  const { Memory } = WebAssembly;
  t.after(() => (WebAssembly.Memory = Memory));
  const allowing = (most) => {
    WebAssembly.Memory = class {
      constructor(limits) {
        if (limits.maximum > most) throw new RangeError('could not allocate memory');
        Object.assign(this, limits);
      }
    };
    return sharedMemory()?.maximum;
  };
  assert.deepEqual([65536, 40000, 16384, 100].map(allowing), [65536, 32768, 16384, undefined]);
});

/** Replaces the global Worker; returns the workers that are created. */
function fakeThreads(t) {
  const workers = [];
  globalThis.location = new URL('http://localhost/weft-worker.js');
  globalThis.Worker = class {
    constructor(url) {
      this.url = String(url);
      workers.push(this);
    }
    postMessage(start, transfer) {
      Object.assign(this, { start, transfer });
    }
  };
  t.after(() => {
    delete globalThis.Worker;
    delete globalThis.location;
    workers.forEach(({ start }) => start.crash.close());
  });
  return workers;
}

test('threads get the module and the memory, and one that fails to start is left out', (t) => {
  const workers = fakeThreads(t);
  const threads = new Threads();
  const watched = [];
  threads.start(2, { build: 'weft-threads', module: 'module', memory: 'memory' }, (port) => watched.push(port));
  t.after(() => watched.forEach((port) => port.close()));
  assert.equal(threads.running, 3);
  assert.equal(workers.length, 2);
  for (const { url, start, transfer } of workers) {
    assert.equal(url, 'http://localhost/weft-worker.js', 'the address of the worker itself');
    assert.deepEqual([start.build, start.module, start.memory], ['weft-threads', 'module', 'memory']);
    assert.deepEqual(transfer, [start.crash]);
  }
  let prevented = 0;
  workers[0].onerror({ preventDefault: () => (prevented += 1) });
  assert.equal(prevented, 1);
  assert.equal(threads.running, 2);
  assert.equal(watched.length, 2);
});

test('a browser that forbids workers within workers has one thread', (t) => {
  globalThis.Worker = class {
    constructor() {
      throw new DOMException('forbidden', 'SecurityError');
    }
  };
  t.after(() => delete globalThis.Worker);
  const threads = new Threads();
  threads.start(2, { build: 'weft-threads' }, () => assert.fail('there is nothing to watch'));
  assert.equal(threads.running, 1);
});

test('a thread that crashes ends the model, even while the worker is busy', async (t) => {
  const { connection, closed } = connect(t, fakeRuntime(new FakeLlm()));
  const { port1, port2 } = new MessageChannel();
  t.after(() => port2.close());
  const never = assert.rejects(connection.request({ type: 'never answered' }), { code: 'CRASHED', message: 'trap' });
  connection.watch(port1);
  port2.postMessage({ code: 'CRASHED', message: 'trap' });
  await never;
  await settle();
  assert.equal(closed.times, 1);
});
