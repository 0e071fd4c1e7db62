@group(0) @binding(8) var<storage, read> quants: array<vec4<f32>>; // (rows, cols / 4)

const BLOCK_QUADS = 1u;

fn weight_block(row: u32, block: u32, cols: u32) -> array<vec4<f32>, BLOCK_QUADS> {
    return array<vec4<f32>, BLOCK_QUADS>(quants[row * (cols / 4u) + block]);
}
