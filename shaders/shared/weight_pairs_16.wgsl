// Per 16 values two signed bytes, factors of the scale and of the minimum.
const FACTOR_WORDS = 8u;
#import weight_groups

fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let start = group_start(row, block);
    let pairs = scales[start + (1u + block % 8u) * ROW_TILE];
    return signed(vec4(pairs) << vec4(24u, 16u, 8u, 0u)) * unpack2x16float(scales[start]).xyxy;
}
