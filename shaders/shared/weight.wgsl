// Reading a weight matrix of shape (rows, cols), whatever its layout. Each snippet defines
//     fn weight_quad(row: u32, quad: u32, cols: u32) -> vec4<f32>
// the values 4 quad .. 4 quad + 4 of a row.
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
