// Rotates q and k of each token by its position. q stays in qkv; k and v go to the cache, at that position.
//
// One invocation a pair of values that turn together; a workgroup takes 64 pairs of a token. Pairs past the rotary width,
// and those of v, are only copied.
//
// HALF_SPLIT pairs (i, i + rotary_dim / 2); without it (2 i, 2 i + 1).
#import step

struct Params {
    rows: u32, // capacity of qkv
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    rotary_dim: u32,
    context: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> qkv: array<f32>; // (tokens, (heads + 2 kv_heads) · head_dim)
@group(0) @binding(3) var<storage, read> table: array<vec2<f32>>; // (context, rotary_dim / 2): cos, sin
@group(0) @binding(4) var<storage, read_write> k_cache: array<f32>; // (kv_heads, context, head_dim)
@group(0) @binding(5) var<storage, read_write> v_cache: array<f32>; // (kv_heads, context, head_dim)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    let head = id.x / (params.head_dim / 2u); // q heads, then k heads, then v heads
    let pair = id.x % (params.head_dim / 2u);
    let all_heads = params.heads + 2u * params.kv_heads;
    if token >= min(step.tokens, params.rows) || head >= all_heads {
        return;
    }
    let rotary_pairs = params.rotary_dim / 2u;
    let is_v = head >= params.heads + params.kv_heads;
    let turns = pair < rotary_pairs && !is_v;
    var a = 2u * pair;
    var b = a + 1u;
#ifdef HALF_SPLIT
    if turns {
        a = pair;
        b = pair + rotary_pairs;
    }
#endif
    let position = step.position + token;
    let row = (token * all_heads + head) * params.head_dim;
    var values = vec2(qkv[row + a], qkv[row + b]);
    if turns {
        let angle = table[position * rotary_pairs + pair];
        values = vec2(values.x * angle.x - values.y * angle.y, values.x * angle.y + values.y * angle.x);
    }
    if head < params.heads {
        qkv[row + a] = values.x;
        qkv[row + b] = values.y;
        return;
    }
    let kv_head = (head - params.heads) % params.kv_heads;
    let slot = (kv_head * params.context + position) * params.head_dim;
    if is_v {
        v_cache[slot + a] = values.x;
        v_cache[slot + b] = values.y;
    } else {
        k_cache[slot + a] = values.x;
        k_cache[slot + b] = values.y;
    }
}
