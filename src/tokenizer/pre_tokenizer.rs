//! The pre-tokenisers that `tokenizer.ggml.pre` can name, as one table.
//!
//! A pre-tokeniser cuts text into the pieces within which byte pairs merge. Each is a list of patterns: the first cuts
//! the text into its matches and what lies between them, the next cuts each of those pieces again. The patterns are
//! the ones published with the models (`tokenizer.json`), which is why `smollm` is two steps: it isolates digits
//! first, then cuts as GPT-2 did. To support another model, add a row and its cases.

use crate::{Error, Result};

/// One row of the table.
#[derive(Debug)]
pub(super) struct PreTokenizer {
    /// Names that mean this row, as GGUF files write them.
    pub names: &'static [&'static str],
    /// Patterns, applied one after another.
    pub patterns: &'static [&'static str],
    /// A piece that is a token as a whole is that token, even where the merges would not build it.
    pub ignore_merges: bool,
    /// Unicode is composed (NFC) first.
    pub nfc: bool,
    /// A text begins with `bos` unless the file says otherwise.
    pub add_bos: bool,
}

/// English contractions, words, numbers and punctuation with one leading space, runs of white space.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

const TABLE: &[PreTokenizer] = &[
    PreTokenizer {
        // The patterns that llama.cpp falls back to for files that name none.
        names: &["default"],
        patterns: &[r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
        ignore_merges: false,
        nfc: false,
        add_bos: false,
    },
    PreTokenizer { names: &["gpt-2"], patterns: &[GPT2], ignore_merges: false, nfc: false, add_bos: false },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        ignore_merges: true,
        nfc: false,
        add_bos: true,
    },
    PreTokenizer {
        names: &["qwen2"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        ignore_merges: false,
        nfc: true,
        add_bos: false,
    },
    PreTokenizer { names: &["smollm"], patterns: &[r"\p{N}", GPT2], ignore_merges: false, nfc: false, add_bos: false },
];

/// The row that `name` means; `default` where a file names none.
///
/// # Errors
/// [`Error::UnsupportedTokenizer`] for a name without a row: a wrong guess would answer, only worse, and nobody would
/// know why.
pub(super) fn find(name: Option<&str>) -> Result<&'static PreTokenizer> {
    let name = name.unwrap_or("default");
    TABLE.iter().find(|row| row.names.contains(&name)).ok_or_else(|| Error::UnsupportedTokenizer {
        what: "tokenizer.ggml.pre".into(),
        found: name.into(),
        known: TABLE.iter().flat_map(|row| row.names).copied().collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = find(Some("nobody-bpe")).unwrap_err().to_string();
        assert!(error.contains("`nobody-bpe`") && error.contains("gpt-2, llama-bpe"), "{error}");
        assert_eq!(find(None).unwrap().names, ["default"]);
    }
}
