//! Writes the tensors of a byte stream to engine memory as they arrive, without holding the file.
//!
//! Memory is taken when the first header has been read, and not before [`TensorLoader::place`]: an
//! engine may choose by the model how its weights are laid out. Once the headers of all files have
//! been read, every buffer and the [`Network`] exist: it can be recorded and compiled while the
//! weights are still arriving.

use std::collections::{HashMap, HashSet};

use super::adapter::hash;
use super::config::Config;
use super::context::Context;
use super::decoder::Decoder;
use super::decoder_loader::{decoder, decoder_groups};
use super::encoder::Encoder;
use super::encoder_config::EncoderConfig;
use super::encoder_loader::{encoder, encoder_groups, encoder_vectors};
use super::kv_cache::cache_of;
use super::nearest::explained;
use super::tensors::{Groups, Tensors};
use super::vectors::{Vectors, decoder_vectors};
use super::vocabulary::take_tokenizer;
use super::weights::missing_tensor;
use crate::format::{Header, ModelReader, Sink, TensorInfo};
use crate::record::{KV_BLOCK, KvCache, KvFormat, Memory};
use crate::tokenizer::{ChatTemplates, Tokenizer};
use crate::{Error, Result};

/// A loaded model: everything but the engine.
pub struct ModelParts {
    /// The transformer.
    pub network: Network,
    /// Converts between text and token ids.
    pub tokenizer: Tokenizer,
    /// The file's chat templates, if it has any.
    pub chat_templates: ChatTemplates,
    /// Number of weights.
    pub parameters: u64,
    /// The block type of most weights.
    pub quantization: &'static str,
    /// Identifies the model: see [`fingerprint`].
    pub fingerprint: u64,
}

/// A transformer of either kind.
pub enum Network {
    /// Generates text.
    Decoder(Box<Decoder>),
    /// Computes embeddings, scores, classes or masked tokens.
    Encoder(Box<Encoder>),
}

impl Network {
    /// Takes the factors of a tensor with this name.
    fn scale_frequencies(&mut self, name: &str, factors: &[f32]) {
        let decoder = match self {
            Self::Decoder(decoder) => decoder,
            Self::Encoder(encoder) => &mut encoder.trunk,
        };
        for (rope, frequencies) in &mut decoder.ropes {
            if rope.has_factors && rope.factors_name(decoder.context) == name {
                *frequencies = rope.frequencies(Some(factors));
            }
        }
    }
}

/// Default context length: enough for a conversation, small enough for a phone.
const DEFAULT_CONTEXT: usize = 2048;

/// Feeds on the bytes of a model's files, one after the other.
pub struct TensorLoader {
    reader: ModelReader,
    assembly: Assembly,
}

impl TensorLoader {
    /// `context`: the most positions of a sequence, or a [`Context`].
    pub fn new(context: impl Into<Context>) -> Self {
        Self::with(ModelReader::default(), context)
    }

    /// A loader that uses `reader`.
    pub fn with(reader: ModelReader, context: impl Into<Context>) -> Self {
        let assembly = Assembly { context: context.into(), stream_bytes: u64::MAX, ..Assembly::default() };
        Self { reader, assembly }
    }

    /// Sets the length of the stream in bytes, where it is known: a header that claims more then
    /// fails at once, before memory is allocated for it.
    pub fn set_stream_bytes(&mut self, bytes: u64) {
        self.assembly.stream_bytes = bytes;
    }

    /// Sets the format that is asked for keys and values, before the first byte: a context that one
    /// buffer cannot have in it fails with the first header.
    pub fn set_kv_format(&mut self, format: Option<KvFormat>) {
        self.assembly.kv_format = format;
    }

    /// Takes the next bytes, any number of them. Errors: those of [`ModelReader::feed`], and
    /// `InvalidModel` naming a tensor that is in no file.
    pub fn feed(&mut self, memory: &mut dyn Memory, bytes: &[u8]) -> Result<()> {
        self.take(memory, bytes)?;
        self.place(memory)
    }

    /// The first half of [`TensorLoader::feed`]: what comes with the first header is held.
    pub fn take(&mut self, memory: &mut dyn Memory, bytes: &[u8]) -> Result<()> {
        self.reader.feed(bytes, &mut Destination { assembly: &mut self.assembly, memory })
    }

