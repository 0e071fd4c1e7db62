//! Puts the tensors of a byte stream where the layers want them, without holding the file.
//!
//! Matrices go row by row into engine memory as they arrive. Vectors (norm weights, biases) are small: they wait on the
//! host until the end, when it is known which parts they belong to.

use std::collections::{HashMap, HashSet};

use super::config::Config;
use super::decoder::{Decoder, Layer};
use super::kv_cache::KvCache;
use super::vocabulary::take_vocabulary;
use super::weights::{Group, check_shape, missing_tensor, vector};
use crate::format::layout::{Layout, Planes, dequantize_row, repack};
use crate::format::{GgufReader, Header, Sink, TensorInfo};
use crate::record::{Memory, Tensor};
use crate::tokenizer::{ChatTemplate, Tokenizer};
use crate::{Error, Result};

/// A loaded model: everything but the engine.
pub struct Model {
    /// The transformer.
    pub decoder: Decoder,
    /// Ids ↔ text.
    pub tokenizer: Tokenizer,
    /// How the model wants conversations to be written, if the file says.
    pub chat_template: Option<ChatTemplate>,
    /// Number of weights.
    pub parameters: u64,
    /// The block type of most weights.
    pub quantization: &'static str,
}

/// Context length when the caller does not choose: enough for a conversation, small enough for a phone.
const DEFAULT_CONTEXT: usize = 2048;

/// Feeds on the bytes of a model file, or of all parts of a split one in a row.
pub struct Loader {
    reader: GgufReader,
    assembly: Assembly,
}

impl Loader {
    /// `context`: positions of the KV cache; `None` for what the model was trained for, at most 2048.
    pub fn new(context: Option<usize>) -> Self {
        let assembly = Assembly { context, stream_bytes: u64::MAX, ..Assembly::default() };
        Self { reader: GgufReader::new(), assembly }
    }

    /// Says how many bytes will come, where that is known: a header that claims more then fails at once, before memory
    /// is taken for it.
    pub fn set_stream_bytes(&mut self, bytes: u64) {
        self.assembly.stream_bytes = bytes;
    }

    /// The next bytes, any number of them.
    pub fn feed(&mut self, memory: &mut dyn Memory, bytes: &[u8]) -> Result<()> {
        self.reader.feed(bytes, &mut Destination { assembly: &mut self.assembly, memory })
    }

    /// Bytes of the whole file, once its header was read.
    pub fn total_bytes(&self) -> Option<u64> {
        self.reader.total_bytes()
    }

    /// The model, after the last byte. Errors: `TruncatedFile`, or `InvalidModel` naming a tensor that is missing.
    pub fn finish(self, memory: &mut dyn Memory) -> Result<Model> {
        self.reader.finish()?;
        self.assembly.finish(memory)
    }
}

/// What is known of the model so far.
#[derive(Default)]
struct Assembly {
    context: Option<usize>,
    /// Bytes that will come in all.
    stream_bytes: u64,
    /// Bytes that the headers so far claim.
    claimed_bytes: u64,
    parts: Option<Parts>,
    vectors: HashMap<String, Vec<f32>>,
    parameters: u64,
    /// Weights by block type.
    census: HashMap<&'static str, u64>,
}

struct Parts {
    config: Config,
    tokenizer: Tokenizer,
    chat_template: Option<ChatTemplate>,
    groups: Vec<Group>,
    /// Tensor stem → index of its group.
    group_of: HashMap<String, usize>,
    /// Names of vectors that the architecture may have, with their lengths.
    vector_lengths: HashMap<String, usize>,
}

struct Destination<'a> {
    assembly: &'a mut Assembly,
    memory: &'a mut dyn Memory,
}

impl Sink for Destination<'_> {
    fn header(&mut self, mut header: Header) -> Result<()> {
        self.assembly.claim(&header)?;
        if self.assembly.parts.is_none() {
            let parts = Parts::new(&mut header)?;
            check_context(self.assembly.context, &parts.config, self.memory.max_buffer_bytes())?;
            self.assembly.parts = Some(parts);
        }
        self.assembly.place(self.memory, &header.tensors)
    }

    fn rows(&mut self, info: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        self.assembly.write(self.memory, info, first_row, rows)
    }
}

/// Whether the context makes sense and its buffers can exist; said before the weights are downloaded.
fn check_context(context: Option<usize>, config: &Config, max_buffer_bytes: u64) -> Result<()> {
    let trained = config.trained_context;
    let length = context_length(context, config);
    // Past the trained length positions mean nothing to the model.
    if length == 0 || length > trained {
        return Err(Error::InvalidOption {
            name: "contextLength".into(),
            expected: format!("1 to {trained}, the length that this model was trained for"),
            got: length.to_string(),
        });
    }
    let values = (config.kv_heads * config.head_dim).max(config.rope.dim) as u64;
    let needed = (length as u64).saturating_mul(values * size_of::<f32>() as u64);
    if needed > max_buffer_bytes {
        let limit = format!("and one buffer may have {max_buffer_bytes}");
        return Err(Error::OutOfMemory { what: format!("a layer's KV cache for {length} tokens"), needed, limit });
    }
    Ok(())
}

