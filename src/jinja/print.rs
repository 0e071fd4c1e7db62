//! Values as text: Python's `str` and `repr`.

use super::Res;
use super::budget::Budget;
use super::text::{Text, TextBuilder};
use super::value::{Kind, Object, Value};

/// `str(value)`.
pub(super) fn text(value: &Value, budget: &Budget) -> Res<Text> {
    if let Value::Str(text) = value {
        return Ok(text.clone());
    }
    let mut out = TextBuilder::default();
    push(value, &mut out, budget)?;
    Ok(out.finish())
}

/// Appends `str(value)`.
pub(super) fn push(value: &Value, out: &mut TextBuilder, budget: &Budget) -> Res<()> {
    match value {
        Value::Undefined(_) => Ok(()),
        Value::Str(text) => {
            budget.copy(text)?;
            out.push(text);
            Ok(())
        }
        value => push_repr(value, out, budget),
    }
}

/// Appends `repr(value)`.
pub(super) fn push_repr(value: &Value, out: &mut TextBuilder, budget: &Budget) -> Res<()> {
    budget.spend(1)?;
    match value {
        Value::Undefined(_) => out.push_str("Undefined", false),
        Value::None => out.push_str("None", false),
        Value::Bool(value) => out.push_str(if *value { "True" } else { "False" }, false),
        Value::Int(value) => out.push_str(&value.to_string(), false),
        Value::Float(value) => out.push_str(&float(*value), false),
        Value::Str(text) => quoted(text, out, budget)?,
        Value::List(list) => {
            let (open, close) = match list.kind {
                Kind::List => ("[", "]"),
                Kind::Tuple | Kind::Group => ("(", ")"),
                Kind::View(name) => {
                    out.push_str(name, false);
                    ("([", "])")
                }
                Kind::Iterator => {
                    out.push_str("<generator object>", false);
                    return Ok(());
                }
            };
            out.push_str(open, false);
            for (i, item) in list.items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " }, false);
                push_repr(item, out, budget)?;
            }
            out.push_str(if open == "(" && list.items.len() == 1 { "," } else { "" }, false);
            out.push_str(close, false);
        }
        Value::Map(map) => push_map(map.entries.iter().map(|(key, value)| (key, value)), out, budget)?,
        Value::Object(Object::Namespace(values)) => {
            out.push_str("<Namespace ", false);
            let values = values.borrow();
            let names: Vec<Value> = values.iter().map(|(name, _)| Value::keyword(name)).collect();
            push_map(names.iter().zip(values.iter().map(|(_, value)| value)), out, budget)?;
            out.push_str(">", false);
        }
        Value::Object(Object::Macro(of, _)) => out.push_str(&format!("<Macro '{}'>", of.name), false),
        Value::Object(_) => out.push_str(&format!("<{}>", value.type_name()), false),
    }
    Ok(())
}

fn push_map<'v>(
    entries: impl Iterator<Item = (&'v Value, &'v Value)>,
    out: &mut TextBuilder,
    budget: &Budget,
) -> Res<()> {
    out.push_str("{", false);
    for (i, (key, value)) in entries.enumerate() {
        out.push_str(if i == 0 { "" } else { ", " }, false);
        push_repr(key, out, budget)?;
        out.push_str(": ", false);
        push_repr(value, out, budget)?;
    }
    out.push_str("}", false);
    Ok(())
}

/// A string in the quotes that Python chooses.
fn quoted(text: &Text, out: &mut TextBuilder, budget: &Budget) -> Res<()> {
    budget.characters(text)?;
    let quote = if text.as_str().contains('\'') && !text.as_str().contains('"') { '"' } else { '\'' };
    out.push_char(quote, false);
    for (c, given) in text.chars() {
        match c {
            '\n' => out.push_str("\\n", given),
            '\r' => out.push_str("\\r", given),
            '\t' => out.push_str("\\t", given),
            c if c == quote || c == '\\' => {
                out.push_char('\\', given);
                out.push_char(c, given);
            }
            c if is_printable(c) => out.push_char(c, given),
            c => {
                let code = u32::from(c);
                let escaped = match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                };
                out.push_str(&escaped, given);
            }
        }
    }
    out.push_char(quote, false);
    Ok(())
}

/// `str.isprintable` for one character. Rust's `escape_debug` also escapes combining marks, which
/// are printable.
pub(super) fn is_printable(c: char) -> bool {
    let prints = c.is_alphanumeric() || c.escape_debug().len() <= 2 || is_mark(c);
    c == ' ' || (prints && !c.is_whitespace())
}

/// Whether `c` is a combining mark, by the main blocks.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}'
        | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94f}' | '\u{e31}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{3099}' | '\u{309a}')
}

/// `repr` of a float: the shortest digits that parse back to it, with an exponent as in Python.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value == 0.0 || (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
