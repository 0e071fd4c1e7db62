//! Sets of texts, closed under intersection and complement: the contents of JSON strings, and
//! numbers.

mod syntax;

use anyhow::Result;
use llguidance::derivre::{Regex, RegexAst, RegexBuilder};

pub use self::syntax::choice_lark;
use self::syntax::class_text;

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
