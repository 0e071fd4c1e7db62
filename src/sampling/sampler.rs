//! The chain of filters and the draw.

use std::cmp::Ordering;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::SamplingOptions;
use crate::{Error, Result};

/// How many of the best candidates top-p sorts at first; eightfold more where they do not suffice.
const FIRST_SORTED: usize = 256;

/// Draws one id after another. Its state is the random generator alone: penalties read the history they are given.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplingOptions,
    /// ChaCha8: its stream is specified, so that a seed means the same on every machine and in every version.
    rng: ChaCha8Rng,
    /// Kept between calls for its memory.
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    logit: f32,
}

impl Candidate {
    /// Best first; the lower id of equals.
    fn order(&self, other: &Self) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.id.cmp(&other.id))
    }
}

impl Sampler {
    /// A sampler at the start of its random stream. `entropy` is the seed where the options give none: this layer has
    /// no source of randomness of its own.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an option out of range.
    pub fn new(options: SamplingOptions, entropy: u64) -> Result<Self> {
        options.validate()?;
        let rng = ChaCha8Rng::seed_from_u64(options.seed.unwrap_or(entropy));
        Ok(Self { options, rng, candidates: Vec::new() })
    }

    /// The next id.
    ///
    /// - `logits`: one for each token of the vocabulary. Negative infinity forbids a token.
    /// - `history`: ids so far, prompt included, newest last; only the last `penaltyLastN` are read. Ids outside the
    ///   vocabulary do nothing.
    ///
    /// # Errors
    /// [`Error::InvalidLogits`] where a logit is NaN or positive infinity, or none is finite.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32> {
        check(logits)?;
        self.candidates.clear();
        self.candidates.extend((0..).zip(logits).map(|(id, &logit)| Candidate { id, logit }));
        self.penalize(history);
        if self.options.temperature == 0.0 {
            // No filter removes the best.
            let best = self.candidates.iter().min_by(|a, b| a.order(b));
            return best.map(|best| best.id).ok_or_else(|| Error::InvalidLogits("no logits".into()));
        }
        self.keep_top_k();
        self.keep_top_p();
        self.keep_min_p();
        Ok(self.draw())
    }

    /// Lowers the logits of tokens in the recent history. `candidates` are still in the order of ids.
    fn penalize(&mut self, history: &[u32]) {
        let SamplingOptions { repetition_penalty, frequency_penalty, presence_penalty, penalty_last_n, .. } =
            self.options;
        if repetition_penalty == 1.0 && frequency_penalty == 0.0 && presence_penalty == 0.0 {
            return;
        }
        let mut recent = history[history.len().saturating_sub(penalty_last_n)..].to_vec();
        recent.sort_unstable();
        for same in recent.chunk_by(|a, b| a == b) {
            if let Some(Candidate { logit, .. }) = self.candidates.get_mut(same[0] as usize) {
                *logit = if *logit > 0.0 { *logit / repetition_penalty } else { *logit * repetition_penalty };
                *logit -= same.len() as f32 * frequency_penalty + presence_penalty;
            }
        }
    }

    fn keep_top_k(&mut self) {
        let k = self.options.top_k as usize;
        if k > 0 && k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(k - 1, Candidate::order);
            self.candidates.truncate(k);
        }
    }

    fn keep_top_p(&mut self) {
        let top_p = f64::from(self.options.top_p);
        if top_p >= 1.0 {
            return;
        }
        let max = self.max_logit();
        let weight = |c: &Candidate| f64::from((c.logit - max).exp());
        let wanted = top_p * self.candidates.iter().map(weight).sum::<f64>();
        // A full sort of 256 thousand candidates takes longer than all else here, and a few hundred mostly suffice.
        let mut sorted = FIRST_SORTED.min(self.candidates.len());
        loop {
            if sorted < self.candidates.len() {
                self.candidates.select_nth_unstable_by(sorted - 1, Candidate::order);
            }
            self.candidates[..sorted].sort_unstable_by(Candidate::order);
            let mut sum = 0.0;
            let enough = self.candidates[..sorted].iter().position(|c| {
                sum += weight(c);
                sum >= wanted
            });
            if let Some(last) = enough {
                return self.candidates.truncate(last + 1);
            }
            if sorted == self.candidates.len() {
                return;
            }
            sorted = (sorted * 8).min(self.candidates.len());
        }
    }

    fn keep_min_p(&mut self) {
        if self.options.min_p > 0.0 {
            let least = self.max_logit() + self.options.min_p.ln();
            self.candidates.retain(|c| c.logit >= least);
        }
    }

    /// Draws from the softmax of what is left, at the temperature.
    fn draw(&mut self) -> u32 {
        // The filters leave an order that depends on how they select; the draw must not.
        self.candidates.sort_unstable_by_key(|c| c.id);
        let max = self.max_logit();
        let weight = |c: &Candidate| f64::from(((c.logit - max) / self.options.temperature).exp());
        let total: f64 = self.candidates.iter().map(weight).sum();
        // 53 random bits: uniform in 0..1.
        let mut left = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
        let mut last = 0;
        for candidate in &self.candidates {
            let weight = weight(candidate);
            if weight > 0.0 {
                last = candidate.id;
                if left < weight {
                    break;
                }
                left -= weight;
            }
        }
        // Rounding may leave a crumb after the last one.
        last
    }

    fn max_logit(&self) -> f32 {
        self.candidates.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max)
    }
}

fn check(logits: &[f32]) -> Result<()> {
    if let Some(id) = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY) {
        return Err(Error::InvalidLogits(format!("{} for token {id}", logits[id])));
    }
    if !logits.iter().any(|logit| logit.is_finite()) {
        return Err(Error::InvalidLogits(format!("no finite number among {} logits", logits.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
