//! Jinja2's template language as Hugging Face transformers configures it for chat templates:
//! `ImmutableSandboxedEnvironment` with `trim_blocks`, `lstrip_blocks`, loop controls, `tojson` in
//! the format of Python's `json.dumps`, `raise_exception` and `{% generation %}`.
//!
//! Values print, compare and convert as in Python. This module exists because no library has
//! [`Text`]: it keeps for each byte, through every operation, whether the template wrote it. So
//! text that a user typed can never be taken for structure.
//!
//! # Differences from Python
//!
//! - `safe` and `escape` give plain text: text concatenated with it is not escaped for HTML.
//! - Python's iterators (of `map`, `select`, …) are lists that can be read twice.
//! - Integers have 128 bits; larger ones are an error.
//! - `random`, `lipsum`, `urlize`, `encode`, `translate` and `format_map` are absent, and
//!   `{% include %}` and similar tags do not compile.
//!
//! # Limits of a template
//!
//! Anyone can publish a template with a model file, and it is rendered synchronously in a page's
//! worker. It has no access to files, other templates, or a clock other than the time it is given.
//! It could only use up time, memory and stack:
//!
//! - Time and memory share one [`budget`]. A step costs a unit; so does a number of bytes read, or
//!   a smaller number of bytes produced. Code that walks a value pays for each element: a small
//!   value that contains itself many times costs as much as its full text.
//! - Stack: nesting and chaining in the source are limited, and so are calls
//!   ([`interpreter::MAX_DEPTH`]). Each list and mapping knows its nesting depth
//!   ([`value::MAX_NESTING`]). Only namespaces change after their creation, and they may not hold
//!   namespaces, so no value contains itself.

mod access;
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
    /// Line of the template, if known.
    pub line: Option<u32>,
    /// The reason, in Jinja2's words if it has any.
    pub what: String,
}

/// A result of this module.
pub type Res<T> = Result<T, Box<Fault>>;

impl Fault {
    /// A fault without a line.
    pub fn new(what: impl Into<String>) -> Box<Self> {
        Box::new(Self { line: None, what: what.into() })
    }

    /// Adds a line, unless there is one.
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
/// A value that JSON cannot represent.
pub fn to_json(value: &Value) -> Res<Text> {
    json::Json::plain(&Budget::default()).text(value)
}

/// A compiled template.
pub struct Template {
    body: Vec<ast::Stmt>,
    /// The string literals in its tags.
    strings: HashSet<String>,
}

impl Template {
    /// Compiles a source.
    ///
    /// # Errors
    /// A syntax error, with its line.
    pub fn new(source: &str) -> Res<Self> {
        let tokens = lexer::tokens(source)?;
        let body = parser::parse(&tokens)?;
        let strings = tokens.into_iter().filter_map(|placed| match placed.token {
            lexer::Token::Str(text) => Some(text),
            _ => None,
        });
        Ok(Self { body, strings: strings.collect() })
    }

    /// Renders the template with `variables`. The result knows the origin of each byte.
    ///
    /// # Errors
    /// The template fails or refuses its input, with the line.
    pub fn render(&self, variables: Vec<(Rc<str>, Value)>) -> Res<Text> {
        interpreter::render(&self.body, variables, &Budget::default())
    }

    /// Renders a trial with a tenth of the budget: there may be dozens.
    ///
    /// # Errors
    /// Those of [`Template::render`].
    pub fn try_render(&self, variables: Vec<(Rc<str>, Value)>) -> Res<Text> {
        interpreter::render(&self.body, variables, &Budget::trial())
    }

    /// Whether `text` is a string literal in one of its tags.
    pub fn has_string(&self, text: &str) -> bool {
        self.strings.contains(text)
    }
}

#[cfg(test)]
mod tests;
