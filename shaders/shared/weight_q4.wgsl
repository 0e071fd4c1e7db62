@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>; // (rows, cols / 32): 16 bytes a block
@group(0) @binding(9) var<storage, read> scales: array<u32>; // (rows, cols / 32): f16 scale, f16 minimum

const BLOCK_QUADS = 8u;

// Byte j of a block has value j in its low nibble and value j + 16 in its high one; a value is scale · q + minimum.
fn weight_block(row: u32, block: u32, cols: u32) -> array<vec4<f32>, BLOCK_QUADS> {
    let index = row * (cols / 32u) + block;
    let scale = unpack2x16float(scales[index]);
    let low = quants[index];
    let high = low >> vec4(4u);
    return array<vec4<f32>, BLOCK_QUADS>(
        nibbles(low.x) * scale.x + scale.y,
        nibbles(low.y) * scale.x + scale.y,
        nibbles(low.z) * scale.x + scale.y,
        nibbles(low.w) * scale.x + scale.y,
        nibbles(high.x) * scale.x + scale.y,
        nibbles(high.y) * scale.x + scale.y,
        nibbles(high.z) * scale.x + scale.y,
        nibbles(high.w) * scale.x + scale.y,
    );
}

// The low nibble of each byte.
fn nibbles(word: u32) -> vec4<f32> {
    return vec4<f32>((vec4(word) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xfu));
}
