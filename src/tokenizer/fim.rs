//! Fill in the middle (FIM): a prompt for the text between a prefix and a suffix (Bavarian et al.
//! 2022, arXiv 2207.14255).
//!
//! A model trained for it has tokens that mark the three parts. Most models read prefix, suffix,
//! middle, the order of llama.cpp's `/infill`. Some families read the suffix first; Codestral also
//! has no token before the middle.

use super::vocabulary::{FimIds, Vocabulary};
use super::{EncodeOptions, Tokenizer};
use crate::Result;

/// Tokens of one model family.
struct Family {
    pre: &'static str,
    suf: &'static str,
    /// `None`: the middle directly follows the prefix.
    mid: Option<&'static str>,
    /// The suffix precedes the prefix.
    suffix_first: bool,
}

impl Family {
    const fn psm(pre: &'static str, suf: &'static str, mid: &'static str) -> Self {
        Self { pre, suf, mid: Some(mid), suffix_first: false }
    }

    const fn spm(pre: &'static str, suf: &'static str, mid: Option<&'static str>) -> Self {
        Self { pre, suf, mid, suffix_first: true }
    }
}

/// The first family whose tokens are all in the vocabulary counts.
const FAMILIES: &[Family] = &[
    // Qwen2.5-Coder, CodeGemma, Granite 4
    Family::psm("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    // StarCoder, Granite, Yi-Coder, StableCode
    Family::psm("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    // SantaCoder
    Family::psm("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    Family::psm("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    // Code Llama
    Family::psm("▁<PRE>", "▁<SUF>", "▁<MID>"),
    Family::psm("<PRE>", "<SUF>", "<MID>"),
    // GLM 4.5
    Family::psm("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
    // Falcon-H1-Tiny-Coder
    Family::psm("<|prefix|>", "<|suffix|>", "<|middle|>"),
    // Seed-Coder
    Family::spm("<[fim-prefix]>", "<[fim-suffix]>", Some("<[fim-middle]>")),
    // Codestral
    Family::spm("[PREFIX]", "[SUFFIX]", None),
];

/// Pre-tokenizers of models that read the suffix first although their tokens have the names of
/// another family.
const SUFFIX_FIRST: &[&str] = &["mellum", "mellum2"];

/// Tokens that end an answer when a gap is filled: padding, next file, next repository.
const ENDS: &[&str] = &[
    "<PAD>",
    "<REPO>",
    "<file_sep>",
    "<fim-pad>",
    "<fim-repo>",
    "<fim_pad>",
    "<repo_name>",
    "<reponame>",
    "<|file_sep|>",
    "<|fim_pad|>",
    "<|fim_repo|>",
    "<|repo_name|>",
];

/// How a gap is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fim {
    pre: u32,
    suf: u32,
    mid: Option<u32>,
    suffix_first: bool,
}

/// Fill-in-the-middle tokens of a vocabulary.
pub(super) struct Found {
    /// How a gap is filled; `None` if the model cannot.
    pub fim: Option<Fim>,
    /// Tokens that mark one of the parts.
    pub marks: Vec<u32>,
    /// Tokens that end an answer.
    pub ends: Vec<u32>,
}

/// Finds the tokens by the ids of the file, otherwise by name. `called` returns the structural
/// tokens with these names.
pub(super) fn find(vocabulary: &Vocabulary, called: impl Fn(&[&str]) -> Vec<u32>) -> Found {
    let one = |name: &str| called(&[name]).first().copied();
    let FimIds { pre, suf, mid, pad, rep, sep } = vocabulary.fim;
    let family = FAMILIES.iter().find_map(|family| {
        let (pre, suf) = (one(family.pre)?, one(family.suf)?);
        let mid = family.mid.map(one);
        (mid != Some(None)).then_some((pre, suf, mid.flatten(), family.suffix_first))
    });
    let (by_pre, by_suf, by_mid, by_order) = match family {
        Some((pre, suf, mid, suffix_first)) => (Some(pre), Some(suf), mid, Some(suffix_first)),
        None => (None, None, None, None),
    };
    let named = |pre: &str| vocabulary.pre.as_deref() == Some(pre);
    let suffix_first = by_order == Some(true) || SUFFIX_FIRST.iter().any(|pre| named(pre));
    let (pre, suf, mid) = (pre.or(by_pre), suf.or(by_suf), mid.or(by_mid));
    let fim = match (pre, suf, mid) {
        (Some(pre), Some(suf), mid) if mid.is_some() || suffix_first => Some(Fim { pre, suf, mid, suffix_first }),
        _ => None,
    };
    let marks = [pre, suf, mid].into_iter().flatten().collect();
    let mut ends: Vec<u32> = [pad, rep, sep].into_iter().flatten().collect();
    if fim.is_some() {
        ends.extend(called(ENDS));
    }
    Found { fim, marks, ends }
}

impl Tokenizer {
    /// Whether the model can fill gaps.
    pub fn fills_gaps(&self) -> bool {
        self.fim.is_some()
    }

    /// The prompt for a gap between `before`, the ids of a text without special tokens, and
    /// `behind`, plain text. `None` if the model was not trained for it.
    ///
    /// # Errors
    /// [`crate::Error::Tokenize`] if the vocabulary cannot spell the text.
    pub fn infill(&self, before: &[u32], behind: &str) -> Result<Option<Vec<u32>>> {
        let Some(Fim { pre, suf, mid, suffix_first }) = self.fim else { return Ok(None) };
        let bos = self.bos.filter(|_| self.adds_bos());
        let before = before.strip_prefix(bos.as_slice()).unwrap_or(before);
        // The suffix is the middle of a text, so no space prefix is due.
        let mut suffix = vec![suf];
        self.encode_into(behind, false, EncodeOptions::default(), &mut suffix)?;
        let prefix = [&[pre], before].concat();
        let parts = if suffix_first { [suffix, prefix] } else { [prefix, suffix] };
        Ok(Some(bos.into_iter().chain(parts.concat()).chain(mid).collect()))
    }

    /// Whether `id` marks a part of a prompt with a gap. A model that fills gaps ends its answer
    /// with one.
    pub fn marks_gaps(&self, id: u32) -> bool {
        self.fim.is_some_and(|fim| [Some(fim.pre), Some(fim.suf), fim.mid].contains(&Some(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The letters `a` to `d`, then `added` from id 4.
    fn tokenizer(added: &[&str], edit: impl FnOnce(&mut Vocabulary)) -> Tokenizer {
        let mut vocabulary = Vocabulary {
            model: "gpt2".into(),
            pre: Some("gpt-2".into()),
            tokens: ["a", "b", "c", "d"].iter().chain(added).map(ToString::to_string).collect(),
            token_types: [1; 4].into_iter().chain(added.iter().map(|_| 4)).collect(),
            ..Vocabulary::default()
        };
        edit(&mut vocabulary);
        Tokenizer::new(vocabulary).unwrap()
    }

    fn infill(tokenizer: &Tokenizer) -> Option<Vec<u32>> {
        tokenizer.infill(&[0, 1], "cd").unwrap()
    }

    #[test]
    fn each_family_marks_a_gap_with_its_tokens_in_its_order() {
        let psm = [4, 0, 1, 5, 2, 3, 6];
        for family in FAMILIES {
            let names: Vec<&str> = [family.pre, family.suf].into_iter().chain(family.mid).collect();
            let tokenizer = tokenizer(&names, |_| {});
            let expected = match (family.suffix_first, family.mid) {
                (false, _) => psm.to_vec(),
                (true, Some(_)) => vec![5, 2, 3, 4, 0, 1, 6],
                (true, None) => vec![5, 2, 3, 4, 0, 1],
            };
            assert_eq!(infill(&tokenizer).as_ref(), Some(&expected), "{}", family.pre);
            assert!(tokenizer.is_special(4) && tokenizer.marks_gaps(4) && !tokenizer.is_end_of_generation(4));
            let typed = tokenizer.encode(family.pre, EncodeOptions::default()).unwrap();
            assert!(!typed.contains(&4), "{}", family.pre);
        }
        let mellum = tokenizer(&["<fim_prefix>", "<fim_suffix>", "<fim_middle>"], |v| v.pre = Some("mellum".into()));
        assert_eq!(infill(&mellum).unwrap(), [5, 2, 3, 4, 0, 1, 6]);
    }

    #[test]
    fn ids_of_the_file_win_over_names() {
        let ids = FimIds { pre: Some(6), suf: Some(5), mid: Some(4), pad: Some(7), ..FimIds::default() };
        let other = tokenizer(&["<x>", "<y>", "<z>", "<p>"], |vocabulary| vocabulary.fim = ids);
        assert_eq!(infill(&other).unwrap(), [6, 0, 1, 5, 2, 3, 4]);
        assert!(other.is_end_of_generation(7) && other.is_special(7));
    }

    #[test]
    fn bos_is_not_doubled_and_the_next_file_ends_the_answer() {
        let names = ["<s>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>", "<|fim_pad|>"];
        let tokenizer = tokenizer(&names, |vocabulary| {
            (vocabulary.bos, vocabulary.add_bos) = (Some(4), Some(true));
        });
        let expected = vec![4, 5, 0, 6, 7];
        assert_eq!(tokenizer.infill(&[0], "").unwrap().as_ref(), Some(&expected));
        assert_eq!(tokenizer.infill(&[4, 0], "").unwrap(), Some(expected));
        assert_eq!(tokenizer.ends(), [8, 9]);
    }

    #[test]
    fn a_vocabulary_without_all_tokens_fills_no_gap() {
        for names in [&["<|fim_prefix|>", "<|fim_suffix|>"][..], &["<fim_prefix>"], &[]] {
            let tokenizer = tokenizer(names, |_| {});
            assert!(!tokenizer.fills_gaps() && infill(&tokenizer).is_none());
        }
    }

    /// Code Llama: the prefix gets a space prefix, the suffix does not.
    #[test]
    fn only_the_prefix_gets_a_space() {
        let tokens = ["<unk>", "▁", "a", "b", "▁a", "▁<PRE>", "▁<SUF>", "▁<MID>"];
        let tokenizer = Tokenizer::new(Vocabulary {
            model: "llama".into(),
            tokens: tokens.map(String::from).to_vec(),
            token_types: vec![2, 1, 1, 1, 1, 3, 3, 3],
            scores: vec![0.0; 8],
            ..Vocabulary::default()
        })
        .unwrap();
        let before = tokenizer.encode("a", EncodeOptions::default()).unwrap();
        assert_eq!(tokenizer.infill(&before, "b").unwrap().unwrap(), [5, 4, 6, 3, 7]);
    }
}
