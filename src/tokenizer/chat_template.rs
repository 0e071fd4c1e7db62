//! Chat templates: messages → the text that the model was trained to continue.
//!
//! Templates are written for Python's Jinja2 as Hugging Face transformers sets it up; this sets `minijinja` up the
//! same way: `trim_blocks`, `lstrip_blocks`, loop controls, Python's string and mapping methods, `raise_exception`,
//! `strftime_now`, and a `tojson` that prints as Python's `json.dumps` does (spaces after `,` and `:`, no HTML escapes,
//! keys in their order).
//!
//! A template comes with the model file, from anyone: its work is bounded by [`FUEL`] and `limits`, and it sees only what it is
//! given: there is no loader, so that it can name no other template. There is no clock inside (in a web page the standard
//! library's panics): the caller passes the time.

mod checks;
mod conversation;
mod limits;
mod named;

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Serde};
use minijinja::{AutoEscape, Environment, ErrorKind, State, Value};
use serde::Serialize;

use crate::{Error, Result};

pub use conversation::{Conversation, Message};
pub use named::{ChatTemplates, DEFAULT as DEFAULT_TEMPLATE};

/// Most steps of a rendering: one an instruction, and one for every 64 bytes of text made, so that a template can neither
/// loop for ever nor fill the memory. A conversation of 1000 messages takes less than a tenth.
const FUEL: u64 = 1_000_000;

/// Name of the one template of an environment.
const NAME: &str = "chat_template";

/// What a template is given beside the messages.
#[derive(Debug, Clone, Default)]
pub struct RenderOptions<'a> {
    /// End with the opening of the assistant's turn, so that the model answers.
    pub add_generation_prompt: bool,
    /// Text of the model's `bos` token; empty where it has none.
    pub bos_token: &'a str,
    /// Text of the model's `eos` token; empty where it has none.
    pub eos_token: &'a str,
    /// `tools`: descriptions of the functions that the model may call.
    pub tools: Option<&'a serde_json::Value>,
    /// Wall-clock seconds since 1970 where the user is (UTC plus their offset), for `strftime_now`. Without it the function is
    /// undefined, and templates that test for it use the date they were written with.
    pub now: Option<i64>,
    /// Further variables, such as `enable_thinking`.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// A compiled template.
pub struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// Compiles `source`, the text of `tokenizer.chat_template`.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] with the line that does not compile.
    pub fn new(source: &str) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(template_error)?;
        let source = plain_generation_blocks(source);
        let source = limits::bounded(&source, &syntax).map_err(template_error)?;
        environment.add_filter(checks::BOUNDED, limits::check_set);
        environment.add_filter(checks::PAID, limits::paid);
        environment.add_filter(checks::INDEX, limits::index);
        limits::add_tests(&mut environment);
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(limits::MAX_CALLS);
        // No template in use needs these, and they recurse into whatever they are given.
        environment.remove_global("debug");
        environment.remove_filter("pprint");
        environment.remove_filter("chain");
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(|output, state, value| {
            limits::check_value(state, value, 0)?;
            minijinja::escape_formatter(output, state, value)
        });
        environment.set_unknown_method_callback(|state, value, method, args| {
            limits::check_method(state, value, method, args)?;
            minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
        });
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", tojson);
        environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
        environment.add_template_owned(NAME, source).map_err(template_error)?;
        Ok(Self { environment })
    }

    /// Its text, with the checks that were put into it; what the template writes stands in it as it was.
    pub fn source(&self) -> Option<String> {
        self.environment.get_template(NAME).ok().map(|template| template.source().to_owned())
    }

    /// The text of `messages`.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] with the line where the template fails or refuses the messages (such as two user turns in
    /// a row).
    pub fn render(&self, messages: &[Message], options: &RenderOptions<'_>) -> Result<String> {
        let mut variables: Vec<(String, Value)> = vec![
            ("messages".into(), Serde(messages).into()),
            ("add_generation_prompt".into(), options.add_generation_prompt.into()),
            ("bos_token".into(), options.bos_token.into()),
            ("eos_token".into(), options.eos_token.into()),
            ("tools".into(), Serde(options.tools).into()),
        ];
        if let Some(now) = options.now {
            let strftime_now = Value::from_function(move |format: &str| strftime(now, format));
            variables.push(("strftime_now".into(), strftime_now));
        }
        variables.extend(options.extra.iter().map(|(name, value)| (name.clone(), Serde(value).into())));
        let template = self.environment.get_template(NAME).map_err(template_error)?;
        template.render(Value::from_pairs(variables)).map_err(template_error)
    }
}

