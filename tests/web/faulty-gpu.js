// Runs in the worker before the package does: the test says over a BroadcastChannel when the GPU is to fail.
//
// `{ readback: n, times: k }`: the device is destroyed in place of the n-th readback from now on, and so is each of the k - 1
// devices after it, in place of its first. `{ as: name }`: the adapter gives this name, so that it passes for a real GPU.

const channel = new BroadcastChannel('faults');
let device;
let readbacks = Infinity;
let times = 0;

const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (...args) {
  device = await requestDevice.apply(this, args);
  if (times > 0) readbacks = 1;
  return device;
};

const { mapAsync } = GPUBuffer.prototype;
GPUBuffer.prototype.mapAsync = function (...args) {
  readbacks -= 1;
  if (readbacks === 0) {
    times -= 1;
    device.destroy();
  }
  return mapAsync.apply(this, args);
};

channel.onmessage = ({ data }) => {
  if (data.readback) {
    readbacks = data.readback;
    times = data.times;
    channel.postMessage('armed');
  }
};

// `?as=name`, in the address of this file
const name = new URL(import.meta.url).searchParams.get('as');
if (name) {
  for (const key of ['vendor', 'architecture', 'device', 'description']) {
    Object.defineProperty(GPUAdapterInfo.prototype, key, { get: () => name });
  }
  for (const { prototype } of [GPUAdapter, GPUAdapterInfo]) {
    Object.defineProperty(prototype, 'isFallbackAdapter', { get: () => false });
  }
}
