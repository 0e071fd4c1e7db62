#import weight_quantised
const SCALES_DIFFER = true;
// Per two blocks a word of four scales, each for 16 values: floats without a sign, of four bits
// exponent and three bits mantissa; tiled like the quants.
@group(0) @binding(9) var<storage, read> scales: array<u32>;

// The scales are for numbers that are doubled, as in weight_e2m1: half of the floats.
fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let word = scales[row_start(row, (blocks() + 1u) / 2u) + block / 2u * ROW_TILE];
    let bytes = (vec2(word) >> (vec2(0u, 8u) + 16u * (block % 2u))) & vec2(0x7fu);
    let exponents = bytes >> vec2(3u);
    // (8 + mantissa) · 2^(exponent - 11), or mantissa · 2^-10 below the least exponent
    let normal = min(exponents, vec2(1u));
    let mantissas = vec2<f32>((bytes & vec2(7u)) + 8u * normal);
    let scale = mantissas * bitcast<vec2<f32>>((max(exponents, vec2(1u)) + 116u) << vec2(23u));
    return vec4(scale.x, 0.0, scale.y, 0.0);
}
