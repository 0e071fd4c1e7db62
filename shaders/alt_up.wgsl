// Alternating updates of four residual streams: p[i] = s[i] + Σ_j c[i][j] · s[j], with c = C ·
// tanh(routed); y = p[0]. CORRECT: s[i] = p[i] + (1 + d[i]) · (x - p[0]), with d = D ·
// tanh(corrected), where y is the streams but the first.
//
// One invocation a column of all streams; a workgroup takes 64 of a token.
#import step

struct Params {
    rows: u32, // capacity
    cols: u32, // of a stream
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (tokens, cols), or (tokens, 3 cols)
#ifdef CORRECT
@group(0) @binding(next) var<storage, read_write> first: array<f32>; // (tokens, cols)
#else
@group(0) @binding(next) var<storage, read> first: array<f32>; // (tokens, cols)
#endif
@group(0) @binding(next) var<storage, read> late: array<f32>; // (tokens, cols)
@group(0) @binding(next) var<storage, read> routed: array<vec4<f32>>; // (tokens, 1)
@group(0) @binding(next) var<storage, read> weights: array<vec4<f32>>; // (4 · 4 of C, then 4 of D)
#ifdef CORRECT
@group(0) @binding(next) var<storage, read> x: array<f32>; // (tokens, cols)
@group(0) @binding(next) var<storage, read> corrected: array<vec4<f32>>; // (tokens, 1)
#else
@group(0) @binding(next) var<storage, read> others: array<f32>; // (tokens, 3 cols)
#endif

fn other(at: u32) -> f32 {
#ifdef CORRECT
    return y[at];
#else
    return others[at];
#endif
}

// C of stream i with what the router says
fn mixed(i: u32, says: vec4<f32>) -> vec4<f32> {
    let c = 4u * i;
    return vec4(dot(weights[c], says), dot(weights[c + 1u], says), dot(weights[c + 2u], says), dot(weights[c + 3u], says));
}

// where tanh is 1, in any implementation
fn bounded(values: vec4<f32>) -> vec4<f32> {
    return tanh(clamp(values, vec4(-10.0), vec4(10.0)));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    if token >= min(step.tokens, params.rows) || id.x >= params.cols {
        return;
    }
    let at = token * params.cols + id.x;
    let second = 3u * token * params.cols + id.x;
    let third = second + params.cols;
    let fourth = third + params.cols;
    let added = vec4(0.0, vec3(late[at]));
    let s = vec4(first[at], other(second), other(third), other(fourth)) + added;
    let says = bounded(routed[token]);
    let predicted = s.x + dot(mixed(0u, says), s);
#ifdef CORRECT
    let change = x[at] - predicted;
    let of_change = bounded(corrected[token]);
    first[at] = predicted + (1.0 + dot(weights[16], of_change)) * change;
    y[second] = s.y + dot(mixed(1u, says), s) + (1.0 + dot(weights[17], of_change)) * change;
    y[third] = s.z + dot(mixed(2u, says), s) + (1.0 + dot(weights[18], of_change)) * change;
    y[fourth] = s.w + dot(mixed(3u, says), s) + (1.0 + dot(weights[19], of_change)) * change;
#else
    y[at] = predicted;
#endif
}
