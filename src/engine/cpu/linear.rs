//! Matrix product over tiles of eight rows. A tile is read once for up to four tokens, and threads
//! share the tiles. The eight sums of a tile stay in vector lanes throughout.

use std::ops::Range;

use super::activate::activate;
use super::activations::{ProductBuffers, QuantBlock};
use super::pool::{self, Shared};
use super::simd::{
    ByteDot, F32x4, NibbleDot, SixBitDot, bytes, five_bits, look_up, nibbles, six_bits, three_bits, two_bits, words,
};
use super::tiles::{Bfloats, Data, Floats, Halves, ROWS, Tiles, Words};
use crate::format::layout::{E2M1, IQ4, Layout};
use crate::ops::{Affine, Epilogue, Linear, RmsNorm};

/// Tokens per pass over a tile: with more, their sums do not fit the registers.
const TOKENS: usize = 4;

/// Eight sums for each of M tokens.
type Sums<const M: usize> = [[F32x4; 2]; M];

/// Destination of the results, and the operations applied to them.
pub struct Output<'a> {
    /// (tokens, cols)
    pub y: Shared<f32>,
    pub cols: usize,
    pub offset: usize,
    pub rows: usize,
    pub affine: Affine<'a>,
    pub epilogue: Epilogue,
}

/// `x`: (tokens, weight.cols); `norm`: (weight.cols); `y`: (tokens, op.y.cols).
pub fn linear(
    scratch: &mut (ProductBuffers, Vec<f32>),
    op: &Linear,
    x: &[f32],
    norm: Option<&[f32]>,
    weight: &Tiles,
    affine: Affine,
    y: &mut [f32],
) {
    if !weight.finite {
        return y.fill(f32::NAN);
    }
    let tokens = y.len() / op.y.cols;
    let x = &x[..tokens * weight.cols];
    let norm = op.norm.zip(norm);
    let (scratch, gate_up) = scratch;
    let rows = weight.rows;
    let tiles = 0..rows.div_ceil(ROWS);
    if let Epilogue::Activate(activation) = op.epilogue {
        gate_up.resize(tokens * rows, 0.0);
        let epilogue = Epilogue::Store;
        let output = Output { y: Shared::new(gate_up), cols: rows, offset: 0, rows, affine, epilogue };
        product(scratch, x, norm, weight, tiles, &output);
        activate(activation, gate_up, op.outputs(), op.y.cols, op.y_offset, y);
    } else {
        let epilogue = op.epilogue;
        let output = Output { y: Shared::new(y), cols: op.y.cols, offset: op.y_offset, rows, affine, epilogue };
        product(scratch, x, norm, weight, tiles, &output);
    }
}

/// Multiplies some tiles of a weight with all rows of x.
pub fn product(
    scratch: &mut ProductBuffers,
    x: &[f32],
    norm: Option<(RmsNorm, &[f32])>,
    weight: &Tiles,
    tiles: Range<usize>,
    output: &Output,
) {
    let cols = weight.cols;
    let part = Part { all: weight.rows.div_ceil(ROWS), tiles, tokens: x.len() / cols };
    match &weight.data {
        Data::F32(tiles) => multiply::<Floats>(tiles, &part, scratch.floats(x, cols, norm), output),
        Data::F16(tiles) => multiply::<Halves>(tiles, &part, scratch.floats(x, cols, norm), output),
        Data::Bf16(tiles) => multiply::<Bfloats>(tiles, &part, scratch.floats(x, cols, norm), output),
        Data::Quantised(_, words) => {
            multiply_quantised(weight.layout(), words, &part, scratch.blocks(x, cols, norm), output);
        }
    }
}

/// The tiles to multiply, and the number of tokens.
struct Part {
    all: usize,
    tiles: Range<usize>,
    tokens: usize,
}

/// A layout, which decides how a tile is multiplied.
trait Weights {
    /// Element of a tile along its columns.
    type Item: Sync;
    /// Element of the activations.
    type Input: Sync;

    /// Multiplies a tile with M tokens over the same columns.
    fn multiply<const M: usize>(tile: &[Self::Item], x: [&[Self::Input]; M]) -> Sums<M>;
}

