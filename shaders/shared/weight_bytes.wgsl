// 16 signed bytes per granule, two granules per block.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;

// Each byte moves to the top of a word; the arithmetic shift back extends its sign.
fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    let bytes = quants[row_start(row, 2u * blocks()) + quad / 4u * ROW_TILE][quad % 4u];
    return vec4<f32>(vec4<i32>(vec4(bytes) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}

// Bytes stay in place, each too large by a power of 256, which the factor corrects: shifts are slow
// on adapters that emulate them. The top byte has the right sign. The others are made unsigned by
// flipping their top bits, which adds 128, and the offset corrects that. All of it is exact.
const LOW_FACTOR = vec4(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const HIGH_FACTOR = LOW_FACTOR;
const LOW_OFFSET = vec4(-128.0, -128.0, -128.0, 0.0);
const HIGH_OFFSET = LOW_OFFSET;

fn bytes_of(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4(word ^ 0x808080u) & vec4(0xffu, 0xff00u, 0xff0000u, 0xff000000u)));
}

fn block_values(row: u32, block: u32) -> Block {
    let at = row_start(row, 2u * blocks()) + 2u * block * ROW_TILE;
    let low = quants[at];
    let high = quants[at + ROW_TILE];
    return Block(
        bytes_of(low.x),
        bytes_of(low.y),
        bytes_of(low.z),
        bytes_of(low.w),
        bytes_of(high.x),
        bytes_of(high.y),
        bytes_of(high.z),
        bytes_of(high.w),
    );
}

// The quants as signed bytes, in order: half a block per vector.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let at = row_start(row, 2u * blocks()) + 2u * block * ROW_TILE;
    return array(quants[at], quants[at + ROW_TILE]);
}
