//! Matrix product over tiles of eight rows. A tile is read once for up to four tokens, and threads
//! share the tiles. The eight sums of a tile stay in vector lanes throughout.
// Loops, since calls of closures are not always inlined: see `simd::Task`.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::activate::activate;
use super::activations::{ProductBuffers, QuantBlock};
use super::pool::{self, Shared};
use super::simd::{Dot, Lanes, Rows, Task};
use super::tiles::{Bfloats, Column, Data, Floats, Halves, ROWS, Tiles, Words};
use crate::format::half_e4m3;
use crate::format::layout::{BLOCK, E2M1, GROUP, IQ4, Layout, Quantised};
use crate::ops::{Affine, Epilogue, Linear, RmsNorm};

/// Tokens per pass over a tile: with more, their sums do not fit the registers.
const TOKENS: usize = 4;

/// Eight sums for each of M tokens; of vectors with eight lanes only the first.
type Sums<V, const M: usize> = [[V; 2]; M];

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
    let part = Part { all: weight.rows.div_ceil(ROWS), tiles, tokens: x.len() / cols, lanes: scratch.lanes };
    match &weight.data {
        Data::F32(tiles) => multiply::<Floats>(tiles, &part, scratch.floats(x, cols, norm), output),
        Data::F16(tiles) => multiply::<Halves>(tiles, &part, scratch.floats(x, cols, norm), output),
        Data::Bf16(tiles) => multiply::<Bfloats>(tiles, &part, scratch.floats(x, cols, norm), output),
        Data::Quantised(quantised, words) => {
            let x = scratch.blocks(x, cols, norm);
            match quantised.is_coded() {
                true => multiply_coded(*quantised, words, &part, x, output),
                false => multiply_quantised(weight.layout(), words, &part, x, output),
            }
        }
    }
}

/// The tiles to multiply, the number of tokens, and the vectors.
struct Part {
    all: usize,
    tiles: Range<usize>,
    tokens: usize,
    lanes: Lanes,
}

/// A layout, which decides how a tile is multiplied.
trait Weights {
    /// Element of a tile along its columns.
    type Item: Sync;
    /// Element of the activations.
    type Input: Sync;

    /// Multiplies a tile with M tokens over the same columns.
    fn multiply<V: Rows, const M: usize>(tile: &[Self::Item], x: [&[Self::Input]; M]) -> Sums<V, M>;
}

/// Multiplies tiles with tokens. `tiles` are all tiles of the weight.
fn multiply<W: Weights>(tiles: &[W::Item], part: &Part, x: &[W::Input], output: &Output) {
    let (len, x_len) = (tiles.len() / part.all, x.len() / part.tokens);
    let tiles = &tiles[part.tiles.start * len..part.tiles.end * len];
    pool::run_ranges(part.tiles.len(), |range| {
        let tiles = &tiles[range.start * len..range.end * len];
        part.lanes.run(Product::<W> { tiles, len, first: range.start, x, x_len, output });
    });
}

/// Some tiles, of which `first` is the first, with all tokens.
struct Product<'a, W: Weights> {
    tiles: &'a [W::Item],
    /// Items of a tile.
    len: usize,
    first: usize,
    x: &'a [W::Input],
    /// Items of a token.
    x_len: usize,
    output: &'a Output<'a>,
}

impl<W: Weights> Task for Product<'_, W> {
    #[inline(always)]
    fn run<V: Rows>(self) {
        let tokens = self.x.len() / self.x_len;
        for (i, tile) in self.tiles.chunks_exact(self.len).enumerate() {
            let mut t = 0;
            while t < tokens {
                t += match tokens - t {
                    1 => self.tokens::<V, 1>(tile, i, t),
                    2 | 3 => self.tokens::<V, 2>(tile, i, t),
                    _ => self.tokens::<V, TOKENS>(tile, i, t),
                };
            }
        }
    }
}

