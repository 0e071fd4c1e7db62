// Llama 3.1 8B in Q4_K_M, as large as the published file, which is made while it is sent: a header,
// then weights that repeat.

import { pipeline } from 'node:stream/promises';
import { BLOCKS, dataBytes, headerOf } from './gguf.mjs';

const LAYERS = 32;
const HIDDEN = 4096;
const FFN = 14_336;
const KV = 1024;
const VOCABULARY = 128_256;

/** The bytes that weights repeat. Those of vectors are numbers from 0.5 to 2. */
const PATTERN = Buffer.alloc(1 << 20).map((_, at) => (at % 4 === 3 ? 0x3f : (at * 2_654_435_761) >>> 13));

/**
 * The model, cut after so many layers. `bytes`: its length. `handle(request, response)` responds
 * with it, or with the range that is asked for.
 */
export function largeModel(layers = LAYERS) {
  const tensors = tensorsOf(layers);
  const header = headerOf(metadata(layers), tensors);
  const bytes = tensors.reduce((sum, tensor) => sum + dataBytes(tensor), header.length);
  const handle = async (request, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range) ?? [];
    const [start, end] = [Number(from ?? 0), to ? Number(to) + 1 : bytes];
    response.setHeader('Accept-Ranges', 'bytes').setHeader('Content-Length', end - start);
    if (from !== undefined) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${bytes}`);
    response.writeHead(from === undefined ? 200 : 206, { 'Content-Type': 'application/octet-stream' });
    const pieces = function* () {
      for (let at = start; at < end;) {
        const left = end - at;
        const place = (at - header.length) % PATTERN.length;
        const piece = at < header.length ? header.subarray(at, at + left) : PATTERN.subarray(place, place + left);
        at += piece.length;
        yield piece;
      }
    };
    // a reader that has enough ends it
    await pipeline(pieces, response).catch(() => undefined);
  };
  return { bytes, handle };
}

function tensorsOf(layers) {
  const tensors = [];
  const tensor = (name, block, ...dims) => tensors.push({ name: `${name}.weight`, dims, block: BLOCKS[block] });
  tensor('token_embd', 'Q4_K', HIDDEN, VOCABULARY);
  tensor('output', 'Q6_K', HIDDEN, VOCABULARY);
  tensor('output_norm', 'F32', HIDDEN);
  for (let layer = 0; layer < layers; layer += 1) {
    const part = (name, ...about) => tensor(`blk.${layer}.${name}`, ...about);
    // llama.cpp keeps more bits in the first and the last eighth and in every third layer between
    const eighth = LAYERS / 8;
    const more = layer < eighth || layer >= LAYERS - eighth || (layer - eighth) % 3 === 2 ? 'Q6_K' : 'Q4_K';
    part('attn_q', 'Q4_K', HIDDEN, HIDDEN);
    part('attn_k', 'Q4_K', HIDDEN, KV);
    part('attn_v', more, HIDDEN, KV);
    part('attn_output', 'Q4_K', HIDDEN, HIDDEN);
    part('ffn_gate', 'Q4_K', HIDDEN, FFN);
    part('ffn_up', 'Q4_K', HIDDEN, FFN);
    part('ffn_down', more, FFN, HIDDEN);
    part('attn_norm', 'F32', HIDDEN);
    part('ffn_norm', 'F32', HIDDEN);
  }
  return tensors;
}

function metadata(layers) {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const words = Array.from({ length: VOCABULARY - 259 }, (_, index) => `token${String(index + 259).padStart(6, '0')}`);
  return [
    ['general.architecture', 'string', 'llama'],
    ['llama.block_count', 'u32', layers],
    ['llama.context_length', 'u32', 131_072],
    ['llama.embedding_length', 'u32', HIDDEN],
    ['llama.feed_forward_length', 'u32', FFN],
    ['llama.attention.head_count', 'u32', 32],
    ['llama.attention.head_count_kv', 'u32', 8],
    ['llama.attention.layer_norm_rms_epsilon', 'f32', 1e-5],
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.tokens', 'array', ['string', ['<unk>', '<s>', '</s>', ...bytes, ...words]]],
    ['tokenizer.ggml.scores', 'array', ['f32', Array(VOCABULARY).fill(0)]],
    ['tokenizer.ggml.token_type', 'array', ['i32', [2, 3, 3, ...Array(256).fill(6), ...words.map(() => 1)]]],
    ['tokenizer.ggml.bos_token_id', 'u32', 1],
    ['tokenizer.ggml.eos_token_id', 'u32', 2],
    ['tokenizer.ggml.unknown_token_id', 'u32', 0],
  ];
}
