//! WordPiece, the tokenizer of BERT and many embedding models: each word or punctuation mark is cut
//! into the longest tokens, from left to right. A word that cannot be cut is one unknown token.
//!
//! GGUF files mark the beginning of a word (`▁play`, `ing`), Hugging Face vocabularies its
//! continuation (`play`, `##ing`). This module uses GGUF's marks outside and Hugging Face's in the
//! `tokenizers` crate, which has the model and the Unicode tables.

use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece as Model;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    Model as _, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use super::sentencepiece::SPACE;
use super::vocabulary::{TokenKind, invalid};
use crate::{Error, Result};

/// Encodes text without special tokens.
pub(super) struct WordPiece {
    model: Model,
    normalizer: BertNormalizer,
}

impl WordPiece {
    /// `unk`: the token of words that cannot be cut; default `[UNK]`. Control tokens are left out
    /// of the model.
    pub(super) fn new(
        tokens: &[String],
        kinds: &[TokenKind],
        unk: Option<u32>,
        normalizer: BertNormalizer,
    ) -> Result<Self> {
        let unk = match unk {
            Some(unk) => tokens.get(unk as usize),
            None => tokens.iter().find(|token| *token == "[UNK]"),
        };
        let unk = unk.ok_or_else(|| invalid("unknown_token_id", "a token for unknown words", "none"))?;
        let spelled = (0..).zip(tokens.iter().zip(kinds)).filter_map(|(id, (token, kind))| match kind {
            _ if token == unk => Some((token.clone(), id)),
            kind if kind.is_structure() => None,
            _ => Some((token.strip_prefix(SPACE).map_or_else(|| format!("##{token}"), str::to_owned), id)),
        });
        let vocab: Vocab = spelled.collect();
        let builder = Model::builder().vocab(vocab);
        let model = builder.unk_token(unk.clone()).build().map_err(failed)?;
        Ok(Self { model, normalizer })
    }

    /// Appends the ids of `text`.
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        words(&self.normalizer, text, |word| {
            ids.extend(self.model.tokenize(word).map_err(failed)?.iter().map(|token| token.id));
            Ok(())
        })
    }
}

/// Calls `take` with each word and punctuation mark of `text`, normalised.
pub(super) fn words(normalizer: &BertNormalizer, text: &str, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut normalized = NormalizedString::from(text);
    normalizer.normalize(&mut normalized).map_err(failed)?;
    let mut words = PreTokenizedString::from(normalized);
    BertPreTokenizer.pre_tokenize(&mut words).map_err(failed)?;
    words.get_splits(OffsetReferential::Normalized, OffsetType::None).iter().try_for_each(|(word, ..)| take(word))
}

/// BERT's normalisation: removes control characters, isolates Chinese characters, and on request
/// lowercases and strips accents.
pub(super) fn normalizer(lowercase: bool, strip_accents: Option<bool>) -> BertNormalizer {
    BertNormalizer::new(true, true, strip_accents, lowercase)
}

/// A Hugging Face token with GGUF's marks.
pub(super) fn mark(token: String) -> String {
    match token.strip_prefix("##") {
        Some(rest) => rest.to_owned(),
        None => format!("{SPACE}{token}"),
    }
}

fn failed(error: impl ToString) -> Error {
    Error::Tokenize(error.to_string())
}
