// y[i] = x[row i of those that are wanted]
//
// One invocation a value; a workgroup takes 64 of a row.
#import step
#import rows

struct Params {
    rows: u32, // capacity of x
    cols: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read> x: array<f32>; // (rows, cols)
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (most wanted rows, cols)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.cols || id.y >= step.tokens {
        return;
    }
    let row = rows[id.y].wanted;
    if row < min(step.tokens, params.rows) {
        y[id.y * params.cols + id.x] = x[row * params.cols + id.x];
    }
}
