// A block of 32 nibbles per granule, as in weight_nibbles: indices of IQ4_NL's numbers.
//
// A polynomial comes within 0.44 of these numbers, so that rounding it gives them: adapters have no
// fast memory for a table without a barrier. Indices stay in place, each too large by a power of
// 16, which the coefficients correct.
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;

const LOW_FACTOR = vec4(1.0);
const HIGH_FACTOR = vec4(1.0);
const LOW_OFFSET = vec4(0.0);
const HIGH_OFFSET = vec4(0.0);

const IN_PLACE = vec4(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const LINEAR = 24.17383 * IN_PLACE;
const SQUARE = -1.371927 * IN_PLACE * IN_PLACE;
const CUBE = 0.03108644 * IN_PLACE * IN_PLACE * IN_PLACE;
const FOURTH = 0.001586043 * IN_PLACE * IN_PLACE * IN_PLACE * IN_PLACE;

// The numbers of the low nibbles of a word.
fn numbers(word: u32) -> vec4<f32> {
    let i = vec4<f32>(vec4<i32>(vec4(word) & vec4(0xfu, 0xf00u, 0xf0000u, 0xf000000u)));
    return round((((FOURTH * i + CUBE) * i + SQUARE) * i + LINEAR) * i - 126.56701);
}

fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    return numbers(quants[row_start(row, blocks()) + quad / 8u * ROW_TILE][quad % 4u] >> (quad & 4u));
}

fn block_values(row: u32, block: u32) -> Block {
    let low = quants[row_start(row, blocks()) + block * ROW_TILE];
    let high = low >> vec4(4u);
    return Block(
        numbers(low.x),
        numbers(low.y),
        numbers(low.z),
        numbers(low.w),
        numbers(high.x),
        numbers(high.y),
        numbers(high.z),
        numbers(high.w),
    );
}

fn packed_numbers(word: u32) -> u32 {
    let bytes = vec4<u32>(vec4<i32>(numbers(word))) & vec4(0xffu);
    return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

// The numbers as signed bytes, in order: half a block per vector.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let low = quants[row_start(row, blocks()) + block * ROW_TILE];
    let high = low >> vec4(4u);
    return array(
        vec4(packed_numbers(low.x), packed_numbers(low.y), packed_numbers(low.z), packed_numbers(low.w)),
        vec4(packed_numbers(high.x), packed_numbers(high.y), packed_numbers(high.z), packed_numbers(high.w)),
    );
}
