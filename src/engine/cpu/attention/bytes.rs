//! Keys and values in bytes: products of integers.
//!
//! An instruction multiplies 16 bits and adds neighbours, in WebAssembly as in AVX2. So queries and
//! weights are rounded to 16 bits, not to 8: that costs nothing more, and next to no accuracy.

use std::ops::Range;

use super::super::blocks::ByteRun;
use super::super::simd::{F32x4, Vector};
use super::softmax::{Factors, Scores};
use crate::ops::attention::WIDEST;
use crate::record::KV_BLOCK;
use crate::record::kv_format::GROUP;

/// The largest of 16 bits.
const LARGEST: f32 = 32767.0;

/// Rounds a query to 16 bits. Returns the factor of its numbers; NaN and infinity show in it.
pub fn round(q: &[f32], out: &mut [i16]) -> f32 {
    let mut most = F32x4::ZERO;
    for four in q.as_chunks::<4>().0 {
        most = most.max(F32x4::load(four).abs());
    }
    let most = most.max_lane();
    let inverse = F32x4::splat(if most > 0.0 { LARGEST / most } else { 0.0 });
    for (out, [a, b, c, d, e, f, g, h]) in out.as_chunks_mut::<8>().0.iter_mut().zip(q.as_chunks::<8>().0) {
        let fours = [F32x4::new([*a, *b, *c, *d]).mul(inverse), F32x4::new([*e, *f, *g, *h]).mul(inverse)];
        *out = F32x4::round_to_shorts(fours);
    }
    most / LARGEST
}

/// scores[h][p] = queries[h] · keys[p] · factors[h], for each position p of `part`; -∞ for others.
#[inline(always)]
pub fn score<V: Vector, const H: usize>(
    queries: [&[i16]; H],
    run: &ByteRun,
    factors: [f32; H],
    part: Range<usize>,
    scores: &mut Scores<H>,
) {
    // vectors whose sums stay in registers
    if H > 2 && V::LANES < 16 {
        score_wide::<V, H, 2>(queries, run, factors, part, scores);
    } else {
        score_wide::<V, H, 4>(queries, run, factors, part, scores);
    }
}

/// [`score`] for W vectors of positions at a time.
#[inline(always)]
fn score_wide<V: Vector, const H: usize, const W: usize>(
    queries: [&[i16]; H],
    run: &ByteRun,
    factors: [f32; H],
    part: Range<usize>,
    scores: &mut Scores<H>,
) {
    let step = W * V::LANES;
    let mut rows: [&[[[i16; 2]; GROUP / 2]]; H] = [&[]; H];
    for h in 0..H {
        rows[h] = queries[h].as_chunks::<2>().0.as_chunks().0;
    }
    let keys = run.keys.as_chunks::<{ GROUP * KV_BLOCK }>().0;
    let extremes = run.key_extremes.as_chunks::<KV_BLOCK>().0;
    for start in (part.start / step * step..part.end.min(KV_BLOCK)).step_by(step) {
        let mut products = [[V::ZERO; W]; H];
        for (g, (keys, extremes)) in keys.iter().zip(extremes).enumerate() {
            let mut ints = [[V::NO_INTS; W]; H];
            let mut q = [&[[0; 2]; GROUP / 2]; H];
            for h in 0..H {
                q[h] = &rows[h][g];
            }
            for (pair, keys) in keys.as_chunks::<{ 2 * KV_BLOCK }>().0.iter().enumerate() {
                let keys = &keys[2 * start..][..2 * step];
                for w in 0..W {
                    let keys = V::widened(keys, w);
                    for h in 0..H {
                        ints[h][w] = V::add_products(keys, V::pair(&q[h][pair]), ints[h][w]);
                    }
                }
            }
            for w in 0..W {
                let extremes = V::first(&extremes[start + w * V::LANES..]);
                for h in 0..H {
                    products[h][w] = V::from_ints(ints[h][w]).mul_add(extremes, products[h][w]);
                }
            }
        }
        for h in 0..H {
            for w in 0..W {
                let scores = &mut scores[h][start + w * V::LANES..];
                products[h][w].mul(V::splat(factors[h])).write(scores);
            }
        }
    }
    for scores in scores {
        scores[..part.start].fill(f32::NEG_INFINITY);
        scores[part.end..].fill(f32::NEG_INFINITY);
    }
}

/// The extremes of a run's values, scaled so that their products with weights fit 16 bits; `units`
/// undo it.
pub struct Scaled {
    scaled: [[f32; KV_BLOCK]; GROUPS],
    units: [f32; GROUPS],
}

