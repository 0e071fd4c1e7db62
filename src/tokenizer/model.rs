//! The kinds of vocabulary behind one type.

use super::bpe::Bpe;
use super::charsmap::CharsMap;
use super::pre_tokenizer;
use super::sentencepiece::{self, SentencePiece};
use super::spelling::{SpacePrefix, Spelling};
use super::vocabulary::{TokenKind, Vocabulary};
use super::word_piece::{self, WordPiece};
use super::world::World;
use crate::{Error, Result};

pub(super) enum TokenizerModel {
    Bpe(Box<Bpe>),
    SentencePiece(SentencePiece),
    WordPiece(Box<WordPiece>),
    World(World),
    /// Ids only, no text. Holds the file's name for that: `none` or `no_vocab`.
    None(String),
}

impl TokenizerModel {
    /// Builds the kind that `vocabulary` names, and sets the defaults of that kind.
    pub(super) fn new(vocabulary: &mut Vocabulary, kinds: &[TokenKind]) -> Result<Self> {
        let tokens = &vocabulary.tokens;
        Ok(match vocabulary.model.as_str() {
            "gpt2" | "gemma4" => {
                let pre = if vocabulary.model == "gemma4" { Some("gemma4") } else { vocabulary.pre.as_deref() };
                let row = pre_tokenizer::find(pre)?;
                vocabulary.add_bos.get_or_insert(row.add_bos);
                vocabulary.add_sep.get_or_insert(row.add_sep);
                let merges = std::mem::take(&mut vocabulary.merges);
                Self::Bpe(Box::new(Bpe::new(tokens, kinds, merges, row.into())?))
            }
            kind @ ("llama" | "t5") => {
                let unigram = kind == "t5";
                vocabulary.add_bos.get_or_insert(!unigram);
                vocabulary.add_eos.get_or_insert(unigram);
                let options = sentencepiece::Options {
                    unigram,
                    space_prefix: match vocabulary.add_space_prefix {
                        Some(false) => SpacePrefix::No,
                        _ => SpacePrefix::Yes,
                    },
                    split_words: false,
                    remove_extra_whitespaces: vocabulary.remove_extra_whitespaces.unwrap_or(false),
                    charsmap: CharsMap::new(&vocabulary.precompiled_charsmap)?,
                };
                let scores = std::mem::take(&mut vocabulary.scores);
                Self::SentencePiece(SentencePiece::new(tokens, kinds, scores, vocabulary.unk, options)?)
            }
            "bert" => {
                let named = |name: &str| (0..).zip(tokens).find(|(_, token)| *token == name).map(|(id, _)| id);
                vocabulary.bos = vocabulary.bos.or_else(|| named("[CLS]"));
                vocabulary.sep = vocabulary.sep.or_else(|| named("[SEP]"));
                vocabulary.add_bos.get_or_insert(true);
                vocabulary.add_sep.get_or_insert(true);
                let normalizer = word_piece::normalizer(vocabulary.lowercase.unwrap_or(true), vocabulary.strip_accents);
                Self::WordPiece(Box::new(WordPiece::new(tokens, kinds, vocabulary.unk, normalizer)?))
            }
            "rwkv" => Self::World(World::new(vocabulary, kinds)),
            found => {
                let (what, known) = ("tokenizer.ggml.model".into(), "gpt2, gemma4, llama, t5, bert, rwkv".into());
                return Err(Error::UnsupportedTokenizer { what, found: found.into(), known });
            }
        })
    }

    pub(super) fn spelling(&self) -> Spelling {
        match self {
            Self::Bpe(model) => model.spelling(),
            Self::SentencePiece(_) => Spelling::Blocks,
            Self::WordPiece(_) => Spelling::Words,
            Self::World(_) => Spelling::Escapes,
            Self::None(_) => Spelling::Bytes,
        }
    }
}
