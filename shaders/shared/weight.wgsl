// Reads a weight matrix of shape (rows, params.cols) in any layout.
//
// A plane consists of rows of 16-byte granules, ROW_TILE rows interleaved: granule g of all rows of
// a tile are neighbours, so that neighbouring invocations with neighbouring rows read neighbouring
// memory. ROW_TILE = 1 is row-major. A plane has as many rows as fill whole tiles.
//
// Snippets define, for any number of columns that is a multiple of four,
//     fn weight_quad(row: u32, quad: u32) -> vec4<f32>
// the values 4 quad .. 4 quad + 4 of a row; and, for rows of whole blocks of 32 values,
//     fn block_values(row: u32, block: u32) -> Block
//     fn block_scales(row: u32, block: u32) -> vec4<f32>
//     LOW_FACTOR, HIGH_FACTOR, LOW_OFFSET, HIGH_OFFSET: vec4<f32>
// with weight = scale · (value · FACTOR + OFFSET) + minimum. LOW, and scale and minimum in x and y,
// apply to quads 0 to 3; HIGH, and those in z and w, to quads 4 to 7. So a kernel can apply factors
// and offsets to the weights or to the activations, whichever are fewer. A quantised layout has a
// snippet for quants and one for scales, and also defines
//     fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2>
//     SCALES_DIFFER: bool
// signed bytes, half a block per vector, with weight = scale · byte + minimum; and whether x and y
// of scales differ from z and w.
#import columns
alias Block = array<vec4<f32>, 8>;

// Start of a row of this many granules; its granules are ROW_TILE apart. ROW_TILE is a power of
// two: masks are faster than a division on compilers that do not convert it.
fn row_start(row: u32, granules: u32) -> u32 {
    return (row & ~(ROW_TILE - 1u)) * granules + (row & (ROW_TILE - 1u));
}

#ifdef F32
#import weight_f32
#endif
#ifdef F16
#import weight_f16
#endif
#ifdef BF16
#import weight_bf16
#endif
#ifdef Q4
#import weight_nibbles
#import weight_scales
#endif
#ifdef Q5
#import weight_five_bits
#import weight_scales
#endif
#ifdef Q8
#import weight_bytes
#import weight_scales
#endif
#ifdef IQ4
#import weight_iq4
#import weight_scales
#endif
#ifdef MX4
#import weight_e2m1
#import weight_scales_bf16
#endif
#ifdef Q4K32
#import weight_nibbles
#import weight_pairs
#endif
#ifdef Q5K32
#import weight_five_bits
#import weight_pairs
#endif
#ifdef IQ4K32
#import weight_iq4
#import weight_pairs
#endif
#ifdef Q6K16
#import weight_six_bits
#import weight_factors
#endif
#ifdef Q3K16
#import weight_two_bits
#import weight_factors
#endif
#ifdef Q2K16
#import weight_two_bits
#import weight_nibble_factors
#endif
#ifdef Q2K256
#import weight_two_bits
#import weight_whole
#endif
#ifdef IQ1S
#import weight_codes
#endif
#ifdef IQ1M
#import weight_codes
#endif
#ifdef IQ2XXS
#import weight_codes
#endif
#ifdef IQ2XS
#import weight_codes
#endif
#ifdef IQ2S
#import weight_codes
#endif
#ifdef IQ3XXS
#import weight_codes
#endif
#ifdef IQ3S
#import weight_codes
#endif
#ifdef Q1
#import weight_signs
#endif
#ifdef NV4
#import weight_e2m1
#import weight_scales_e4m3
#endif