impl<W: Weights> Product<'_, W> {
    /// Multiplies tile `i` with M tokens from `t` on. Returns M.
    #[inline(always)]
    fn tokens<V: Rows, const M: usize>(&self, tile: &[W::Item], i: usize, t: usize) -> usize {
        let x = std::array::from_fn(|m| &self.x[(t + m) * self.x_len..][..self.x_len]);
        for (m, sums) in W::multiply::<V, M>(tile, x).into_iter().enumerate() {
            let mut rows = [[0.0; 4]; 2];
            for (group, sums) in sums.into_iter().enumerate().take(V::GROUPS) {
                sums.store(group, &mut rows);
            }
            self.output.store(t + m, self.first + i, &rows);
        }
        M
    }
}

impl Output<'_> {
    /// Applies affine and epilogue to the sums of tile `tile` for token `t`, and stores them. With
    /// this inlined by force, decoding took 1.4 times as long.
    fn store(&self, t: usize, tile: usize, sums: &Column<f32>) {
        let first = tile * ROWS;
        let count = ROWS.min(self.rows - first);
        // SAFETY: each tile belongs to one piece, which stores its rows
        let y = unsafe { self.y.slice(t * self.cols + self.offset + first, count) };
        for (i, (y, &sum)) in y.iter_mut().zip(sums.as_flattened()).enumerate() {
            *y = self.epilogue.apply(*y, self.affine.apply(first + i, sum), 1.0);
        }
    }
}

/// Dot products over a block of 32 columns, for M tokens and the vectors of a tile: over the whole
/// block (H = 1) or over each half (H = 2). H is a constant, so that sums stay in registers.
type Products<V, const M: usize, const H: usize> = [[[V; H]; 2]; M];

/// Words of a group: of its quants, and of their highest bits where these are apart.
type Quants<'a> = (&'a [Words], &'a [Words]);

/// Products with block `b` of a group's quants: for each layout of these, how word J of the block
/// becomes the numbers of columns 4 J .. 4 J + 4 and 16 + 4 J .. 20 + 4 J. J is a constant, so that
/// shifts are.
macro_rules! products {
    ($($name:ident: $dot:ident, |$quants:ident, $high:pat, $b:ident, $group:ident| $word:expr;)+) => {
        $(
            #[inline(always)]
            fn $name<V: Rows, const M: usize, const H: usize>(
                ($quants, $high): Quants,
                $b: usize,
                x: [&QuantBlock; M],
            ) -> Products<V, M, H> {
                let mut sums = [[[V::ZERO; H]; 2]; M];
                // a vector of rows after the other, so that its sums stay in registers
                for $group in 0..V::GROUPS {
                    let mut dots = [[<V::$dot as Dot<V>>::ZERO; H]; M];
                    products!(word 0, dots, x, $word);
                    products!(word 1, dots, x, $word);
                    products!(widen dots);
                    products!(word 2, dots, x, $word);
                    products!(word 3, dots, x, $word);
                    products!(widen dots);
                    for m in 0..M {
                        for half in 0..H {
                            sums[m][$group][half] = dots[m][half].sums();
                        }
                    }
                }
                sums
            }
        )+
    };
    (word $j:literal, $dots:ident, $x:ident, $word:expr) => {{
        const J: usize = $j;
        let (first, second) = $word;
        for m in 0..M {
            $dots[m][0].add(first, V::words(&$x[m].quants[J]));
            $dots[m][H - 1].add(second, V::words(&$x[m].quants[4 + J]));
        }
    }};
    (widen $dots:ident) => {
        for m in 0..M {
            for half in 0..H {
                $dots[m][half].widen();
            }
        }
    };
}

