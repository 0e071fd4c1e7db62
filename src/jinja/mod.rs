//! Jinja2's template language, as Hugging Face transformers sets it up for chat templates:
//! `ImmutableSandboxedEnvironment` with `trim_blocks`, `lstrip_blocks`, loop controls, `tojson` as
//! Python's `json.dumps` writes, `raise_exception` and `{% generation %}`.
//!
//! Values print, compare and convert as Python's do. What no library has, and why this one exists:
//! [`Text`] keeps for each byte whether the template wrote it, through every operation, so that
//! what a user typed can never be taken for structure.
//!
//! # What differs from Python
//!
//! - `safe` and `escape` give plain text: joined to it, other text is not escaped for HTML.
//! - What Python gives one by one (`map`, `select`, …) is a list that may be read twice.
//! - Integers have 128 bits, and one beyond is an error.
//! - There is no `random`, `lipsum`, `urlize`, `encode`, `translate` or `format_map`, and `{%
//!   include %}` and its like do not compile.
//!
//! # What a template can cost
//!
//! A template comes with a model file, from anyone, and is rendered on a page's worker,
//! synchronously. It reaches nothing: no file, no other template, no clock but the time that it is
//! given. What it could take is time, memory and stack:
//!
//! - Time and memory are one [`budget`]: each step costs a unit, as do some bytes that an operation
//!   reads, and fewer that it makes; whatever walks a value pays for each element, so that a small
//!   value that holds itself many times costs what it spells out.
//! - Stack: the source may nest and chain only so deep, calls too ([`interpreter::MAX_DEPTH`]), and
//!   a list or mapping knows how deep it is ([`value::MAX_NESTING`]). Only a namespace changes
//!   after it was made; it may not hold one, so no value holds itself.

mod ast;
mod budget;
mod call;
mod conditions;
mod filters;
mod format;
mod interpreter;
mod json;
mod lexer;
mod methods;
mod operators;
mod parser;
mod print;
mod scope;
mod text;
mod value;

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use budget::Budget;

pub use call::Call;
pub use scope::Function;
pub use text::Text;
pub use value::Value;

/// Why a template does not compile or render.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Line of the template, where it is known.
    pub line: Option<u32>,
    /// The reason, in Jinja2's words where it has some.
    pub what: String,
}

/// A result of this module.
pub type Res<T> = Result<T, Box<Fault>>;

impl Fault {
    /// One without a line.
    pub fn new(what: impl Into<String>) -> Box<Self> {
        Box::new(Self { line: None, what: what.into() })
    }

    /// The same with a line, unless it has one.
    fn at(mut self: Box<Self>, line: u32) -> Box<Self> {
        self.line.get_or_insert(line);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// A value as JSON, as `json.dumps(value, ensure_ascii=False)` writes it.
///
/// # Errors
/// What JSON cannot write.
pub fn to_json(value: &Value) -> Res<Text> {
    json::Json::plain(&Budget::default()).text(value)
}

/// A compiled template.
pub struct Template {
    body: Vec<ast::Stmt>,
    /// The strings of its tags.
    strings: HashSet<String>,
}

impl Template {
    /// Compiles a source.
    ///
    /// # Errors
    /// What is no template, with its line.
    pub fn new(source: &str) -> Res<Self> {
        let tokens = lexer::tokens(source)?;
        let body = parser::parse(&tokens)?;
        let strings = tokens.into_iter().filter_map(|placed| match placed.token {
            lexer::Token::Str(text) => Some(text),
            _ => None,
        });
        Ok(Self { body, strings: strings.collect() })
    }

    /// The text that the template makes of `variables`, and where each of its bytes comes from.
    ///
    /// # Errors
    /// Where the template fails, or refuses what it is given, with the line.
    pub fn render(&self, variables: Vec<(Rc<str>, Value)>) -> Res<Text> {
        interpreter::render(&self.body, variables, &Budget::default())
    }

    /// The same for a trial on small messages, of which there may be dozens: each may cost a tenth.
    ///
    /// # Errors
    /// Those of [`Template::render`].
    pub fn try_render(&self, variables: Vec<(Rc<str>, Value)>) -> Res<Text> {
        interpreter::render(&self.body, variables, &Budget::trial())
    }

    /// Whether `text` is a whole string in one of its tags.
    pub fn has_string(&self, text: &str) -> bool {
        self.strings.contains(text)
    }
}

#[cfg(test)]
mod tests;
