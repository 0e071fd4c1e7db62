@group(0) @binding(8) var<storage, read> quants: array<vec2<u32>>; // (rows, cols / 4): two halves a word

const BLOCK_QUADS = 1u;

fn weight_block(row: u32, block: u32, cols: u32) -> array<vec4<f32>, BLOCK_QUADS> {
    let words = quants[row * (cols / 4u) + block];
    return array<vec4<f32>, BLOCK_QUADS>(vec4(unpack2x16float(words.x), unpack2x16float(words.y)));
}
