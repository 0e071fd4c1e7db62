#import weight_groups
const SCALES_DIFFER = true;

// Per 16 values a byte: a factor of the scale in its low half, of the minimum in its high half.
fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let start = group_start(row, block);
    let nibbles = (vec4(factors(start, block)) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u);
    return vec4<f32>(nibbles) * outer_scales(start);
}
