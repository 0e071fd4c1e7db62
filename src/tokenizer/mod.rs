//! Ids ↔ text, stop strings and chat templates.
//!
//! The kinds of vocabulary that GGUF files and `tokenizer.json` carry: BPE by merges, byte-level or
//! not (`gpt2`, `gemma4`), SentencePiece BPE (`llama`) and unigram (`t5`), and WordPiece (`bert`).
//! Around all lies the same frame: text is first cut at special tokens, then each stretch between
//! them is encoded by its kind. Text from a user is encoded with `parse_special: false`, or stands
//! in a rendered [`Text`] as given to the template, so that a typed `<|im_end|>` stays six or so
//! ordinary tokens and cannot end a turn.

mod bpe;
mod charsmap;
mod chat_template;
mod detokenize;
mod fim;
mod hugging_face;
mod pre_tokenizer;
mod segments;
mod sentencepiece;
mod special;
mod stop;
mod structure;
mod vocabulary;
mod word_piece;

pub use chat_template::{ChatTemplate, ChatTemplates, Content, Conversation, DEFAULT_TEMPLATE, Message, RenderOptions};

pub use detokenize::Detokenizer;
pub use hugging_face::FolderOptions;
pub use segments::Segments;
pub use stop::{StopMatcher, StopOutcome};
pub use vocabulary::{FimIds, Strip, Vocabulary};

use bpe::Bpe;
use charsmap::CharsMap;
use fim::Fim;
use sentencepiece::SentencePiece;
use special::{Fragment, SpecialTokens};
use structure::Structure;
use vocabulary::TokenKind;
use word_piece::WordPiece;

use crate::{Error, Result};

pub use crate::jinja::Text;

/// Texts of the token that stands for one to be filled in, where a file does not name it.
const MASK_TOKENS: &[&str] = &["[MASK]", "<mask>"];

/// What tokens are spelled in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Spelling {
    /// A printable character a byte.
    #[default]
    Bytes,
    /// Text, with `▁` for a space; `<0xXX>` for a byte.
    Blocks,
    /// Text, with `▁` where a word begins.
    Words,
    /// Text, with `</w>` where a word ends.
    WordEnds,
}

/// Whether a text is encoded as if a space preceded it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum SpacePrefix {
    #[default]
    No,
    /// Where it begins with none: byte-level vocabularies, and Hugging Face's Metaspace.
    IfMissing,
    /// Also where it begins with one: SentencePiece.
    Yes,
}

impl SpacePrefix {
    /// Whether a space goes before `text`, which stands at a place where one is due.
    fn applies(self, text: &str) -> bool {
        match self {
            Self::No => false,
            Self::IfMissing => !text.starts_with([' ', '▁']),
            Self::Yes => !text.is_empty(),
        }
    }
}

/// Where else than at its start the space is due that may go before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefixed {
    /// Nowhere.
    Once,
    /// Behind every token that is matched whole, as `tokenizer.json` has it.
    BehindTokens,
    /// Behind structure and what has the form of it. GGUF files do not tell the tokens that were
    /// added to a SentencePiece vocabulary, behind which transformers and llama.cpp put a space,
    /// from its own user-defined symbols, within words or runs of spaces, behind which it puts
    /// none.
    BehindMarks,
}

/// How [`Tokenizer::encode`] treats special tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Add `bos`, `eos` and `sep` where the model file asks for them. One that the text spells out already is not doubled.
    pub add_special: bool,
    /// Let control tokens spelled in the text become those tokens: for text from a template, never from a user.
    pub parse_special: bool,
}

