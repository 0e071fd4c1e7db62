//! weft runs open language models inside a web page, and natively.
//!
//! The layers, lowest first; imports go downwards only (`tests/layering.rs` holds them to it):
//!
//! | module | what it does |
//! |---|---|
//! | [`error`] | the one error type |
//! | [`jinja`] | a template and values → text of which each byte's origin is known |
//! | [`mod@format`] | bytes of a model file → metadata and rows of named tensors |
//! | [`tokenizer`] | ids ↔ text, chat templates |
//! | [`sampling`] | logits → the next id |
//! | [`record`] | the vocabulary of recorded work: buffers, matrices, steps |
//! | [`ops`] | one file an operation: shapes, checks, dispatch, plain reference |
//! | [`model`] | configuration, weights, the decoder layer, the KV cache |
//! | [`engine`] | runs recordings: plain reference, CPU, GPU |
//! | [`session`] | prompt → events: prefill, decode, stop rules, prefix reuse |
//!
//! `web` (wasm only) is the one file that knows wasm-bindgen.

pub mod engine;
pub mod error;
pub mod format;
pub mod jinja;
pub mod model;
pub mod ops;
pub mod record;
pub mod sampling;
pub mod session;
pub mod tokenizer;
#[cfg(target_arch = "wasm32")]
mod web;

pub use error::{Error, Result};