/// Multiplies tiles with tokens, four or two tokens at once. `tiles` are all tiles of the weight.
fn multiply<W: Weights>(tiles: &[W::Item], part: &Part, x: &[W::Input], output: &Output) {
    let tokens = part.tokens;
    let (len, x_len) = (tiles.len() / part.all, x.len() / tokens);
    let tiles = &tiles[part.tiles.start * len..part.tiles.end * len];
    let token = |t: usize| &x[t * x_len..][..x_len];
    pool::run_ranges(part.tiles.len(), |range| {
        let tiles = tiles[range.start * len..range.end * len].chunks_exact(len);
        for (i, tile) in range.zip(tiles) {
            let mut t = 0;
            while t < tokens {
                t += match tokens - t {
                    1 => output.store(t, i, &W::multiply(tile, [token(t)])),
                    2 | 3 => output.store(t, i, &W::multiply(tile, [token(t), token(t + 1)])),
                    _ => output.store(t, i, &W::multiply::<TOKENS>(tile, std::array::from_fn(|m| token(t + m)))),
                };
            }
        }
    });
}

impl Output<'_> {
    /// Applies affine and epilogue to the sums of tile `tile` for some tokens, of which `t` is the
    /// first, and stores them. Returns the number of tokens.
    fn store(&self, t: usize, tile: usize, sums: &[[F32x4; 2]]) -> usize {
        let first = tile * ROWS;
        let count = ROWS.min(self.rows - first);
        for (m, sums) in sums.iter().enumerate() {
            // SAFETY: each tile belongs to one piece, which stores its rows
            let y = unsafe { self.y.slice((t + m) * self.cols + self.offset + first, count) };
            let sums = sums.map(F32x4::to_array);
            for (i, (y, &sum)) in y.iter_mut().zip(sums.as_flattened()).enumerate() {
                *y = self.epilogue.apply(*y, self.affine.apply(first + i, sum), 1.0);
            }
        }
        sums.len()
    }
}

/// Dot products over a block of 32 columns, for M tokens and twice four rows: over the whole block
/// (H = 1) or over each half (H = 2). H is a constant, so that sums stay in registers.
type Products<const M: usize, const H: usize> = [[[F32x4; H]; 2]; M];

/// Words of a group: of its quants, and of their highest bits where these are apart.
type Quants<'a> = (&'a [Words], &'a [Words]);

/// Products with block `b` of a group's quants: for each layout of these, how word J of the block
/// becomes the numbers of columns 4 J .. 4 J + 4 and 16 + 4 J .. 20 + 4 J. J is a constant, so that
/// shifts are.
macro_rules! products {
    ($($name:ident: $dot:ident, |$quants:ident, $high:pat, $b:ident, $group:ident| $word:expr;)+) => {
        $(
            #[inline(always)]
            fn $name<const M: usize, const H: usize>(
                ($quants, $high): Quants,
                $b: usize,
                x: [&QuantBlock; M],
            ) -> Products<M, H> {
                let mut dots = [[[$dot::ZERO; H]; 2]; M];
                // four rows after the others, so that their sums stay in registers
                for $group in 0..2 {
                    products!(word 0, dots, x, $dot, $group, $word);
                    products!(word 1, dots, x, $dot, $group, $word);
                    products!(word 2, dots, x, $dot, $group, $word);
                    products!(word 3, dots, x, $dot, $group, $word);
                }
                dots.map(|token| token.map(|group| group.map($dot::sums)))
            }
        )+
    };
    (word $j:literal, $dots:ident, $x:ident, $dot:ident, $group:ident, $word:expr) => {{
        const J: usize = $j;
        let (first, second) = $word;
        for m in 0..M {
            $dots[m][$group][0].add(first, words(&$x[m].quants[J]));
            $dots[m][$group][H - 1].add(second, words(&$x[m].quants[4 + J]));
        }
    }};
}

products! {
    nibble_products: NibbleDot, |quants, _, b, group| nibbles(&quants[4 * b + J][group]);
    two_bit_products: NibbleDot, |quants, _, b, group| two_bits::<J>(&quants[2 * b + J / 2][group]);
    three_bit_products: NibbleDot, |quants, high, b, group| {
        three_bits::<J>(&quants[2 * b + J / 2][group], &high[b][group])
    };
    five_bit_products: SixBitDot, |quants, high, b, group| {
        five_bits::<J>(&quants[4 * b + J][group], &high[b][group])
    };
    six_bit_products: SixBitDot, |quants, _, b, group| {
        let blocks = &quants[b / 2 * 12..][..12];
        six_bits::<J>(&blocks[b % 2 * 4 + J][group], &blocks[8 + b % 2 * 2 + J / 2][group])
    };
    iq4_products: ByteDot, |quants, _, b, group| look_up(&IQ4, &quants[4 * b + J][group]);
    mx4_products: ByteDot, |quants, _, b, group| look_up(&E2M1, &quants[4 * b + J][group]);
    byte_products: ByteDot, |quants, _, b, group| {
        (bytes(&quants[8 * b + J][group]), bytes(&quants[8 * b + 4 + J][group]))
    };
}

