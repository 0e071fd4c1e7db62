//! The steps before the model: normalizer and pre-tokenizer.

use serde_json::Value;

use super::super::pre_tokenizer::{DIGIT, GPT2, PUNCTUATION};
use super::super::sentencepiece::SPACE;
use super::super::{SpacePrefix, word_piece};
use super::{each, invalid, kind_of, short, unsupported};
use crate::Result;

/// The combined effect of normalizer and pre-tokenizer.
#[derive(Default)]
pub(super) struct Steps {
    pub patterns: Vec<String>,
    pub nfc: bool,
    pub byte_level: bool,
    /// A space becomes `▁`.
    pub blocks: bool,
    /// Whether a space goes before a text.
    pub prefix: SpacePrefix,
    /// Tokens do not cross words.
    pub split_words: bool,
    /// The space prefix is not repeated after special tokens.
    pub prefix_once: bool,
    pub remove_extra_whitespaces: bool,
    pub charsmap: Vec<u8>,
    pub bert: Option<tokenizers::normalizers::BertNormalizer>,
}

impl Steps {
    pub(super) fn new(normalizer: Option<&Value>, pre_tokenizer: Option<&Value>) -> Result<Self> {
        let mut steps = Self::default();
        normalizer.map_or(Ok(()), |step| steps.normalizer(step))?;
        pre_tokenizer.map_or(Ok(()), |step| steps.pre_tokenizer(step))?;
        Ok(steps)
    }

    /// Refuses steps that a model of this kind would ignore. `word_ends`: BPE with `</w>` at the
    /// end of words.
    pub(super) fn check(&self, kind: &str, word_ends: bool) -> Result<()> {
        let of_bpe = !self.patterns.is_empty() || self.nfc || self.byte_level;
        let of_unigram = !self.charsmap.is_empty() || self.remove_extra_whitespaces;
        let prefix = self.prefix != SpacePrefix::No;
        let stray = match kind {
            "BPE" if word_ends => of_bpe || of_unigram || self.blocks || prefix || self.bert.is_none(),
            "BPE" => of_unigram || self.bert.is_some(),
            "Unigram" => of_bpe || self.bert.is_some(),
            _ => of_bpe || of_unigram || self.blocks || prefix,
        };
        if stray {
            Err(unsupported("normalizer and pre_tokenizer", &format!("steps of another model than {kind}")))
        } else {
            Ok(())
        }
    }

    fn normalizer(&mut self, step: &Value) -> Result<()> {
        let flag = |name: &str| step[name].as_bool();
        match (kind_of(step), &step["pattern"]) {
            ("Sequence", _) => return each(&step["normalizers"], |step| self.normalizer(step)),
            ("NFC", _) => self.nfc = true,
            ("Prepend", _) if step["prepend"] == SPACE => self.prefix = SpacePrefix::Yes,
            ("Replace", pattern) if pattern["String"] == " " && step["content"] == SPACE => self.blocks = true,
            // SentencePiece reduces runs of spaces to one.
            ("Replace", pattern) if pattern["Regex"] == " {2,}" => self.remove_extra_whitespaces = true,
            ("Strip", _) if flag("strip_right") == Some(true) => self.remove_extra_whitespaces = true,
            ("Precompiled", _) => self.charsmap = base64(step["precompiled_charsmap"].as_str().unwrap_or_default())?,
            ("BertNormalizer", _)
                if flag("clean_text") != Some(false) && flag("handle_chinese_chars") != Some(false) =>
            {
                let lowercase = flag("lowercase").unwrap_or(true);
                self.bert = Some(word_piece::normalizer(lowercase, flag("strip_accents")));
            }
            _ => return Err(unsupported("normalizer", &short(step))),
        }
        Ok(())
    }

    fn add_prefix(&mut self, add: bool) {
        if add && self.prefix == SpacePrefix::No {
            self.prefix = SpacePrefix::IfMissing;
        }
    }

    fn pre_tokenizer(&mut self, step: &Value) -> Result<()> {
        let whole = |name: &str, default: bool| step[name].as_bool().unwrap_or(default);
        let behavior = step["behavior"].as_str().unwrap_or_default();
        match kind_of(step) {
            "Sequence" => return each(&step["pretokenizers"], |step| self.pre_tokenizer(step)),
            "Split" if behavior == "Isolated" || (behavior == "Removed" && step["invert"] == true) => {
                match &step["pattern"]["Regex"] {
                    Value::String(pattern) => self.patterns.push(pattern.clone()),
                    _ => return Err(unsupported("pre_tokenizer", &short(step))),
                }
            }
            // Spaces have become `▁` before this step.
            "Split" if step["pattern"]["String"] == " " && self.blocks => {}
            "Digits" => {
                let digits = if whole("individual_digits", false) { DIGIT } else { r"\p{N}+" };
                self.patterns.push(digits.into());
            }
            "Punctuation" if behavior == "Contiguous" => self.patterns.push(PUNCTUATION.into()),
            "ByteLevel" => {
                self.byte_level = true;
                self.add_prefix(whole("add_prefix_space", true));
                if whole("use_regex", true) {
                    self.patterns.push(GPT2.into());
                }
            }
            "Metaspace" if step["replacement"].as_str().is_none_or(|replacement| replacement == SPACE) => {
                let old = if whole("add_prefix_space", true) { "always" } else { "never" };
                let scheme = step["prepend_scheme"].as_str().unwrap_or(old);
                // the prefix would go before every piece
                if scheme == "always" && !self.patterns.is_empty() {
                    return Err(unsupported(
                        "pre_tokenizer",
                        &format!("{} after a step that cuts the text", short(step)),
                    ));
                }
                self.blocks = true;
                // a normalizer's prefix also applies after special tokens
                self.prefix_once = scheme == "first" && self.prefix == SpacePrefix::No;
                self.add_prefix(scheme != "never");
                self.split_words |= whole("split", true);
            }
            // Metaspace follows, and by then SentencePiece's text has no white space other than
            // spaces.
            "WhitespaceSplit" => self.remove_extra_whitespaces = true,
            "BertPreTokenizer" => {}
            _ => return Err(unsupported("pre_tokenizer", &short(step))),
        }
        Ok(())
    }
}

/// Decodes base64; white space and padding are skipped.
fn base64(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace() && *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(invalid("precompiled_charsmap", format!("`{}` in base64", c as char))),
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_and_checked() {
        assert_eq!(base64("AP9h\nYg==").unwrap(), [0, 255, b'a', b'b']);
        assert!(base64("A-==").is_err());
    }
}