fn context_length(context: Option<usize>, config: &Config) -> usize {
    context.unwrap_or(config.trained_context.min(DEFAULT_CONTEXT))
}

impl Parts {
    fn new(header: &mut Header) -> Result<Self> {
        let config = Config::from_metadata(&header.metadata)?;
        let chat_template = header.metadata.opt_str("tokenizer.chat_template")?.map(ChatTemplate::new).transpose()?;
        let tokenizer = Tokenizer::new(take_vocabulary(&mut header.metadata)?)?;
        let groups = groups(&config, tokenizer.vocab_size());
        let mut group_of = HashMap::new();
        for (index, group) in groups.iter().enumerate() {
            group_of.extend(group.stems().map(|stem| (stem.to_string(), index)));
        }
        let vector_lengths = vector_lengths(&config);
        Ok(Self { config, tokenizer, chat_template, groups, group_of, vector_lengths })
    }
}

/// The matrices of the model in a fixed order: embedding, output, four a layer.
fn groups(config: &Config, vocab: usize) -> Vec<Group> {
    let Config { hidden, ffn, heads, kv_heads, head_dim, .. } = *config;
    let mut groups =
        vec![Group::new(&[("token_embd".into(), vocab)], hidden), Group::new(&[("output".into(), vocab)], hidden)];
    for layer in 0..config.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let kv = kv_heads * head_dim;
        let qkv = [(name("attn_q"), heads * head_dim), (name("attn_k"), kv), (name("attn_v"), kv)];
        groups.push(Group::new(&qkv, hidden));
        groups.push(Group::new(&[(name("attn_output"), hidden)], heads * head_dim));
        groups.push(Group::new(&[(name("ffn_gate"), ffn), (name("ffn_up"), ffn)], hidden));
        groups.push(Group::new(&[(name("ffn_down"), hidden)], ffn));
    }
    groups
}

/// Names and lengths of all vectors of the architecture, required or not.
fn vector_lengths(config: &Config) -> HashMap<String, usize> {
    let Config { hidden, ffn, heads, kv_heads, head_dim, .. } = *config;
    let (q, kv) = (heads * head_dim, kv_heads * head_dim);
    let mut lengths =
        HashMap::from([("output_norm.weight".into(), hidden), ("rope_freqs.weight".into(), config.rope.dim / 2)]);
    for layer in 0..config.layers {
        let vectors = [
            ("attn_norm.weight", hidden),
            ("ffn_norm.weight", hidden),
            ("attn_q.bias", q),
            ("attn_k.bias", kv),
            ("attn_v.bias", kv),
            ("attn_output.bias", hidden),
            ("ffn_gate.bias", ffn),
            ("ffn_up.bias", ffn),
            ("ffn_down.bias", hidden),
        ];
        lengths.extend(vectors.map(|(name, len)| (format!("blk.{layer}.{name}"), len)));
    }
    lengths
}

impl Assembly {
    /// Refuses a header whose weights cannot all come.
    fn claim(&mut self, header: &Header) -> Result<()> {
        self.claimed_bytes = self.claimed_bytes.saturating_add(header.file_bytes);
        // the padding after the last tensor may be absent
        if self.claimed_bytes.saturating_sub(header.alignment) > self.stream_bytes {
            let (needed, got) = (self.claimed_bytes, self.stream_bytes);
            return Err(Error::TruncatedFile { field: "the weights".into(), needed, got });
        }
        Ok(())
    }

