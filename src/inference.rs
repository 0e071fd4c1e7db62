//! Loaded models, and what they compute for a text.
//!
//! | file | contents |
//! |---|---|
//! | `loading` | loads a model into an engine |
//! | [`loaded`] | a loaded model of either kind |
//! | `decoder` | a loaded decoder and its generations |
//! | [`keys`] | when keys and values may be reused |
//! | `sequences`, `prefixes` | texts under way; the prefix cache, which ended ones leave |
//! | `generation`, `advance` | one answer: its stop rules; its next token |
//! | `adapters` | adapters of a decoder, and which a call uses |
//! | `together` | the next tokens of several generations in one step |
//! | `speculate` | drafts of the next tokens of a generation, verified in one step |
//! | `drafting` | drafts that one model makes for another |
//! | `runner`, `programs` | runs a step of a sequence |
//! | `source` | the text that an encoder reads for a decoder |
//! | `estimate`, `cost` | memory, and work on a GPU, from headers alone |
//! | `prompt`, `scoring`, `embedding`, `kv`, `remembered` | other tasks of a decoder |
//! | [`inspect`] | looks inside a decoder while it reads |
//! | [`encoder`] | a loaded encoder |
//! | `tower`, [`pictures`] | a loaded vision tower; pictures in a prompt |

mod adapters;
mod advance;
mod cost;
mod decoder;
mod drafting;
mod embedding;
pub mod encoder;
mod encoder_programs;
mod estimate;
mod generation;
pub mod inspect;
pub mod keys;
mod kv;
pub mod loaded;
mod loading;
pub mod pictures;
mod prefixes;
mod programs;
mod prompt;
mod ranking;
mod remembered;
mod runner;
mod scoring;
mod sequences;
mod shapes;
mod source;
mod speculate;
mod together;
pub mod tower;
mod types;

use crate::Error;
use crate::sampling::{log_probability, log_sum_exp};

pub use adapters::AdapterUse;
pub use cost::{CostModel, CostOptions, Counts, ModelCost, OperationCost, StepCost};
pub use decoder::LoadedDecoder;
pub use embedding::EmbedOptions;
pub use encoder::LoadedEncoder;
pub use estimate::{Estimate, Estimator, GpuTime, Seconds};
pub use generation::GenerationId;
pub use loaded::LoadedModel;
pub use loading::Loading;
pub use speculate::{Speculate, Speculated};
pub use types::{Event, FinishReason, GenerateOptions, Info, TokenLogprob, TokenLogprobs};

/// Negative log-likelihood of `target` given `logits`, in nats: logsumexp(logits) - logits[target].
pub fn negative_log_likelihood(logits: &[f32], target: u32) -> f64 {
    -log_probability(logits, log_sum_exp(logits), target)
}

fn not_started(name: &str) -> Error {
    let expected = "a generation that was started and has not ended".into();
    Error::InvalidOption { name: name.into(), expected, got: "none".into() }
}
