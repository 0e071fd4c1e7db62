@group(0) @binding(8) var<storage, read> quants: array<vec2<u32>>; // (rows, cols / 4): two values a word

const BLOCK_QUADS = 1u;

// A bf16 is the upper half of an f32.
fn weight_block(row: u32, block: u32, cols: u32) -> array<vec4<f32>, BLOCK_QUADS> {
    let words = quants[row * (cols / 4u) + block].xxyy;
    let bits = vec4(words.x << 16u, words.y & 0xffff0000u, words.z << 16u, words.w & 0xffff0000u);
    return array<vec4<f32>, BLOCK_QUADS>(bitcast<vec4<f32>>(bits));
}
