//! Values as JSON, like Python's `json.dumps`, which transformers' `tojson` calls.

use super::budget::Budget;
use super::print;
use super::text::{Text, TextBuilder};
use super::value::{Kind, Value};
use super::{Fault, Res};

/// Options of `json.dumps`.
pub(super) struct Json<'b> {
    pub(super) ascii: bool,
    /// Indentation per level; `None` writes one line.
    pub(super) indent: Option<String>,
    /// Separators: between elements, and after a key.
    pub(super) separators: (Text, Text),
    pub(super) sort_keys: bool,
    pub(super) budget: &'b Budget,
}

impl<'b> Json<'b> {
    /// One line, no escapes of non-ASCII characters.
    pub(super) fn plain(budget: &'b Budget) -> Self {
        Self { ascii: false, indent: None, separators: (", ".into(), ": ".into()), sort_keys: false, budget }
    }

    pub(super) fn text(&self, value: &Value) -> Res<Text> {
        let mut out = TextBuilder::default();
        self.push(value, 0, &mut out)?;
        Ok(out.finish())
    }

    fn push(&self, value: &Value, depth: usize, out: &mut TextBuilder) -> Res<()> {
        self.budget.spend(1)?;
        match value {
            Value::None => out.push_str("null", false),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }, false),
            Value::Int(value) => out.push_str(&value.to_string(), false),
            Value::Float(value) => out.push_str(&number(*value), false),
            Value::Str(text) => self.string(text, out)?,
            Value::List(list) if matches!(list.kind, Kind::List | Kind::Tuple | Kind::Group) => {
                self.items("[", "]", depth, list.items.iter(), out, |item, out| self.push(item, depth + 1, out))?;
            }
            Value::Map(map) => {
                let mut entries: Vec<(Text, &Value)> = Vec::with_capacity(map.entries.len());
                for (key, value) in &map.entries {
                    entries.push((self.key(key)?, value));
                }
                if self.sort_keys {
                    self.budget.spend(8 * entries.len() as u64)?;
                    entries.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
                }
                self.items("{", "}", depth, entries.iter(), out, |(key, value), out| {
                    self.string(key, out)?;
                    out.push(&self.separators.1);
                    self.push(value, depth + 1, out)
                })?;
            }
            other => {
                let what = format!("Object of type {} is not JSON serializable", other.type_name());
                return Err(Fault::new(what));
            }
        }
        Ok(())
    }

    fn items<T>(
        &self,
        open: &str,
        close: &str,
        depth: usize,
        items: impl Iterator<Item = T>,
        out: &mut TextBuilder,
        push: impl Fn(T, &mut TextBuilder) -> Res<()>,
    ) -> Res<()> {
        out.push_str(open, false);
        let mut is_empty = true;
        for item in items {
            if !is_empty {
                out.push(&self.separators.0);
            }
            is_empty = false;
            self.new_line(depth + 1, out)?;
            push(item, out)?;
        }
        if !is_empty {
            self.new_line(depth, out)?;
        }
        out.push_str(close, false);
        Ok(())
    }

    fn new_line(&self, depth: usize, out: &mut TextBuilder) -> Res<()> {
        let Some(indent) = &self.indent else { return Ok(()) };
        self.budget.make(depth * indent.len())?;
        out.push_str("\n", false);
        out.push_str(&indent.repeat(depth), false);
        Ok(())
    }

    fn key(&self, key: &Value) -> Res<Text> {
        Ok(match key {
            Value::Str(text) => text.clone(),
            Value::None => "null".into(),
            Value::Bool(value) => if *value { "true" } else { "false" }.into(),
            Value::Int(value) => value.to_string().as_str().into(),
            Value::Float(value) => number(*value).as_str().into(),
            other => {
                let what = format!("keys must be str, int, float, bool or None, not {}", other.type_name());
                return Err(Fault::new(what));
            }
        })
    }

    fn string(&self, text: &Text, out: &mut TextBuilder) -> Res<()> {
        self.budget.characters(text)?;
        out.push_str("\"", false);
        for (c, given) in text.chars() {
            match c {
                '"' => out.push_str("\\\"", given),
                '\\' => out.push_str("\\\\", given),
                '\n' => out.push_str("\\n", given),
                '\r' => out.push_str("\\r", given),
                '\t' => out.push_str("\\t", given),
                '\u{8}' => out.push_str("\\b", given),
                '\u{c}' => out.push_str("\\f", given),
                c if c < ' ' || (self.ascii && (!c.is_ascii() || c == '\u{7f}')) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"), given);
                    }
                }
                c => out.push_char(c, given),
            }
        }
        out.push_str("\"", false);
        Ok(())
    }
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        value => print::float(value),
    }
}
