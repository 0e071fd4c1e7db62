//! Estimates the memory of a model from its headers: loads and records it as usual, into memory
//! that only counts.

mod time;

use serde::Serialize;
pub use time::{GpuTime, Seconds};

use super::encoder_programs::EncoderPrograms;
use super::programs::Programs;
use super::together;
use crate::cost::families::Family;
use crate::engine::{LARGEST_CHUNK, PROMPT_CHUNK};
use crate::format::ModelReader;
use crate::format::block::BlockType;
use crate::format::layout::Layout;
use crate::model::decoder::Activations;
use crate::model::{Context, Network, TensorLoader};
use crate::record::{BufferId, KV_BLOCK, KvCache, KvFormat, LocalFuture, Matrix, Memory};
use crate::{Error, Result};

/// A model and the memory that it needs, computed from the headers of its files.
///
/// Not counted, since small or short-lived: the output of the last norm for an embedding (one row),
/// 512 rows of the embedding table for tokens that are near, what an inspection reads, and what an
/// engine keeps for itself.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Name that the files give the model.
    pub name: String,
    /// Its GGUF architecture.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// Block type of most weights once they are loaded.
    pub quantization: String,
    /// Maximum number of tokens in the context.
    pub context_length: usize,
    /// Context length, in tokens, that the model was trained for.
    pub trained_context_length: usize,
    /// Bytes of weights, norms and biases.
    pub weight_bytes: u64,
    /// Bytes of activations.
    pub activation_bytes: u64,
    /// Bytes once the model is loaded: weights and activations. Engines pad rows and tiles, which
    /// adds a few percent at most.
    pub loaded_bytes: u64,
    /// Bytes that a sequence adds which fills the context: its keys and values, and the states of
    /// layers without any. The engine takes them as it grows, 64 tokens at a time.
    pub kv_cache_bytes: u64,
    /// The format of keys and values that `kvCacheBytes` is for.
    pub kv_cache: KvFormat,
    /// Bytes with one full context: `loadedBytes` and `kvCacheBytes` together.
    pub total_bytes: u64,
    /// Bytes that the first step of several chats adds, or the first draft: the logits of up to
    /// eight tokens. 0 for an encoder.
    pub chats_bytes: u64,
    /// Bytes that a real GPU adds to `loadedBytes`: room for chunks of a prompt of up to 512 tokens
    /// instead of 32. 0 for an encoder.
    pub prompt_bytes: u64,
    /// Bytes that the first text adds whose tokens are scored: the logits of 32 tokens. 0 for an
    /// encoder.
    pub score_bytes: u64,
    /// Bytes of the largest single buffer. A matrix may be split between several, and the keys and
    /// values of a layer between as many as there are heads of them.
    pub largest_buffer_bytes: u64,
    /// How long the GPU takes, roughly. Null for an encoder, and without a GPU.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "GpuTime | null"))]
    pub gpu_time: Option<GpuTime>,
}

/// Reads the headers of a model's files into memory that only counts.
pub(super) struct HeaderLoader<M> {
    loader: TensorLoader,
    memory: M,
}

impl<M: Memory> HeaderLoader<M> {
    pub fn new(reader: ModelReader, context: impl Into<Context>, memory: M) -> Self {
        Self { loader: TensorLoader::with(reader, context), memory }
    }

    /// See [`Estimator::feed`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool> {
        let before = self.loader.headers();
        self.loader.feed(&mut self.memory, bytes)?;
        let over = self.loader.headers() > before;
        if over {
            self.loader.skip_rows();
        }
        Ok(over)
    }

    /// Call before the bytes of the next file. Errors: `TruncatedFile`.
    pub fn end_file(&mut self) -> Result<()> {
        self.loader.end_file()
    }

    /// See [`TensorLoader::census`].
    pub fn census(&self) -> (u64, &'static str) {
        self.loader.census()
    }

    /// The network, after the last header. Errors: `TruncatedFile` if it is incomplete.
    pub fn finish(self) -> Result<(Network, M)> {
        self.loader.check_end()?;
        let network = self.loader.into_network().ok_or_else(|| {
            let (expected, got) = ("a header with tensors".into(), "none".into());
            Error::InvalidModel { what: "the model".into(), expected, got }
        })?;
        Ok((network, self.memory))
    }
}

/// Reads the headers of a model's files.
pub struct Estimator {
    headers: HeaderLoader<Counting>,
    kv_format: KvFormat,
    family: Option<Family>,
}

impl Estimator {
    /// An estimate for the files that `reader` reads, `context` as in [`TensorLoader::new`].
    pub fn new(reader: ModelReader, context: impl Into<Context>) -> Self {
        let headers = HeaderLoader::new(reader, context, Counting::default());
        Self { headers, kv_format: KvFormat::F32, family: None }
    }

    /// Sets the format of a decoder's KV cache, which is f32 otherwise.
    pub fn set_kv_format(&mut self, format: KvFormat) {
        self.kv_format = format;
    }

    /// Sets the GPU whose time is estimated, as `GPUAdapterInfo` names it.
    pub fn set_gpu(&mut self, vendor: &str, architecture: &str) {
        self.family = Some(Family::of(vendor, architecture));
    }

