// Arithmetic on blocks of 32 values, for the variants of `linear` that take whole blocks.

fn block_dot(a: Block, b: Block) -> f32 {
    let dots = half_dots(a, b);
    return dots.x + dots.y;
}

// Dot products over quads 0 to 3 and over quads 4 to 7.
fn half_dots(a: Block, b: Block) -> vec2<f32> {
    return vec2(
        dot(a[0], b[0]) + dot(a[1], b[1]) + dot(a[2], b[2]) + dot(a[3], b[3]),
        dot(a[4], b[4]) + dot(a[5], b[5]) + dot(a[6], b[6]) + dot(a[7], b[7]),
    );
}

// Multiplies quads 0 to 3 by `low`, quads 4 to 7 by `high`.
fn block_scaled(a: Block, low: vec4<f32>, high: vec4<f32>) -> Block {
    return Block(a[0] * low, a[1] * low, a[2] * low, a[3] * low, a[4] * high, a[5] * high, a[6] * high, a[7] * high);
}

fn block_product(a: Block, b: Block) -> Block {
    return Block(
        a[0] * b[0],
        a[1] * b[1],
        a[2] * b[2],
        a[3] * b[3],
        a[4] * b[4],
        a[5] * b[5],
        a[6] * b[6],
        a[7] * b[7],
    );
}

#ifndef ROUNDED
fn x_block(token: u32, block: u32) -> Block {
#ifdef RESIDUAL
    let first = 8u * block;
    return Block(
        staged[place(first)],
        staged[place(first + 1u)],
        staged[place(first + 2u)],
        staged[place(first + 3u)],
        staged[place(first + 4u)],
        staged[place(first + 5u)],
        staged[place(first + 6u)],
        staged[place(first + 7u)],
    );
#else
    let at = x_start(token) + 8u * block;
    return Block(x[at], x[at + 1u], x[at + 2u], x[at + 3u], x[at + 4u], x[at + 5u], x[at + 6u], x[at + 7u]);
#endif
}
#endif

#ifdef NORM
fn norm_block(block: u32) -> Block {
    let at = 8u * block;
    return Block(
        norm[at],
        norm[at + 1u],
        norm[at + 2u],
        norm[at + 3u],
        norm[at + 4u],
        norm[at + 5u],
        norm[at + 6u],
        norm[at + 7u],
    );
}
#endif

// Row of the weight for sum r of an invocation with ROWS sums and first output `first`. With GATED,
// the second half of the sums are the up projections of the gates in the first half.
fn row_of(first: u32, r: u32) -> u32 {
#ifdef GATED
    return select(first + r, params.outputs + first + r - ROWS / 2u, r >= ROWS / 2u);
#else
    return weight_row(first + r);
#endif
}

// The decoded weights, in f32.
fn weight_block(row: u32, block: u32) -> Block {
    let values = block_values(row, block);
    let scales = block_scales(row, block);
    let low = LOW_FACTOR * scales.x;
    let high = HIGH_FACTOR * scales.z;
    let low_offset = LOW_OFFSET * scales.x + scales.y;
    let high_offset = HIGH_OFFSET * scales.z + scales.w;
    return Block(
        values[0] * low + low_offset,
        values[1] * low + low_offset,
        values[2] * low + low_offset,
        values[3] * low + low_offset,
        values[4] * high + high_offset,
        values[5] * high + high_offset,
        values[6] * high + high_offset,
        values[7] * high + high_offset,
    );
}
