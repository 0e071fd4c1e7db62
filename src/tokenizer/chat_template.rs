//! Chat templates: messages → the text that the model was trained to continue.
//!
//! A template gets the variables that transformers passes, in the form that it reads ([`wants`]).
//! All text of the conversation, keys included, is marked as given ([`Text::given`]), so that none
//! of it can become a special token. Known roles are the exception: templates build tokens from
//! them, such as `<|user|>`.

mod conversation;
mod named;
mod wants;

use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use crate::jinja::{Call, Fault, Function, Template, Text, Value};
use crate::{Error, Result};

pub use conversation::{Content, Conversation, IMAGE, Message};
pub use named::{ChatTemplates, DEFAULT as DEFAULT_TEMPLATE};

use wants::{ContentForm, Wants};

/// Roles that count as the template's own text, beside those that its source names.
const ROLES: [&str; 8] = ["assistant", "developer", "function", "ipython", "model", "system", "tool", "user"];

/// Variables of a template beside the messages.
#[derive(Debug, Clone, Default)]
pub struct RenderOptions<'a> {
    /// End with the beginning of the assistant's turn, for the model to continue.
    pub add_generation_prompt: bool,
    /// Text of the model's `bos` token; empty if it has none.
    pub bos_token: &'a str,
    /// Text of the model's `eos` token; empty if it has none.
    pub eos_token: &'a str,
    /// `tools`: descriptions of the functions that the model may call.
    pub tools: Option<&'a Json>,
    /// Local time for `strftime_now`: seconds since 1970 in UTC, plus the user's offset. Without it
    /// the function is undefined, and templates that test for it use their built-in date.
    pub now: Option<i64>,
    /// Further variables, such as `enable_thinking`.
    pub extra: Map<String, Json>,
}

/// A compiled template.
pub struct ChatTemplate {
    template: Template,
    wants: Wants,
}

impl ChatTemplate {
    /// Compiles `source`, the text of `tokenizer.chat_template`.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] with the line that does not compile.
    pub fn new(source: &str) -> Result<Self> {
        Ok(Self { template: Template::new(source).map_err(template_error)?, wants: Wants::default() })
    }

    /// Renders `messages`. The result marks which bytes are the template's own.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] with the line at which the template fails or refuses the messages
    /// (such as two user turns in a row).
    pub fn render(&self, messages: &[Message], options: &RenderOptions<'_>) -> Result<Text> {
        let messages = messages.iter().map(|message| self.message(message, options)).collect::<Result<Vec<_>>>()?;
        self.template.render(variables(messages, options).map_err(template_error)?).map_err(template_error)
    }

    /// A message in the form that the template reads.
    fn message(&self, message: &Message, options: &RenderOptions<'_>) -> Result<Value> {
        let attempt = |messages: &[Json]| {
            let given = messages.iter().map(given).collect::<Result<_, _>>().ok()?;
            let text = self.template.try_render(variables(given, options).ok()?).ok()?;
            Some(text.as_str().to_owned())
        };
        let calls =
            message.extra.get("tool_calls").filter(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()));
        let form = calls.map(|_| self.wants.calls(&attempt)).unwrap_or_default();
        let content = match &message.content {
            None => given(&form.nothing()),
            Some(content) => {
                let text = content.text()?;
                match (self.wants.content(&message.role, &attempt), content) {
                    (ContentForm::Parts | ContentForm::Either, Content::Parts(parts)) => given(&parts.clone().into()),
                    (ContentForm::Parts, Content::Text(text)) => {
                        given(&serde_json::json!([{ "type": "text", "text": text }]))
                    }
                    _ => Ok(Value::Str(text)),
                }
            }
        };
        let content = content.map_err(template_error)?;
        let is_known = ROLES.contains(&message.role.as_str()) || self.template.has_string(&message.role);
        let role = if is_known { Text::template(&message.role) } else { Text::given(&message.role) };
        let key = |name: &str| Value::Str(Text::given(name));
        let mut entries = vec![(key("role"), Value::Str(role)), (key("content"), content)];
        for (name, value) in &message.extra {
            let value = match name.as_str() {
                "tool_calls" => &with_arguments(value, form.text),
                _ => value,
            };
            entries.push((key(name), given(value).map_err(template_error)?));
        }
        Value::map(entries).map_err(template_error)
    }
}

