//! Jinja2's tests: `value is name(…)`.

use super::ast::{Binary, Compare};
use super::budget::Budget;
use super::call::{Call, int_of};
use super::value::{Kind, Object, Value};
use super::{Fault, Res, operators, print};

/// `value is name(call)`.
pub(super) fn test(name: &str, value: &Value, call: Call, budget: &Budget) -> Res<bool> {
    budget.spend(1)?;
    let compared = match name {
        "eq" | "equalto" | "==" => Some(Compare::Equal),
        "ne" | "!=" => Some(Compare::NotEqual),
        "lt" | "lessthan" | "<" => Some(Compare::Less),
        "le" | "<=" => Some(Compare::LessEqual),
        "gt" | "greaterthan" | ">" => Some(Compare::Greater),
        "ge" | ">=" => Some(Compare::GreaterEqual),
        "in" => Some(Compare::In),
        _ => None,
    };
    if compared.is_some() || matches!(name, "divisibleby" | "sameas") {
        let [other] = call.bind(name, ["other"])?;
        let other = other.ok_or_else(|| Fault::new(format!("the test '{name}' needs a value to compare with")))?;
        return match (compared, name) {
            (Some(compare), _) => operators::compare(compare, value, &other, budget),
            (None, "sameas") => Ok(value.type_name() == other.type_name() && operators::equal(value, &other, budget)?),
            _ => Ok(!operators::binary(Binary::Modulo, value, &other, budget)?.is_true()),
        };
    }
    call.none(name)?;
    let parity = || int_of(Some(value), 0).map(|value| value % 2 == 0);
    let lower = |c: char| c.is_lowercase();
    let upper = |c: char| c.is_uppercase();
    Ok(match name {
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.as_number().is_some(),
        "string" => matches!(value, Value::Str(_)),
        "mapping" => matches!(value, Value::Map(_)),
        "sequence" => match value {
            Value::Undefined(_) | Value::Str(_) | Value::Map(_) => true,
            Value::List(list) => matches!(list.kind, Kind::List | Kind::Tuple | Kind::Group),
            _ => false,
        },
        "iterable" => value.items(budget).is_ok(),
        "callable" => matches!(value, Value::Object(object) if !matches!(object, Object::Namespace(_))),
        "odd" => !parity()?,
        "even" => parity()?,
        "escaped" => false,
        "lower" | "upper" => {
            let text = print::text(value, budget)?;
            let (wanted, other): (&dyn Fn(char) -> bool, &dyn Fn(char) -> bool) =
                if name == "lower" { (&lower, &upper) } else { (&upper, &lower) };
            text.as_str().chars().any(wanted) && !text.as_str().chars().any(other)
        }
        "filter" | "test" => return Err(Fault::new(format!("the test '{name}' is not supported"))),
        _ => return Err(Fault::new(format!("No test named '{name}'."))),
    })
}
