//! Methods of Python's strings, mappings, lists and numbers. Methods that change a value are
//! refused, as in transformers' sandbox.

mod cuts;
mod strings;

use std::rc::Rc;

use super::budget::Budget;
use super::call::Call;
use super::value::{Kind, Object, Value};
use super::{Fault, Res, operators};

pub(super) use cuts::{is_line_break, is_space, lines};
pub(super) use strings::cased;

const MAP: [&str; 11] =
    ["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];
const LIST: [&str; 11] =
    ["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];
const TUPLE: [&str; 2] = ["count", "index"];

/// Whether the Python type has a method of this name.
pub(super) fn has(of: &Value, name: &str) -> bool {
    match of {
        Value::Str(_) => strings::has(name),
        Value::Map(_) => MAP.contains(&name),
        Value::List(list) => match list.kind {
            Kind::List => LIST.contains(&name),
            Kind::Tuple | Kind::Group => TUPLE.contains(&name),
            Kind::Iterator | Kind::View(_) => false,
        },
        Value::Float(_) => name == "is_integer",
        Value::Int(_) => matches!(name, "bit_length" | "is_integer"),
        _ => false,
    }
}

/// A method bound to its value.
pub(super) fn bound(of: Value, name: &Rc<str>) -> Value {
    Value::Object(Object::Method(Rc::new((of, name.clone()))))
}

/// Calls a method.
pub(super) fn call(of: &Value, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    budget.spend(1)?;
    match of {
        Value::Str(text) => strings::call(text, name, call, budget),
        Value::Map(map) => match name {
            "get" => {
                let [key, default] = call.bind(name, ["key", "default"])?;
                let key = key.ok_or_else(|| Fault::new("get expected at least 1 argument, got 0"))?;
                let found = operators::find(&map.entries, &key, budget)?.cloned();
                Ok(found.unwrap_or_else(|| default.unwrap_or(Value::None)))
            }
            "items" => Value::sequence(Kind::View("dict_items"), pairs(of, budget)?),
            "keys" | "values" => {
                budget.elements(map.entries.len())?;
                let part = |(key, value): &(Value, Value)| if name == "keys" { key.clone() } else { value.clone() };
                let view = if name == "keys" { "dict_keys" } else { "dict_values" };
                Value::sequence(Kind::View(view), map.entries.iter().map(part).collect())
            }
            "copy" => Ok(of.clone()),
            _ => Err(unsafe_method(of, name)),
        },
        Value::List(list) => match name {
            "count" | "index" => {
                let [item, start, stop] = call.bind(name, ["value", "start", "stop"])?;
                let item = item.ok_or_else(|| Fault::new(format!("{name} expected 1 argument, got 0")))?;
                let range = cuts::bounds(list.items.len(), start.as_ref(), stop.as_ref())?;
                let mut count = 0;
                for at in range {
                    if operators::equal(&list.items[at], &item, budget)? {
                        if name == "index" {
                            return Ok(Value::Int(at as i128));
                        }
                        count += 1;
                    }
                }
                if name == "count" { Ok(Value::Int(count)) } else { Err(Fault::new("the value is not in the list")) }
            }
            "copy" => Ok(of.clone()),
            _ => Err(unsafe_method(of, name)),
        },
        Value::Float(value) => Ok(Value::Bool(value.fract() == 0.0)),
        Value::Int(value) if name == "bit_length" => {
            Ok(Value::Int(128 - i128::from(value.unsigned_abs().leading_zeros())))
        }
        Value::Int(_) => Ok(Value::Bool(true)),
        Value::Object(Object::Loop(of)) if name == "cycle" => of.cycle(&call.positional),
        Value::Object(Object::Loop(of)) => of.change(call.positional, budget).map(Value::Bool),
        Value::Object(Object::Cycler(of)) => {
            let current = of.0.get(of.1.get()).cloned();
            of.1.set(if name == "reset" { 0 } else { (of.1.get() + 1) % of.0.len().max(1) });
            Ok(current.filter(|_| name == "next").unwrap_or(Value::None))
        }
        other => Err(Fault::new(format!("'{}' object has no method '{name}'", other.type_name()))),
    }
}

fn unsafe_method(of: &Value, name: &str) -> Box<Fault> {
    let of = of.type_name();
    Fault::new(format!("access to attribute '{name}' of '{of}' object is unsafe: a template changes no value"))
}

/// The entries of a mapping, as pairs.
pub(super) fn pairs(of: &Value, budget: &Budget) -> Res<Vec<Value>> {
    let Value::Map(map) = of else {
        return Err(Fault::new(format!("'{}' object has no attribute 'items'", of.type_name())));
    };
    budget.elements(4 * map.entries.len())?;
    map.entries.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect()
}
