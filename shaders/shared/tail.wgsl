// The rows of another weight, of layout Q6K16, whose outputs follow those of the first, from
// params.tail_first on: TAIL of the variants of `linear` for one token. A workgroup has rows of one
// of the two.
#import six_bits
@group(0) @binding(10) var<storage, read> tail_quants: array<vec4<u32>>;
// as in weight_groups and weight_factors
@group(0) @binding(11) var<storage, read> tail_scales: array<u32>;

fn tail_start(row: u32, granules: u32) -> u32 {
    return (row & ~(TAIL_TILE - 1u)) * granules + (row & (TAIL_TILE - 1u));
}

fn tail_block(row: u32, block: u32) -> Block {
    let start = tail_start(row, blocks() / 2u * 3u) + block / 2u * 3u * TAIL_TILE;
    return byte_values(six_bit_bytes(
        tail_quants[start + (block & 1u) * TAIL_TILE],
        tail_quants[start + 2u * TAIL_TILE],
        (block & 1u) != 0u,
    ));
}

fn tail_block_scales(row: u32, block: u32) -> vec4<f32> {
    let start = tail_start(row, blocks() / 8u * 5u) + block / 8u * 5u * TAIL_TILE;
    let factors = tail_scales[start + (1u + block % 8u / 2u) * TAIL_TILE] >> (block % 2u * 16u);
    return signed(vec4(factors) << vec2(24u, 16u).xxyy) * unpack2x16float(tail_scales[start]).xyxy;
}

// As add_block, for outputs from params.tail_first on. `totals`: the sums of both halves of x.
fn add_tail(sums: ptr<function, Sums>, first: u32, block: u32, values: Block, totals: vec2<f32>) {
    let scaled = block_scaled(values, BYTE_FACTOR, BYTE_FACTOR);
    for (var r = 0u; r < ROWS; r++) {
        let row = first - params.tail_first + r;
        let dots = half_dots(tail_block(row, block), scaled);
        (*sums).rows[r] += dot(tail_block_scales(row, block), vec4(dots.x, totals.x, dots.y, totals.y));
    }
}