products! {
    nibble_products: NibbleDot, |quants, _, b, group| V::nibbles(&quants[4 * b + J], group);
    two_bit_products: NibbleDot, |quants, _, b, group| V::two_bits::<J>(&quants[2 * b + J / 2], group);
    three_bit_products: NibbleDot, |quants, high, b, group| {
        V::three_bits::<J>(&quants[2 * b + J / 2], &high[b], group)
    };
    five_bit_products: SixBitDot, |quants, high, b, group| V::five_bits::<J>(&quants[4 * b + J], &high[b], group);
    six_bit_products: SixBitDot, |quants, _, b, group| {
        let blocks = &quants[b / 2 * 12..][..12];
        V::six_bits::<J>(&blocks[b % 2 * 4 + J], &blocks[8 + b % 2 * 2 + J / 2], group)
    };
    iq4_products: ByteDot, |quants, _, b, group| V::look_up(&IQ4, &quants[4 * b + J], group);
    mx4_products: ByteDot, |quants, _, b, group| V::look_up(&E2M1, &quants[4 * b + J], group);
    byte_products: ByteDot, |quants, _, b, group| {
        (V::bytes(&quants[8 * b + J], group), V::bytes(&quants[8 * b + 4 + J], group))
    };
}

/// Scale and minimum of a vector of rows, for the whole of block `b` of a group or each half of it;
/// likewise in the functions below.
#[inline(always)]
fn halves<V: Rows>(scales: &[Words], _: usize, group: usize) -> [(V, V); 1] {
    [V::from_f16_pairs(&scales[0], group)]
}

#[inline(always)]
fn bfloats<V: Rows>(scales: &[Words], b: usize, group: usize) -> [(V, V); 1] {
    let (first, second) = V::from_bf16_pairs(&scales[0], group);
    [(if b == 0 { first } else { second }, V::ZERO)]
}

#[inline(always)]
fn minifloats<V: Rows>(scales: &[Words], b: usize, group: usize) -> [(V, V); 2] {
    let words: [[u32; 4]; 2] = bytemuck::cast(scales[0]);
    let of = |half: usize| {
        let scale = |word: u32| half_e4m3((word >> (16 * b + 8 * half)) as u8);
        (V::load(&words.map(|rows| rows.map(scale)), group), V::ZERO)
    };
    [of(0), of(1)]
}

#[inline(always)]
fn pairs<V: Rows>(scales: &[Words], b: usize, group: usize) -> [(V, V); 1] {
    let (d, m) = V::from_f16_pairs(&scales[0], group);
    let (s, t) = V::from_byte_pairs(&scales[1 + b / 2], group, b % 2);
    [(d.mul(s), m.mul(t))]
}

#[inline(always)]
fn factors<V: Rows>(scales: &[Words], b: usize, group: usize) -> [(V, V); 2] {
    let (d, m) = V::from_f16_pairs(&scales[0], group);
    let (first, second) = V::from_byte_pairs(&scales[1 + b / 2], group, b % 2);
    [(d.mul(first), m.mul(first)), (d.mul(second), m.mul(second))]
}

#[inline(always)]
fn nibble_factors<V: Rows>(scales: &[Words], b: usize, group: usize) -> [(V, V); 2] {
    let (d, m) = V::from_f16_pairs(&scales[0], group);
    let (s, t) = V::from_nibbles(&scales[1 + b / 2], group, b % 2 * 2);
    let (u, v) = V::from_nibbles(&scales[1 + b / 2], group, b % 2 * 2 + 1);
    [(d.mul(s), m.mul(t)), (d.mul(u), m.mul(v))]
}

/// How a layout's products and scales are read, in H pieces of a block. Methods of a trait, and no
/// functions that are passed on: calls of those are not always inlined.
trait Blocks<const H: usize> {
    fn products<V: Rows, const M: usize>(quants: Quants, b: usize, x: [&QuantBlock; M]) -> Products<V, M, H>;
    fn scales<V: Rows>(scales: &[Words], b: usize, group: usize) -> [(V, V); H];
}

