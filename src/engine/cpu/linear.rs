//! Matrix product over tiles of eight rows. A tile is read once for up to four tokens, and tiles are shared out among the
//! threads; its eight sums are lanes from beginning to end.

use std::ops::Range;

use super::activate::activate;
use super::activations::{QuantBlock, Scratch};
use super::pool::{self, Shared};
use super::simd::{ByteDot, F32x4, NibbleDot, nibbles, words};
use super::tiles::{Bfloats, ByteBlock, Column, Data, Floats, Halves, NibbleBlock, ROWS, Tiles};
use crate::format::layout::BLOCK;
use crate::ops::{Epilogue, Linear, RmsNorm};

/// Tokens that share a tile while it is in registers: with more, their sums no longer are.
const TOKENS: usize = 4;

/// Eight results for each of M tokens.
type Sums<const M: usize> = [[F32x4; 2]; M];

/// Where the results go, and what comes with them.
pub struct Output<'a> {
    /// (tokens, cols)
    pub y: Shared<f32>,
    pub cols: usize,
    pub offset: usize,
    pub rows: usize,
    pub bias: Option<&'a [f32]>,
    pub epilogue: Epilogue,
}

/// `x`: (tokens, weight.cols); `norm`: (weight.cols); `bias`: (weight.rows); `y`: (tokens, op.y.cols).
pub fn linear(
    scratch: &mut (Scratch, Vec<f32>),
    op: &Linear,
    x: &[f32],
    norm: Option<&[f32]>,
    weight: &Tiles,
    bias: Option<&[f32]>,
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
        let output = Output { y: Shared::new(gate_up), cols: rows, offset: 0, rows, bias, epilogue };
        product(scratch, x, norm, weight, tiles, &output);
        activate(activation, gate_up, op.outputs(), op.y.cols, op.y_offset, y);
    } else {
        let epilogue = op.epilogue;
        let output = Output { y: Shared::new(y), cols: op.y.cols, offset: op.y_offset, rows, bias, epilogue };
        product(scratch, x, norm, weight, tiles, &output);
    }
}

/// Some tiles of a weight times all rows of x.
pub fn product(
    scratch: &mut Scratch,
    x: &[f32],
    norm: Option<(RmsNorm, &[f32])>,
    weight: &Tiles,
    tiles: Range<usize>,
    output: &Output,
) {
    let cols = weight.cols;
    let blocks = cols / BLOCK;
    match &weight.data {
        Data::F32(data) => multiply(of_tiles(data, tiles, cols), scratch.floats(x, cols, norm), cols, output),
        Data::F16(data) => multiply(of_tiles(data, tiles, cols), scratch.floats(x, cols, norm), cols, output),
        Data::Bf16(data) => multiply(of_tiles(data, tiles, cols), scratch.floats(x, cols, norm), cols, output),
        Data::Q4(data) => multiply(of_tiles(data, tiles, blocks), scratch.blocks(x, cols, norm), blocks, output),
        Data::Q8(data) => multiply(of_tiles(data, tiles, blocks), scratch.blocks(x, cols, norm), blocks, output),
    }
}

/// The items of some tiles, each of which has `len`.
fn of_tiles<W>(data: &[W], tiles: Range<usize>, len: usize) -> &[W] {
    &data[tiles.start * len..tiles.end * len]
}

/// What a tile is made of along its columns: how it is multiplied.
trait Weights: Sized + Sync {
    /// As many activations.
    type Inputs: Sync;

    /// A tile times M tokens. `tile`: (len); `x`: (M, len).
    fn multiply<const M: usize>(tile: &[Self], x: [&[Self::Inputs]; M]) -> Sums<M>;
}

/// All tiles times all tokens, four tokens at once. Tiles and tokens have `len` items each.
fn multiply<W: Weights>(tiles: &[W], x: &[W::Inputs], len: usize, output: &Output) {
    let tokens = x.len() / len;
    let token = |t: usize| &x[t * len..][..len];
    let whole = tokens / TOKENS * TOKENS;
    pool::run_ranges(tiles.len() / len, |range| {
        let tiles = tiles[range.start * len..range.end * len].chunks_exact(len);
        for (i, tile) in range.zip(tiles) {
            for t in (0..whole).step_by(TOKENS) {
                let sums: Sums<TOKENS> = W::multiply(tile, std::array::from_fn(|m| token(t + m)));
                for (m, sums) in sums.into_iter().enumerate() {
                    output.store(t + m, i, sums);
                }
            }
            for t in whole..tokens {
                let [sums] = W::multiply(tile, [token(t)]);
                output.store(t, i, sums);
            }
        }
    });
}

