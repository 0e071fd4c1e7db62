//! Filters of lists and mappings.

use std::cmp::Ordering;

use super::{filter, iterator};
use crate::jinja::budget::Budget;
use crate::jinja::call::{Call, bool_of, text_of, usize_of};
use crate::jinja::conditions::test;
use crate::jinja::text::TextBuilder;
use crate::jinja::value::{Kind, Value};
use crate::jinja::{Fault, Res, access, methods, operators, print};

/// The key of an item: the item itself, or one of its attributes.
pub(super) struct Key {
    path: Vec<Value>,
    case_sensitive: bool,
    default: Option<Value>,
}

impl Key {
    /// `attribute`: a name, names joined by dots, or an index.
    pub(super) fn new(attribute: Option<Value>, case_sensitive: bool) -> Self {
        let path = match attribute {
            None | Some(Value::None) => Vec::new(),
            Some(Value::Str(path)) => path
                .as_str()
                .split('.')
                .map(|part| part.parse().map_or_else(|_| Value::template(part), Value::Int))
                .collect(),
            Some(index) => vec![index],
        };
        Self { path, case_sensitive, default: None }
    }

    pub(super) fn of(&self, item: &Value, budget: &Budget) -> Res<Value> {
        let mut value = item.clone();
        for part in &self.path {
            value = access::item(&value, part, budget)?;
            if let (true, Some(default)) = (value.is_undefined(), &self.default) {
                value = default.clone();
            }
        }
        match value {
            Value::Str(text) if !self.case_sensitive => Ok(Value::Str(methods::cased(&text, "lower", budget)?)),
            value => Ok(value),
        }
    }

    /// The items with their keys, sorted stably.
    pub(super) fn sorted(&self, items: Vec<Value>, reverse: bool, budget: &Budget) -> Res<Vec<(Value, Value)>> {
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            keyed.push((self.of(&item, budget)?, item));
        }
        sort(keyed, reverse, budget)
    }
}

/// A merge sort. The standard library's may panic on values without an order, such as NaN.
fn sort(mut keyed: Vec<(Value, Value)>, reverse: bool, budget: &Budget) -> Res<Vec<(Value, Value)>> {
    if keyed.len() < 2 {
        return Ok(keyed);
    }
    let second = sort(keyed.split_off(keyed.len() / 2), reverse, budget)?;
    let first = sort(keyed, reverse, budget)?;
    budget.elements(2 * (first.len() + second.len()))?;
    let mut sorted = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    while let (Some((a, _)), Some((b, _))) = (first.peek(), second.peek()) {
        let late = if reverse { Ordering::Less } else { Ordering::Greater };
        let from = if operators::order(a, b, "<", budget)? == Some(late) { &mut second } else { &mut first };
        sorted.extend(from.next());
    }
    sorted.extend(first.chain(second));
    Ok(sorted)
}

pub(super) fn sliced(value: Value, call: Call, budget: &Budget) -> Res<Value> {
    let [slices, fill] = call.bind("slice", ["slices", "fill_with"])?;
    let items = value.elements(budget)?;
    let slices = usize_of(slices.as_ref(), 1)?.max(1);
    budget.elements(slices)?;
    let (each, longer) = (items.len() / slices, items.len() % slices);
    let mut made = Vec::new();
    let mut at = 0;
    for i in 0..slices {
        let end = at + each + usize::from(i < longer);
        let mut part = items[at..end].to_vec();
        if i >= longer
            && let Some(fill) = fill.as_ref().filter(|fill| !matches!(fill, Value::None))
        {
            part.push(fill.clone());
        }
        made.push(Value::list(part)?);
        at = end;
    }
    iterator(made)
}

pub(super) fn dictsort(value: Value, call: Call, budget: &Budget) -> Res<Value> {
    let [case_sensitive, by, reverse] = call.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let at = usize::from(by.as_ref().and_then(Value::as_str) == Some("value"));
    let key = Key::new(Some(Value::Int(at as i128)), bool_of(case_sensitive.as_ref(), false));
    if !matches!(value, Value::Map(_)) {
        return Err(Fault::new(format!("'{}' object has no attribute 'items'", value.type_name())));
    }
    let sorted = key.sorted(methods::pairs(&value, budget)?, bool_of(reverse.as_ref(), false), budget)?;
    Value::list(sorted.into_iter().map(|(_, pair)| pair).collect())
}

