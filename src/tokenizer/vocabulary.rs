//! The plain facts of a vocabulary, as a model file states them, and their checks.

use crate::{Error, Result};

/// What a model file says about its tokenizer. The fields are GGUF's `tokenizer.ggml.*` keys, unchanged, so that
/// whoever reads another format can fill the same struct.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// `model`: `gpt2` (byte-level BPE), `gemma4` (BPE), `llama` (SentencePiece BPE), `t5` (SentencePiece unigram) or `bert`
    /// (WordPiece).
    pub model: String,
    /// `pre`: name of the pre-tokeniser of a byte-level vocabulary. Absent means `default`.
    pub pre: Option<String>,
    /// `tokens`: text of each id.
    pub tokens: Vec<String>,
    /// `scores`: higher merges first (SentencePiece only). Length: `tokens.len()`, or 0 where unused.
    pub scores: Vec<f32>,
    /// `token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. Length: `tokens.len()`, or 0
    /// for "all normal but the ids below".
    pub token_types: Vec<i32>,
    /// `merges`: `"left right"`, best first (`gpt2` and `gemma4` only).
    pub merges: Vec<String>,
    /// `bos_token_id`: begins a text.
    pub bos: Option<u32>,
    /// `eos_token_id`: ends a text.
    pub eos: Option<u32>,
    /// `eot_token_id`: ends a turn of a conversation.
    pub eot: Option<u32>,
    /// `eom_token_id`: ends a message after which the turn goes on, such as a call of a tool.
    pub eom: Option<u32>,
    /// `unknown_token_id`: stands for what the vocabulary cannot spell.
    pub unk: Option<u32>,
    /// `seperator_token_id`, so spelled: ends a text of a BERT.
    pub sep: Option<u32>,
    /// `padding_token_id`: fills batches.
    pub pad: Option<u32>,
    /// `mask_token_id`: stands for a token that the model is to fill in.
    pub mask: Option<u32>,
    /// `add_bos_token`: whether plain text is encoded with a leading `bos`. Absent: the default of the kind.
    pub add_bos: Option<bool>,
    /// `add_eos_token`: whether plain text is encoded with a trailing `eos`. Absent: no.
    pub add_eos: Option<bool>,
    /// `add_sep_token`: whether plain text is encoded with a trailing `sep`. Absent: the default of the kind.
    pub add_sep: Option<bool>,
    /// `add_space_prefix`: whether a text is encoded as if a space preceded it (SentencePiece only). Absent: yes.
    pub add_space_prefix: Option<bool>,
    /// `remove_extra_whitespaces`: whether spaces at the ends of a text are dropped, and all but one in a row (SentencePiece
    /// only). Absent: no.
    pub remove_extra_whitespaces: Option<bool>,
    /// `precompiled_charsmap`: what SentencePiece replaces beforehand. Empty: nothing.
    pub precompiled_charsmap: Vec<u8>,
    /// `normalizer.lowercase`: whether text becomes lower case first (`bert` only). Absent: yes.
    pub lowercase: Option<bool>,
    /// `normalizer.strip_accents`: whether accents are taken off first (`bert` only). Absent: as `lowercase`.
    pub strip_accents: Option<bool>,
    /// Special tokens that swallow the white space beside them; GGUF files do not say which.
    pub strip: Vec<Strip>,
    /// `fim_*_token_id`: the tokens of fill-in-the-middle.
    pub fim: FimIds,
    /// Further ids that end an answer; folders name them, GGUF files do not.
    pub ends: Vec<u32>,
    /// Sources of the chat templates: the marks that they write are structure.
    pub templates: Vec<String>,
}

/// The tokens of fill-in-the-middle (FIM) that a file names; the field is the key
/// `tokenizer.ggml.fim_<field>_token_id`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FimIds {
    /// Before the text that stands before the gap. Old files: `prefix_token_id`.
    pub pre: Option<u32>,
    /// Before the text that stands behind the gap. Old files: `suffix_token_id`.
    pub suf: Option<u32>,
    /// Before what fills the gap. Old files: `middle_token_id`.
    pub mid: Option<u32>,
    /// Fills batches.
    pub pad: Option<u32>,
    /// Begins a repository.
    pub rep: Option<u32>,
    /// Begins a file of a repository.
    pub sep: Option<u32>,
}

/// A special token that swallows white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strip {
    /// The token.
    pub id: u32,
    /// What stands before it.
    pub left: bool,
    /// What follows it.
    pub right: bool,
}

