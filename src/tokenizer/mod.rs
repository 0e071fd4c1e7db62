//! Text ↔ ids, stop strings and chat templates.
//!
//! The kinds of vocabulary in GGUF files and `tokenizer.json`: BPE by merges, byte-level or not
//! (`gpt2`, `gemma4`), SentencePiece BPE (`llama`) and unigram (`t5`), WordPiece (`bert`), and the
//! longest tokens (`rwkv`). All kinds share the first step: text is cut at special tokens, then
//! each stretch between them is encoded.
//!
//! Text from a user must not become a special token: a typed `<|im_end|>` has to stay several
//! ordinary tokens, or it would end a turn. Such text is encoded with `parse_special: false`, or
//! marked as given in a rendered [`Text`].

mod bpe;
mod charsmap;
mod chat_template;
mod detokenize;
mod fim;
mod hugging_face;
mod model;
mod pre_tokenizer;
mod segments;
mod sentencepiece;
mod special;
mod spelling;
mod stop;
mod structure;
mod vocabulary;
mod word_piece;
mod world;

pub use chat_template::{
    ChatTemplate, ChatTemplates, Content, Conversation, DEFAULT_TEMPLATE, IMAGE, Message, RenderOptions,
};

pub use detokenize::Detokenizer;
pub use hugging_face::FolderOptions;
pub use segments::Segments;
pub use stop::{StopMatcher, StopOutcome};
pub use vocabulary::{FimIds, Strip, Vocabulary};

use fim::Fim;
use model::TokenizerModel;
use special::{Fragment, SpecialTokens};
use spelling::{Prefixed, SpacePrefix, Spelling};
use structure::Structure;
use vocabulary::TokenKind;

use crate::{Error, Result};

pub use crate::jinja::Text;

/// Texts of the mask token, for files that do not name it.
const MASK_TOKENS: &[&str] = &["[MASK]", "<mask>"];

/// How [`Tokenizer::encode`] treats special tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Add `bos`, `eos` and `sep` as the model file says, unless the text already has them.
    pub add_special: bool,
    /// Turn control tokens spelled in the text into those tokens: for text from a template, never
    /// from a user.
    pub parse_special: bool,
}

/// Encodes and decodes with one vocabulary. Has no state: share it freely.
pub struct Tokenizer {
    tokens: Vec<String>,
    kinds: Vec<TokenKind>,
    model: TokenizerModel,
    special: SpecialTokens,
    bos: Option<u32>,
    eos: Option<u32>,
    sep: Option<u32>,
    mask: Option<u32>,
    /// Tokens between the two texts of a pair.
    between: Vec<u32>,
    /// Ids that end an answer (end of generation), ascending.
    ends: Vec<u32>,
    fim: Option<Fim>,
    add_bos: bool,
    add_eos: bool,
    add_sep: bool,
    /// Tokens after `bos` at the beginning of a text.
    after_bos: Vec<u32>,
    prefixed: Prefixed,
}

impl Tokenizer {
    /// Builds the tokenizer of a model without a vocabulary: ids only; text gives
    /// [`Error::NoTokenizer`]. `vocabulary` holds the name of the kind, `none` or `no_vocab`, and
    /// the ids that end an answer.
    ///
    /// # Errors
    /// None if `size` is above 0.
    pub fn without_text(mut vocabulary: Vocabulary, size: usize) -> Result<Self> {
        vocabulary.tokens = vec![String::new(); size];
        vocabulary.token_types.clear();
        let mut kinds = vocabulary.kinds()?;
        kinds.fill(TokenKind::Normal);
        let structure = structure::assign(&vocabulary, &mut kinds);
        let model = TokenizerModel::None(std::mem::take(&mut vocabulary.model));
        Self::with_model(vocabulary, kinds, structure, model)
    }

    /// Builds the tokenizer that `vocabulary` describes.
    ///
    /// # Errors
    /// [`Error::UnsupportedTokenizer`] for an unknown model or pre-tokenizer,
    /// [`Error::InvalidModel`] if the lists contradict each other.
    pub fn new(mut vocabulary: Vocabulary) -> Result<Self> {
        let mut kinds = vocabulary.kinds()?;
        vocabulary.name_defaults(&kinds);
        let structure = structure::assign(&vocabulary, &mut kinds);
        let model = TokenizerModel::new(&mut vocabulary, &kinds)?;
        Self::with_model(vocabulary, kinds, structure, model)
    }

