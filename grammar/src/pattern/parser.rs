//! The syntax of patterns.

use std::iter::Peekable;
use std::str::Chars;

use anyhow::{Context as _, Result, bail, ensure};
use regex_syntax::hir::{Class as HirClass, HirKind};

use super::Node;
use crate::regex::{Class, Rx, any_char, inverted, normalized};

/// Parses a whole pattern.
pub(super) fn parse(pattern: &str) -> Result<Node> {
    let mut parser = Parser { chars: pattern.chars().peekable(), ignore_case: false, dot_all: false, depth: 0 };
    let parsed = parser.alternatives()?;
    ensure!(parser.chars.next().is_none(), "a `)` without its `(`");
    Ok(parsed)
}

struct Parser<'a> {
    chars: Peekable<Chars<'a>>,
    ignore_case: bool,
    /// Whether `.` also matches line breaks.
    dot_all: bool,
    depth: u32,
}

impl Parser<'_> {
    fn alternatives(&mut self) -> Result<Node> {
        self.depth += 1;
        ensure!(self.depth < 100, "groups nested too deeply");
        let before = (self.ignore_case, self.dot_all);
        let mut options = vec![self.concat()?];
        while self.take('|') {
            options.push(self.concat()?);
        }
        (self.ignore_case, self.dot_all) = before;
        self.depth -= 1;
        Ok(if options.len() == 1 { options.remove(0) } else { Node::Or(options) })
    }

    fn concat(&mut self) -> Result<Node> {
        let mut nodes = Vec::new();
        while let Some(&c) = self.chars.peek() {
            if c == '|' || c == ')' {
                break;
            }
            if let Some(atom) = self.atom()? {
                nodes.push(self.repeated(atom)?);
            }
        }
        Ok(Node::Concat(nodes))
    }

    fn take(&mut self, wanted: char) -> bool {
        self.chars.next_if_eq(&wanted).is_some()
    }

    /// Consumes `text` if it comes next.
    fn take_all(&mut self, text: &str) -> bool {
        let mut ahead = self.chars.clone();
        let found = text.chars().all(|c| ahead.next() == Some(c));
        if found {
            self.chars = ahead;
        }
        found
    }

    fn until(&mut self, end: char) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.chars.next() {
                Some(c) if c == end => return Ok(text),
                Some(c) => text.push(c),
                None => bail!("`{end}` is missing"),
            }
        }
    }

    fn class(&self, ranges: Class) -> Node {
        Node::Plain(Rx::Class(if self.ignore_case { both_cases(&ranges) } else { ranges }))
    }

    /// `None` for a group that only sets flags.
    fn atom(&mut self) -> Result<Option<Node>> {
        let Some(c) = self.chars.next() else { return Ok(None) };
        Ok(Some(match c {
            '^' => Node::Start,
            '$' => Node::End,
            '.' if self.dot_all => Node::Plain(any_char()),
            '.' => Node::Plain(Rx::Class(inverted(&LINE_ENDS))),
            '(' => return self.group(),
            '[' => self.set()?,
            '\\' => self.escape()?,
            '*' | '+' | '?' => bail!("`{c}` has nothing to repeat"),
            c => self.class(vec![(c as u32, c as u32)]),
        }))
    }

    fn group(&mut self) -> Result<Option<Node>> {
        let looks = [("?=", true, false), ("?!", true, true), ("?<=", false, false), ("?<!", false, true)];
        for (mark, ahead, negative) in looks {
            if self.take_all(mark) {
                let body = Box::new(self.rest_of_group()?);
                return Ok(Some(Node::Look { ahead, negative, body }));
            }
        }
        if self.take_all("?:") || !self.take('?') {
            return self.rest_of_group().map(Some);
        }
        if self.take('<') || self.take_all("P<") {
            self.until('>')?;
            return self.rest_of_group().map(Some);
        }
        let mut on = true;
        let before = (self.ignore_case, self.dot_all);
        loop {
            match self.chars.next() {
                Some('-') => on = false,
                Some('i') => self.ignore_case = on,
                Some('s') => self.dot_all = on,
                // patterns are over code points anyway
                Some('u') => {}
                Some(')') => return Ok(None),
                Some(':') => {
                    let body = self.rest_of_group()?;
                    (self.ignore_case, self.dot_all) = before;
                    return Ok(Some(body));
                }
                Some(c) => bail!("a group that begins with `(?{c}`"),
                None => bail!("`)` is missing"),
            }
        }
    }

    fn rest_of_group(&mut self) -> Result<Node> {
        let body = self.alternatives()?;
        ensure!(self.take(')'), "`)` is missing");
        Ok(body)
    }

    fn repeated(&mut self, atom: Node) -> Result<Node> {
        let (min, max) = match self.chars.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let mut ahead = self.chars.clone();
                ahead.next();
                let Some((bounds, rest)) = bounds(ahead) else { return Ok(atom) };
                self.chars = rest;
                self.take('?');
                return self.times(atom, bounds);
            }
            _ => return Ok(atom),
        };
        self.chars.next();
        self.take('?');
        self.times(atom, (min, max))
    }

    fn times(&mut self, atom: Node, (min, max): Times) -> Result<Node> {
        ensure!(max.is_none_or(|max| min <= max), "a repetition with a maximum below its minimum {min}");
        ensure!(!matches!(self.chars.peek(), Some('*' | '+' | '?')), "a repetition of a repetition");
        Ok(Node::Repeat(Box::new(atom), min, max))
    }

    fn escape(&mut self) -> Result<Node> {
        let Some(&c) = self.chars.peek() else { bail!("a `\\` at the end") };
        let node = match c {
            'b' => Node::Edge(true),
            'B' => Node::Edge(false),
            'A' => Node::Start,
            'z' | 'Z' => Node::End,
            '1'..='9' | 'k' => bail!("a backreference"),
            _ => {
                let ranges = self.escaped()?;
                return Ok(self.class(ranges));
            }
        };
        self.chars.next();
        Ok(node)
    }

    /// The escape after a backslash.
    fn escaped(&mut self) -> Result<Class> {
        let Some(c) = self.chars.next() else { bail!("a `\\` at the end") };
        let code = match c {
            'd' => return Ok(DIGITS.to_vec()),
            'D' => return Ok(inverted(&DIGITS)),
            'w' => return Ok(WORD.to_vec()),
            'W' => return Ok(inverted(&WORD)),
            's' => return Ok(SPACE.to_vec()),
            'S' => return Ok(inverted(&SPACE)),
            'p' | 'P' => {
                let name = if self.take('{') {
                    self.until('}')?
                } else {
                    self.chars.next().map(String::from).unwrap_or_default()
                };
                let ranges = property(&name)?;
                return Ok(if c == 'P' { inverted(&ranges) } else { ranges });
            }
            't' => 9,
            'n' => 10,
            'v' => 11,
            'f' => 12,
            'r' => 13,
            '0' => 0,
            'c' => self
                .chars
                .next()
                .filter(char::is_ascii_alphabetic)
                .map(|c| c as u32 % 32)
                .context("`\\c` without a letter")?,
            'x' if !matches!(self.chars.peek(), Some('{')) => self.hex(2)?,
            'u' | 'x' => {
                if self.take('{') {
                    u32::from_str_radix(&self.until('}')?, 16)?
                } else {
                    let high = self.hex(4)?;
                    if (0xd800..0xdc00).contains(&high) && self.take_all("\\u") {
                        let low = self.hex(4)?;
                        ensure!((0xdc00..0xe000).contains(&low), "half of a surrogate pair");
                        0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                    } else {
                        high
                    }
                }
            }
            c => c as u32,
        };
        Ok(vec![(code, code)])
    }

    fn hex(&mut self, digits: usize) -> Result<u32> {
        let text: String = self.chars.by_ref().take(digits).collect();
        ensure!(text.len() == digits, "an incomplete character code");
        Ok(u32::from_str_radix(&text, 16)?)
    }

    /// The set after `[`.
    fn set(&mut self) -> Result<Node> {
        let negative = self.take('^');
        let mut ranges: Class = Vec::new();
        while !self.take(']') {
            let from = self.member()?;
            let [(low, single)] = from.as_slice() else {
                ranges.extend(from);
                continue;
            };
            let mut ahead = self.chars.clone();
            let is_range = low == single && ahead.next() == Some('-') && !matches!(ahead.next(), Some(']') | None);
            if !is_range {
                ranges.extend(from);
                continue;
            }
            self.chars.next();
            match self.member()?.as_slice() {
                [(high, same)] if high == same => {
                    ensure!(low <= high, "a range of characters in reverse order");
                    ranges.push((*low, *high));
                }
                to => {
                    ranges.extend([(*low, *low), (u32::from(b'-'), u32::from(b'-'))]);
                    ranges.extend(to);
                }
            }
        }
        let ranges = normalized(ranges);
        let ranges = if self.ignore_case { both_cases(&ranges) } else { ranges };
        Ok(Node::Plain(Rx::Class(if negative { inverted(&ranges) } else { ranges })))
    }

    fn member(&mut self) -> Result<Class> {
        match self.chars.next() {
            Some('\\') if self.take('b') => Ok(vec![(8, 8)]),
            Some('\\') => self.escaped(),
            Some(c) => Ok(vec![(c as u32, c as u32)]),
            None => bail!("`]` is missing"),
        }
    }
}

