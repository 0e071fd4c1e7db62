//! BPE by a list of merges: text → pieces → the characters that spell tokens → merges.
//!
//! Byte-level vocabularies spell every byte as a printable character. Gemma 4's vocabulary, and
//! SentencePiece vocabularies in a `tokenizer.json`, spell text as it is, a space as `▁`, and the
//! bytes of unknown characters as `<0xXX>`. GPT-1's is in lower case and ends each word with
//! `</w>`.
//!
//! The `tokenizers` crate merges. Text is cut into pieces here, on `&str`, with the crate's
//! regular-expression engine: the crate's own pre-tokenizers keep an offset for every byte (16
//! bytes each), and silently stop cutting when a pattern exceeds its backtracking limit.
//!
//! Bytes without a token are left out, as in the models' own tokenizers (SmolLM2 cannot spell
//! U+0004). An `unk` in their place would let user text produce a control token; only GPT-1's
//! vocabulary has an `unk` that is not one.

use std::borrow::Cow;

use fancy_regex::Regex;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{BertNormalizer, NFC};
use tokenizers::{Model, NormalizedString, Normalizer};

use super::pre_tokenizer::PreTokenizer;
use super::sentencepiece::SPACE;
use super::vocabulary::{TokenKind, invalid};
use super::word_piece;
use super::{SpacePrefix, Spelling};
use crate::{Error, Result};

/// Encodes text without special tokens.
pub(super) struct Bpe {
    bpe: BPE,
    options: BpeOptions,
    patterns: Vec<Regex>,
}

/// How text is prepared for merging.
#[derive(Debug, Clone, Default)]
pub(super) struct BpeOptions {
    /// Patterns that cut the text, applied one after another.
    pub patterns: Vec<String>,
    /// A piece that is a token becomes that token, even if no merges build it.
    pub ignore_merges: bool,
    /// Text is normalised to NFC first.
    pub nfc: bool,
    /// Whether encoding puts a space before a text.
    pub space_prefix: SpacePrefix,
    /// How tokens spell text.
    pub spelling: Spelling,
    /// Normalisation of words, for [`Spelling::WordEnds`].
    pub words: BertNormalizer,
    /// Token of unknown characters, for [`Spelling::WordEnds`].
    pub unk: Option<String>,
}

/// Ends the last token of a word.
pub(super) const WORD_END: &str = "</w>";

impl From<&PreTokenizer> for BpeOptions {
    fn from(row: &PreTokenizer) -> Self {
        Self {
            patterns: row.patterns.iter().map(ToString::to_string).collect(),
            ignore_merges: row.ignore_merges,
            nfc: row.nfc,
            space_prefix: SpacePrefix::No,
            spelling: if row.blocks { Spelling::Blocks } else { Spelling::Bytes },
            ..Self::default()
        }
    }
}

impl Bpe {
    /// `merges`: `"left right"`, best first. Structure is left out: no text merges into it.
    pub(super) fn new(
        tokens: &[String],
        kinds: &[TokenKind],
        merges: Vec<String>,
        options: BpeOptions,
    ) -> Result<Self> {
        let mut vocab: Vocab = tokens.iter().cloned().zip(0..).collect();
        let merges = parse_merges(&vocab, kinds, merges)?;
        vocab.retain(|token, id| !kinds[*id as usize].is_structure() || options.unk.as_ref() == Some(token));
        let mut builder = BPE::builder();
        if options.spelling == Spelling::WordEnds {
            builder = builder.end_of_word_suffix(WORD_END.into());
        }
        if let Some(unk) = &options.unk {
            builder = builder.unk_token(unk.clone());
        }
        let bpe = builder
            .vocab_and_merges(vocab, merges)
            .ignore_merges(options.ignore_merges)
            .byte_fallback(options.spelling == Spelling::Blocks)
            // The crate's cache is in a thread-local, which outlives the tokenizer.
            .cache_capacity(0)
            .build()
            .map_err(|error| invalid("merges", "merges between tokens of the vocabulary", error))?;
        let patterns = options.patterns.iter().map(|pattern| Regex::new(pattern).map_err(failed));
        Ok(Self { bpe, patterns: patterns.collect::<Result<_>>()?, options })
    }

    /// How tokens spell text.
    pub(super) fn spelling(&self) -> Spelling {
        self.options.spelling
    }

    /// Whether encoding puts a space before a text.
    pub(super) fn space_prefix(&self) -> SpacePrefix {
        self.options.space_prefix
    }

