// y = the last token's logits after biases, penalties and the mask: the same as
// `src/sampling/adjust.rs`, line by line.
//
// A workgroup takes 2048 logits: it copies them all, then writes over those that change.
#import step

struct Params {
    rows: u32, // capacity of logits
    vocab: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read> logits: array<u32>; // (rows, vocab): the bits of f32
// What the host tells: 9 words, then the ids of changed tokens in their order, the bits of their
// biases, and their counts.
@group(0) @binding(next) var<storage, read> changes: array<u32>;
@group(0) @binding(next) var<storage, read> mask: array<u32>; // one bit a token
@group(0) @binding(next) var<storage, read> recent: array<u32>; // (8)
@group(0) @binding(next) var<storage, read_write> y: array<u32>; // (vocab): the bits of f32

const TILE: u32 = 2048;
const WORKGROUP: u32 = 256;

// Last ids that are kept, each at its position modulo this.
const RECENT: u32 = 8;

// Places in `changes`.
const TOKENS: u32 = 0; // number of changed tokens
const AHEAD: u32 = 1; // ids in `recent` that count
const NEWEST: u32 = 2; // where the newest of them is
const MASKED: u32 = 3;
const REPETITION: u32 = 4; // the bits of the penalties
const INVERSE: u32 = 5;
const FREQUENCY: u32 = 6;
const PRESENCE: u32 = 7;
const ZERO: u32 = 8;
const HEADER: u32 = 9;

const INFINITE: u32 = 0x7f800000;
const NEGATIVE_INFINITY: u32 = 0xff800000;

fn is_finite(bits: u32) -> bool {
    return (bits & 0x7fffffffu) < INFINITE;
}

// The number itself. A compiler that does not know the 0 cannot fuse the operation before with the
// one behind.
fn apart(value: f32) -> u32 {
    return bitcast<u32>(value) ^ changes[ZERO];
}

// The nearest finite number.
fn in_range(value: f32) -> f32 {
    let bits = apart(value);
    return bitcast<f32>(select((bits & 0x80000000u) | (INFINITE - 1u), bits, is_finite(bits)));
}

fn changed(bits: u32, bias: f32, count: u32) -> u32 {
    if !is_finite(bits) {
        return bits;
    }
    var logit = bitcast<f32>(bits);
    if bias != 0.0 {
        logit = in_range(logit + bias);
    }
    if count > 0u {
        let factor = changes[select(REPETITION, INVERSE, logit > 0.0)];
        logit = in_range(logit * bitcast<f32>(factor));
        let each = bitcast<f32>(apart(f32(count) * bitcast<f32>(changes[FREQUENCY])));
        logit = in_range(logit - (each + bitcast<f32>(changes[PRESENCE])));
    }
    return bitcast<u32>(logit);
}

// The logit, or negative infinity.
fn masked(bits: u32, id: u32, is_masked: bool) -> u32 {
    if is_masked {
        return select(NEGATIVE_INFINITY, bits, ((mask[id / 32u] >> (id % 32u)) & 1u) == 1u);
    }
    return bits;
}

// An id that a step before this one samples.
fn on_the_way(i: u32) -> u32 {
    return recent[(changes[NEWEST] + RECENT - i) % RECENT];
}

fn count_on_the_way(id: u32, ahead: u32) -> u32 {
    var count = 0u;
    for (var i = 0u; i < ahead; i++) {
        count += u32(on_the_way(i) == id);
    }
    return count;
}

fn is_told(id: u32, tokens: u32) -> bool {
    var begin = 0u;
    var end = tokens;
    while begin < end {
        let middle = (begin + end) / 2u;
        if changes[HEADER + middle] < id {
            begin = middle + 1u;
        } else {
            end = middle;
        }
    }
    return begin < tokens && changes[HEADER + begin] == id;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (min(step.tokens, params.rows) - 1u) * params.vocab;
    let first = workgroup.x * TILE;
    let end = min(first + TILE, params.vocab);
    let is_masked = changes[MASKED] != 0u;
    let tokens = changes[TOKENS];
    let ahead = changes[AHEAD];
    for (var id = first + lane; id < end; id += WORKGROUP) {
        y[id] = masked(logits[row + id], id, is_masked);
    }
    storageBarrier();

    for (var i = lane; i < tokens; i += WORKGROUP) {
        let id = changes[HEADER + i];
        if first <= id && id < end {
            let bias = bitcast<f32>(changes[HEADER + tokens + i]);
            let count = changes[HEADER + 2u * tokens + i] + count_on_the_way(id, ahead);
            y[id] = masked(changed(logits[row + id], bias, count), id, is_masked);
        }
    }
    // of an id that is there twice, both invocations write the same
    for (var i = lane; i < ahead; i += WORKGROUP) {
        let id = on_the_way(i);
        if first <= id && id < end && !is_told(id, tokens) {
            y[id] = masked(changed(logits[row + id], 0.0, count_on_the_way(id, ahead)), id, is_masked);
        }
    }
}
