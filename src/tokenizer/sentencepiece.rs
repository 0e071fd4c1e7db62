//! SentencePiece. BPE merges neighbours as long as their join is in the vocabulary, best score
//! first. Unigram picks the cut of the text into tokens with the largest sum of scores.
//!
//! A `llama` vocabulary in GGUF has scores but no merges, which the `tokenizers` crate needs.
//! Deriving them (every cut of every token into two tokens) gives 515,000 pairs and, in the crate's
//! two string maps, about 60 MB for a vocabulary of 262,000 tokens. It also ranks equal scores by
//! token id, while SentencePiece takes the leftmost. So this module merges as SentencePiece defines
//! it: with a queue of neighbours whose join is a token.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::SpacePrefix;
use super::charsmap::CharsMap;
use super::vocabulary::{TokenKind, invalid};
use crate::{Error, Result};

/// Spells a space: "lower one eighth block".
pub(super) const SPACE: &str = "\u{2581}";

/// A character without a token scores this much less than the worst token (unigram).
const UNKNOWN_PENALTY: f32 = 10.0;

/// Limit of a unigram token's length, in bytes: every stretch of a text up to that length is looked
/// up. Published vocabularies have some dozens.
const MAX_UNIGRAM: usize = 1024;

/// How a text is prepared and cut.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// Unigram instead of BPE.
    pub unigram: bool,
    /// Whether encoding puts a space before a text.
    pub space_prefix: SpacePrefix,
    /// Tokens do not cross words.
    pub split_words: bool,
    /// Spaces at both ends are dropped and runs become one.
    pub remove_extra_whitespaces: bool,
    /// Normalisation of characters.
    pub charsmap: Option<CharsMap>,
}

/// Encodes text without special tokens. The tokenizer owns the token texts and lends them in each
/// call.
pub(super) struct SentencePiece {
    /// Ids of the tokens that text can become, by hash of their text.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    scores: Vec<f32>,
    /// Token of each byte, `<0xXX>`.
    bytes: Box<[Option<u32>; 256]>,
    unk: Option<u32>,
    /// Length of the longest token, in bytes.
    longest: usize,
    /// Score of a character without a token.
    unknown_score: f32,
    options: Options,
}

impl SentencePiece {
    /// `scores`: one per token.
    pub(super) fn new(
        tokens: &[String],
        kinds: &[TokenKind],
        scores: Vec<f32>,
        unk: Option<u32>,
        options: Options,
    ) -> Result<Self> {
        if scores.len() != tokens.len() {
            return Err(invalid("scores", format!("{} scores, one per token", tokens.len()), scores.len()));
        }
        let hasher = DefaultHashBuilder::default();
        let mut index = HashTable::with_capacity(tokens.len());
        let mut bytes = Box::new([None; 256]);
        let (mut longest, mut worst) = (0, f32::INFINITY);
        for (id, (token, kind)) in (0..).zip(tokens.iter().zip(kinds)) {
            match kind {
                TokenKind::Normal | TokenKind::UserDefined | TokenKind::Unused => {
                    let hash = |id: &u32| hasher.hash_one(&tokens[*id as usize]);
                    index.insert_unique(hash(&id), id, hash);
                    longest = longest.max(token.len());
                    if *kind == TokenKind::Normal {
                        worst = worst.min(scores[id as usize]);
                    }
                }
                TokenKind::Byte => {
                    let byte = parse_byte(token).ok_or_else(|| {
                        invalid("tokens", "a byte token spelled <0xXX>", format!("`{token}` for token {id}"))
                    })?;
                    bytes[byte as usize] = Some(id);
                }
                TokenKind::Control | TokenKind::Unknown | TokenKind::Mark => {}
            }
        }
        let unk = unk.or_else(|| (0..).zip(kinds).find(|(_, kind)| **kind == TokenKind::Unknown).map(|(id, _)| id));
        if options.unigram && longest > MAX_UNIGRAM {
            return Err(invalid(
                "tokens",
                format!("tokens of at most {MAX_UNIGRAM} bytes"),
                format!("one of {longest}"),
            ));
        }
        let unknown_score = if worst.is_finite() { worst - UNKNOWN_PENALTY } else { -UNKNOWN_PENALTY };
        Ok(Self { index, hasher, scores, bytes, unk, longest, unknown_score, options })
    }

    /// Whether encoding puts a space before a text.
    pub(super) fn space_prefix(&self) -> SpacePrefix {
        self.options.space_prefix
    }

