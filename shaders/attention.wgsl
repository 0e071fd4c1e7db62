// `attention`, see shared/attention.wgsl: a workgroup computes one head of one row, or a piece of
// its positions.
//
// FlashAttention: the workgroup reads the cache in tiles of 256 positions and keeps the running
// maximum and sum of the softmax. In a tile, each of the 64 invocations first scores up to four
// positions. For the weighted sum of values they regroup: HEAD_QUADS invocations take four values
// of the head each, and as many such groups as fit share the positions. The groups' sums are added
// once, at the end.
#import attention

const LANES = 64u;
const TILE = 4u * LANES;
const GROUPS = LANES / HEAD_QUADS;
var<workgroup> query: array<vec4<f32>, HEAD_QUADS>;
// for each position of the tile: the score, then exp(score - maximum)
var<workgroup> weights: array<f32, TILE>;
var<workgroup> lane_maxima: array<f32, LANES>; // the largest score of each invocation
var<workgroup> group_values: array<vec4<f32>, LANES>; // (GROUPS, HEAD_QUADS)
var<workgroup> group_sums: array<f32, LANES>; // (GROUPS, HEAD_QUADS)

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = workgroup.x;
    let split = workgroup.y;
    let token = workgroup.z;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let row = rows[token];
#ifdef PARTIAL
    let end = min(end_position(row), (split + 1u) * SPLIT);
    let first = max(split * SPLIT, first_position(row));
    if first >= end {
        return;
    }
#else
    let end = end_position(row);
    let first = first_position(row);
#endif
    let kv_head = head / GROUP;
    let group = lane / HEAD_QUADS; // those at or past GROUPS sum nothing
    let quad = lane % HEAD_QUADS;

    if lane < HEAD_QUADS {
        query[lane] = q[token * (Q_COLS / 4u) + head * HEAD_QUADS + lane] * params.scale;
    }

    var maximum = LOWEST;
    var sum = 0.0; // of this group's weights, relative to the maximum
    var values = vec4(0.0); // their weighted values
    for (var start = first; start < end; start += TILE) {
        let size = min(TILE, end - start);
        workgroupBarrier(); // everyone is done with the weights of the tile before
        var lane_maximum = LOWEST;
        for (var p = lane; p < size; p += LANES) {
            var products = vec4(0.0);
            let key = (keys_of(row, kv_head, start + p) + start + p) * HEAD_QUADS;
            for (var i = 0u; i < HEAD_QUADS; i++) {
                products += query[i] * kv[key + i];
            }
            var score = bounded(dot(products, vec4(1.0)));
#ifdef ALIBI
            score -= slope(head) * f32(end_position(row) - 1u - start - p);
#endif
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
        if group < GROUPS {
            var p = group;
            while p < size {
                // block by block
                let first_value = keys_of(row, kv_head, start + p) + VALUES + start;
                let stop = min(size, ((start + p) / KV_BLOCK + 1u) * KV_BLOCK - start);
                for (; p < stop; p += GROUPS) {
                    sum += weights[p];
                    values += weights[p] * kv[(first_value + p) * HEAD_QUADS + quad];
                }
            }
        }
    }

    group_values[lane] = values;
    group_sums[lane] = sum;
    workgroupBarrier();
    if lane < HEAD_QUADS {
        for (var g = 1u; g < GROUPS; g++) {
            sum += group_sums[g * HEAD_QUADS + quad];
            values += group_values[g * HEAD_QUADS + quad];
        }
        store_quad(token, head, split, quad, values, maximum, sum);
    }
}