/// The most groups of a head.
const GROUPS: usize = WIDEST / GROUP;

impl Default for Scaled {
    fn default() -> Self {
        Self { scaled: [[0.0; KV_BLOCK]; GROUPS], units: [0.0; GROUPS] }
    }
}

impl Scaled {
    /// Of these positions, and no others: a row alone is then rounded as among others.
    #[inline(always)]
    pub fn set<V: Vector>(&mut self, run: &ByteRun, part: Range<usize>) {
        let groups = run.value_extremes.as_chunks::<KV_BLOCK>().0;
        for ((extremes, scaled), unit) in groups.iter().zip(&mut self.scaled).zip(&mut self.units) {
            scaled.fill(0.0);
            scaled[part.clone()].copy_from_slice(&extremes[part.clone()]);
            let mut most = V::ZERO;
            for some in scaled.chunks_exact(V::LANES) {
                let some = V::first(some);
                most = most.max(some).max(V::ZERO.sub(some));
            }
            let largest = most.max_lane();
            let inverse = V::splat(if largest > 0.0 { LARGEST / largest } else { 0.0 });
            for some in scaled.chunks_exact_mut(V::LANES) {
                V::first(some).mul(inverse).write(some);
            }
            *unit = largest / LARGEST;
        }
    }
}

/// sums[h] = sums[h] · before[h] + now[h] · Σ_p weights[h][p] values[p]. Weights outside of `part`
/// are 0. `sums`: (H, d).
#[inline(always)]
pub fn add_values<V: Vector, const H: usize>(
    sums: &mut [f32],
    factors: &[Factors; H],
    weights: &Scores<H>,
    run: &ByteRun,
    scaled: &Scaled,
    part: Range<usize>,
    d: usize,
) {
    let pairs = part.start / 2..part.end.div_ceil(2).min(KV_BLOCK / 2);
    for g in 0..(d / GROUP).min(GROUPS) {
        let mut rounded = [[[0; 2]; KV_BLOCK / 2]; H];
        for h in 0..H {
            round_weights::<V>(&weights[h], &scaled.scaled[g], &pairs, &mut rounded[h]);
        }
        let scale = scaled.units[g] * run.unit;
        let columns = g * GROUP..(g + 1) * GROUP;
        let values = &run.values[2 * pairs.start * d..2 * pairs.end * d];
        // vectors whose sums stay in registers
        if H > 2 || V::LANES == 16 {
            add_columns::<V, H, 2>(sums, factors, &rounded, values, pairs.start, columns, scale, d);
        } else {
            add_columns::<V, H, 4>(sums, factors, &rounded, values, pairs.start, columns, scale, d);
        }
    }
}

/// [`add_values`] for a group of columns, W vectors of them at a time, and values from pair `first`
/// on.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn add_columns<V: Vector, const H: usize, const W: usize>(
    sums: &mut [f32],
    factors: &[Factors; H],
    weights: &[[[i16; 2]; KV_BLOCK / 2]; H],
    values: &[i8],
    first: usize,
    columns: Range<usize>,
    scale: f32,
    d: usize,
) {
    for start in columns.step_by(W * V::LANES) {
        let mut ints = [[V::NO_INTS; W]; H];
        for (pair, row) in (first..KV_BLOCK / 2).zip(values.chunks_exact(2 * d)) {
            let row = &row[2 * start..][..2 * W * V::LANES];
            for w in 0..W {
                let values = V::widened(row, w);
                for h in 0..H {
                    ints[h][w] = V::add_products(values, V::pair(&weights[h][pair]), ints[h][w]);
                }
            }
        }
        for h in 0..H {
            for w in 0..W {
                let sums = &mut sums[h * d + start + w * V::LANES..];
                let before = V::first(sums).mul(V::splat(factors[h].before));
                V::from_ints(ints[h][w]).mul_add(V::splat(factors[h].now * scale), before).write(sums);
            }
        }
    }
}

/// Rounds products of weights with scaled extremes to 16 bits.
#[inline(always)]
fn round_weights<V: Vector>(
    weights: &[f32; KV_BLOCK],
    scaled: &[f32; KV_BLOCK],
    pairs: &Range<usize>,
    out: &mut [[i16; 2]; KV_BLOCK / 2],
) {
    let (out, step) = (out.as_flattened_mut(), 2 * V::LANES);
    for i in (2 * pairs.start / step * step..2 * pairs.end).step_by(step) {
        let product = |i: usize| V::first(&weights[i..]).mul(V::first(&scaled[i..]));
        V::write_shorts([product(i), product(i + V::LANES)], &mut out[i..]);
    }
}
