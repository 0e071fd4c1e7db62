// y = max(y - (mean + deviations · standard deviation), 0), of the first columns of each row
//
// A workgroup takes a row.
#import step
#import lanes

struct Params {
    rows: u32, // capacity
    cols: u32, // that count
    y_cols: u32,
    deviations: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (tokens, y_cols)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = workgroup.y;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let row = token * params.y_cols;
    var sum = 0.0;
    for (var i = lane; i < params.cols; i += LANES) {
        sum += y[row + i];
    }
    let mean = sum_of_lanes(sum, lane) / f32(params.cols);
    var squares = 0.0;
    for (var i = lane; i < params.cols; i += LANES) {
        let centred = y[row + i] - mean;
        squares += centred * centred;
    }
    let least = mean + params.deviations * sqrt(sum_of_lanes(squares, lane) / f32(params.cols));
    for (var i = lane; i < params.cols; i += LANES) {
        y[row + i] = max(y[row + i] - least, 0.0);
    }
}
