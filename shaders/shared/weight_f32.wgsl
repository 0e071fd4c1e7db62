@group(0) @binding(8) var<storage, read> quants: array<vec4<f32>>; // (rows, cols / 4)

fn weight_quad(row: u32, quad: u32, cols: u32) -> vec4<f32> {
    return quants[row * (cols / 4u) + quad];
}
