// The choice of build and number of threads, and threads that fail.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allBuilds } from '../dist/all-builds.js';
import { BUILDS } from '../dist/common/builds.js';
import { WeftError } from '../dist/common/errors.js';
import { chooseBuild, threadsFor } from '../dist/worker/builds.js';
import { hasRelaxedSimd, isIsolated, sharedMemory } from '../dist/worker/features.js';
import { checkLoad } from '../dist/options/load.js';
import { connectDedicated } from '../dist/page/dedicated.js';
import { Threads } from '../dist/page/threads.js';
import { Threads as ThreadsAsking } from '../dist/worker/threads.js';
import { settle } from './support/fake.mjs';

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
function fakeWorkers(t) {
  const workers = [];
  globalThis.Worker = class {
    constructor(url, { name }) {
      Object.assign(this, { url: String(url), name, posted: [], ended: 0 });
      workers.push(this);
    }
    postMessage(message) {
      this.posted.push(message);
    }
    terminate() {
      this.ended += 1;
    }
  };
  t.after(() => delete globalThis.Worker);
  return workers;
}

/** Both ends: what the worker asks for, the page starts. */
function threadsOf(t) {
  const [asking, starting] = [new ThreadsAsking(), new Threads()];
  const crashes = [];
  const start = { build: 'weft-threads', module: 'module', memory: 'memory' };
  asking.start(2, start, (asked) => {
    t.after(() => asked.failed.close());
    starting.start(asked, (error) => crashes.push(error));
  });
  return { asking, starting, crashes, start };
}

test('threads get the module and the memory, and one that fails to start is left out', async (t) => {
  const workers = fakeWorkers(t);
  const { asking, starting, start } = threadsOf(t);
  assert.equal(asking.running, 3);
  for (const { name, posted } of workers) assert.deepEqual([name, posted], ['weft-thread', [start]]);
  let prevented = 0;
  workers[0].onerror({ preventDefault: () => (prevented += 1) });
  await settle();
  assert.equal(prevented, 1);
  assert.equal(asking.running, 2);
  starting.end();
  starting.end();
  assert.deepEqual(
    workers.map(({ ended }) => ended),
    [1, 1],
  );
});

test('a browser that refuses more workers has one thread', async (t) => {
  globalThis.Worker = class {
    constructor() {
      throw new DOMException('forbidden', 'SecurityError');
    }
  };
  t.after(() => delete globalThis.Worker);
  const { asking } = threadsOf(t);
  await settle();
  assert.equal(asking.running, 1);
});

test('a thread that crashes ends the model, even while the worker is busy', async (t) => {
  const workers = fakeWorkers(t);
  const connection = connectDedicated();
  const never = assert.rejects(connection.request({ type: 'never answered' }), { code: 'CRASHED', message: 'trap' });
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const asked = { count: 1, start: { build: 'weft-threads' }, failed: port2 };
  const [worker] = workers;
  worker.onmessage({ data: { type: 'threads', asked } });
  const [, thread] = workers;
  thread.onmessage({ data: { code: 'CRASHED', message: 'trap' } });
  await never;
  assert.deepEqual([worker.ended, thread.ended], [1, 1]);
});

test('a worker that has ended gets no threads', (t) => {
  const workers = fakeWorkers(t);
  const connection = connectDedicated();
  connection.fail(new WeftError('DISPOSED', 'over'));
  workers[0].onmessage({ data: { type: 'threads', asked: { count: 1, start: {}, failed: {} } } });
  assert.equal(workers.length, 1);
});
