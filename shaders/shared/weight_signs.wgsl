#import weight_quantised
#import small_bytes
// Four blocks of 32 signs per granule, a word each: a bit for each value, set where it is positive.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;
// Per four blocks the f16 scale, in the low half of a word.
@group(0) @binding(9) var<storage, read> scales: array<u32>;
const SCALES_DIFFER = false;

fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let scale = unpack2x16float(scales[row_start(row, blocks() / 4u) + block / 4u * ROW_TILE]).x;
    return vec4(scale, 0.0, scale, 0.0);
}

// The bits of a block as bytes of 0 and 2, in order: half a block per vector.
fn doubled(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let word = vec4(quants[row_start(row, blocks() / 4u) + block / 4u * ROW_TILE][block % 4u]);
    return array(doubled_bits(word >> vec4(0u, 4u, 8u, 12u)), doubled_bits(word >> vec4(16u, 20u, 24u, 28u)));
}

// The same of the lowest four bits of each word.
fn doubled_bits(words: vec4<u32>) -> vec4<u32> {
    let bits = (words & vec4(15u)) << vec4(1u);
    return (bits | (bits << vec4(7u)) | (bits << vec4(14u)) | (bits << vec4(21u))) & vec4(0x02020202u);
}

const LOW_FACTOR = BYTE_FACTOR;
const HIGH_FACTOR = BYTE_FACTOR;
const LOW_OFFSET = vec4(-1.0);
const HIGH_OFFSET = LOW_OFFSET;

fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    let bytes = doubled(row, quad / 8u);
    return bytes_of(select(bytes[0], bytes[1], (quad & 4u) != 0u)[quad % 4u]) * LOW_FACTOR + LOW_OFFSET;
}

fn block_values(row: u32, block: u32) -> Block {
    return byte_values(doubled(row, block));
}

// Signed bytes, 1 and -1: one less than 2 or 0, without a carry from one byte to the next.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let bytes = doubled(row, block);
    return array((bytes[0] + vec4(0x7f7f7f7fu)) ^ vec4(0x80808080u), (bytes[1] + vec4(0x7f7f7f7fu)) ^ vec4(0x80808080u));
}
