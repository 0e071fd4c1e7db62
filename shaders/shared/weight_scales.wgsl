#import weight_quantised
const SCALES_DIFFER = false;
// Per block: f16 scale, f16 minimum, and in Q5 a word of fifth bits; tiled like the quants.
#ifdef Q5
const SCALE_WORDS = 2u;
#else
const SCALE_WORDS = 1u;
#endif
@group(0) @binding(9) var<storage, read> scales: array<u32>;

// Where the words of a block begin; they are ROW_TILE apart.
fn scale_start(row: u32, block: u32) -> u32 {
    return row_start(row, blocks() * SCALE_WORDS) + block * SCALE_WORDS * ROW_TILE;
}

fn block_scales(row: u32, block: u32) -> vec4<f32> {
    return unpack2x16float(scales[scale_start(row, block)]).xyxy;
}
#ifdef Q5

fn high_bits(row: u32, block: u32) -> u32 {
    return scales[scale_start(row, block) + ROW_TILE];
}
#endif
