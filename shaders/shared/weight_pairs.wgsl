#import weight_groups
const SCALES_DIFFER = false;

// Per 32 values two signed bytes, factors of the scale and of the minimum.
fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let start = group_start(row, block);
    return signed(vec4(factors(start, block)) << vec2(24u, 16u).xyxy) * outer_scales(start);
}
