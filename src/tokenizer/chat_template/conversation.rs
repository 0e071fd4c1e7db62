//! What a template makes a prompt of.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// Name of one of the model's templates. Without it, `tool_use` where there are tools and the model has it, else the default.
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
    /// The text. A message of tool calls may have none.
    pub content: Option<String>,
    /// Whatever else the template reads, such as `tool_calls` or `name`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// A message of text alone.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(content.into()), extra: Map::new() }
    }
}

impl From<Vec<Message>> for Conversation {
    fn from(messages: Vec<Message>) -> Self {
        Self { messages, ..Self::default() }
    }
}

impl Conversation {
    /// The same with every text in it as `change` gives it, keys too, but not the roles.
    pub(crate) fn map_texts(&self, change: &dyn Fn(&str) -> String) -> Self {
        let message = |message: &Message| Message {
            role: message.role.clone(),
            content: message.content.as_deref().map(change),
            extra: map_values(&message.extra, change),
        };
        Self {
            messages: self.messages.iter().map(message).collect(),
            tools: self.tools.as_ref().map(|tools| map_value(tools, change)),
            variables: map_values(&self.variables, change),
            template: self.template.clone(),
            complete: self.complete,
            prefix: change(&self.prefix),
        }
    }
}

fn map_values(map: &Map<String, Value>, change: &dyn Fn(&str) -> String) -> Map<String, Value> {
    map.iter().map(|(key, value)| (change(key), map_value(value, change))).collect()
}

fn map_value(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => change(text).into(),
        Value::Array(values) => values.iter().map(|value| map_value(value, change)).collect(),
        Value::Object(map) => map_values(map, change).into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_text_is_changed_wherever_it_is() {
        let conversation = json!({
            "messages": [
                { "role": "user", "content": "a" },
                { "role": "assistant", "content": null, "tool_calls": [{ "function": { "arguments": { "a": ["a", 1] } } }] },
            ],
            "tools": [{ "description": "a" }],
            "variables": { "persona": "a", "deep": true },
        });
        let conversation: Conversation = serde_json::from_value(conversation).unwrap();
        let changed = conversation.map_texts(&|text| text.replace('a', "A"));
        assert_eq!(changed.messages[0], Message::new("user", "A"));
        assert_eq!(changed.messages[1].content, None);
        assert_eq!(
            changed.messages[1].extra["tool_cAlls"],
            json!([{ "function": { "Arguments": { "A": ["A", 1] } } }])
        );
        assert_eq!(
            (changed.tools, changed.variables["deep"].clone()),
            (Some(json!([{ "description": "A" }])), json!(true))
        );
    }
}
