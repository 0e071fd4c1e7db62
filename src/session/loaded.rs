//! A loaded model of either kind, and its error for tasks of the other kind.

use super::encoder::EncoderSession;
use super::{EmbedOptions, Info, Session};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// A loaded model.
pub enum Loaded {
    /// Generates text.
    Decoder(Box<Session>),
    /// Reads whole texts.
    Encoder(Box<EncoderSession>),
}

impl Loaded {
    /// Describes the loaded model.
    pub fn info(&self) -> Info {
        match self {
            Self::Decoder(session) => session.info(),
            Self::Encoder(session) => session.info(),
        }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        match self {
            Self::Decoder(session) => session.tokenizer(),
            Self::Encoder(session) => session.tokenizer(),
        }
    }

    /// See [`Session::warm_up`].
    pub async fn warm_up(&mut self) -> Result<()> {
        match self {
            Self::Decoder(session) => session.warm_up().await,
            Self::Encoder(session) => session.warm_up().await,
        }
    }

    /// The session of a decoder. Errors: `UnsupportedTask` for an encoder.
    pub fn decoder(&mut self, task: &'static str) -> Result<&mut Session> {
        match self {
            Self::Decoder(session) => Ok(session),
            Self::Encoder(session) => Err(session.cannot(task, DECODER)),
        }
    }

    /// The same, by value.
    pub fn into_decoder(self, task: &'static str) -> Result<Session> {
        match self {
            Self::Decoder(session) => Ok(*session),
            Self::Encoder(session) => Err(session.cannot(task, DECODER)),
        }
    }

    /// The session of an encoder. Errors: `UnsupportedTask` for a decoder.
    pub fn encoder(&mut self, task: &'static str) -> Result<&mut EncoderSession> {
        match self {
            Self::Decoder(session) => Err(session.cannot(task, "an encoder, such as BERT, with a head for it")),
            Self::Encoder(session) => Ok(session),
        }
    }

    /// The vector of a text, from an encoder or a decoder trained for embeddings. Errors:
    /// `UnsupportedTask`, `TextTooLong`, `InvalidOption`.
    pub async fn embed(&mut self, text: &str, options: EmbedOptions) -> Result<Vec<f32>> {
        match self {
            Self::Decoder(session) => session.embed(text, options).await,
            Self::Encoder(session) => session.embed(text, options).await,
        }
    }
}

const DECODER: &str = "a decoder, which continues a text";

impl Session {
    /// The error for a task that decoders cannot do.
    pub(super) fn cannot(&self, task: &'static str, needs: &str) -> Error {
        let Info { architecture, tasks, .. } = self.info();
        let found = format!("a decoder (`{architecture}`)");
        Error::UnsupportedTask { task, needs: needs.into(), found, can: tasks.join(", ") }
    }
}
