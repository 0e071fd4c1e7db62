#import weight_quantised
// Per block: f16 scale, f16 minimum; tiled like the quants.
@group(0) @binding(9) var<storage, read> scales: array<u32, WEIGHT_ROWS * BLOCKS>;

fn block_scales(row: u32, block: u32) -> vec4<f32> {
    return unpack2x16float(scales[row_start(row, BLOCKS) + block * ROW_TILE]).xyxy;
}
