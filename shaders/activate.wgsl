// y[t] = activation(x[t][..cols]); with GATED, times x[t][cols..]; with UP, times columns of `up`;
// with MULTIPLIES, times y[t]
//
// One invocation per value; a workgroup takes 64 values of a token.
#import step
#import activation

struct Params {
    rows: u32, // capacity of y
    cols: u32, // of y
#ifdef UP
    up_cols: u32,
    up_first: u32, // first column that is read
#endif
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (tokens, cols), or (tokens, 2 cols)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (tokens, cols)
#ifdef UP
@group(0) @binding(4) var<storage, read> up: array<f32>; // (tokens, up_cols)
#endif

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    let i = id.x;
    if token >= min(step.tokens, params.rows) || i >= params.cols {
        return;
    }
#ifdef GATED
    let row = 2u * token * params.cols;
    y[token * params.cols + i] = activate(x[row + i]) * upward(x[row + params.cols + i]);
#else
    var value = activate(x[token * params.cols + i]);
#ifdef UP
    value *= upward(up[token * params.up_cols + params.up_first + i]);
#endif
#ifdef MULTIPLIES
    value *= y[token * params.cols + i];
#endif
    y[token * params.cols + i] = value;
#endif
}
