// y = the id after top-k, top-p, min-p, temperature and draw: the same as `src/sampling/chain.rs`,
// line by line.
//
// Two dispatches. The first finds the largest logit of each block, one invocation a block. The
// second is one workgroup: once the best k logits are found, each invocation is one candidate, and
// compares itself with all others instead of sorting.
#import step
#import logit
#import best

struct Params {
    rows: u32, // capacity of logits
    vocab: u32,
    finds_maxima: u32, // 1: the first dispatch
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> logits: array<u32>; // (tokens, vocab): the bits of f32
// (blocks): the largest of the last token's logits in each, as ordered integers
@group(0) @binding(3) var<storage, read_write> maxima: array<u32>;
// top-k, top-p, largest distance, steepness
@group(0) @binding(4) var<storage, read> chain: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<u32>; // (1)

// The id for logits with NaN or infinity.
const INVALID: u32 = 0xffffffff;

// Halvings per unit of logit at temperature 1, in units of 2^-26.
const STEEPNESS: f32 = 96817624.0;

// Coefficients of the Taylor series 2^-f = 1 - c1 f + c2 f² - …: (ln 2)^i / i!, in units of 2^-32.
const TAYLOR = array<u32, 8>(
    0xb17217f8u, 0x3d7f7bffu, 0x0e35846cu, 0x0276556eu, 0x00576200u, 0x000a1849u, 0x0000ffe6u, 0x0000162cu,
);

var<workgroup> weights: array<u32, WORKGROUP>; // (k)

// The upper 32 bits of the product.
fn high(a: u32, b: u32) -> u32 {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let middle = a_high * b_low + ((a_low * b_low) >> 16u);
    return a_high * b_high + (middle >> 16u) + ((a_low * b_high + (middle & 0xffffu)) >> 16u);
}

// 2^-(distance · steepness), in units of 2^-24.
fn weight(distance: f32, steepness: f32) -> u32 {
    let product = min(distance, 1e8) * steepness;
    if product >= 2147483648.0 {
        return 0u;
    }
    let halvings = u32(product);
    let f = halvings << 6u;
    // 1 - f (c1 - f (c2 - …)), innermost term first
    var coefficients = TAYLOR;
    var series = 0u;
    for (var i = 8u; i > 0u; i--) {
        series = coefficients[i - 1u] - high(f, series);
    }
    return ((0xffffffffu - high(f, series)) >> (halvings >> 26u)) >> 8u;
}

fn find_maximum(block: u32) {
    let begin = block * BLOCK;
    if begin >= params.vocab {
        return;
    }
    let row = (min(step.tokens, params.rows) - 1u) * params.vocab;
    var largest = 0u;
    for (var i = begin; i < min(begin + BLOCK, params.vocab); i++) {
        largest = max(largest, ordered(logits[row + i]));
    }
    maxima[block] = largest;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if params.finds_maxima == 1u {
        find_maximum(workgroup.x * WORKGROUP + lane);
        return;
    }
    let k = select_best(max(1u, u32(chain[0])), lane); // 0 until a chain is written: greedy

    // top-p, at temperature 1: the candidates before this one must not have reached it
    let own = ranks[min(lane, k - 1u)];
    var best = 0u;
    for (var i = 0u; i < k; i++) {
        best = max(best, ranks[i].x);
    }
    let distance = number(best) - number(own.x);
    var kept = lane < k && own.x > FORBIDDEN;
    weights[lane] = select(0u, weight(distance, STEEPNESS), kept);
    workgroupBarrier();
    var total = 0u;
    var before = 0u;
    for (var i = 0u; i < k; i++) {
        total += weights[i];
        before += select(0u, weights[i], better(ranks[i], own));
    }
    let top_p = chain[1];
    if top_p < 1.0 {
        kept = kept && (before == 0u || before < high(u32(top_p * 4294967296.0), total));
    }
    kept = kept && distance <= chain[2];
    workgroupBarrier();

    // the draw, in the order of ids
    weights[lane] = select(0u, weight(distance, chain[3]), kept);
    workgroupBarrier();
    total = 0u;
    before = 0u;
    for (var i = 0u; i < k; i++) {
        total += weights[i];
        before += select(0u, weights[i], ranks[i].y > own.y);
    }
    let drawn = high(step.random, total);
    if best >= INFINITE || best <= FORBIDDEN {
        if lane == 0u {
            y[0] = INVALID;
        }
    } else if lane < k && before <= drawn && drawn - before < weights[lane] {
        y[0] = 0xffffffu - own.y;
    }
}
