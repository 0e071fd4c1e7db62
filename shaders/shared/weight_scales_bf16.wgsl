#import weight_quantised
const SCALES_DIFFER = false;
// Per two blocks: a bf16 scale for each, the upper half of an f32; tiled like the quants.
@group(0) @binding(9) var<storage, read> scales: array<u32>;

fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let word = scales[row_start(row, (blocks() + 1u) / 2u) + block / 2u * ROW_TILE];
    let scale = bitcast<f32>(select(word << 16u, word & 0xffff0000u, block % 2u == 1u));
    return vec4(scale, 0.0, scale, 0.0);
}
