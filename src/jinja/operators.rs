//! Operators, as in Python.

use std::cmp::Ordering;
use std::rc::Rc;

use super::ast::{Binary, Compare};
use super::budget::Budget;
use super::text::TextBuilder;
use super::value::{Kind, Object, Value};
use super::{Fault, Res, format};

/// `a == b`.
pub(super) fn equal(a: &Value, b: &Value, budget: &Budget) -> Res<bool> {
    budget.spend(1)?;
    Ok(match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Str(a), Value::Str(b)) => {
            budget.read(a.len().min(b.len()))?;
            a.as_str() == b.as_str()
        }
        (Value::List(a), Value::List(b)) => {
            let kind = |kind| if kind == Kind::Group { Kind::Tuple } else { kind };
            if kind(a.kind) != kind(b.kind) || a.items.len() != b.items.len() {
                return Ok(false);
            }
            for (a, b) in a.items.iter().zip(&b.items) {
                if !equal(a, b, budget)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.entries.len() != b.entries.len() {
                return Ok(false);
            }
            for (key, value) in &a.entries {
                let same = match find(&b.entries, key, budget)? {
                    Some(other) => equal(value, other, budget)?,
                    None => false,
                };
                if !same {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Object(Object::Namespace(a)), Value::Object(Object::Namespace(b))) => Rc::ptr_eq(a, b),
        (a, b) => match (a.as_int(), b.as_int()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_number().zip(b.as_number()).is_some_and(|(a, b)| a == b),
        },
    })
}

/// The value of a key in a mapping.
pub(super) fn find<'m>(entries: &'m [(Value, Value)], key: &Value, budget: &Budget) -> Res<Option<&'m Value>> {
    if let Value::Str(key) = key {
        // Most keys already differ in their first bytes.
        budget.spend(entries.len() as u64 / 8)?;
        budget.read(key.len())?;
        let same = |(other, _): &&(Value, Value)| other.as_str() == Some(key.as_str());
        return Ok(entries.iter().find(same).map(|(_, value)| value));
    }
    if let Value::Map(_) = key {
        return Err(Fault::new("unhashable type: 'dict'"));
    }
    if let Value::List(list) = key
        && list.kind == Kind::List
    {
        return Err(Fault::new("unhashable type: 'list'"));
    }
    for (other, value) in entries {
        if equal(other, key, budget)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The order of `a` and `b`. `operator` is for the error about values without an order.
pub(super) fn order(a: &Value, b: &Value, operator: &str, budget: &Budget) -> Res<Option<Ordering>> {
    budget.spend(1)?;
    match (a, b) {
        (Value::Undefined(what), _) | (_, Value::Undefined(what)) => Err(Fault::new(&**what)),
        (Value::Str(a), Value::Str(b)) => {
            budget.read(a.len().min(b.len()))?;
            Ok(Some(a.as_str().cmp(b.as_str())))
        }
        (Value::List(x), Value::List(y)) => {
            for (a, b) in x.items.iter().zip(&y.items) {
                if !equal(a, b, budget)? {
                    return order(a, b, operator, budget);
                }
            }
            Ok(Some(x.items.len().cmp(&y.items.len())))
        }
        (a, b) => match (a.as_int().zip(b.as_int()), a.as_number().zip(b.as_number())) {
            (Some((a, b)), _) => Ok(Some(a.cmp(&b))),
            (None, Some((a, b))) => Ok(a.partial_cmp(&b)),
            (None, None) => Err(Fault::new(format!(
                "'{operator}' not supported between instances of '{}' and '{}'",
                a.type_name(),
                b.type_name()
            ))),
        },
    }
}

pub(super) fn compare(operator: Compare, a: &Value, b: &Value, budget: &Budget) -> Res<bool> {
    use Ordering::{Equal, Greater, Less};
    let among =
        |sign: &str, wanted: &[Ordering]| Ok(order(a, b, sign, budget)?.is_some_and(|order| wanted.contains(&order)));
    match operator {
        Compare::Equal => equal(a, b, budget),
        Compare::NotEqual => Ok(!equal(a, b, budget)?),
        Compare::Less => among("<", &[Less]),
        Compare::LessEqual => among("<=", &[Less, Equal]),
        Compare::Greater => among(">", &[Greater]),
        Compare::GreaterEqual => among(">=", &[Greater, Equal]),
        Compare::In => contains(b, a, budget),
        Compare::NotIn => Ok(!contains(b, a, budget)?),
    }
}

/// `item in container`.
pub(super) fn contains(container: &Value, item: &Value, budget: &Budget) -> Res<bool> {
    match container {
        Value::Undefined(_) => Ok(false),
        Value::Str(text) => {
            let Some(part) = item.as_str() else {
                let what = "'in <string>' requires string as left operand, not ";
                return Err(Fault::new(format!("{what}{}", item.type_name())));
            };
            budget.read(text.len())?;
            Ok(text.as_str().contains(part))
        }
        Value::Map(map) => Ok(find(&map.entries, item, budget)?.is_some()),
        Value::List(list) => {
            for other in &list.items {
                if equal(other, item, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        other => Err(Fault::new(format!("argument of type '{}' is not iterable", other.type_name()))),
    }
}

pub(super) fn binary(operator: Binary, a: &Value, b: &Value, budget: &Budget) -> Res<Value> {
    if let Value::Undefined(what) = a {
        return Err(Fault::new(&**what));
    }
    match (operator, a, b) {
        (Binary::Modulo, Value::Str(text), _) => return format::percent(text, b, budget).map(Value::Str),
        (_, _, Value::Undefined(what)) => return Err(Fault::new(&**what)),
        (Binary::Add, Value::Str(a), Value::Str(b)) => {
            budget.copy(a)?;
            budget.copy(b)?;
            let mut sum = TextBuilder::default();
            sum.push(a);
            sum.push(b);
            return Ok(Value::Str(sum.finish()));
        }
        (Binary::Add, Value::List(a), Value::List(b)) if a.kind == b.kind => {
            budget.elements(a.items.len() + b.items.len())?;
            return Value::sequence(a.kind, a.items.iter().chain(&b.items).cloned().collect());
        }
        (Binary::Multiply, Value::Str(_) | Value::List(_), count) if count.as_int().is_some() => {
            return repeated(a, count.as_int().unwrap_or_default(), budget);
        }
        (Binary::Multiply, count, Value::Str(_) | Value::List(_)) if count.as_int().is_some() => {
            return repeated(b, count.as_int().unwrap_or_default(), budget);
        }
        _ => {}
    }
    match (a.as_int().zip(b.as_int()), a.as_number().zip(b.as_number())) {
        (Some((a, b)), _) => integers(operator, a, b),
        (None, Some((a, b))) => floats(operator, a, b),
        (None, None) => Err(not_supported(operator, a, b)),
    }
}

fn not_supported(operator: Binary, a: &Value, b: &Value) -> Box<Fault> {
    let sign = match operator {
        Binary::Add if a.as_str().is_some() => {
            return Fault::new(format!("can only concatenate str (not \"{}\") to str", b.type_name()));
        }
        Binary::Add => "+",
        Binary::Subtract => "-",
        Binary::Multiply => "*",
        Binary::Divide => "/",
        Binary::FloorDivide => "//",
        Binary::Modulo => "%",
        Binary::Power => "** or pow()",
    };
    Fault::new(format!("unsupported operand type(s) for {sign}: '{}' and '{}'", a.type_name(), b.type_name()))
}

fn repeated(value: &Value, count: i128, budget: &Budget) -> Res<Value> {
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    match value {
        Value::Str(text) => {
            budget.make(text.size().saturating_mul(count))?;
            let mut all = TextBuilder::default();
            if !text.is_empty() {
                (0..count).for_each(|_| all.push(text));
            }
            Ok(Value::Str(all.finish()))
        }
        Value::List(list) => {
            budget.elements(list.items.len().saturating_mul(count))?;
            let count = if list.items.is_empty() { 0 } else { count };
            Value::sequence(list.kind, (0..count).flat_map(|_| list.items.iter().cloned()).collect())
        }
        other => Ok(other.clone()),
    }
}

fn integers(operator: Binary, a: i128, b: i128) -> Res<Value> {
    let zero = || Fault::new("integer division or modulo by zero");
    let value = match operator {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide if b == 0 => return Err(Fault::new("division by zero")),
        Binary::Divide => return Ok(Value::Float(a as f64 / b as f64)),
        Binary::FloorDivide | Binary::Modulo if b == 0 => return Err(zero()),
        Binary::FloorDivide => a.checked_div(b).map(|quotient| quotient - i128::from(a % b != 0 && (a < 0) != (b < 0))),
        Binary::Modulo => a.checked_rem(b).map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }),
        Binary::Power if b < 0 => return floats(operator, a as f64, b as f64),
        Binary::Power => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    };
    value.map(Value::Int).ok_or_else(|| Fault::new("an integer is too large"))
}

fn floats(operator: Binary, a: f64, b: f64) -> Res<Value> {
    let needs_divisor = matches!(operator, Binary::Divide | Binary::FloorDivide | Binary::Modulo);
    if (needs_divisor && b == 0.0) || (operator == Binary::Power && a == 0.0 && b < 0.0) {
        return Err(Fault::new("float division by zero"));
    }
    Ok(Value::Float(match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::FloorDivide => (a / b).floor(),
        Binary::Modulo => a - b * (a / b).floor(),
        Binary::Power => a.powf(b),
    }))
}
