//! Loads a model into an engine, which is tuned to the model when its first header was read, and
//! compiles its programs while the weights arrive.

use std::collections::VecDeque;

use super::encoder::LoadedEncoder;
use super::encoder_programs::EncoderPrograms;
use super::programs::Programs;
use super::shapes::shapes;
use super::types::About;
use super::{LoadedDecoder, LoadedModel};
use crate::engine::shapes::Shapes;
use crate::engine::shared::{Share, SharedEngine};
use crate::engine::trial::small;
use crate::engine::{Engine, Opened};
use crate::format::ModelReader;
use crate::model::{Context, ModelParts, Network, TensorLoader};
use crate::ops::{Command, Recording};
use crate::record::{KvFormat, Memory};
use crate::{Error, Result};

/// The recorded programs of either kind of model.
enum Recorded {
    Decoder(Box<Programs<Recording>>),
    Encoder(Box<EncoderPrograms<Recording>>),
}

impl Recorded {
    /// All commands.
    fn commands(&self) -> Vec<Command> {
        match self {
            Self::Decoder(programs) => programs.commands().cloned().collect(),
            Self::Encoder(programs) => programs.commands().cloned().collect(),
        }
    }
}

/// Feeds on a model's files and becomes a [`LoadedModel`] one.
pub struct Loading {
    engine: Share,
    /// Why the engine was chosen, if that is known.
    reason: String,
    /// See [`Opened::is_optional`].
    is_optional: bool,
    /// Whether the first header was read, so that the engine stays.
    is_placed: bool,
    loader: TensorLoader,
    kv_format: Option<KvFormat>,
    prefix_bytes: Option<u64>,
    /// Once the headers of all files were read.
    programs: Option<Recorded>,
    /// Commands of `programs` that the engine has not compiled yet.
    uncompiled: VecDeque<Command>,
    /// Commands whose shaders are checked before use.
    trials: Vec<Command>,
}

impl Loading {
    /// Loads into `engine`, which may hold other models, with at most `context` positions per
    /// sequence, or a [`Context`].
    pub fn new(engine: impl Into<SharedEngine>, context: impl Into<Context>) -> Self {
        Self::with(engine, ModelReader::default(), context)
    }

    /// The same of what `reader` reads.
    pub fn with(engine: impl Into<SharedEngine>, reader: ModelReader, context: impl Into<Context>) -> Self {
        Self {
            engine: engine.into().share(),
            reason: String::new(),
            is_optional: false,
            is_placed: false,
            loader: TensorLoader::with(reader, context),
            kv_format: None,
            prefix_bytes: None,
            programs: None,
            uncompiled: VecDeque::new(),
            trials: Vec::new(),
        }
    }