    /// Between [`TensorLoader::take`] and [`TensorLoader::place`] of the bytes that completed the
    /// first header: what it says of the model.
    pub fn first_header(&self) -> Option<(&Config, &[TensorInfo])> {
        let (parts, [Held::Header(tensors), ..]) = (self.assembly.parts.as_ref()?, &*self.assembly.held) else {
            return None;
        };
        Some((&parts.config, tensors))
    }

    /// The second half of [`TensorLoader::feed`]: takes memory, and writes what was held.
    pub fn place(&mut self, memory: &mut dyn Memory) -> Result<()> {
        self.assembly.release(memory)?;
        // the length of the whole stream is known with the last header
        if self.reader.total_bytes().is_some() { self.assembly.settle(memory) } else { Ok(()) }
    }

    /// To be called at the end of each file except the last. Errors: `TruncatedFile`.
    pub fn end_file(&self) -> Result<()> {
        self.reader.end_file()
    }

    /// Checks that the last file has ended. Errors: `TruncatedFile`.
    pub fn check_end(&self) -> Result<()> {
        self.reader.finish()
    }

    /// See [`ModelReader::skip_rows`].
    pub fn skip_rows(&mut self) {
        self.reader.skip_rows();
    }

    /// Number of headers read.
    pub fn headers(&self) -> usize {
        self.assembly.headers
    }

    /// Number of weights in the headers read so far, and the block type of most of them.
    pub fn census(&self) -> (u64, &'static str) {
        self.assembly.census()
    }

    /// The transformer, once the headers of all files have been read. Its weights may still be
    /// arriving.
    pub fn network(&self) -> Option<&Network> {
        self.assembly.network.as_ref()
    }

    /// The same by value, after the last header.
    pub fn into_network(self) -> Option<Network> {
        self.assembly.network
    }

    /// Length of the whole file in bytes, once its header has been read.
    pub fn total_bytes(&self) -> Option<u64> {
        self.reader.total_bytes()
    }

    /// The model, after the last byte. Errors: `TruncatedFile`.
    pub fn finish(self) -> Result<ModelParts> {
        self.reader.finish()?;
        self.assembly.finish()
    }
}

/// The model as far as it has been read.
#[derive(Default)]
struct Assembly {
    context: Context,
    /// The format that is asked for keys and values.
    kv_format: Option<KvFormat>,
    /// Length of the stream in bytes.
    stream_bytes: u64,
    /// Length in bytes that the headers read so far claim.
    claimed_bytes: u64,
    parts: Option<Parts>,
    /// What came with the first header, in order, until it is placed. Then empty.
    held: Vec<Held>,
    network: Option<Network>,
    headers: usize,
    parameters: u64,
    /// Number of weights by block type.
    census: HashMap<&'static str, u64>,
    /// Fingerprint of the tensors that have begun to arrive.
    fingerprint: u64,
}

/// What comes from a file.
enum Held {
    Header(Vec<TensorInfo>),
    /// Rows of a tensor from this one on.
    Rows(TensorInfo, usize, Vec<u8>),
}

struct Parts {
    config: Config,
    /// Only encoders have one.
    encoder_config: Option<EncoderConfig>,
    tokenizer: Tokenizer,
    chat_templates: ChatTemplates,
    groups: Groups,
    vectors: Vectors,
}

struct Destination<'a> {
    assembly: &'a mut Assembly,
    memory: &'a mut dyn Memory,
}

impl Sink for Destination<'_> {
    fn header(&mut self, mut header: Header) -> Result<()> {
        self.assembly.claim(&header)?;
        self.assembly.headers += 1;
        let first = self.assembly.parts.is_none();
        if first {
            self.assembly.parts = Some(Parts::new(&mut header, self.assembly.context)?);
        }
        if first || !self.assembly.held.is_empty() {
            self.assembly.held.push(Held::Header(header.tensors));
            return Ok(());
        }
        self.assembly.place(self.memory, &header.tensors)
    }

    fn rows(&mut self, info: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        if !self.assembly.held.is_empty() {
            self.assembly.held.push(Held::Rows(info.clone(), first_row, rows.to_vec()));
            return Ok(());
        }
        self.assembly.write(self.memory, info, first_row, rows)
    }
}

