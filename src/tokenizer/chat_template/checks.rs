//! Where checks are written into a template: around what is compared, hashed or made text, which takes as long as the value is large and
//! no fuel; and wherever a value gets a name, which is how values outlive an expression and grow.

use minijinja::machinery::Token;

/// Filter that pays for its value, with its text.
pub(super) const PAID: &str = "weft_paid";

/// The same for what stands in brackets behind a value.
pub(super) const INDEX: &str = "weft_index";

/// Filter that pays for a value and refuses one that is nested too deeply; its argument is how deep the value will lie.
pub(super) const BOUNDED: &str = "weft_bounded";

/// Filters whose work does not grow with what the elements of a value hold, or that pay themselves.
const CHEAP: [&str; 13] = [
    "length",
    "count",
    "first",
    "last",
    "default",
    "d",
    "list",
    "items",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "tojson",
];

/// A token, and where it begins and ends.
pub(super) type Placed<'a> = (Token<'a>, usize, usize);

/// Text to put in, and before which byte.
pub(super) type Edit = (usize, String);

/// Adds the checks of a tag. `tag`: what stands between its marks; `begin`, `end`: where that begins and ends.
pub(super) fn add(tag: &[Placed], is_block: bool, begin: usize, end: usize, edits: &mut Vec<Edit>) {
    let keyword = match tag.first() {
        Some((Token::Ident(word), ..)) if is_block => *word,
        _ => "",
    };
    operands(tag, keyword, begin, end, edits);
    let mut name = |name: &str| edits.push((end, format!(" %}}{{% set {name} = {name} | {BOUNDED}(0) ")));
    match keyword {
        "set" => set(tag, end, edits),
        "for" => idents(tag[1..].iter().take_while(|(token, ..)| !matches!(token, Token::Ident("in")))).for_each(name),
        "with" => {
            let mut from = 1;
            for (i, (token, ..)) in tag.iter().enumerate() {
                match token {
                    Token::Comma if depth(&tag[..i]) == 0 => from = i + 1,
                    Token::Assign if depth(&tag[..i]) == 0 => idents(&tag[from..i]).for_each(&mut name),
                    _ => {}
                }
            }
        }
        "macro" | "call" => {
            // `call` has parameters where a parenthesis follows at once, `macro` after its name.
            let open = if keyword == "macro" { 2 } else { 1 };
            for (i, (token, ..)) in tag.iter().enumerate().skip(open) {
                let inside = depth(&tag[open..i]);
                if inside == 0 && i > open || !matches!(tag[open].0, Token::ParenOpen) {
                    break;
                }
                let begins = matches!(tag[i - 1].0, Token::ParenOpen | Token::Comma);
                if let (Token::Ident(parameter), 1, true) = (token, inside, begins) {
                    name(parameter);
                }
            }
        }
        _ => {}
    }
}

fn idents<'t, 's: 't>(tokens: impl IntoIterator<Item = &'t Placed<'s>>) -> impl Iterator<Item = &'s str> {
    tokens.into_iter().filter_map(|(token, ..)| if let Token::Ident(name) = token { Some(*name) } else { None })
}

/// How many parentheses and brackets are open after these tokens.
fn depth(tokens: &[Placed]) -> isize {
    let step = |(token, ..): &Placed| match token {
        Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => 1,
        Token::ParenClose | Token::BracketClose | Token::BraceClose => -1,
        _ => 0,
    };
    tokens.iter().map(step).sum()
}

/// The value of a `{% set … = … %}`; one of an attribute will lie in its namespace.
fn set(tag: &[Placed], end: usize, edits: &mut Vec<Edit>) {
    let assign = (0..tag.len()).find(|&i| matches!(tag[i].0, Token::Assign) && depth(&tag[..i]) == 0);
    let Some(assign) = assign else { return };
    let within = tag[..assign].iter().any(|(token, ..)| matches!(token, Token::Dot));
    edits.push((tag[assign].2, "(".into()));
    edits.push((end, format!(") | {BOUNDED}({}) ", u8::from(within))));
}

/// A stretch of an expression that may become the operand of an operator.
struct Operand {
    start: usize,
    /// Whether it is one, as far as what stands before it tells.
    paid: bool,
    tokens: usize,
    /// Whether all its tokens are constants.
    constant: bool,
}

impl Operand {
    fn new(start: usize, paid: bool) -> Self {
        Self { start, paid, tokens: 0, constant: true }
    }

    fn token(&mut self, token: &Token) {
        self.tokens += 1;
        self.constant &= match token {
            Token::Int(value) => i32::try_from(*value).is_ok(),
            Token::Ident(word) => matches!(*word, "true" | "True" | "false" | "False" | "none" | "None"),
            Token::Str(_) | Token::String(_) | Token::Float(_) => true,
            _ => false,
        };
    }

    /// It ends here, and another one begins behind the operator.
    fn end(&mut self, at: usize, next: usize, paid: bool, filter: &str, edits: &mut Vec<Edit>) {
        if self.paid && self.tokens > 0 && !(self.constant && self.tokens == 1) {
            edits.push((self.start, "(".into()));
            edits.push((at, format!(") | {filter} ")));
        }
        *self = Self::new(next, paid);
    }
}

