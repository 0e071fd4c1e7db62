@group(0) @binding(8) var<storage, read> quants: array<vec2<u32>>; // (rows, cols / 4): two values a word

// A bf16 is the upper half of an f32.
fn weight_quad(row: u32, quad: u32, cols: u32) -> vec4<f32> {
    let words = quants[row * (cols / 4u) + quad];
    return bitcast<vec4<f32>>(vec4(words << vec2(16u), words & vec2(0xffff0000u)).xzyw);
}