    /// Appends the ids of `text`. `starts`: the text is at the start or after a special token, so
    /// the space prefix is due.
    pub(super) fn encode(&self, tokens: &[String], text: &str, starts: bool, ids: &mut Vec<u32>) -> Result<()> {
        let text = self.normalize(text, starts);
        if !self.options.split_words {
            return self.encode_normalized(tokens, &text, ids);
        }
        // each word begins with its space
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let next = rest.char_indices().skip(1).find(|(_, c)| SPACE.starts_with(*c));
            let (word, others) = rest.split_at(next.map_or(rest.len(), |(at, _)| at));
            self.encode_normalized(tokens, word, ids)?;
            rest = others;
        }
        Ok(())
    }

    fn encode_normalized(&self, tokens: &[String], text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let pieces = if self.options.unigram { self.best_cut(tokens, text) } else { self.merge(tokens, text) };
        let mut after_unk = false;
        for piece in pieces {
            if let Some(id) = self.find(tokens, piece) {
                ids.push(id);
                after_unk = false;
            } else if let Some(bytes) = piece.bytes().map(|b| self.bytes[b as usize]).collect::<Option<Vec<_>>>() {
                ids.extend(bytes);
                after_unk = false;
            } else if let Some(unk) = self.unk {
                // a run of characters without tokens is one unknown token
                if !after_unk {
                    ids.push(unk);
                }
                after_unk = true;
            } else {
                return Err(Error::Tokenize(format!(
                    "`{piece}` is not in the vocabulary, which has neither byte tokens nor an unknown token. Change the text."
                )));
            }
        }
        Ok(())
    }

    /// `text` in the spelling of tokens.
    fn normalize(&self, text: &str, starts: bool) -> String {
        let Options { space_prefix, remove_extra_whitespaces, charsmap, .. } = &self.options;
        let replaced = charsmap.as_ref().map(|charsmap| charsmap.replace(text));
        let text = replaced.as_deref().unwrap_or(text);
        if *remove_extra_whitespaces {
            let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
            let prefix = if starts && *space_prefix != SpacePrefix::No && !words.is_empty() { SPACE } else { "" };
            return prefix.to_owned() + &words.join(SPACE);
        }
        let prefix = if starts && space_prefix.applies(text) { SPACE } else { "" };
        prefix.to_owned() + &text.replace(' ', SPACE)
    }

    /// Cuts `text` into tokens and single characters with the largest sum of scores (Viterbi).
    fn best_cut<'t>(&self, tokens: &[String], text: &'t str) -> Vec<&'t str> {
        // For each end: the best sum up to there, and the start of its last piece. Sums are f32 as
        // in SentencePiece: rounding decides between equally good cuts.
        let mut best = vec![(f32::NEG_INFINITY, 0); text.len() + 1];
        best[0] = (0.0, 0);
        for (start, c) in text.char_indices() {
            let sum = best[start].0;
            let mut offer = |end: usize, score: f32| {
                if sum + score > best[end].0 {
                    best[end] = (sum + score, start);
                }
            };
            let mut alone = false;
            let rest = &text[start..];
            for length in rest.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= self.longest) {
                if let Some(id) = self.find(tokens, &rest[..length]) {
                    alone |= length == c.len_utf8();
                    offer(start + length, self.scores[id as usize]);
                }
            }
            if !alone {
                offer(start + c.len_utf8(), self.unknown_score);
            }
        }
        let mut pieces = Vec::new();
        let mut end = text.len();
        while end > 0 {
            let start = best[end].1;
            pieces.push(&text[start..end]);
            end = start;
        }
        pieces.reverse();
        pieces
    }

    /// Cuts `text` into tokens and single characters by merging.
    fn merge<'t>(&self, tokens: &[String], text: &'t str) -> Vec<&'t str> {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(i, (start, c))| Symbol { start, end: start + c.len_utf8(), prev: i.wrapping_sub(1), next: i + 1 })
            .collect();
        let mut queue = BinaryHeap::new();
        let offer = |queue: &mut BinaryHeap<Merge>, symbols: &[Symbol], left: usize, right: usize| {
            if let (Some(l), Some(r)) = (symbols.get(left), symbols.get(right))
                && let Some(id) = self.find(tokens, &text[l.start..r.end])
            {
                queue.push(Merge { score: self.scores[id as usize], left, right, start: l.start, end: r.end });
            }
        };
        for right in 1..symbols.len() {
            offer(&mut queue, &symbols, right - 1, right);
        }
        while let Some(Merge { left, right, start, end, .. }) = queue.pop() {
            // Stale if either side has merged since (an absorbed symbol is empty).
            let (l, r) = (symbols[left], symbols[right]);
            if l.start != start || l.end != r.start || r.end != end || l.start == l.end || r.start == r.end {
                continue;
            }
            symbols[left].end = end;
            symbols[left].next = r.next;
            symbols[right].start = end;
            if let Some(after) = symbols.get_mut(r.next) {
                after.prev = left;
            }
            offer(&mut queue, &symbols, l.prev, left);
            offer(&mut queue, &symbols, left, r.next);
        }
        symbols.iter().filter(|s| s.start < s.end).map(|s| &text[s.start..s.end]).collect()
    }

    fn find(&self, tokens: &[String], piece: &str) -> Option<u32> {
        self.index.find(self.hasher.hash_one(piece), |&id| tokens[id as usize] == piece).copied()
    }
}

/// A stretch of the text, in a linked list. `prev` of the first and `next` of the last are out of
/// range.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    prev: usize,
    next: usize,
}

/// Two neighbours whose join, `start..end`, is a token.
struct Merge {
    score: f32,
    left: usize,
    right: usize,
    start: usize,
    end: usize,
}

impl Ord for Merge {
    /// Best score first, then leftmost.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Merge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Merge {}

/// The text of a normal or user-defined token.
pub(super) fn unescape(token: &str) -> String {
    token.replace(SPACE, " ")
}

/// The byte of `<0xXX>`.
pub(super) fn parse_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}