/// Encodes and decodes with one vocabulary. Stateless: share it freely.
pub struct Tokenizer {
    tokens: Vec<String>,
    kinds: Vec<TokenKind>,
    model: Model,
    special: SpecialTokens,
    bos: Option<u32>,
    eos: Option<u32>,
    sep: Option<u32>,
    mask: Option<u32>,
    /// What stands between two texts that are read together.
    between: Vec<u32>,
    /// Ids that end an answer, ascending.
    ends: Vec<u32>,
    fim: Option<Fim>,
    add_bos: bool,
    add_eos: bool,
    add_sep: bool,
    /// What follows `bos` at the beginning of a text.
    after_bos: Vec<u32>,
    prefixed: Prefixed,
}

enum Model {
    Bpe(Box<Bpe>),
    SentencePiece(SentencePiece),
    WordPiece(Box<WordPiece>),
    /// Ids alone; the name by which the file says so.
    None(String),
}

impl Model {
    /// The model that `vocabulary` names. Fills in what a file of its kind leaves out.
    fn new(vocabulary: &mut Vocabulary, kinds: &[TokenKind]) -> Result<Self> {
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
            found => {
                let (what, known) = ("tokenizer.ggml.model".into(), "gpt2, gemma4, llama, t5, bert".into());
                return Err(Error::UnsupportedTokenizer { what, found: found.into(), known });
            }
        })
    }

    fn spelling(&self) -> Spelling {
        match self {
            Self::Bpe(model) => model.spelling(),
            Self::SentencePiece(_) => Spelling::Blocks,
            Self::WordPiece(_) => Spelling::Words,
            Self::None(_) => Spelling::Bytes,
        }
    }
}

impl Tokenizer {
    /// Of a model without a vocabulary: ids spell nothing, and text is [`Error::NoTokenizer`].
    /// `vocabulary` has the name of its kind, `none` or `no_vocab`, and the ids that end an answer.
    ///
    /// # Errors
    /// None for a `size` above 0.
    pub fn without_text(mut vocabulary: Vocabulary, size: usize) -> Result<Self> {
        vocabulary.tokens = vec![String::new(); size];
        vocabulary.token_types.clear();
        let mut kinds = vocabulary.kinds()?;
        kinds.fill(TokenKind::Normal);
        let structure = structure::assign(&vocabulary, &mut kinds);
        let model = Model::None(std::mem::take(&mut vocabulary.model));
        Self::with_model(vocabulary, kinds, structure, model)
    }

    /// Builds the tokenizer that `vocabulary` describes.
    ///
    /// # Errors
    /// [`Error::UnsupportedTokenizer`] for an unknown model or pre-tokeniser, [`Error::InvalidModel`] where the lists
    /// contradict each other.
    pub fn new(mut vocabulary: Vocabulary) -> Result<Self> {
        let mut kinds = vocabulary.kinds()?;
        vocabulary.name_defaults(&kinds);
        let structure = structure::assign(&vocabulary, &mut kinds);
        let model = Model::new(&mut vocabulary, &kinds)?;
        Self::with_model(vocabulary, kinds, structure, model)
    }

    fn with_model(vocabulary: Vocabulary, kinds: Vec<TokenKind>, structure: Structure, model: Model) -> Result<Self> {
        let Vocabulary { tokens, bos, eos, sep, mask, .. } = vocabulary;
        let Structure { ends, fim } = structure;
        let special = SpecialTokens::new(&tokens, &kinds, &vocabulary.strip, |token| match model.spelling() {
            Spelling::Bytes | Spelling::WordEnds => token.to_owned(),
            Spelling::Blocks | Spelling::Words => sentencepiece::unescape(token),
        })?;
        let flag = |flag: Option<bool>| flag.unwrap_or(false);
        let (add_bos, add_eos, add_sep) =
            (flag(vocabulary.add_bos), flag(vocabulary.add_eos), flag(vocabulary.add_sep));
        let is_mask = |id: &usize| kinds[*id].is_structure() && MASK_TOKENS.contains(&tokens[*id].as_str());
        let mask = mask.or_else(|| (0..tokens.len()).find(is_mask).and_then(|id| u32::try_from(id).ok()));
        let between = eos.filter(|_| add_eos).into_iter().chain(sep.filter(|_| add_sep)).collect();
        let (after_bos, prefixed) = (Vec::new(), Prefixed::BehindMarks);
        Ok(Self {
            tokens,
            kinds,
            model,
            special,
            bos,
            eos,
            sep,
            mask,
            between,
            ends,
            fim,
            add_bos,
            add_eos,
            add_sep,
            after_bos,
            prefixed,
        })
    }

