// Shared by the layouts with quants and scales.
fn weight_quad(row: u32, quad: u32) -> vec4<f32> {
    let scales = block_scales(row, quad / 8u);
    let scale = select(scales.xy, scales.zw, (quad & 4u) != 0u);
    return quad_quants(row, quad) * scale.x + scale.y;
}
