//! Ids ↔ text, stop strings and chat templates.
//!
//! Two kinds of vocabulary, as GGUF files carry them: byte-level BPE (`gpt2`) and SentencePiece BPE (`llama`).
//! Around both lies the same frame: text is first cut at special tokens, then each stretch between them is
//! encoded by its kind. Text from a user is encoded with `parse_special: false`, or goes through [`Tokenizer::literal`]
//! where it becomes part of a template's text, so that a typed `<|im_end|>` stays six or so ordinary tokens and cannot end a turn.

mod byte_level;
mod chat_template;
mod detokenize;
mod pre_tokenizer;
mod sentencepiece;
mod special;
mod stop;
mod vocabulary;

pub use chat_template::{ChatTemplate, Message, RenderOptions};
pub use detokenize::Detokenizer;
pub use stop::{StopMatcher, StopOutcome};
pub use vocabulary::Vocabulary;

use byte_level::ByteLevel;
use sentencepiece::SentencePiece;
use special::{Fragment, SpecialTokens};
use vocabulary::TokenKind;

use crate::{Error, Result};

/// Texts of control tokens that end an answer in some family of models. A file names one or two of its own by id, and
/// often forgets that the chat template uses another.
const END_TOKENS: &[&str] = &[
    "</s>",
    "<EOT>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<eos>",
    "<|call|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|im_end|>",
    "<|return|>",
    "[EOS]",
    "[EOT]",
    "_<EOT>",
];

/// How [`Tokenizer::encode`] treats special tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Add `bos` and `eos` where the model file asks for them. One that the text spells out already is not doubled.
    pub add_special: bool,
    /// Let control tokens spelled in the text become those tokens: for text from a template, never from a user.
    pub parse_special: bool,
}

/// Encodes and decodes with one vocabulary. Stateless: share it freely.
pub struct Tokenizer {
    tokens: Vec<String>,
    kinds: Vec<TokenKind>,
    model: Model,
    special: SpecialTokens,
    bos: Option<u32>,
    eos: Option<u32>,
    /// Ids that end an answer, ascending.
    ends: Vec<u32>,
    add_bos: bool,
    add_eos: bool,
}

enum Model {
    ByteLevel(Box<ByteLevel>),
    SentencePiece(SentencePiece),
}

impl Tokenizer {
    /// Builds the tokenizer that `vocabulary` describes.
    ///
    /// # Errors
    /// [`Error::UnsupportedTokenizer`] for an unknown model or pre-tokeniser, [`Error::InvalidModel`] where the lists
    /// contradict each other.
    pub fn new(vocabulary: Vocabulary) -> Result<Self> {
        let kinds = vocabulary.kinds()?;
        let Vocabulary { model, pre, tokens, scores, merges, bos, eos, eot, unk, .. } = vocabulary;
        let (model, add_bos) = match model.as_str() {
            "gpt2" => {
                let pre_tokenizer = pre_tokenizer::find(pre.as_deref())?;
                let byte_level = ByteLevel::new(&tokens, &kinds, merges, pre_tokenizer)?;
                (Model::ByteLevel(Box::new(byte_level)), pre_tokenizer.add_bos)
            }
            "llama" => {
                let add_space_prefix = vocabulary.add_space_prefix.unwrap_or(true);
                let sentencepiece = SentencePiece::new(&tokens, &kinds, scores, unk, add_space_prefix)?;
                (Model::SentencePiece(sentencepiece), true)
            }
            _ => {
                let what = "tokenizer.ggml.model".into();
                return Err(Error::UnsupportedTokenizer { what, found: model, known: "gpt2, llama".into() });
            }
        };
        let special = SpecialTokens::new(&tokens, &kinds, |token| match &model {
            Model::ByteLevel(_) => token.to_owned(),
            Model::SentencePiece(_) => sentencepiece::unescape(token),
        })?;
        let is_end = |&id: &u32| {
            let (kind, token) = (kinds[id as usize], tokens[id as usize].as_str());
            let named = matches!(kind, TokenKind::Control | TokenKind::UserDefined) && END_TOKENS.contains(&token);
            named || Some(id) == eos || Some(id) == eot
        };
        let ends = (0..tokens.len() as u32).filter(is_end).collect();
        let add_bos = vocabulary.add_bos.unwrap_or(add_bos);
        let add_eos = vocabulary.add_eos.unwrap_or(false);
        Ok(Self { tokens, kinds, model, special, bos, eos, ends, add_bos, add_eos })
    }

