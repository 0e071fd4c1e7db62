//! A model: its configuration, its weights, and the recording of its layers.
//!
//! Reading order: [`decoder`] is the transformer, one layer on one screen; [`encoder`] is its
//! sibling without a causal mask. [`architecture`] is the table of what varies, [`config`] the
//! hyperparameters of a file. [`loader`] streams tensors into buffers; [`kv_cache`] holds the keys
//! and values of past tokens.

pub mod adapter;
pub mod architecture;
pub mod buckets;
pub mod config;
pub mod context;
pub mod decoder;
mod decoder_loader;
pub mod encoder;
pub mod encoder_config;
mod encoder_loader;
mod keys;
pub mod kv_cache;
mod latents;
pub mod loader;
mod nearest;
mod prompts;
pub mod rope;
pub mod scales;
mod tensors;
pub mod tower;
mod vectors;
mod vocabulary;
mod weights;
mod wkv;

pub use adapter::{Adapter, AdapterLoader};
pub use config::Config;
pub use context::{Context, RopeScaling};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use loader::{ModelParts, Network, TensorLoader};
pub use vocabulary::write_vocabulary;
