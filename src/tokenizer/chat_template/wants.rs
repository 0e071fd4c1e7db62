//! The forms in which a template reads messages, found by trial: content as text or as parts, arguments of calls as text or as data.
//!
//! Published templates differ, and say nothing of it. So a word is put where a message has its text, and it is looked whether the template writes it.

use std::cell::OnceCell;

use serde_json::{Value as Json, json};

/// A word that no template has.
const WORD: &str = "wEfTsEnTiNeL";

/// Renders messages that are tried; `None` where the template fails.
type Try<'t> = &'t dyn Fn(&[Json]) -> Option<String>;

/// What is known of a template.
#[derive(Default)]
pub(super) struct Wants {
    system: OnceCell<ContentForm>,
    user: OnceCell<ContentForm>,
    assistant: OnceCell<ContentForm>,
    tool: OnceCell<ContentForm>,
    calls: OnceCell<CallForm>,
}

/// How content is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentForm {
    Text,
    Parts,
    /// Parts and text give the same.
    Either,
}

/// How a message with calls is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CallForm {
    /// Whether arguments are JSON text, for a template that joins them to text; else they are data.
    pub(super) text: bool,
    /// Whether content that is absent must be an empty text.
    pub(super) needs_content: bool,
}

impl Wants {
    /// How the content of a role's messages is read.
    pub(super) fn content(&self, role: &str, render: Try) -> ContentForm {
        let (cell, role) = match role {
            "system" | "developer" => (&self.system, "system"),
            "assistant" => (&self.assistant, role),
            "tool" => (&self.tool, role),
            _ => (&self.user, "user"),
        };
        *cell.get_or_init(|| {
            let form = if role == "tool" { self.calls(render) } else { CallForm::default() };
            let with = |content: Json, other: &Json| {
                let mut around = around(role, content, other, form).into_iter();
                around.find_map(|messages| render(&messages).filter(|text| text.contains(WORD)))
            };
            let parts_of = |text: &str| json!([{ "type": "text", "text": text }]);
            let (word, parts, a, a_part) = (json!(WORD), parts_of(WORD), json!("a"), parts_of("a"));
            let text = with(word, &a);
            // Other messages may have to be parts too.
            match (text, with(parts.clone(), &a).or_else(|| with(parts, &a_part))) {
                (Some(text), Some(parts)) if text == parts => ContentForm::Either,
                (None, Some(_)) => ContentForm::Parts,
                _ => ContentForm::Text,
            }
        })
    }

    /// How messages with calls are read.
    pub(super) fn calls(&self, render: Try) -> CallForm {
        *self.calls.get_or_init(|| {
            let forms = [(false, false), (true, false), (false, true), (true, true)];
            let fits = |&(text, needs_content): &(bool, bool)| {
                let form = CallForm { text, needs_content };
                let [user, called, answer] = called(WORD, &json!("a"), said_in(form), json!("a"), form);
                let alone = render(&[user.clone(), called.clone()]);
                let written = alone.filter(|text| text.contains(WORD)).or_else(|| render(&[user, called, answer]));
                // A mapping that was joined to text without `tojson` is Python's, not JSON.
                written.is_some_and(|written| written.contains(WORD) && !written.contains(&format!("'{WORD}'")))
            };
            let (text, needs_content) = forms.into_iter().find(fits).unwrap_or_default();
            CallForm { text, needs_content }
        })
    }
}

/// Conversations in which a message of `role` is in its place, and those around it say `other`.
fn around(role: &str, content: Json, other: &Json, form: CallForm) -> Vec<Vec<Json>> {
    let message = |role: &str, content: &Json| json!({ "role": role, "content": content });
    let user = message("user", other);
    match role {
        "system" => vec![vec![message(role, &content), user]],
        "assistant" => vec![vec![user.clone(), message(role, &content), user]],
        "tool" => {
            let said = other.as_array().map_or_else(|| said_in(form), |_| other.clone());
            vec![called("a", other, said, content, form).to_vec()]
        }
        role => {
            let asked = message(role, &content);
            vec![vec![asked.clone()], vec![message("system", other), asked]]
        }
    }
}

/// What is said beside a call: nothing.
fn said_in(form: CallForm) -> Json {
    if form.needs_content { json!("") } else { Json::Null }
}

/// A question, a call with an argument, and what it gives.
fn called(argument: &str, asked: &Json, said: Json, content: Json, form: CallForm) -> [Json; 3] {
    let arguments = json!({ "key": argument });
    let arguments = if form.text { json!(arguments.to_string()) } else { arguments };
    let call = json!({ "id": "call00001", "type": "function", "function": { "name": "f", "arguments": arguments } });
    [
        json!({ "role": "user", "content": asked }),
        json!({ "role": "assistant", "content": said, "tool_calls": [call] }),
        json!({ "role": "tool", "content": content, "name": "f", "tool_call_id": "call00001" }),
    ]
}
