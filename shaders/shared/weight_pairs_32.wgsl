// Per 32 values two signed bytes, factors of the scale and of the minimum.
const FACTOR_WORDS = 4u;
#import weight_groups

fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let start = group_start(row, block);
    let pair = scales[start + (1u + block % 8u / 2u) * ROW_TILE] >> (block % 2u * 16u);
    return signed(vec4(pair) << vec2(24u, 16u).xyxy) * unpack2x16float(scales[start]).xyxy;
}
