//! weft runs open language models inside a web page, and natively.
//!
//! The layers, lowest first; imports go downwards only (`tests/layering.rs` checks it):
//!
//! | module | content |
//! |---|---|
//! | [`error`] | the error type |
//! | [`jinja`] | chat template and values → text that knows the origin of each byte |
//! | [`mod@format`] | bytes of a model file → metadata and rows of named tensors |
//! | [`tokenizer`] | text ↔ ids, chat templates |
//! | [`sampling`] | logits → the next id |
//! | [`picture`] | pixels of a picture → patches of its tiles |
//! | [`record`] | recorded work as data: buffers, matrices, steps |
//! | [`ops`] | one file per operation: shapes, checks, dispatch, reference |
//! | [`model`] | hyperparameters, weights, the decoder layer, the KV cache |
//! | [`engine`] | runs recordings: reference, CPU, GPU |
//! | [`cost`] | what a step costs: bytes, multiply-adds, dispatches |
//! | [`inference`] | loaded models: prompt → events, sequences that share prefixes |
//!
//! `web` (wasm only) is the only module that uses wasm-bindgen.

pub mod cost;
pub mod engine;
pub mod error;
pub mod format;
pub mod inference;
pub mod jinja;
pub mod model;
pub mod ops;
pub mod picture;
pub mod record;
pub mod sampling;
pub mod tokenizer;
#[cfg(target_arch = "wasm32")]
mod web;

pub use error::{Error, Result};
