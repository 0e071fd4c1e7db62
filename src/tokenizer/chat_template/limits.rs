//! What a template may not do, beyond its fuel.
//!
//! Fuel pays for instructions and for text, but not for stack, of which a page has 1 MiB: the compiler recurses along an
//! expression and along `elif`, and whatever walks a value recurses into it, for ever where a namespace holds itself. Nor does
//! fuel see what a method or a value's text takes before it is there.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// The longest template that is compiled; the longest in use have some 20 KB.
const MAX_SOURCE_BYTES: usize = 1 << 18;

/// Most tokens of one `{{ … }}` or `{% … %}`; in use are up to 100.
const MAX_TAG_TOKENS: usize = 500;

/// Most `elif` of a template.
const MAX_ELIFS: usize = 200;

/// How deep macros, blocks and loops may lie within each other; each takes some KB of stack.
pub(super) const MAX_CALLS: usize = 100;

/// How deep lists and mappings may lie within each other to become text.
const MAX_DEPTH: usize = 32;

/// The widest that a field of `str.format` may be.
const MAX_WIDTH_DIGITS: usize = 3;

/// Bytes that a unit of fuel pays for.
const FUEL_BYTES: usize = 64;

pub(super) fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// Refuses a source on whose structure the compiler would recurse deeply.
pub(super) fn check_source(source: &str, syntax: &SyntaxConfig) -> Result<(), Error> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(refused(format!("{} bytes are more than the {MAX_SOURCE_BYTES} that are compiled", source.len())));
    }
    let (mut tokens, mut elifs) = (0, 0);
    for token in tokenize(source, false, syntax.clone()) {
        // What is no token at all is the compiler's to complain about.
        let Ok((token, span)) = token else { return Ok(()) };
        tokens += 1;
        match token {
            Token::VariableStart | Token::BlockStart => tokens = 0,
            Token::Ident("elif") => elifs += 1,
            _ => {}
        }
        if tokens > MAX_TAG_TOKENS || elifs > MAX_ELIFS {
            let limits = format!("{MAX_TAG_TOKENS} symbols of one tag, or {MAX_ELIFS} elif");
            return Err(refused(format!("line {}: more than {limits}", span.start_line)));
        }
    }
    Ok(())
}

/// Pays for the text of a value, and refuses one whose text would take too much stack.
pub(super) fn check_value(state: &State, value: &Value) -> Result<(), Error> {
    fn walk(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
        if let Some(text) = value.as_str() {
            return pay(state, text.len());
        }
        let kind = value.kind();
        if !matches!(kind, ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
            return Ok(());
        }
        if depth == MAX_DEPTH {
            return Err(refused(format!("a value is nested more than {MAX_DEPTH} deep")));
        }
        for element in value.try_iter()?.checked() {
            let element = element?;
            pay(state, FUEL_BYTES)?;
            walk(state, &element, depth + 1)?;
            if kind == ValueKind::Map {
                walk(state, &value.get_item(&element)?, depth + 1)?;
            }
        }
        Ok(())
    }
    walk(state, value, 0)
}

/// Pays for text before it is made.
fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / FUEL_BYTES) as u64)
}

/// Pays for what a method of Python's strings is going to make, and refuses what cannot be told beforehand.
pub(super) fn check_method(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<(), Error> {
    args.iter().try_for_each(|arg| check_value(state, arg))?;
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
