// y[t] = scale · Σ_j weight_j · x[t][j]: the weighted sum of a token's experts. ACCUMULATE adds it
// to y, the residual stream.
//
// One invocation per value; a workgroup takes 64 values of a token.
#import step

struct Params {
    rows: u32, // capacity of y
    cols: u32, // of y
    slots: u32, // experts per token, including a shared one
    route_cols: u32,
    chosen: u32, // column of the first weight in a row of route
    scale: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>; // (tokens, slots, cols)
@group(0) @binding(3) var<storage, read> route: array<f32>; // (tokens, route_cols)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (tokens, cols)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    if token >= min(step.tokens, params.rows) || id.x >= params.cols {
        return;
    }
    let weights = token * params.route_cols + params.chosen;
    var sum = 0.0;
    for (var j = 0u; j < params.slots; j++) {
        sum += route[weights + j] * x[(token * params.slots + j) * params.cols + id.x];
    }
    let at = token * params.cols + id.x;
#ifdef ACCUMULATE
    y[at] += params.scale * sum;
#else
    y[at] = params.scale * sum;
#endif
}
