// Shared by the variants of `attention`: y[t][h] = Σ_p softmax_p(q[t][h] · k[p] · scale) v[p], over
// the last `window` of the positions p ≤ position of the row; with CAUSAL = 0 also over as many
// behind it as its sequence has.
//
// CAP bounds the scores: cap · tanh(score / cap). ALIBI then subtracts slope(head) for each
// position between key and query, and BIAS adds what the head has for it. TEMPERATURE scales
// queries with their position. SINKS: the weights of a row are divided by their sum and exp(sink of
// the head). PARTIAL: the positions are split into pieces; each piece writes its maximum, its sum
// and its weighted values for attention_merge. Pieces that the row does not attend to do nothing.
#import step
#import seen
#ifdef PARTIAL
#import pieces
#endif

struct Params {
    rows: u32, // capacity of y
    window: u32,
    split: u32, // positions of the shortest pieces
    pieces: u32, // most pieces
    scale: f32,
    cap: f32,
    alibi: f32, // the largest bias
    first_kv_head: u32, // of the part of keys and values
#ifdef TEMPERATURE
    temperature: f32, // how much it grows
    temperature_length: u32, // positions of a step of it
#endif
#ifdef BIAS
    reach: u32, // the largest distance with a bias of its own
#endif
#ifdef NORM
    eps: f32, // of the QK-norm
#endif
}
const HEAD_QUADS = HEAD_DIM / 4u;
const GROUP = HEADS / KV_HEADS; // query heads that share keys and values
const LOWEST = -1e30; // below any score
const VALUES = PART_HEADS * KV_BLOCK; // vectors from a key to its value

@group(0) @binding(1) var<uniform> params: Params;
// (rows, Q_COLS / 4): the heads come first in a row
@group(0) @binding(next) var<storage, read> q: array<vec4<f32>>;
#import kv_read
#ifdef PARTIAL
// (rows, HEADS, pieces, HEAD_QUADS + 1): the weighted values of a piece, its maximum and its sum
@group(0) @binding(next) var<storage, read_write> partial: array<vec4<f32>>;
#else
@group(0) @binding(next) var<storage, read_write> y: array<vec4<f32>>; // (rows, HEADS, HEAD_QUADS)
#endif
#ifdef SINKS
@group(0) @binding(next) var<storage, read> sinks: array<f32>; // (HEADS)
#endif
#ifdef BIAS
// (HEADS, 2 · reach + 1): by how far a key is behind the query, or before it
@group(0) @binding(next) var<storage, read> biases: array<f32>;
#endif

// The first and the end of the positions that a row sees, or of those in a piece of them.
fn seen_by(row: Row, piece: u32) -> vec2<u32> {
    let first = first_position(row);
    let end = end_position(row);
#ifdef PARTIAL
    let length = piece_length(row);
    let start = pieces_begin(row) + piece * length;
    return vec2(max(first, start), min(end, start + length));
#else
    return vec2(first, end);
#endif
}

// The key of any position in the same block as `position` is vector keys_of(…) + that position.
fn keys_of(row: Row, kv_head: u32, position: u32) -> u32 {
    let index = position / KV_BLOCK;
    return (tables[row.table + 1u + index] * 2u * PART_HEADS + kv_head - params.first_kv_head - index) * KV_BLOCK;
}

// What the queries of a row are multiplied with.
fn query_scale(row: Row) -> f32 {
#ifdef TEMPERATURE
    return params.scale * (1.0 + params.temperature * log(1.0 + f32(row.position / params.temperature_length)));
#else
    return params.scale;
#endif
}

fn bounded(scores: vec4<f32>) -> vec4<f32> {
#ifdef CAP
    // tanh may overflow for large arguments, where it is 1
    return params.cap * tanh(clamp(scores / params.cap, vec4(-15.0), vec4(15.0)));
#else
    return scores;
#endif
}

// The scores of four positions.
fn adjusted(products: vec4<f32>, row: Row, head: u32, positions: vec4<u32>) -> vec4<f32> {
    var scores = bounded(products);
#ifdef ALIBI
    scores -= slope(head) * abs(vec4<f32>(vec4<i32>(vec4(row.position)) - vec4<i32>(positions)));
#endif
#ifdef BIAS
    let own = row.position;
    scores += vec4(
        bias(head, own, positions.x),
        bias(head, own, positions.y),
        bias(head, own, positions.z),
        bias(head, own, positions.w),
    );
#endif
    return scores;
}

#ifdef ALIBI
// 2^-x: with n the largest power of two up to HEADS, x rises in n equal steps to params.alibi;
// heads past n lie halfway between the first steps.
fn slope(head: u32) -> f32 {
    let whole = 1u << firstLeadingBit(HEADS);
    let half_steps = select(2u * (head - whole) + 1u, 2u * head + 2u, head < whole);
    return exp2(-params.alibi * f32(half_steps) / f32(2u * whole));
}
#endif

#ifdef BIAS
// Of a query at `own` and a key at `position`.
fn bias(head: u32, own: u32, position: u32) -> f32 {
    let place = min(max(position + params.reach, own) - own, 2u * params.reach);
    return biases[head * (2u * params.reach + 1u) + place];
}
#endif

// `sum` and `values` are relative to exp(maximum).
fn store_quad(token: u32, head: u32, piece: u32, quad: u32, values: vec4<f32>, maximum: f32, sum: f32) {
#ifdef PARTIAL
    let at = ((token * HEADS + head) * piece_count() + piece) * (HEAD_QUADS + 1u);
    partial[at + quad] = values;
    if quad == 0u {
        partial[at + HEAD_QUADS] = vec4(maximum, sum, 0.0, 0.0);
    }
#else
    var whole = sum;
#ifdef SINKS
    whole += exp(min(sinks[head] - maximum, 80.0));
#endif
    y[(token * HEADS + head) * HEAD_QUADS + quad] = values / whole;
#endif
}
