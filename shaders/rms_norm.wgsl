// y[t] = x[t] / sqrt(mean(x[t]²) + eps) · weight
//
// One workgroup a token: each of its 64 invocations squares every 64th value, then each adds all 64 partial sums. That
// is more additions than a tree would take, and five barriers fewer.
#import step

struct Params {
    rows: u32, // capacity of y
    cols: u32,
    eps: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (tokens, cols)
@group(0) @binding(3) var<storage, read> weight: array<f32>; // (cols)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (tokens, cols)

const LANES = 64u;
var<workgroup> partial_sums: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = group.x;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let row = token * params.cols;
    var squares = 0.0;
    for (var i = lane; i < params.cols; i += LANES) {
        squares += x[row + i] * x[row + i];
    }
    partial_sums[lane] = squares;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < LANES; i++) {
        sum += partial_sums[i];
    }
    let scale = 1.0 / sqrt(sum / f32(params.cols) + params.eps);
    for (var i = lane; i < params.cols; i += LANES) {
        y[row + i] = x[row + i] * scale * weight[i];
    }
}
