// `linear` in its simplest form, see shared/linear.wgsl: an invocation computes two rows for a
// token, four columns at a time. The other variants are measured against it, and it also handles
// rows that are not whole blocks.
#import linear

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = OUTPUTS_PER_INVOCATION * id.x;
    let token = id.y;
    if first >= params.outputs || token >= min(step.tokens, params.rows) {
        return;
    }
#ifdef EXPERTS
    if !take_expert(token, id.z) {
        return;
    }
#endif
#ifdef GATED
    store(token, first, project(token, first), project(token, params.outputs + first));
#else
    store_pair(token, first, vec2(project(token, first), project(token, first + 1u)));
#endif
}

fn project(token: u32, row: u32) -> f32 {
    var sum = 0.0;
    var squares = 0.0;
    for (var quad = 0u; quad < quads(); quad++) {
        var values = x[x_start(token) + quad];
#ifdef NORM
        squares += dot(values, values);
        values *= norm[quad];
#endif
        sum += dot(values, weight_quad(weight_row(row), quad));
    }
#ifdef NORM
    sum *= inverse_rms(squares);
#endif
    return sum;
}
