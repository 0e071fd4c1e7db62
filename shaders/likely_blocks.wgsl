// maxima[b] = the largest of the last token's logits in block b, as an ordered integer
// sums[b] = Σ exp(logit - largest) over the block
//
// One invocation per block, no barriers; a workgroup takes 64 blocks.
#import step
#import logit

struct Params {
    rows: u32, // capacity of logits
    vocab: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read> logits: array<u32>; // (rows, vocab): the bits of f32
@group(0) @binding(next) var<storage, read_write> maxima: array<u32>; // (blocks)
@group(0) @binding(next) var<storage, read_write> sums: array<f32>; // (blocks)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let begin = id.x * BLOCK;
    if begin >= params.vocab {
        return;
    }
    let end = min(begin + BLOCK, params.vocab);
    let row = (min(step.tokens, params.rows) - 1u) * params.vocab;
    var largest = 0u;
    for (var i = begin; i < end; i++) {
        largest = max(largest, ordered(logits[row + i]));
    }
    var sum = 0.0;
    for (var i = begin; i < end; i++) {
        let logit = ordered(logits[row + i]);
        sum += select(0.0, exp(number(logit) - number(largest)), logit > FORBIDDEN);
    }
    maxima[id.x] = largest;
    sums[id.x] = sum;
}
