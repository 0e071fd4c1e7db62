#import weight_plain
// Eight values per granule.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;

fn weight_quad(row: u32, quad: u32) -> vec4<f32> {
    let granule = quants[row_start(row, (quads() + 1u) / 2u) + quad / 2u * ROW_TILE];
    let words = select(granule.xy, granule.zw, quad % 2u == 1u);
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}
