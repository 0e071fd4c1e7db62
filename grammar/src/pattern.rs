//! JavaScript's regular expressions → sets of texts. A pattern may match anywhere in a text, as
//! JSON Schema says. Look-around becomes intersection and complement. Named groups, flags and
//! anchors of Python and Rust are also accepted.

use std::iter::Peekable;
use std::str::Chars;

use anyhow::{Context as _, Result, bail, ensure};
use regex_syntax::hir::{Class as HirClass, HirKind};

use crate::regex::{Class, Rx, any_char, inverted, normalized};

/// The texts in which the pattern matches. Errors: a syntax error, or a construct that no set of
/// texts expresses.
pub fn texts_with(pattern: &str) -> Result<Rx> {
    let mut parser = Parser { chars: pattern.chars().peekable(), ignore_case: false, dot_all: false, depth: 0 };
    let parsed = parser.alternatives()?;
    ensure!(parser.chars.next().is_none(), "a `)` without its `(`");
    let whole = [anything(), parsed, anything()];
    sequence(&whole.iter().collect::<Vec<_>>(), Rx::empty(), true, &mut BUDGET.clone())
}

/// Limit of the alternatives that look-around expands to.
const BUDGET: u32 = 500;

#[derive(Debug, Clone)]
enum Node {
    Plain(Rx),
    Start,
    End,
    /// A word boundary (`\b`), or a place that is none (`\B`).
    Edge(bool),
    Look {
        ahead: bool,
        negative: bool,
        body: Box<Node>,
    },
    Concat(Vec<Node>),
    Or(Vec<Node>),
    Repeat(Box<Node>, u32, Option<u32>),
}

fn anything() -> Node {
    Node::Plain(Rx::anything())
}

impl Node {
    /// The node as a set of texts, if it has no look-around, or only look-around that its
    /// neighbours in this node decide.
    fn plain(&self) -> Option<Rx> {
        match self {
            Self::Plain(rx) => Some(rx.clone()),
            Self::Concat(nodes) => {
                let mut after = Rx::empty();
                for node in nodes.iter().rev() {
                    after = match node {
                        Self::Look { ahead: true, negative, body } => {
                            let seen = body.plain().filter(|seen| seen.lengths().1 <= Some(after.lengths().0))?;
                            seen.lengths().1?;
                            let seen = Rx::concat([seen, Rx::anything()]);
                            Rx::and([if *negative { seen.not() } else { seen }, after])
                        }
                        node => Rx::concat([node.plain()?, after]),
                    };
                }
                Some(after)
            }
            Self::Or(nodes) => Some(Rx::or(nodes.iter().map(Self::plain).collect::<Option<Vec<_>>>()?)),
            Self::Repeat(node, min, max) => Some(node.plain()?.repeat(*min, *max)),
            Self::Start | Self::End | Self::Edge(_) | Self::Look { .. } => None,
        }
    }
}

