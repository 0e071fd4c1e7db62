//! A conversation: the input of a chat template.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::jinja::Text;
use crate::{Error, Result};

/// The token in whose place a picture goes.
pub const IMAGE: &str = "<image>";

/// Messages and the settings of their prompt.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Conversation {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// Descriptions of the functions that the model may call, in OpenAI's format.
    #[serde(default)]
    pub tools: Option<Value>,
    /// Further variables of the template, such as `enable_thinking`.
    #[serde(default)]
    pub variables: Map<String, Value>,
    /// Name of one of the model's templates. Absent: `tool_use` if there are tools and the model
    /// has it, otherwise the default.
    #[serde(default)]
    pub template: Option<String>,
    /// Whether the prompt ends with the last message, without a turn for the assistant.
    #[serde(default)]
    pub complete: bool,
    /// Beginning of the answer, which the model continues.
    #[serde(default)]
    pub prefix: String,
}

/// One message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, or another role of the template.
    pub role: String,
    /// The text. A message of tool calls may have none.
    #[serde(default)]
    pub content: Option<Content>,
    /// Other fields that the template reads, such as `tool_calls` or `name`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Content of a message: a text, or parts in OpenAI's format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// One text.
    Text(String),
    /// `{ "type": "text", "text": … }` or, in the place of a picture, `{ "type": "image" }` each.
    Parts(Vec<Value>),
}

impl Content {
    /// The text, with a token of the template's own in the place of each picture; parts are joined.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] for a part of another type.
    pub(super) fn text(&self) -> Result<Text> {
        let text = |part: &Value| match (part, &part["text"], part["type"].as_str()) {
            (Value::String(text), ..) | (_, Value::String(text), _) => Ok(Text::given(text)),
            (.., Some("image")) => Ok(Text::template(IMAGE)),
            (.., kind) => {
                let kind = kind.unwrap_or("unknown");
                Err(Error::ChatTemplate(format!("a content part of type `{kind}`: only `text` and `image` are read")))
            }
        };
        match self {
            Self::Text(text) => Ok(Text::given(text)),
            Self::Parts(parts) => parts.iter().map(text).collect(),
        }
    }
}

impl Message {
    /// A message with text only.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(Content::Text(content.into())), extra: Map::new() }
    }
}

impl From<Vec<Message>> for Conversation {
    fn from(messages: Vec<Message>) -> Self {
        Self { messages, ..Self::default() }
    }
}
