#import small_bytes
// A block of 32 nibbles per granule, as in weight_nibbles: floats of a sign, two exponent bits and
// one mantissa bit, doubled so that they are the whole numbers 0, 1, 2, 3, 4, 6, 8 and 12.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;

// 16 more than each number, for four nibbles of a word at once. Without their sign, nibbles are the
// numbers as far as 4; from there on their lower two bits, and 2 if both are set, are added. Shifts
// and differences instead of products, which are slow in 32 bits.
fn biased(nibbles: vec4<u32>) -> vec4<u32> {
    let large = (nibbles >> vec4(2u)) & vec4(0x01010101u);
    let low = nibbles & (large | (large << vec4(1u)));
    let both = low & (low >> vec4(1u)) & vec4(0x01010101u);
    let sizes = (nibbles & vec4(0x07070707u)) + low + (both << vec4(1u));
    let signs = (nibbles >> vec4(3u)) & vec4(0x01010101u);
    let negative = (signs << vec4(8u)) - signs; // all bits of a byte
    return vec4(0x10101010u) + sizes - ((sizes & negative) << vec4(1u));
}

const LOW_FACTOR = BYTE_FACTOR;
const HIGH_FACTOR = BYTE_FACTOR;
const LOW_OFFSET = vec4(-16.0);
const HIGH_OFFSET = LOW_OFFSET;

fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    let word = quants[row_start(row, blocks()) + quad / 8u * ROW_TILE][quad % 4u] >> (quad & 4u);
    return bytes_of(biased(vec4(word) & vec4(0x0f0f0f0fu)).x) * LOW_FACTOR + LOW_OFFSET;
}

fn biased_block(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let words = quants[row_start(row, blocks()) + block * ROW_TILE];
    return array(biased(words & vec4(0x0f0f0f0fu)), biased((words >> vec4(4u)) & vec4(0x0f0f0f0fu)));
}

fn block_values(row: u32, block: u32) -> Block {
    return byte_values(biased_block(row, block));
}

// The numbers as signed bytes, in order: half a block per vector. No byte carries into the next.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let bytes = biased_block(row, block);
    return array((bytes[0] + vec4(0x70707070u)) ^ vec4(0x80808080u), (bytes[1] + vec4(0x70707070u)) ^ vec4(0x80808080u));
}
