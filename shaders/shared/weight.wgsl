// Reading a weight matrix of shape (rows, COLS), whatever its layout.
//
// A plane is rows of 16-byte granules, ROW_TILE rows interleaved: granule g of the rows of a tile lie side by side, so that
// neighbouring invocations which take neighbouring rows read neighbouring memory. ROW_TILE = 1 is plain row-major. WEIGHT_ROWS is in whole
// tiles, and a constant like COLS, since adapters check an index against a constant faster than against a length.
//
// Each snippet defines
//     fn weight_quad(row: u32, quad: u32) -> vec4<f32>
// the values 4 quad .. 4 quad + 4 of a row, for any COLS in fours; and, for rows of whole blocks of 32 values,
//     fn block_values(row: u32, block: u32) -> Block
//     fn block_scale(row: u32, block: u32) -> vec2<f32>
//     LOW_FACTOR, HIGH_FACTOR, LOW_OFFSET, HIGH_OFFSET: vec4<f32>
// such that weight = scale.x · (value · FACTOR + OFFSET) + scale.y, with LOW in quads 0 to 3 and HIGH in quads 4 to 7. So
// a kernel can move the factors and offsets to whichever side is touched less often, the weights or the activations.
// Quantised layouts also define
//     fn block_bytes(row: u32, block: u32) -> array<vec4<u32>, 2>
// signed bytes such that weight = scale.x · byte + scale.y.
const BLOCKS = COLS / 32u;
const QUADS = COLS / 4u;
alias Block = array<vec4<f32>, 8>;

// Where a row of so many granules starts; its granules are ROW_TILE apart. ROW_TILE is a power of two, and masks are
// quicker than a division where nothing turns one into the other.
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
#import weight_q4
#endif
#ifdef Q8
#import weight_q8
#endif