/// What stands between two parentheses, brackets or braces, or the marks of the tag.
struct Group {
    /// Whether everything between two commas is paid for; in a mapping, all keys are.
    paid: bool,
    is_map: bool,
    filter: &'static str,
    /// Of `==` and its like, which bind least.
    compared: Operand,
    /// Of `~`, which binds more than `+`.
    joined: Operand,
}

impl Group {
    fn new(start: usize, paid: bool, is_map: bool, filter: &'static str) -> Self {
        let compared = Operand::new(start, paid || is_map);
        Self { paid, is_map, filter, compared, joined: Operand::new(start, false) }
    }

    fn token(&mut self, token: &Token) {
        self.compared.token(token);
        self.joined.token(token);
    }

    /// `at`, `next`: where the operator begins and ends.
    fn end(&mut self, at: usize, next: usize, paid: bool, edits: &mut Vec<Edit>) {
        self.joined.end(at, next, false, PAID, edits);
        self.compared.end(at, next, paid, self.filter, edits);
    }
}

fn operands(tag: &[Placed], keyword: &str, begin: usize, end: usize, edits: &mut Vec<Edit>) {
    let mut groups = vec![Group::new(begin, false, false, PAID)];
    let before = |i: usize, back: usize| i.checked_sub(back).map(|i| &tag[i].0);
    let is = |i: usize, back: usize, word: &str| matches!(before(i, back), Some(Token::Ident(other)) if *other == word);
    // Names of tests, filters and attributes are no operators.
    let is_name = |i: usize| {
        is(i, 1, "is") || is(i, 1, "not") && is(i, 2, "is") || matches!(before(i, 1), Some(Token::Dot | Token::Pipe))
    };
    let mut in_header = keyword == "for";
    let mut skip = false;
    for (i, (token, at, next)) in tag.iter().enumerate() {
        let (at, next) = (*at, *next);
        if std::mem::take(&mut skip) {
            continue;
        }
        let Some(group) = groups.last_mut() else { return };
        match token {
            Token::ParenOpen => {
                group.token(token);
                let paid = match before(i, 1) {
                    Some(Token::Ident("changed")) => true,
                    Some(Token::Ident(filter)) if matches!(before(i, 2), Some(Token::Pipe)) => !CHEAP.contains(filter),
                    Some(Token::Ident(_)) => i > 0 && is_name(i - 1) && !matches!(before(i, 2), Some(Token::Dot)),
                    _ => false,
                };
                groups.push(Group::new(next, paid, false, PAID));
            }
            Token::BracketOpen => {
                group.token(token);
                let behind_value = match before(i, 1) {
                    Some(Token::Ident(word)) => !matches!(*word, "in" | "and" | "or" | "not" | "if" | "else" | "is"),
                    Some(Token::Str(_) | Token::String(_)) => true,
                    Some(Token::BracketClose | Token::ParenClose | Token::BraceClose) => true,
                    _ => false,
                };
                groups.push(Group::new(next, behind_value, false, INDEX));
            }
            Token::BraceOpen => {
                group.token(token);
                groups.push(Group::new(next, false, true, PAID));
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                group.end(at, next, false, edits);
                groups.pop();
                // What was in it is a part of what it is in.
                if let Some(group) = groups.last_mut() {
                    group.token(token);
                }
            }
            Token::Comma => {
                let paid = group.paid || group.is_map;
                group.end(at, next, paid, edits);
            }
            Token::Colon => {
                let paid = group.paid;
                group.end(at, next, paid, edits);
            }
            // What stands before it is a name.
            Token::Assign => *group = Group::new(next, group.paid, false, group.filter),
            Token::Eq | Token::Ne | Token::Lt | Token::Lte | Token::Gt | Token::Gte => compare(group, at, next, edits),
            Token::Tilde => {
                group.joined.paid = true;
                group.joined.end(at, next, true, PAID, edits);
                group.compared.token(token);
            }
            Token::Plus | Token::Minus if group.joined.tokens > 0 => {
                group.joined.end(at, next, false, PAID, edits);
                group.compared.token(token);
            }
            Token::Pipe => {
                group.token(token);
                if let Some((Token::Ident(filter), ..)) = tag.get(i + 1)
                    && !CHEAP.contains(filter)
                {
                    edits.push((next, format!(" {PAID} | ")));
                }
            }
            Token::Ident("in") if in_header && !is_name(i) => {
                in_header = false;
                group.end(at, next, false, edits);
            }
            Token::Ident("in") if !is_name(i) => compare(group, at, next, edits),
            Token::Ident("not") if !is_name(i) => match tag.get(i + 1) {
                Some((Token::Ident("in"), _, after)) => {
                    compare(group, at, *after, edits);
                    skip = true;
                }
                _ => {
                    let paid = group.paid;
                    group.end(at, next, paid, edits);
                }
            },
            Token::Ident("and" | "or" | "if" | "else" | "recursive" | "as") if !is_name(i) => {
                let paid = group.paid;
                group.end(at, next, paid, edits);
            }
            Token::Ident(word) if i == 0 && *word == keyword => group.end(at, next, false, edits),
            _ => group.token(token),
        }
    }
    if let [group] = groups.as_mut_slice() {
        group.end(end, end, false, edits);
    }
}

/// An operator that compares: both sides are paid for.
fn compare(group: &mut Group, at: usize, next: usize, edits: &mut Vec<Edit>) {
    group.compared.paid = true;
    group.end(at, next, true, edits);
}
