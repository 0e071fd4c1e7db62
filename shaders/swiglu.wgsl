// y[t] = silu(gate_up[t][..cols]) · gate_up[t][cols..]
//
// One invocation a value; a workgroup takes 64 values of a token.
#import step
#import silu

struct Params {
    rows: u32, // capacity of y
    cols: u32, // of y
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> gate_up: array<f32>; // (tokens, 2 cols)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (tokens, cols)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    let i = id.x;
    if token >= min(step.tokens, params.rows) || i >= params.cols {
        return;
    }
    let row = 2u * token * params.cols;
    y[token * params.cols + i] = silu(gate_up[row + i]) * gate_up[row + params.cols + i];
}
