#import weight_plain
// Four values per granule.
@group(0) @binding(8) var<storage, read> quants: array<vec4<f32>>;

fn weight_quad(row: u32, quad: u32) -> vec4<f32> {
    return quants[row_start(row, quads()) + quad * ROW_TILE];
}
