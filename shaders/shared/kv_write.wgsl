// A part of the KV cache, written two neighbouring values at a time: (blocks, 2, kv_heads,
// KV_BLOCK, head_dim / 2), keys before values.
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
