// A part of the KV cache, read four values at a time: (blocks, 2, PART_HEADS, KV_BLOCK,
// HEAD_QUADS), keys before values. ROPE also writes it.
#ifdef KV_Q8
// of eight quads the largest magnitude, then 127ths of it, a byte each
#ifdef ROPE
@group(0) @binding(next) var<storage, read_write> kv: array<u32>;

// `most`: the largest magnitude of the eight
fn write_quad(at: u32, values: vec4<f32>, most: f32) {
    let group = at / 8u * 9u;
    if at % 8u == 0u {
        kv[group] = bitcast<u32>(most);
    }
    kv[group + 1u + at % 8u] = pack4x8snorm(values / max(most, 1e-30));
}
#else
@group(0) @binding(next) var<storage, read> kv: array<u32>;
#endif

fn kv_quad(at: u32) -> vec4<f32> {
    let group = at / 8u * 9u;
    return bitcast<f32>(kv[group]) * unpack4x8snorm(kv[group + 1u + at % 8u]);
}
#else
#ifdef KV_F16
#ifdef ROPE
@group(0) @binding(next) var<storage, read_write> kv: array<vec2<u32>>;

fn write_quad(at: u32, values: vec4<f32>) {
    // the largest f16: an infinite key or value would spoil every later token
    let bounded = clamp(values, vec4(-65504.0), vec4(65504.0));
    kv[at] = vec2(pack2x16float(bounded.xy), pack2x16float(bounded.zw));
}
#else
@group(0) @binding(next) var<storage, read> kv: array<vec2<u32>>;
#endif

fn kv_quad(at: u32) -> vec4<f32> {
    let words = kv[at];
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}
#else
#ifdef ROPE
@group(0) @binding(next) var<storage, read_write> kv: array<vec4<f32>>;

fn write_quad(at: u32, values: vec4<f32>) {
    kv[at] = values;
}
#else
@group(0) @binding(next) var<storage, read> kv: array<vec4<f32>>;
#endif

fn kv_quad(at: u32) -> vec4<f32> {
    return kv[at];
}
#endif
#endif
