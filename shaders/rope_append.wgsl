// Rotates q and k of each row by its position. q stays in qkv; k and v go to the KV cache at that
// position. A dispatch does the heads of a part of the KV cache, and the queries that read it.
//
// One invocation per two values of a head; a workgroup takes WORKGROUP pairs of a row. Of q these
// are values that are rotated together, of k and v neighbours, since the KV cache may hold two in a
// word. Values past rotary_dim, and v, are only copied.
//
// HALF_SPLIT: (i, i + rotary_dim / 2) are rotated together; else (2 i, 2 i + 1). NORM normalises
// the heads of q and k first: a workgroup then has whole heads.
#import step
#import rows

struct Params {
    rows: u32, // capacity of qkv
    heads: u32, // of a part
    kv_heads: u32,
    head_dim: u32,
    rotary_dim: u32,
    part: u32,
    parts: u32,
#ifdef NORM
    eps: f32,
#endif
}
@group(0) @binding(1) var<uniform> params: Params;
// (rows, parts · (heads + 2 kv_heads) · head_dim): all q heads, then k heads, then v heads
@group(0) @binding(next) var<storage, read_write> qkv: array<f32>;
// (rows, rotary_dim / 2): cos, sin
@group(0) @binding(next) var<storage, read> angles: array<vec2<f32>>;
#ifdef KV_Q8
// see kv_read
@group(0) @binding(next) var<storage, read_write> kv: array<u32>;
const GROUP = 16u; // pairs with a common scale; divides those of a head, and of a workgroup
var<workgroup> pairs: array<vec2<f32>, WORKGROUP>;
#else
// two neighbouring values at a time
#ifdef KV_F16
@group(0) @binding(next) var<storage, read_write> kv: array<u32>;

fn write_kv(at: u32, values: vec2<f32>) {
    // the largest f16: an infinite key or value would spoil every later token
    kv[at] = pack2x16float(clamp(values, vec2(-65504.0), vec2(65504.0)));
}
#else
@group(0) @binding(next) var<storage, read_write> kv: array<vec2<f32>>;

fn write_kv(at: u32, values: vec2<f32>) {
    kv[at] = values;
}
#endif
#endif

#ifdef BEHIND
// (parts · (heads + kv_heads) · head_dim): factors of the rotated values
@group(0) @binding(next) var<storage, read> behind: array<f32>;
#endif

#ifdef NORM
// (parts · (heads + kv_heads) · head_dim): factors of the normalised values
@group(0) @binding(next) var<storage, read> norm: array<f32>;
var<workgroup> squares: array<f32, WORKGROUP>;
#endif

var<private> row_start: u32; // of the token in qkv
var<private> inverse_rms: f32; // of the head, with NORM

// A value of q or k.
fn taken(at: u32) -> f32 {
#ifdef NORM
    return qkv[at] * (inverse_rms * norm[at - row_start]);
#else
    return qkv[at];
#endif
}

// The values of a pair that is rotated together.
fn places(pair: u32) -> vec2<u32> {
#ifdef HALF_SPLIT
    return vec2(pair, pair + params.rotary_dim / 2u);
#else
    return vec2(2u * pair, 2u * pair + 1u);
#endif
}

// Rotates a pair of the head that begins at `first`.
fn rotated(token: u32, first: u32, pair: u32) -> vec2<f32> {
    let at = first + places(pair);
    let angle = angles[token * (params.rotary_dim / 2u) + pair];
    let values = vec2(taken(at.x), taken(at.y));
    let both = vec2(values.x * angle.x - values.y * angle.y, values.x * angle.y + values.y * angle.x);
#ifdef BEHIND
    let factors = at - vec2(row_start);
    return both * vec2(behind[factors.x], behind[factors.y]);
#else
    return both;
#endif
}

// Value `i` of a key.
fn key(token: u32, first: u32, i: u32) -> f32 {
    if i >= params.rotary_dim {
        return taken(first + i);
    }
#ifdef HALF_SPLIT
    let half = params.rotary_dim / 2u;
    let values = rotated(token, first, i % half);
    return select(values.x, values.y, i >= half);
#else
    let values = rotated(token, first, i / 2u);
    return select(values.x, values.y, i % 2u == 1u);
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let token = workgroup.y;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let index = workgroup.x * WORKGROUP + lane;
    let head = index / (params.head_dim / 2u); // of the part, in the same order
    let pair = index % (params.head_dim / 2u);
    let all_heads = params.heads + 2u * params.kv_heads;
    var before = params.part * params.heads; // heads of other parts
    if head >= params.heads {
        before = (params.parts - 1u) * params.heads + params.part * params.kv_heads;
    }
    if head >= params.heads + params.kv_heads {
        before += (params.parts - 1u) * params.kv_heads;
    }
    row_start = token * params.parts * all_heads * params.head_dim;
    let first = row_start + (before + head) * params.head_dim;
    var values = vec2(0.0);
#ifdef NORM
    let is_normed = head < params.heads + params.kv_heads;
    if is_normed {
        let own = vec2(qkv[first + 2u * pair], qkv[first + 2u * pair + 1u]);
        squares[lane] = dot(own, own);
    }
    workgroupBarrier();
    if is_normed {
        var sum = 0.0;
        for (var i = lane - pair; i < lane - pair + params.head_dim / 2u; i++) {
            sum += squares[i];
        }
        inverse_rms = inverseSqrt(sum / f32(params.head_dim) + params.eps);
    }
#endif
    if head < params.heads {
        if pair < params.rotary_dim / 2u {
            let both = rotated(token, first, pair);
            let at = first + places(pair);
            qkv[at.x] = both.x;
            qkv[at.y] = both.y;
        }
#ifdef NORM
        if pair >= params.rotary_dim / 2u {
            qkv[first + 2u * pair] = taken(first + 2u * pair);
            qkv[first + 2u * pair + 1u] = taken(first + 2u * pair + 1u);
        }
#endif
    } else if head < params.heads + params.kv_heads {
        values = vec2(key(token, first, 2u * pair), key(token, first, 2u * pair + 1u));
    } else if head < all_heads {
        values = vec2(qkv[first + 2u * pair], qkv[first + 2u * pair + 1u]);
    }
#ifdef KV_Q8
    // an infinite key or value would spoil every later token
    values = clamp(values, vec2(-65504.0), vec2(65504.0));
    pairs[lane] = values;
    workgroupBarrier();
#endif
    if head < params.heads || head >= all_heads {
        return;
    }
    let row = rows[token];
    let kv_head = row.slot / KV_BLOCK * 2u * params.kv_heads + head - params.heads;
    let at = (kv_head * KV_BLOCK + row.slot % KV_BLOCK) * params.head_dim;
#ifdef KV_Q8
    var most = 0.0;
    for (var i = 0u; i < GROUP; i++) {
        let magnitudes = abs(pairs[lane / GROUP * GROUP + i]);
        most = max(most, max(magnitudes.x, magnitudes.y));
    }
    let place = (at / 2u + pair) / GROUP * 9u;
    if pair % GROUP == 0u {
        kv[place] = bitcast<u32>(most);
    }
    if pair % 2u == 0u {
        let parts = vec4(values, pairs[lane + 1u]) / max(most, 1e-30);
        kv[place + 1u + pair % GROUP / 2u] = pack4x8snorm(parts);
    }
#else
    write_kv(at / 2u + pair, values);
#endif
}
