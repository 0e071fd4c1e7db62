//! JSON Schemas inside a Lark grammar: replaces `%json { … }` by the schema's own grammar.

use anyhow::{Context as _, Result};
use serde_json::{Deserializer, Value};

use crate::Options;
use crate::schema::{Compiled, compile};

/// The grammar with its schemas compiled. Errors: those of [`compile`].
pub fn with_schemas(grammar: &str, options: &Options) -> Result<Compiled> {
    let mut compiled = Compiled { lark: String::new(), ignored: Vec::new() };
    let mut rest = grammar;
    while let Some(at) = next_schema(rest) {
        let (before, schema) = rest.split_at(at);
        let schema = schema.get(KEYWORD.len()..).unwrap_or_default();
        let mut values = Deserializer::from_str(schema).into_iter::<Value>();
        let value = values.next().context("`%json` without a schema")??;
        let Compiled { lark, ignored } = compile(&value, options)?;
        compiled.lark.push_str(before);
        compiled.lark.push_str("%lark {\n");
        compiled.lark.push_str(&lark);
        compiled.lark.push_str("\n}");
        compiled.ignored.extend(ignored);
        rest = schema.get(values.byte_offset()..).unwrap_or_default();
    }
    compiled.lark.push_str(rest);
    Ok(compiled)
}

const KEYWORD: &str = "%json";

/// Position of the next schema, outside of literals, expressions and comments.
fn next_schema(grammar: &str) -> Option<usize> {
    let mut rest = grammar;
    loop {
        let at = grammar.len() - rest.len();
        let c = rest.chars().next()?;
        let skipped = match c {
            '%' if rest.starts_with(KEYWORD) => return Some(at),
            '#' => rest.find('\n'),
            '/' if rest.starts_with("//") => rest.find('\n'),
            '"' | '/' => end_of_quoted(rest, c),
            c => Some(c.len_utf8()),
        };
        rest = rest.get(skipped?..)?;
    }
}

/// End of a quoted text that `mark` begins and ends.
fn end_of_quoted(text: &str, mark: char) -> Option<usize> {
    let mut escaped = true; // skips the opening mark
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == mark => return Some(at + 1),
            '\n' => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_found_outside_of_literals() {
        let grammar = "start: \"%json \\\" {\" a // %json {\na: /%json \\/ {/ # %json {\n";
        assert_eq!(next_schema(grammar), None);
        let schema = format!("{grammar}b: %json {{\"const\": \"}}\"}} a");
        let compiled = with_schemas(&schema, &Options::default()).unwrap();
        assert!(compiled.lark.starts_with(grammar) && compiled.lark.ends_with("\n} a"), "{}", compiled.lark);
    }
}
