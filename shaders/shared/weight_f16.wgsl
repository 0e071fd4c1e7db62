@group(0) @binding(8) var<storage, read> quants: array<vec2<u32>>; // (rows, cols / 4): two halves a word

fn weight_quad(row: u32, quad: u32, cols: u32) -> vec4<f32> {
    let words = quants[row * (cols / 4u) + quad];
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}
