// Blocks of 32 values of six bits: per two blocks a granule of nibbles for each, as in
// weight_nibbles, then a granule with the upper two bits of both. That has two words per block; the
// first belongs to words 0 and 1 of the nibbles. Of a byte in it, the lower four bits belong to the
// first of these words, and of four bits the lower two to the low nibble.
#import small_bytes

fn six_bit_bytes(nibbles: vec4<u32>, granule: vec4<u32>, is_second: bool) -> array<vec4<u32>, 2> {
    let above = select(granule.xy, granule.zw, is_second).xxyy >> vec4(0u, 4u, 0u, 4u);
    return array(
        (nibbles & vec4(0x0f0f0f0fu)) | ((above & vec4(0x03030303u)) << vec4(4u)),
        ((nibbles >> vec4(4u)) & vec4(0x0f0f0f0fu)) | ((above & vec4(0x0c0c0c0cu)) << vec4(2u)),
    );
}
