// Rotates q and k of each row by its position. q stays in qkv; k and v go to the KV cache at that
// position.
//
// One invocation per two values of a head; a workgroup takes 64 pairs of a row. Of q these are
// values that are rotated together, of k and v neighbours, since the KV cache may hold two in a
// word. Values past rotary_dim, and v, are only copied.
//
// HALF_SPLIT: (i, i + rotary_dim / 2) are rotated together; else (2 i, 2 i + 1).
#import step
#import rows

struct Params {
    rows: u32, // capacity of qkv
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    rotary_dim: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
// (rows, (heads + 2 kv_heads) · head_dim)
@group(0) @binding(next) var<storage, read_write> qkv: array<f32>;
// (rows, rotary_dim / 2): cos, sin
@group(0) @binding(next) var<storage, read> angles: array<vec2<f32>>;
#import kv_write

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
    let values = vec2(qkv[at.x], qkv[at.y]);
    return vec2(values.x * angle.x - values.y * angle.y, values.x * angle.y + values.y * angle.x);
}

// Value `i` of a key.
fn key(token: u32, first: u32, i: u32) -> f32 {
    if i >= params.rotary_dim {
        return qkv[first + i];
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

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    let head = id.x / (params.head_dim / 2u); // q heads, then k heads, then v heads
    let pair = id.x % (params.head_dim / 2u);
    let all_heads = params.heads + 2u * params.kv_heads;
    if token >= min(step.tokens, params.rows) || head >= all_heads {
        return;
    }
    let first = (token * all_heads + head) * params.head_dim;
    if head < params.heads {
        if pair < params.rotary_dim / 2u {
            let values = rotated(token, first, pair);
            let at = first + places(pair);
            qkv[at.x] = values.x;
            qkv[at.y] = values.y;
        }
        return;
    }
    var values: vec2<f32>;
    if head < params.heads + params.kv_heads {
        values = vec2(key(token, first, 2u * pair), key(token, first, 2u * pair + 1u));
    } else {
        values = vec2(qkv[first + 2u * pair], qkv[first + 2u * pair + 1u]);
    }
    let row = rows[token];
    let kv_head = row.slot / KV_BLOCK * 2u * params.kv_heads + head - params.heads;
    let at = (kv_head * KV_BLOCK + row.slot % KV_BLOCK) * params.head_dim;
    write_kv(at / 2u + pair, values);
}
