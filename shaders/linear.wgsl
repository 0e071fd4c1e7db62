// y[t][y_offset + n] = epilogue(Σ_k weight[n][k] x[t][k] + bias[n])
//
// One invocation computes one output for TILE tokens, walking a whole row of the weight; a workgroup takes 64 outputs.
// No barriers: on software adapters they cost more than they save. Every block of weights that is read and decoded
// serves all tokens of the tile.
//
// BIAS adds the bias; ACCUMULATE adds to y, the residual connection; SWIGLU takes row n as gate and row outputs + n as up
// and stores silu(gate) · up; TILE takes 8 tokens at a time, for prompts.
#import step
#import weight
#import silu

struct Params {
    rows: u32, // capacity of y
    cols: u32, // inputs
    outputs: u32, // columns of y that are written
    y_cols: u32,
    y_offset: u32, // the first of them
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>; // (tokens, cols / 4)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (tokens, y_cols)
#ifdef BIAS
@group(0) @binding(4) var<storage, read> bias: array<f32>; // (weight rows)
#endif

#ifdef TILE
const TILE = 8u;
#else
const TILE = 1u;
#endif

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let tokens = min(step.tokens, params.rows);
    let output = id.x;
    let first = id.y * TILE;
    if output >= params.outputs || first >= tokens {
        return;
    }
    var results = project(output, first, tokens);
#ifdef SWIGLU
    let up = project(params.outputs + output, first, tokens);
#endif
    for (var t = 0u; t < TILE && first + t < tokens; t++) {
        let at = (first + t) * params.y_cols + params.y_offset + output;
        let result = results[t];
#ifdef SWIGLU
        y[at] = silu(result) * up[t];
#else
#ifdef ACCUMULATE
        y[at] += result;
#else
        y[at] = result;
#endif
#endif
    }
}

// One row of the weight times tokens first.. of x. Those past the end repeat the last token; nobody stores them.
fn project(row: u32, first: u32, tokens: u32) -> array<f32, TILE> {
    let quads = params.cols / 4u;
    var sums: array<f32, TILE>;
    for (var block = 0u; block < quads / BLOCK_QUADS; block++) {
        let w = weight_block(row, block, params.cols);
        for (var t = 0u; t < TILE; t++) {
            let at = min(first + t, tokens - 1u) * quads + block * BLOCK_QUADS;
            var products = w[0] * x[at];
            for (var i = 1u; i < BLOCK_QUADS; i++) {
                products += w[i] * x[at + i];
            }
            sums[t] += dot(products, vec4(1.0));
        }
    }
#ifdef BIAS
    for (var t = 0u; t < TILE; t++) {
        sums[t] += bias[row];
    }
#endif
    return sums;
}
