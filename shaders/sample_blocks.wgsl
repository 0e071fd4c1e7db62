// maxima[b] = the largest of the last token's logits in block b, as an ordered integer
//
// One invocation per block, no barriers; a workgroup takes 64 blocks.
#import step
#import logit

struct Params {
    rows: u32, // capacity of logits
    vocab: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> logits: array<u32>; // (tokens, vocab): the bits of f32
@group(0) @binding(3) var<storage, read_write> maxima: array<u32>; // (blocks)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let begin = id.x * BLOCK;
    if begin >= params.vocab {
        return;
    }
    let row = (min(step.tokens, params.rows) - 1u) * params.vocab;
    var largest = 0u;
    for (var i = begin; i < min(begin + BLOCK, params.vocab); i++) {
        largest = max(largest, ordered(logits[row + i]));
    }
    maxima[id.x] = largest;
}
