#import weight_quantised
#import signed_bytes
// Indices of vectors of eight or four numbers: `src/format/codes.rs` says what both planes have. In
// front of the scales is the codebook, two bytes a vector.
#ifdef IQ1S
const VECTOR = 8u;
const HIGH_BITS = 3u;
const HAS_SIGNS = false;
const SHARED_BY = 32u;
const HAS_OFFSETS = false;
const UNIT = 0x1p-3;
const BOOK_WORDS = 1024u;
#endif
#ifdef IQ1M
const VECTOR = 8u;
const HIGH_BITS = 3u;
const HAS_SIGNS = false;
const SHARED_BY = 16u;
const HAS_OFFSETS = true;
const UNIT = 0x1p-3;
const BOOK_WORDS = 1024u;
#endif
#ifdef IQ2XXS
const VECTOR = 8u;
const HIGH_BITS = 0u;
const HAS_SIGNS = true;
const SHARED_BY = 32u;
const HAS_OFFSETS = false;
const UNIT = 0x1p-3;
const BOOK_WORDS = 128u;
#endif
#ifdef IQ2XS
const VECTOR = 8u;
const HIGH_BITS = 1u;
const HAS_SIGNS = true;
const SHARED_BY = 16u;
const HAS_OFFSETS = false;
const UNIT = 0x1p-3;
const BOOK_WORDS = 256u;
#endif
#ifdef IQ2S
const VECTOR = 8u;
const HIGH_BITS = 2u;
const HAS_SIGNS = true;
const SHARED_BY = 16u;
const HAS_OFFSETS = false;
const UNIT = 0x1p-3;
const BOOK_WORDS = 512u;
#endif
#ifdef IQ3XXS
const VECTOR = 4u;
const HIGH_BITS = 0u;
const HAS_SIGNS = true;
const SHARED_BY = 32u;
const HAS_OFFSETS = false;
const UNIT = 0x1p-2;
const BOOK_WORDS = 128u;
#endif
#ifdef IQ3S
const VECTOR = 4u;
const HIGH_BITS = 1u;
const HAS_SIGNS = true;
const SHARED_BY = 32u;
const HAS_OFFSETS = false;
const UNIT = 1.0;
const BOOK_WORDS = 256u;
#endif
@group(0) @binding(8) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> scales: array<u32>;

// Granules of indices and of signs in a group of 256 values.
const INDEX_GRANULES = 16u / VECTOR;
const GRANULES = INDEX_GRANULES + select(0u, 2u, HAS_SIGNS);

// Words of a group: d, factors, upper bits of indices, offsets.
const FIRST_HIGH = 1u + 32u / SHARED_BY;
const FIRST_OFFSET = FIRST_HIGH + HIGH_BITS * 8u / VECTOR;
const GROUP_WORDS = FIRST_OFFSET + select(0u, 1u, HAS_OFFSETS);

const SCALES_DIFFER = SHARED_BY == 16u;

// Where the words of a block's group begin; they are ROW_TILE apart.
fn group_start(row: u32, block: u32) -> u32 {
    return BOOK_WORDS + row_start(row, blocks() / 8u * GROUP_WORDS) + block / 8u * GROUP_WORDS * ROW_TILE;
}

// Factors of four bits; the highest bit of those without signs is an offset.
fn nibble_of(start: u32, i: u32) -> u32 {
    return scales[start + (1u + i / 8u) * ROW_TILE] >> (i % 8u * 4u);
}

fn block_scales(row: u32, block: u32) -> vec4<f32> {
    let start = group_start(row, block);
    let d = unpack2x16float(scales[start]).x * UNIT;
    let first = block % 8u * (32u / SHARED_BY);
    let mask = select(7u, 15u, HAS_SIGNS);
    let low = f32(2u * (nibble_of(start, first) & mask) + 1u);
    let high = f32(2u * (nibble_of(start, first + 32u / SHARED_BY - 1u) & mask) + 1u);
    return vec4(d * low, 0.0, d * high, 0.0);
}

// The levels of vector `k` of a block, 16 / VECTOR bits each.
fn levels_of(start: u32, low: u32, block: u32, k: u32) -> u32 {
    var index = (low >> (k % 4u * 8u)) & 0xffu;
    let i = block % 8u * (32u / VECTOR) + k;
    for (var bit = 0u; bit < HIGH_BITS; bit++) {
        let word = scales[start + (FIRST_HIGH + bit * 8u / VECTOR + i / 32u) * ROW_TILE];
        index |= ((word >> (i % 32u)) & 1u) << (8u + bit);
    }
    return (scales[index / 2u] >> (index % 2u * 16u)) & 0xffffu;
}

// Four bits as the lowest bits of four bytes.
fn spread(bits: u32) -> u32 {
    return (bits | (bits << 7u) | (bits << 14u) | (bits << 21u)) & 0x01010101u;
}

