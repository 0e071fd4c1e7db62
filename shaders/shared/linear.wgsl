// Shared by the variants of `linear`: y[t][y_offset + n] = epilogue(affine[0][n] · Σ_k weight[n][k]
// x[t][k] + affine[1][n])
//
// NORM replaces x by norm(x): the norm's weight multiplies x as it is read, 1 / rms multiplies the
// complete sum. RESIDUAL adds the norm of a block to x first, see shared/residual. AFFINE
// multiplies by a scale per row and adds a bias. ACTIVATE applies the activation function; with
// GATED, row n is the gate and row outputs + n the up projection, and their product is stored. CAP
// applies a soft cap, as to logits. EXPERTS can take rows that depend on the token, see
// shared/experts.
#import step
#import weight

struct Params {
    rows: u32, // capacity of y
    cols: u32, // of the weight
    outputs: u32, // columns of y that are written; with EXPERTS by an expert
    y_cols: u32,
    y_offset: u32, // the first of these
    affine_cols: u32,
    affine_first: u32, // column of `affine` for the weight's first row
    eps: f32, // of the norm
    accumulates: u32, // 1: results are added to y
    scale: f32, // of the result that is added to y, and with CAP
    cap: f32, // soft cap, with CAP; 0 for none
#ifdef EXPERTS
    experts: u32, // in this part of the weights; 0: the weight is not one of experts
    first_expert: u32, // the first of these
    chosen: u32, // experts of a token
    route_cols: u32,
    tiles: u32, // that `gather` leaves room for
    slot_inputs: u32, // rows of x of a token: one for each slot, or 1
    normalises: u32, // with GATHERED: whether x is normalised
#endif
#ifdef TAIL
    tail_first: u32, // the first output of the other weight
#endif
}
@group(0) @binding(1) var<uniform> params: Params;
#ifdef ROUNDED
// from round_int8 or round_f16, which apply the norm
@group(0) @binding(next) var<storage, read> x: array<vec2<u32>>;
#else
// (tokens, cols / 4)
@group(0) @binding(next) var<storage, read> x: array<vec4<f32>>;
#endif
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (tokens, y_cols)
#ifdef EXPERTS
#import experts
#endif
#ifdef AFFINE
// (2, affine_cols): scales, then biases
@group(0) @binding(next) var<storage, read> affine: array<f32>;
#endif
#ifdef NORM
@group(0) @binding(next) var<storage, read> norm: array<vec4<f32>>;
#endif
#ifdef RESIDUAL
#import residual
#endif
#ifdef ACTIVATE
#import activation
#endif

// Start of a token's row of x.
fn x_start(token: u32) -> u32 {
#ifdef EXPERTS
    return (token * params.slot_inputs + min(slot, params.slot_inputs - 1u)) * quads();
#else
    return token * quads();
#endif
}

// The weight's row for an output, or for an up projection.
fn weight_row(output: u32) -> u32 {
#ifdef EXPERTS
    return first_weight_row + output;
#else
    return output;
#endif
}

fn inverse_rms(squares: f32) -> f32 {
    return inverseSqrt(squares / f32(params.cols) + params.eps);
}

// Finishes outputs `first` and `first + 1` of a token; `first` is even.
fn store_pair(token: u32, first: u32, results: vec2<f32>) {
    store(token, first, results.x, 0.0);
    store(token, first + 1u, results.y, 0.0);
}

// Applies scale and bias to the product of the row for an output, or for an up projection.
fn with_affine(output: u32, product: f32) -> f32 {
#ifdef AFFINE
    let row = params.affine_first + weight_row(output);
    return affine[row] * product + affine[params.affine_cols + row];
#else
    return product;
#endif
}

// Finishes an output of a token. `up` matters with GATED only.
fn store(token: u32, output: u32, result: f32, up: f32) {
    if token >= min(step.tokens, params.rows) || output >= params.outputs {
        return;
    }
    var value = with_affine(output, result);
#ifdef ACTIVATE
    value = activate(value);
#endif
#ifdef GATED
    value *= upward(with_affine(params.outputs + output, up));
#endif
#ifdef CAP
    value *= params.scale;
    if params.cap > 0.0 {
        // tanh may overflow for large arguments, where it is 1
        value = params.cap * tanh(clamp(value / params.cap, -15.0, 15.0));
    }
#endif
#ifdef EXPERTS
    let at = token * params.y_cols + params.y_offset + slot * params.outputs + output;
#else
    let at = token * params.y_cols + params.y_offset + output;
#endif
    if params.accumulates == 1u {
        value = y[at] + params.scale * value;
    }
    y[at] = value;
}
