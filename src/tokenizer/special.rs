//! Cuts text at the tokens that are matched whole, before any merging.
//!
//! User-defined tokens match everywhere. Structure (control tokens and marks, see
//! [`super::structure`]) matches only if the caller trusts the text: a rendered chat template, not
//! what a user typed. The leftmost token wins, then the longest.
//!
//! The tokens are sorted by text and found by binary search. An automaton would take hundreds of
//! bytes per byte of text: a gigabyte for 95 tokens of 10 KB.

use std::ops::Range;

use super::vocabulary::{Strip, TokenKind};
use crate::jinja::Text;
use crate::{Error, Result};

/// Replaces the bytes that a template was given. UTF-8 never contains it, so no token matches.
const GIVEN: u8 = 0xff;

/// Limit of a special token's length, in bytes; in published vocabularies they have some dozens.
const MAX_BYTES: usize = 1024;

/// A part of the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fragment<'t> {
    /// Ordinary text, not empty.
    Text(&'t str),
    /// A special token in the text.
    Token(u32),
}

/// Finds the tokens that are matched whole.
pub(super) struct SpecialTokens {
    /// Sorted by text.
    entries: Vec<Entry>,
    /// For each byte, whether a token begins with it.
    begins: [bool; 256],
    strip: Vec<Strip>,
}

struct Entry {
    text: String,
    id: u32,
    structure: bool,
    /// The longest other entry that is a prefix of this one.
    shorter: Option<usize>,
}

impl SpecialTokens {
    /// `spell` returns the text of a token that is shown.
    pub(super) fn new(
        tokens: &[String],
        kinds: &[TokenKind],
        strip: &[Strip],
        spell: impl Fn(&str) -> String,
    ) -> Result<Self> {
        let mut entries = Vec::new();
        for (id, (token, kind)) in (0..).zip(tokens.iter().zip(kinds)) {
            let text = match kind {
                TokenKind::UserDefined | TokenKind::Mark => spell(token),
                TokenKind::Control | TokenKind::Unknown => token.clone(),
                TokenKind::Normal | TokenKind::Unused | TokenKind::Byte => continue,
            };
            if text.len() > MAX_BYTES {
                return Err(Error::InvalidModel {
                    what: format!("special token {id} of the vocabulary"),
                    expected: format!("at most {MAX_BYTES} bytes"),
                    got: text.len().to_string(),
                });
            }
            if !text.is_empty() {
                entries.push(Entry { text, id, structure: kind.is_structure(), shorter: None });
            }
        }
        // among tokens of the same text, the first counts
        entries.sort_by(|a, b| a.text.cmp(&b.text).then(a.id.cmp(&b.id)));
        entries.dedup_by(|later, first| later.text == first.text);
        let mut begins = [false; 256];
        let mut open: Vec<usize> = Vec::new();
        for i in 0..entries.len() {
            while open.last().is_some_and(|&shorter| !entries[i].text.starts_with(&entries[shorter].text)) {
                open.pop();
            }
            entries[i].shorter = open.last().copied();
            begins[entries[i].text.as_bytes()[0] as usize] = true;
            open.push(i);
        }
        Ok(Self { entries, begins, strip: strip.to_vec() })
    }

    /// The longest token that `text` begins with; structure only with `parse_special`.
    fn longest(&self, text: &[u8], parse_special: bool) -> Option<&Entry> {
        if !self.begins[*text.first()? as usize] {
            return None;
        }
        // Every prefix of `text` sorts before it, and so does everything that begins with that
        // prefix and lies between them.
        let after = self.entries.partition_point(|entry| entry.text.as_bytes() <= text);
        let mut entry = self.entries.get(after.checked_sub(1)?)?;
        let common = entry.text.bytes().zip(text).take_while(|(a, b)| a == *b).count();
        while entry.text.len() > common || (entry.structure && !parse_special) {
            entry = self.entries.get(entry.shorter?)?;
        }
        Some(entry)
    }