// Four sizes of IQ2 types, 8, 25 and 43, of two bits each.
fn three_sizes(bits: u32) -> u32 {
    let pairs = (bits | (bits << 12u)) & 0x000f000fu;
    let levels = (pairs | (pairs << 6u)) & 0x03030303u;
    return 0x08080808u + levels + (levels << 4u) + ((levels >> 1u) & 0x01010101u);
}

// Four sizes of IQ3 types, of four bits each: odd numbers, or 4, 12, 20, 28, 36, 44, 52 and 62.
fn eight_sizes(bits: u32) -> u32 {
    let pairs = (bits | (bits << 8u)) & 0x00ff00ffu;
    let levels = (pairs | (pairs << 4u)) & 0x07070707u;
#ifdef IQ3S
    return (levels << 1u) + 0x01010101u;
#else
    let largest = (levels >> 2u) & (levels >> 1u) & levels & 0x01010101u;
    return (levels << 3u) + 0x04040404u + (largest << 1u);
#endif
}

// Four numbers of IQ1 types, of two bits each: 8 times -1, 0 or 1, and 1 more or less. They are 128
// too large until the last step, so that no byte carries into the next.
fn ternary(bits: u32, is_less: bool) -> u32 {
    let pairs = (bits | (bits << 12u)) & 0x000f000fu;
    let levels = (pairs | (pairs << 6u)) & 0x03030303u;
    return ((levels << 3u) + select(0x79797979u, 0x77777777u, is_less)) ^ 0x80808080u;
}

// The bytes with their signs, of four bits.
fn with_signs(bytes: u32, bits: u32) -> u32 {
    let ones = spread(bits & 15u);
    return (bytes ^ ((ones << 8u) - ones)) + ones;
}

// Signed bytes, in order: half a block per vector.
fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2> {
    let start = group_start(row, block);
    let at = row_start(row, blocks() / 8u * GRANULES) + block / 8u * GRANULES * ROW_TILE;
    var bytes: array<vec4<u32>, 2>;
    let b = block % 8u;
    if VECTOR == 8u {
        let low = quants[at + b / 4u * ROW_TILE][b % 4u];
        let levels = vec4(
            levels_of(start, low, block, 0u),
            levels_of(start, low, block, 1u),
            levels_of(start, low, block, 2u),
            levels_of(start, low, block, 3u),
        );
        if HAS_SIGNS {
            bytes[0] = vec4(
                three_sizes(levels.x & 0xffu),
                three_sizes(levels.x >> 8u),
                three_sizes(levels.y & 0xffu),
                three_sizes(levels.y >> 8u),
            );
            bytes[1] = vec4(
                three_sizes(levels.z & 0xffu),
                three_sizes(levels.z >> 8u),
                three_sizes(levels.w & 0xffu),
                three_sizes(levels.w >> 8u),
            );
        } else {
            var less = vec4((nibble_of(start, b) & 8u) != 0u);
            if HAS_OFFSETS {
                let offsets = scales[start + FIRST_OFFSET * ROW_TILE] >> (4u * b);
                less = (vec4(offsets) & vec4(1u, 2u, 4u, 8u)) != vec4(0u);
            }
            bytes[0] = vec4(
                ternary(levels.x & 0xffu, less.x),
                ternary(levels.x >> 8u, less.x),
                ternary(levels.y & 0xffu, less.y),
                ternary(levels.y >> 8u, less.y),
            );
            bytes[1] = vec4(
                ternary(levels.z & 0xffu, less.z),
                ternary(levels.z >> 8u, less.z),
                ternary(levels.w & 0xffu, less.w),
                ternary(levels.w >> 8u, less.w),
            );
        }
    } else {
        let granule = quants[at + b / 2u * ROW_TILE];
        let low = select(granule.xy, granule.zw, b % 2u == 1u);
        bytes[0] = vec4(
            eight_sizes(levels_of(start, low.x, block, 0u)),
            eight_sizes(levels_of(start, low.x, block, 1u)),
            eight_sizes(levels_of(start, low.x, block, 2u)),
            eight_sizes(levels_of(start, low.x, block, 3u)),
        );
        bytes[1] = vec4(
            eight_sizes(levels_of(start, low.y, block, 4u)),
            eight_sizes(levels_of(start, low.y, block, 5u)),
            eight_sizes(levels_of(start, low.y, block, 6u)),
            eight_sizes(levels_of(start, low.y, block, 7u)),
        );
    }
    if HAS_SIGNS {
        let signs = quants[at + (INDEX_GRANULES + b / 4u) * ROW_TILE][b % 4u];
        for (var word = 0u; word < 4u; word++) {
            bytes[0][word] = with_signs(bytes[0][word], signs >> (4u * word));
            bytes[1][word] = with_signs(bytes[1][word], signs >> (16u + 4u * word));
        }
    }
    return bytes;
}

fn quad_quants(row: u32, quad: u32) -> vec4<f32> {
    let bytes = block_bytes(row, quad / 8u);
    return signed_quad(select(bytes[0], bytes[1], (quad & 4u) != 0u)[quad % 4u]);
}

fn block_values(row: u32, block: u32) -> Block {
    return byte_values(block_bytes(row, block));
}
