// `linear` for many tokens, see shared/linear.wgsl: a workgroup computes 64 rows for 32 tokens
// through workgroup memory.
//
// For each block of 32 columns, half of the invocations each decode a block of one row, and the
// other half fetch x. Then every invocation multiplies four rows with four tokens, which are a
// stride apart, so that neighbours read neighbouring memory.
#import linear
#import blocks
#import tile

var<workgroup> weights: array<vec4<f32>, 8u * TILE_ROWS>; // (quads, rows)
var<workgroup> activations: array<vec4<f32>, 8u * TILE_TOKENS>; // (quads, tokens)

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let tokens = min(step.tokens, params.rows);
    let first_token = workgroup.y * TILE_TOKENS;
    if first_token >= tokens {
        return;
    }
    let lane = index % LANES;
    let token_lane = index / LANES;
    let first = (workgroup.x * LANES + lane) * OUTPUTS_PER_INVOCATION;
    let fetch = fetch_of(workgroup.x, index, first_token, tokens);
    var square_sum = 0.0;

    var sums: mat4x4<f32>; // (tokens, rows)
    for (var block = 0u; block < BLOCKS; block++) {
        workgroupBarrier(); // all invocations have finished the previous block
        if fetch.weights {
            let values = weight_block(fetch.row, block);
            weights[fetch.task] = values[0];
            weights[TILE_ROWS + fetch.task] = values[1];
            weights[2u * TILE_ROWS + fetch.task] = values[2];
            weights[3u * TILE_ROWS + fetch.task] = values[3];
            weights[4u * TILE_ROWS + fetch.task] = values[4];
            weights[5u * TILE_ROWS + fetch.task] = values[5];
            weights[6u * TILE_ROWS + fetch.task] = values[6];
            weights[7u * TILE_ROWS + fetch.task] = values[7];
        } else {
            for (var i = 0u; i < 4u; i++) {
                var values = x[fetch.x_row + 8u * block + i];
#ifdef NORM
                square_sum += dot(values, values);
                values *= norm[8u * block + 4u * fetch.half + i];
#endif
                activations[(4u * fetch.half + i) * TILE_TOKENS + fetch.token] = values;
            }
        }
        workgroupBarrier();
        for (var quad = 0u; quad < 8u; quad++) {
            let w = quad * TILE_ROWS + lane;
            let a = quad * TILE_TOKENS + token_lane;
            let rows = mat4x4<f32>(weights[w], weights[w + LANES], weights[w + 2u * LANES], weights[w + 3u * LANES]);
            sums[0] += activations[a] * rows;
            sums[1] += activations[a + TOKEN_LANES] * rows;
            sums[2] += activations[a + 2u * TOKEN_LANES] * rows;
            sums[3] += activations[a + 3u * TOKEN_LANES] * rows;
        }
    }
#ifdef NORM
    if !fetch.weights {
        squares[fetch.task] = square_sum;
    }
    workgroupBarrier();
#endif
    finish(first_token, token_lane, first, sums[0]);
    finish(first_token, token_lane + TOKEN_LANES, first, sums[1]);
    finish(first_token, token_lane + 2u * TOKEN_LANES, first, sums[2]);
    finish(first_token, token_lane + 3u * TOKEN_LANES, first, sums[3]);
}
