// `linear` for many tokens and a quantised weight, see shared/linear.wgsl: a tile in workgroup
// memory, and products of bytes. round_int8 has rounded x.
//
// Sums of products are exact in i32 and are scaled in f32. The minima of a block multiply the sum
// of its rounded activations: so what is lost is weights times roundings, and weights are smaller
// than their quants without the minima.
#import linear
#import blocks
#import tile
#import bytes

var<workgroup> activations: array<vec4<u32>, 2u * TILE_TOKENS>; // (halves, tokens)
var<workgroup> activation_scales: array<vec4<f32>, TILE_TOKENS>; // see scale_and_sums

// Invocations that fetch activations are the last ones, those that fetch weights the first ones.
const FETCH_TOKENS = WORKGROUP - TILE_TOKENS;

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
    let place = index - FETCH_TOKENS;
    let x_row = min(first_token + place, tokens - 1u); // tokens past the last repeat it

    var sums: mat4x4<f32>; // (tokens, rows)
    var more: mat4x4<f32>; // of tokens 4 to 7
    for (var block = 0u; block < blocks(); block++) {
        workgroupBarrier(); // all invocations have finished the previous block
        if index < TILE_ROWS {
            fetch_row(index, tile_row(workgroup.y, index), block);
        }
        if index >= FETCH_TOKENS && place < groups * TOKEN_LANES {
            let at = block * 5u * params.rows + x_row;
            activations[place] = vec4(x[at], x[at + params.rows]);
            activations[TILE_TOKENS + place] = vec4(x[at + 2u * params.rows], x[at + 3u * params.rows]);
            activation_scales[place] = scale_and_sums(x[at + 4u * params.rows]);
        }
        workgroupBarrier();
        let rows = rows_of(lane);
        sums[0] = add_products(sums[0], rows, token_lane);
        if groups > 1u {
            sums[1] = add_products(sums[1], rows, token_lane + TOKEN_LANES);
        }
        if groups > 2u {
            sums[2] = add_products(sums[2], rows, token_lane + 2u * TOKEN_LANES);
            sums[3] = add_products(sums[3], rows, token_lane + 3u * TOKEN_LANES);
        }
        if groups > 4u {
            more[0] = add_products(more[0], rows, token_lane + 4u * TOKEN_LANES);
            more[1] = add_products(more[1], rows, token_lane + 5u * TOKEN_LANES);
            more[2] = add_products(more[2], rows, token_lane + 6u * TOKEN_LANES);
            more[3] = add_products(more[3], rows, token_lane + 7u * TOKEN_LANES);
        }
    }
    let token = first_token + token_lane;
    let first = (workgroup.y * LANES + lane) * OUTPUTS_PER_INVOCATION;
    finish(token, first, sums[0]);
    if groups > 1u {
        finish(token + TOKEN_LANES, first, sums[1]);
    }
    if groups > 2u {
        finish(token + 2u * TOKEN_LANES, first, sums[2]);
        finish(token + 3u * TOKEN_LANES, first, sums[3]);
    }
    if groups > 4u {
        finish(token + 4u * TOKEN_LANES, first, more[0]);
        finish(token + 5u * TOKEN_LANES, first, more[1]);
        finish(token + 6u * TOKEN_LANES, first, more[2]);
        finish(token + 7u * TOKEN_LANES, first, more[3]);
    }
}

// The scale of a block of x, and the sums of the halves that have different minima; of the whole
// block where they have not.
fn scale_and_sums(words: vec2<u32>) -> vec4<f32> {
    let scale = bitcast<f32>(words.x);
    let sums = vec2<f32>(vec2<i32>(vec2(words.y << 16u, words.y)) >> vec2(16u)) * scale;
    if SCALES_DIFFER {
        return vec4(scale, sums, 0.0);
    }
    return vec4(scale, sums.x + sums.y, 0.0, 0.0);
}

// Adds the products of a block of four rows with a token.
fn add_products(sum: vec4<f32>, rows: Rows, token: u32) -> vec4<f32> {
    let x = activation_scales[token];
    let lows = dots(activations[token], rows.low);
    let highs = dots(activations[TILE_TOKENS + token], rows.high);
    if SCALES_DIFFER {
        let products = vec4<f32>(lows) * rows.scales[0] + vec4<f32>(highs) * rows.scales[2];
        return sum + x.x * products + x.y * rows.scales[1] + x.z * rows.scales[3];
    }
    return sum + x.x * (vec4<f32>(lows + highs) * rows.scales[0]) + x.y * rows.scales[1];
}
