// Shared by the variants of `linear`: y[t][y_offset + n] = epilogue(affine[0][n] · Σ_k weight[n][k]
// x[t][k] + affine[1][n])
//
// NORM replaces x by norm(x): the norm's weight multiplies x as it is read, 1 / rms multiplies the
// complete sum. AFFINE multiplies by a scale per row and adds a bias. ACCUMULATE adds to y, the
// residual connection. ACTIVATE applies the activation function; with GATED, row n is the gate and
// row OUTPUTS + n the up projection, and their product is stored. CAP applies a soft cap, as to
// logits. ROPE treats the rows as q, k and v, see shared/rope. EXPERTS takes rows that depend on
// the token, see shared/experts.
#import step
#import weight

struct Params {
    rows: u32, // capacity of y
    y_offset: u32, // first column of y that is written
    eps: f32, // of the norm
    scale: f32, // of the result, with ACCUMULATE and CAP
    cap: f32, // soft cap, with CAP; 0 for none
}
@group(0) @binding(1) var<uniform> params: Params;
#ifdef ROUNDED
// from round_int8 or round_f16, which apply the norm
@group(0) @binding(next) var<storage, read> x: array<vec2<u32>, X_PAIRS>;
#else
// (tokens, cols / 4)
@group(0) @binding(next) var<storage, read> x: array<vec4<f32>, X_ROWS * QUADS>;
#endif
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (tokens, Y_COLS)
#ifdef EXPERTS
#import experts
#endif
#ifdef AFFINE
// (2, AFFINE_ROWS): scales, then biases; those of the weight's rows from AFFINE_FIRST on
@group(0) @binding(next) var<storage, read> affine: array<f32, 2u * AFFINE_ROWS>;
#endif
#ifdef NORM
@group(0) @binding(next) var<storage, read> norm: array<vec4<f32>, QUADS>;
#endif
#ifdef ROPE
#import rope
#endif
#ifdef ACTIVATE
#import activation
#endif

// Start of a token's row of x.
fn x_start(token: u32) -> u32 {
#ifdef SLOT_INPUTS
    return (token * CHOSEN + slot) * QUADS;
#else
    return token * QUADS;
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
    return inverseSqrt(squares / f32(COLS) + params.eps);
}

// Finishes outputs `first` and `first + 1` of a token; `first` is even.
fn store_pair(token: u32, first: u32, results: vec2<f32>) {
#ifdef ROPE
    store_rotated(token, first, results);
#else
    store(token, first, results.x, 0.0);
    store(token, first + 1u, results.y, 0.0);
#endif
}

// Applies scale and bias to the product of the row for an output, or for an up projection.
fn with_affine(output: u32, product: f32) -> f32 {
#ifdef AFFINE
    let row = AFFINE_FIRST + weight_row(output);
    return affine[row] * product + affine[AFFINE_ROWS + row];
#else
    return product;
#endif
}

// Finishes an output of a token. `up` matters with GATED only.
fn store(token: u32, output: u32, result: f32, up: f32) {
    if token >= min(step.tokens, params.rows) || output >= OUTPUTS {
        return;
    }
    var value = with_affine(output, result);
#ifdef ACTIVATE
    value = activate(value);
#endif
#ifdef GATED
    value *= with_affine(OUTPUTS + output, up);
#endif
#ifdef CAP
    value *= params.scale;
    if params.cap > 0.0 {
        // tanh may overflow for large arguments, where it is 1
        value = params.cap * tanh(clamp(value / params.cap, -15.0, 15.0));
    }
#endif
#ifdef EXPERTS
    let at = token * Y_COLS + params.y_offset + slot * OUTPUTS + output;
#else
    let at = token * Y_COLS + params.y_offset + output;
#endif
#ifdef ACCUMULATE
    value = y[at] + params.scale * value;
#endif
    y[at] = value;
}
