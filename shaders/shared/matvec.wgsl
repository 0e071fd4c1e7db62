// One token's activations against ROWS rows of the weight, for the variants of `linear` that take one token.
#import linear
#import blocks

// Sums of some of the blocks of x.
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
    // what the rows share: x with the layout's factors, its product with the offsets, and its sum
    let scaled = block_scaled(values, LOW_FACTOR, HIGH_FACTOR);
    let offset = dot(values[0] + values[1] + values[2] + values[3], LOW_OFFSET)
        + dot(values[4] + values[5] + values[6] + values[7], HIGH_OFFSET);
    let total = block_sum(values);
    for (var r = 0u; r < ROWS; r++) {
        let row = row_of(first, r);
        let scale = block_scale(row, block);
        (*sums).rows[r] += scale.x * (block_dot(block_values(row, block), scaled) + offset) + scale.y * total;
    }
}