    /// `text` with marks that keep [`Tokenizer::encode`] from parsing the control tokens that it spells: for what a user
    /// wrote, before a template puts it between control tokens of its own.
    pub fn literal(&self, text: &str) -> String {
        self.special.mark(text)
    }

    /// The ids of `text`. With `parse_special`, text that [`Tokenizer::literal`] has marked stays plain.
    ///
    /// # Errors
    /// [`Error::Tokenize`] where the vocabulary cannot spell the text.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        // The space that SentencePiece puts before a text is due at its start and after structure, not in its midst.
        let mut starts = true;
        for fragment in self.special.split(text, options.parse_special) {
            match (fragment, &self.model) {
                (Fragment::Token(id), _) => ids.push(id),
                (Fragment::Text(text), Model::ByteLevel(model)) => model.encode(text, &mut ids)?,
                (Fragment::Text(text), Model::SentencePiece(model)) => {
                    model.encode(&self.tokens, text, starts, &mut ids)?;
                }
            }
            starts = matches!(fragment, Fragment::Token(id) if self.is_special(id));
        }
        if options.add_special {
            if let Some(bos) = self.bos.filter(|bos| self.add_bos && ids.first() != Some(bos)) {
                ids.insert(0, bos);
            }
            if let Some(eos) = self.eos.filter(|eos| self.add_eos && ids.last() != Some(eos)) {
                ids.push(eos);
            }
        }
        Ok(ids)
    }

    /// The text of `ids`; with `skip_special`, control and unknown tokens give none. The space that encoding put
    /// before a SentencePiece text is taken off again. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`Error::Tokenize`] for an id outside the vocabulary.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let mut stream = Detokenizer::new(skip_special);
        let mut text = String::new();
        for &id in ids {
            text.push_str(&stream.push(self, id)?);
        }
        text.push_str(&stream.flush());
        let prefixed = matches!(&self.model, Model::SentencePiece(model) if model.add_space_prefix());
        if prefixed && text.starts_with(' ') {
            text.remove(0);
        }
        Ok(text)
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    /// The token as the model file spells it (`Ġthe`, `▁the`, `<0x0A>`); `None` outside the vocabulary.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize).map(String::as_str)
    }

    /// Whether `id` is a control or unknown token: structure rather than text.
    pub fn is_special(&self, id: u32) -> bool {
        self.kinds.get(id as usize).is_some_and(|kind| kind.is_special())
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Whether plain text is encoded with a leading `bos` (under [`EncodeOptions::add_special`]).
    pub fn adds_bos(&self) -> bool {
        self.add_bos && self.bos.is_some()
    }

    /// Whether an answer is over when the model says `id`: `eos`, `eot`, or a special token that ends a turn in some
    /// family of models (`<|im_end|>`, `<end_of_turn>`, …).
    pub fn is_end_of_generation(&self, id: u32) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// Appends the bytes that `id` stands for.
    fn push_bytes(&self, id: u32, bytes: &mut Vec<u8>) -> Result<()> {
        let (Some(token), Some(kind)) = (self.tokens.get(id as usize), self.kinds.get(id as usize)) else {
            let size = self.tokens.len();
            return Err(Error::Tokenize(format!("id {id} is outside the vocabulary of {size} tokens")));
        };
        match (&self.model, kind) {
            (_, TokenKind::Control | TokenKind::Unknown) | (Model::ByteLevel(_), TokenKind::UserDefined) => {
                bytes.extend_from_slice(token.as_bytes());
            }
            (Model::ByteLevel(_), _) => byte_level::push_bytes(token, bytes),
            (Model::SentencePiece(_), TokenKind::Byte) => bytes.extend(sentencepiece::parse_byte(token)),
            (Model::SentencePiece(_), _) => bytes.extend_from_slice(sentencepiece::unescape(token).as_bytes()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
