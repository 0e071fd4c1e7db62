// `attention`, see shared/attention.wgsl: a workgroup computes up to TOGETHER of the heads that
// share keys and values, for one row, or a piece of its positions. PARTS workgroups share a
// key/value head.
//
// FlashAttention, block by block, with the running maximum and sum of the softmax. Of a block each
// key and value is loaded once, by neighbouring invocations:
//
// 1. SHARES invocations share a key; each multiplies its part of two keys with all queries.
// 2. SCORERS invocations a head add up the parts, and turn scores into weights.
// 3. HEAD_QUADS invocations share a value. As many such groups as fit share the heads, and where
//    there are more groups than heads the positions too; their sums are added once, at the end.
#import attention
#ifdef ROPE
#import attention_rope
#else
const TAKEN = 0u;
#endif

const LANES = WORKGROUP;
const SHARES = 4u;
const SLOTS = KV_BLOCK / 2u; // pairs of keys; WORKGROUP = SHARES · SLOTS
const SCORERS = 16u; // four positions each; WORKGROUP ≥ SCORERS · TOGETHER
const GROUPS = LANES / HEAD_QUADS;
const HEAD_GROUPS = min(GROUPS, TOGETHER); // those of the same positions
const STRIPES = GROUPS / HEAD_GROUPS; // of positions
const HEADS_EACH = (TOGETHER + HEAD_GROUPS - 1u) / HEAD_GROUPS; // 1 where there are several stripes
// quads of a key that an invocation reads side by side: 16 bytes
#ifdef KV_Q8
const BESIDE = 4u;
#else
#ifdef KV_F16
const BESIDE = 2u;
#else
const BESIDE = 1u;
#endif
#endif
// positions of a row of `products`, which begin in different banks of the memory
const STRIDE = KV_BLOCK + 8u;

var<workgroup> query: array<vec4<f32>, TOGETHER * HEAD_QUADS>;
// (TOGETHER, SHARES, STRIDE): the parts of products; in the end (4, LANES): weighted values; at
// first, with ROPE, TAKEN values of attention_rope
var<workgroup> products: array<f32, max(max(TOGETHER * SHARES * STRIDE, 4u * LANES), TAKEN)>;
// (KV_BLOCK, TOGETHER): exp(score - maximum)
var<workgroup> weights: array<f32, KV_BLOCK * TOGETHER>;
// (TOGETHER, SCORERS): the largest scores; in the end sums of weights
var<workgroup> scored: array<f32, LANES>;
// of each head: what the block multiplies earlier sums with; in the end the maximum
var<workgroup> factors: array<f32, TOGETHER>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let kv_head = params.first_kv_head + workgroup.x / PARTS;
    let first_head = kv_head * GROUP + workgroup.x % PARTS * TOGETHER;
    let heads = min(TOGETHER, (kv_head + 1u) * GROUP - first_head);
    let piece = workgroup.y;
    let token = workgroup.z;
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
    let share = lane % SHARES;
    let slot = lane / SHARES;
    let own_head = lane / SCORERS; // whose scores it adds up; may be past the last
    let scorer = lane % SCORERS;
    let group = lane / HEAD_QUADS;
    let quad = lane % HEAD_QUADS;
    let head_group = group % HEAD_GROUPS; // has heads head_group, head_group + HEAD_GROUPS …
    let stripe = group / HEAD_GROUPS; // those at or past STRIPES sum nothing

#ifdef ROPE
    take_queries(row, kv_head, end == end_position(row), lane);
#else
    for (var i = lane; i < TOGETHER * HEAD_QUADS; i += LANES) {
        let head = first_head + min(i / HEAD_QUADS, heads - 1u);
        query[i] = q[token * (Q_COLS / 4u) + head * HEAD_QUADS + i % HEAD_QUADS] * query_scale(row);
    }
    workgroupBarrier();
