//! Matrix product over tiles of eight rows. A tile is read once for up to four tokens, and tiles are shared out among the
//! threads; its eight sums are lanes from beginning to end.

use super::activations::{QuantBlock, Scratch};
use super::pool::{self, Shared};
use super::simd::{ByteDot, F32x4, NibbleDot, nibbles, words};
use super::swiglu;
use super::tiles::{ByteBlock, Column, Data, NibbleBlock, ROWS, Tiles};
use crate::format::layout::BLOCK;
use crate::ops::{Epilogue, Linear};

/// Tokens that share a tile while it is in registers: with more, their sums no longer are.
const TOKENS: usize = 4;

/// Eight results for each of M tokens.
type Sums<const M: usize> = [[F32x4; 2]; M];

/// Where the results go, and what comes with them.
struct Output<'a> {
    /// (tokens, cols)
    y: Shared<f32>,
    cols: usize,
    offset: usize,
    rows: usize,
    bias: Option<&'a [f32]>,
    accumulate: bool,
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
    if op.epilogue == Epilogue::SwiGlu {
        gate_up.resize(tokens * rows, 0.0);
        let output = Output { y: Shared::new(gate_up), cols: rows, offset: 0, rows, bias, accumulate: false };
        product(scratch, x, norm, weight, &output);
        swiglu::swiglu(gate_up, rows / 2, op.y.cols, op.y_offset, y);
    } else {
        let accumulate = op.epilogue == Epilogue::Accumulate;
        let output = Output { y: Shared::new(y), cols: op.y.cols, offset: op.y_offset, rows, bias, accumulate };
        product(scratch, x, norm, weight, &output);
    }
}

fn product(
    scratch: &mut Scratch,
    x: &[f32],
    norm: Option<(crate::ops::RmsNorm, &[f32])>,
    weight: &Tiles,
    output: &Output,
) {
    let cols = weight.cols;
    let blocks = cols / BLOCK;
    match &weight.data {
        Data::Q4(data) => over(data, blocks, scratch.blocks(x, cols, norm), blocks, output, nibble_tile, nibble_tile),
        Data::Q8(data) => over(data, blocks, scratch.blocks(x, cols, norm), blocks, output, byte_tile, byte_tile),
        Data::F32(data) => {
            let x = scratch.floats(x, cols, norm);
            over(
                data,
                cols,
                x,
                cols,
                output,
                |w, x| float_tile(w, x, F32x4::load),
                |w, x| float_tile(w, x, F32x4::load),
            );
        }
        Data::F16(data) => {
            let x = scratch.floats(x, cols, norm);
            over(
                data,
                cols,
                x,
                cols,
                output,
                |w, x| float_tile(w, x, F32x4::from_f16),
                |w, x| float_tile(w, x, F32x4::from_f16),
            );
        }
        Data::Bf16(data) => {
            let x = scratch.floats(x, cols, norm);
            over(
                data,
                cols,
                x,
                cols,
                output,
                |w, x| float_tile(w, x, F32x4::from_bf16),
                |w, x| float_tile(w, x, F32x4::from_bf16),
            );
        }
    }
}

/// Runs a kernel over all tiles and tokens: `many` for four tokens at once, `one` for those that remain. A tile has
/// `tile_len` items, a token `token_len`.
fn over<W: Sync, X: Sync>(
    tiles: &[W],
    tile_len: usize,
    x: &[X],
    token_len: usize,
    output: &Output,
    many: impl Fn(&[W], [&[X]; TOKENS]) -> Sums<TOKENS> + Sync,
    one: impl Fn(&[W], [&[X]; 1]) -> Sums<1> + Sync,
) {
    let count = tiles.len() / tile_len;
    let tokens = x.len() / token_len;
    let token = |t: usize| &x[t * token_len..][..token_len];
    let whole = tokens / TOKENS * TOKENS;
    // some pieces a thread, so that none waits long for one that was held up
    let size = count.div_ceil(if pool::threads() > 1 { 8 * pool::threads() } else { 1 });
    pool::run(count.div_ceil(size), |piece| {
        for (i, tile) in tiles.chunks_exact(tile_len).enumerate().skip(piece * size).take(size) {
            for t in (0..whole).step_by(TOKENS) {
                let sums = many(tile, std::array::from_fn(|m| token(t + m)));
                for (m, sums) in sums.into_iter().enumerate() {
                    output.store(t + m, i, sums);
                }
            }
            for t in whole..tokens {
                let [sums] = one(tile, [token(t)]);
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
            *y = if self.accumulate { *y + sum } else { sum };
        }
    }
}

/// `tile`: (cols / 32); `x`: (M, cols / 32).
#[inline(always)]
fn nibble_tile<const M: usize>(tile: &[NibbleBlock], x: [&[QuantBlock]; M]) -> Sums<M> {
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
        for group in 0..2 {
            let (scales, mins) = (F32x4::from_f16(&w.scales[group]), F32x4::from_f16(&w.mins[group]));
            for m in 0..M {
                scale(&mut sums[m][group], dots[m][group].sums(), scales, mins, x[m]);
            }
        }
    }
    sums
}

/// `tile`: (cols / 32); `x`: (M, cols / 32).
#[inline(always)]
fn byte_tile<const M: usize>(tile: &[ByteBlock], x: [&[QuantBlock]; M]) -> Sums<M> {
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
        for group in 0..2 {
            let (scales, mins) = (F32x4::from_f16(&w.scales[group]), F32x4::from_f16(&w.mins[group]));
            for m in 0..M {
                scale(&mut sums[m][group], dots[m][group].sums(), scales, mins, x[m]);
            }
        }
    }
    sums
}

/// sum += d · s · dot + m · s · Σ q_x
#[inline(always)]
fn scale(sum: &mut F32x4, dot: F32x4, scale: F32x4, min: F32x4, x: &QuantBlock) {
    let d = scale.mul(F32x4::splat(x.scale));
    *sum = dot.mul_add(d, min.mul_add(F32x4::splat(x.sum), *sum));
}

/// `tile`: (cols); `x`: (M, cols), cols in fours.
#[inline(always)]
fn float_tile<T, const M: usize>(tile: &[Column<T>], x: [&[f32]; M], widen: impl Fn(&[T; 4]) -> F32x4) -> Sums<M> {
    // two sets of sums for even and odd columns: a single one would wait for itself
    let mut sums = [[[F32x4::ZERO; 2]; M]; 2];
    for (q, columns) in tile.as_chunks::<4>().0.iter().enumerate() {
        let x: [&[f32; 4]; M] = std::array::from_fn(|m| &x[m].as_chunks::<4>().0[q]);
        for (k, [low, high]) in columns.iter().enumerate() {
            let (low, high) = (widen(low), widen(high));
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
