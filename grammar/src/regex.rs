//! Sets of texts, closed under intersection and complement: the contents of JSON strings, and
//! numbers.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use llguidance::derivre::{Regex, RegexAst, RegexBuilder};

/// Ranges of code points, both ends inclusive, sorted and disjoint.
pub type Class = Vec<(u32, u32)>;

const LAST: u32 = 0x0010_ffff;

/// A set of texts.
#[derive(Debug, Clone, PartialEq)]
pub enum Rx {
    Literal(String),
    /// Texts of one character. No ranges: the empty set.
    Class(Class),
    Concat(Vec<Rx>),
    Or(Vec<Rx>),
    And(Vec<Rx>),
    Not(Box<Rx>),
    /// Repetitions; `None`: no maximum.
    Repeat(Box<Rx>, u32, Option<u32>),
}

impl Rx {
    pub fn never() -> Self {
        Self::Class(Vec::new())
    }

    /// Only the empty text.
    pub fn empty() -> Self {
        Self::Literal(String::new())
    }

    pub fn literal(text: impl Into<String>) -> Self {
        Self::Literal(text.into())
    }

    /// One character of `chars`.
    pub fn one_of(chars: &str) -> Self {
        Self::Class(normalized(chars.chars().map(|c| (c as u32, c as u32)).collect()))
    }

    pub fn range(from: char, to: char) -> Self {
        Self::Class(vec![(from as u32, to as u32)])
    }

    /// All texts.
    pub fn anything() -> Self {
        any_char().repeat(0, None)
    }

    pub fn concat(parts: impl IntoIterator<Item = Rx>) -> Self {
        let mut whole: Vec<Rx> = Vec::new();
        for part in parts {
            match part {
                part if part.is_never() => return Self::never(),
                Self::Literal(text) => match whole.last_mut() {
                    Some(Self::Literal(before)) => before.push_str(&text),
                    _ if text.is_empty() => {}
                    _ => whole.push(Self::Literal(text)),
                },
                Self::Concat(inner) => inner.into_iter().for_each(|part| push_part(&mut whole, part)),
                part => push_part(&mut whole, part),
            }
        }
        match whole.len() {
            0 => Self::empty(),
            1 => whole.remove(0),
            _ => Self::Concat(whole),
        }
    }

    pub fn or(options: impl IntoIterator<Item = Rx>) -> Self {
        let mut whole: Vec<Rx> = Vec::new();
        for option in options {
            match option {
                option if option.is_never() => {}
                Self::Or(inner) => whole.extend(inner),
                option => whole.push(option),
            }
        }
        match whole.len() {
            0 => Self::never(),
            1 => whole.remove(0),
            _ => Self::Or(whole),
        }
    }

    pub fn and(conditions: impl IntoIterator<Item = Rx>) -> Self {
        let mut whole: Vec<Rx> = Vec::new();
        for condition in conditions {
            match condition {
                condition if condition.is_never() => return Self::never(),
                condition if condition == Self::anything() || whole.contains(&condition) => {}
                Self::And(inner) => whole.extend(inner),
                condition => whole.push(condition),
            }
        }
        if whole.contains(&Self::empty()) {
            return if whole.iter().all(Rx::is_nullable) { Self::empty() } else { Self::never() };
        }
        match whole.len() {
            0 => Self::anything(),
            1 => whole.remove(0),
            _ => Self::And(whole),
        }
    }