    /// Takes the next bytes of a file. Returns whether its header is complete, so that no more of
    /// the file is needed.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool> {
        self.headers.feed(bytes)
    }

    /// Call before the bytes of the next file. Errors: `TruncatedFile`.
    pub fn end_file(&mut self) -> Result<()> {
        self.headers.end_file()
    }

    /// Call after the last header. Errors: `TruncatedFile` if it is incomplete.
    pub fn finish(self) -> Result<Estimate> {
        let (parameters, quantization) = self.headers.census();
        let (network, mut memory) = self.headers.finish()?;
        let weight_bytes = memory.bytes;
        let (mut chats_bytes, mut score_bytes, mut prompt_bytes, mut gpu_time) = (0, 0, 0, None);
        let (config, context, kv, blocks) = match &network {
            Network::Decoder(decoder) => {
                // with sampling on the engine or without: a few kilobytes
                let programs = Programs::record(&mut memory, decoder, PROMPT_CHUNK, true, self.kv_format)?;
                chats_bytes = added(|memory| programs.record_together(memory, decoder, together::MOST))?;
                let of_chunk =
                    |rows: usize| added(|memory| Activations::new(memory, decoder, rows.min(decoder.context)));
                prompt_bytes = of_chunk(LARGEST_CHUNK)? - of_chunk(PROMPT_CHUNK)?;
                score_bytes = added(|memory| programs.record_all_logits(memory, decoder))?;
                if let Some(family) = self.family {
                    let (memory, rows) = (&mut Counting::default(), LARGEST_CHUNK);
                    let on_gpu = Programs::record(memory, decoder, rows, true, self.kv_format)?;
                    gpu_time = Some(GpuTime::new(family, decoder, &on_gpu)?);
                }
                (&decoder.config, decoder.context, programs.kv, decoder.context.div_ceil(KV_BLOCK))
            }
            Network::Encoder(encoder) => {
                let programs = EncoderPrograms::record(&mut memory, encoder)?;
                // the layers share one
                (&encoder.trunk.config, encoder.trunk.context, programs.kv, encoder.trunk.context.div_ceil(KV_BLOCK))
            }
        };
        let kv_cache_bytes = kv.sequence_bytes(context);
        // a part of a layer, of which each could be a buffer
        let part_bytes = blocks as u64 * kv.least_part_bytes() as u64;
        Ok(Estimate {
            name: config.name.clone(),
            architecture: config.architecture.name.into(),
            parameters,
            quantization: quantization.into(),
            context_length: context,
            trained_context_length: config.trained_context,
            weight_bytes,
            activation_bytes: memory.bytes - weight_bytes,
            loaded_bytes: memory.bytes,
            kv_cache_bytes,
            kv_cache: kv.format(),
            total_bytes: memory.bytes + kv_cache_bytes,
            chats_bytes,
            prompt_bytes,
            score_bytes,
            largest_buffer_bytes: memory.largest.max(part_bytes),
            gpu_time,
        })
    }
}

/// Bytes of what a recording made later adds.
fn added<T>(record: impl FnOnce(&mut Counting) -> Result<T>) -> Result<u64> {
    let mut memory = Counting::default();
    record(&mut memory)?;
    Ok(memory.bytes)
}

/// Memory that only counts bytes.
#[derive(Default)]
pub(super) struct Counting {
    /// Bytes of each.
    buffers: Vec<u64>,
    bytes: u64,
    /// Bytes of the largest buffer of values.
    pub largest: u64,
}

impl Counting {
    fn add(&mut self, bytes: u64) -> BufferId {
        self.bytes = self.bytes.saturating_add(bytes);
        self.buffers.push(bytes);
        BufferId(self.buffers.len() - 1)
    }
}

impl Memory for Counting {
    /// A matrix may be split, and no engine has longer vectors.
    fn max_buffer_bytes(&self) -> u64 {
        u32::MAX.into()
    }

    fn memory_bytes(&self) -> u64 {
        self.bytes
    }

    fn buffer_bytes(&self, buffer: BufferId) -> u64 {
        self.buffers.get(buffer.0).copied().unwrap_or(0)
    }

    fn create_values(&mut self, _: &str, len: usize) -> Result<BufferId> {
        let bytes = len as u64 * size_of::<f32>() as u64;
        self.largest = self.largest.max(bytes);
        Ok(self.add(bytes))
    }

    fn create_blocks(&mut self, _: &str, shape: &KvCache, count: usize) -> Result<BufferId> {
        Ok(self.add((shape.block_bytes() * count) as u64))
    }

    fn hold_blocks(&mut self, _: &[BufferId], _: &[bool]) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn copy_block(&mut self, _: &[BufferId], _: usize, _: usize) -> Result<()> {
        Ok(())
    }

    fn write_values(&mut self, _: BufferId, _: usize, _: &[f32]) -> Result<()> {
        Ok(())
    }

    fn create_matrix(&mut self, _: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        let row_bytes = layout.quants_row_bytes(cols) + layout.scales_row_bytes(cols);
        let buffer = self.add(rows as u64 * row_bytes as u64);
        Ok(Matrix { buffer, layout, rows, cols })
    }

    fn write_rows(&mut self, _: &Matrix, _: usize, _: BlockType, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn free(&mut self, buffer: BufferId) {
        if let Some(bytes) = self.buffers.get_mut(buffer.0) {
            self.bytes -= std::mem::take(bytes);
        }
    }
}
