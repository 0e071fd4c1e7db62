#import weight_small_bytes
// Two blocks of 32 values per granule, two words each.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;

// Of a byte, the lower four bits belong to an even quad and the one four quads further up, the
// upper four to the next; of four bits the lower two belong to the first of these quads. Third bits
// are in a word of their own, see high_bits: bit t of its bytes belongs to quad t.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let granule = quants[row_start(row, blocks() / 2u) + block / 2u * ROW_TILE];
    let bits = select(granule.xy, granule.zw, (block & 1u) != 0u).xxyy >> vec4(0u, 4u, 0u, 4u);
    let low = bits & vec4(0x03030303u);
    let high = (bits >> vec4(2u)) & vec4(0x03030303u);
#ifdef Q3K16
    let third = vec4(high_bits(row, block));
    return array(
        low | (((third << vec4(2u)) >> vec4(0u, 1u, 2u, 3u)) & vec4(0x04040404u)),
        high | ((third >> vec4(2u, 3u, 4u, 5u)) & vec4(0x04040404u)),
    );
#else
    return array(low, high);
#endif
}
