//! Cuts text at the tokens that are matched whole, before any merging.
//!
//! Two automata over the same text: user-defined tokens are one token wherever they occur, control tokens only where
//! the caller says that the text is trusted (a rendered chat template, not what a user typed). The longest token
//! at the leftmost place wins.

use aho_corasick::{AhoCorasick, MatchKind};

use super::vocabulary::{Strip, TokenKind};
use crate::{Error, Result};

/// Around a stretch of text in which only user-defined tokens are parsed. Unicode keeps these code points for internal
/// use: they are never characters of a text.
const LITERAL: (char, char) = ('\u{fdd0}', '\u{fdd1}');

/// The longest that all special tokens of a vocabulary may be together, 1 MiB; real ones are some kilobytes. The automata
/// take many times that.
const MAX_BYTES: usize = 1 << 20;

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
    strip: Vec<Strip>,
}

impl SpecialTokens {
    /// `spell` gives the text that stands for a user-defined token.
    pub(super) fn new(
        tokens: &[String],
        kinds: &[TokenKind],
        strip: &[Strip],
        spell: impl Fn(&str) -> String,
    ) -> Result<Self> {
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
        let bytes: usize = all.iter().map(|(text, _)| text.len()).sum();
        if bytes > MAX_BYTES {
            return Err(Error::InvalidModel {
                what: "special tokens of the vocabulary".into(),
                expected: format!("at most {MAX_BYTES} bytes together"),
                got: bytes.to_string(),
            });
        }
        Ok(Self { always: Matcher::new(always)?, all: Matcher::new(all)?, strip: strip.to_vec() })
    }

    /// The fragments of `text`, in order. With `parse_special`, text between [`LITERAL`] marks is still plain.
    pub(super) fn split<'t>(&self, text: &'t str, parse_special: bool) -> Vec<Fragment<'t>> {
        let mut fragments = self.cut(text, parse_special);
        if !self.strip.is_empty() {
            self.strip_white_space(&mut fragments);
        }
        fragments
    }

    /// Takes the white space off that tokens of `strip` swallow.
    fn strip_white_space(&self, fragments: &mut Vec<Fragment>) {
        let strips = |fragment: Option<&Fragment>, side: fn(&Strip) -> bool| match fragment {
            Some(Fragment::Token(id)) => self.strip.iter().any(|strip| strip.id == *id && side(strip)),
            _ => false,
        };
        for i in 0..fragments.len() {
            let after = i > 0 && strips(fragments.get(i - 1), |strip| strip.right);
            let before = strips(fragments.get(i + 1), |strip| strip.left);
            if let Fragment::Text(text) = &mut fragments[i] {
                *text = if after { text.trim_start() } else { text };
                *text = if before { text.trim_end() } else { text };
            }
        }
        fragments.retain(|fragment| *fragment != Fragment::Text(""));
    }

    fn cut<'t>(&self, text: &'t str, parse_special: bool) -> Vec<Fragment<'t>> {
        if !parse_special {
            return self.always.split(text);
        }
        let mut fragments = Vec::new();
        for (i, stretch) in text.split(LITERAL.0).enumerate() {
            let (literal, rest) =
                if i == 0 { ("", stretch) } else { stretch.split_once(LITERAL.1).unwrap_or((stretch, "")) };
            fragments.extend(self.always.split(literal));
            fragments.extend(self.all.split(rest));
        }
        fragments
    }

    /// `text` with [`LITERAL`] marks around every control token that it spells.
    pub(super) fn mark(&self, text: &str) -> String {
        let text = text.replace([LITERAL.0, LITERAL.1], "");
        let mut marked = String::with_capacity(text.len());
        let mut done = 0;
        for found in self.all.automaton.find_iter(&text) {
            if self.always.ids.contains(&self.all.ids[found.pattern().as_usize()]) {
                continue;
            }
            marked.push_str(&text[done..found.start()]);
            marked.push(LITERAL.0);
            marked.push_str(&text[found.range()]);
            marked.push(LITERAL.1);
            done = found.end();
        }
        marked + &text[done..]
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
        SpecialTokens::new(&tokens, &kinds, &[], str::to_owned).unwrap()
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
    fn a_token_swallows_the_white_space_beside_it() {
        let mut special =
            special(&[("<r>", TokenKind::Control), ("<l>", TokenKind::Control), ("<n>", TokenKind::Control)]);
        special.strip = vec![Strip { id: 0, left: false, right: true }, Strip { id: 1, left: true, right: false }];
        use Fragment::{Text, Token};
        assert_eq!(special.split(" <r> \n a <n> ", true), [Text(" "), Token(0), Text("a "), Token(2), Text(" ")]);
        assert_eq!(special.split(" a \t<l> <r>  <l>", true), [Text(" a"), Token(1), Text(" "), Token(0), Token(1)]);
    }

    #[test]
    fn marked_text_stays_plain_wherever_it_is_put() {
        let special =
            special(&[("<end>", TokenKind::Control), ("end><", TokenKind::Control), ("@@", TokenKind::UserDefined)]);
        use Fragment::{Text, Token};
        let marked = special.mark("a<end><end>@@\u{fdd1}b");
        let rendered = format!("{marked}<end>");
        let expected = [Text("a"), Text("<end>"), Text("<end>"), Token(2), Text("b"), Token(0)];
        assert_eq!(special.split(&rendered, true), expected);
        assert_eq!(special.mark("nothing of @@ kind"), "nothing of @@ kind");
    }

    #[test]
    fn absurdly_long_special_tokens_are_refused() {
        let (tokens, kinds) = (vec!["x".repeat(MAX_BYTES + 1)], vec![TokenKind::Control]);
        assert!(SpecialTokens::new(&tokens, &kinds, &[], str::to_owned).is_err());
    }

    #[test]
    fn the_longest_of_two_tokens_with_a_common_start_wins() {
        let special = special(&[("<e", TokenKind::Control), ("<end>", TokenKind::Control), ("", TokenKind::Control)]);
        assert_eq!(special.split("<end><e", true), [Fragment::Token(1), Fragment::Token(0)]);
    }
}
