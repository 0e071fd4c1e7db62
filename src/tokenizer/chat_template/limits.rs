//! What a template may not do, beyond its fuel.
//!
//! Fuel pays for instructions and for text, but not for stack, of which a page has 1 MiB: the compiler recurses along an
//! expression and along `elif`, and whatever walks a value recurses into it, for ever where a namespace holds itself. Nor does
//! fuel see what a method or a value's text takes before it is there.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use super::checks;

/// The longest template that is compiled; the longest in use have some 20 KB.
const MAX_SOURCE_BYTES: usize = 1 << 18;

/// Most tokens of one `{{ … }}` or `{% … %}`; in use are up to 100.
const MAX_TAG_TOKENS: usize = 500;

/// Most `elif` of a template.
const MAX_ELIFS: usize = 200;

/// How deep macros, blocks and loops may lie within each other; each takes some KB of stack.
pub(super) const MAX_CALLS: usize = 100;

/// How deep lists and mappings may lie within each other.
const MAX_DEPTH: usize = 32;

/// The widest that a field of `str.format` may be.
const MAX_WIDTH_DIGITS: usize = 3;

/// Bytes that a unit of fuel pays for.
const FUEL_BYTES: usize = 64;

pub(super) fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// `source` with checks written into it: see [`checks`]. Refuses a source on whose structure the compiler would recurse deeply.
pub(super) fn bounded(source: &str, syntax: &SyntaxConfig) -> Result<String, Error> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(refused(format!("{} bytes are more than the {MAX_SOURCE_BYTES} that are compiled", source.len())));
    }
    let (mut edits, mut tag, mut elifs) = (Vec::new(), Vec::new(), 0);
    let (mut is_block, mut begin) = (false, 0);
    for token in tokenize(source, false, syntax.clone()) {
        // What is no token at all is the compiler's to complain about.
        let Ok((token, span)) = token else { break };
        let (start, end) = (span.start_offset as usize, span.end_offset as usize);
        match token {
            Token::TemplateData(_) => {}
            Token::VariableStart | Token::BlockStart => {
                (is_block, begin) = (matches!(token, Token::BlockStart), end);
                tag.clear();
            }
            Token::VariableEnd | Token::BlockEnd => checks::add(&tag, is_block, begin, start, &mut edits),
            token => {
                elifs += usize::from(matches!(token, Token::Ident("elif")));
                tag.push((token, start, end));
            }
        }
        if tag.len() > MAX_TAG_TOKENS || elifs > MAX_ELIFS {
            let limits = format!("{MAX_TAG_TOKENS} symbols of one tag, or {MAX_ELIFS} elif");
            return Err(refused(format!("line {}: more than {limits}", span.start_line)));
        }
    }
    // Those of one place stay in their order.
    edits.sort_by_key(|(at, _)| *at);
    let (mut checked, mut copied) = (String::with_capacity(2 * source.len()), 0);
    for (at, text) in edits {
        checked += &source[copied..at];
        checked += &text;
        copied = at;
    }
    Ok(checked + &source[copied..])
}

/// The filter [`checks::BOUNDED`]: gives back its value, or refuses it.
pub(super) fn check_set(state: &State, value: &Value, depth: usize) -> Result<Value, Error> {
    Walk { state, text: false, indent: 0, units: 0 }.enter(value, depth)?;
    Ok(value.clone())
}

/// The filter [`checks::PAID`]: gives back its value.
pub(super) fn paid(state: &State, value: &Value) -> Result<Value, Error> {
    check_value(state, value, 0)?;
    Ok(value.clone())
}

/// The filter [`checks::INDEX`]. Where addresses have 32 bits, the library divides by zero for some numbers beyond.
pub(super) fn index(state: &State, value: &Value) -> Result<Value, Error> {
    if value.is_integer() && i32::try_from(value.clone()).is_err() {
        return Err(refused(format!("{value} is no place in a list")));
    }
    paid(state, value)
}

/// The tests that compare, in all their spellings.
pub(super) fn add_tests(environment: &mut Environment) {
    type Compare = fn(&Value, &Value) -> bool;
    let tests: [(&[&'static str], Compare); 6] = [
        (&["eq", "equalto", "=="], |a, b| a == b),
        (&["ne", "!="], |a, b| a != b),
        (&["lt", "lessthan", "<"], |a, b| a < b),
        (&["le", "<="], |a, b| a <= b),
        (&["gt", "greaterthan", ">"], |a, b| a > b),
        (&["ge", ">="], |a, b| a >= b),
    ];
    for (names, compare) in tests {
        for name in names {
            environment.add_test(*name, move |state: &State, a: &Value, b: &Value| -> Result<bool, Error> {
                check_value(state, a, 0)?;
                check_value(state, b, 0)?;
                Ok(compare(a, b))
            });
        }
    }
    environment.add_test("in", |state: &State, value: &Value, container: &Value| -> Result<bool, Error> {
        check_value(state, value, 0)?;
        check_value(state, container, 0)?;
        minijinja::tests::is_in(state, value, container)
    });
}

/// Pays for the text of a value, `indent` bytes a level, and refuses one whose text would take too much stack.
pub(super) fn check_value(state: &State, value: &Value, indent: usize) -> Result<(), Error> {
    Walk { state, text: true, indent, units: 0 }.enter(value, 0)
}

/// Goes through the elements of a value and pays for them.
struct Walk<'a> {
    state: &'a State<'a, 'a>,
    /// Whether text is paid for, too.
    text: bool,
    indent: usize,
    /// Of 1 / `FUEL_BYTES` fuel, not paid yet.
    units: usize,
}

impl Walk<'_> {
    fn enter(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.units += 8 + self.indent * depth;
        if let Some(text) = value.as_str().filter(|_| self.text) {
            self.units += text.len();
        }
        pay(self.state, self.units)?;
        self.units %= FUEL_BYTES;
        let kind = value.kind();
        if !matches!(kind, ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
            return Ok(());
        }
        // One that holds itself has no end.
        let namespace = value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"));
        if depth > MAX_DEPTH || (namespace && depth > 0) {
            return Err(refused(format!("a value is nested more than {MAX_DEPTH} deep, or has a namespace within it")));
        }
        for element in value.try_iter()?.checked() {
            let element = element?;
            self.enter(&element, depth + 1)?;
            if kind == ValueKind::Map {
                self.enter(&value.get_item(&element)?, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Pays for text before it is made.
fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / FUEL_BYTES) as u64)
}

/// Pays for what a method of Python's strings is going to make, and refuses what cannot be told beforehand.
pub(super) fn check_method(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<(), Error> {
    args.iter().try_for_each(|arg| check_value(state, arg, 0))?;
    let Some(text) = value.as_str() else { return Ok(()) };
    let bytes = match (method, args) {
        ("replace", [old, new, ..]) => {
            let (old, new) = (old.as_str().unwrap_or_default(), new.as_str().unwrap_or_default());
            text.matches(old).count().saturating_mul(new.len())
        }
        ("join", [values, ..]) => values.len().unwrap_or_default().saturating_mul(text.len()),
        ("format", _) if text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > MAX_WIDTH_DIGITS) => {
            return Err(refused(format!("format: a field may be {MAX_WIDTH_DIGITS} digits wide")));
        }
        _ => 0,
    };
    pay(state, bytes)
}
