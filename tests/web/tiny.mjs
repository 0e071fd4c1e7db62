// A complete model with about 100,000 random weights in a GGUF file, which loads at once and whose
// numbers a test can spoil.

import { BLOCKS, fileOf } from './gguf.mjs';

const HIDDEN = 64;
const FFN = 96;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD_DIM = 16;
const LAYERS = 2;
const VOCABULARY = 3 + 256;
/** The token that ends an answer. */
const END = 2;

/**
 * The file. `context`: trained context length in its header.
 * `ffn`: width of the feed-forward block.
 * `template`: its chat template, if any.
 * `spoil(name, values)` may change the values of a vector; their names end in `norm.weight`.
 * `endless`: never ends an answer by itself, unless nothing else is allowed: the end token is as
 * likely as the median token, and sampling takes the 40 likeliest.
 */
export function tinyModel({ context = 512, ffn = FFN, seed = 1, template, endless = false, spoil = () => {} } = {}) {
  const random = generator(seed);
  const tensors = [];
  const matrix = (name, cols, rows) => {
    const { bytes, values } = BLOCKS.Q4_0;
    const data = new Uint8Array((rows * cols * bytes) / values).map(() => random() * 256);
    // each block starts with its scale, an f16 of about 1/50
    for (let block = 0; block < data.length; block += bytes) data.set([data[block], 0x25], block);
    tensors.push({ name: `${name}.weight`, dims: [cols, rows], block: BLOCKS.Q4_0, data });
  };
  const norm = (name) => {
    const values = new Float32Array(HIDDEN).map(() => 0.5 + random());
    spoil(`${name}.weight`, values);
    tensors.push({ name: `${name}.weight`, dims: [HIDDEN], block: BLOCKS.F32, data: new Uint8Array(values.buffer) });
  };
  matrix('token_embd', HIDDEN, VOCABULARY);
  if (endless) {
    const [{ data }] = tensors;
    const row = data.length / VOCABULARY;
    data.fill(0, END * row, (END + 1) * row);
  }
  for (let layer = 0; layer < LAYERS; layer += 1) {
    const part = (name) => `blk.${layer}.${name}`;
    matrix(part('attn_q'), HIDDEN, HEADS * HEAD_DIM);
    matrix(part('attn_k'), HIDDEN, KV_HEADS * HEAD_DIM);
    matrix(part('attn_v'), HIDDEN, KV_HEADS * HEAD_DIM);
    matrix(part('attn_output'), HEADS * HEAD_DIM, HIDDEN);
    matrix(part('ffn_gate'), HIDDEN, ffn);
    matrix(part('ffn_up'), HIDDEN, ffn);
    matrix(part('ffn_down'), ffn, HIDDEN);
    norm(part('attn_norm'));
    norm(part('ffn_norm'));
  }
  norm('output_norm');
  return fileOf(metadata(context, ffn, template), tensors);
}

function metadata(context, ffn, template) {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  return [
    ['general.architecture', 'string', 'llama'],
    ['llama.block_count', 'u32', LAYERS],
    ['llama.context_length', 'u32', context],
    ['llama.embedding_length', 'u32', HIDDEN],
    ['llama.feed_forward_length', 'u32', ffn],
    ['llama.attention.head_count', 'u32', HEADS],
    ['llama.attention.head_count_kv', 'u32', KV_HEADS],
    ['llama.attention.layer_norm_rms_epsilon', 'f32', 1e-5],
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.tokens', 'array', ['string', ['<unk>', '<s>', '</s>', ...bytes]]],
    ['tokenizer.ggml.scores', 'array', ['f32', Array(VOCABULARY).fill(0)]],
    ['tokenizer.ggml.token_type', 'array', ['i32', [2, 3, 3, ...Array(256).fill(6)]]],
    ['tokenizer.ggml.bos_token_id', 'u32', 1],
    ['tokenizer.ggml.eos_token_id', 'u32', END],
    ['tokenizer.ggml.unknown_token_id', 'u32', 0],
    ...(template ? [['tokenizer.chat_template', 'string', template]] : []),
  ];
}

/** Reproducible numbers in [0, 1) for a seed (mulberry32). */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
