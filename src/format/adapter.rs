//! Reads a LoRA adapter: a GGUF file of llama.cpp's, or what PEFT saves.

use super::hugging_face::PeftReader;
use super::{GgufReader, Sink};
use crate::Result;

/// Metadata key of α, as llama.cpp's converter writes it.
pub const ALPHA: &str = "adapter.lora.alpha";

/// Reads an adapter from the bytes of its file. Either form gives the sink tensors by llama.cpp's
/// names: `blk.0.attn_q.weight.lora_a`, (rank, inputs), and `.lora_b`, (outputs, rank). An α that
/// belongs to one projection is in the metadata as [`ALPHA`], a dot and `blk.0.attn_q.weight`.
#[derive(Debug)]
pub enum AdapterReader {
    /// A GGUF file.
    Gguf(Box<GgufReader>),
    /// PEFT's `adapter_model.safetensors`.
    Peft(Box<PeftReader>),
}

/// What PEFT's names and rows depend on: the model that the adapter is for.
#[derive(Clone, Copy, Debug)]
pub struct Base {
    /// `general.architecture`.
    pub architecture: &'static str,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Values of a head.
    pub head_dim: usize,
}

impl AdapterReader {
    /// A reader at the beginning of the file with the weights. `config`: the text of
    /// `adapter_config.json`; `None` for a GGUF file. Errors: `InvalidAdapter` naming the entry.
    pub fn new(config: Option<&str>, base: Base) -> Result<Self> {
        Ok(match config {
            Some(config) => Self::Peft(Box::new(PeftReader::new(config, base)?)),
            None => Self::Gguf(Box::default()),
        })
    }

    /// Takes the next bytes and calls `sink` with what they complete. Errors: those of
    /// [`GgufReader::feed`] and [`PeftReader::feed`].
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        match self {
            Self::Gguf(reader) => reader.feed(bytes, sink),
            Self::Peft(reader) => reader.feed(bytes, sink),
        }
    }

    /// Call at the end of the file. Errors: `TruncatedFile`.
    pub fn finish(&self) -> Result<()> {
        match self {
            Self::Gguf(reader) => reader.finish(),
            Self::Peft(reader) => reader.finish(),
        }
    }
}
