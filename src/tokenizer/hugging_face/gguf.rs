//! `tokenizer.json` → the vocabulary of the same tokenizer in GGUF, for programs that read only
//! GGUF.

use std::collections::HashMap;

use super::super::pre_tokenizer;
use super::super::{SpacePrefix, Spelling, TokenizerModel};
use super::{File, FolderOptions, Merge, Steps, Tokenizer, Vocab, invalid, unsupported};
use crate::Result;
use crate::tokenizer::{Strip, Vocabulary};

impl Vocabulary {
    /// Converts the files of a folder. For SentencePiece, GGUF has scores instead of merges; these
    /// lead to the same merges.
    ///
    /// # Errors
    /// Those of [`Tokenizer::from_folder`]; `UnsupportedTokenizer` if GGUF has no name for the
    /// pre-tokenizer.
    pub fn from_folder(json: &str, config: Option<&str>, options: &FolderOptions) -> Result<Self> {
        let (tokenizer, _) = Tokenizer::from_folder(json, config, options)?;
        let file: File = serde_json::from_str(json).map_err(|error| invalid("tokenizer.json", error))?;
        let steps = Steps::new(file.normalizer.as_ref(), file.pre_tokenizer.as_ref())?;
        let Tokenizer { tokens, kinds, model, bos, eos, sep, mask, add_bos, add_eos, add_sep, .. } = tokenizer;
        let find = |text: &String| tokens.iter().position(|token| token == text).and_then(|id| u32::try_from(id).ok());
        let merges = file.model.merges.iter().map(|merge| match merge {
            Merge::Pair([left, right]) => format!("{left} {right}"),
            Merge::Line(line) => line.clone(),
        });
        let mut vocabulary = Self {
            unk: file.model.unk_id.or_else(|| file.model.unk_token.as_ref().and_then(find)),
            token_types: kinds.iter().map(|kind| kind.to_gguf()).collect(),
            strip: Vec::<Strip>::new(),
            add_bos: Some(add_bos),
            add_eos: Some(add_eos),
            add_sep: Some(add_sep),
            bos,
            eos,
            sep,
            mask,
            ..Self::default()
        };
        match &model {
            TokenizerModel::Bpe(bpe) if bpe.spelling() == Spelling::Bytes => {
                let name = pre_tokenizer::named(&steps.patterns, file.model.ignore_merges, steps.nfc);
                let found =
                    || unsupported("pre_tokenizer", &format!("{:?}, for which GGUF has no name", steps.patterns));
                vocabulary.model = "gpt2".into();
                vocabulary.pre = Some(name.ok_or_else(found)?.into());
                vocabulary.merges = merges.collect();
            }
            TokenizerModel::Bpe(bpe) if bpe.spelling() == Spelling::Blocks => {
                vocabulary.model = "llama".into();
                vocabulary.scores = scores_of(&tokens, merges);
                vocabulary.add_space_prefix = Some(steps.prefix != SpacePrefix::No);
            }
            TokenizerModel::Bpe(_) => return Err(unsupported("model", "BPE that GGUF has no name for")),
            TokenizerModel::SentencePiece(_) => {
                vocabulary.model = "t5".into();
                if let Vocab::Scores(scores) = &file.model.vocab {
                    vocabulary.scores = scores.iter().map(|(_, score)| *score).collect();
                }
                vocabulary.scores.resize(tokens.len(), 0.0);
                vocabulary.add_space_prefix = Some(steps.prefix != SpacePrefix::No);
                vocabulary.remove_extra_whitespaces = Some(steps.remove_extra_whitespaces);
                vocabulary.precompiled_charsmap = steps.charsmap;
            }
            TokenizerModel::World(_) | TokenizerModel::None(_) => {}
            TokenizerModel::WordPiece(_) => {
                vocabulary.model = "bert".into();
                vocabulary.lowercase = steps.bert.map(|bert| bert.lowercase);
                vocabulary.strip_accents = steps.bert.and_then(|bert| bert.strip_accents);
            }
        }
        vocabulary.tokens = tokens;
        Ok(vocabulary)
    }
}

/// Scores in the order of the merges: a token that is merged earlier scores higher.
fn scores_of(tokens: &[String], merges: impl Iterator<Item = String>) -> Vec<f32> {
    let mut ranks = HashMap::new();
    for (rank, merge) in merges.enumerate() {
        ranks.entry(merge.replacen(' ', "", 1)).or_insert(rank);
    }
    tokens.iter().map(|token| -(ranks.get(token).copied().unwrap_or(0) as f32)).collect()
}
