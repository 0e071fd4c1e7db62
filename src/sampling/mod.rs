//! Logits → the next id: pure, seeded, reproducible.
//!
//! The order is the one that users of llama.cpp know (its default chain, of what weft has): biases → penalties → top-k →
//! top-p → min-p → temperature → draw. The order matters: the filters see the distribution at temperature 1, so a
//! high temperature spreads the choice over the tokens that passed without letting new ones in.

mod best;
mod chain;
mod logprobs;
mod options;
mod sampler;

pub use chain::{Chain, MAX_DEVICE_TOP_K};
pub use logprobs::{log_probability, log_sum_exp, most_likely};
pub use options::SamplingOptions;
pub use sampler::Sampler;

/// Errors: [`crate::Error::InvalidLogits`] where one is NaN or positive infinity, or none is finite.
pub fn check_logits(logits: &[f32]) -> crate::Result<()> {
    best::block_maxima(logits, &mut Vec::new())
}
