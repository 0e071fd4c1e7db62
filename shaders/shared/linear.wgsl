// What the variants of `linear` share: y[t][y_offset + n] = epilogue(Σ_k weight[n][k] x[t][k] + bias[n])
//
// NORM takes norm(x) for x: each factor of the norm's weight as x is read, 1 / rms when the sum is complete.
// BIAS adds the bias; ACCUMULATE adds to y, the residual connection; SWIGLU takes row n as gate and row outputs + n as up
// and stores silu(gate) · up.
#import step
#import weight
#import silu

struct Params {
    rows: u32, // capacity of y
    cols: u32, // inputs
    outputs: u32, // columns of y that are written
    y_cols: u32,
    y_offset: u32, // the first of them
    eps: f32, // of the norm
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>; // (tokens, cols / 4)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (tokens, y_cols)
#ifdef BIAS
@group(0) @binding(4) var<storage, read> bias: array<f32>; // (weight rows)
#endif
#ifdef NORM
#ifdef BIAS
@group(0) @binding(5) var<storage, read> norm: array<vec4<f32>>; // (cols / 4)
#else
@group(0) @binding(4) var<storage, read> norm: array<vec4<f32>>; // (cols / 4)
#endif
#endif

// Values [4 quad ..] of four rows of the weight as columns, from row first + start on. Rows beyond the outputs repeat the
// last one; nobody stores their results.
fn weight_rows(start: u32, first: u32, quad: u32) -> mat4x4<f32> {
    let rows = start + min(vec4(first) + vec4(0u, 1u, 2u, 3u), vec4(params.outputs - 1u));
    return mat4x4<f32>(
        weight_quad(rows.x, quad, params.cols),
        weight_quad(rows.y, quad, params.cols),
        weight_quad(rows.z, quad, params.cols),
        weight_quad(rows.w, quad, params.cols),
    );
}

// Finishes outputs first .. first + 4 of a token. `up` counts with SWIGLU only.
fn store(token: u32, first: u32, results: vec4<f32>, up: vec4<f32>) {
    store_one(token, first, results.x, up.x);
    store_one(token, first + 1u, results.y, up.y);
    store_one(token, first + 2u, results.z, up.z);
    store_one(token, first + 3u, results.w, up.w);
}

fn store_one(token: u32, output: u32, sum: f32, up_sum: f32) {
    if token >= min(step.tokens, params.rows) || output >= params.outputs {
        return;
    }
    var result = sum;
    var up = up_sum;
#ifdef BIAS
    result += bias[output];
#ifdef SWIGLU
    up += bias[params.outputs + output];
#endif
#endif
    let at = token * params.y_cols + params.y_offset + output;
#ifdef SWIGLU
    result = silu(result) * up;
#endif
#ifdef ACCUMULATE
    result += y[at];
#endif
    y[at] = result;
}
