// `linear` for one token, see shared/linear.wgsl.
//
// One invocation computes four outputs, walking four rows of the weight side by side, so that each value of x that is
// loaded serves four products; a workgroup takes 256 outputs. No barriers: on software adapters they cost more than they
// save.
#import linear

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = 4u * id.x;
    let token = id.y;
    if first >= params.outputs || token >= min(step.tokens, params.rows) {
        return;
    }
    let results = project(0u, first, token);
#ifdef SWIGLU
    store(token, first, results, project(params.outputs, first, token));
#else
    store(token, first, results, vec4(0.0));
#endif
}

fn project(start: u32, first: u32, token: u32) -> vec4<f32> {
    let quads = params.cols / 4u;
    var sums = vec4(0.0); // (outputs)
#ifdef NORM
    var squares = 0.0;
#endif
    for (var quad = 0u; quad < quads; quad++) {
        var values = x[token * quads + quad];
#ifdef NORM
        squares += dot(values, values);
        values *= norm[quad];
#endif
        sums += values * weight_rows(start, first, quad);
    }
#ifdef NORM
    sums *= inverseSqrt(squares / f32(params.cols) + params.eps);
#endif
    return sums;
}
