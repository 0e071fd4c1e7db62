// The KV cache, read four values at a time: (blocks, 2, KV_HEADS, KV_BLOCK, HEAD_QUADS), keys
// before values.
#ifdef KV_F16
@group(0) @binding(next) var<storage, read> kv: array<vec2<u32>>;

fn kv_quad(at: u32) -> vec4<f32> {
    let words = kv[at];
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}
#else
@group(0) @binding(next) var<storage, read> kv: array<vec4<f32>>;

fn kv_quad(at: u32) -> vec4<f32> {
    return kv[at];
}
#endif
