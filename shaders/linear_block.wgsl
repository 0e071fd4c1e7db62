// `linear` for many tokens, see shared/linear.wgsl: a tile in workgroup memory.
//
// For each 16 columns, the invocations decode the weights of the tile's rows and fetch the
// activations of its tokens. Then each multiplies four rows with eight tokens. Where a tile has as
// many tokens as invocations, a step has 8 columns, so that their activations fit workgroup memory,
// and weights are decoded for as many steps at once as there is work for all invocations.
//
// With ROUNDED, weights are rounded to f16 too, and sums are still f32: half as many bytes pass
// through workgroup memory.
#ifdef ROUNDED
enable f16;
#endif
#import linear
#import blocks
#import tile

#ifdef ROUNDED
alias Quad = vec4<f16>;
#else
alias Quad = vec4<f32>;
#endif
// Invocations that fetch the activations of a token: one or two.
const PARTS = WORKGROUP / TILE_TOKENS;
// Of the activations of a step: each invocation fetches two of a token.
const QUADS = 2u * PARTS;
// Of the weights that are decoded at once.
const DECODED_QUADS = max(QUADS, WORKGROUP / TILE_ROWS);
// Of these by each invocation: a row or a part of one.
const WEIGHT_QUADS = DECODED_QUADS * TILE_ROWS / WORKGROUP;

var<workgroup> weights: array<Quad, DECODED_QUADS * TILE_ROWS>; // (quads, rows)
var<workgroup> activations: array<Quad, QUADS * TILE_TOKENS>; // (quads, tokens)
#ifdef NORM
var<workgroup> squares: array<f32, 2u * TILE_TOKENS>; // (tokens, halves of 16 columns)
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let tokens = min(step.tokens, params.rows);
    let first_token = workgroup.x * TILE_TOKENS;
    if first_token >= tokens {
        return;
    }
    let groups = groups_of(tokens - first_token);
    let lane = index % LANES;
    let token_lane = index / LANES;
    let row_place = index * WEIGHT_QUADS / DECODED_QUADS;
    let row = tile_row(workgroup.y, row_place);
    let row_quad = index * WEIGHT_QUADS % DECODED_QUADS;
    let place = index / PARTS;
    let part = index % PARTS * 2u;
    let x_row = min(first_token + place, tokens - 1u) * quads(); // tokens past the last repeat it
    // of one half of 16 columns, or of both in turn: so sums have the same bits in each tile
    var square_sums = vec2(0.0);

    var sums: mat4x4<f32>; // (tokens, rows)
    var more: mat4x4<f32>; // of tokens 4 to 7
    for (var start = 0u; start < quads(); start += QUADS) {
        workgroupBarrier(); // all invocations have finished the previous columns
        let decoded = start & (DECODED_QUADS - QUADS); // the step's first among the decoded weights
        if decoded == 0u {
            for (var quad = row_quad; quad < row_quad + WEIGHT_QUADS; quad++) {
                weights[quad * TILE_ROWS + row_place] = Quad(weight_quad(row, start + quad));
            }
        }
        for (var quad = part; quad < part + 2u && place < groups * TOKEN_LANES; quad++) {
#ifdef ROUNDED
            let words = x[x_row + start + quad];
            let values = vec4(unpack2x16float(words.x), unpack2x16float(words.y));
#else
            var values = x[x_row + start + quad];
#endif
#ifdef NORM
            square_sums.x += dot(values, values);
            values *= norm[start + quad];
#endif
            activations[quad * TILE_TOKENS + place] = Quad(values);
        }
        if PARTS == 1u {
            square_sums = square_sums.yx;
        }
        workgroupBarrier();
        for (var quad = 0u; quad < QUADS; quad++) {
            let w = (decoded + quad) * TILE_ROWS + lane;
            let a = quad * TILE_TOKENS + token_lane;
            let rows = mat4x4<f32>(
                vec4<f32>(weights[w]),
                vec4<f32>(weights[w + LANES]),
                vec4<f32>(weights[w + 2u * LANES]),
                vec4<f32>(weights[w + 3u * LANES]),
            );
            sums[0] += vec4<f32>(activations[a]) * rows;
            if groups > 1u {
                sums[1] += vec4<f32>(activations[a + TOKEN_LANES]) * rows;
            }
            if groups > 2u {
                sums[2] += vec4<f32>(activations[a + 2u * TOKEN_LANES]) * rows;
                sums[3] += vec4<f32>(activations[a + 3u * TOKEN_LANES]) * rows;
            }
            if groups > 4u {
                more[0] += vec4<f32>(activations[a + 4u * TOKEN_LANES]) * rows;
                more[1] += vec4<f32>(activations[a + 5u * TOKEN_LANES]) * rows;
                more[2] += vec4<f32>(activations[a + 6u * TOKEN_LANES]) * rows;
                more[3] += vec4<f32>(activations[a + 7u * TOKEN_LANES]) * rows;
            }
        }
    }
#ifdef NORM
    if PARTS == 1u {
        squares[2u * index] = square_sums.x;
        squares[2u * index + 1u] = square_sums.y;
    } else {
        squares[index] = square_sums.x;
    }
    workgroupBarrier();
#endif
    let first = (workgroup.y * LANES + lane) * OUTPUTS_PER_INVOCATION;
    finish_scaled(first_token, token_lane, first, sums[0]);
    if groups > 1u {
        finish_scaled(first_token, token_lane + TOKEN_LANES, first, sums[1]);
    }
    if groups > 2u {
        finish_scaled(first_token, token_lane + 2u * TOKEN_LANES, first, sums[2]);
        finish_scaled(first_token, token_lane + 3u * TOKEN_LANES, first, sums[3]);
    }
    if groups > 4u {
        finish_scaled(first_token, token_lane + 4u * TOKEN_LANES, first, more[0]);
        finish_scaled(first_token, token_lane + 5u * TOKEN_LANES, first, more[1]);
        finish_scaled(first_token, token_lane + 6u * TOKEN_LANES, first, more[2]);
        finish_scaled(first_token, token_lane + 7u * TOKEN_LANES, first, more[3]);
    }
}

fn finish_scaled(first_token: u32, place: u32, first: u32, sums: vec4<f32>) {
    let token = first_token + place;
#ifdef ROUNDED
    let last = min(step.tokens, params.rows) - 1u; // tokens past it are not stored
    let scale = bitcast<f32>(x[params.rows * quads() + min(token, last)].x);
    finish(token, first, sums * scale);
#else
#ifdef NORM
    finish(token, first, sums * inverse_rms(squares[2u * place] + squares[2u * place + 1u]));
#else
    finish(token, first, sums);
#endif
#endif
}
