// Runs in the worker before the package does, and lets things fail. In the address of this file:
//
// `as=name`: the adapter gives this name, so that it passes for a real GPU.
// `break=word`: shaders with this word in their label do nothing.
// `memory=n`: the driver has n MiB for all buffers together.
// `pages=n`: a shared memory has at most so many pages of 64 KiB.
//
// Over a BroadcastChannel, `{ readback: n, times: k }`: the device is destroyed in place of the
// n-th readback from now on, and so is each of the k - 1 devices after it, in place of its first.

const fault = new URL(import.meta.url).searchParams;

const channel = new BroadcastChannel('faults');
let device;
let readbacks = Infinity;
let times = 0;

channel.onmessage = ({ data }) => {
  if (!data.readback) return;
  readbacks = data.readback;
  times = data.times;
  channel.postMessage('armed');
};

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

if (fault.has('as')) {
  for (const key of ['vendor', 'architecture', 'device', 'description']) {
    Object.defineProperty(GPUAdapterInfo.prototype, key, { get: () => fault.get('as') });
  }
  for (const { prototype } of [GPUAdapter, GPUAdapterInfo]) {
    Object.defineProperty(prototype, 'isFallbackAdapter', { get: () => false });
  }
}

if (fault.has('break')) {
  const { createShaderModule } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    const words = descriptor.label?.split(' ') ?? [];
    const breaks = words.includes(fault.get('break'));
    const code = breaks ? descriptor.code.replace(/fn main\([^{]*\{/, '$& return;') : descriptor.code;
    return createShaderModule.call(this, { ...descriptor, code });
  };
}

if (fault.has('memory')) {
  const { createBuffer, popErrorScope } = GPUDevice.prototype;
  let left = Number(fault.get('memory')) << 20;
  let refused = false;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    if (descriptor.size <= left) {
      left -= descriptor.size;
      return createBuffer.call(this, descriptor);
    }
    // As a real driver's refusal, it leaves an invalid buffer, every use of which is an error too.
    refused = true;
    this.pushErrorScope('validation');
    const invalid = createBuffer.call(this, { ...descriptor, size: this.limits.maxBufferSize + 16 });
    popErrorScope.call(this);
    return invalid;
  };
  GPUDevice.prototype.popErrorScope = function () {
    const popped = popErrorScope.call(this);
    if (!refused) return popped;
    refused = false;
    return popped.then(() => new GPUOutOfMemoryError('the driver has no more memory'));
  };
}

if (fault.has('pages')) {
  const { Memory } = WebAssembly;
  WebAssembly.Memory = function (descriptor) {
    return new Memory({ ...descriptor, maximum: Number(fault.get('pages')) });
  };
}
