//! Cuts text at the tokens that are matched whole, before any merging.
//!
//! Two automata over the same text: user-defined tokens are one token wherever they occur, control tokens only where
//! the caller says that the text is trusted (a rendered chat template, not what a user typed). The longest token
//! at the leftmost place wins.

use aho_corasick::{AhoCorasick, MatchKind};

use super::vocabulary::TokenKind;
use crate::{Error, Result};

/// A stretch of the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fragment<'t> {
    /// Ordinary text, not empty.
    Text(&'t str),
    /// A token that was spelled out.
    Token(u32),
}

/// Finds the tokens that are matched whole.
pub(super) struct SpecialTokens {
    /// User-defined tokens.
    always: Matcher,
    /// User-defined, control and unknown tokens.
    all: Matcher,
}

impl SpecialTokens {
    /// `spell` gives the text that stands for a user-defined token.
    pub(super) fn new(tokens: &[String], kinds: &[TokenKind], spell: impl Fn(&str) -> String) -> Result<Self> {
        let mut always = Vec::new();
        let mut all = Vec::new();
        for (id, (token, kind)) in (0..).zip(tokens.iter().zip(kinds)) {
            match kind {
                _ if token.is_empty() => {}
                TokenKind::UserDefined => {
                    always.push((spell(token), id));
                    all.push((spell(token), id));
                }
                TokenKind::Control | TokenKind::Unknown => all.push((token.clone(), id)),
                TokenKind::Normal | TokenKind::Unused | TokenKind::Byte => {}
            }
        }
        Ok(Self { always: Matcher::new(always)?, all: Matcher::new(all)? })
    }

    /// The fragments of `text`, in order.
    pub(super) fn split<'t>(&self, text: &'t str, parse_special: bool) -> Vec<Fragment<'t>> {
        if parse_special { self.all.split(text) } else { self.always.split(text) }
    }
}

struct Matcher {
    automaton: AhoCorasick,
    /// Token of each pattern.
    ids: Vec<u32>,
}

impl Matcher {
    fn new(patterns: Vec<(String, u32)>) -> Result<Self> {
        let (texts, ids): (Vec<String>, Vec<u32>) = patterns.into_iter().unzip();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(texts)
            .map_err(|error| Error::Tokenize(format!("the special tokens cannot be indexed: {error}")))?;
        Ok(Self { automaton, ids })
    }

    fn split<'t>(&self, text: &'t str) -> Vec<Fragment<'t>> {
        let mut fragments = Vec::new();
        let mut done = 0;
        for found in self.automaton.find_iter(text) {
            if found.start() > done {
                fragments.push(Fragment::Text(&text[done..found.start()]));
            }
            fragments.push(Fragment::Token(self.ids[found.pattern().as_usize()]));
            done = found.end();
        }
        if done < text.len() {
            fragments.push(Fragment::Text(&text[done..]));
        }
        fragments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn special(tokens: &[(&str, TokenKind)]) -> SpecialTokens {
        let (tokens, kinds): (Vec<String>, Vec<TokenKind>) = tokens.iter().map(|(t, k)| (t.to_string(), *k)).unzip();
        SpecialTokens::new(&tokens, &kinds, str::to_owned).unwrap()
    }

    #[test]
    fn control_tokens_only_where_asked_and_user_defined_always() {
        let special =
            special(&[("a", TokenKind::Normal), ("<end>", TokenKind::Control), ("@@", TokenKind::UserDefined)]);
        use Fragment::{Text, Token};
        assert_eq!(special.split("a<end>@@", true), [Text("a"), Token(1), Token(2)]);
        assert_eq!(special.split("a<end>@@", false), [Text("a<end>"), Token(2)]);
        assert_eq!(special.split("", true), []);
        assert_eq!(special.split("aé", true), [Text("aé")]);
    }

    #[test]
    fn the_longest_of_two_tokens_with_a_common_start_wins() {
        let special = special(&[("<e", TokenKind::Control), ("<end>", TokenKind::Control), ("", TokenKind::Control)]);
        assert_eq!(special.split("<end><e", true), [Fragment::Token(1), Fragment::Token(0)]);
    }
}
