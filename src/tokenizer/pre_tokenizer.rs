//! The pre-tokenizers that `tokenizer.ggml.pre` can name, as one table.
//!
//! A pre-tokenizer cuts text into the pieces within which byte pairs merge. Each is a list of
//! patterns: the first cuts the text into its matches and the stretches between them, the next cuts
//! each of those pieces again. The patterns are the published ones (`tokenizer.json`). `smollm` for
//! example has two: it isolates digits, then cuts as GPT-2 does. To support another model, add a
//! row and its cases.

use crate::{Error, Result};

/// One row of the table.
#[derive(Debug)]
pub(super) struct PreTokenizer {
    /// Names of this row in GGUF files.
    pub names: &'static [&'static str],
    /// Patterns, applied one after another.
    pub patterns: &'static [&'static str],
    /// A piece that is a token becomes that token, even if no merges build it.
    pub ignore_merges: bool,
    /// Text is normalised to NFC first.
    pub nfc: bool,
    /// Text begins with `bos` unless the file says otherwise.
    pub add_bos: bool,
    /// Text ends with `sep` unless the file says otherwise.
    pub add_sep: bool,
    /// Tokens are spelled as in SentencePiece (`▁` and `<0xXX>`) instead of byte-level.
    pub blocks: bool,
}

/// Defaults of a row.
const ROW: PreTokenizer = PreTokenizer {
    names: &[],
    patterns: &[],
    ignore_merges: false,
    nfc: false,
    add_bos: false,
    add_sep: false,
    blocks: false,
};

/// English contractions, words, numbers and punctuation with one leading space, runs of white
/// space.
pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// One digit per piece (of any script, fractions and Roman numerals too).
pub(super) const DIGIT: &str = r"\p{N}";

/// Runs of punctuation, including ASCII symbols such as `$` and `+`.
pub(super) const PUNCTUATION: &str = r"[\p{P}$+<=>^~|`]+";

/// GPT-4's pattern: any character may lead a word, numbers have up to three digits, line breaks
/// belong to the piece before them.
const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// GPT-4's pattern with single digits.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// GPT-4o's pattern: words end before a capital, combining marks belong to them, a contraction
/// belongs to its word.
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// DeepSeek's third step: a punctuation mark may lead a Latin word, punctuation and symbols form
/// runs.
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// Numbers of up to three digits.
const THREE_DIGITS: &str = r"\p{N}{1,3}";

/// Chinese characters and Japanese kana.
const HAN_AND_KANA: &str = r"[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+";

/// Chinese and, roughly, neighbouring scripts, as in DeepSeek's first vocabularies.
const DEEPSEEK_CJK: &str = r"[\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+";

/// Everything but white space and the punctuation of several scripts, with one leading space.
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";

/// A line, or a run of line breaks: no token of SentencePiece vocabularies contains both.
const LINES: &str = r"[^\n]+|\n+";

