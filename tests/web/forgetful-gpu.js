// Runs in the worker before the package does. The GPU forgets the weights of a model: in place of
// their buffers are small ones, what is written there is counted and dropped, and what would read
// them is not run. Everything else is done, so that shaders pass their tests.
//
// Over a BroadcastChannel, `'tell'` is answered with what was seen.

/** The labels of buffers of weights, which are the names of tensors. */
const WEIGHTS = /^(blk\.\d+\.|token_embd|output)/;

const memories = [];
const memoryBytes = () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);

/** The bytes that a buffer should have. */
const forgotten = new WeakMap();
/** Groups with such a buffer. */
const forgets = new WeakSet();

const seen = {
  /** Bytes of wasm memory when the first buffer of weights was made, and at the last write. */
  before: 0,
  after: 0,
  /** Bytes of the buffers that forget, and bytes written to them. */
  made: 0,
  written: 0,
};

const channel = new BroadcastChannel('forgetful');
channel.onmessage = ({ data }) => data === 'tell' && channel.postMessage({ ...seen, now: memoryBytes() });

const { Memory, instantiate } = WebAssembly;
WebAssembly.Memory = function (...args) {
  const memory = new Memory(...args);
  memories.push(memory);
  return memory;
};
WebAssembly.instantiate = async function (...args) {
  const instance = await instantiate.apply(this, args);
  const { memory } = (instance.instance ?? instance).exports;
  if (memory && !memories.includes(memory)) memories.push(memory);
  return instance;
};

const { createBuffer, createBindGroup, createShaderModule } = GPUDevice.prototype;

// kernels of software adapters are told the lengths of weights, which these buffers do not have
GPUDevice.prototype.createShaderModule = function (descriptor) {
  const code = descriptor.code.replaceAll(/, (?:QUANTS|SCALES)_LENGTH>/g, '>');
  return createShaderModule.call(this, { ...descriptor, code });
};

GPUDevice.prototype.createBuffer = function (descriptor) {
  const { label, size } = descriptor;
  if (!WEIGHTS.test(label)) return createBuffer.call(this, descriptor);
  seen.before ||= memoryBytes();
  seen.made += size;
  const buffer = createBuffer.call(this, { ...descriptor, size: 16 });
  forgotten.set(buffer, size);
  return buffer;
};

GPUDevice.prototype.createBindGroup = function (descriptor) {
  let isForgetful = false;
  const entries = [...descriptor.entries].map((entry) => {
    const buffer = entry.resource.buffer ?? entry.resource;
    if (!forgotten.has(buffer)) return entry;
    isForgetful = true;
    return { ...entry, resource: { buffer } };
  });
  const group = createBindGroup.call(this, { ...descriptor, entries });
  if (isForgetful) forgets.add(group);
  return group;
};

const { writeBuffer } = GPUQueue.prototype;
GPUQueue.prototype.writeBuffer = function (buffer, offset, data, start = 0, length = undefined) {
  const size = forgotten.get(buffer);
  if (size === undefined) return writeBuffer.call(this, buffer, offset, data, start, length);
  // `start` and `length` count elements, which are bytes here
  const bytes = length ?? data.length - start;
  if (offset + bytes > size) throw new RangeError(`${bytes} bytes at ${offset} of a buffer of ${size}`);
  seen.written += bytes;
  seen.after = memoryBytes();
};

/** The last group, by pass. */
const groups = new WeakMap();
const { setBindGroup, dispatchWorkgroups } = GPUComputePassEncoder.prototype;
GPUComputePassEncoder.prototype.setBindGroup = function (index, group, ...rest) {
  groups.set(this, group);
  return setBindGroup.call(this, index, group, ...rest);
};
GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...args) {
  if (!forgets.has(groups.get(this))) dispatchWorkgroups.apply(this, args);
};