/// What a token is for; decides whether text may become it and how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Ordinary text.
    Normal,
    /// Stands for what cannot be spelled; text never becomes it by its own spelling.
    Unknown,
    /// Structure, such as `<|im_end|>`; text becomes it only where the caller parses special tokens.
    Control,
    /// Whole text that is one token wherever it occurs.
    UserDefined,
    /// Structure that is text of the answer too, such as `<tool_call>`: text becomes it as it
    /// becomes a control token, and it is shown as a user-defined one is. No file has this type:
    /// see [`super::structure`].
    Mark,
    /// Takes part in merges but is not expected.
    Unused,
    /// One byte, spelled `<0xXX>` (SentencePiece only).
    Byte,
}

impl TokenKind {
    /// Control and unknown tokens: not text of the answer.
    pub(super) fn is_special(self) -> bool {
        matches!(self, Self::Control | Self::Unknown)
    }

    /// Whether text becomes it only where special tokens are parsed.
    pub(super) fn is_structure(self) -> bool {
        self.is_special() || self == Self::Mark
    }

    pub(super) fn to_gguf(self) -> i32 {
        match self {
            Self::Normal => 1,
            Self::Unknown => 2,
            Self::Control => 3,
            Self::UserDefined | Self::Mark => 4,
            Self::Unused => 5,
            Self::Byte => 6,
        }
    }

    /// A type that nobody knows says nothing.
    fn from_gguf(token_type: i32) -> Self {
        match token_type {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }
}

impl Vocabulary {
    /// The kind of each token, by the file's types. Checks that every list is long enough; an id
    /// that no token has is as if it were absent: files have 4294967295 and the like for "none".
    pub(super) fn kinds(&mut self) -> Result<Vec<TokenKind>> {
        let size = self.tokens.len();
        if size == 0 {
            return Err(invalid("tokens", "at least one token", "none"));
        }
        self.forget_ids_from(size);
        if !self.scores.is_empty() && self.scores.len() < size {
            return Err(invalid("scores", format!("{size} scores, one a token"), self.scores.len()));
        }
        self.scores.truncate(size);
        if let Some(id) = self.scores.iter().position(|score| score.is_nan()) {
            return Err(invalid("scores", "numbers", format!("NaN for token {id}")));
        }
        if self.token_types.is_empty() {
            let mut kinds = vec![TokenKind::Normal; size];
            let named = [self.bos, self.eos, self.eot, self.eom, self.unk, self.sep, self.mask];
            for id in named.into_iter().flatten() {
                kinds[id as usize] = TokenKind::Control;
            }
            return Ok(kinds);
        }
        if self.token_types.len() < size {
            return Err(invalid("token_type", format!("{size} types, one a token"), self.token_types.len()));
        }
        Ok(self.token_types.iter().take(size).map(|&token_type| TokenKind::from_gguf(token_type)).collect())
    }

    /// The ids by which SentencePiece begins and ends a text by default, where the file names none,
    /// as llama.cpp has them.
    pub(super) fn name_defaults(&mut self, kinds: &[TokenKind]) {
        let special = |id: u32| Some(id).filter(|&id| kinds.get(id as usize).is_some_and(|kind| kind.is_special()));
        match self.model.as_str() {
            "llama" => {
                self.bos = self.bos.or(special(1));
                self.eos = self.eos.or(special(2));
            }
            "t5" => self.eos = self.eos.or(special(1)),
            _ => {}
        }
    }

    fn forget_ids_from(&mut self, size: usize) {
        let Self { bos, eos, eot, eom, unk, sep, pad, mask, fim, .. } = self;
        let FimIds { pre, suf, mid, pad: fim_pad, rep, sep: fim_sep } = fim;
        for id in [bos, eos, eot, eom, unk, sep, pad, mask, pre, suf, mid, fim_pad, rep, fim_sep] {
            *id = id.filter(|&id| (id as usize) < size);
        }
        self.strip.retain(|strip| (strip.id as usize) < size);
        self.ends.retain(|&id| (id as usize) < size);
    }
}

/// `Error::InvalidModel` about a `tokenizer.ggml.*` key.
pub(super) fn invalid(key: &str, expected: impl Into<String>, got: impl ToString) -> Error {
    Error::InvalidModel { what: format!("tokenizer.ggml.{key}"), expected: expected.into(), got: got.to_string() }
}