/// Minimum and maximum of a repetition; `None`: no maximum.
type Times = (u32, Option<u32>);

/// `2}`, `2,}` or `2,3}`, and the rest of the pattern.
fn bounds(mut chars: Peekable<Chars<'_>>) -> Option<(Times, Peekable<Chars<'_>>)> {
    let text: String = std::iter::from_fn(|| chars.next_if(|c| c.is_ascii_digit() || *c == ',')).collect();
    chars.next_if_eq(&'}')?;
    // counts too large for u32 are not bounds
    let number = |text: &str| if text.is_empty() { None } else { text.parse::<u32>().ok() };
    let bounds = match text.split_once(',') {
        None => (number(&text)?, Some(number(&text)?)),
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some((bounds, chars))
}

const DIGITS: [(u32, u32); 1] = [(0x30, 0x39)];
pub(super) const WORD: [(u32, u32); 4] = [(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
const SPACE: [(u32, u32); 10] = [
    (0x09, 0x0d),
    (0x20, 0x20),
    (0xa0, 0xa0),
    (0x1680, 0x1680),
    (0x2000, 0x200a),
    (0x2028, 0x2029),
    (0x202f, 0x202f),
    (0x205f, 0x205f),
    (0x3000, 0x3000),
    (0xfeff, 0xfeff),
];
const LINE_ENDS: [(u32, u32); 3] = [(0x0a, 0x0a), (0x0d, 0x0d), (0x2028, 0x2029)];

/// The characters of a Unicode property: `L`, `Lu`, `Script=Greek`, `Extended_Pictographic`.
fn property(name: &str) -> Result<Class> {
    let hir = regex_syntax::parse(&format!("\\p{{{name}}}"))
        .ok()
        .with_context(|| format!("no property `{name}` of characters"))?;
    match hir.kind() {
        HirKind::Class(HirClass::Unicode(class)) => {
            Ok(class.ranges().iter().map(|range| (range.start() as u32, range.end() as u32)).collect())
        }
        HirKind::Literal(literal) => {
            let text = String::from_utf8_lossy(&literal.0);
            Ok(text.chars().map(|c| (c as u32, c as u32)).collect())
        }
        _ => bail!("no property `{name}` of characters"),
    }
}

fn both_cases(ranges: &[(u32, u32)]) -> Class {
    use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};
    let chars = |&(from, to): &(u32, u32)| Some(ClassUnicodeRange::new(char::from_u32(from)?, char::from_u32(to)?));
    let mut class = ClassUnicode::new(ranges.iter().filter_map(chars));
    class.case_fold_simple();
    class.ranges().iter().map(|range| (range.start() as u32, range.end() as u32)).collect()
}
