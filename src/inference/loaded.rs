//! A loaded model of either kind, and its error for tasks of the other kind.

use super::encoder::{LabelScore, LoadedEncoder};
use super::inspect::{InspectEvent, InspectOptions};
use super::{EmbedOptions, GenerationId, Info, LoadedDecoder};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// A loaded model.
pub enum LoadedModel {
    /// Generates text.
    Decoder(Box<LoadedDecoder>),
    /// Reads whole texts.
    Encoder(Box<LoadedEncoder>),
}

impl LoadedModel {
    /// Describes the loaded model.
    pub fn info(&self) -> Info {
        match self {
            Self::Decoder(model) => model.info(),
            Self::Encoder(model) => model.info(),
        }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        match self {
            Self::Decoder(model) => model.tokenizer(),
            Self::Encoder(model) => model.tokenizer(),
        }
    }

    /// See [`LoadedDecoder::warm_up`].
    pub async fn warm_up(&mut self) -> Result<()> {
        match self {
            Self::Decoder(model) => model.warm_up().await,
            Self::Encoder(model) => model.warm_up().await,
        }
    }

    /// The decoder. Errors: `UnsupportedTask` for an encoder.
    pub fn decoder(&mut self, task: &'static str) -> Result<&mut LoadedDecoder> {
        match self {
            Self::Decoder(model) => Ok(model),
            Self::Encoder(model) => Err(model.cannot(task, DECODER)),
        }
    }

    /// The same, by value.
    pub fn into_decoder(self, task: &'static str) -> Result<LoadedDecoder> {
        match self {
            Self::Decoder(model) => Ok(*model),
            Self::Encoder(model) => Err(model.cannot(task, DECODER)),
        }
    }

    /// The encoder, by value. Errors: `UnsupportedTask` for a decoder.
    pub fn into_encoder(self, task: &'static str) -> Result<LoadedEncoder> {
        match self {
            Self::Decoder(model) => Err(model.cannot(task, ENCODER)),
            Self::Encoder(model) => Ok(*model),
        }
    }

    /// The encoder. Errors: `UnsupportedTask` for a decoder.
    pub fn encoder(&mut self, task: &'static str) -> Result<&mut LoadedEncoder> {
        match self {
            Self::Decoder(model) => Err(model.cannot(task, ENCODER)),
            Self::Encoder(model) => Ok(model),
        }
    }

    /// The vectors of the first of these texts, as many as go in one step, from an encoder or a
    /// decoder trained for embeddings. Errors: `UnsupportedTask`; of the first text `TextTooLong`,
    /// `InvalidOption`.
    pub async fn embed(&mut self, texts: &[impl AsRef<str>], options: EmbedOptions) -> Result<Vec<Vec<f32>>> {
        match self {
            _ if texts.is_empty() => Ok(Vec::new()),
            Self::Decoder(model) => model.embed(texts, options).await,
            Self::Encoder(model) => model.embed(texts, options).await,
        }
    }

    /// Relevance of `document` for `query`, of an encoder or a decoder that was trained to rank.
    /// Errors: `UnsupportedTask`, `TextTooLong`, `InvalidOption`.
    pub async fn rerank(&mut self, query: &str, document: &str, truncate: bool) -> Result<LabelScore> {
        match self {
            Self::Decoder(model) => model.rerank(query, document, truncate).await,
            Self::Encoder(model) => model.rerank(query, document, truncate).await,
        }
    }

    /// See [`LoadedDecoder::inspect`] and [`LoadedEncoder::inspect`].
    pub fn inspect(&mut self, ids: Vec<u32>, options: InspectOptions) -> Result<GenerationId> {
        match self {
            Self::Decoder(model) => model.inspect(ids, options),
            Self::Encoder(model) => model.inspect(ids, options),
        }
    }

    /// See [`LoadedDecoder::inspect_next`] and [`LoadedEncoder::inspect_next`].
    pub async fn inspect_next(&mut self, id: GenerationId) -> Result<InspectEvent> {
        match self {
            Self::Decoder(model) => model.inspect_next(id).await,
            Self::Encoder(model) => model.inspect_next(id).await,
        }
    }

    /// Ends what a handle stands for.
    pub fn stop(&mut self, id: GenerationId) {
        match self {
            Self::Decoder(model) => model.stop(id),
            Self::Encoder(model) => model.stop(id),
        }
    }
}

const DECODER: &str = "a decoder, which continues a text";
const ENCODER: &str = "an encoder, such as BERT, with a head for it";

impl LoadedDecoder {
    /// The error for a task that decoders cannot do.
    pub(super) fn cannot(&self, task: &'static str, needs: &str) -> Error {
        let Info { architecture, tasks, .. } = self.info();
        let found = format!("a decoder (`{architecture}`)");
        Error::UnsupportedTask { task, needs: needs.into(), found, can: tasks.join(", ") }
    }
}
