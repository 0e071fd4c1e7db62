//! The chat templates of one model: a default, and others by name, such as `tool_use` and `rag`.

use std::cell::OnceCell;

use super::ChatTemplate;
use crate::{Error, Result};

/// Name of the template that is used unless another is named.
pub const DEFAULT: &str = "default";

/// Name of the template for conversations with tools, if the model has one.
const TOOL_USE: &str = "tool_use";

/// Templates by name. Each is compiled on first use: a template that does not compile fails a chat
/// and nothing else.
#[derive(Default)]
pub struct ChatTemplates(Vec<Named>);

struct Named {
    name: String,
    source: String,
    compiled: OnceCell<Result<ChatTemplate, String>>,
}

impl ChatTemplates {
    /// `sources`: names and texts. The first of a name counts.
    pub fn new(sources: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut templates: Vec<Named> = Vec::new();
        for (name, source) in sources {
            if templates.iter().all(|known| known.name != name) {
                templates.push(Named { name, source, compiled: OnceCell::new() });
            }
        }
        Self(templates)
    }

    /// Whether the model has no templates.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Source of the template that [`ChatTemplates::choose`] would compile.
    ///
    /// # Errors
    /// Those of `choose`, except for compilation.
    pub fn source(&self, name: Option<&str>, tools: bool) -> Result<&str> {
        self.find(name, tools).map(|template| template.source.as_str())
    }

    /// The template called `name`. Without a name: `tool_use` if there are tools and the model has
    /// it, otherwise the default.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] if the model has no such template, or it does not compile.
    pub fn choose(&self, name: Option<&str>, tools: bool) -> Result<&ChatTemplate> {
        let Named { source, compiled, .. } = self.find(name, tools)?;
        let compile = || {
            ChatTemplate::new(source).map_err(|error| match error {
                Error::ChatTemplate(what) => what,
                error => error.to_string(),
            })
        };
        compiled.get_or_init(compile).as_ref().map_err(|what| Error::ChatTemplate(format!("does not compile: {what}")))
    }

    fn find(&self, name: Option<&str>, tools: bool) -> Result<&Named> {
        let named = |name: &str| self.0.iter().find(|template| template.name == name);
        let found = match (name, self.0.as_slice()) {
            (Some(name), _) => named(name),
            (None, [only]) => Some(only),
            (None, _) => Some(TOOL_USE).filter(|_| tools).and_then(named).or_else(|| named(DEFAULT)),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> = self.0.iter().map(|template| template.name.as_str()).collect();
            Error::ChatTemplate(match (name, names.as_slice()) {
                (_, []) => "the model file has none: use generate() with a prompt of your own".into(),
                (Some(name), names) => format!("the model has none called `{name}`, only {}", names.join(", ")),
                (None, names) => format!("the model has several and no default: name one of {}", names.join(", ")),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates(sources: &[(&str, &str)]) -> ChatTemplates {
        ChatTemplates::new(sources.iter().map(|(name, source)| (name.to_string(), source.to_string())))
    }

    #[test]
    fn tools_select_their_template_and_a_name_any() {
        let three = templates(&[("default", "D"), ("tool_use", "T"), ("rag", "R"), ("rag", "second")]);
        let source = |name, tools| three.source(name, tools).unwrap();
        assert_eq!((source(None, false), source(None, true), source(Some("rag"), true)), ("D", "T", "R"));
        assert_eq!(source(Some("default"), true), "D");
        assert_eq!(templates(&[("default", "D"), ("rag", "R")]).source(None, true).unwrap(), "D");
        assert_eq!(templates(&[("rag", "R")]).source(None, false).unwrap(), "R");
    }

    #[test]
    fn a_missing_template_error_lists_the_existing_ones() {
        let error = |error: Error| error.to_string();
        let two = templates(&[("tool_use", "T"), ("rag", "R")]);
        assert!(error(two.source(Some("x"), false).unwrap_err()).contains("none called `x`, only tool_use, rag"));
        assert!(error(two.source(None, false).unwrap_err()).contains("name one of tool_use, rag"));
        assert!(error(ChatTemplates::default().source(None, false).unwrap_err()).contains("the model file has none"));
    }

    #[test]
    fn a_template_that_does_not_compile_fails_on_use() {
        let two = templates(&[("default", "a\n{% if %}"), ("rag", "R")]);
        assert!(two.choose(Some("rag"), false).is_ok());
        for _ in 0..2 {
            let error = two.choose(None, false).err().unwrap().to_string();
            assert!(error.starts_with("chat template: does not compile: line 2: "), "{error}");
        }
    }
}
