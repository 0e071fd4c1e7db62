//! Sets of texts in the syntax of Lark grammars and regular expressions.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::{Class, LAST, Rx, within};

impl Rx {
    /// The set as a terminal of a Lark grammar. `quoted`: as the inside of a JSON string.
    pub fn lark(&self, quoted: bool) -> String {
        if let Some(plain) = self.plain(quoted) {
            return if plain.is_empty() { "\"\"".to_owned() } else { format!("/{plain}/") };
        }
        let all = |parts: &[Rx], between: &str| {
            let parts: Vec<String> = parts.iter().map(|part| part.lark(quoted)).collect();
            format!("({})", parts.join(between))
        };
        match self {
            Self::Concat(parts) => {
                // plain neighbours stay one expression
                let mut words: Vec<String> = Vec::new();
                let mut run = String::new();
                for part in parts {
                    match part.plain(quoted) {
                        Some(plain) => run.push_str(&plain),
                        None => {
                            if !run.is_empty() {
                                words.push(format!("/{}/", std::mem::take(&mut run)));
                            }
                            words.push(part.lark(quoted));
                        }
                    }
                }
                if !run.is_empty() {
                    words.push(format!("/{run}/"));
                }
                format!("({})", words.join(" "))
            }
            Self::Or(parts) => all(parts, " | "),
            Self::And(parts) => all(parts, " & "),
            Self::Not(inner) => format!("({} & ~({}))", Self::anything().lark(quoted), inner.lark(quoted)),
            Self::Repeat(inner, min, max) => {
                let inner = inner.lark(quoted);
                match (min, max) {
                    (0, None) => format!("({inner})*"),
                    (1, None) => format!("({inner})+"),
                    (min, None) => format!("(({inner}){{{min}}} ({inner})*)"),
                    (min, Some(max)) => format!("({inner}){{{min},{max}}}"),
                }
            }
            // these are always plain
            Self::Literal(_) | Self::Class(_) => String::new(),
        }
    }

    /// The set in the syntax of regular expressions, which has no intersection and no complement;
    /// `None` if the set needs them.
    fn plain(&self, quoted: bool) -> Option<String> {
        Some(match self {
            Self::Literal(text) => text.chars().map(|c| class_or_char(c, quoted)).collect(),
            Self::Class(ranges) if ranges.is_empty() => r"[^\x00-\x{10FFFF}]".to_owned(),
            Self::Class(ranges) if quoted => quoted_class(ranges),
            Self::Class(ranges) => class_text(ranges),
            Self::Concat(parts) => parts.iter().map(|part| part.plain(quoted)).collect::<Option<_>>()?,
            Self::Or(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| part.plain(quoted)).collect::<Option<_>>()?;
                format!("(?:{})", parts.join("|"))
            }
            Self::And(_) | Self::Not(_) => return None,
            Self::Repeat(inner, min, max) => {
                let plain = inner.plain(quoted)?;
                let times = match (min, max) {
                    (0, None) => "*".to_owned(),
                    (1, None) => "+".to_owned(),
                    (0, Some(1)) => "?".to_owned(),
                    (min, None) => format!("{{{min},}}"),
                    (min, Some(max)) => format!("{{{min},{max}}}"),
                };
                format!("(?:{plain}){times}")
            }
        })
    }
}

fn char_text(code: u32) -> String {
    match char::from_u32(code) {
        Some(c) if c.is_ascii_alphanumeric() || " _,:;@%=<>!".contains(c) => c.to_string(),
        _ => format!("\\x{{{code:X}}}"),
    }
}

pub(super) fn class_text(ranges: &[(u32, u32)]) -> String {
    if let [(from, to)] = ranges
        && from == to
    {
        return char_text(*from);
    }
    // surrogates are not characters, and the syntax has none
    const SURROGATES: (u32, u32) = (0xd800, 0xdfff);
    let mut text = String::from("[");
    for &(from, to) in ranges {
        let (below, above) = (to.min(SURROGATES.0 - 1), from.max(SURROGATES.1 + 1));
        for (from, to) in [(from, below), (above, to)] {
            if from == to {
                text.push_str(&char_text(from));
            } else if from < to {
                // writing to a String cannot fail
                let _ = write!(text, "{}-{}", char_text(from), char_text(to));
            }
        }
    }
    text.push(']');
    text
}

