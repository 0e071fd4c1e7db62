//! JavaScript's regular expressions → sets of texts. A pattern may match anywhere in a text, as
//! JSON Schema says. Look-around becomes intersection and complement. Named groups, flags and
//! anchors of Python and Rust are also accepted.

mod parser;

use anyhow::{Context as _, Result, bail, ensure};

use self::parser::WORD;
use crate::regex::{Rx, any_char};

/// The texts in which the pattern matches. Errors: a syntax error, or a construct that no set of
/// texts expresses.
pub fn texts_with(pattern: &str) -> Result<Rx> {
    let parsed = parser::parse(pattern)?;
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

fn word() -> Rx {
    Rx::Class(WORD.to_vec())
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
            ("a{3,2}", "below its minimum"),
            ("[b-a]", "reverse order"),
            ("\\", "at the end"),
        ] {
            let error = texts_with(pattern).unwrap_err().to_string();
            assert!(error.contains(why), "{pattern}: {error}");
        }
    }
}
