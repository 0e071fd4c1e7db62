//! Finds by trial in which form a template reads messages: content as text or as parts, arguments
//! of calls as text or as data.
//!
//! Published templates differ and do not say. So a word is put into a message, and the output is
//! searched for it.

use std::cell::OnceCell;

use serde_json::{Value as Json, json};

/// A word that no template contains. It is searched for in lower case, since some templates change
/// the case of their input.
const WORD: &str = "weftsentinel";

/// Renders trial messages; `None` if the template fails.
type Try<'t> = &'t dyn Fn(&[Json]) -> Option<String>;

/// Forms that a template reads, each found on first use.
#[derive(Default)]
pub(super) struct Wants {
    system: OnceCell<ContentForm>,
    user: OnceCell<ContentForm>,
    assistant: OnceCell<ContentForm>,
    tool: OnceCell<ContentForm>,
    calls: OnceCell<CallForm>,
}

/// Form of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentForm {
    Text,
    Parts,
    Either,
}

/// Form of a message with calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CallForm {
    /// Whether arguments are JSON text, for templates that concatenate them; otherwise data.
    pub(super) text: bool,
    said: Said,
}

/// Form of absent content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Said {
    #[default]
    Null,
    Text,
    Parts,
}

impl CallForm {
    /// The value for absent content.
    pub(super) fn nothing(self) -> Json {
        match self.said {
            Said::Null => Json::Null,
            Said::Text => json!(""),
            Said::Parts => parts_of(""),
        }
    }
}

impl Wants {
    /// Form in which the content of a role's messages is read.
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
                around.find_map(|messages| {
                    render(&messages).map(|text| text.to_lowercase()).filter(|text| text.contains(WORD))
                })
            };
            let (word, parts, a, a_part) = (json!(WORD), parts_of(WORD), json!("a"), parts_of("a"));
            let text = with(word, &a);
            // Some templates need parts in the other messages too.
            let parts = with(parts.clone(), &a).or_else(|| with(parts, &a_part));
            // A template that reads text prints the list.
            let parts = parts.filter(|text| !text.contains("'type'") && !text.contains("\"type\""));
            match (text, parts) {
                (Some(_), Some(_)) => ContentForm::Either,
                (None, Some(_)) => ContentForm::Parts,
                _ => ContentForm::Text,
            }
        })
    }

    /// Form in which messages with calls are read.
    pub(super) fn calls(&self, render: Try) -> CallForm {
        *self.calls.get_or_init(|| {
            let forms = [Said::Null, Said::Text, Said::Parts]
                .map(|said| [false, true].map(|text| CallForm { text, said }))
                .concat();
            let written = |form: &CallForm, answered: bool| {
                let a = if form.said == Said::Parts { parts_of("a") } else { json!("a") };
                let messages = called(WORD, &a, form.nothing(), a.clone(), *form);
                render(if answered { &messages } else { &messages[..2] })
            };
            // A mapping concatenated without `tojson` prints as Python's repr, not as JSON.
            let fits = |text: String| {
                let text = text.to_lowercase();
                text.contains(WORD) && !text.contains(&format!("'{WORD}'"))
            };
            let find = |is: &dyn Fn(String) -> bool| {
                let is = |answered| forms.iter().find(move |form| written(form, answered).is_some_and(is));
                is(true).or_else(|| is(false))
            };
            find(&fits).or_else(|| find(&|_| true)).copied().unwrap_or_default()
        })
    }
}

/// Conversations that put a message of `role` in its usual place among messages with content
/// `other`.
fn around(role: &str, content: Json, other: &Json, form: CallForm) -> Vec<Vec<Json>> {
    let message = |role: &str, content: &Json| json!({ "role": role, "content": content });
    let user = message("user", other);
    match role {
        "system" => vec![vec![message(role, &content), user]],
        "assistant" => vec![vec![user.clone(), message(role, &content), user]],
        "tool" => {
            let said = other.as_array().map_or_else(|| form.nothing(), |_| other.clone());
            vec![called("a", other, said, content, form).to_vec()]
        }
        role => {
            let asked = message(role, &content);
            vec![vec![asked.clone()], vec![message("system", other), asked]]
        }
    }
}

/// Content of one part.
fn parts_of(text: &str) -> Json {
    json!([{ "type": "text", "text": text }])
}

/// A question, a call with one argument, and its result.
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
