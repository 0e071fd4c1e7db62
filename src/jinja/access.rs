//! Attributes, subscripts and slices, as in Python.

use std::rc::Rc;

use super::budget::Budget;
use super::operators::find;
use super::text::TextBuilder;
use super::value::{Kind, Object, Value};
use super::{Fault, Res, methods};

/// `of.name`: an attribute, otherwise an item of a mapping.
pub(super) fn attribute(of: &Value, name: &Rc<str>, budget: &Budget) -> Res<Value> {
    if let Value::Undefined(what) = of {
        return Err(Fault::new(&**what));
    }
    if let Some(found) = own_attribute(of, name, budget)? {
        return Ok(found);
    }
    if let Value::Map(map) = of
        && let Some(found) = find_text(&map.entries, name, budget)?
    {
        return Ok(found.clone());
    }
    Ok(missing(of, name))
}

fn find_text<'m>(entries: &'m [(Value, Value)], key: &str, budget: &Budget) -> Res<Option<&'m Value>> {
    budget.spend(entries.len() as u64 / 8)?;
    Ok(entries.iter().find(|(other, _)| other.as_str() == Some(key)).map(|(_, value)| value))
}

fn missing(of: &Value, name: &str) -> Value {
    Value::undefined(match of {
        Value::None => format!("'None' has no attribute '{name}'"),
        of => format!("'{} object' has no attribute '{name}'", of.type_name()),
    })
}

/// Python's `getattr`.
fn own_attribute(of: &Value, name: &Rc<str>, budget: &Budget) -> Res<Option<Value>> {
    Ok(match of {
        Value::Object(Object::Namespace(values)) => {
            let values = values.borrow();
            budget.spend(values.len() as u64 / 8)?;
            values.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
        }
        Value::Object(Object::Loop(of)) => match &**name {
            "cycle" | "changed" => Some(methods::bound(Value::Object(Object::Loop(of.clone())), name)),
            _ => of.attribute(name),
        },
        Value::Object(Object::Cycler(of)) => match &**name {
            "current" => of.0.get(of.1.get()).cloned(),
            "next" | "reset" => Some(methods::bound(Value::Object(Object::Cycler(of.clone())), name)),
            _ => None,
        },
        // In Python, `dict['x']` is a type that can be called like `dict`, and a published template
        // writes `dict.from_keys(…)`.
        Value::Object(Object::Function(function)) if function.name == "dict" => Some(of.clone()),
        Value::Object(Object::Macro(of, _)) if &**name == "name" => Some(Value::template(&of.name)),
        Value::List(list) if list.kind == Kind::Group && &**name == "grouper" => list.items.first().cloned(),
        Value::List(list) if list.kind == Kind::Group && &**name == "list" => list.items.get(1).cloned(),
        of if methods::has(of, name) => Some(methods::bound(of.clone(), name)),
        _ => None,
    })
}