/// The texts that `nodes` match one after the other, after `before`. `whole`: `before` begins at
/// the start of the text.
fn sequence(nodes: &[&Node], before: Rx, whole: bool, budget: &mut u32) -> Result<Rx> {
    let Some((&first, rest)) = nodes.split_first() else { return Ok(before) };
    *budget = budget.checked_sub(1).context("too much look-around")?;
    if let Some(rx) = first.plain() {
        return sequence(rest, Rx::concat([before, rx]), whole, budget);
    }
    // the texts from here on that satisfy a condition
    let after = |condition: Rx, budget: &mut u32| -> Result<Rx> {
        let at_start = whole && before == Rx::empty();
        let follows = sequence(rest, Rx::empty(), at_start, budget)?;
        Ok(Rx::concat([before.clone(), Rx::and([condition, follows])]))
    };
    match first {
        Node::Start => {
            ensure!(whole, "a `^` after a look-ahead");
            sequence(rest, Rx::and([before, Rx::empty()]), whole, budget)
        }
        Node::End => after(Rx::empty(), budget),
        Node::Look { ahead: true, negative, body } => {
            let end = anything();
            let seen = sequence(&[body, &end], Rx::empty(), whole && before == Rx::empty(), budget)?;
            after(if *negative { seen.not() } else { seen }, budget)
        }
        Node::Look { ahead: false, negative, body } => {
            let start = anything();
            let seen = sequence(&[&start, body], Rx::empty(), true, budget)?;
            if !whole {
                let reach = body.plain().and_then(|rx| rx.lengths().1);
                let known = reach.is_some_and(|reach| reach <= before.lengths().0);
                ensure!(known, "a look-behind past a look-ahead");
            }
            let condition = if *negative { seen.not() } else { seen };
            sequence(rest, Rx::and([before, condition]), whole, budget)
        }
        Node::Edge(edge) => {
            let look = |ahead, negative| Node::Look { ahead, negative, body: Box::new(Node::Plain(word())) };
            let cases = [(false, *edge), (true, !*edge)];
            let cases = cases.map(|(before, after)| Node::Concat(vec![look(false, before), look(true, after)]));
            or(&cases, rest, before, whole, budget)
        }
        Node::Concat(inner) => {
            let nodes: Vec<&Node> = inner.iter().chain(rest.iter().copied()).collect();
            sequence(&nodes, before, whole, budget)
        }
        Node::Or(options) => or(options, rest, before, whole, budget),
        Node::Repeat(inner, min, max) => match max {
            Some(max) if *max <= MOST_UNROLLED => {
                let times = |n| Node::Concat(vec![(**inner).clone(); n as usize]);
                or(&(*min..=*max).map(times).collect::<Vec<_>>(), rest, before, whole, budget)
            }
            _ => {
                let rx = tempered(inner, *min, *max, rest, budget)?;
                sequence(rest, Rx::concat([before, rx]), whole, budget)
            }
        },
        Node::Plain(rx) => sequence(rest, Rx::concat([before, rx.clone()]), whole, budget),
    }
}

/// Limit of repetitions of a group with look-around.
const MOST_UNROLLED: u32 = 8;

fn or(options: &[Node], rest: &[&Node], before: Rx, whole: bool, budget: &mut u32) -> Result<Rx> {
    let all: Result<Vec<Rx>> = options
        .iter()
        .map(|option| {
            let nodes: Vec<&Node> = std::iter::once(option).chain(rest.iter().copied()).collect();
            sequence(&nodes, before.clone(), whole, budget)
        })
        .collect();
    Ok(Rx::or(all?))
}

