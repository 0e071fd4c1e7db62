//! Scores of a run become weights, and pieces become one.

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::super::simd::{F32x4, Vector};
use crate::record::KV_BLOCK;

/// Scores, then weights, of H queries at the positions of a run: a weight is 2^score.
pub type Scores<const H: usize> = [[f32; KV_BLOCK]; H];

/// Factors of earlier sums, and of those of a run.
#[derive(Clone, Copy, Default)]
pub struct Factors {
    pub before: f32,
    pub now: f32,
}

/// Replaces the scores of `part` by cap · tanh(score / cap), in units of log 2; tanh(x) = 1 - 2 /
/// (1 + e^2x).
pub fn bound(scores: &mut [f32], cap: f32, part: Range<usize>) {
    let one = F32x4::splat(1.0);
    for four in scores.as_chunks_mut::<4>().0 {
        let power = F32x4::load(four).mul(F32x4::splat(2.0 / cap)).exp();
        let tanh = F32x4::splat(-2.0).div(one.add(power)).add(one);
        *four = tanh.mul(F32x4::splat(cap * LOG2_E)).to_array();
    }
    scores[..part.start].fill(f32::NEG_INFINITY);
    scores[part.end..].fill(f32::NEG_INFINITY);
}

/// Subtracts `slope` times the distance from `position`, that of the row from the begin of the run,
/// in units of log 2. What is -∞ stays it.
pub fn lower(scores: &mut [f32], slope: f32, position: f32) {
    for (i, score) in scores.iter_mut().enumerate() {
        *score -= slope * LOG2_E * (position - i as f32).abs();
    }
}

/// Adds the bias of each key's distance, -reach … reach, to the scores of a run, in units of log 2.
/// `start`: the position of the first score; `own`: that of the query.
pub fn raise(scores: &mut [f32], biases: &[f32], start: usize, own: usize) {
    let reach = biases.len() / 2;
    for (i, score) in scores.iter_mut().enumerate() {
        *score += biases[(start + i + reach).saturating_sub(own).min(2 * reach)] * LOG2_E;
    }
}

/// Replaces the scores of a run by weights relative to its largest, and adds them to `total`.
/// Scores outside of `part` are -∞, and weigh nothing. Updates `max`, the largest score so far, to
/// which sums are relative.
// once in WebAssembly, where no instructions need more
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub fn weigh<V: Vector>(scores: &mut [f32], max: &mut f32, total: &mut f32, part: Range<usize>) -> Factors {
    let (sixteens, _) = scores.as_chunks_mut::<16>();
    // side by side: one would wait for the one before
    let mut largest = [V::splat(f32::NEG_INFINITY); 4];
    for sixteen in sixteens.iter() {
        for i in 0..16 / V::LANES {
            largest[i] = largest[i].max(V::first(&sixteen[i * V::LANES..]));
        }
    }
    let [a, b, c, d] = largest;
    let largest = a.max(b).max(c.max(d)).max_lane();
    let mut sums = [V::ZERO; 4];
    for sixteen in sixteens {
        for i in 0..16 / V::LANES {
            let some = &mut sixteen[i * V::LANES..];
            let weights = V::first(some).sub(V::splat(largest)).exp2();
            weights.write(some);
            sums[i] = sums[i].add(weights);
        }
    }
    let [a, b, c, d] = sums;
    let sum = a.add(b).add(c.add(d));
    scores[..part.start].fill(0.0);
    scores[part.end..].fill(0.0);
    let factors = Factors::new::<V>(max, largest);
    *total = *total * factors.before + sum.sum() * factors.now;
    factors
}

impl Factors {
    /// Of sums relative to `max` and to `largest`, of which `max` becomes the larger.
    #[inline(always)]
    fn new<V: Vector>(max: &mut f32, largest: f32) -> Self {
        let larger = if largest > *max { largest } else { *max };
        let mut both = [0.0; 16];
        (both[0], both[1]) = (*max - larger, largest - larger);
        V::first(&both).exp2().write(&mut both);
        *max = larger;
        Self { before: both[0], now: both[1] }
    }
}

/// Merges a piece, whose sums are `sums` and whose largest score and sum of weights are `piece`,
/// with `all` before it, whose sums are `y`.
pub fn fold(y: &mut [f32], all: &mut (f32, f32), sums: &[f32], piece: (f32, f32)) {
    if piece.1 == 0.0 {
        // nothing of it is seen
        return;
    }
    if all.1 == 0.0 {
        y.copy_from_slice(sums);
        *all = piece;
        return;
    }
    let Factors { before, now } = Factors::new::<F32x4>(&mut all.0, piece.0);
    y.iter_mut().zip(sums).for_each(|(y, sum)| *y = *y * before + sum * now);
    all.1 = all.1 * before + piece.1 * now;
}
