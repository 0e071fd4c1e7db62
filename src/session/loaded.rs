//! A loaded model of either kind, and what it says where it is asked for what only the other kind can do.

use super::encoder::EncoderSession;
use super::{EmbedOptions, Info, Session};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// A loaded model.
pub enum Loaded {
    /// Continues a text.
    Decoder(Box<Session>),
    /// Says something of a text.
    Encoder(Box<EncoderSession>),
}

impl Loaded {
    /// What is loaded.
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

    /// What generates. Errors: `UnsupportedTask` for an encoder.
    pub fn decoder(&mut self, task: &'static str) -> Result<&mut Session> {
        match self {
            Self::Decoder(session) => Ok(session),
            Self::Encoder(session) => Err(session.cannot(task, DECODER)),
        }
    }

    /// The same, for good.
    pub fn into_decoder(self, task: &'static str) -> Result<Session> {
        match self {
            Self::Decoder(session) => Ok(*session),
            Self::Encoder(session) => Err(session.cannot(task, DECODER)),
        }
    }

    /// What reads a text at once. Errors: `UnsupportedTask` for a decoder.
    pub fn encoder(&mut self, task: &'static str) -> Result<&mut EncoderSession> {
        match self {
            Self::Decoder(session) => Err(session.cannot(task, "an encoder, such as BERT, with a head for it")),
            Self::Encoder(session) => Ok(session),
        }
    }

    /// The vector of a text: of an encoder, or a decoder that was trained for it. Errors: `UnsupportedTask`, `TextTooLong`,
    /// `InvalidOption`.
    pub async fn embed(&mut self, text: &str, options: EmbedOptions) -> Result<Vec<f32>> {
        match self {
            Self::Decoder(session) => session.embed(text, options).await,
            Self::Encoder(session) => session.embed(text, options).await,
        }
    }
}

const DECODER: &str = "a decoder, which continues a text";

impl Session {
    /// A decoder is not made for `task`.
    pub(super) fn cannot(&self, task: &'static str, needs: &str) -> Error {
        let Info { architecture, tasks, .. } = self.info();
        let found = format!("a decoder (`{architecture}`)");
        Error::UnsupportedTask { task, needs: needs.into(), found, can: tasks.join(", ") }
    }
}
