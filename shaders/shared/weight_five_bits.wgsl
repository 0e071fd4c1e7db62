#import weight_small_bytes
// A block of 32 nibbles per granule, as in weight_nibbles.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;

// The fifth bits are in a word of their own, see high_bits: bit t of its bytes belongs to quad t.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let nibbles = quants[row_start(row, blocks()) + block * ROW_TILE];
    let fifth = vec4(high_bits(row, block));
    return array(
        (nibbles & vec4(0x0f0f0f0fu)) | ((fifth << vec4(4u, 3u, 2u, 1u)) & vec4(0x10101010u)),
        ((nibbles >> vec4(4u)) & vec4(0x0f0f0f0fu)) | ((fifth >> vec4(0u, 1u, 2u, 3u)) & vec4(0x10101010u)),
    );
}
