#import weight_quantised
// Scales in two levels: per 256 values an f16 scale and an f16 minimum, then FACTOR_WORDS words with
// factors of both. Tiled like the quants.
const GROUP_WORDS = 1u + FACTOR_WORDS;
@group(0) @binding(9) var<storage, read> scales: array<u32, WEIGHT_ROWS * BLOCKS / 8u * GROUP_WORDS>;

// Where the words of a block's group begin; they are ROW_TILE apart.
fn group_start(row: u32, block: u32) -> u32 {
    return row_start(row, BLOCKS / 8u * GROUP_WORDS) + block / 8u * GROUP_WORDS * ROW_TILE;
}

// The upper four bytes of vectors of words, as signed numbers.
fn signed(bytes: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(bytes) >> vec4(24u));
}