const TABLE: &[PreTokenizer] = &[
    // llama.cpp's fallback for files without a name.
    PreTokenizer { names: &["default"], patterns: &[r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"], ..ROW },
    PreTokenizer {
        names: &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "exaone4",
            "jais",
            "trillion",
            "granite-docling",
        ],
        patterns: &[GPT2],
        ..ROW
    },
    // GPT-NeoX's tokenizer, which normalises to NFC.
    PreTokenizer { names: &["mpt", "olmo"], patterns: &[GPT2], nfc: true, ..ROW },
    PreTokenizer { names: &["roberta-bpe", "jina-v1-en", "jina-v2-code"], patterns: &[GPT2], add_sep: true, ..ROW },
    PreTokenizer {
        names: &["smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"],
        patterns: &[DIGIT, GPT2],
        ..ROW
    },
    PreTokenizer { names: &["command-r"], patterns: &[DIGIT, GPT2], nfc: true, ..ROW },
    PreTokenizer { names: &["falcon"], patterns: &[PUNCTUATION, GPT2, "[0-9][0-9][0-9]"], ..ROW },
    PreTokenizer {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        patterns: &[CL100K],
        ignore_merges: true,
        add_bos: true,
        ..ROW
    },
    PreTokenizer { names: &["dbrx", "smaug-bpe", "glm4", "glm5", "chatglm-bpe"], patterns: &[CL100K], ..ROW },
    PreTokenizer {
        names: &["minicpm5"],
        patterns: &[
            THREE_DIGITS,
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        ignore_merges: true,
        ..ROW
    },
    PreTokenizer {
        names: &["jais-2"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}",
        ],
        ..ROW
    },
    PreTokenizer {
        names: &["qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "kormo", "f2llmv2"],
        patterns: &[QWEN2],
        nfc: true,
        ..ROW
    },
    PreTokenizer { names: &["hunyuan", "grok-2", "solar-open"], patterns: &[QWEN2], ..ROW },
    PreTokenizer {
        names: &["qwen35"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        nfc: true,
        ..ROW
    },
    PreTokenizer {
        names: &["ufakzeka"],
        patterns: &[r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
        ..ROW
    },
    PreTokenizer { names: &["laguna"], patterns: &[LINES, QWEN2], ..ROW },
    PreTokenizer {
        names: &["bailingmoe", "bailingmoe2", "llada-moe"],
        patterns: &[
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        ],
        ..ROW
    },
    PreTokenizer {
        names: &["seed-coder"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        ..ROW
    },
    PreTokenizer {
        names: &["exaone-moe"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
        ],
        ..ROW
    },
    PreTokenizer {
        names: &["tekken"],
        patterns: &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        ignore_merges: true,
        add_bos: true,
        ..ROW
    },
    PreTokenizer {
        names: &["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "granite-embed-multi-97m"],
        patterns: &[O200K],
        ignore_merges: true,
        ..ROW
    },
    PreTokenizer { names: &["tiny_aya", "cohere2moe"], patterns: &[r"\d{1,3}(?=(?:\d{3})*\b)", O200K], ..ROW },
    PreTokenizer {
        names: &["youtu"],
        patterns: &[
            r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        ignore_merges: true,
        ..ROW
    },
    PreTokenizer {
        names: &["kimi-k2"],
        patterns: &[
            r"\p{Han}+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        ..ROW
    },
    PreTokenizer {
        names: &["deepseek-llm"],
        patterns: &[
            r"[\r\n]",
            // Letters with case, in the scripts and the Unicode version of the model's authors.
            r"\s?[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]+",
            r"\s?[!-/:-~！-／：-～‘-‟\x{3000}-。]+",
            r"\s+$",
            DEEPSEEK_CJK,
            DIGIT,
        ],
        ..ROW
    },
    PreTokenizer {
        names: &["deepseek-coder"],
        patterns: &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_CJK, DIGIT],
        ..ROW
    },
    PreTokenizer {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        patterns: &[THREE_DIGITS, HAN_AND_KANA, DEEPSEEK3],
        ..ROW
    },
    PreTokenizer {
        names: &["spark2_5"],
        patterns: &[
            THREE_DIGITS,
            HAN_AND_KANA,
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"##,
            DIGIT,
        ],
        ..ROW
    },
    PreTokenizer {
        names: &["afmoe"],
        patterns: &[
            r"\p{N}+",
            // Three digits per piece, counted from the end.
            r"(?=(?:\p{N}{3})+$)",
            r"[一-\x{9fff}㐀-\x{4dbf}\x{f900}-\x{faff}\x{3040}-ゟ゠-ヿ･-ﾟ⼀-\x{2fdf}\x{e00}-\x{e7f}\x{e80}-\x{eff}ក-\x{17ff}က-႟ꩠ-ꩿꧠ-\x{a9ff}가-\x{d7af}ᄀ-ᇿ]+",
            DEEPSEEK3,
        ],
        ..ROW
    },
    PreTokenizer { names: &["bloom", "poro-chat", "gpt3-finnish"], patterns: &[BLOOM], ..ROW },
    PreTokenizer { names: &["viking"], patterns: &[BLOOM, DIGIT], ..ROW },
    PreTokenizer {
        names: &["chameleon"],
        patterns: &[
            r"<sentinel:[0-9]+>",
            r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
            r"([\t\n]|    |  )",
            DIGIT,
            r"[\p{P}!-/:-@\[-`{-~]",
            GPT2,
        ],
        add_bos: true,
        ..ROW
    },
    PreTokenizer { names: &["superbpe"], patterns: &[r"\p{N}+", r"(?=(\d{3})+(?!\d))"], ..ROW },
    // Byte pairs on the text itself, spelled as in SentencePiece.
    PreTokenizer {
        names: &["gemma4", "granite-embed-multi-311m"],
        patterns: &[LINES],
        ignore_merges: false,
        add_bos: true,
        blocks: true,
        ..ROW
    },
    PreTokenizer { names: &["sarvam-moe"], patterns: &[LINES], blocks: true, ..ROW },
];

/// The row of this name; `default` if the file has none.
///
/// # Errors
/// [`Error::UnsupportedTokenizer`] for a name without a row: a wrong guess would silently make
/// answers worse.
pub(super) fn find(name: Option<&str>) -> Result<&'static PreTokenizer> {
    let name = name.unwrap_or("default");
    TABLE.iter().find(|row| row.names.contains(&name)).ok_or_else(|| Error::UnsupportedTokenizer {
        what: "tokenizer.ggml.pre".into(),
        found: name.into(),
        known: TABLE.iter().flat_map(|row| row.names).copied().collect::<Vec<_>>().join(", "),
    })
}

/// A name of the row with these properties.
pub(super) fn named(patterns: &[String], ignore_merges: bool, nfc: bool) -> Option<&'static str> {
    let same = |row: &&PreTokenizer| {
        !row.blocks && row.ignore_merges == ignore_merges && row.nfc == nfc && row.patterns.iter().eq(patterns)
    };
    TABLE.iter().find(same).and_then(|row| row.names.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = find(Some("nobody-bpe")).unwrap_err().to_string();
        assert!(error.contains("`nobody-bpe`") && error.contains("gpt-2, phi-2"), "{error}");
        assert_eq!(find(None).unwrap().names, ["default"]);
    }

    #[test]
    fn every_name_means_one_row_and_every_pattern_compiles() {
        let names: Vec<_> = TABLE.iter().flat_map(|row| row.names).collect();
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len());
        for pattern in TABLE.iter().flat_map(|row| row.patterns) {
            fancy_regex::Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        }
    }
}
