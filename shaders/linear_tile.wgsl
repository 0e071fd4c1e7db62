// `linear` for many tokens, see shared/linear.wgsl.
//
// One invocation computes four outputs for eight tokens, so that a weight is read and decoded once for eight products and
// a value of x is loaded once for four. A workgroup takes 256 outputs of eight tokens.
#import linear

struct Sums {
    low: mat4x4<f32>, // (tokens 0 to 3, outputs)
    high: mat4x4<f32>, // (tokens 4 to 7, outputs)
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = 4u * id.x;
    let token = 8u * id.y;
    if first >= params.outputs || token >= min(step.tokens, params.rows) {
        return;
    }
    let results = project(0u, first, token);
#ifdef SWIGLU
    let up = project(params.outputs, first, token);
#else
    let up = Sums();
#endif
    store(token, first, results.low[0], up.low[0]);
    store(token + 1u, first, results.low[1], up.low[1]);
    store(token + 2u, first, results.low[2], up.low[2]);
    store(token + 3u, first, results.low[3], up.low[3]);
    store(token + 4u, first, results.high[0], up.high[0]);
    store(token + 5u, first, results.high[1], up.high[1]);
    store(token + 6u, first, results.high[2], up.high[2]);
    store(token + 7u, first, results.high[3], up.high[3]);
}

// Tokens past the last repeat it; nobody stores their results.
fn project(start: u32, first: u32, token: u32) -> Sums {
    let quads = params.cols / 4u;
    let last = vec4(min(step.tokens, params.rows) - 1u);
    let low = min(vec4(token) + vec4(0u, 1u, 2u, 3u), last) * quads;
    let high = min(vec4(token) + vec4(4u, 5u, 6u, 7u), last) * quads;
    var sums = Sums();
    for (var quad = 0u; quad < quads; quad++) {
        let w = transpose(weight_rows(start, first, quad));
        sums.low += w * mat4x4<f32>(x[low.x + quad], x[low.y + quad], x[low.z + quad], x[low.w + quad]);
        sums.high += w * mat4x4<f32>(x[high.x + quad], x[high.y + quad], x[high.z + quad], x[high.w + quad]);
    }
    return sums;
}
