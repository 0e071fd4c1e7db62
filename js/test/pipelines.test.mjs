// Pipelines that a device compiles ahead.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileAhead } from '../dist/worker/pipelines.js';
import { gate, settle } from './support/fake.mjs';

/**
 * A device whose pipelines are compiled when `compile` is called with their labels, and fail with
 * an error instead if there is one. `calls`: what the browser was asked for.
 */
function fakeDevice() {
  const [calls, gates] = [[], new Map()];
  const device = {
    createShaderModule({ label, code }) {
      assert.equal(this, device);
      calls.push(`module ${label}`);
      return { code, getCompilationInfo: async () => ({ messages: [`of ${label}`] }) };
    },
    createComputePipeline({ label, compute }) {
      assert.equal(this, device);
      calls.push(`now ${label}`);
      return `${compute.module.code}, at once`;
    },
    async createComputePipelineAsync({ label, layout, compute }) {
      assert.equal(this, device);
      assert.deepEqual([layout, compute.entryPoint], ['auto', 'main']);
      calls.push(`ahead ${label}`);
      const done = gate();
      gates.set(label, done.open);
      const error = await done.opened;
      if (error) throw error;
      return `${compute.module.code}, ahead`;
    },
  };
  compileAhead(device);
  return { device, calls, compile: (label, error) => gates.get(label)(error) };
}

/** As the engine makes a pipeline from a module. */
const pipelineOf = (device, label, module) =>
  device.createComputePipeline({ label, compute: { module, entryPoint: 'main' } });

test('a pipeline that was announced is compiled ahead, and given once', async () => {
  const { device, calls, compile } = fakeDevice();
  const [first, second] = ['a k=1', 'a k=2'].map((label) =>
    device.createShaderModule({ label, code: `code of ${label}` }),
  );
  const infos = [first, second].map((module) => module.getCompilationInfo());
  // in the order of the announcements
  assert.deepEqual(calls, ['module a k=1', 'module a k=2', 'ahead a k=1', 'ahead a k=2']);
  const told = [];
  infos.forEach((info, index) => void info.then(({ messages }) => told.push([index, messages])));
  await settle();
  assert.deepEqual(told, []);
  compile('a k=2');
  await settle();
  assert.deepEqual(told, [[1, []]]);
  assert.equal(pipelineOf(device, 'a k=2', second), 'code of a k=2, ahead');
  compile('a k=1');
  await Promise.all(infos);
  assert.equal(pipelineOf(device, 'a k=1', first), 'code of a k=1, ahead');
  assert.equal(calls.length, 4);
  // a cache that was emptied makes it anew
  assert.equal(pipelineOf(device, 'a k=1', first), 'code of a k=1, at once');
});

test('what was not announced, or is needed before it is compiled, is compiled at once', async () => {
  const { device, calls } = fakeDevice();
  const module = device.createShaderModule({ label: 'a', code: 'code' });
  assert.equal(pipelineOf(device, 'a', module), 'code, at once');
  const other = device.createShaderModule({ label: 'b', code: 'other code' });
  void other.getCompilationInfo();
  assert.equal(pipelineOf(device, 'b', other), 'other code, at once');
  assert.deepEqual(calls, ['module a', 'now a', 'module b', 'ahead b', 'now b']);
});

test('a pipeline that fails is asked for again, so that the failure is reported as ever', async () => {
  const { device, calls, compile } = fakeDevice();
  const module = device.createShaderModule({ label: 'a', code: 'code' });
  const info = module.getCompilationInfo();
  compile('a', new Error('the driver gave up'));
  assert.deepEqual(await info, { messages: [] });
  assert.equal(pipelineOf(device, 'a', module), 'code, at once');
  assert.deepEqual(calls, ['module a', 'ahead a', 'now a']);
});

test('a module without a label is left alone', async () => {
  const { device, calls } = fakeDevice();
  const module = device.createShaderModule({ code: 'code' });
  assert.deepEqual(await module.getCompilationInfo(), { messages: ['of undefined'] });
  assert.equal(device.createComputePipeline({ compute: { module } }), 'code, at once');
  assert.deepEqual(calls, ['module undefined', 'now undefined']);
});
