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

#ifdef NORM
// Of four values of four tokens.
fn squares(x: mat4x4<f32>) -> vec4<f32> {
    return vec4(dot(x[0], x[0]), dot(x[1], x[1]), dot(x[2], x[2]), dot(x[3], x[3]));
}

fn inverse_rms(squares: vec4<f32>) -> vec4<f32> {
    return inverseSqrt(squares / f32(params.cols) + params.eps);
}

fn scale_columns(m: mat4x4<f32>, factors: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(m[0] * factors.x, m[1] * factors.y, m[2] * factors.z, m[3] * factors.w);
}
#endif

// Tokens past the last repeat it; nobody stores their results.
fn project(start: u32, first: u32, token: u32) -> Sums {
    let quads = params.cols / 4u;
    let last = vec4(min(step.tokens, params.rows) - 1u);
    let low = min(vec4(token) + vec4(0u, 1u, 2u, 3u), last) * quads;
    let high = min(vec4(token) + vec4(4u, 5u, 6u, 7u), last) * quads;
    var sums = Sums();
#ifdef NORM
    var low_squares = vec4(0.0);
    var high_squares = vec4(0.0);
#endif
    for (var quad = 0u; quad < quads; quad++) {
        var w = transpose(weight_rows(start, first, quad));
        let x_low = mat4x4<f32>(x[low.x + quad], x[low.y + quad], x[low.z + quad], x[low.w + quad]);
        let x_high = mat4x4<f32>(x[high.x + quad], x[high.y + quad], x[high.z + quad], x[high.w + quad]);
#ifdef NORM
        low_squares += squares(x_low);
        high_squares += squares(x_high);
        let factors = norm[quad];
        w = mat4x4<f32>(w[0] * factors.x, w[1] * factors.y, w[2] * factors.z, w[3] * factors.w);
#endif
        sums.low += w * x_low;
        sums.high += w * x_high;
    }
#ifdef NORM
    sums.low = scale_columns(sums.low, inverse_rms(low_squares));
    sums.high = scale_columns(sums.high, inverse_rms(high_squares));
#endif
    return sums;
}
