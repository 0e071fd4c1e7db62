// y[t][g] = normalised(x[t][g]) · weight[g] + bias[g], for groups g of columns: heads, or one group
// for the whole row.
//
// A workgroup takes one group of a token. LAYER subtracts the mean first; ACCUMULATE adds to y, the
// residual connection; ADD adds what is elsewhere; SCALE multiplies the result; IN_PLACE: x is y.
#import step
#import lanes

struct Params {
    rows: u32, // capacity of y
    width: u32, // columns per group
    x_cols: u32,
    x_first: u32, // first column that is read
    y_cols: u32,
    y_first: u32, // first column that is written
    eps: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (tokens, y_cols)
@group(0) @binding(next) var<storage, read> weight: array<f32>; // (groups, width)
#ifndef IN_PLACE
@group(0) @binding(next) var<storage, read> x: array<f32>; // (tokens, x_cols)
#endif
#ifdef BIAS
@group(0) @binding(next) var<storage, read> bias: array<f32>; // (groups, width)
#endif
#ifdef ADD
@group(0) @binding(next) var<storage, read> added: array<f32>; // (tokens, y_cols)
#endif
#ifdef SCALE
@group(0) @binding(next) var<storage, read> factor: array<f32>; // (1)
#endif

fn read_x(i: u32) -> f32 {
#ifdef IN_PLACE
    return y[i];
#else
    return x[i];
#endif
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = workgroup.y;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let first = workgroup.x * params.width;
    let x_row = token * params.x_cols + params.x_first + first;
    let y_row = token * params.y_cols + params.y_first + first;
    var mean = 0.0;
#ifdef LAYER
    var sum = 0.0;
    for (var i = lane; i < params.width; i += LANES) {
        sum += read_x(x_row + i);
    }
    mean = sum_of_lanes(sum, lane) / f32(params.width);
#endif
    var squares = 0.0;
    for (var i = lane; i < params.width; i += LANES) {
        let centred = read_x(x_row + i) - mean;
        squares += centred * centred;
    }
    let scale = inverseSqrt(sum_of_lanes(squares, lane) / f32(params.width) + params.eps);
    for (var i = lane; i < params.width; i += LANES) {
        var value = (read_x(x_row + i) - mean) * scale * weight[first + i];
#ifdef BIAS
        value += bias[first + i];
#endif
#ifdef ACCUMULATE
        value += y[y_row + i];
#endif
#ifdef ADD
        value += added[y_row + i];
#endif
#ifdef SCALE
        value *= factor[0];
#endif
        y[y_row + i] = value;
    }
}
