#import weight_quantised
// Scales in two levels: per 256 values an f16 scale and an f16 minimum, then two signed bytes, a
// factor of each, per 32 or 16 values.
#ifdef Q4K32
const PAIRS = 8u; // per 256 values
#else
const PAIRS = 16u;
#endif
const SCALE_WORDS = 1u + PAIRS / 2u;
// Tiled like the quants.
@group(0) @binding(9) var<storage, read> scales: array<u32, WEIGHT_ROWS * BLOCKS / 8u * SCALE_WORDS>;

fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let start = row_start(row, BLOCKS / 8u * SCALE_WORDS) + block / 8u * SCALE_WORDS * ROW_TILE;
    let outer = unpack2x16float(scales[start]);
#ifdef Q4K32
    let pair = scales[start + (1u + block % 8u / 2u) * ROW_TILE] >> (block % 2u * 16u);
    return (vec2<f32>(vec2<i32>(vec2(pair) << vec2(24u, 16u)) >> vec2(24u)) * outer).xyxy;
#else
    let pairs = scales[start + (1u + block % 8u) * ROW_TILE];
    return vec4<f32>(vec4<i32>(vec4(pairs) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u)) * outer.xyxy;
#endif
}