/// The variables of a template.
fn variables(messages: Vec<Value>, options: &RenderOptions<'_>) -> Result<Vec<(Rc<str>, Value)>, Box<Fault>> {
    let mut variables: Vec<(Rc<str>, Value)> = vec![
        ("messages".into(), Value::list(messages)?),
        ("add_generation_prompt".into(), Value::Bool(options.add_generation_prompt)),
        ("bos_token".into(), Value::template(options.bos_token)),
        ("eos_token".into(), Value::template(options.eos_token)),
        ("tools".into(), options.tools.map_or(Ok(Value::None), given)?),
        ("documents".into(), Value::None),
    ];
    if let Some(now) = options.now {
        variables.push(Function::value("strftime_now", move |call: Call| strftime(now, call)));
    }
    for (name, value) in &options.extra {
        variables.retain(|(known, _)| **known != **name);
        variables.push((name.as_str().into(), given(value)?));
    }
    Ok(variables)
}

/// Converts the arguments of calls to JSON text, or from JSON text to data.
fn with_arguments(calls: &Json, as_text: bool) -> Json {
    let mut calls = calls.clone();
    for call in calls.as_array_mut().into_iter().flatten() {
        let called = if call.get("function").is_some() { &mut call["function"] } else { call };
        let Some(arguments) = called.get_mut("arguments") else { continue };
        match arguments {
            Json::String(text) if !as_text => {
                // A call without arguments often has an empty text. Text that a model wrote may not
                // be JSON: it stays as it is.
                if text.trim().is_empty() {
                    *arguments = Json::Object(Map::new());
                } else if let Ok(data @ (Json::Object(_) | Json::Array(_))) = serde_json::from_str(text) {
                    *arguments = data;
                }
            }
            Json::Object(_) | Json::Array(_) if as_text => *arguments = python_json(arguments).into(),
            _ => {}
        }
    }
    calls
}

/// Python's `json.dumps`.
fn python_json(value: &Json) -> String {
    let dumped = given(value).and_then(|value| crate::jinja::to_json(&value));
    dumped.map_or_else(|_| value.to_string(), |text| text.as_str().to_owned())
}

/// A value of the conversation, marked as given.
fn given(value: &Json) -> Result<Value, Box<Fault>> {
    Ok(match value {
        Json::Null => Value::None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            whole.map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int)
        }
        Json::String(text) => Value::Str(Text::given(text)),
        Json::Array(values) => Value::list(values.iter().map(given).collect::<Result<_, _>>()?)?,
        Json::Object(map) => {
            let entry = |(key, value): (&String, &Json)| Ok((Value::Str(Text::given(key)), given(value)?));
            Value::map(map.iter().map(entry).collect::<Result<_, Box<Fault>>>()?)?
        }
    })
}

/// `strftime_now(format)`: `now` in Python's `strftime` format.
fn strftime(now: i64, call: Call) -> Result<Value, Box<Fault>> {
    let [format] = call.bind("strftime_now", ["format"])?;
    let Some(Value::Str(format)) = format else { return Err(Fault::new("strftime_now needs a format")) };
    let time = chrono::DateTime::from_timestamp(now, 0).ok_or_else(|| Fault::new(format!("{now} s is no time")))?;
    let mut text = String::new();
    // An unknown directive makes formatting fail, not panic.
    write!(text, "{}", time.format(format.as_str()))
        .map_err(|_| Fault::new(format!("strftime_now: bad format {:?}", format.as_str())))?;
    let is_given = format.runs().any(|(_, given)| given);
    Ok(Value::Str(if is_given { Text::given(&text) } else { Text::template(&text) }))
}

fn template_error(fault: Box<Fault>) -> Error {
    Error::ChatTemplate(fault.to_string())
}

#[cfg(test)]
mod tests;
