// What round_int8 and round_f16 read: the activations of a product, and the weights of its norm.
#import step
#import columns

struct Params {
    rows: u32, // capacity of the result
    cols: u32,
    eps: f32, // of the norm
    normalises: u32, // whether there is one
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read> x: array<vec4<f32>>; // (tokens, cols / 4)
@group(0) @binding(next) var<storage, read> norm: array<vec4<f32>>; // read if there is one

// A quad of the row that begins at `row`, without 1 / rms.
fn value(row: u32, quad: u32) -> vec4<f32> {
    if params.normalises != 0u {
        return x[row + quad] * norm[quad];
    }
    return x[row + quad];
}
