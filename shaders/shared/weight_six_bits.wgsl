#import weight_small_bytes
#import six_bits
// Two blocks of 32 values per three granules.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;

fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let start = row_start(row, blocks() / 2u * 3u) + block / 2u * 3u * ROW_TILE;
    return six_bit_bytes(
        quants[start + (block & 1u) * ROW_TILE],
        quants[start + 2u * ROW_TILE],
        (block & 1u) != 0u,
    );
}