    /// Checks the tensors of one file and makes room for them.
    fn place(&mut self, memory: &mut dyn Memory, tensors: &[TensorInfo]) -> Result<()> {
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let by_name: HashMap<&str, &TensorInfo> = tensors.iter().map(|info| (info.name.as_str(), info)).collect();
        let mut touched = HashSet::new();
        for info in tensors {
            let weights: u64 = info.dims.iter().product();
            self.parameters += weights;
            *self.census.entry(info.block.name()).or_default() += weights;
            if let Some(&len) = parts.vector_lengths.get(&info.name) {
                check_shape(info, &[len])?;
                continue;
            }
            let group = info.name.strip_suffix(".weight").and_then(|stem| parts.group_of.get(stem));
            // A tensor that is ignored would make the output wrong without a word.
            let Some(&group) = group else {
                return Err(Error::UnsupportedModel {
                    what: "a tensor".into(),
                    found: info.name.clone(),
                    known: format!("the tensors of a dense {} model", parts.config.architecture),
                });
            };
            if touched.insert(group) {
                parts.groups[group].place(memory, &by_name)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, memory: &mut dyn Memory, info: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        let Some(parts) = &self.parts else { return Ok(()) };
        if parts.vector_lengths.contains_key(&info.name) {
            self.vectors.entry(info.name.clone()).or_default().extend(dequantize(info, rows));
            return Ok(());
        }
        let stem = info.name.strip_suffix(".weight").unwrap_or(&info.name);
        let Some(group) = parts.group_of.get(stem).map(|&index| &parts.groups[index]) else { return Ok(()) };
        let start = group.first_row(stem).unwrap_or(0);
        group.write(memory, info, start + first_row, rows)
    }

    fn finish(mut self, memory: &mut dyn Memory) -> Result<Model> {
        let Some(parts) = self.parts else { return Err(missing_tensor("token_embd.weight")) };
        let Parts { config, tokenizer, chat_template, groups, .. } = parts;
        let context = context_length(self.context, &config);
        let vectors = &mut self.vectors;
        let mut groups = groups.into_iter();
        let mut group = || groups.next().ok_or_else(|| missing_tensor("of a layer"));
        let embed_tokens = group()?.finish(memory, vectors)?;
        // Many models have no output matrix, and use the embedding table for both.
        let output = group()?;
        let tied = output.weight.parts.is_empty();
        let lm_head = if tied { embed_tokens.clone() } else { output.finish(memory, vectors)? };
        let mut layers = Vec::with_capacity(config.layers);
        for i in 0..config.layers {
            layers.push(Layer {
                attn_norm: required(memory, vectors, &format!("blk.{i}.attn_norm.weight"))?,
                qkv_proj: group()?.finish(memory, vectors)?,
                o_proj: group()?.finish(memory, vectors)?,
                ffn_norm: required(memory, vectors, &format!("blk.{i}.ffn_norm.weight"))?,
                gate_up_proj: group()?.finish(memory, vectors)?,
                down_proj: group()?.finish(memory, vectors)?,
                kv_cache: KvCache::new(memory, &config, context)?,
            });
        }
        let norm = required(memory, vectors, "output_norm.weight")?;
        let factors = vectors.remove("rope_freqs.weight");
        let rope_table = rope_table(memory, &config, context, factors.as_deref())?;
        let vocab = tokenizer.vocab_size();
        let quantization = self.census.iter().max_by_key(|(_, weights)| **weights).map_or("none", |(name, _)| name);
        Ok(Model {
            decoder: Decoder { config, vocab, context, embed_tokens, layers, norm, lm_head, rope_table },
            tokenizer,
            chat_template,
            parameters: self.parameters,
            quantization,
        })
    }
}

fn required(memory: &mut dyn Memory, vectors: &mut HashMap<String, Vec<f32>>, name: &str) -> Result<Tensor> {
    let values = vectors.remove(name).ok_or_else(|| missing_tensor(name))?;
    vector(memory, name, &values)
}

/// Whole rows of a tensor as f32.
fn dequantize(info: &TensorInfo, rows: &[u8]) -> Vec<f32> {
    let cols = info.cols();
    let layout = Layout::for_block(info.block);
    let mut planes = Planes::default();
    repack(info.block, cols, rows, &mut planes);
    let mut values = vec![0.0; rows.len() / info.block.row_bytes(cols) * cols];
    for (row, out) in values.chunks_exact_mut(cols).enumerate() {
        let (q, s) = (layout.quants_row_bytes(cols), layout.scales_row_bytes(cols));
        dequantize_row(layout, &planes.quants[row * q..][..q], &planes.scales[row * s..][..s], out);
    }
    values
}

/// cos and sin of every position and pair, (context, rope.dim). `factors`: (rope.dim / 2), divisors of the frequencies,
/// as Llama 3 ships them.
fn rope_table(memory: &mut dyn Memory, config: &Config, context: usize, factors: Option<&[f32]>) -> Result<Tensor> {
    let dim = config.rope.dim;
    let frequency = |pair: usize| {
        let factor = factors.map_or(1.0, |factors| f64::from(factors[pair]));
        f64::from(config.rope.scale) * f64::from(config.rope.base).powf(-(2.0 * pair as f64) / dim as f64) / factor
    };
    let frequencies: Vec<f64> = (0..dim / 2).map(frequency).collect();
    let buffer = memory.create_values("rope table", context * dim)?;
    // A run of positions at a time: for a long context the whole table is megabytes, and its place may be the GPU.
    for first in (0..context).step_by(256) {
        let run = first..context.min(first + 256);
        let angles = run.flat_map(|position| frequencies.iter().map(move |f| position as f64 * f));
        let table: Vec<f32> = angles.flat_map(|angle| [angle.cos() as f32, angle.sin() as f32]).collect();
        memory.write_values(buffer, first * dim, &table)?;
    }
    Ok(Tensor { buffer, rows: context, cols: dim })
}