#endif

    var maximum = LOWEST; // of `own_head`
    var sum = 0.0; // of this scorer's weights, relative to the maximum
    var values: array<vec4<f32>, HEADS_EACH>; // weighted, of this group's heads
    for (var start = first / KV_BLOCK * KV_BLOCK; start < end; start += KV_BLOCK) {
        // positions of the block
        let low = max(first, start) - start;
        let high = min(end - start, KV_BLOCK);
        let keys = (keys_of(row, kv_head, start) + start) * HEAD_QUADS;

        // set to zero explicitly: one browser initialised the declaration only once
        var near = array<f32, TOGETHER>();
        var far = array<f32, TOGETHER>();
        let near_key = keys + clamp(slot, low, high - 1u) * HEAD_QUADS;
        let far_key = keys + clamp(slot + SLOTS, low, high - 1u) * HEAD_QUADS;
        for (var i = share * BESIDE; i < HEAD_QUADS; i += SHARES * BESIDE) {
            for (var j = 0u; j < BESIDE; j++) {
                let a = kv_quad(near_key + i + j);
                let b = kv_quad(far_key + i + j);
                for (var g = 0u; g < TOGETHER; g++) {
                    let part = query[g * HEAD_QUADS + i + j];
                    near[g] += dot(part, a);
                    far[g] += dot(part, b);
                }
            }
        }
        for (var g = 0u; g < TOGETHER; g++) {
            let at = (g * SHARES + share) * STRIDE + slot;
            products[at] = near[g];
            products[at + SLOTS] = far[g];
        }
        workgroupBarrier();

        var scores = vec4(LOWEST);
        let places = vec4(scorer) + SCORERS * vec4(0u, 1u, 2u, 3u);
        if own_head < TOGETHER {
            var whole = vec4(0.0);
            for (var i = 0u; i < SHARES; i++) {
                let at = vec4((own_head * SHARES + i) * STRIDE) + places;
                whole += vec4(products[at.x], products[at.y], products[at.z], products[at.w]);
            }
            let outside = (places < vec4(low)) | (places >= vec4(high));
            scores = select(adjusted(whole, row, first_head + own_head, start + places), scores, outside);
            scored[lane] = max(max(scores.x, scores.y), max(scores.z, scores.w));
        }
        workgroupBarrier();

        if own_head < TOGETHER {
            var larger = maximum;
            for (var i = 0u; i < SCORERS; i++) {
                larger = max(larger, scored[own_head * SCORERS + i]);
            }
            let shrink = exp(maximum - larger);
            maximum = larger;
            let four = exp(scores - larger);
            sum = sum * shrink + dot(four, vec4(1.0));
            let at = places * TOGETHER + own_head;
            weights[at.x] = four.x;
            weights[at.y] = four.y;
            weights[at.z] = four.z;
            weights[at.w] = four.w;
            if scorer == 0u {
                factors[own_head] = shrink;
            }
        }
        workgroupBarrier();

        for (var h = 0u; h < HEADS_EACH; h++) {
            values[h] *= factors[min(head_group + h * HEAD_GROUPS, TOGETHER - 1u)];
        }
        if stripe < STRIPES {
            let first_value = keys + VALUES * HEAD_QUADS + quad;
            for (var p = low + stripe; p < high; p += STRIPES) {
                let value = kv_quad(first_value + p * HEAD_QUADS);
                for (var h = 0u; h < HEADS_EACH; h++) {
                    values[h] += weights[p * TOGETHER + min(head_group + h * HEAD_GROUPS, TOGETHER - 1u)] * value;
                }
            }
        }
    }

    // everyone has read the factors and the largest scores of the last block
    workgroupBarrier();
    scored[lane] = sum;
    if scorer == 0u && own_head < TOGETHER {
        factors[own_head] = maximum;
    }
    if STRIPES > 1u {
        products[lane] = values[0].x;
        products[LANES + lane] = values[0].y;
        products[2u * LANES + lane] = values[0].z;
        products[3u * LANES + lane] = values[0].w;
    }
    workgroupBarrier();
    if stripe > 0u {
        return;
    }
    for (var i = 1u; i < STRIPES; i++) {
        let at = lane + i * HEAD_GROUPS * HEAD_QUADS;
        values[0] += vec4(products[at], products[LANES + at], products[2u * LANES + at], products[3u * LANES + at]);
    }
    for (var h = 0u; h < HEADS_EACH; h++) {
        let g = head_group + h * HEAD_GROUPS;
        if g < heads {
            var sums = 0.0;
            for (var i = 0u; i < SCORERS; i++) {
                sums += scored[g * SCORERS + i];
            }
            store_quad(token, first_head + g, piece, quad, values[h], factors[g], sums);
        }
    }
}