pub(super) fn groupby(value: Value, call: Call, budget: &Budget) -> Res<Value> {
    let [attribute, default, case_sensitive] = call.bind("groupby", ["attribute", "default", "case_sensitive"])?;
    let case_sensitive = bool_of(case_sensitive.as_ref(), false);
    let mut key = Key::new(attribute, case_sensitive);
    key.default = default;
    let whole = Key { path: key.path.clone(), case_sensitive: true, default: key.default.clone() };
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (rank, item) in key.sorted(value.elements(budget)?, false, budget)? {
        match groups.last_mut() {
            Some((last, _, items)) if operators::equal(last, &rank, budget)? => items.push(item),
            _ => groups.push((rank, whole.of(&item, budget)?, vec![item])),
        }
    }
    let mut pairs = Vec::with_capacity(groups.len());
    for (_, key, items) in groups {
        pairs.push(Value::sequence(Kind::Group, vec![key, Value::list(items)?])?);
    }
    Value::list(pairs)
}

pub(super) fn join(value: Value, call: Call, budget: &Budget) -> Res<Value> {
    let [separator, attribute] = call.bind("join", ["d", "attribute"])?;
    let separator = text_of(separator, "", budget)?;
    let key = Key::new(attribute, true);
    let mut out = TextBuilder::default();
    for (i, item) in value.elements(budget)?.iter().enumerate() {
        if i > 0 {
            budget.make(separator.len())?;
            out.push(&separator);
        }
        print::push(&key.of(item, budget)?, &mut out, budget)?;
    }
    Ok(Value::Str(out.finish()))
}

pub(super) fn map(value: Value, mut call: Call, budget: &Budget) -> Res<Value> {
    let attribute = call.named.iter().find(|(name, _)| &**name == "attribute").cloned();
    if let Some((_, attribute)) = attribute.filter(|_| call.positional.is_empty()) {
        let default = call.named.iter().find(|(name, _)| &**name == "default").map(|(_, value)| value.clone());
        let mut key = Key::new(Some(attribute), true);
        key.default = default;
        let items = some_elements(&value, budget)?;
        return iterator(items.iter().map(|item| key.of(item, budget)).collect::<Res<_>>()?);
    }
    if call.positional.is_empty() {
        return Err(Fault::new("map requires a filter argument"));
    }
    let name = print::text(&call.positional.remove(0), budget)?;
    let items = some_elements(&value, budget)?;
    iterator(items.into_iter().map(|item| filter(name.as_str(), item, call.clone(), budget)).collect::<Res<_>>()?)
}

/// The elements of a value. `map`, `select` and similar filters treat false values, such as `None`,
/// as empty.
fn some_elements(value: &Value, budget: &Budget) -> Res<Vec<Value>> {
    if value.is_true() { value.elements(budget) } else { Ok(Vec::new()) }
}

pub(super) fn select(value: Value, mut call: Call, wanted: bool, by_attribute: bool, budget: &Budget) -> Res<Value> {
    let key = if by_attribute {
        if call.positional.is_empty() {
            return Err(Fault::new("Missing parameter for attribute name"));
        }
        Key::new(Some(call.positional.remove(0)), true)
    } else {
        Key::new(None, true)
    };
    let name = if call.positional.is_empty() { None } else { Some(print::text(&call.positional.remove(0), budget)?) };
    let mut selected = Vec::new();
    for item in some_elements(&value, budget)? {
        let of = key.of(&item, budget)?;
        let passes = match &name {
            Some(name) => test(name.as_str(), &of, call.clone(), budget)?,
            None => of.is_true(),
        };
        if passes == wanted {
            selected.push(item);
        }
    }
    iterator(selected)
}
