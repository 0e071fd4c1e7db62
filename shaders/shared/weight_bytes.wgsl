#import signed_bytes
// 16 signed bytes per granule, two granules per block.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;

fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    return signed_quad(quants[row_start(row, 2u * blocks()) + quad / 4u * ROW_TILE][quad % 4u]);
}

fn block_values(row: u32, block: u32) -> Block {
    return byte_values(block_bytes(row, block));
}

// The quants as signed bytes, in order: half a block per vector.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let at = row_start(row, 2u * blocks()) + 2u * block * ROW_TILE;
    return array(quants[at], quants[at + ROW_TILE]);
}
