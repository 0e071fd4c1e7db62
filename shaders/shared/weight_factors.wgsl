#import weight_groups
const SCALES_DIFFER = true;

// Per 16 values a signed byte, a factor of both the scale and the minimum.
fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let start = group_start(row, block);
    return signed(vec4(factors(start, block)) << vec2(24u, 16u).xxyy) * outer_scales(start);
}