/// sums += d · s · dot + m · s · Σ q_x for each token, group of rows and half block, with scales d
/// and minima m of the rows and scales s of the tokens. A group has B blocks and N words: S of
/// scales, T of highest bits, and quants.
#[inline(always)]
fn multiply_groups<
    V: Rows,
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
) -> Sums<V, M> {
    let mut sums = [[V::ZERO; 2]; M];
    for (g, words) in tile.iter().enumerate() {
        let (scale_words, quants) = words.split_at(S);
        let (high, quants) = quants.split_at(T);
        // a group of two blocks may be cut by the end of the row
        let blocks = if B == 2 { B.min(x[0].len() - g * B) } else { B };
        for b in 0..blocks {
            let x: [&QuantBlock; M] = std::array::from_fn(|m| &x[m][g * B + b]);
            let products = L::products::<V, M>((quants, high), b, x);
            for group in 0..V::GROUPS {
                let scales = L::scales::<V>(scale_words, b, group);
                for half in 0..H {
                    let (scale, min) = scales[half];
                    for m in 0..M {
                        let sum = if H == 2 { x[m].sums[half] } else { x[m].sums[0] + x[m].sums[1] };
                        let with_min = min.mul_add(V::splat(sum), sums[m][group]);
                        sums[m][group] = products[m][group][half].mul_add(scale.mul(V::splat(x[m].scale)), with_min);
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
                fn products<V: Rows, const M: usize>(
                    quants: Quants,
                    b: usize,
                    x: [&QuantBlock; M],
                ) -> Products<V, M, $pieces> {
                    $products(quants, b, x)
                }

                #[inline(always)]
                fn scales<V: Rows>(scales: &[Words], b: usize, group: usize) -> [(V, V); $pieces] {
                    $scales(scales, b, group)
                }
            }

            impl Weights for $layout {
                type Item = [Words; $scale_words + $high_words + $quant_words];
                type Input = QuantBlock;

                #[inline(always)]
                fn multiply<V: Rows, const M: usize>(tile: &[Self::Item], x: [&[QuantBlock]; M]) -> Sums<V, M> {
                    multiply_groups::<V, Self, _, $scale_words, $high_words, $blocks, M, $pieces>(tile, x)
                }
            }
        )+

        fn multiply_quantised(layout: Layout, tiles: &[Words], part: &Part, x: &[QuantBlock], output: &Output) {
            match layout {
                $(Layout::$layout => multiply::<$layout>(tiles.as_chunks().0, part, x, output),)+
                // plain
                Layout::F32 | Layout::F16 | Layout::Bf16 => {}
                // decoded before
                Layout::Q1
                | Layout::Iq1S
                | Layout::Iq1M
                | Layout::Iq2Xxs
                | Layout::Iq2Xs
                | Layout::Iq2S
                | Layout::Iq3Xxs
                | Layout::Iq3S => {}
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
    Nv4: 1 + 0 + 8 words of 2, mx4_products in 2, minifloats;
    Q2K256: 1 + 0 + 16 words of 8, two_bit_products in 1, halves;
}

/// A block of a tile that was decoded: per half an f32 scale, then numbers.
struct Decoded;

impl Blocks<2> for Decoded {
    #[inline(always)]
    fn products<V: Rows, const M: usize>(quants: Quants, b: usize, x: [&QuantBlock; M]) -> Products<V, M, 2> {
        byte_products(quants, b, x)
    }

    #[inline(always)]
    fn scales<V: Rows>(scales: &[Words], _: usize, group: usize) -> [(V, V); 2] {
        let of = |half: usize| (V::load(&bytemuck::cast(scales[half]), group), V::ZERO);
        [of(0), of(1)]
    }
}

impl Weights for Decoded {
    type Item = [Words; 2 + 8];
    type Input = QuantBlock;

    #[inline(always)]
    fn multiply<V: Rows, const M: usize>(tile: &[Self::Item], x: [&[QuantBlock]; M]) -> Sums<V, M> {
        multiply_groups::<V, Self, _, 2, 0, 1, M, 2>(tile, x)
    }
}

/// As `multiply`, for coded layouts: each tile is decoded for all tokens.
fn multiply_coded(quantised: Quantised, tiles: &[Words], part: &Part, x: &[QuantBlock], output: &Output) {
    let (len, x_len) = (tiles.len() / part.all, x.len() / part.tokens);
    pool::run_ranges(part.tiles.len(), |range| {
        let mut decoded = vec![[[[0; 16]; 2]; 10]; x_len];
        for first in range {
            decode(quantised, &tiles[(part.tiles.start + first) * len..][..len], &mut decoded);
            part.lanes.run(Product::<Decoded> { tiles: &decoded, len: x_len, first, x, x_len, output });
        }
    });
}

/// Decodes a tile.
fn decode(quantised: Quantised, tile: &[Words], blocks: &mut [[Words; 2 + 8]]) {
    let mut numbers = [0; GROUP];
    let (mut words, mut quants) = ([[0; 4]; 8], [[0; 4]; GROUP / 8]);
    let words = &mut words[..quantised.scales_bytes() / 4];
    let quants = &mut quants[..quantised.quants_bytes() / 4];
    for (group, blocks) in
        tile.chunks_exact(words.len() + quants.len()).zip(blocks.chunks_exact_mut(quantised.scales.group() / BLOCK))
    {
        for row in 0..ROWS {
            let (half, at) = (row / 4, row % 4);
            let (from_words, from_quants) = group.split_at(words.len());
            let of_row = |words: &Words| words[half].as_chunks().0[at];
            words.iter_mut().zip(from_words).for_each(|(word, from)| *word = of_row(from));
            quants.iter_mut().zip(from_quants).for_each(|(word, from)| *word = of_row(from));
            let scales = quantised.decode(quants.as_flattened(), words, &mut numbers);
            let (numbers, scales) = (bytemuck::cast_slice::<i8, [u8; 4]>(&numbers), scales.as_chunks::<2>().0);
            for ((block, numbers), scales) in blocks.iter_mut().zip(numbers.chunks_exact(8)).zip(scales) {
                let items = scales.iter().map(|scale| scale.to_le_bytes()).chain(numbers.iter().copied());
                block.iter_mut().zip(items).for_each(|(words, item)| words[half].as_chunks_mut().0[at] = item);
            }
        }
    }
}

/// A column of plain weights.
trait Plain: Sync {
    fn widen<V: Rows>(&self, group: usize) -> V;
}

impl Plain for Floats {
    #[inline(always)]
    fn widen<V: Rows>(&self, group: usize) -> V {
        V::load(&self.0, group)
    }
}

impl Plain for Halves {
    #[inline(always)]
    fn widen<V: Rows>(&self, group: usize) -> V {
        V::from_f16(&self.0, group)
    }
}

impl Plain for Bfloats {
    #[inline(always)]
    fn widen<V: Rows>(&self, group: usize) -> V {
        V::from_bf16(&self.0, group)
    }
}

impl<P: Plain> Weights for P {
    type Item = Self;
    type Input = f32;

    /// `tile`: (cols); `x`: (M, cols). cols is a multiple of four.
    #[inline(always)]
    fn multiply<V: Rows, const M: usize>(tile: &[Self], x: [&[f32]; M]) -> Sums<V, M> {
        // separate sums for even and odd columns: a single one would wait for its previous addition
        let mut sums = [[[V::ZERO; 2]; M]; 2];
        for (q, columns) in tile.as_chunks::<4>().0.iter().enumerate() {
            let x: [&[f32; 4]; M] = std::array::from_fn(|m| &x[m].as_chunks::<4>().0[q]);
            for k in 0..4 {
                for group in 0..V::GROUPS {
                    let weights: V = columns[k].widen(group);
                    for m in 0..M {
                        let sum = &mut sums[k % 2][m][group];
                        *sum = weights.mul_add(V::splat(x[m][k]), *sum);
                    }
                }
            }
        }
        let [mut even, odd] = sums;
        for m in 0..M {
            for group in 0..V::GROUPS {
                even[m][group] = even[m][group].add(odd[m][group]);
            }
        }
        even
    }
}
