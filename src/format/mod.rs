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
//! | [`writer`] | the reverse of the reader, for tests and tools |
//!
//! The reader pushes because the bytes come from the network: a model may be larger than the memory of a wasm module,
//! so a row is handed on as soon as its last byte is there and only a row cut by a chunk's edge is ever copied.
//! A file is not trusted: memory grows with the bytes that came, never with a number that the file claims.

pub mod block;
mod cursor;
pub mod gguf;
pub mod header;
pub mod layout;
mod magic;
pub mod metadata;
mod repack;
mod values;
pub mod writer;

pub use block::BlockType;
pub use gguf::{GgufReader, Sink};
pub use header::{Header, TensorInfo};
pub use layout::{Layout, Planes, dequantize_row};
pub use metadata::{Array, Metadata, Value};
pub use repack::repack;
pub use writer::GgufWriter;

#[cfg(test)]
mod tests;
