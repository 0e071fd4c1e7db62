//! Bytes of a model file → metadata and rows of named tensors.
//!
//! | module | content |
//! |---|---|
//! | [`gguf`] | push reader of GGUF: chunks of any size in, headers and rows out to a [`Sink`] |
//! | [`header`] | the header of GGUF: metadata and tensor descriptions, with all checks |
//! | [`metadata`] | typed look-up of the key–value pairs |
//! | [`block`] | block types: how GGUF stores a row |
//! | [`layout`] | layouts: how engines hold weights |
//! | [`repack`](mod@repack) | from block types to layouts |
//! | [`dequantize_row`] | from layouts to f32 |
//! | [`safetensors`] | the header of a safetensors file |
//! | [`hugging_face`] | a folder of transformers, read as if it were GGUF |
//! | [`quantize`] | quantises weights on their way to the sink |
//! | [`reader`] | a model in any of these forms |
//! | [`projector`] | a vision tower and its projector, read as if it were an encoder |
//! | [`adapter`] | a LoRA adapter, in either form |
//! | [`writer`] | writes GGUF, for tests and tools |
//!
//! The readers push because bytes come from the network, and a model may be larger than the memory
//! of a wasm module: a row is passed on as soon as it is complete, and only a row split between
//! chunks is copied. Files are not trusted: memory grows with the bytes that arrive, never with a
//! number that the file claims.

pub mod adapter;
pub mod block;
pub(crate) mod codes;
mod cursor;
mod dequantize;
pub mod gguf;
pub mod header;
pub mod hugging_face;
pub mod layout;
mod magic;
pub mod metadata;
pub mod projector;
pub mod quantize;
mod quantize_k;
pub mod reader;
mod repack;
pub mod safetensors;
mod values;
pub mod writer;

pub use adapter::AdapterReader;
pub use block::BlockType;
pub use dequantize::dequantize_row;
pub(crate) use dequantize::half_e4m3;
pub use gguf::{GgufReader, Sink};
pub use header::{Header, TensorInfo};
pub use hugging_face::Folder;
pub use layout::{Layout, Planes};
pub use metadata::{Array, Metadata, Value};
pub use quantize::{Quantize, quantize_row};
pub use reader::ModelReader;
pub use repack::repack;
pub use writer::{GgufFile, GgufWriter};

#[cfg(test)]
mod tests;
