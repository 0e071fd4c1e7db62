// `attention`, see shared/attention.wgsl: an invocation takes all query heads of a key and value head for a token, or a
// piece of its positions.
//
// It walks the cache by four positions with the maximum and the sum of the softmax so far, so that a key or value that is
// loaded serves GROUP heads, and a partial result in memory four positions. No barriers and no memory of the workgroup.
#import attention

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x / SPLITS;
    let split = id.x % SPLITS;
    let kv_head = id.y;
    let end = min(end_position(token), (split + 1u) * SPLIT);
    let first = max(split * SPLIT, first_position(token));
    if token >= min(step.tokens, params.rows) || first >= end {
        return;
    }
    let cached = kv_head * CONTEXT * HEAD_QUADS;
    let first_query = token * (Q_COLS / 4u) + kv_head * GROUP * HEAD_QUADS;

    var query: array<vec4<f32>, GROUP * HEAD_QUADS>;
    for (var i = 0u; i < GROUP * HEAD_QUADS; i++) {
        query[i] = q[first_query + i] * params.scale;
    }
    var values: array<vec4<f32>, GROUP * HEAD_QUADS>;
    var maxima: array<f32, GROUP>;
    var sums: array<f32, GROUP>;
    for (var g = 0u; g < GROUP; g++) {
        maxima[g] = LOWEST;
    }
    for (var start = first; start < end; start += 4u) {
        // Positions past the end repeat the last one, with weight zero.
        let positions = min(vec4(start) + vec4(0u, 1u, 2u, 3u), vec4(end - 1u));
        let beyond = vec4(start) + vec4(0u, 1u, 2u, 3u) >= vec4(end);
        let rows = cached + positions * HEAD_QUADS;

        // The scores of the four positions, then exp(score - maximum). Set to zero by a statement: a browser was seen to do so
        // only once where that is left to the declaration.
        var weights = array<vec4<f32>, GROUP>();
        for (var i = 0u; i < HEAD_QUADS; i++) {
            let k = mat4x4<f32>(k_cache[rows.x + i], k_cache[rows.y + i], k_cache[rows.z + i], k_cache[rows.w + i]);
            for (var g = 0u; g < GROUP; g++) {
                weights[g] += query[g * HEAD_QUADS + i] * k;
            }
        }
        var shrinks: array<f32, GROUP>;
        for (var g = 0u; g < GROUP; g++) {
#ifdef CAP
            weights[g] = params.cap * tanh(clamp(weights[g] / params.cap, vec4(-15.0), vec4(15.0)));
#endif
#ifdef ALIBI
            weights[g] -= slope(kv_head * GROUP + g) * vec4<f32>(end_position(token) - 1u - positions);
#endif
            let scores = select(weights[g], vec4(LOWEST), beyond);
            let maximum = max(maxima[g], max(max(scores.x, scores.y), max(scores.z, scores.w)));
            weights[g] = exp(scores - maximum);
            shrinks[g] = exp(maxima[g] - maximum);
            maxima[g] = maximum;
            sums[g] = sums[g] * shrinks[g] + dot(weights[g], vec4(1.0));
        }
        for (var i = 0u; i < HEAD_QUADS; i++) {
            let v = mat4x4<f32>(v_cache[rows.x + i], v_cache[rows.y + i], v_cache[rows.z + i], v_cache[rows.w + i]);
            for (var g = 0u; g < GROUP; g++) {
                let at = g * HEAD_QUADS + i;
                values[at] = values[at] * shrinks[g] + v * weights[g];
            }
        }
    }
    for (var g = 0u; g < GROUP; g++) {
        for (var i = 0u; i < HEAD_QUADS; i++) {
            store_quad(token, kv_head * GROUP + g, split, i, values[g * HEAD_QUADS + i], maxima[g], sums[g]);
        }
    }
}
