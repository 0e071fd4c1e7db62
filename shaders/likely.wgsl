// y = what log-probabilities need: the sampled id, the bits of its logit and of the largest one,
// Σ exp(logit - largest), then the most likely ids, best first, each with the bits of its logit
//
// One workgroup. The sum is that of the blocks.
#import step
#import logit
#import best

struct Params {
    rows: u32, // capacity of logits
    vocab: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read> logits: array<u32>; // (rows, vocab): the bits of f32
@group(0) @binding(next) var<storage, read> maxima: array<u32>; // (blocks)
@group(0) @binding(next) var<storage, read> sums: array<f32>; // (blocks)
@group(0) @binding(next) var<storage, read> id: array<u32>; // (1)
@group(0) @binding(next) var<storage, read_write> y: array<u32>; // (4 + 2 · MOST)

// Most likely ids that are told.
const MOST: u32 = 20;

// The id for logits with NaN or infinity.
const INVALID: u32 = 0xffffffff;

// Words before those of the most likely ids.
const HEADER: u32 = 4;

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    let k = select_best(MOST, lane);
    let own = ranks[min(lane, k - 1u)];
    var place = 0u;
    var largest = 0u;
    for (var i = 0u; i < k; i++) {
        place += u32(better(ranks[i], own));
        largest = max(largest, ranks[i].x);
    }
    if lane < k {
        y[HEADER + 2u * place] = 0xffffffu - own.y;
        y[HEADER + 2u * place + 1u] = bitcast<u32>(number(own.x));
    }

    var sum = 0.0;
    for (var b = lane; b < (params.vocab + BLOCK - 1u) / BLOCK; b += WORKGROUP) {
        let block = maxima[b];
        sum += select(0.0, sums[b] * exp(number(block) - number(largest)), block > FORBIDDEN);
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if lane < half {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        let chosen = id[0];
        let row = (min(step.tokens, params.rows) - 1u) * params.vocab;
        y[0] = select(chosen, INVALID, largest >= INFINITE || largest <= FORBIDDEN);
        y[1] = logits[row + min(chosen, params.vocab - 1u)];
        y[2] = bitcast<u32>(number(largest));
        y[3] = bitcast<u32>(partial[0]);
    }
}
