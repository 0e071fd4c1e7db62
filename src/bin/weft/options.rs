//! Reads and checks what options name: files, JSON, variables of a chat template.

use std::path::Path;

use serde_json::{Map, Value};
use weft_llm::{Error, Result};

use super::files::io_error;

/// The error for an option, `name` as on the command line.
pub fn invalid(name: &str, expected: impl Into<String>, got: impl Into<String>) -> Error {
    Error::InvalidOption { name: name.into(), expected: expected.into(), got: got.into() }
}

/// Errors: `Io`, also for a file that is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| io_error(&path.display().to_string(), &error))
}

/// Errors: `Io`; `InvalidOption` for what is not JSON.
pub fn read_json(option: &str, path: &Path) -> Result<Value> {
    let wrong = |error| invalid(option, "a file of JSON", format!("{}: {error}", path.display()));
    serde_json::from_str(&read_text(path)?).map_err(wrong)
}

/// Descriptions of functions in OpenAI's format, from a file, as a chat template reads them.
/// Errors: `Io`; `InvalidOption` that names the first wrong tool.
pub fn read_tools(path: &Path) -> Result<Value> {
    let option = "--tools";
    let mut tools = read_json(option, path)?;
    let expected = r#"an array of tools: [{"type": "function", "function": {"name": …, "parameters": …}}]"#;
    let Some(list) = tools.as_array_mut().filter(|list| !list.is_empty()) else {
        return Err(invalid(option, expected, tools.to_string()));
    };
    for (index, tool) in list.iter_mut().enumerate() {
        let named = tool["function"]["name"].as_str().is_some_and(|name| !name.is_empty());
        if !named || tool["type"].as_str().is_some_and(|kind| kind != "function") {
            return Err(invalid(option, expected, format!("{tool} at place {index}")));
        }
        // a word to servers, which no template knows
        if let Some(function) = tool["function"].as_object_mut() {
            function.remove("strict");
        }
    }
    Ok(tools)
}

/// A variable of a chat template, from `NAME=JSON`.
pub fn variable(text: &str) -> Result<(String, Value), String> {
    let remedy = r#"write NAME=JSON, with quotes around text: 'language="de"'"#;
    let (name, json) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or(remedy)?;
    let value = serde_json::from_str(json).map_err(|error| format!("{json} is not JSON ({error}): {remedy}"))?;
    Ok((name.into(), value))
}

/// Whether a model should write down its thoughts first.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Thoughts {
    /// As the chat template decides.
    Auto,
    On,
    Off,
}

impl Thoughts {
    /// The variables by which templates switch thoughts, of which `template` reads some. The same
    /// as in js/src/worker/conversation.ts. Errors: `InvalidOption` if it reads none.
    pub fn variables(self, template: &str) -> Result<Map<String, Value>> {
        let (told, all): (_, &[(&str, Value)]) = match self {
            Self::Auto => return Ok(Map::new()),
            Self::On => ("on", &[("enable_thinking", true.into()), ("thinking", true.into())]),
            Self::Off => (
                "off",
                &[("enable_thinking", false.into()), ("thinking", false.into()), ("reasoning_effort", "low".into())],
            ),
        };
        let read: Vec<_> = all.iter().filter(|(name, _)| reads(template, name)).collect();
        if read.is_empty() {
            let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
            let expected = format!("a chat template that reads one of {}", names.join(", "));
            let got = format!("{told}, and the model's template reads none: leave --thoughts out");
            return Err(invalid("--thoughts", expected, got));
        }
        Ok(read.into_iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
    }
}

/// Whether the source of a chat template has this name, as a whole word.
pub fn reads(template: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    template.match_indices(name).any(|(at, _)| {
        let (before, after) = (&template[..at], &template[at + name.len()..]);
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_a_name_and_json() {
        assert_eq!(variable("a=1"), Ok(("a".into(), 1.into())));
        assert_eq!(variable(r#"b={"c": "d=e"}"#), Ok(("b".into(), serde_json::json!({ "c": "d=e" }))));
        for wrong in ["a", "=1", "a=", "a=text"] {
            assert!(variable(wrong).unwrap_err().contains("NAME=JSON"), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_read_as_a_whole_word() {
        assert!(reads("{% if tools %}", "tools") && reads("tools", "tools") && reads("my_tools tools", "tools"));
        assert!(!reads("{% if my_tools or tools2 %}", "tools") && !reads("", "tools"));
    }

    #[test]
    fn thoughts_set_the_variables_that_the_template_reads() {
        let keys =
            |thoughts: Thoughts, template: &str| thoughts.variables(template).map(|map| Value::from(map).to_string());
        assert_eq!(keys(Thoughts::Off, "{{ enable_thinking }}").unwrap(), r#"{"enable_thinking":false}"#);
        assert_eq!(keys(Thoughts::On, "{{ thinking }}").unwrap(), r#"{"thinking":true}"#);
        assert_eq!(keys(Thoughts::Off, "{{ reasoning_effort }}").unwrap(), r#"{"reasoning_effort":"low"}"#);
        assert_eq!(keys(Thoughts::Auto, "").unwrap(), "{}");
        assert!(keys(Thoughts::On, "{{ reasoning_effort }}").unwrap_err().to_string().contains("leave --thoughts out"));
    }
}