    /// The same, and the CPU engine takes the place of an optional one that fails its test.
    pub fn opened(opened: Opened, reader: ModelReader, context: impl Into<Context>) -> Self {
        let Opened { engine, reason, is_optional } = opened;
        Self { reason, is_optional, ..Self::with(engine, reader, context) }
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    /// Why the engine was chosen, as a sentence; empty if that is not known.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether the first header was read. Until then another engine may take the place of an
    /// optional one.
    pub fn is_placed(&self) -> bool {
        self.is_placed
    }

    /// Sets the number of bytes to come, if known, so that a header that claims more fails at once.
    pub fn set_stream_bytes(&mut self, bytes: u64) {
        self.loader.set_stream_bytes(bytes);
    }

    /// Sets the format of the KV cache of a decoder, before the first byte. `None`: the one that
    /// suits the engine best. See [`Memory::kv_format`].
    pub fn set_kv_format(&mut self, format: Option<KvFormat>) {
        self.kv_format = format;
        self.loader.set_kv_format(format);
    }

    /// Sets how many bytes of keys and values a decoder keeps for later prompts at most, before the
    /// first byte. `None`: those of two full contexts.
    pub fn set_prefix_bytes(&mut self, bytes: Option<u64>) {
        self.prefix_bytes = bytes;
    }

    /// Call at the end of each file but the last. Errors: `TruncatedFile`.
    pub fn end_file(&self) -> Result<()> {
        self.loader.end_file()
    }

    /// Length of the whole file in bytes, after its header.
    pub fn total_bytes(&self) -> Option<u64> {
        self.loader.total_bytes()
    }

    /// Takes the next bytes, ideally about 1 MB. Waits while the engine cannot take more. Errors:
    /// those of [`TensorLoader::feed`] and of the engine.
    pub async fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.loader.take(&mut self.engine, bytes)?;
        if let Some((config, tensors)) = self.loader.first_header() {
            self.tune(&shapes(config, tensors)).await?;
            self.is_placed = true;
        }
        self.loader.place(&mut self.engine)?;
        if let (None, Some(network)) = (&self.programs, self.loader.network()) {
            let engine = &mut self.engine;
            let programs = match network {
                Network::Decoder(decoder) => {
                    let (rows, on_device) = (engine.prompt_rows(), engine.device_sampling().is_some());
                    let kv = (engine.kv_format(self.kv_format)?, self.prefix_bytes);
                    Recorded::Decoder(Box::new(Programs::record_keeping(engine, decoder, rows, on_device, kv)?))
                }
                Network::Encoder(encoder) => Recorded::Encoder(Box::new(EncoderPrograms::record(engine, encoder)?)),
            };
            let commands = programs.commands();
            self.trials = commands.iter().map(small).collect();
            self.uncompiled = commands.into_iter().chain(self.trials.iter().cloned()).collect();
            self.programs = Some(programs);
        }
        // weights come too, so the engine compiles as much as it takes at a time
        while let Some(command) = self.uncompiled.front() {
            if !self.engine.compile(command, false)? {
                break;
            }
            self.uncompiled.pop_front();
        }
        self.engine.throttle().await
    }

    /// Chooses what suits the model best. Nothing of it is in the engine yet.
    async fn tune(&mut self, shapes: &Shapes) -> Result<()> {
        match self.engine.tune(shapes).await {
            Err(error) if self.is_optional => {
                let Opened { engine, reason, .. } = Opened::instead(error)?;
                self.engine.whole().replace(engine);
                self.reason = reason;
                Ok(())
            }
            tuned => tuned,
        }
    }

    /// The decoder, after the last byte. Errors: `UnsupportedTask` for an encoder, and those of
    /// [`Loading::finish_any`].
    pub async fn finish(self) -> Result<LoadedDecoder> {
        self.finish_any().await?.into_decoder("generate")
    }

    /// The model on its engine; to be called after the last byte. Errors: `TruncatedFile`, and
    /// those of the engine.
    pub async fn finish_any(mut self) -> Result<LoadedModel> {
        self.loader.check_end()?;
        for command in self.uncompiled {
            self.engine.compile(&command, true)?;
        }
        self.engine.compiled().await?;
        let model = self.loader.finish()?;
        let without = || {
            let expected = "a recording, which is made when the headers are read".into();
            Error::Internal { op: "load", expected, got: "a model without one".into() }
        };
        self.engine.self_test(self.trials).await?;
        let ModelParts { network, tokenizer, chat_templates, parameters, quantization, fingerprint } = model;
        let about = About { parameters, quantization, fingerprint };
        Ok(match (network, self.programs) {
            (Network::Decoder(decoder), Some(Recorded::Decoder(programs))) => {
                let programs = programs.prepare(&mut self.engine)?;
                let decoder = LoadedDecoder::new(self.engine, *decoder, tokenizer, chat_templates, about, programs);
                LoadedModel::Decoder(Box::new(decoder))
            }
            (Network::Encoder(encoder), Some(Recorded::Encoder(programs))) => {
                let programs = programs.prepare(&mut self.engine)?;
                LoadedModel::Encoder(Box::new(LoadedEncoder::new(self.engine, *encoder, tokenizer, about, programs)))
            }
            _ => return Err(without()),
        })
    }
}
