// Two blocks of 32 values per three granules.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>, WEIGHT_ROWS * BLOCKS / 2u * 3u>;

// Per two blocks: a granule of nibbles for each, as in weight_nibbles, then a granule with the
// upper two bits of both. That has two words per block; the first belongs to words 0 and 1 of the
// nibbles. Of a byte in it, the lower four bits belong to the first of these words, and of four
// bits the lower two to the low nibble.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let start = row_start(row, BLOCKS / 2u * 3u) + block / 2u * 3u * ROW_TILE;
    let nibbles = quants[start + (block & 1u) * ROW_TILE];
    let granule = quants[start + 2u * ROW_TILE];
    let above = select(granule.xy, granule.zw, (block & 1u) != 0u).xxyy >> vec4(0u, 4u, 0u, 4u);
    return array(
        (nibbles & vec4(0x0f0f0f0fu)) | ((above & vec4(0x03030303u)) << vec4(4u)),
        ((nibbles >> vec4(4u)) & vec4(0x0f0f0f0fu)) | ((above & vec4(0x0c0c0c0cu)) << vec4(2u)),
    );
}

fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    let bytes = block_bytes(row, quad / 8u);
    let word = select(bytes[0], bytes[1], (quad & 4u) != 0u)[quad % 4u];
    return vec4<f32>((vec4(word) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xffu));
}

// Bytes stay in place, each too large by a power of 256, which the factor corrects. None has its
// top bit set.
const LOW_FACTOR = vec4(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const HIGH_FACTOR = LOW_FACTOR;
const LOW_OFFSET = vec4(0.0);
const HIGH_OFFSET = LOW_OFFSET;

fn bytes_of(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4(word) & vec4(0xffu, 0xff00u, 0xff0000u, 0xff000000u)));
}

fn block_values(row: u32, block: u32) -> Block {
    let bytes = block_bytes(row, block);
    return Block(
        bytes_of(bytes[0].x),
        bytes_of(bytes[0].y),
        bytes_of(bytes[0].z),
        bytes_of(bytes[0].w),
        bytes_of(bytes[1].x),
        bytes_of(bytes[1].y),
        bytes_of(bytes[1].z),
        bytes_of(bytes[1].w),
    );
}
