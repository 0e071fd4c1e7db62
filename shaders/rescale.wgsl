// y[t][g] = factor · x[t][g], for groups g of columns. APART: x is not y. WEIGHT: times a factor
// for each column. LIKE: with the root mean square of another row. ADD and ACCUMULATE add what is
// elsewhere, or in y.
//
// A workgroup takes a group of a token.
#import step
#ifdef LIKE
#import lanes
#endif

struct Params {
    rows: u32, // capacity of y
    width: u32, // columns of a group
    x_cols: u32,
    x_first: u32, // first column that is read
    y_cols: u32,
    factor: f32,
    least: f32, // mean square of x
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (tokens, y_cols)
#ifdef APART
@group(0) @binding(next) var<storage, read> x: array<f32>; // (tokens, x_cols)
#endif
#ifdef WEIGHT
@group(0) @binding(next) var<storage, read> weight: array<f32>; // (y_cols)
#endif
#ifdef LIKE
@group(0) @binding(next) var<storage, read> like: array<f32>; // (tokens, width)
#endif
#ifdef ADD
@group(0) @binding(next) var<storage, read> added: array<f32>; // (tokens, y_cols)
#endif

fn read_x(i: u32) -> f32 {
#ifdef APART
    return x[i];
#else
    return y[i];
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
    let y_row = token * params.y_cols + first;
    var factor = params.factor;
#ifdef LIKE
    var squares = 0.0;
    var others = 0.0;
    for (var i = lane; i < params.width; i += LANES) {
        let value = read_x(x_row + i);
        squares += value * value;
        let other = like[token * params.width + i];
        others += other * other;
    }
    let mean = sum_of_lanes(squares, lane) / f32(params.width);
    factor *= sqrt(sum_of_lanes(others, lane) / f32(params.width) / max(mean, params.least));
#endif
    for (var i = lane; i < params.width; i += LANES) {
        var value = factor * read_x(x_row + i);
#ifdef WEIGHT
        value *= weight[first + i];
#endif
#ifdef ADD
        value += added[y_row + i];
#endif
#ifdef ACCUMULATE
        value += y[y_row + i];
#endif
        y[y_row + i] = value;
    }
}
