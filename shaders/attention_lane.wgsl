// `attention`, see shared/attention.wgsl: an invocation computes all query heads of one key/value
// head for one row, or a piece of its positions.
//
// It reads the cache four positions at a time, all in one block, and keeps the running maximum and
// sum of the softmax. A key or value that is loaded serves GROUP heads, and a partial result in
// memory four positions. It needs neither barriers nor workgroup memory.
#import attention

fn four_quads(at: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(kv_quad(at.x), kv_quad(at.y), kv_quad(at.z), kv_quad(at.w));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let kv_head = params.first_kv_head + id.y;
#ifdef PARTIAL
    let token = id.z;
    let piece = id.x;
#else
    let token = id.x;
    let piece = 0u;
#endif
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let row = rows[token];
    let seen = seen_by(row, piece);
    let first = seen.x;
    let end = seen.y;
    if first >= end {
        return;
    }
    let first_query = token * (Q_COLS / 4u) + kv_head * GROUP * HEAD_QUADS;

    var query: array<vec4<f32>, GROUP * HEAD_QUADS>;
    for (var i = 0u; i < GROUP * HEAD_QUADS; i++) {
        query[i] = q[first_query + i] * query_scale(row);
    }
    var values: array<vec4<f32>, GROUP * HEAD_QUADS>;
    var maxima: array<f32, GROUP>;
    var sums: array<f32, GROUP>;
    for (var g = 0u; g < GROUP; g++) {
        maxima[g] = LOWEST;
    }
    for (var start = first / 4u * 4u; start < end; start += 4u) {
        // Positions before the first have weight zero, and so have those past the end, which read
        // the last position instead.
        let four = vec4(start) + vec4(0u, 1u, 2u, 3u);
        let positions = min(four, vec4(end - 1u));
        let outside = (four >= vec4(end)) | (four < vec4(first));
        let keys = (vec4(keys_of(row, kv_head, start)) + positions) * HEAD_QUADS;
        let values_at = keys + VALUES * HEAD_QUADS;

        // The scores of the four positions, then exp(score - maximum). Set to zero explicitly: one
        // browser initialised the declaration only once.
        var weights = array<vec4<f32>, GROUP>();
        for (var i = 0u; i < HEAD_QUADS; i++) {
            let k = four_quads(keys + i);
            for (var g = 0u; g < GROUP; g++) {
                weights[g] += query[g * HEAD_QUADS + i] * k;
            }
        }
        var shrinks: array<f32, GROUP>;
        for (var g = 0u; g < GROUP; g++) {
            let scores = select(adjusted(weights[g], row, kv_head * GROUP + g, positions), vec4(LOWEST), outside);
            let maximum = max(maxima[g], max(max(scores.x, scores.y), max(scores.z, scores.w)));
            weights[g] = exp(scores - maximum);
            shrinks[g] = exp(maxima[g] - maximum);
            maxima[g] = maximum;
            sums[g] = sums[g] * shrinks[g] + dot(weights[g], vec4(1.0));
        }
        for (var i = 0u; i < HEAD_QUADS; i++) {
            let v = four_quads(values_at + i);
            for (var g = 0u; g < GROUP; g++) {
                let at = g * HEAD_QUADS + i;
                values[at] = values[at] * shrinks[g] + v * weights[g];
            }
        }
    }
    for (var g = 0u; g < GROUP; g++) {
        for (var i = 0u; i < HEAD_QUADS; i++) {
            store_quad(token, kv_head * GROUP + g, piece, i, values[g * HEAD_QUADS + i], maxima[g], sums[g]);
        }
    }
}
