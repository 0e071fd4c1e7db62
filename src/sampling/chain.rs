//! Filters and the draw, in arithmetic that gives the same id on every engine.
//!
//! `exp` and division differ between GPUs and CPUs, and a float sum depends on its order: with
//! floats, the same seed would sometimes give another token. Weights are therefore integers. Each
//! begins with one float subtraction and one float multiplication, which round alike everywhere;
//! the rest is integer arithmetic. `shaders/sample.wgsl` does the same, line by line.

use std::cmp::Ordering;
use std::f64::consts::LOG2_E;

use super::stages::{Observe, Seen};
use super::{SamplingOptions, best};
use crate::Result;

/// The largest `topK` that a device samples with: the sum of this many weights of 24 bits fits 32
/// bits.
pub const MAX_DEVICE_TOP_K: usize = 256;

/// Candidates that top-p sorts first; eight times as many if they do not suffice.
const FIRST_SORTED: usize = 256;

/// Fraction bits of a halving count. The integer part has five more bits: after 32 halvings a
/// weight is 0.
const FRACTION_BITS: u32 = 26;

/// Coefficients of the Taylor series 2^-f = 1 - c1 f + c2 f² - …: (ln 2)^i / i!, in units of 2^-32.
#[rustfmt::skip]
const TAYLOR: [u32; 8] = [
    0xb172_17f8, 0x3d7f_7bff, 0x0e35_846c, 0x0276_556e, 0x0057_6200, 0x000a_1849, 0x0000_ffe6, 0x0000_162c,
];

/// Halvings per unit of logit at temperature 1, in units of 2^-26.
const STEEPNESS: f32 = (LOG2_E * (1 << FRACTION_BITS) as f64) as f32;

/// Limits that keep distance · steepness finite.
const MAX_DISTANCE: f32 = 1e8;
const MAX_STEEPNESS: f64 = 1e30;

/// top-k → top-p → min-p → temperature → draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain {
    /// Number of best tokens kept; 0 keeps all, 1 is greedy.
    top_k: u32,
    /// Probability that the kept tokens reach, at temperature 1; 1 or more keeps all.
    top_p: f32,
    /// Largest distance of a kept logit from the best: -ln(minP).
    max_distance: f32,
    /// Halvings of the weight per unit of logit, in units of 2^-26: log2(e) / temperature.
    steepness: f32,
}

/// A token that the filters have kept so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub id: u32,
    pub logit: f32,
    pub weight: u32,
}

impl Candidate {
    pub fn new(id: u32, logit: f32) -> Self {
        Self { id, logit, weight: 0 }
    }

    /// Best first; the lower id first among equals.
    pub fn order(&self, other: &Self) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.id.cmp(&other.id))
    }
}

/// Buffers that are reused from call to call.
#[derive(Clone, Debug, Default)]
pub(super) struct ChainBuffers {
    maxima: Vec<i32>,
    candidates: Vec<Candidate>,
}

impl Chain {
    /// `options` must be valid. Penalties and seed are not part of the chain.
    pub(super) fn new(options: &SamplingOptions) -> Self {
        let &SamplingOptions { temperature, top_k, top_p, min_p, .. } = options;
        let steepness = (f64::from(STEEPNESS) / f64::from(temperature)).min(MAX_STEEPNESS) as f32;
        let max_distance = if min_p > 0.0 { -min_p.ln() } else { f32::MAX };
        // greedy; no filter removes the best token
        let top_k = if temperature == 0.0 { 1 } else { top_k };
        Self { top_k, top_p, max_distance, steepness }
    }

    /// The options in the form a device takes, `[topK, topP, largest distance, steepness]`; `None`
    /// if `topK` is too large or 0.
    pub fn values(&self) -> Option<[f32; 4]> {
        let fits = (1..=MAX_DEVICE_TOP_K as u32).contains(&self.top_k);
        fits.then_some([self.top_k as f32, self.top_p, self.max_distance, self.steepness])
    }

    /// The inverse of [`Chain::values`].
    pub fn from_values([top_k, top_p, max_distance, steepness]: [f32; 4]) -> Self {
        Self { top_k: top_k as u32, top_p, max_distance, steepness }
    }

    /// Draws an id from `logits`, (vocab), with `random`, 32 uniform bits. Errors: `InvalidLogits`.
    pub fn sample(&self, logits: &[f32], random: u32) -> Result<u32> {
        self.sample_with(logits, random, &mut ChainBuffers::default(), &mut |_, _| {})
    }

