// y[t] = the indices of the CHOSEN experts with the largest logits, then their weights, then the
// shared expert's weight.
//
// One invocation per token: experts are few. WEIGHTING is numbered in ops/route.rs; SHARED is 1 if
// there is a shared expert.
#import step

struct Params {
    rows: u32, // capacity of y
}
const LOGIT_COLS = EXPERTS + SHARED;
const Y_COLS = 2u * CHOSEN + SHARED;
const LOWEST = -1e30; // below any logit

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> logits: array<f32>; // (tokens, LOGIT_COLS)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (tokens, Y_COLS)

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.x;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let first = token * LOGIT_COLS;
    let out = token * Y_COLS;
    var largest = LOWEST;
    for (var e = 0u; e < EXPERTS; e++) {
        largest = max(largest, logits[first + e]);
    }
    var all = 0.0;
    for (var e = 0u; e < EXPERTS; e++) {
        all += exp(logits[first + e] - largest);
    }
    var sum = 0.0; // of the chosen experts' weights
    for (var j = 0u; j < CHOSEN; j++) {
        // the first among equals
        var best = EXPERTS;
        var best_logit = LOWEST;
        for (var e = 0u; e < EXPERTS; e++) {
            if logits[first + e] > best_logit && !is_chosen(out, j, e) {
                best = e;
                best_logit = logits[first + e];
            }
        }
        var rivals = all;
        if WEIGHTING == 2u {
            rivals = 0.0;
            for (var e = 0u; e < EXPERTS; e++) {
                let logit = logits[first + e];
                let near = best_logit - logit <= 0.02 * max(abs(logit), abs(best_logit));
                if near && !is_chosen(out, j, e) {
                    rivals += exp(logit - largest);
                }
            }
        }
        let weight = exp(best_logit - largest) / rivals;
        sum += weight;
        y[out + j] = f32(best);
        y[out + CHOSEN + j] = weight;
    }
    if WEIGHTING == 1u {
        for (var j = 0u; j < CHOSEN; j++) {
            y[out + CHOSEN + j] /= sum;
        }
    }
    if SHARED == 1u {
        y[out + 2u * CHOSEN] = 1.0 / (1.0 + exp(min(-logits[first + EXPERTS], 80.0)));
    }
}

// Whether expert e is among the first `count` chosen ones.
fn is_chosen(out: u32, count: u32, e: u32) -> bool {
    for (var i = 0u; i < count; i++) {
        if y[out + i] == f32(e) {
            return true;
        }
    }
    return false;
}
