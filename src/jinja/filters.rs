//! Jinja2's filters, and transformers' `tojson`.

mod lists;
mod numbers;
mod texts;

use std::cmp::Ordering;

use super::ast::Binary;
use super::budget::Budget;
use super::call::{Call, bool_of, int_of, text_of, usize_of};
use super::json::Json;
use super::text::TextBuilder;
use super::value::{Kind, Object, Value};
use super::{Fault, Res, access, format, methods, operators, print};

use lists::{Key, dictsort, groupby, join, map, select, sliced};
use numbers::{file_size, integer, number_of, round};
use texts::{indent, strip_tags, title, truncate, urlencode, wordwrap, xmlattr};

fn iterator(items: Vec<Value>) -> Res<Value> {
    Value::sequence(Kind::Iterator, items)
}

/// `value | name(call)`.
pub(super) fn filter(name: &str, value: Value, call: Call, budget: &Budget) -> Res<Value> {
    budget.spend(1)?;
    let text = |value: &Value| print::text(value, budget);
    match name {
        "abs" => {
            call.none(name)?;
            match (&value, value.as_int()) {
                (_, Some(value)) => Ok(Value::Int(value.saturating_abs())),
                (Value::Float(value), _) => Ok(Value::Float(value.abs())),
                (Value::Undefined(what), _) => Err(Fault::new(&**what)),
                (other, _) => Err(Fault::new(format!("bad operand type for abs(): '{}'", other.type_name()))),
            }
        }
        "attr" => {
            let [of] = call.bind(name, ["name"])?;
            let wanted = text_of(of, "", budget)?;
            let found = access::attribute(&value, &wanted.as_str().into(), budget)?;
            let is_item = matches!(&value, Value::Map(_)) && !matches!(found, Value::Object(Object::Method(_)));
            Ok(if is_item { Value::undefined(format!("no attribute '{}'", wanted.as_str())) } else { found })
        }
        "batch" => {
            let [size, fill] = call.bind(name, ["linecount", "fill_with"])?;
            let size = usize_of(size.as_ref(), 0)?.max(1);
            let mut batches = Vec::new();
            for chunk in value.elements(budget)?.chunks(size) {
                let mut items = chunk.to_vec();
                if let Some(fill) = fill.as_ref().filter(|fill| !matches!(fill, Value::None)) {
                    budget.elements(size)?;
                    items.resize(size, fill.clone());
                }
                batches.push(Value::list(items)?);
            }
            iterator(batches)
        }
        "slice" => sliced(value, call, budget),
        "capitalize" | "lower" | "upper" => {
            call.none(name)?;
            methods::cased(&text(&value)?, name, budget).map(Value::Str)
        }
        "title" => {
            call.none(name)?;
            title(&text(&value)?, budget)
        }
        "center" => {
            let [width] = call.bind(name, ["width"])?;
            let width = width.unwrap_or(Value::Int(80));
            let centered = Call { positional: vec![width], named: Vec::new() };
            methods::call(&Value::Str(text(&value)?), "center", centered, budget)
        }
        "length" | "count" => {
            call.none(name)?;
            Ok(Value::Int(value.length(budget)? as i128))
        }
        "default" | "d" => {
            let [default, boolean] = call.bind(name, ["default_value", "boolean"])?;
            let is_absent = value.is_undefined() || (bool_of(boolean.as_ref(), false) && !value.is_true());
            Ok(if is_absent { default.unwrap_or_else(|| Value::template("")) } else { value })
        }
        "dictsort" => dictsort(value, call, budget),
        "escape" | "e" | "forceescape" => {
            call.none(name)?;
            let value = text(&value)?;
            budget.make(6 * value.len())?;
            Ok(Value::Str(value.map(|text| {
                let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                text.replace('\'', "&#39;").replace('"', "&#34;")
            })))
        }
        "safe" | "string" => {
            call.none(name)?;
            Ok(Value::Str(text(&value)?))
        }
        "filesizeformat" => {
            let [binary] = call.bind(name, ["binary"])?;
            let bytes = number_of(&value).unwrap_or_default();
            Ok(Value::template(&file_size(bytes, bool_of(binary.as_ref(), false))))
        }
        "first" => {
            call.none(name)?;
            let items = value.items(budget)?;
            Ok(items.get(0, 0).unwrap_or_else(|| Value::undefined("No first item, sequence was empty.")))
        }
        "last" => {
            call.none(name)?;
            match &value {
                Value::Str(text) => access::item(&Value::Str(text.clone()), &Value::Int(-1), budget),
                value => {
                    let last = value.elements(budget)?.pop();
                    Ok(last.unwrap_or_else(|| Value::undefined("No last item, sequence was empty.")))
                }
            }
        }
        "float" => {
            let [default] = call.bind(name, ["default"])?;
            let default = default.unwrap_or(Value::Float(0.0));
            Ok(number_of(&value).map_or(default, Value::Float))
        }
        "int" => {
            let [default, base] = call.bind(name, ["default", "base"])?;
            let base = u32::try_from(int_of(base.as_ref(), 10)?).unwrap_or(10);
            let whole = match &value {
                Value::Str(text) => integer(text.as_str(), base),
                value => value.as_int(),
            };
            let whole =
                whole.or_else(|| number_of(&value).filter(|value| value.is_finite()).map(|value| value as i128));
            Ok(whole.map_or(default.unwrap_or(Value::Int(0)), Value::Int))
        }
        "format" => {
            let values = if call.named.is_empty() {
                Value::tuple(call.positional)?
            } else {
                let entries = call.named.into_iter().map(|(name, value)| (Value::keyword(&name), value));
                Value::map(entries.collect())?
            };
            format::percent(&text(&value)?, &values, budget).map(Value::Str)
        }
        "groupby" => groupby(value, call, budget),
        "indent" => indent(&text(&value)?, call, budget),
        "items" => {
            call.none(name)?;
            match &value {
                Value::Undefined(_) => iterator(Vec::new()),
                Value::Map(_) => iterator(methods::pairs(&value, budget)?),
                _ => Err(Fault::new("Can only get item pairs from a mapping.")),
            }
        }
        "join" => join(value, call, budget),
        "list" => {
            call.none(name)?;
            Value::list(value.elements(budget)?)
        }
        "map" => map(value, call, budget),
        "max" | "min" => {
            let [case_sensitive, attribute] = call.bind(name, ["case_sensitive", "attribute"])?;
            let key = Key::new(attribute, bool_of(case_sensitive.as_ref(), false));
            let mut best: Option<(Value, Value)> = None;
            for item in value.elements(budget)? {
                let rank = key.of(&item, budget)?;
                let better = match &best {
                    None => true,
                    Some((other, _)) => {
                        let order = operators::order(&rank, other, "<", budget)?;
                        order == Some(if name == "max" { Ordering::Greater } else { Ordering::Less })
                    }
                };
                if better {
                    best = Some((rank, item));
                }
            }
            let empty = || Value::undefined("No aggregated item, sequence was empty.");
            Ok(best.map_or_else(empty, |(_, item)| item))
        }
        "pprint" => {
            let mut out = TextBuilder::default();
            print::push_repr(&value, &mut out, budget)?;
            Ok(Value::Str(out.finish()))
        }
        "reject" | "select" => select(value, call, name == "select", false, budget),
        "rejectattr" | "selectattr" => select(value, call, name == "selectattr", true, budget),
        "replace" => {
            let [old, new, count] = call.bind(name, ["old", "new", "count"])?;
            let (Some(old), Some(new)) = (old, new) else {
                return Err(Fault::new("replace needs two strings"));
            };
            let arguments = [text(&old)?, text(&new)?].map(Value::Str).into_iter().chain(count);
            let call = Call { positional: arguments.collect(), named: Vec::new() };
            methods::call(&Value::Str(text(&value)?), "replace", call, budget)
        }
        "reverse" => {
            call.none(name)?;
            if let Value::Str(_) = value {
                return access::slice(&value, [None, None, Some(Value::Int(-1))], budget);
            }
            let mut items = value.elements(budget)?;
            items.reverse();
            iterator(items)
        }
        "round" => round(&value, call),
        "sort" => {
            let [reverse, case_sensitive, attribute] = call.bind(name, ["reverse", "case_sensitive", "attribute"])?;
            let key = Key::new(attribute, bool_of(case_sensitive.as_ref(), false));
            let sorted = key.sorted(value.elements(budget)?, bool_of(reverse.as_ref(), false), budget)?;
            Value::list(sorted.into_iter().map(|(_, item)| item).collect())
        }
        "striptags" => {
            call.none(name)?;
            strip_tags(&text(&value)?, budget)
        }
        "sum" => {
            let [attribute, start] = call.bind(name, ["attribute", "start"])?;
            let key = Key::new(attribute, true);
            let mut sum = start.unwrap_or(Value::Int(0));
            for item in value.elements(budget)? {
                sum = operators::binary(Binary::Add, &sum, &key.of(&item, budget)?, budget)?;
            }
            Ok(sum)
        }
        "tojson" => tojson(&value, call, budget),
        "trim" => {
            let [chars] = call.bind(name, ["chars"])?;
            let call = Call { positional: chars.into_iter().collect(), named: Vec::new() };
            methods::call(&Value::Str(text(&value)?), "strip", call, budget)
        }
        "truncate" => truncate(&text(&value)?, call, budget),
        "unique" => {
            let [case_sensitive, attribute] = call.bind(name, ["case_sensitive", "attribute"])?;
            let key = Key::new(attribute, bool_of(case_sensitive.as_ref(), false));
            let (mut seen, mut unique): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
            for item in value.elements(budget)? {
                let found = key.of(&item, budget)?;
                let mut known = false;
                for other in &seen {
                    known = known || operators::equal(other, &found, budget)?;
                }
                if !known {
                    seen.push(found);
                    unique.push(item);
                }
            }
            iterator(unique)
        }
        "urlencode" => urlencode(&value, budget),
        "wordcount" => {
            call.none(name)?;
            let text = text(&value)?;
            budget.read(text.len())?;
            let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
            let words = text.as_str().split(|c| !is_word(&c)).filter(|word| !word.is_empty());
            Ok(Value::Int(words.count() as i128))
        }
        "wordwrap" => wordwrap(&text(&value)?, call, budget),
        "xmlattr" => xmlattr(&value, call, budget),
        _ => Err(Fault::new(format!("No filter named '{name}'."))),
    }
}

/// `json.dumps(value, ensure_ascii, indent, separators, sort_keys)`.
fn tojson(value: &Value, call: Call, budget: &Budget) -> Res<Value> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ascii, indent, separators, sort_keys] = call.bind("tojson", names)?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Str(indent)) => Some(indent.as_str().to_owned()),
        Some(width) => {
            let width = usize_of(Some(&width), 0)?;
            budget.make(width)?;
            Some(" ".repeat(width))
        }
    };
    let separators = match separators {
        None | Some(Value::None) => (if indent.is_some() { "," } else { ", " }.into(), ": ".into()),
        Some(pair) => match pair.elements(budget)?.as_slice() {
            [Value::Str(item), Value::Str(key)] => (item.clone(), key.clone()),
            _ => return Err(Fault::new("separators must be two strings")),
        },
    };
    let (ascii, sort_keys) = (bool_of(ascii.as_ref(), false), bool_of(sort_keys.as_ref(), false));
    Json { ascii, indent, separators, sort_keys, budget }.text(value).map(Value::Str)
}
