@group(0) @binding(8) var<storage, read> quants: array<u32>; // (rows, cols / 4): four signed bytes a word
@group(0) @binding(9) var<storage, read> scales: array<u32>; // (rows, cols / 32): f16 scale, f16 minimum

// A block has 32 values, scale · q + minimum. Each byte moves to the top of a word; the arithmetic shift back extends its
// sign.
fn weight_quad(row: u32, quad: u32, cols: u32) -> vec4<f32> {
    let scale = unpack2x16float(scales[row * (cols / 32u) + quad / 8u]);
    let bytes = quants[row * (cols / 4u) + quad];
    return vec4<f32>(vec4<i32>(vec4(bytes) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u)) * scale.x + scale.y;
}