    /// Appends the ids of `text`. `starts`: the text is at the start or after a special token, so
    /// the space prefix is due.
    pub(super) fn encode(&self, text: &str, starts: bool, ids: &mut Vec<u32>) -> Result<()> {
        if self.options.spelling == Spelling::WordEnds {
            return word_piece::words(&self.options.words, text, |word| {
                ids.extend(self.bpe.tokenize(word).map_err(failed)?.iter().map(|token| token.id));
                Ok(())
            });
        }
        let mut text = Cow::Borrowed(text);
        if self.options.nfc && !text.is_ascii() {
            let mut composed = NormalizedString::from(text.as_ref());
            NFC.normalize(&mut composed).map_err(failed)?;
            text = composed.get().to_owned().into();
        }
        let mut in_alphabet = String::new();
        let blocks = self.options.spelling == Spelling::Blocks;
        if starts && self.options.space_prefix.applies(&text) {
            text = format!(" {text}").into();
        }
        if blocks {
            text = text.replace(' ', SPACE).into();
        }
        for piece in pieces(&self.patterns, &text)? {
            let spelled = if blocks {
                piece
            } else {
                in_alphabet.clear();
                in_alphabet.extend(piece.bytes().map(|byte| ALPHABET[byte as usize]));
                &in_alphabet
            };
            ids.extend(self.bpe.tokenize(spelled).map_err(failed)?.iter().map(|token| token.id));
        }
        Ok(())
    }
}

/// Splits each merge at its space. Both parts and their join must be tokens. Merges into or from
/// structure are left out.
fn parse_merges(vocab: &Vocab, kinds: &[TokenKind], merges: Vec<String>) -> Result<Vec<(String, String)>> {
    let mut parsed = Vec::with_capacity(merges.len());
    let mut joined = String::new();
    for (rank, merge) in merges.iter().enumerate() {
        // Tokens spell a space `Ġ` or `▁`, so only a token that is itself a space can begin with
        // one.
        let cut = merge.char_indices().skip(1).find(|&(_, c)| c == ' ').map_or(merge.len(), |(at, _)| at);
        let (left, right) = (&merge[..cut], merge.get(cut + 1..).unwrap_or_default());
        joined.clear();
        joined.extend([left, right]);
        let (Some(l), Some(r), Some(whole)) = (vocab.get(left), vocab.get(right), vocab.get(&joined)) else {
            let expected = "two tokens with a space between, whose join is a token";
            return Err(invalid("merges", expected, format!("`{merge}` at rank {rank}")));
        };
        if ![l, r, whole].iter().any(|id| kinds[**id as usize].is_structure()) {
            parsed.push((left.to_owned(), right.to_owned()));
        }
    }
    Ok(parsed)
}

/// Cuts `text` with each pattern in turn into matches and the stretches between them.
fn pieces<'t>(patterns: &[Regex], text: &'t str) -> Result<Vec<&'t str>> {
    let mut pieces = vec![text];
    for pattern in patterns {
        let mut finer = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let mut done = 0;
            for found in pattern.find_iter(piece) {
                let found = found.map_err(|error| {
                    let cause = format!("the tokenizer's expression `{pattern}` takes too many steps on it");
                    let hint = "a run of about a million white-space characters is one cause: shorten it";
                    Error::Tokenize(format!("the text cannot be cut into words ({error}): {cause}; {hint}"))
                })?;
                finer.extend([&piece[done..found.start()], found.as_str()]);
                done = found.end();
            }
            finer.push(&piece[done..]);
        }
        finer.retain(|piece| !piece.is_empty());
        pieces = finer;
    }
    Ok(pieces)
}

fn failed(error: impl ToString) -> Error {
    Error::Tokenize(error.to_string())
}

/// Appends the bytes that a token spells. A character outside the alphabet spells its own UTF-8
/// bytes.
pub(super) fn push_bytes(token: &str, bytes: &mut Vec<u8>) {
    for c in token.chars() {
        match UNSPELL.get(c as usize) {
            Some(Some(byte)) => bytes.push(*byte),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The printable character of each byte: the byte's own in Latin-1 if printable, otherwise the next
/// from U+0100 on.
const ALPHABET: [char; 256] = {
    let mut alphabet = ['\0'; 256];
    let (mut byte, mut next) = (0, 0);
    while byte < 256 {
        alphabet[byte] = if matches!(byte as u8, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) {
            byte as u8 as char
        } else {
            next += 1;
            match char::from_u32(0x100 + next - 1) {
                Some(c) => c,
                None => unreachable!(),
            }
        };
        byte += 1;
    }
    alphabet
};

/// The byte of each character of the alphabet, by code point.
const UNSPELL: [Option<u8>; 0x144] = {
    let mut unspell = [None; 0x144];
    let mut byte = 0;
    while byte < 256 {
        unspell[ALPHABET[byte] as usize] = Some(byte as u8);
        byte += 1;
    }
    unspell
};