/// Scale and minimum of four rows, for the whole of block `b` of a group or each half of it;
/// likewise in the functions below.
#[inline(always)]
fn halves(scales: &[Words], _: usize, group: usize) -> [(F32x4, F32x4); 1] {
    [F32x4::from_f16_pairs(&scales[0][group])]
}

#[inline(always)]
fn bfloats(scales: &[Words], b: usize, group: usize) -> [(F32x4, F32x4); 1] {
    let (first, second) = F32x4::from_bf16_pairs(&scales[0][group]);
    [(if b == 0 { first } else { second }, F32x4::ZERO)]
}

#[inline(always)]
fn pairs(scales: &[Words], b: usize, group: usize) -> [(F32x4, F32x4); 1] {
    let (d, m) = F32x4::from_f16_pairs(&scales[0][group]);
    let (s, t) = F32x4::from_byte_pairs(&scales[1 + b / 2][group], b % 2);
    [(d.mul(s), m.mul(t))]
}

#[inline(always)]
fn factors(scales: &[Words], b: usize, group: usize) -> [(F32x4, F32x4); 2] {
    let (d, m) = F32x4::from_f16_pairs(&scales[0][group]);
    let (first, second) = F32x4::from_byte_pairs(&scales[1 + b / 2][group], b % 2);
    [first, second].map(|s| (d.mul(s), m.mul(s)))
}

#[inline(always)]
fn nibble_factors(scales: &[Words], b: usize, group: usize) -> [(F32x4, F32x4); 2] {
    let (d, m) = F32x4::from_f16_pairs(&scales[0][group]);
    [0, 1].map(|half| {
        let (s, t) = F32x4::from_nibbles(&scales[1 + b / 2][group], b % 2 * 2 + half);
        (d.mul(s), m.mul(t))
    })
}

/// How a layout's products and scales are read, in H pieces of a block. Methods of a trait, and no
/// functions that are passed on: calls of those are not always inlined.
trait Blocks<const H: usize> {
    fn products<const M: usize>(quants: Quants, b: usize, x: [&QuantBlock; M]) -> Products<M, H>;
    fn scales(scales: &[Words], b: usize, group: usize) -> [(F32x4, F32x4); H];
}

/// sums += d · s · dot + m · s · Σ q_x for each token, group of rows and half block, with scales d
/// and minima m of the rows and scales s of the tokens. A group has B blocks and N words: S of
/// scales, T of highest bits, and quants.
#[inline(always)]
fn multiply_groups<
    L: Blocks<H>,
    const N: usize,
    const S: usize,
    const T: usize,
    const B: usize,
    const M: usize,
    const H: usize,
>(
    tile: &[[Words; N]],
    x: [&[QuantBlock]; M],
) -> Sums<M> {
    let mut sums = [[F32x4::ZERO; 2]; M];
    for (g, words) in tile.iter().enumerate() {
        let (scale_words, quants) = words.split_at(S);
        let (high, quants) = quants.split_at(T);
        // a group of two blocks may be cut by the end of the row
        let blocks = if B == 2 { B.min(x[0].len() - g * B) } else { B };
        for b in 0..blocks {
            let x: [&QuantBlock; M] = std::array::from_fn(|m| &x[m][g * B + b]);
            let products = L::products((quants, high), b, x);
            for group in 0..2 {
                for (half, (scale, min)) in L::scales(scale_words, b, group).into_iter().enumerate() {
                    for m in 0..M {
                        let sum = if H == 2 { x[m].sums[half] } else { x[m].sums[0] + x[m].sums[1] };
                        let with_min = min.mul_add(F32x4::splat(sum), sums[m][group]);
                        sums[m][group] =
                            products[m][group][half].mul_add(scale.mul(F32x4::splat(x[m].scale)), with_min);
                    }
                }
            }
        }
    }
    sums
}

