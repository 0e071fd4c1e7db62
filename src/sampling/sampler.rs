//! The sampler of one generation: filter chain, penalties and random stream.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::SamplingOptions;
use super::adjust::{self, Change, Penalties, biased};
use super::chain::{Chain, ChainBuffers};
use super::stages::{Observe, Seen, Stage, Stages};
use crate::Result;

/// Draws one id after another. The random generator is its only state: penalties read the history
/// that they are given.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplingOptions,
    chain: Chain,
    /// One bias a token, in the order of ids.
    biases: Vec<(u32, f32)>,
    penalties: Penalties,
    /// Bit mask of the tokens that may be drawn; `None` allows all.
    allowed: Option<Vec<u32>>,
    /// ChaCha8 has a specified stream: a seed means the same on every machine and in every version.
    rng: ChaCha8Rng,
    /// Logits after biases and penalties.
    adjusted: Vec<f32>,
    scratch: ChainBuffers,
}

impl Sampler {
    /// Creates a sampler. `entropy` is the seed if the options have none: this layer has no source
    /// of randomness.
    ///
    /// # Errors
    /// [`crate::Error::InvalidOption`] for an option out of range.
    pub fn new(options: SamplingOptions, entropy: u64) -> Result<Self> {
        options.validate()?;
        let rng = ChaCha8Rng::seed_from_u64(options.seed.unwrap_or(entropy));
        let (chain, penalties) = (Chain::new(&options), Penalties::new(&options));
        let biases = adjust::biases(&options.logit_bias);
        let (adjusted, scratch) = (Vec::new(), ChainBuffers::default());
        Ok(Self { options, chain, biases, penalties, allowed: None, rng, adjusted, scratch })
    }

    /// The chain's [`Chain::values`], if a device can sample instead, given [`Sampler::random`] for
    /// every id, and logits with the [`Sampler::changes`] and the [`Sampler::mask`]. `None` if
    /// `topK` is too large for a device.
    pub fn device_values(&self) -> Option<[f32; 4]> {
        self.chain.values()
    }

    /// Whether a penalty is switched on, so that [`Sampler::changes`] depend on the history.
    pub fn penalizes(&self) -> bool {
        self.options.penalizes()
    }

    /// Whether biases or penalties may change a logit.
    pub fn changes_logits(&self) -> bool {
        self.penalizes() || !self.biases.is_empty()
    }

    /// What recent tokens lose.
    pub fn penalties(&self) -> Penalties {
        self.penalties
    }

    /// The tokens whose logits are changed before the chain, in the order of ids, where `ahead`
    /// further tokens will come after `history` before the draw; and how many of those count.
    pub fn changes(&self, history: &[u32], ahead: usize) -> (Vec<Change>, usize) {
        let window = if self.penalizes() { self.options.penalty_last_n } else { 0 };
        let counted = ahead.min(window);
        let counts = adjust::counts(last(history, window - counted));
        (adjust::changes(&self.biases, &counts), counted)
    }

    /// The bits of the tokens that may be drawn; `None` allows all.
    pub fn mask(&self) -> Option<&[u32]> {
        self.allowed.as_deref()
    }

    /// From now on, draws only these tokens: one bit per token, from the lowest bit of the first
    /// word.
    pub fn allow(&mut self, mask: Vec<u32>) {
        self.allowed = Some(mask);
    }

    /// Whether [`Sampler::allow`] was called.
    pub fn is_constrained(&self) -> bool {
        self.allowed.is_some()
    }

    /// The random bits for the next id.
    pub fn random(&mut self) -> u32 {
        (self.rng.next_u64() >> 32) as u32
    }

    /// Draws the next id.
    ///
    /// - `logits`: (vocab). Negative infinity forbids a token.
    /// - `history`: ids so far, prompt included, newest last; only the last `penaltyLastN` are
    ///   read. Ids outside the vocabulary are ignored.
    ///
    /// # Errors
    /// [`crate::Error::InvalidLogits`] if a logit is NaN or positive infinity, or none is finite.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32> {
        self.sample_observed(logits, history, &mut |_, _| {})
    }

    /// Draws the next id as [`Sampler::sample`] does, and tells how: the distribution at first and
    /// after each stage that is switched on, with its `top` most likely tokens. The last one is
    /// what was drawn from.
    pub fn explain(&mut self, logits: &[f32], history: &[u32], top: usize) -> Result<(u32, Vec<Stage>)> {
        let options = &self.options;
        let is_on = [
            ("logitBias", !options.logit_bias.is_empty()),
            ("penalties", options.penalizes()),
            ("constraint", self.allowed.is_some()),
            ("topK", options.top_k > 0 && options.temperature > 0.0),
            ("topP", options.top_p < 1.0),
            ("minP", options.min_p > 0.0),
            ("temperature", true),
        ];
        let mut stages = Stages::new(logits, top)?;
        let id = self.sample_observed(logits, history, &mut |name, seen| {
            if is_on.contains(&(name, true)) {
                stages.push(name, seen);
            }
        })?;
        Ok((id, stages.list))
    }

    fn sample_observed(&mut self, logits: &[f32], history: &[u32], observe: &mut Observe) -> Result<u32> {
        let random = self.random();
        if !self.adjusts() {
            return self.chain.sample_with(logits, random, &mut self.scratch, observe);
        }
        self.adjust(logits, history, observe);
        self.chain.sample_with(&self.adjusted, random, &mut self.scratch, observe)
    }

    fn adjusts(&self) -> bool {
        self.changes_logits() || self.allowed.is_some()
    }

    /// Writes the logits to `adjusted`, with biases, penalties of the recent history, and the mask.
    fn adjust(&mut self, logits: &[f32], history: &[u32], observe: &mut Observe) {
        self.adjusted.clear();
        self.adjusted.extend_from_slice(logits);
        let (changes, _) = self.changes(history, 0);
        for &Change { id, bias, .. } in &changes {
            if let Some(logit) = self.adjusted.get_mut(id as usize) {
                *logit = biased(*logit, bias);
            }
        }
        observe("logitBias", Seen::Logits(&self.adjusted));
        for &Change { id, count, .. } in &changes {
            if let Some(logit) = self.adjusted.get_mut(id as usize) {
                *logit = self.penalties.apply(*logit, count);
            }
        }
        observe("penalties", Seen::Logits(&self.adjusted));
        if let Some(allowed) = &self.allowed {
            let words = allowed.iter().copied().chain(std::iter::repeat(0));
            for (logits, word) in self.adjusted.chunks_mut(32).zip(words) {
                for (_, logit) in logits.iter_mut().enumerate().filter(|(bit, _)| word >> bit & 1 == 0) {
                    *logit = f32::NEG_INFINITY;
                }
            }
            observe("constraint", Seen::Logits(&self.adjusted));
        }
    }
}

/// The last `count` of these.
fn last(ids: &[u32], count: usize) -> &[u32] {
    &ids[ids.len().saturating_sub(count)..]
}

#[cfg(test)]
mod tests;