    pub fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            rx if rx.is_never() => Self::anything(),
            rx => Self::Not(Box::new(rx)),
        }
    }

    pub fn repeat(self, min: u32, max: Option<u32>) -> Self {
        match (min, max) {
            (_, Some(0)) => Self::empty(),
            (1, Some(1)) => self,
            _ if self == Self::empty() => self,
            (0, _) if self.is_never() => Self::empty(),
            _ if self.is_never() => self,
            _ => Self::Repeat(Box::new(self), min, max),
        }
    }

    pub fn optional(self) -> Self {
        self.repeat(0, Some(1))
    }

    /// Whether the set is obviously empty.
    pub fn is_never(&self) -> bool {
        matches!(self, Self::Class(ranges) if ranges.is_empty())
    }

    /// Whether the set contains the empty text.
    pub fn is_nullable(&self) -> bool {
        match self {
            Self::Literal(text) => text.is_empty(),
            Self::Class(_) => false,
            Self::Concat(parts) | Self::And(parts) => parts.iter().all(Rx::is_nullable),
            Self::Or(parts) => parts.iter().any(Rx::is_nullable),
            Self::Not(inner) => !inner.is_nullable(),
            Self::Repeat(inner, min, _) => *min == 0 || inner.is_nullable(),
        }
    }

    /// Bounds of the texts' lengths, in characters.
    pub fn lengths(&self) -> (u64, Option<u64>) {
        let add = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        match self {
            Self::Literal(text) => {
                let length = text.chars().count() as u64;
                (length, Some(length))
            }
            Self::Class(_) => (1, Some(1)),
            Self::Concat(parts) => parts.iter().fold((0, Some(0)), |(min, max), part| {
                let (a, b) = part.lengths();
                (min.saturating_add(a), add(max, b))
            }),
            Self::Or(parts) => {
                let all = parts.iter().map(Rx::lengths);
                all.reduce(|(a, b), (c, d)| (a.min(c), b.and_then(|b| d.map(|d| b.max(d))))).unwrap_or((0, Some(0)))
            }
            Self::And(parts) => parts.iter().map(Rx::lengths).fold((0, None), |(a, b), (c, d)| {
                let max = match (b, d) {
                    (Some(b), Some(d)) => Some(b.min(d)),
                    (one, other) => one.or(other),
                };
                (a.max(c), max)
            }),
            Self::Not(_) => (0, None),
            Self::Repeat(inner, min, max) => {
                let (a, b) = inner.lengths();
                let most = match (b, max) {
                    (Some(0), _) => Some(0),
                    (Some(b), Some(max)) => Some(b.saturating_mul(u64::from(*max))),
                    _ => None,
                };
                (a.saturating_mul(u64::from(*min)), most)
            }
        }
    }

    /// Whether it contains an intersection or a complement.
    pub fn has_conditions(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Class(_) => false,
            Self::Concat(parts) | Self::Or(parts) => parts.iter().any(Rx::has_conditions),
            Self::And(_) | Self::Not(_) => true,
            Self::Repeat(inner, ..) => inner.has_conditions(),
        }
    }

    fn ast(&self) -> RegexAst {
        let all = |parts: &[Rx]| parts.iter().map(Rx::ast).collect();
        match self {
            Self::Literal(text) => RegexAst::Literal(text.clone()),
            Self::Class(ranges) if ranges.is_empty() => RegexAst::NoMatch,
            Self::Class(ranges) => RegexAst::Regex(class_text(ranges)),
            Self::Concat(parts) => RegexAst::Concat(all(parts)),
            Self::Or(parts) => RegexAst::Or(all(parts)),
            Self::And(parts) => RegexAst::And(all(parts)),
            // the complement is over bytes, so restrict it to texts
            Self::Not(inner) => RegexAst::And(vec![Self::anything().ast(), RegexAst::Not(Box::new(inner.ast()))]),
            Self::Repeat(inner, min, max) => RegexAst::Repeat(Box::new(inner.ast()), *min, max.unwrap_or(u32::MAX)),
        }
    }

    fn compiled(&self) -> Result<Regex> {
        // limit of derivation steps
        const FUEL: u64 = 500_000;
        let mut builder = RegexBuilder::new();
        let expression = builder.mk(&self.ast())?;
        builder.to_regex_limited(expression, FUEL)
    }

    /// Compiles the set for matching. Errors: it is too large.
    pub fn matcher(&self) -> Result<Matcher> {
        Ok(Matcher(self.compiled()?))
    }

    /// Whether the set is empty. Errors: it is too large to decide.
    pub fn has_none(&self) -> Result<bool> {
        Ok(self.is_never() || self.compiled()?.always_empty())
    }

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

/// Appends a part to a concatenation. Repetitions of characters are absorbed by an adjacent "all
/// texts": `.*` in a pattern that may match anywhere.
fn push_part(whole: &mut Vec<Rx>, part: Rx) {
    let repeats = |part: &Rx| matches!(part, Rx::Repeat(inner, 0, None) if matches!(**inner, Rx::Class(_)));
    if part == Rx::anything() {
        while whole.last().is_some_and(repeats) {
            whole.pop();
        }
    }
    if !(repeats(&part) && whole.last() == Some(&Rx::anything())) {
        whole.push(part);
    }
}

/// Decides which texts are in a set.
pub struct Matcher(Regex);

impl Matcher {
    pub fn is_match(&mut self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

pub fn any_char() -> Rx {
    Rx::Class(vec![(0, LAST)])
}

/// The ranges sorted, and joined where they touch.
pub fn normalized(mut ranges: Class) -> Class {
    ranges.sort_unstable();
    let mut whole: Class = Vec::new();
    for (from, to) in ranges {
        match whole.last_mut() {
            Some((_, end)) if from <= end.saturating_add(1) => *end = to.max(*end),
            _ => whole.push((from, to)),
        }
    }
    whole
}

/// All characters except these.
pub fn inverted(ranges: &[(u32, u32)]) -> Class {
    let mut whole = Vec::new();
    let mut next = 0;
    for &(from, to) in ranges {
        if from > next {
            whole.push((next, from - 1));
        }
        next = to + 1;
    }
    if next <= LAST {
        whole.push((next, LAST));
    }
    whole
}

/// The parts of `ranges` between `from` and `to`.
fn within(ranges: &[(u32, u32)], from: u32, to: u32) -> Class {
    ranges.iter().map(|&(a, b)| (a.max(from), b.min(to))).filter(|(a, b)| a <= b).collect()
}

fn char_text(code: u32) -> String {
    match char::from_u32(code) {
        Some(c) if c.is_ascii_alphanumeric() || " _,:;@%=<>!".contains(c) => c.to_string(),
        _ => format!("\\x{{{code:X}}}"),
    }
}

fn class_text(ranges: &[(u32, u32)]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_texts_use_the_escapes_of_json() {
        assert_eq!(Rx::literal("a\"\n").lark(true), "/a\\\\[\\\"](?:\\\\[n]|\\\\u000[aA])/");
        assert_eq!(Rx::literal("a/").lark(false), r"/a\x{2F}/");
        assert!(Rx::anything().lark(true).contains("[01][0-9a-fA-F]"));
    }

    #[test]
    fn choices_share_common_prefixes() {
        assert_eq!(
            choice_lark(["abc", "abd", "ab", "é", "è"].into_iter(), false).unwrap(),
            "(?:ab(?:|c|d)|\\x{E8}|\\x{E9})"
        );
    }

    #[test]
    fn empty_intersections_and_complements_are_recognised() {
        let digits = Rx::range('0', '9').repeat(1, None);
        let letters = Rx::range('a', 'z').repeat(1, None);
        assert!(Rx::and([digits.clone(), letters.clone()]).has_none().unwrap());
        assert!(Rx::and([digits.clone(), digits.clone().not()]).has_none().unwrap());
        assert!(!Rx::and([digits.not(), letters]).has_none().unwrap());
    }
}
