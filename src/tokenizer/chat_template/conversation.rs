//! What a template makes a prompt of.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Messages, and what belongs to them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Conversation {
    /// In their order.
    pub messages: Vec<Message>,
    /// Descriptions of the functions that the model may call, as OpenAI writes them.
    #[serde(default)]
    pub tools: Option<Value>,
    /// Further variables of the template, such as `enable_thinking`.
    #[serde(default)]
    pub variables: Map<String, Value>,
    /// Name of one of the model's templates. Without it, `tool_use` where there are tools and the
    /// model has it, else the default.
    #[serde(default)]
    pub template: Option<String>,
    /// Whether no answer follows: the prompt then ends with the last message.
    #[serde(default)]
    pub complete: bool,
    /// How the answer begins.
    #[serde(default)]
    pub prefix: String,
}

/// One message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What is said. A message of tool calls may have none.
    #[serde(default)]
    pub content: Option<Content>,
    /// Whatever else the template reads, such as `tool_calls` or `name`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a message says: a text, or parts as OpenAI writes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// One text.
    Text(String),
    /// `{ "type": "text", "text": … }` each.
    Parts(Vec<Value>),
}

impl Content {
    /// The text, that of parts one behind the other.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] for a part that is no text: weft reads nothing else.
    pub(super) fn text(&self) -> Result<String> {
        let text = |part: &Value| match (part, &part["text"]) {
            (Value::String(text), _) | (_, Value::String(text)) => Ok(text.clone()),
            _ => {
                let kind = part["type"].as_str().unwrap_or("unknown");
                Err(Error::ChatTemplate(format!("a content part of type `{kind}`: only `text` is read")))
            }
        };
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Parts(parts) => parts.iter().map(text).collect(),
        }
    }
}

impl Message {
    /// A message of text alone.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(Content::Text(content.into())), extra: Map::new() }
    }
}

impl From<Vec<Message>> for Conversation {
    fn from(messages: Vec<Message>) -> Self {
        Self { messages, ..Self::default() }
    }
}
