//! How tokens spell text, and where a space goes before it.

/// How tokens spell text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Byte-level: one printable character per byte.
    #[default]
    Bytes,
    /// Text with `▁` for a space; `<0xXX>` for a byte.
    Blocks,
    /// Text with `▁` at the beginning of a word.
    Words,
    /// Text with `</w>` at the end of a word.
    WordEnds,
    /// Bytes with escapes as Python writes them.
    Escapes,
}

/// Whether encoding puts a space before a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum SpacePrefix {
    #[default]
    No,
    /// If it does not begin with one: byte-level vocabularies, and Hugging Face's Metaspace.
    IfMissing,
    /// Always, even if it begins with one: SentencePiece.
    Yes,
}

impl SpacePrefix {
    /// Whether `text`, at a place where the prefix is due, gets one.
    pub(super) fn applies(self, text: &str) -> bool {
        match self {
            Self::No => false,
            Self::IfMissing => !text.starts_with([' ', '▁']),
            Self::Yes => !text.is_empty(),
        }
    }
}

/// After which special tokens the space prefix is due again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefixed {
    /// After none.
    AtStart,
    /// After every token that is matched whole, as in `tokenizer.json`.
    AfterTokens,
    /// After structure and tokens of its form. transformers and llama.cpp put a space after tokens
    /// added to a SentencePiece vocabulary, but not after its own user-defined symbols (parts of
    /// words, runs of spaces). GGUF files do not distinguish the two, so the form decides.
    AfterMarks,
}