/// `(?:(?!a).)*` up to the end: characters at none of which `a` begins.
fn tempered(inner: &Node, min: u32, max: Option<u32>, rest: &[&Node], budget: &mut u32) -> Result<Rx> {
    const UNABLE: &str = "look-around inside a repetition";
    let Node::Concat(nodes) = inner else { bail!(UNABLE) };
    let [Node::Look { ahead: true, negative: true, body }, step] = nodes.as_slice() else { bail!(UNABLE) };
    let step = step.plain().context(UNABLE)?;
    ensure!(step.lengths() == (1, Some(1)) && matches!(rest.first(), Some(Node::End)), UNABLE);
    let seen = body.plain().context(UNABLE)?;
    ensure!(!seen.is_nullable(), UNABLE);
    let _ = budget;
    let anywhere = Rx::concat([Rx::anything(), seen, Rx::anything()]);
    Ok(Rx::and([step.repeat(min, max), anywhere.not()]))
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
const WORD: [(u32, u32); 4] = [(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
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

fn word() -> Rx {
    Rx::Class(WORD.to_vec())
}

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

/// Texts of `min` to `max` characters.
pub fn of_length(min: u64, max: Option<u64>) -> Rx {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX - 1);
    any_char().repeat(number(min), max.map(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        texts_with(pattern).unwrap().matcher().unwrap().is_match(text)
    }

    #[test]
    fn patterns_mean_the_same_as_in_javascript() {
        for (pattern, yes, no) in [
            ("a", &["a", "xax", "\na"][..], &["", "b"][..]),
            ("^a$", &["a"], &["aa", "a\n", "xa"]),
            ("^(a|b)c|d$", &["acx", "xd", "bc"], &["xac", "dx"]),
            (r"^\d{2,3}?$", &["12", "123"], &["1", "1234", "١٢"]),
            (r"^\w+\/\-\.$", &["a_/-."], &["é/-."]),
            (r"^[\w.-]+$", &["a.b-c"], &["a b"]),
            (r"^[^a-c]$", &["d", "😀"], &["a", "😀😀"]),
            (r"^.$", &["😀"], &["\n", "\u{2028}"]),
            (r"^\s\S$", &["\u{a0}x"], &["xx"]),
            (r"^\u{1F600}\ud83d\ude00\x41\u0042\cJ\t$", &["😀😀AB\n\t"], &["😀AB\n\t"]),
            (r"^\p{Lu}\p{Script=Greek}$", &["Éα"], &["éα", "Éa"]),
            (r"^(?<year>\d)(?P<month>\d)$", &["12"], &["1"]),
            (r"(?s)^a.b$", &["a\nb"], &["ab"]),
            (r"(?i)^héLLo$", &["HÉllO"], &["hello"]),
            (r"^(?i:a)b$", &["Ab"], &["AB"]),
            (r"^a{,2}$", &["a{,2}"], &["aa"]),
            (r"\Aa\z", &["a"], &["ba"]),
            ("^[\\b\\]]$", &["\u{8}", "]"], &["b"]),
            ("^$", &[""], &["a"]),
            ("", &["", "a"], &[]),
        ] {
            yes.iter().for_each(|text| assert!(matches(pattern, text), "{pattern} {text:?}"));
            no.iter().for_each(|text| assert!(!matches(pattern, text), "{pattern} {text:?}"));
        }
    }

    #[test]
    fn look_around_is_supported() {
        for (pattern, yes, no) in [
            (r"^(?!\.)(?!.*\.\.)[a-z.]+@[a-z]+\.[a-z]+$", &["a.b@c.d"][..], &[".a@c.d", "a..b@c.d"][..]),
            (r"^(?=.*\d)(?=.*[a-z]).{4,}$", &["a1bc", "1bca"], &["abcd", "1234", "a1b"]),
            (r"foo(?!bar)", &["foo", "foobaz", "foobarfoo"], &["foobar", "fo"]),
            (r"(?<!a)b", &["b", "xb", "abb"], &["ab", "a"]),
            (r"(?<=\$)\d+$", &["$12", "x$1"], &["12", "$12x"]),
            (r"\bcat\b", &["cat", "a cat.", "cat cat"], &["cats", "concat", "bobcats"]),
            (r"\Bx", &["ax"], &["x", " x"]),
            (r"^((?!foo).)*$", &["bar", "fo o", ""], &["foo", "a foo b"]),
            (r"(^|,)a(,|$)", &["a", "b,a", "a,b"], &["ba", "ab"]),
            (r"^(?=.{1,5}$)[a-z]+(\.[a-z]+)*$", &["a.b", "abcde"], &["abcdef", "ab.cde"]),
            (r"a$b", &[], &["ab", "a"]),
            (r"^(?:(?=a)a|b)+$", &["ab", "ba"], &["", "c"]),
            (r"^(?:(?![xy])[a-z]|-)+$", &["a-b"], &["ax", "y"]),
        ] {
            yes.iter().for_each(|text| assert!(matches(pattern, text), "{pattern} {text:?}"));
            no.iter().for_each(|text| assert!(!matches(pattern, text), "{pattern} {text:?}"));
        }
    }

    #[test]
    fn unsupported_constructs_are_named() {
        for (pattern, why) in [
            (r"(a)\1", "backreference"),
            (r"\k<a>", "backreference"),
            (r"^(?:a(?=bc)b*)+c$", "look-around"),
            ("(?m)^a", "(?m"),
            ("(", "`)`"),
            (")", "`)`"),
            ("[a", "`]`"),
            ("*", "nothing to repeat"),
            (r"\p{No_Such}", "No_Such"),
            ("(?>a)", "(?>"),
            ("a{3,2}", "ends before"),
            ("[b-a]", "ends before"),
            ("\\", "at the end"),
        ] {
            let error = texts_with(pattern).unwrap_err().to_string();
            assert!(error.contains(why), "{pattern}: {error}");
        }
    }
}
