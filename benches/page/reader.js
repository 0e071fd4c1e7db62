// A thread that reads its memory whenever it is told to, and answers with the number of bytes.

const { instance } = await WebAssembly.instantiateStreaming(fetch('/reader.wasm'));
const { memory, read } = instance.exports;
const bytes = memory.buffer.byteLength;

// pages that were never written are all the same one
new Uint8Array(memory.buffer).fill(1);
// compiled for speed before the first round counts
for (let i = 0; i < 3; i += 1) read(bytes);

self.onmessage = () => {
  read(bytes);
  self.postMessage(bytes);
};
self.postMessage(0);