impl Output<'_> {
    /// Finishes the rows of tile `tile` for token `t`.
    fn store(&self, t: usize, tile: usize, sums: [F32x4; 2]) {
        let first = tile * ROWS;
        let count = ROWS.min(self.rows - first);
        // SAFETY: a tile's rows are stored by the piece that has the tile
        let y = unsafe { self.y.slice(t * self.cols + self.offset + first, count) };
        let sums = sums.map(F32x4::to_array);
        for (i, (y, &sum)) in y.iter_mut().zip(sums.as_flattened()).enumerate() {
            let sum = sum + self.bias.map_or(0.0, |bias| bias[first + i]);
            *y = self.epilogue.apply(*y, sum, 1.0);
        }
    }
}

impl Weights for NibbleBlock {
    type Inputs = QuantBlock;

    #[inline(always)]
    fn multiply<const M: usize>(tile: &[Self], x: [&[QuantBlock]; M]) -> Sums<M> {
        let mut sums = [[F32x4::ZERO; 2]; M];
        for (b, w) in tile.iter().enumerate() {
            let x: [&QuantBlock; M] = std::array::from_fn(|m| &x[m][b]);
            let mut dots = [[NibbleDot::ZERO; 2]; M];
            for j in 0..4 {
                let (low_0, high_0) = nibbles(&w.quants[j]);
                let (low_1, high_1) = nibbles(&w.quants[4 + j]);
                for m in 0..M {
                    let (low, high) = (words(&x[m].quants[j]), words(&x[m].quants[4 + j]));
                    dots[m][0].add(low_0, low);
                    dots[m][0].add(high_0, high);
                    dots[m][1].add(low_1, low);
                    dots[m][1].add(high_1, high);
                }
            }
            add_scaled(&mut sums, |m, group| dots[m][group].sums(), &w.scales, &w.mins, x);
        }
        sums
    }
}

impl Weights for ByteBlock {
    type Inputs = QuantBlock;

    #[inline(always)]
    fn multiply<const M: usize>(tile: &[Self], x: [&[QuantBlock]; M]) -> Sums<M> {
        let mut sums = [[F32x4::ZERO; 2]; M];
        for (b, w) in tile.iter().enumerate() {
            let x: [&QuantBlock; M] = std::array::from_fn(|m| &x[m][b]);
            let mut dots = [[ByteDot::ZERO; 2]; M];
            for j in 0..8 {
                for m in 0..M {
                    let x = words(&x[m].quants[j]);
                    dots[m][0].add(&w.quants[j], x);
                    dots[m][1].add(&w.quants[8 + j], x);
                }
            }
            add_scaled(&mut sums, |m, group| dots[m][group].sums(), &w.scales, &w.mins, x);
        }
        sums
    }
}

/// sums += d · s · dot + m · s · Σ q_x of each token and group of rows, for the rows' scales d and minima m and the tokens' scales s.
#[inline(always)]
fn add_scaled<const M: usize>(
    sums: &mut Sums<M>,
    dot: impl Fn(usize, usize) -> F32x4,
    scales: &Column<u16>,
    mins: &Column<u16>,
    x: [&QuantBlock; M],
) {
    for group in 0..2 {
        let (scale, min) = (F32x4::from_f16(&scales[group]), F32x4::from_f16(&mins[group]));
        for m in 0..M {
            let with_min = min.mul_add(F32x4::splat(x[m].sum), sums[m][group]);
            sums[m][group] = dot(m, group).mul_add(scale.mul(F32x4::splat(x[m].scale)), with_min);
        }
    }
}

impl Weights for Floats {
    type Inputs = f32;

    #[inline(always)]
    fn multiply<const M: usize>(tile: &[Self], x: [&[f32]; M]) -> Sums<M> {
        multiply_columns(tile, x, |column| column.0.each_ref().map(F32x4::load))
    }
}

impl Weights for Halves {
    type Inputs = f32;

    #[inline(always)]
    fn multiply<const M: usize>(tile: &[Self], x: [&[f32]; M]) -> Sums<M> {
        multiply_columns(tile, x, |column| column.0.each_ref().map(F32x4::from_f16))
    }
}

impl Weights for Bfloats {
    type Inputs = f32;

    #[inline(always)]
    fn multiply<const M: usize>(tile: &[Self], x: [&[f32]; M]) -> Sums<M> {
        multiply_columns(tile, x, |column| column.0.each_ref().map(F32x4::from_bf16))
    }
}

/// `tile`: (cols); `x`: (M, cols), cols in fours.
#[inline(always)]
fn multiply_columns<W, const M: usize>(tile: &[W], x: [&[f32]; M], widen: impl Fn(&W) -> [F32x4; 2]) -> Sums<M> {
    // two sets of sums for even and odd columns: a single one would wait for itself
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