/// `of[key]`: an item, otherwise an attribute.
pub(super) fn item(of: &Value, key: &Value, budget: &Budget) -> Res<Value> {
    let index = |length: usize, index: i128| {
        let from_end = if index < 0 { index + length as i128 } else { index };
        usize::try_from(from_end).ok().filter(|&at| at < length)
    };
    let found = match (of, key) {
        (Value::Undefined(what), _) => return Err(Fault::new(&**what)),
        // A value that cannot be a key is not in the mapping.
        (Value::Map(map), key) => find(&map.entries, key, budget).unwrap_or_default().cloned(),
        (Value::List(list), key) => {
            key.as_int().and_then(|at| index(list.items.len(), at)).and_then(|at| list.items.get(at).cloned())
        }
        (Value::Str(text), key) if key.as_int().is_some() => {
            let all = text.as_str();
            budget.read(text.len())?;
            let length = if all.is_ascii() { all.len() } else { all.chars().count() };
            let place = key.as_int().and_then(|at| index(length, at));
            let at = match place {
                Some(at) if all.is_ascii() => Some((at, 1)),
                Some(at) => all.char_indices().nth(at).map(|(at, c)| (at, c.len_utf8())),
                None => None,
            };
            at.map(|(at, length)| Value::Str(text.slice(at..at + length)))
        }
        _ => None,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    if let Value::Str(name) = key
        && let Some(found) = own_attribute(of, &name.as_str().into(), budget)?
    {
        return Ok(found);
    }
    Ok(match key {
        Value::Str(name) => missing(of, name.as_str()),
        key => {
            let what = match key.as_int() {
                Some(at) => format!("'{} object' has no element {at}", of.type_name()),
                None => format!("'{} object' has no such element", of.type_name()),
            };
            Value::undefined(what)
        }
    })
}

/// `of[start:stop:step]`.
pub(super) fn slice(of: &Value, bounds: [Option<Value>; 3], budget: &Budget) -> Res<Value> {
    let mut numbers = [None; 3];
    for (number, bound) in numbers.iter_mut().zip(&bounds) {
        *number = match bound {
            None | Some(Value::None) => None,
            Some(Value::Undefined(what)) => return Err(Fault::new(&**what)),
            Some(value) => Some(
                value
                    .as_int()
                    .ok_or_else(|| Fault::new("slice indices must be integers or None or have an __index__ method"))?,
            ),
        };
    }
    let [start, stop, step] = numbers;
    match of {
        Value::Undefined(what) => Err(Fault::new(&**what)),
        Value::List(list) => {
            let places = places(list.items.len(), start, stop, step)?;
            budget.elements(places.len())?;
            Value::sequence(list.kind, places.filter_map(|at| list.items.get(at).cloned()).collect())
        }
        Value::Str(text) => {
            budget.copy(text)?;
            let all = text.as_str();
            let starts: Option<Vec<usize>> =
                (!all.is_ascii()).then(|| all.char_indices().map(|(at, _)| at).chain([all.len()]).collect());
            let length = starts.as_ref().map_or(all.len(), |starts| starts.len() - 1);
            let byte = |at: usize| starts.as_ref().map_or(at, |starts| starts[at]);
            let places = places(length, start, stop, step)?;
            if let Some((first, last)) = places.range() {
                return Ok(Value::Str(text.slice(byte(first)..byte(last))));
            }
            let mut out = TextBuilder::default();
            for at in places {
                out.push_slice(text, byte(at)..byte(at + 1));
            }
            Ok(Value::Str(out.finish()))
        }
        other => {
            let what = format!("'{} object' cannot be sliced", other.type_name());
            Ok(Value::undefined(what))
        }
    }
}

/// The indices of a slice of `length` elements, by Python's rules.
fn places(length: usize, start: Option<i128>, stop: Option<i128>, step: Option<i128>) -> Res<Places> {
    let length = length as i128;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Fault::new("slice step cannot be zero"));
    }
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clamp = |bound: i128| (if bound < 0 { bound.saturating_add(length) } else { bound }).clamp(low, high);
    let start = start.map_or(if step > 0 { low } else { high }, clamp);
    let stop = stop.map_or(if step > 0 { high } else { low }, clamp);
    let span = if step > 0 { stop - start } else { start - stop };
    let count = if span <= 0 { 0 } else { (span - 1) / step.saturating_abs() + 1 };
    Ok(Places { at: start, step, left: usize::try_from(count).unwrap_or_default() })
}

struct Places {
    at: i128,
    step: i128,
    left: usize,
}

impl Places {
    fn len(&self) -> usize {
        self.left
    }

    /// First index and end, if the indices are contiguous.
    fn range(&self) -> Option<(usize, usize)> {
        let first = usize::try_from(self.at).ok()?;
        (self.step == 1).then_some((first, first + self.left))
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let at = usize::try_from(self.at).ok();
        self.at = self.at.saturating_add(self.step);
        at
    }
}