/// Checks that the context length is allowed and a sequence can fill it, before weights are
/// downloaded.
fn check_context(context: Context, config: &Config, format: Option<KvFormat>, memory: &dyn Memory) -> Result<()> {
    let (length, longest) = (context_length(context, config), config.longest_context);
    // the model was not trained on positions past this length
    if length == 0 || length > longest {
        let by = match context.scaling {
            None if config.rope.dim == 0 => "",
            None => " (ropeScaling lets it read further)",
            Some(_) => ", times the factor of ropeScaling",
        };
        return Err(Error::InvalidOption {
            name: "contextLength".into(),
            expected: format!("1 to {longest}, the length that this model was trained for{by}"),
            got: length.to_string(),
        });
    }
    let in_format = |asked| Ok::<_, Error>(cache_of(config, memory.kv_format(asked)?));
    let cache = in_format(format)?;
    if cache.divided(length, memory.max_buffer_bytes()).is_none() {
        let of_head = |cache: KvCache| length.div_ceil(KV_BLOCK) as u64 * (cache.block_bytes() / cache.heads) as u64;
        let (needed, least) = (of_head(cache), of_head(in_format(Some(KvFormat::Q8))?));
        let what = format!("a head's KV cache for {length} tokens in {}", cache.format.name());
        let smaller = if least < needed { format!(", and kvCache 'q8' needs {least}") } else { String::new() };
        return Err(Error::OutOfMemory { what, needed, limit: memory.buffer_limit() + &smaller });
    }
    Ok(())
}

fn context_length(context: Context, config: &Config) -> usize {
    context.length.unwrap_or(config.trained_context.min(DEFAULT_CONTEXT))
}

impl Parts {
    fn new(header: &mut Header, context: Context) -> Result<Self> {
        let config = Config::from_metadata(&header.metadata);
        let mut config = config.map_err(|error| explained(error, header))?;
        if let Some(scaling) = context.scaling {
            config.scale(scaling, context_length(context, &config))?;
        }
        let embedding = header.tensors.iter().find(|tensor| tensor.name == "token_embd.weight");
        let rows = embedding.and_then(|tensor| tensor.dims.get(1)).map(|&rows| rows as usize);
        let (tokenizer, templates) = take_tokenizer(&mut header.metadata, rows)?;
        let chat_templates = ChatTemplates::new(templates);
        let (encoder_config, vocab) = (EncoderConfig::of(&config, &header.metadata)?, tokenizer.vocab_size());
        let (groups, vectors) = match &encoder_config {
            None => (decoder_groups(&config, vocab), decoder_vectors(&config, vocab)),
            Some(encoder) => (encoder_groups(&config, encoder, vocab), encoder_vectors(&config, encoder, vocab)),
        };
        let groups = Groups::new(groups);
        let scales = groups.iter().flat_map(|group| group.scales()).map(|(name, len)| (name, [len, 1]));
        let mut shapes: HashMap<String, [usize; 2]> = scales.collect();
        shapes.extend(vectors);
        let vectors = Vectors::new(shapes);
        Ok(Self { config, encoder_config, tokenizer, chat_templates, groups, vectors })
    }
}

impl Assembly {
    /// Fails if the header claims more weights than the stream contains.
    fn claim(&mut self, header: &Header) -> Result<()> {
        self.claimed_bytes = self.claimed_bytes.saturating_add(header.file_bytes);
        // the padding after the last tensor may be absent
        if self.claimed_bytes.saturating_sub(header.alignment) > self.stream_bytes {
            let (needed, got) = (self.claimed_bytes, self.stream_bytes);
            return Err(Error::TruncatedFile { field: "the weights".into(), needed, got });
        }
        Ok(())
    }

    /// Places and writes what was held.
    fn release(&mut self, memory: &mut dyn Memory) -> Result<()> {
        let (held, Some(parts)) = (std::mem::take(&mut self.held), &self.parts) else { return Ok(()) };
        if !held.is_empty() {
            check_context(self.context, &parts.config, self.kv_format, memory)?;
        }
        for held in held {
            match held {
                Held::Header(tensors) => self.place(memory, &tensors)?,
                Held::Rows(info, first_row, rows) => self.write(memory, &info, first_row, &rows)?,
            }
        }
        Ok(())
    }

