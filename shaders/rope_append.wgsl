// Rotates q and k of each row by its position. q stays in qkv; k and v go to the KV cache at that
// position.
//
// One invocation per pair of values that are rotated together; a workgroup takes 64 pairs of a row.
// Pairs past rotary_dim, and those of v, are only copied.
//
// HALF_SPLIT: pairs are (i, i + rotary_dim / 2); else (2 i, 2 i + 1).
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
// (blocks, 2, kv_heads, KV_BLOCK, head_dim): keys, values
@group(0) @binding(next) var<storage, read_write> kv: array<f32>;

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
    let rotates = pair < rotary_pairs && !is_v;
    var a = 2u * pair;
    var b = a + 1u;
#ifdef HALF_SPLIT
    if rotates {
        a = pair;
        b = pair + rotary_pairs;
    }
#endif
    let row = rows[token];
    let first = (token * all_heads + head) * params.head_dim;
    var values = vec2(qkv[first + a], qkv[first + b]);
    if rotates {
        let angle = angles[token * rotary_pairs + pair];
        values = vec2(values.x * angle.x - values.y * angle.y, values.x * angle.y + values.y * angle.x);
    }
    if head < params.heads {
        qkv[first + a] = values.x;
        qkv[first + b] = values.y;
        return;
    }
    let kv_head = row.slot / KV_BLOCK * 2u * params.kv_heads + head - params.heads;
    let at = (kv_head * KV_BLOCK + row.slot % KV_BLOCK) * params.head_dim;
    kv[at + a] = values.x;
    kv[at + b] = values.y;
}