    /// The same; `observe` sees the tokens that are left after each filter, and the weights of the
    /// draw.
    pub(super) fn sample_with(
        &self,
        logits: &[f32],
        random: u32,
        scratch: &mut ChainBuffers,
        observe: &mut Observe,
    ) -> Result<u32> {
        let ChainBuffers { maxima, candidates } = scratch;
        best::block_maxima(logits, maxima)?;
        if self.top_k == 1 {
            let id = best::argmax(logits, maxima);
            let only = [Candidate { weight: 1, ..Candidate::new(id, logits[id as usize]) }];
            observe("topK", Seen::Left(&only));
            observe("temperature", Seen::Weighed(&only));
            return Ok(id);
        }
        best::top_k(logits, maxima, self.top_k as usize, candidates);
        observe("topK", Seen::Left(candidates));
        let best = candidates.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max);
        if self.top_p < 1.0 {
            weigh(candidates, best, STEEPNESS);
            self.keep_top_p(candidates);
        }
        observe("topP", Seen::Left(candidates));
        candidates.retain(|c| best - c.logit <= self.max_distance);
        observe("minP", Seen::Left(candidates));
        weigh(candidates, best, self.steepness);
        observe("temperature", Seen::Weighed(candidates));
        Ok(draw(candidates, random))
    }

    fn keep_top_p(&self, candidates: &mut Vec<Candidate>) {
        let wanted = scaled((f64::from(self.top_p) * 2f64.powi(32)) as u32, total(candidates));
        // A full sort of 256,000 candidates takes longer than everything else here, and a few
        // hundred usually suffice.
        let mut sorted = FIRST_SORTED.min(candidates.len());
        loop {
            if sorted < candidates.len() {
                candidates.select_nth_unstable_by(sorted - 1, Candidate::order);
            }
            candidates[..sorted].sort_unstable_by(Candidate::order);
            let mut sum = 0;
            let enough = candidates[..sorted].iter().position(|c| {
                sum += u64::from(c.weight);
                sum >= wanted
            });
            if let Some(last) = enough {
                return candidates.truncate(last + 1);
            }
            if sorted == candidates.len() {
                return;
            }
            sorted = (sorted * 8).min(candidates.len());
        }
    }
}

/// Computes the weights, in units of 2^-24 if a sum of that many fits 32 bits (as devices compute
/// it), otherwise of 2^-32: many unlikely tokens can be likely together.
fn weigh(candidates: &mut [Candidate], best: f32, steepness: f32) {
    let shift = if candidates.len() <= MAX_DEVICE_TOP_K { 8 } else { 0 };
    for candidate in candidates {
        let distance = best - candidate.logit;
        candidate.weight = if candidate.logit == f32::NEG_INFINITY { 0 } else { weight(distance, steepness) >> shift };
    }
}

/// 2^-(distance · steepness), in units of 2^-32.
fn weight(distance: f32, steepness: f32) -> u32 {
    let halvings = distance.min(MAX_DISTANCE) * steepness;
    if halvings >= (1u32 << (FRACTION_BITS + 5)) as f32 {
        return 0;
    }
    let halvings = halvings as u32;
    let f = halvings << (32 - FRACTION_BITS);
    // 1 - f (c1 - f (c2 - …)), innermost term first
    let series = TAYLOR.iter().rev().fold(0, |inner, c| c - high(f, inner));
    (u32::MAX - high(f, series)) >> (halvings >> FRACTION_BITS)
}

/// Draws in the order of ids: the order that the filters leave depends on their selection
/// algorithm.
fn draw(candidates: &mut [Candidate], random: u32) -> u32 {
    candidates.sort_unstable_by_key(|c| c.id);
    let mut left = scaled(random, total(candidates));
    for candidate in candidates.iter() {
        let weight = u64::from(candidate.weight);
        if left < weight {
            return candidate.id;
        }
        left -= weight;
    }
    0 // never reached: `left` < total, and total > 0 because the best candidate has a weight
}

fn total(candidates: &[Candidate]) -> u64 {
    candidates.iter().map(|c| u64::from(c.weight)).sum()
}

/// The upper 32 bits of the product.
fn high(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// `total` · `fraction`, with `fraction` in units of 2^-32.
fn scaled(fraction: u32, total: u64) -> u64 {
    ((u128::from(fraction) * u128::from(total)) >> 32) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_approximate_exp() {
        for i in 0..=2_200 {
            let distance = i as f32 * 0.01;
            let expected = f64::from(-distance).exp();
            let got = f64::from(weight(distance, STEEPNESS)) / 2f64.powi(32);
            assert!((got - expected).abs() <= 4e-7 * expected + 3e-10, "{distance}: {got} for {expected}");
        }
        assert_eq!(weight(0.0, MAX_STEEPNESS as f32), u32::MAX);
        assert_eq!(weight(1e-3, MAX_STEEPNESS as f32), 0);
        assert_eq!(weight(f32::INFINITY, STEEPNESS), 0);
    }

    #[test]
    fn a_chain_survives_the_way_to_a_device_and_back() {
        let chain = |options: SamplingOptions| Chain::new(&options);
        let default = chain(SamplingOptions::default());
        assert_eq!(default.values().map(Chain::from_values), Some(default));
        let greedy = chain(SamplingOptions { top_k: 0, ..SamplingOptions::greedy() });
        assert_eq!(greedy.values().map(|values| values[0]), Some(1.0));
        for top_k in [0, 257] {
            assert_eq!(chain(SamplingOptions { top_k, ..Default::default() }).values(), None);
        }
    }
}
