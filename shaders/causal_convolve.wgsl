// y = silu(bias + Σ_k weight[k] · x[p - width + 1 + k]), column by column; keeps the last inputs.
// SHIFT: y = x + weight · (x[p - 1] - x)
//
// One invocation a column of a sequence, which takes its rows in turn; a workgroup takes 64
// columns. The workgroups of a row that does not begin a sequence have nothing to do.
#import step
#import rows

struct Params {
    rows: u32, // capacity
    x_cols: u32,
    first_col: u32, // of those of x that are read
    cols: u32,
    width: u32, // positions of the convolution
    biased: u32,
    slot: u32, // values of a slot of the state
    first: u32, // of the inputs in a slot
    first_weight: u32,
    keeps: u32, // whether the last inputs are kept
}
@group(0) @binding(1) var<uniform> params: Params;
// a sequence: before its length the slots that its state is read from and written to
@group(0) @binding(next) var<storage, read> tables: array<u32>;
@group(0) @binding(next) var<storage, read> x: array<f32>; // (rows, x_cols)
@group(0) @binding(next) var<storage, read> weight: array<f32>; // (cols, width), then biases if there are any
@group(0) @binding(next) var<storage, read_write> state: array<f32>; // (slots, slot): (width - 1, cols), …
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (rows, cols)

const NO_STATE = 0xffffffffu;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let count = min(step.tokens, params.rows);
    let col = id.x;
    let first = id.y;
    if col >= params.cols || first >= count {
        return;
    }
    let sequence = rows[first].table;
    if first > 0u {
        if rows[first - 1u].table == sequence {
            return;
        }
    }
    let source = tables[sequence - 2u];
    let target_slot = tables[sequence - 1u];
    // the inputs of the last positions, the latest last
    var last: array<f32, WIDEST>;
    var weights: array<f32, WIDEST>;
    for (var i = 0u; i < params.width; i++) {
#ifndef SHIFT
        weights[i] = weight[col * params.width + i];
#endif
        if source != NO_STATE && i + 1u < params.width {
            last[i] = state[source * params.slot + params.first + i * params.cols + col];
        }
    }
#ifdef SHIFT
    let begun = last[0];
    weights[0] = weight[params.first_weight + col];
#endif
    var bias = 0.0;
    if params.biased != 0u {
        bias = weight[params.cols * params.width + col];
    }
    for (var at = first; at < count; at++) {
        if rows[at].table != sequence {
            break;
        }
        let value = x[at * params.x_cols + params.first_col + col];
#ifdef SHIFT
        y[at * params.cols + col] = value + weights[0] * (last[0] - value);
#else
        var sum = bias + weights[params.width - 1u] * value;
        for (var i = 0u; i + 1u < params.width; i++) {
            sum += weights[i] * last[i];
        }
        y[at * params.cols + col] = sum / (1.0 + exp(min(-sum, 80.0)));
#endif
        for (var i = 0u; i + 2u < params.width; i++) {
            last[i] = last[i + 1u];
        }
        if params.width > 1u {
            last[params.width - 2u] = value;
        }
    }
#ifdef SHIFT
    if params.keeps == 0u {
        last[0] = begun;
    }
#endif
    for (var i = 0u; i + 1u < params.width; i++) {
        state[target_slot * params.slot + params.first + i * params.cols + col] = last[i];
    }
}
