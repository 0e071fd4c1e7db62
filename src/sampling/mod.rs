//! Sampling: logits → the next id. Pure, seeded, reproducible.
//!
//! The order is that of llama.cpp's default chain, as far as weft has its parts: biases → penalties
//! → top-k → top-p → min-p → temperature → draw. The filters see the distribution at temperature 1.
//! A high temperature thus spreads the choice over the tokens that passed and lets no others in.

mod adjust;
mod best;
mod chain;
mod logprobs;
mod options;
mod sampler;
mod stages;

pub use adjust::{Change, Penalties, biased};
pub use chain::{Chain, MAX_DEVICE_TOP_K};
pub use logprobs::{exp_sum, log_probability, log_sum_exp, most_likely};
pub use options::SamplingOptions;
pub use sampler::Sampler;
pub use stages::Stage;

/// Errors: [`crate::Error::InvalidLogits`] if a logit is NaN or positive infinity, or none is
/// finite.
pub fn check_logits(logits: &[f32]) -> crate::Result<()> {
    best::block_maxima(logits, &mut Vec::new())
}