/// For each layout: the words of scales, of highest bits and of quants in a group, its blocks, and
/// how products and scales are read.
macro_rules! quantised {
    ($($layout:ident: $scale_words:literal + $high_words:literal + $quant_words:literal words of $blocks:literal,
        $products:ident in $pieces:literal, $scales:ident;)+) => {
        $(
            struct $layout;

            impl Blocks<$pieces> for $layout {
                #[inline(always)]
                fn products<const M: usize>(quants: Quants, b: usize, x: [&QuantBlock; M]) -> Products<M, $pieces> {
                    $products(quants, b, x)
                }

                #[inline(always)]
                fn scales(scales: &[Words], b: usize, group: usize) -> [(F32x4, F32x4); $pieces] {
                    $scales(scales, b, group)
                }
            }

            impl Weights for $layout {
                type Item = [Words; $scale_words + $high_words + $quant_words];
                type Input = QuantBlock;

                #[inline(always)]
                fn multiply<const M: usize>(tile: &[Self::Item], x: [&[QuantBlock]; M]) -> Sums<M> {
                    multiply_groups::<Self, _, $scale_words, $high_words, $blocks, M, $pieces>(tile, x)
                }
            }
        )+

        fn multiply_quantised(layout: Layout, tiles: &[Words], part: &Part, x: &[QuantBlock], output: &Output) {
            match layout {
                $(Layout::$layout => multiply::<$layout>(tiles.as_chunks().0, part, x, output),)+
                Layout::F32 | Layout::F16 | Layout::Bf16 => {}
            }
        }
    };
}

quantised! {
    Q4: 1 + 0 + 4 words of 1, nibble_products in 1, halves;
    Q5: 1 + 1 + 4 words of 1, five_bit_products in 1, halves;
    Q8: 1 + 0 + 8 words of 1, byte_products in 1, halves;
    Iq4: 1 + 0 + 4 words of 1, iq4_products in 1, halves;
    Mx4: 1 + 0 + 8 words of 2, mx4_products in 1, bfloats;
    Q4K32: 5 + 0 + 32 words of 8, nibble_products in 1, pairs;
    Q5K32: 5 + 8 + 32 words of 8, five_bit_products in 1, pairs;
    Iq4K32: 5 + 0 + 32 words of 8, iq4_products in 1, pairs;
    Q6K16: 5 + 0 + 48 words of 8, six_bit_products in 2, factors;
    Q3K16: 5 + 8 + 16 words of 8, three_bit_products in 2, factors;
    Q2K16: 5 + 0 + 16 words of 8, two_bit_products in 2, nibble_factors;
}

impl Weights for Floats {
    type Item = Self;
    type Input = f32;

    #[inline(always)]
    fn multiply<const M: usize>(tile: &[Self], x: [&[f32]; M]) -> Sums<M> {
        multiply_columns(tile, x, |column| column.0.each_ref().map(F32x4::load))
    }
}

impl Weights for Halves {
    type Item = Self;
    type Input = f32;

    #[inline(always)]
    fn multiply<const M: usize>(tile: &[Self], x: [&[f32]; M]) -> Sums<M> {
        multiply_columns(tile, x, |column| column.0.each_ref().map(F32x4::from_f16))
    }
}

impl Weights for Bfloats {
    type Item = Self;
    type Input = f32;

    #[inline(always)]
    fn multiply<const M: usize>(tile: &[Self], x: [&[f32]; M]) -> Sums<M> {
        multiply_columns(tile, x, |column| column.0.each_ref().map(F32x4::from_bf16))
    }
}

/// `tile`: (cols); `x`: (M, cols). cols is a multiple of four.
#[inline(always)]
fn multiply_columns<W, const M: usize>(tile: &[W], x: [&[f32]; M], widen: impl Fn(&W) -> [F32x4; 2]) -> Sums<M> {
    // separate sums for even and odd columns: a single one would wait for its previous addition
    let mut sums = [[[F32x4::ZERO; 2]; M]; 2];
    for (q, columns) in tile.as_chunks::<4>().0.iter().enumerate() {
        let x: [&[f32; 4]; M] = std::array::from_fn(|m| &x[m].as_chunks::<4>().0[q]);
        for (k, column) in columns.iter().enumerate() {
            let [low, high] = widen(column);
            for m in 0..M {
                let x = F32x4::splat(x[m][k]);
                let [sum_low, sum_high] = &mut sums[k % 2][m];
                *sum_low = low.mul_add(x, *sum_low);
                *sum_high = high.mul_add(x, *sum_high);
            }
        }
    }
    let [even, odd] = sums;
    std::array::from_fn(|m| [even[m][0].add(odd[m][0]), even[m][1].add(odd[m][1])])
}
