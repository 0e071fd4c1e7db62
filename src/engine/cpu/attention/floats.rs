//! Keys and values as f32.

use std::ops::Range;

use super::super::simd::{F32x4, Vector};
use super::softmax::{Factors, Scores};

/// scores[h][p] = queries[h] · keys[p] · scale, for each position p of `part`, four at a time.
#[inline(always)]
pub fn score<V: Vector, const H: usize>(
    queries: [&[f32]; H],
    keys: &[f32],
    scale: f32,
    part: Range<usize>,
    scores: &mut Scores<H>,
) {
    let d = queries[0].len();
    for first in part.clone().step_by(4) {
        // past the end, the last position is used again
        let row = |i: usize| &keys[(first + i).min(part.end - 1) * d..][..d];
        let rows = [row(0), row(1), row(2), row(3)];
        let mut products = [[V::ZERO; 4]; H];
        for i in (0..d).step_by(V::LANES) {
            let keys =
                [V::first(&rows[0][i..]), V::first(&rows[1][i..]), V::first(&rows[2][i..]), V::first(&rows[3][i..])];
            for h in 0..H {
                let q = V::first(&queries[h][i..]);
                for p in 0..4 {
                    products[h][p] = q.mul_add(keys[p], products[h][p]);
                }
            }
        }
        let count = 4.min(part.end - first);
        for h in 0..H {
            let [a, b, c, d] = products[h];
            let sums = F32x4::sums([a.fold(), b.fold(), c.fold(), d.fold()]).mul(F32x4::splat(scale)).to_array();
            scores[h][first..][..count].copy_from_slice(&sums[..count]);
        }
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
