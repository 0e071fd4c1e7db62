//! `'%s' % x`.

use super::{Spec, number, repr};
use crate::jinja::budget::Budget;
use crate::jinja::text::{Text, TextBuilder};
use crate::jinja::value::{Kind, Value};
use crate::jinja::{Fault, Res, operators, print};

/// `text % values`.
pub(in crate::jinja) fn percent(text: &Text, values: &Value, budget: &Budget) -> Res<Text> {
    budget.make(text.len())?;
    let positional: Vec<Value> = match values {
        Value::List(list) if matches!(list.kind, Kind::Tuple | Kind::Group) => list.items.clone(),
        other => vec![other.clone()],
    };
    let mut left = positional.iter();
    let mut next = || left.next().ok_or_else(|| Fault::new("not enough arguments for format string"));
    let mut out = TextBuilder::default();
    let all = text.as_str();
    let mut at = 0;
    while let Some(found) = all[at..].find('%') {
        out.push_slice(text, at..at + found);
        let mut rest = &all[at + found + 1..];
        let mut named = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let end = inner.find(')').ok_or_else(|| Fault::new("incomplete format key"))?;
            let start = at + found + 2;
            named = Some(Value::Str(text.slice(start..start + end)));
            rest = &inner[end + 1..];
        }
        let mut spec = Spec::default();
        let flags = rest.len() - rest.trim_start_matches(['-', '+', ' ', '0', '#']).len();
        for flag in rest[..flags].chars() {
            match flag {
                '-' => (spec.align, spec.fill) = (Some('<'), None),
                '0' if spec.align.is_none() => (spec.align, spec.fill) = (Some('='), Some('0')),
                '#' => spec.alternate = true,
                '+' | ' ' => spec.sign = Some(flag),
                _ => {}
            }
        }
        rest = &rest[flags..];
        if let Some(after) = rest.strip_prefix('*') {
            let width = next()?.as_int().ok_or_else(|| Fault::new("* wants int"))?;
            spec.width = usize::try_from(width).unwrap_or_default();
            rest = after;
        } else {
            (spec.width, rest) = number(rest)?;
        }
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = number(after)?;
            (spec.precision, rest) = (Some(precision), after);
        }
        let rest = rest.trim_start_matches(['l', 'h', 'L']);
        let kind = rest.chars().next().ok_or_else(|| Fault::new("incomplete format"))?;
        at = all.len() - rest.len() + kind.len_utf8();
        if kind == '%' {
            out.push_str("%", false);
            continue;
        }
        let value = match &named {
            Some(key) => match values {
                Value::Map(map) => operators::find(&map.entries, key, budget)?
                    .ok_or_else(|| Fault::new(format!("format: no key '{}'", key.as_str().unwrap_or_default())))?,
                _ => return Err(Fault::new("format requires a mapping")),
            },
            None => next()?,
        };
        spec.align.get_or_insert('>');
        let value = match kind {
            's' => Value::Str(print::text(value, budget)?),
            'r' | 'a' => Value::Str(repr(value, budget)?),
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'c' => {
                let whole = match value {
                    Value::Float(value) if !matches!(kind, 'x' | 'X' | 'o' | 'c') => Some(value.trunc() as i128),
                    Value::Str(_) if kind == 'c' => None,
                    value => value.as_int(),
                };
                spec.kind = Some(if matches!(kind, 'i' | 'u') { 'd' } else { kind });
                match (whole, value) {
                    (Some(whole), _) => Value::Int(whole),
                    (None, Value::Str(text)) if kind == 'c' && text.as_str().chars().count() == 1 => {
                        spec.kind = None;
                        value.clone()
                    }
                    _ => {
                        let what = format!("%{kind} format: a real number is required, not {}", value.type_name());
                        return Err(Fault::new(what));
                    }
                }
            }
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
                spec.kind = Some(kind);
                let value = value.as_number();
                Value::Float(value.ok_or_else(|| Fault::new("must be real number, not str"))?)
            }
            other => return Err(Fault::new(format!("unsupported format character '{other}'"))),
        };
        out.push(&spec.apply(&value, budget)?);
    }
    out.push_slice(text, at..text.len());
    if left.next().is_some() && !matches!(values, Value::Map(_)) {
        return Err(Fault::new("not all arguments converted during string formatting"));
    }
    Ok(out.finish())
}
