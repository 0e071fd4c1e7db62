// y = x[tokens - 1]
//
// One invocation a value; a workgroup takes 64.
#import step

struct Params {
    rows: u32, // capacity of x
    cols: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (tokens, cols)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (cols)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if i >= params.cols {
        return;
    }
    y[i] = x[(min(step.tokens, params.rows) - 1u) * params.cols + i];
}
