#import weight_groups
const SCALES_DIFFER = false;

// Per 256 values a scale and a minimum.
fn block_scales(row: u32, block: u32) -> vec4<f32> {
    return outer_scales(group_start(row, block));
}
