// `linear` for many tokens, see shared/linear.wgsl: an invocation computes ROWS rows for eight
// tokens.
//
// A block of weights is decoded once for eight tokens, and a block of x is loaded once for ROWS
// rows. No barriers and no workgroup memory.
#import linear
#import blocks

alias Eight = array<vec4<f32>, 2>; // one value per token

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = id.x * OUTPUTS_PER_INVOCATION;
    let token = 8u * id.y;
    if first >= params.outputs || token >= min(step.tokens, params.rows) {
        return;
    }
    // Tokens past the last one repeat it; their results are not stored.
    let last = min(step.tokens, params.rows) - 1u;
    var sums: array<Eight, ROWS>; // Σ weight · x, see row_of
#ifdef NORM
    var squares: Eight;
#endif
    for (var block = 0u; block < blocks(); block++) {
        var x0 = x_block(token, block);
        var x1 = x_block(min(token + 1u, last), block);
        var x2 = x_block(min(token + 2u, last), block);
        var x3 = x_block(min(token + 3u, last), block);
        var x4 = x_block(min(token + 4u, last), block);
        var x5 = x_block(min(token + 5u, last), block);
        var x6 = x_block(min(token + 6u, last), block);
        var x7 = x_block(min(token + 7u, last), block);
#ifdef NORM
        squares[0] += vec4(block_dot(x0, x0), block_dot(x1, x1), block_dot(x2, x2), block_dot(x3, x3));
        squares[1] += vec4(block_dot(x4, x4), block_dot(x5, x5), block_dot(x6, x6), block_dot(x7, x7));
        let factors = norm_block(block);
        x0 = block_product(x0, factors);
        x1 = block_product(x1, factors);
        x2 = block_product(x2, factors);
        x3 = block_product(x3, factors);
        x4 = block_product(x4, factors);
        x5 = block_product(x5, factors);
        x6 = block_product(x6, factors);
        x7 = block_product(x7, factors);
#endif
        for (var r = 0u; r < ROWS; r++) {
            let w = weight_block(row_of(first, r), block);
            sums[r][0] += vec4(block_dot(w, x0), block_dot(w, x1), block_dot(w, x2), block_dot(w, x3));
            sums[r][1] += vec4(block_dot(w, x4), block_dot(w, x5), block_dot(w, x6), block_dot(w, x7));
        }
    }
    for (var t = 0u; t < 8u; t++) {
#ifdef NORM
        let factor = inverse_rms(squares[t / 4u][t % 4u]);
#else
        let factor = 1.0;
#endif
#ifdef GATED
        for (var i = 0u; i < ROWS / 2u; i++) {
            let up = sums[ROWS / 2u + i][t / 4u][t % 4u];
            store(token + t, first + i, sums[i][t / 4u][t % 4u] * factor, up * factor);
        }
#else
        for (var i = 0u; i < ROWS; i += 2u) {
            let results = vec2(sums[i][t / 4u][t % 4u], sums[i + 1u][t / 4u][t % 4u]);
            store_pair(token + t, first + i, results * factor);
        }
#endif
    }
}
