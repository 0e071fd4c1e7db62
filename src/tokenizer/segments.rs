//! Input of an encoder: one text or two, with special tokens.

use std::ops::Range;

use super::{Text, Tokenizer};
use crate::Result;

/// One text or two with special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    /// `[CLS] first [SEP]` or `[CLS] first [SEP] second [SEP]`, in BERT's terms.
    pub ids: Vec<u32>,
    /// The tokens of the first text.
    pub first: Range<usize>,
    /// Index of the first token that belongs to the second text; `None` for one text.
    pub second: Option<usize>,
}

impl Tokenizer {
    /// Joins texts that were encoded without special tokens.
    pub fn segments(&self, first: &[u32], second: Option<&[u32]>) -> Segments {
        let bos = self.bos.filter(|_| self.add_bos);
        let eos = self.eos.filter(|_| self.add_eos);
        let sep = self.sep.filter(|_| self.add_sep && (!self.add_eos || self.sep != self.eos));
        let mut ids: Vec<u32> = bos.into_iter().chain(first.iter().copied()).collect();
        let begin = ids.len() - first.len();
        let start = second.map(|second| {
            ids.extend(&self.between);
            let start = ids.len();
            ids.extend(second);
            start
        });
        ids.extend(eos.into_iter().chain(sep));
        Segments { ids, first: begin..begin + first.len(), second: start }
    }

    /// Encodes plain text in which only the mask token is parsed. Errors: those of
    /// [`Tokenizer::encode`].
    pub fn encode_masked(&self, text: &str) -> Result<Vec<u32>> {
        let Some(mask) = self.mask.and_then(|mask| self.token(mask)) else {
            return self.encode_rendered(&Text::given(text));
        };
        let pieces = text.split(mask).flat_map(|piece| [Text::template(mask), Text::given(piece)]);
        self.encode_rendered(&pieces.skip(1).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Vocabulary;

    /// `[CLS]`, `[SEP]`, `[MASK]`, `[UNK]` and three words. RoBERTa's end of text is `[SEP]` too.
    fn tokenizer(roberta: bool) -> Tokenizer {
        let tokens = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "▁a", "▁b", "▁["];
        Tokenizer::new(Vocabulary {
            model: "bert".into(),
            tokens: tokens.map(String::from).to_vec(),
            token_types: vec![3, 3, 3, 3, 1, 1, 1],
            eos: roberta.then_some(1),
            add_eos: Some(roberta),
            ..Vocabulary::default()
        })
        .unwrap()
    }

    #[test]
    fn one_and_two_texts_get_their_special_tokens() {
        let bert = tokenizer(false);
        assert_eq!(bert.segments(&[4, 5], None), Segments { ids: vec![0, 4, 5, 1], first: 1..3, second: None });
        let pair = Segments { ids: vec![0, 4, 1, 5, 5, 1], first: 1..2, second: Some(3) };
        assert_eq!(bert.segments(&[4], Some(&[5, 5])), pair);
        let roberta = tokenizer(true);
        assert_eq!(roberta.segments(&[4], None).ids, [0, 4, 1]);
        let pair = Segments { ids: vec![0, 4, 1, 1, 5, 1], first: 1..2, second: Some(4) };
        assert_eq!(roberta.segments(&[4], Some(&[5])), pair);
    }

    #[test]
    fn only_the_mask_token_is_parsed() {
        let bert = tokenizer(false);
        assert_eq!(bert.encode_masked("a [MASK] b").unwrap(), [4, 2, 5]);
        assert_eq!(bert.encode_masked("[MASK][MASK]").unwrap(), [2, 2]);
        assert!(!bert.encode_masked("a [SEP] b [MASK]").unwrap().contains(&1));
    }
}
