// For layouts whose block_bytes have no top bit set.
#import small_bytes

const LOW_FACTOR = BYTE_FACTOR;
const HIGH_FACTOR = BYTE_FACTOR;
const LOW_OFFSET = vec4(0.0);
const HIGH_OFFSET = LOW_OFFSET;

fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    let bytes = block_bytes(row, quad / 8u);
    let word = select(bytes[0], bytes[1], (quad & 4u) != 0u)[quad % 4u];
    return vec4<f32>((vec4(word) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xffu));
}

fn block_values(row: u32, block: u32) -> Block {
    return byte_values(block_bytes(row, block));
}
