// One token's activations times ROWS rows of the weight, for the variants of `linear` that take one
// token.
#import linear
#import blocks
#ifdef TAIL
#import tail
#endif

// Sums over some of the blocks of x.
struct Sums {
    rows: array<f32, ROWS>, // Σ weight · x, see row_of
    squares: f32, // Σ x², with NORM
}

fn add_block(sums: ptr<function, Sums>, first: u32, token: u32, block: u32) {
    var values = x_block(token, block);
#ifdef NORM
    (*sums).squares += block_dot(values, values);
    values = block_product(values, norm_block(block));
#endif
    // shared by the rows, for each half of the block: the sum of x, x times the layout's factors,
    // and x times its offsets
    let low = values[0] + values[1] + values[2] + values[3];
    let high = values[4] + values[5] + values[6] + values[7];
    let totals = vec2(dot(low, vec4(1.0)), dot(high, vec4(1.0)));
#ifdef TAIL
    if first >= params.tail_first {
        add_tail(sums, first, block, values, totals);
        return;
    }
#endif
    let scaled = block_scaled(values, LOW_FACTOR, HIGH_FACTOR);
    let offsets = vec2(dot(low, LOW_OFFSET), dot(high, HIGH_OFFSET));
    for (var r = 0u; r < ROWS; r++) {
        let row = row_of(first, r);
        let dots = half_dots(block_values(row, block), scaled) + offsets;
        (*sums).rows[r] += dot(block_scales(row, block), vec4(dots.x, totals.x, dots.y, totals.y));
    }
}