    /// Whether the model takes and gives text.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`] where it does not.
    pub fn check_text(&self) -> Result<()> {
        match &self.model {
            Model::None(name) => Err(Error::NoTokenizer(name.clone())),
            _ => Ok(()),
        }
    }

    /// The ids of `text`.
    ///
    /// # Errors
    /// [`Error::Tokenize`] where the vocabulary cannot spell the text.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.encode_into(text, true, options, &mut ids)?;
        if options.add_special {
            if let Some(bos) = self.bos.filter(|bos| self.add_bos && ids.first() != Some(bos)) {
                ids.splice(0..0, [&[bos][..], &self.after_bos].concat());
            }
            if let Some(eos) = self.eos.filter(|eos| self.add_eos && ids.last() != Some(eos)) {
                ids.push(eos);
            }
            if let Some(sep) = self.sep.filter(|sep| self.add_sep && ids.last() != Some(sep)) {
                ids.push(sep);
            }
        }
        Ok(ids)
    }

    /// Appends the ids of `text`, with nothing around them. `starts`: the space that may go before
    /// a text is due.
    fn encode_into(&self, text: &str, starts: bool, options: EncodeOptions, ids: &mut Vec<u32>) -> Result<()> {
        self.encode_fragments(self.special.split(text, options.parse_special), starts, ids)
    }

    /// The ids of what a template made. What the template was given is plain text, whatever it
    /// spells.
    ///
    /// # Errors
    /// Those of [`Tokenizer::encode`].
    pub fn encode_rendered(&self, text: &Text) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.encode_fragments(self.special.split_rendered(text), true, &mut ids)?;
        Ok(ids)
    }

    fn encode_fragments(&self, fragments: Vec<Fragment>, mut starts: bool, ids: &mut Vec<u32>) -> Result<()> {
        self.check_text()?;
        for fragment in fragments {
            match (fragment, &self.model) {
                (Fragment::Token(id), _) => ids.push(id),
                (Fragment::Text(text), Model::Bpe(model)) => model.encode(text, starts, ids)?,
                (Fragment::Text(text), Model::WordPiece(model)) => model.encode(text, ids)?,
                (Fragment::Text(text), Model::SentencePiece(model)) => model.encode(&self.tokens, text, starts, ids)?,
                (Fragment::Text(_), Model::None(_)) => {}
            }
            starts = matches!(fragment, Fragment::Token(id) if self.prefixes_behind(id));
        }
        Ok(())
    }

    fn prefixes_behind(&self, id: u32) -> bool {
        match self.prefixed {
            Prefixed::Once => false,
            Prefixed::BehindTokens => true,
            Prefixed::BehindMarks => self.is_structure(id) || self.token(id).is_some_and(structure::has_brackets),
        }
    }

    /// The text of `ids`; with `skip_special`, control and unknown tokens give none. The space that encoding put
    /// before a text is taken off again, as is that before the first word of WordPiece and that after GPT-1's last. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`Error::Tokenize`] for an id outside the vocabulary.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.check_text()?;
        let mut stream = Detokenizer::new(skip_special);
        let mut text = String::new();
        for &id in ids {
            text.push_str(&stream.push(self, id)?);
        }
        text.push_str(&stream.flush());
        let prefixed = match &self.model {
            Model::Bpe(model) => model.space_prefix() != SpacePrefix::No,
            Model::SentencePiece(model) => model.space_prefix() != SpacePrefix::No,
            Model::WordPiece(_) => true,
            Model::None(_) => false,
        };
        if prefixed && text.starts_with(' ') {
            text.remove(0);
        }
        if self.model.spelling() == Spelling::WordEnds && text.ends_with(' ') {
            text.pop();
        }
        Ok(text)
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    /// The token as the model file spells it (`Ġthe`, `▁the`, `<0x0A>`); `None` outside the vocabulary.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize).map(String::as_str)
    }

    /// Whether `id` is a control or unknown token: structure rather than text.
    pub fn is_special(&self, id: u32) -> bool {
        self.kinds.get(id as usize).is_some_and(|kind| kind.is_special())
    }

    /// Whether text becomes `id` only where special tokens are parsed: see [`structure`].
    pub fn is_structure(&self, id: u32) -> bool {
        self.kinds.get(id as usize).is_some_and(|kind| kind.is_structure())
    }

    /// The special tokens with these names, of those that the vocabulary has.
    pub fn special_ids(&self, names: &[String]) -> Vec<u32> {
        let named = |id: &u32| self.is_special(*id) && names.contains(&self.tokens[*id as usize]);
        if names.is_empty() { Vec::new() } else { (0..self.tokens.len() as u32).filter(named).collect() }
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The token that stands for one to be filled in.
    pub fn mask(&self) -> Option<u32> {
        self.mask
    }

    /// Whether plain text is encoded with a leading `bos` (under [`EncodeOptions::add_special`]).
    pub fn adds_bos(&self) -> bool {
        self.add_bos && self.bos.is_some()
    }

    /// The tokens that end an answer, ascending.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The bytes of all tokens one after the other, and where each ends. Special tokens begin with 0xFF, which no text has; a token that no
    /// text can contain has no bytes.
    pub fn vocabulary(&self) -> (Vec<u8>, Vec<u32>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(self.tokens.len()));
        for (id, kind) in (0..).zip(&self.kinds) {
            let start = bytes.len();
            if self.is_special(id) {
                bytes.push(0xff);
            }
            // an id of the vocabulary
            let _ = self.push_bytes(id, &mut bytes);
            if *kind == TokenKind::Unused || (!self.is_special(id) && bytes.get(start) == Some(&0xff)) {
                bytes.truncate(start);
            }
            ends.push(bytes.len() as u32);
        }
        (bytes, ends)
    }

    /// Whether an answer is over when the model says `id`: see [`structure`].
    pub fn is_end_of_generation(&self, id: u32) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// The bytes that `id` stands for, which need not be whole characters; of a special token its name.
    ///
    /// # Errors
    /// [`Error::Tokenize`] for an id outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.push_bytes(id, &mut bytes)?;
        Ok(bytes)
    }

    /// Appends the bytes that `id` stands for.
    fn push_bytes(&self, id: u32, bytes: &mut Vec<u8>) -> Result<()> {
        let (Some(token), Some(kind)) = (self.tokens.get(id as usize), self.kinds.get(id as usize)) else {
            let size = self.tokens.len();
            return Err(Error::Tokenize(format!("id {id} is outside the vocabulary of {size} tokens")));
        };
        match (self.model.spelling(), kind) {
            (_, TokenKind::Control | TokenKind::Unknown)
            | (Spelling::Bytes | Spelling::WordEnds, TokenKind::UserDefined | TokenKind::Mark) => {
                bytes.extend_from_slice(token.as_bytes());
            }
            (Spelling::Bytes, _) => bpe::push_bytes(token, bytes),
            (Spelling::WordEnds, _) => bytes.extend_from_slice(token.replace(bpe::WORD_END, " ").as_bytes()),
            (Spelling::Blocks, TokenKind::Byte) => bytes.extend(sentencepiece::parse_byte(token)),
            (Spelling::Blocks | Spelling::Words, _) => {
                bytes.extend_from_slice(sentencepiece::unescape(token).as_bytes())
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
