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

/// Name of the filter that [`bounded`] puts on what is assigned; no template can name it otherwise by accident.
pub(super) const BOUNDED: &str = "weft_bounded";

/// How deep lists and mappings may lie within each other.
const MAX_DEPTH: usize = 32;

/// The widest that a field of `str.format` may be.
const MAX_WIDTH_DIGITS: usize = 3;

/// Bytes that a unit of fuel pays for.
const FUEL_BYTES: usize = 64;

pub(super) fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// `source` with a [`BOUNDED`] filter on whatever a `set` assigns, which is how values outlive a turn of a loop and grow. Refuses a
/// source on whose structure the compiler would recurse deeply.
pub(super) fn bounded(source: &str, syntax: &SyntaxConfig) -> Result<String, Error> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(refused(format!("{} bytes are more than the {MAX_SOURCE_BYTES} that are compiled", source.len())));
    }
    let mut bounded = String::with_capacity(source.len());
    let (mut copied, mut tokens, mut elifs, mut parentheses) = (0, 0, 0, 0);
    let mut set = Set::No;
    for token in tokenize(source, false, syntax.clone()) {
        // What is no token at all is the compiler's to complain about.
        let Ok((token, span)) = token else { break };
        let (start, end) = (span.start_offset as usize, span.end_offset as usize);
        tokens += 1;
        match token {
            Token::VariableStart | Token::BlockStart => (tokens, parentheses, set) = (0, 0, Set::No),
            Token::ParenOpen => parentheses += 1,
            Token::ParenClose => parentheses -= 1,
            Token::Ident("set") if tokens == 1 => set = Set::Target { depth: 0 },
            Token::Dot if matches!(set, Set::Target { .. }) => set = Set::Target { depth: 1 },
            Token::Assign if parentheses == 0 => {
                if let Set::Target { depth } = set {
                    bounded += &source[copied..end];
                    bounded.push('(');
                    (copied, set) = (end, Set::Value { depth });
                }
            }
            Token::BlockEnd => {
                if let Set::Value { depth } = set {
                    bounded += &source[copied..start];
                    bounded += &format!(") | {BOUNDED}({depth}) ");
                    copied = start;
                }
                set = Set::No;
            }
            Token::Ident("elif") => elifs += 1,
            _ => {}
        }
        if tokens > MAX_TAG_TOKENS || elifs > MAX_ELIFS {
            let limits = format!("{MAX_TAG_TOKENS} symbols of one tag, or {MAX_ELIFS} elif");
            return Err(refused(format!("line {}: more than {limits}", span.start_line)));
        }
    }
    Ok(bounded + &source[copied..])
}

/// Where in a `{% set … = … %}` a token stands. `depth` is 1 where the target is an attribute.
enum Set {
    No,
    Target { depth: usize },
    Value { depth: usize },
}

/// The filter [`BOUNDED`]: gives back its value, or refuses it.
pub(super) fn check_set(state: &State, value: &Value, depth: usize) -> Result<Value, Error> {
    Walk { state, text: false, indent: 0, units: 0 }.enter(value, depth)?;
    Ok(value.clone())
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
