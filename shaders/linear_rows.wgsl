// `linear` for one token, see shared/linear.wgsl: an invocation computes ROWS rows over all
// columns.
//
// No barriers and no workgroup memory. With ROWS of 16 or 32, a value of x is loaded once for as
// many products, which suits adapters without caches or wide loads. With ROWS = 2 and a tiled
// layout, neighbouring lanes take neighbouring rows: loads of the weight coalesce, and there are
// enough invocations for a GPU.
#import matvec

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = id.x * OUTPUTS_PER_INVOCATION;
    let token = id.y;
    if first >= params.outputs || token >= min(step.tokens, params.rows) {
        return;
    }
#ifdef EXPERTS
    if !take_expert(token, id.z) {
        return;
    }
#endif
    var sums: Sums;
    for (var block = 0u; block < blocks(); block++) {
        add_block(&sums, first, token, block);
    }
#ifdef NORM
    let factor = inverse_rms(sums.squares);
#else
    let factor = 1.0;
#endif
#ifdef GATED
    for (var i = 0u; i < ROWS / 2u; i++) {
        store(token, first + i, sums.rows[i] * factor, sums.rows[ROWS / 2u + i] * factor);
    }
#else
    for (var i = 0u; i < ROWS; i += 2u) {
        store_pair(token, first + i, vec2(sums.rows[i], sums.rows[i + 1u]) * factor);
    }
#endif
}