    fn with_model(
        vocabulary: Vocabulary,
        kinds: Vec<TokenKind>,
        structure: Structure,
        model: TokenizerModel,
    ) -> Result<Self> {
        let Vocabulary { tokens, bos, eos, sep, mask, .. } = vocabulary;
        let Structure { ends, fim } = structure;
        let special = SpecialTokens::new(&tokens, &kinds, &vocabulary.strip, |token| match model.spelling() {
            Spelling::Bytes | Spelling::WordEnds | Spelling::Escapes => token.to_owned(),
            Spelling::Blocks | Spelling::Words => sentencepiece::unescape(token),
        })?;
        let flag = |flag: Option<bool>| flag.unwrap_or(false);
        let (add_bos, add_eos, add_sep) =
            (flag(vocabulary.add_bos), flag(vocabulary.add_eos), flag(vocabulary.add_sep));
        let is_mask = |id: &usize| kinds[*id].is_structure() && MASK_TOKENS.contains(&tokens[*id].as_str());
        let mask = mask.or_else(|| (0..tokens.len()).find(is_mask).and_then(|id| u32::try_from(id).ok()));
        let between = eos.filter(|_| add_eos).into_iter().chain(sep.filter(|_| add_sep)).collect();
        let (after_bos, prefixed) = (Vec::new(), Prefixed::AfterMarks);
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

    /// Checks that the model has a vocabulary of texts.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`] if it has none.
    pub fn check_text(&self) -> Result<()> {
        match &self.model {
            TokenizerModel::None(name) => Err(Error::NoTokenizer(name.clone())),
            _ => Ok(()),
        }
    }

    /// Encodes `text`.
    ///
    /// # Errors
    /// [`Error::Tokenize`] if the vocabulary cannot spell the text.
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

    /// The ids of plain text within a text.
    pub fn encode_further(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.encode_into(text, false, EncodeOptions::default(), &mut ids)?;
        Ok(ids)
    }

    /// Appends the ids of `text`, without `bos`, `eos` and `sep`. `starts`: the space prefix is
    /// due.
    fn encode_into(&self, text: &str, starts: bool, options: EncodeOptions, ids: &mut Vec<u32>) -> Result<()> {
        self.encode_fragments(self.special.split(text, options.parse_special), starts, ids)
    }

    /// Encodes the output of a chat template. Text that was given to the template stays plain text.
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
                (Fragment::Text(text), TokenizerModel::Bpe(model)) => model.encode(text, starts, ids)?,
                (Fragment::Text(text), TokenizerModel::WordPiece(model)) => model.encode(text, ids)?,
                (Fragment::Text(text), TokenizerModel::SentencePiece(model)) => {
                    model.encode(&self.tokens, text, starts, ids)?
                }
                (Fragment::Text(text), TokenizerModel::World(model)) => model.encode(text, ids),
                (Fragment::Text(_), TokenizerModel::None(_)) => {}
            }
            starts = matches!(fragment, Fragment::Token(id) if self.prefixes_after(id));
        }
        Ok(())
    }

    fn prefixes_after(&self, id: u32) -> bool {
        match self.prefixed {
            Prefixed::AtStart => false,
            Prefixed::AfterTokens => true,
            Prefixed::AfterMarks => self.is_structure(id) || self.token(id).is_some_and(structure::has_brackets),
        }
    }

    /// Decodes `ids`. With `skip_special`, control and unknown tokens give no text. Removes the
    /// space that encoding put before the text, WordPiece's space before its first word, and the
    /// space after GPT-1's last. Bytes that are not UTF-8 become U+FFFD.
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
            TokenizerModel::Bpe(model) => model.space_prefix() != SpacePrefix::No,
            TokenizerModel::SentencePiece(model) => model.space_prefix() != SpacePrefix::No,
            TokenizerModel::WordPiece(_) => true,
            TokenizerModel::World(_) | TokenizerModel::None(_) => false,
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

    /// The token as the model file spells it (`Ġthe`, `▁the`, `<0x0A>`); `None` outside the
    /// vocabulary.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize).map(String::as_str)
    }

    /// Whether `id` is a control or unknown token: structure rather than text.
    pub fn is_special(&self, id: u32) -> bool {
        self.kinds.get(id as usize).is_some_and(|kind| kind.is_special())
    }

    /// Whether `id` is structure, which text becomes only if special tokens are parsed: see
    /// [`structure`].
    pub fn is_structure(&self, id: u32) -> bool {
        self.kinds.get(id as usize).is_some_and(|kind| kind.is_structure())
    }

    /// The ids of the special tokens with these names; names without a token are skipped.
    pub fn special_ids(&self, names: &[String]) -> Vec<u32> {
        let named = |id: &u32| self.is_special(*id) && names.contains(&self.tokens[*id as usize]);
        if names.is_empty() { Vec::new() } else { (0..self.tokens.len() as u32).filter(named).collect() }
    }

    /// Token at the beginning of a text.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Token at the end of a text.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Token that marks a gap for the model to fill, as in BERT.
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

    /// The bytes of all tokens, concatenated, and the end of each. Special tokens begin with 0xFF,
    /// which no UTF-8 text contains; tokens that no text contains have no bytes.
    pub fn vocabulary(&self) -> (Vec<u8>, Vec<u32>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(self.tokens.len()));
        for (id, kind) in (0..).zip(&self.kinds) {
            let start = bytes.len();
            if self.is_special(id) {
                bytes.push(0xff);
            }
            // cannot fail: `id` is in the vocabulary
            let _ = self.push_bytes(id, &mut bytes);
            if *kind == TokenKind::Unused || (!self.is_special(id) && bytes.get(start) == Some(&0xff)) {
                bytes.truncate(start);
            }
            ends.push(bytes.len() as u32);
        }
        (bytes, ends)
    }

    /// Whether `id` ends an answer: see [`structure`].
    pub fn is_end_of_generation(&self, id: u32) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// The bytes of a token, not necessarily whole characters; the name of a special token.
    ///
    /// # Errors
    /// [`Error::Tokenize`] for an id outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.push_bytes(id, &mut bytes)?;
        Ok(bytes)
    }

    /// Appends the bytes of a token.
    fn push_bytes(&self, id: u32, bytes: &mut Vec<u8>) -> Result<()> {
        let (Some(token), Some(kind)) = (self.tokens.get(id as usize), self.kinds.get(id as usize)) else {
            let size = self.tokens.len();
            return Err(Error::Tokenize(format!("id {id} is outside the vocabulary of {size} tokens")));
        };
        match (self.model.spelling(), kind) {
            (_, TokenKind::Control | TokenKind::Unknown)
            | (Spelling::Bytes | Spelling::WordEnds | Spelling::Escapes, TokenKind::UserDefined | TokenKind::Mark) => {
                bytes.extend_from_slice(token.as_bytes());
            }
            (Spelling::Bytes, _) => bpe::push_bytes(token, bytes),
            (Spelling::Escapes, _) => bytes.extend(world::unescaped(token)),
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