    /// Checks the tensors of one file and allocates memory for them.
    fn place(&mut self, memory: &mut dyn Memory, tensors: &[TensorInfo]) -> Result<()> {
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let by_name: HashMap<&str, &TensorInfo> = tensors.iter().map(|info| (info.name.as_str(), info)).collect();
        let mut touched = HashSet::new();
        for info in tensors {
            let weights: u64 = info.dims.iter().product();
            self.parameters += weights;
            *self.census.entry(info.block.name()).or_default() += weights;
            if parts.vectors.know(&info.name) {
                parts.vectors.announce(info)?;
                continue;
            }
            // what llama.cpp scales activations by that it computes in four bits
            if info.name.strip_suffix(".input_scale").is_some_and(|stem| parts.groups.get(stem).is_some()) {
                continue;
            }
            if parts.config.is_unread(&info.name) {
                continue;
            }
            let stem = info.name.strip_suffix(".weight").unwrap_or(&info.name);
            // A tensor that is ignored would make the output wrong without a word.
            let unsupported = || Error::UnsupportedModel {
                what: "one of its tensors".into(),
                found: info.name.clone(),
                known: format!("{} models without it", parts.config.architecture.name),
            };
            let (index, group) = parts.groups.get_mut(stem).ok_or_else(unsupported)?;
            if touched.insert(index) {
                group.place(memory, &by_name)?;
            }
            // such as a part of what is there as a whole
            group.first_row(stem).ok_or_else(unsupported)?;
        }
        Ok(())
    }

    fn write(&mut self, memory: &mut dyn Memory, info: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        if first_row == 0 && !rows.is_empty() {
            self.fingerprint ^= fingerprint(info, rows);
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        if parts.vectors.know(&info.name) {
            parts.vectors.take(info, first_row, rows);
            return Ok(());
        }
        let stem = info.name.strip_suffix(".weight").unwrap_or(&info.name);
        let Some((_, group)) = parts.groups.get_mut(stem) else { return Ok(()) };
        let start = group.first_row(stem).unwrap_or(0);
        group.write(memory, info, start + first_row, rows)
    }

    /// To be called once the headers of all files have been read, and after every piece from then
    /// on: makes the network if it does not exist yet, and writes the vectors that have arrived.
    fn settle(&mut self, memory: &mut dyn Memory) -> Result<()> {
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let network = match &mut self.network {
            Some(network) => network,
            None => self.network.insert(parts.network(memory, self.context)?),
        };
        for (name, factors) in parts.vectors.write(memory)? {
            network.scale_frequencies(&name, &factors);
        }
        Ok(())
    }

    fn finish(self) -> Result<ModelParts> {
        let (parameters, quantization) = self.census();
        let (Some(parts), Some(network)) = (self.parts, self.network) else {
            return Err(missing_tensor("token_embd.weight"));
        };
        let Parts { tokenizer, chat_templates, config, .. } = parts;
        // keys depend on it, as they do on weights
        let scaling = self.context.scaling.map_or(0, |_| {
            let angles = config.rope.frequencies(None).angles(std::iter::once(1));
            hash(angles.into_iter().flat_map(f32::to_le_bytes))
        });
        let fingerprint = self.fingerprint ^ scaling;
        Ok(ModelParts { network, tokenizer, chat_templates, parameters, quantization, fingerprint })
    }

    fn census(&self) -> (u64, &'static str) {
        let most = self.census.iter().max_by_key(|(_, weights)| **weights);
        (self.parameters, most.map_or("none", |(name, _)| name))
    }
}

impl Parts {
    /// The transformer, over buffers that may still lack rows. Errors: `InvalidModel` naming a
    /// tensor that is in no header.
    fn network(&mut self, memory: &mut dyn Memory, context: Context) -> Result<Network> {
        let Self { config, encoder_config, groups, vectors, tokenizer, .. } = self;
        let sizes = (tokenizer.vocab_size(), context_length(context, config));
        let mut tensors = Tensors { memory, groups, vectors, layer: config.architecture.layer };
        let network = match encoder_config {
            None => Network::Decoder(Box::new(decoder(&mut tensors, config, sizes)?)),
            Some(heads) => Network::Encoder(Box::new(encoder(&mut tensors, config, heads, sizes)?)),
        };
        tensors.vectors.check_used()?;
        Ok(network)
    }
}

/// Hash (64-bit FNV-1a) of a tensor's name, shape, type and the first bytes of its first row. A
/// model's fingerprint is the exclusive or over its tensors, which does not depend on their order.
/// A fine-tuned model has another fingerprint, since training changes every value.
fn fingerprint(info: &TensorInfo, rows: &[u8]) -> u64 {
    let row = info.block.row_bytes(info.dims.first().map_or(0, |&cols| cols as usize));
    let dims = info.dims.iter().flat_map(|dim| dim.to_le_bytes());
    let begin = rows.iter().take(row.min(64)).copied();
    let bytes = info.name.bytes().chain(dims).chain(info.block.name().bytes()).chain(begin);
    hash(bytes)
}
