// Shared by the layouts without scales.
const LOW_FACTOR = vec4(1.0);
const HIGH_FACTOR = vec4(1.0);
const LOW_OFFSET = vec4(0.0);
const HIGH_OFFSET = vec4(0.0);

fn block_scales(row: u32, block: u32) -> vec4<f32> {
    return vec4(1.0, 0.0, 1.0, 0.0);
}

fn block_values(row: u32, block: u32) -> Block {
    let quad = 8u * block;
    return Block(
        weight_quad(row, quad),
        weight_quad(row, quad + 1u),
        weight_quad(row, quad + 2u),
        weight_quad(row, quad + 3u),
        weight_quad(row, quad + 4u),
        weight_quad(row, quad + 5u),
        weight_quad(row, quad + 6u),
        weight_quad(row, quad + 7u),
    );
}