fn class_or_char(c: char, quoted: bool) -> String {
    let range = [(c as u32, c as u32)];
    if quoted { quoted_class(&range) } else { class_text(&range) }
}

/// JSON's escapes of one letter, by character.
const ESCAPES: [(u32, char); 5] = [(8, 'b'), (9, 't'), (10, 'n'), (12, 'f'), (13, 'r')];

/// The class inside a JSON string: characters are written as themselves, except for quotation
/// marks, backslashes and control characters.
fn quoted_class(ranges: &[(u32, u32)]) -> String {
    let (quote, backslash) = (u32::from(b'"'), u32::from(b'\\'));
    let mut options = Vec::new();
    let itself = [(0x20, quote - 1), (quote + 1, backslash - 1), (backslash + 1, 0x7e), (0x80, LAST)];
    let plain: Class = itself.iter().flat_map(|&(from, to)| within(ranges, from, to)).collect();
    if !plain.is_empty() {
        options.push(class_text(&plain));
    }
    let has = |code: u32| ranges.iter().any(|&(from, to)| from <= code && code <= to);
    let mut letters = String::new();
    letters.extend([(quote, "\\\""), (backslash, "\\\\")].iter().filter(|(code, _)| has(*code)).map(|(_, c)| *c));
    letters.extend(ESCAPES.iter().filter(|(code, _)| has(*code)).map(|(_, letter)| *letter));
    if !letters.is_empty() {
        options.push(format!("\\\\[{letters}]"));
    }
    let control: Vec<u32> = (0..0x20).filter(|code| has(*code)).collect();
    if control.len() == 0x20 {
        options.push(r"\\u00[01][0-9a-fA-F]".to_owned());
    } else {
        options.extend(control.iter().map(|code| format!("\\\\u00{:x}{}", code / 16, hex_digit(code % 16))));
    }
    if has(0x7f) {
        options.push(r"\\u007[fF]".to_owned());
    }
    match options.len() {
        1 => options.remove(0),
        _ => format!("(?:{})", options.join("|")),
    }
}

/// A hexadecimal digit in either case.
fn hex_digit(digit: u32) -> String {
    let lower = format!("{digit:x}");
    let upper = lower.to_uppercase();
    if lower == upper { lower } else { format!("[{lower}{upper}]") }
}

/// One of many texts, as a tree of common prefixes. Errors: there are too many.
pub fn choice_lark<'a>(texts: impl Iterator<Item = &'a str>, quoted: bool) -> Result<String> {
    // this many characters take the automaton about a second
    const MOST: usize = 400_000;
    let mut texts: Vec<&str> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    let mut text = String::new();
    write_choice(&texts, 0, 0, quoted, &mut text);
    let characters = text.bytes().filter(|byte| !b"(?:|)".contains(byte)).count();
    ensure!(
        characters <= MOST,
        "{} texts to choose from are too many: \
         apart from common prefixes, they have more than {MOST} characters",
        texts.len()
    );
    Ok(text)
}

/// `texts` are sorted and distinct, and agree in their first `at` bytes.
fn write_choice(texts: &[&str], at: usize, depth: usize, quoted: bool, out: &mut String) {
    // the expression parser has its own limit
    const DEEPEST: usize = 60;
    let write_rest = |text: &str, from: usize, out: &mut String| {
        text.get(from..).unwrap_or_default().chars().for_each(|c| out.push_str(&class_or_char(c, quoted)));
    };
    let [first, .., last] = texts else {
        return texts.iter().for_each(|text| write_rest(text, at, out));
    };
    if depth == DEEPEST {
        out.push_str("(?:");
        for (i, text) in texts.iter().enumerate() {
            out.push_str(if i > 0 { "|" } else { "" });
            write_rest(text, at, out);
        }
        return out.push(')');
    }
    let common = first.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
    // on a character boundary
    let common = (at..=common).rev().find(|&end| first.is_char_boundary(end) && last.is_char_boundary(end));
    let end = common.unwrap_or(at);
    first.get(at..end).unwrap_or_default().chars().for_each(|c| out.push_str(&class_or_char(c, quoted)));
    out.push_str("(?:");
    let next = |text: &&str| text.get(end..).and_then(|rest| rest.chars().next());
    for (i, group) in texts.chunk_by(|a, b| next(a) == next(b)).enumerate() {
        out.push_str(if i > 0 { "|" } else { "" });
        write_choice(group, end, depth + 1, quoted, out);
    }
    out.push(')');
}
