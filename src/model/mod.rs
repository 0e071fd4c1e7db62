//! A model: its configuration, its weights, and the recording of its layers.
//!
//! Reading order: [`decoder`] is the transformer, one layer on one screen, and [`encoder`] the one that sees a text at once; [`architecture`] the table of what varies, [`config`] the
//! hyperparameters from the file's metadata; [`loader`] puts the tensors of a stream where the layers want them; [`kv_cache`] is the memory of past tokens.

pub mod architecture;
pub mod config;
pub mod decoder;
mod decoder_loader;
pub mod encoder;
pub mod encoder_config;
mod encoder_loader;
mod keys;
pub mod kv_cache;
pub mod loader;
pub mod rope;
mod vectors;
mod vocabulary;
mod weights;

pub use config::Config;
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use loader::{Loader, Model, Network};
pub use vocabulary::write_vocabulary;
