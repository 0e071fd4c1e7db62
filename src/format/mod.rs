//! Bytes of a model file → metadata and rows of named tensors.
//!
//! | module | what it knows |
//! |---|---|
//! | [`gguf`] | the push reader: feed it chunks of any size, it calls a [`Sink`] with headers and whole rows |
//! | [`header`] | what stands before the weights: metadata and tensor descriptions, and every check on them |
//! | [`metadata`] | typed look-up of the key–value pairs |
//! | [`block`] | how GGUF stores a row: values in blocks that share a scale |
//! | [`layout`] | the few layouts in which engines hold weights |
//! | [`repack`](mod@repack) | from a block type into its layout |
//! | [`safetensors`] | the header of a safetensors file |
//! | [`hugging_face`] | a folder of transformers, read as if it were GGUF |
//! | [`quantize`] | values into fewer bits, on their way to the sink |
//! | [`reader`] | a model in any of these forms |
//! | [`writer`] | the reverse of the reader, for tests and tools |
//!
//! The reader pushes because the bytes come from the network: a model may be larger than the memory of a wasm module,
//! so a row is handed on as soon as its last byte is there and only a row cut by a chunk's edge is ever copied.
//! A file is not trusted: memory grows with the bytes that came, never with a number that the file claims.

pub mod block;
mod cursor;
pub mod gguf;
pub mod header;
pub mod hugging_face;
pub mod layout;
mod magic;
pub mod metadata;
pub mod quantize;
mod quantize_k;
pub mod reader;
mod repack;
pub mod safetensors;
mod values;
pub mod writer;

pub use block::BlockType;
pub use gguf::{GgufReader, Sink};
pub use header::{Header, TensorInfo};
pub use hugging_face::Folder;
pub use layout::{Layout, Planes, dequantize_row};
pub use metadata::{Array, Metadata, Value};
pub use quantize::{Quantize, quantize_row};
pub use reader::ModelReader;
pub use repack::repack;
pub use writer::{GgufFile, GgufWriter};

#[cfg(test)]
mod tests;
