// Two blocks of 32 values per three granules.
#import six_bits
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>, WEIGHT_ROWS * BLOCKS / 2u * 3u>;

fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let start = row_start(row, BLOCKS / 2u * 3u) + block / 2u * 3u * ROW_TILE;
    return six_bit_bytes(
        quants[start + (block & 1u) * ROW_TILE],
        quants[start + 2u * ROW_TILE],
        (block & 1u) != 0u,
    );
}

fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    let bytes = block_bytes(row, quad / 8u);
    let word = select(bytes[0], bytes[1], (quad & 4u) != 0u)[quad % 4u];
    return vec4<f32>((vec4(word) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xffu));
}

const LOW_FACTOR = SIX_BIT_FACTOR;
const HIGH_FACTOR = SIX_BIT_FACTOR;
const LOW_OFFSET = vec4(0.0);
const HIGH_OFFSET = LOW_OFFSET;

fn block_values(row: u32, block: u32) -> Block {
    return six_bit_values(block_bytes(row, block));
}
