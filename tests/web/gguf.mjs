// Writes GGUF files, version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
// Metadata are arrays of a key, a type and a value; the value of an array is its items' type and
// the items. A tensor has `name`, `dims` and `block`, a row of {@link BLOCKS}.

const TYPES = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 };

/** GGML's numbers for some block types, with bytes and values per block. */
export const BLOCKS = {
  F32: { id: 0, bytes: 4, values: 1 },
  Q4_0: { id: 2, bytes: 18, values: 32 },
  Q4_K: { id: 12, bytes: 144, values: 256 },
  Q6_K: { id: 14, bytes: 210, values: 256 },
};

/** A whole file; each tensor has `data` too. */
export function fileOf(metadata, tensors) {
  const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);
  return Buffer.concat([headerOf(metadata, tensors), ...tensors.map(({ data }) => padded(data))]);
}

/** The file up to the data of the first tensor. */
export function headerOf(metadata, tensors) {
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length)];
  for (const [key, type, value] of metadata) parts.push(string(key), u32(TYPES[type]), encode(type, value));
  let offset = 0;
  for (const tensor of tensors) {
    const { name, dims, block } = tensor;
    parts.push(string(name), u32(dims.length), ...dims.map(u64), u32(block.id), u64(offset));
    offset += dataBytes(tensor);
  }
  const header = Buffer.concat(parts);
  return Buffer.concat([header, Buffer.alloc(aligned(header.length) - header.length)]);
}

/** Bytes from the start of a tensor's data to the start of the next one's. */
export const dataBytes = ({ dims, block }) =>
  aligned((dims.reduce((product, dim) => product * dim, 1) * block.bytes) / block.values);

const aligned = (length) => Math.ceil(length / 32) * 32;

function encode(type, value) {
  switch (type) {
    case 'u32':
      return u32(value);
    case 'i32':
      return u32(value >>> 0);
    case 'f32':
      return Buffer.from(Float32Array.of(value).buffer);
    case 'string':
      return string(value);
    case 'array': {
      const [of, values] = value;
      return Buffer.concat([u32(TYPES[of]), u64(values.length), ...values.map((item) => encode(of, item))]);
    }
  }
}

const u32 = (value) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const string = (text) => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);
