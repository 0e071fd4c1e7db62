// Features that the worker requests of WebGPU in addition to wgpu's.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { extendDevices } from '../dist/worker/adapter.js';

afterEach(() => delete globalThis.GPUAdapter);

/** Requests a device of an adapter with these features; returns what the browser was asked for. */
async function ask(features, descriptor) {
  globalThis.GPUAdapter = class {
    features = new Set(features);
    async requestDevice(descriptor) {
      return { of: this, ...descriptor, requiredFeatures: [...descriptor.requiredFeatures] };
    }
  };
  extendDevices();
  const adapter = new globalThis.GPUAdapter();
  const { of, createShaderModule, createComputePipeline, ...asked } = await adapter.requestDevice(descriptor);
  assert.equal(of, adapter);
  assert.ok(createShaderModule && createComputePipeline, 'it compiles ahead');
  return asked;
}

test('a device has subgroups if its adapter has, and all that the caller asks for', async () => {
  const descriptor = { label: 'weft', requiredFeatures: ['shader-f16'], requiredLimits: { maxBufferSize: 7 } };
  assert.deepEqual(await ask(['subgroups', 'shader-f16'], descriptor), {
    ...descriptor,
    requiredFeatures: ['shader-f16', 'subgroups'],
  });
  assert.deepEqual(await ask(['subgroups'], undefined), { requiredFeatures: ['subgroups'] });
});

test('an adapter without subgroups is not asked for them', async () => {
  assert.deepEqual(await ask(['timestamp-query'], { requiredFeatures: [] }), { requiredFeatures: [] });
});

test('a browser without WebGPU is left alone', () => {
  assert.doesNotThrow(extendDevices);
});
