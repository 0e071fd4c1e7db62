// y[t] = the indices of the CHOSEN experts with the largest logits, then their weights, then the
// shared expert's weight.
//
// A workgroup per token. Each invocation finds how many experts come before one of its own, so
// that all places are found at once. WEIGHTING is numbered in ops/route.rs; SHARED is 1 if there is
// a shared expert; BIAS is added to sigmoids or to the softmax for the choice. GROUPED: only the
// experts of the GROUPS_CHOSEN best of GROUPS groups can be chosen.
#import step

struct Params {
    rows: u32, // capacity of y
}
const LOGIT_COLS = EXPERTS + SHARED;
const Y_COLS = 2u * CHOSEN + SHARED;
const QUADS = (EXPERTS + 3u) / 4u;
const LOWEST = -1e30; // below any logit
const IS_SIGMOID = WEIGHTING >= 3u;

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> logits: array<f32>; // (tokens, LOGIT_COLS)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (tokens, Y_COLS)
#ifdef BIAS
@group(0) @binding(4) var<storage, read> bias: array<f32>; // (EXPERTS)
#endif

// what orders all experts, and LOWEST up to a whole quad
var<workgroup> all_logits: array<vec4<f32>, QUADS>;
// exp(logit - largest logit), or sigmoid(logit)
var<workgroup> powers: array<vec4<f32>, QUADS>;
// of the chosen experts, the best first
var<workgroup> best: array<u32, CHOSEN>;
var<workgroup> weights: array<f32, CHOSEN>;
#ifdef GROUPED
const EACH = EXPERTS / GROUPS;
var<workgroup> group_scores: array<f32, GROUPS>;
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = workgroup.x;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let first = token * LOGIT_COLS;
    let out = token * Y_COLS;
    for (var quad = lane; quad < QUADS; quad += WORKGROUP) {
        var own = vec4(LOWEST);
        for (var i = 0u; i < min(4u, EXPERTS - 4u * quad); i++) {
            own[i] = logits[first + 4u * quad + i];
        }
        if IS_SIGMOID {
            let sigmoids = 1.0 / (1.0 + exp(min(-own, vec4(80.0))));
            powers[quad] = sigmoids;
            own = biased(sigmoids, quad);
        }
        all_logits[quad] = own;
    }
    workgroupBarrier();
    var largest4 = vec4(LOWEST);
    for (var quad = 0u; quad < QUADS; quad++) {
        largest4 = max(largest4, all_logits[quad]);
    }
    let largest = max(max(largest4.x, largest4.y), max(largest4.z, largest4.w));
    for (var quad = lane; quad < QUADS && !IS_SIGMOID; quad += WORKGROUP) {
        powers[quad] = exp(all_logits[quad] - largest);
    }
    workgroupBarrier();
#ifdef BIAS
    if !IS_SIGMOID {
        var sums = vec4(0.0);
        for (var quad = 0u; quad < QUADS; quad++) {
            sums += powers[quad];
        }
        let all = sums.x + sums.y + sums.z + sums.w;
        for (var quad = lane; quad < QUADS; quad += WORKGROUP) {
            all_logits[quad] = biased(powers[quad] / all, quad);
        }
    }
    workgroupBarrier();
#endif
#ifdef GROUPED
    for (var g = lane; g < GROUPS; g += WORKGROUP) {
        var best = vec2(LOWEST); // the best two
        for (var e = g * EACH; e < (g + 1u) * EACH; e++) {
            let score = all_logits[e / 4u][e % 4u];
            best = select(vec2(best.x, max(best.y, score)), vec2(score, best.x), score > best.x);
        }
        group_scores[g] = best.x + select(0.0, best.y, IS_SIGMOID && EACH > 1u);
    }
    workgroupBarrier();
    for (var quad = lane; quad < QUADS; quad += WORKGROUP) {
        var scores = all_logits[quad];
        for (var i = 0u; i < min(4u, EXPERTS - 4u * quad); i++) {
            if !is_in_chosen_group(4u * quad + i) {
                scores[i] = LOWEST;
            }
        }
        all_logits[quad] = scores;
    }
    workgroupBarrier();
#endif
    for (var e = lane; e < EXPERTS; e += WORKGROUP) {
        take_place(e);
    }
    workgroupBarrier();
    for (var j = lane; j < CHOSEN; j += WORKGROUP) {
        var weight = weights[j];
        if WEIGHTING == 1u || WEIGHTING == 3u {
            var sum = select(0.0, 1e-6, WEIGHTING == 3u);
            for (var i = 0u; i < CHOSEN; i++) {
                sum += weights[i];
            }
            weight /= sum;
        }
        y[out + j] = f32(best[j]);
        y[out + CHOSEN + j] = weight;
    }
    if SHARED == 1u && lane == 0u {
        y[out + 2u * CHOSEN] = 1.0 / (1.0 + exp(min(-logits[first + EXPERTS], 80.0)));
    }
}

// What orders the experts of a quad, from the probabilities of them.
fn biased(probabilities: vec4<f32>, quad: u32) -> vec4<f32> {
    var scores = vec4(LOWEST);
    for (var i = 0u; i < min(4u, EXPERTS - 4u * quad); i++) {
        scores[i] = probabilities[i];
#ifdef BIAS
        scores[i] += bias[4u * quad + i];
#endif
    }
    return scores;
}

#ifdef GROUPED
fn is_in_chosen_group(e: u32) -> bool {
    let own = e / EACH;
    let score = group_scores[own];
    var before = 0u; // groups that come first: of equal ones, those with smaller indices
    for (var g = 0u; g < GROUPS; g++) {
        let other = group_scores[g];
        before += u32(other > score || (other == score && g < own));
    }
    return before < GROUPS_CHOSEN;
}
#endif

// Writes expert e and its weight to its place among the chosen ones, if it is one of them.
fn take_place(e: u32) {
    let logit = all_logits[e / 4u][e % 4u];
    let power = powers[e / 4u][e % 4u];
    var before = vec4(0u); // experts that come first: of equal ones, those with smaller indices
    var rivals = vec4(0.0); // the sum that the expert's power is a part of
    for (var quad = 0u; quad < QUADS; quad++) {
        let others = all_logits[quad];
        let is_first = 4u * quad + vec4(0u, 1u, 2u, 3u) < vec4(e);
        let is_before = (others > vec4(logit)) | ((others == vec4(logit)) & is_first);
        before += vec4<u32>(is_before);
        if WEIGHTING == 2u {
            let is_near = logit - others <= 0.02 * max(abs(others), vec4(abs(logit)));
            rivals += select(vec4(0.0), powers[quad], is_near & !is_before);
        } else {
            rivals += powers[quad];
        }
    }
    let place = before.x + before.y + before.z + before.w;
    if place < CHOSEN {
        best[place] = e;
        let all = rivals.x + rivals.y + rivals.z + rivals.w;
        weights[place] = power / select(all, 1.0, IS_SIGMOID);
    }
}
