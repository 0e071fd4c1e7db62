// y[t][h] = Σ_p softmax_p(q[t][h] · k[p] · scale) v[p], over the positions p ≤ position + t
//
// Flash attention: one workgroup a head of a token walks the cache in tiles of 256 positions, with the maximum and the sum
// of the softmax so far. In a tile, each of the 64 invocations first scores up to four positions. For the weighted sum of
// values they regroup: `quads` invocations own four values of the head each, and as many such groups as fit share the
// positions. The groups' sums meet once, at the end.
#import step

struct Params {
    rows: u32, // capacity of y
    q_cols: u32,
    heads: u32,
    kv_heads: u32,
    head_dim: u32, // a multiple of 4, at most 256
    context: u32,
    scale: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>; // (tokens, q_cols / 4): the heads come first in a row
@group(0) @binding(3) var<storage, read> k_cache: array<vec4<f32>>; // (kv_heads, context, head_dim / 4)
@group(0) @binding(4) var<storage, read> v_cache: array<vec4<f32>>; // (kv_heads, context, head_dim / 4)
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>; // (tokens, heads, head_dim / 4)

const LANES = 64u;
const TILE = 4u * LANES;
const LOWEST = -1e30; // below any score
var<workgroup> query: array<vec4<f32>, LANES>; // (head_dim / 4)
var<workgroup> weights: array<f32, TILE>; // one a position of the tile: the score, then exp(score - maximum)
var<workgroup> lane_maxima: array<f32, LANES>; // the largest score of each invocation
var<workgroup> group_values: array<vec4<f32>, LANES>; // (groups, quads)
var<workgroup> group_sums: array<f32, LANES>; // (groups, quads)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = workgroup.x;
    let token = workgroup.y;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let quads = params.head_dim / 4u;
    let kv_head = head / (params.heads / params.kv_heads);
    let cached = kv_head * params.context * quads;
    let positions = step.position + token + 1u;

    let groups = LANES / quads;
    let group = lane / quads; // those at or past `groups` sum nothing
    let quad = lane % quads;

    if lane < quads {
        query[lane] = q[token * (params.q_cols / 4u) + head * quads + lane] * params.scale;
    }

    var maximum = LOWEST;
    var sum = 0.0; // of this group's weights, relative to the maximum
    var values = vec4(0.0); // their weighted values
    for (var start = 0u; start < positions; start += TILE) {
        let size = min(TILE, positions - start);
        workgroupBarrier(); // everyone is done with the weights of the tile before
        var lane_maximum = LOWEST;
        for (var p = lane; p < size; p += LANES) {
            var products = vec4(0.0);
            let row = cached + (start + p) * quads;
            for (var i = 0u; i < quads; i++) {
                products += query[i] * k_cache[row + i];
            }
            let score = dot(products, vec4(1.0));
            weights[p] = score;
            lane_maximum = max(lane_maximum, score);
        }
        lane_maxima[lane] = lane_maximum;
        workgroupBarrier();

        var tile_maximum = maximum;
        for (var i = 0u; i < min(LANES, size); i++) {
            tile_maximum = max(tile_maximum, lane_maxima[i]);
        }
        for (var p = lane; p < size; p += LANES) {
            weights[p] = exp(weights[p] - tile_maximum);
        }
        workgroupBarrier();

        let shrink = exp(maximum - tile_maximum);
        maximum = tile_maximum;
        sum *= shrink;
        values *= shrink;
        if group < groups {
            for (var p = group; p < size; p += groups) {
                sum += weights[p];
                values += weights[p] * v_cache[cached + (start + p) * quads + quad];
            }
        }
    }

    group_values[lane] = values;
    group_sums[lane] = sum;
    workgroupBarrier();
    if lane < quads {
        for (var g = 1u; g < groups; g++) {
            sum += group_sums[g * quads + quad];
            values += group_values[g * quads + quad];
        }
        y[(token * params.heads + head) * quads + quad] = values / sum;
    }
}
