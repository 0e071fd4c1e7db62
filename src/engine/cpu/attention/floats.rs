//! Keys and values as f32.

use std::ops::Range;

use super::super::simd::Vector;
use super::softmax::{Factors, Scores};
use crate::record::KV_BLOCK;

/// scores[h][p] = queries[h] · keys[p] · scale, for each position p of `part`; -∞ for others. Keys
/// lie column by column.
#[inline(always)]
pub fn score<V: Vector, const H: usize>(
    queries: [&[f32]; H],
    keys: &[f32],
    scale: f32,
    part: Range<usize>,
    scores: &mut Scores<H>,
) {
    // vectors whose sums stay in registers
    if H > 2 && V::LANES < 16 {
        score_wide::<V, H, 2>(queries, keys, scale, part, scores);
    } else {
        score_wide::<V, H, 4>(queries, keys, scale, part, scores);
    }
}

/// [`score`] for W vectors of positions at a time.
#[inline(always)]
fn score_wide<V: Vector, const H: usize, const W: usize>(
    queries: [&[f32]; H],
    keys: &[f32],
    scale: f32,
    part: Range<usize>,
    scores: &mut Scores<H>,
) {
    let (step, d) = (W * V::LANES, queries[0].len());
    for start in (part.start / step * step..part.end).step_by(step) {
        let mut products = [[V::ZERO; W]; H];
        for (i, column) in (0..d).zip(keys.chunks_exact(KV_BLOCK)) {
            let column = &column[start..][..step];
            for w in 0..W {
                let keys = V::first(&column[w * V::LANES..]);
                for h in 0..H {
                    products[h][w] = V::splat(queries[h][i]).mul_add(keys, products[h][w]);
                }
            }
        }
        for h in 0..H {
            for w in 0..W {
                products[h][w].mul(V::splat(scale)).write(&mut scores[h][start + w * V::LANES..]);
            }
        }
    }
    for scores in scores {
        scores[..part.start].fill(f32::NEG_INFINITY);
        scores[part.end..].fill(f32::NEG_INFINITY);
    }
}

/// sums[h] = sums[h] · before[h] + now[h] · Σ_p weights[h][p] values[p], over a few vectors of
/// columns at a time, so that their sums stay in registers. `sums`: (H, d).
#[inline(always)]
pub fn add_values<V: Vector, const H: usize>(
    sums: &mut [f32],
    factors: &[Factors; H],
    weights: &Scores<H>,
    values: &[f32],
    part: Range<usize>,
    d: usize,
) {
    const WIDTH: usize = 4;
    let values = &values[part.start * d..part.end * d];
    let mut start = 0;
    while start + WIDTH * V::LANES <= d {
        add_columns::<V, H, WIDTH>(sums, factors, weights, values, part.start, d, start);
        start += WIDTH * V::LANES;
    }
    while start < d {
        add_columns::<V, H, 1>(sums, factors, weights, values, part.start, d, start);
        start += V::LANES;
    }
}

/// [`add_values`] for W vectors of columns from `start` on, and values from position `first` on.
#[inline(always)]
fn add_columns<V: Vector, const H: usize, const W: usize>(
    sums: &mut [f32],
    factors: &[Factors; H],
    weights: &Scores<H>,
    values: &[f32],
    first: usize,
    d: usize,
    start: usize,
) {
    let mut local = [[V::ZERO; W]; H];
    for (p, row) in values.chunks_exact(d).enumerate() {
        let row = &row[start..][..W * V::LANES];
        for h in 0..H {
            let weight = V::splat(weights[h][first + p]);
            for w in 0..W {
                local[h][w] = weight.mul_add(V::first(&row[w * V::LANES..]), local[h][w]);
            }
        }
    }
    for h in 0..H {
        for w in 0..W {
            let sums = &mut sums[h * d + start + w * V::LANES..];
            let before = V::first(sums).mul(V::splat(factors[h].before));
            local[h][w].mul_add(V::splat(factors[h].now), before).write(sums);
        }
    }
}
