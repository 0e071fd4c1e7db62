#import weight_quantised
// Scales in two levels: per 256 values an f16 scale and an f16 minimum, then two bytes of factors
// per block. Q5K32 and Q3K16 have a word of highest bits per block after that. Tiled like the
// quants.
#ifdef Q2K256
const GROUP_WORDS = 1u;
#else
#ifdef Q5K32
const GROUP_WORDS = 13u;
#else
#ifdef Q3K16
const GROUP_WORDS = 13u;
#else
const GROUP_WORDS = 5u;
#endif
#endif
#endif
@group(0) @binding(9) var<storage, read> scales: array<u32>;

// Where the words of a block's group begin; they are ROW_TILE apart.
fn group_start(row: u32, block: u32) -> u32 {
    return row_start(row, blocks() / 8u * GROUP_WORDS) + block / 8u * GROUP_WORDS * ROW_TILE;
}

fn outer_scales(start: u32) -> vec4<f32> {
    return unpack2x16float(scales[start]).xyxy;
}

// The two bytes of factors of a block, and others above them.
fn factors(start: u32, block: u32) -> u32 {
    return scales[start + (1u + block % 8u / 2u) * ROW_TILE] >> (block % 2u * 16u);
}

// The highest bytes of words as signed numbers.
fn signed(words: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(words) >> vec4(24u));
}

// The highest bits of a block's quants, in layouts that have them here.
fn high_bits(row: u32, block: u32) -> u32 {
    return scales[group_start(row, block) + (5u + block % 8u) * ROW_TILE];
}
