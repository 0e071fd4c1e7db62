//! The contents of a vocabulary, as in a model file, and their checks.

use crate::{Error, Result};

/// The tokenizer's data in a model file. The fields are GGUF's `tokenizer.ggml.*` keys; readers of
/// other formats fill the same struct.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// `model`: `gpt2` (byte-level BPE), `gemma4` (BPE), `llama` (SentencePiece BPE), `t5`
    /// (SentencePiece unigram) or `bert` (WordPiece).
    pub model: String,
    /// `pre`: name of the pre-tokenizer of a byte-level vocabulary. Absent: `default`.
    pub pre: Option<String>,
    /// `tokens`: text of each id.
    pub tokens: Vec<String>,
    /// `scores`: the higher merges first (SentencePiece only). Length: `tokens.len()`, or 0 if
    /// unused.
    pub scores: Vec<f32>,
    /// `token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. Length:
    /// `tokens.len()`, or 0: all normal except the ids below.
    pub token_types: Vec<i32>,
    /// `merges`: `"left right"`, best first (`gpt2` and `gemma4` only).
    pub merges: Vec<String>,
    /// `bos_token_id`: begins a text.
    pub bos: Option<u32>,
    /// `eos_token_id`: ends a text.
    pub eos: Option<u32>,
    /// `eot_token_id`: ends a turn of a conversation.
    pub eot: Option<u32>,
    /// `eom_token_id`: ends a message within a turn, such as a tool call.
    pub eom: Option<u32>,
    /// `unknown_token_id`: replaces what the vocabulary cannot spell.
    pub unk: Option<u32>,
    /// `seperator_token_id` (sic): ends a text in BERT.
    pub sep: Option<u32>,
    /// `padding_token_id`: fills batches.
    pub pad: Option<u32>,
    /// `mask_token_id`: marks a token for the model to fill in.
    pub mask: Option<u32>,
    /// `add_bos_token`: whether plain text is encoded with a leading `bos`. Absent: the default of
    /// the pre-tokenizer or kind.
    pub add_bos: Option<bool>,
    /// `add_eos_token`: whether plain text is encoded with a trailing `eos`. Absent: no.
    pub add_eos: Option<bool>,
    /// `add_sep_token`: whether plain text is encoded with a trailing `sep`. Absent: the default of
    /// the pre-tokenizer or kind.
    pub add_sep: Option<bool>,
    /// `add_space_prefix`: whether encoding puts a space before a text (SentencePiece only).
    /// Absent: yes.
    pub add_space_prefix: Option<bool>,
    /// `remove_extra_whitespaces`: whether spaces at both ends of a text are dropped and runs
    /// become one (SentencePiece only). Absent: no.
    pub remove_extra_whitespaces: Option<bool>,
    /// `precompiled_charsmap`: SentencePiece's normalisation. Empty: none.
    pub precompiled_charsmap: Vec<u8>,
    /// `normalizer.lowercase`: whether text is lowercased first (`bert` only). Absent: yes.
    pub lowercase: Option<bool>,
    /// `normalizer.strip_accents`: whether accents are removed first (`bert` only). Absent: as
    /// `lowercase`.
    pub strip_accents: Option<bool>,
    /// Special tokens that strip the white space beside them. GGUF files do not say which.
    pub strip: Vec<Strip>,
    /// `fim_*_token_id`: the tokens of fill-in-the-middle.
    pub fim: FimIds,
    /// More ids that end an answer. Folders name them, GGUF files do not.
    pub ends: Vec<u32>,
    /// Sources of the chat templates: tokens that they write are structure.
    pub templates: Vec<String>,
}

/// Fill-in-the-middle (FIM) tokens that a file names: field `x` is the key
/// `tokenizer.ggml.fim_x_token_id`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FimIds {
    /// Precedes the prefix. Old files: `prefix_token_id`.
    pub pre: Option<u32>,
    /// Precedes the suffix. Old files: `suffix_token_id`.
    pub suf: Option<u32>,
    /// Precedes the middle, which the model writes. Old files: `middle_token_id`.
    pub mid: Option<u32>,
    /// Fills batches.
    pub pad: Option<u32>,
    /// Begins a repository.
    pub rep: Option<u32>,
    /// Begins a file of a repository.
    pub sep: Option<u32>,
}

/// A special token that strips the white space beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strip {
    /// The token.
    pub id: u32,
    /// White space before it.
    pub left: bool,
    /// White space after it.
    pub right: bool,
}

/// Purpose of a token: whether text may become it and how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Ordinary text.
    Normal,
    /// Replaces what cannot be spelled. Its own text never becomes it.
    Unknown,
    /// Structure, such as `<|im_end|>`: text becomes it only if the caller parses special tokens.
    Control,
    /// Text that is one token wherever it occurs.
    UserDefined,
    /// Structure that is also text of the answer, such as `<tool_call>`: parsed like a control
    /// token, shown like a user-defined one. Files do not have this type: see [`super::structure`].
    Mark,
    /// Takes part in merges but is not expected in text.
    Unused,
    /// One byte, spelled `<0xXX>` (SentencePiece only).
    Byte,
}

impl TokenKind {
    /// Whether it is a control or unknown token: not text of the answer.
    pub(super) fn is_special(self) -> bool {
        matches!(self, Self::Control | Self::Unknown)
    }

    /// Whether text becomes it only if special tokens are parsed.
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

    /// Unknown types count as normal.
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
    /// The kind of each token. Checks that every list is long enough. Ids outside the vocabulary
    /// become absent: files write 4294967295 and the like for "none".
    pub(super) fn kinds(&mut self) -> Result<Vec<TokenKind>> {
        let size = self.tokens.len();
        if size == 0 {
            return Err(invalid("tokens", "at least one token", "none"));
        }
        self.forget_ids_from(size);
        if !self.scores.is_empty() && self.scores.len() < size {
            return Err(invalid("scores", format!("{size} scores, one per token"), self.scores.len()));
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
            return Err(invalid("token_type", format!("{size} types, one per token"), self.token_types.len()));
        }
        Ok(self.token_types.iter().take(size).map(|&token_type| TokenKind::from_gguf(token_type)).collect())
    }

    /// Sets SentencePiece's default ids of `bos`, `eos` and `unk`, after llama.cpp, if the file has
    /// none.
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

/// `Error::InvalidModel` for a `tokenizer.ggml.*` key.
pub(super) fn invalid(key: &str, expected: impl Into<String>, got: impl ToString) -> Error {
    Error::InvalidModel { what: format!("tokenizer.ggml.{key}"), expected: expected.into(), got: got.to_string() }
}
