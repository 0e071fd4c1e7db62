// Blocks of 32 values of six bits: per two blocks a granule of nibbles for each, as in
// weight_nibbles, then a granule with the upper two bits of both. That has two words per block; the
// first belongs to words 0 and 1 of the nibbles. Of a byte in it, the lower four bits belong to the
// first of these words, and of four bits the lower two to the low nibble.
fn six_bit_bytes(nibbles: vec4<u32>, granule: vec4<u32>, is_second: bool) -> array<vec4<u32>, 2> {
    let above = select(granule.xy, granule.zw, is_second).xxyy >> vec4(0u, 4u, 0u, 4u);
    return array(
        (nibbles & vec4(0x0f0f0f0fu)) | ((above & vec4(0x03030303u)) << vec4(4u)),
        ((nibbles >> vec4(4u)) & vec4(0x0f0f0f0fu)) | ((above & vec4(0x0c0c0c0cu)) << vec4(2u)),
    );
}

// Bytes stay in place, each too large by a power of 256, which the factor corrects. None has its
// top bit set.
const SIX_BIT_FACTOR = vec4(1.0, 0x1p-8, 0x1p-16, 0x1p-24);

fn bytes_of(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4(word) & vec4(0xffu, 0xff00u, 0xff0000u, 0xff000000u)));
}

fn six_bit_values(bytes: array<vec4<u32>, 2>) -> Block {
    return Block(
        bytes_of(bytes[0].x),
        bytes_of(bytes[0].y),
        bytes_of(bytes[0].z),
        bytes_of(bytes[0].w),
        bytes_of(bytes[1].x),
        bytes_of(bytes[1].y),
        bytes_of(bytes[1].z),
        bytes_of(bytes[1].w),
    );
}