/// Turns `{% generation %}` … `{% endgeneration %}`, an extension of transformers that marks the assistant's text for training,
/// into blocks that do nothing. White-space marks and line numbers stay.
fn plain_generation_blocks(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, block) = rest.split_at(start + 2);
        plain.push_str(before);
        rest = block;
        let Some(end) = block.find("%}") else { break };
        let body = &block[..end];
        let replacement = match body.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+') {
            "generation" => Some(("generation", "if true")),
            "endgeneration" => Some(("endgeneration", "endif")),
            _ => None,
        };
        if let Some((from, to)) = replacement {
            plain.push_str(&body.replace(from, to));
            rest = &block[end..];
        }
    }
    plain + rest
}

/// `raise_exception(message)`: how a template refuses messages.
fn raise_exception(message: &str) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

/// The seconds `now` written as Python's `strftime` would.
fn strftime(now: i64, format: &str) -> Result<String, minijinja::Error> {
    let bad = |what: String| minijinja::Error::new(ErrorKind::InvalidOperation, what);
    let time = chrono::DateTime::from_timestamp(now, 0).ok_or_else(|| bad(format!("{now} s is no time")))?;
    let mut text = String::new();
    // Formatting fails, rather than panics, on a directive that is unknown.
    write!(text, "{}", time.format(format)).map_err(|_| bad(format!("strftime_now: bad format {format:?}")))?;
    Ok(text)
}

/// `json.dumps(value, indent=…, ensure_ascii=…)`, the latter false by default.
fn tojson(state: &State, value: &Value, positional: Rest<Value>, named: Kwargs) -> Result<Value, minijinja::Error> {
    let bad = |what: String| minijinja::Error::new(ErrorKind::InvalidOperation, what);
    let ensure_ascii: Option<bool> = named.get("ensure_ascii")?;
    let indent: Option<usize> = match positional.first() {
        Some(indent) => Some(usize::try_from(indent.clone())?),
        None => named.get("indent")?,
    };
    named.assert_all_used()?;
    let indent = indent.map(|indent| indent.min(16));
    limits::check_value(state, value, indent.unwrap_or_default())?;
    let mut json = Vec::new();
    let written = match indent {
        Some(indent) => {
            let indent = vec![b' '; indent];
            let pretty = serde_json::ser::PrettyFormatter::with_indent(&indent);
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, pretty))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, Spaced)),
    };
    written.map_err(|error| bad(format!("tojson: {error}")))?;
    let json = String::from_utf8(json).map_err(|error| bad(format!("tojson: {error}")))?;
    Ok(if ensure_ascii == Some(true) { escape_to_ascii(&json) } else { json }.into())
}

/// Characters beyond ASCII, which in JSON stand in strings only, as `\uXXXX` of their UTF-16 units.
fn escape_to_ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    escaped
}

/// JSON on one line with a space after `,` and `:`.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// The innermost cause, with the line of the template.
fn template_error(error: minijinja::Error) -> Error {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::InvalidOperation, Some(detail)) => detail.to_owned(),
        (ErrorKind::OutOfFuel, _) => "rendering took too many steps; does the template end?".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    Error::ChatTemplate(match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    })
}

#[cfg(test)]
mod tests;
