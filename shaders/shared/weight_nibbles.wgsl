// A block of 32 values per granule.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;

// Byte j of a block has value j in its low nibble and value j + 16 in its high nibble: quads 0 to 3
// of a block are the low nibbles of its words, quads 4 to 7 the high nibbles.
fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    let nibbles = quants[row_start(row, blocks()) + quad / 8u * ROW_TILE][quad % 4u] >> (quad & 4u);
    return vec4<f32>((vec4(nibbles) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xfu));
}

// Nibbles stay in place, each too large by a power of 16, which the factors correct: shifts are
// slow on adapters that emulate them. The top nibble contains the sign of the i32: with its top bit
// flipped it is 8 too small, and the offset corrects that. All of it is exact.
const LOW_FACTOR = vec4(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const HIGH_FACTOR = LOW_FACTOR * 0x1p-4;
const LOW_OFFSET = vec4(0.0);
const HIGH_OFFSET = vec4(0.0, 0.0, 0.0, 8.0);

fn low_nibbles(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4(word) & vec4(0xfu, 0xf00u, 0xf0000u, 0xf000000u)));
}

fn high_nibbles(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4(word ^ 0x80000000u) & vec4(0xf0u, 0xf000u, 0xf00000u, 0xf0000000u)));
}

fn block_values(row: u32, block: u32) -> Block {
    let words = quants[row_start(row, blocks()) + block * ROW_TILE];
    return Block(
        low_nibbles(words.x),
        low_nibbles(words.y),
        low_nibbles(words.z),
        low_nibbles(words.w),
        high_nibbles(words.x),
        high_nibbles(words.y),
        high_nibbles(words.z),
        high_nibbles(words.w),
    );
}

// The quants as bytes, in order: half a block per vector.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let words = quants[row_start(row, blocks()) + block * ROW_TILE];
    return array(words & vec4(0x0f0f0f0fu), (words >> vec4(4u)) & vec4(0x0f0f0f0fu));
}
