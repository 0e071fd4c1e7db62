// Reading a weight matrix of shape (rows, cols), whatever its layout. Each snippet defines
//     const BLOCK_QUADS: u32                                           vec4s in a block
//     fn weight_block(row, block, cols) -> array<vec4<f32>, BLOCK_QUADS>  values [block · 4 BLOCK_QUADS ..] of a row
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
#import weight_q4
#endif
#ifdef Q8
#import weight_q8
#endif
