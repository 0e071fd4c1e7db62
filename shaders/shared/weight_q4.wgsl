@group(0) @binding(8) var<storage, read> quants: array<u32>; // (rows, cols / 8): four words a block
@group(0) @binding(9) var<storage, read> scales: array<u32>; // (rows, cols / 32): f16 scale, f16 minimum

// A block has 32 values, scale · q + minimum. Byte j has value j in its low nibble and value j + 16 in its high one, so
// quads 0 to 3 of a block are the low nibbles of its words, and quads 4 to 7 the high ones.
fn weight_quad(row: u32, quad: u32, cols: u32) -> vec4<f32> {
    let block = row * (cols / 32u) + quad / 8u;
    let scale = unpack2x16float(scales[block]);
    let nibbles = quants[4u * block + quad % 4u] >> (quad & 4u);
    return vec4<f32>((vec4(nibbles) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xfu)) * scale.x + scale.y;
}