    /// The tokens in `text`, with their ranges.
    fn find<'s>(&'s self, text: &'s [u8], parse_special: bool) -> impl Iterator<Item = (Range<usize>, &'s Entry)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            while at < text.len() {
                if let Some(entry) = self.longest(&text[at..], parse_special) {
                    let start = at;
                    at += entry.text.len();
                    return Some((start..at, entry));
                }
                at += 1;
            }
            None
        })
    }

    /// Appends the parts of `text`.
    fn pieces<'t>(&self, text: &'t str, parse_special: bool, fragments: &mut Vec<Fragment<'t>>) {
        let mut done = 0;
        for (range, entry) in self.find(text.as_bytes(), parse_special) {
            if range.start > done {
                fragments.push(Fragment::Text(&text[done..range.start]));
            }
            fragments.push(Fragment::Token(entry.id));
            done = range.end;
        }
        if done < text.len() {
            fragments.push(Fragment::Text(&text[done..]));
        }
    }

    /// The parts of `text`, in order; structure only with `parse_special`.
    pub(super) fn split<'t>(&self, text: &'t str, parse_special: bool) -> Vec<Fragment<'t>> {
        let mut fragments = Vec::new();
        self.pieces(text, parse_special, &mut fragments);
        self.stripped(fragments)
    }

    /// The parts of a template's output. Structure is parsed where the template wrote every byte of
    /// it.
    pub(super) fn split_rendered<'t>(&self, rendered: &'t Text) -> Vec<Fragment<'t>> {
        let text = rendered.as_str();
        let mut masked = text.as_bytes().to_vec();
        for (range, _) in rendered.runs().filter(|(_, given)| *given) {
            masked[range].fill(GIVEN);
        }
        let (mut fragments, mut done) = (Vec::new(), 0);
        for (range, entry) in self.find(&masked, true) {
            self.pieces(&text[done..range.start], false, &mut fragments);
            fragments.push(Fragment::Token(entry.id));
            done = range.end;
        }
        self.pieces(&text[done..], false, &mut fragments);
        self.stripped(fragments)
    }

    fn stripped<'t>(&self, mut fragments: Vec<Fragment<'t>>) -> Vec<Fragment<'t>> {
        if !self.strip.is_empty() {
            self.strip_white_space(&mut fragments);
        }
        fragments
    }

    /// Removes white space beside tokens that strip it.
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn special(tokens: &[(&str, TokenKind)]) -> SpecialTokens {
        let (tokens, kinds): (Vec<String>, Vec<TokenKind>) = tokens.iter().map(|(t, k)| (t.to_string(), *k)).unzip();
        SpecialTokens::new(&tokens, &kinds, &[], str::to_owned).unwrap()
    }

    #[test]
    fn control_tokens_parse_on_request_and_user_defined_always() {
        let special =
            special(&[("a", TokenKind::Normal), ("<end>", TokenKind::Control), ("@@", TokenKind::UserDefined)]);
        use Fragment::{Text, Token};
        assert_eq!(special.split("a<end>@@", true), [Text("a"), Token(1), Token(2)]);
        assert_eq!(special.split("a<end>@@", false), [Text("a<end>"), Token(2)]);
        assert_eq!(special.split("", true), []);
        assert_eq!(special.split("aé", true), [Text("aé")]);
    }

    #[test]
    fn a_token_strips_the_white_space_beside_it() {
        let mut special =
            special(&[("<r>", TokenKind::Control), ("<l>", TokenKind::Control), ("<n>", TokenKind::Control)]);
        special.strip = vec![Strip { id: 0, left: false, right: true }, Strip { id: 1, left: true, right: false }];
        use Fragment::{Text, Token};
        assert_eq!(special.split(" <r> \n a <n> ", true), [Text(" "), Token(0), Text("a "), Token(2), Text(" ")]);
        assert_eq!(special.split(" a \t<l> <r>  <l>", true), [Text(" a"), Token(1), Text(" "), Token(0), Token(1)]);
    }

    #[test]
    fn given_text_is_never_part_of_a_token() {
        let special =
            special(&[("<end>", TokenKind::Control), ("end><", TokenKind::Control), ("@@", TokenKind::UserDefined)]);
        use Fragment::{Text as Plain, Token};
        let rendered: Text = [
            ("a<end>", true),
            ("<end>", false),
            ("<en", false),
            ("d>", true),
            ("<e", true),
            ("nd>@", false),
            ("@<end>", true),
        ]
        .into_iter()
        .map(|(text, given)| if given { Text::given(text) } else { Text::template(text) })
        .collect();
        let expected = [Plain("a<end>"), Token(0), Plain("<end><end>"), Token(2), Plain("<end>")];
        assert_eq!(special.split_rendered(&rendered), expected);
    }

    #[test]
    fn a_very_long_special_token_is_refused_and_many_are_not() {
        let (tokens, kinds) = (vec!["x".repeat(MAX_BYTES + 1)], vec![TokenKind::Control]);
        let error = SpecialTokens::new(&tokens, &kinds, &[], str::to_owned).err().unwrap().to_string();
        assert!(error.contains("special token 0") && error.contains("1025"), "{error}");
        let tokens: Vec<_> = (0..100_000).map(|id| format!("<|unused_{id}|>")).collect();
        let kinds = vec![TokenKind::Control; tokens.len()];
        let special = SpecialTokens::new(&tokens, &kinds, &[], str::to_owned).unwrap();
        let expected = [Fragment::Text("a"), Fragment::Token(99_999), Fragment::Token(7), Fragment::Text("<|unused_")];
        assert_eq!(special.split("a<|unused_99999|><|unused_7|><|unused_", true), expected);
    }

    #[test]
    fn the_longest_of_two_tokens_with_a_common_start_wins() {
        let special = special(&[("<e", TokenKind::Control), ("<end>", TokenKind::Control), ("", TokenKind::Control)]);
        assert_eq!(special.split("<end><e", true), [Fragment::Token(1), Fragment::Token(0)]);
    }

    proptest! {
        /// Compares with a naive search that tries every token at every place.
        #[test]
        fn the_leftmost_longest_token_wins(
            tokens in prop::collection::vec(("[abé]{1,4}", any::<bool>()), 0..8),
            text in "[abé]{0,24}",
            parse_special in any::<bool>(),
        ) {
            let kinds = |structure| if structure { TokenKind::Control } else { TokenKind::UserDefined };
            let kinds: Vec<_> = tokens.iter().map(|(_, structure)| kinds(*structure)).collect();
            let texts: Vec<_> = tokens.into_iter().map(|(text, _)| text).collect();
            // among tokens of the same text, the first counts, structure or not
            let counts = |id: usize| !texts[..id].contains(&texts[id]) && (parse_special || !kinds[id].is_structure());
            let special = SpecialTokens::new(&texts, &kinds, &[], str::to_owned).unwrap();
            let (mut at, mut found) = (0, Vec::new());
            while at < text.len() {
                let is_here = |id: usize| text.as_bytes()[at..].starts_with(texts[id].as_bytes());
                let here = (0..texts.len()).filter(|&id| counts(id) && is_here(id));
                match here.max_by_key(|&id| texts[id].len()) {
                    Some(id) => {
                        found.push((at..at + texts[id].len(), id as u32));
                        at += texts[id].len();
                    }
                    None => at += 1,
                }
            }
            let by_search = special.find(text.as_bytes(), parse_special).map(|(range, entry)| (range, entry.id));
            prop_assert_eq!(by_search.collect::<Vec<_>>(), found);
        }
    }
}
