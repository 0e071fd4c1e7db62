//! Jinja2's filters and tests, and `tojson` of transformers.

use std::cmp::Ordering;
use std::rc::Rc;

use super::ast::Compare;
use super::budget::Budget;
use super::json::Json;
use super::text::{Text, TextBuilder};
use super::value::{Kind, Object, Value};
use super::{Fault, Res, format, methods, operators, print};

/// Arguments of a call.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Those without a name.
    pub positional: Vec<Value>,
    /// Those with one.
    pub named: Vec<(Rc<str>, Value)>,
}

impl Call {
    /// The arguments by the names of the parameters of `function`.
    ///
    /// # Errors
    /// More arguments than parameters, or one that no parameter is called.
    pub fn bind<const N: usize>(self, function: &str, names: [&str; N]) -> Res<[Option<Value>; N]> {
        if self.positional.len() > N {
            let got = self.positional.len();
            return Err(Fault::new(format!("{function}() takes at most {N} arguments ({got} given)")));
        }
        let mut bound = [const { None }; N];
        for (place, value) in bound.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            let Some(at) = names.iter().position(|known| **known == *name) else {
                return Err(Fault::new(format!("{function}() got an unexpected keyword argument '{name}'")));
            };
            bound[at] = Some(value);
        }
        Ok(bound)
    }

    /// No arguments at all.
    fn none(self, function: &str) -> Res<()> {
        self.bind::<0>(function, []).map(|_| ())
    }
}

fn text_of(value: Option<Value>, default: &str, budget: &Budget) -> Res<Text> {
    value.map_or_else(|| Ok(default.into()), |value| print::text(&value, budget))
}

fn bool_of(value: Option<&Value>, default: bool) -> bool {
    value.map_or(default, Value::is_true)
}

fn int_of(value: Option<&Value>, default: i128) -> Res<i128> {
    match value {
        None => Ok(default),
        Some(Value::Undefined(what)) => Err(Fault::new(&**what)),
        Some(value) => value
            .as_int()
            .ok_or_else(|| Fault::new(format!("'{}' object cannot be interpreted as an integer", value.type_name()))),
    }
}

fn usize_of(value: Option<&Value>, default: usize) -> Res<usize> {
    int_of(value, default as i128).map(|value| usize::try_from(value.max(0)).unwrap_or(usize::MAX))
}

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
            let found = operators::attribute(&value, &wanted.as_str().into(), budget)?;
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
            let bytes = float(&value, 0.0);
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
                Value::Str(text) => operators::item(&Value::Str(text.clone()), &Value::Int(-1), budget),
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
                let entries = call.named.into_iter().map(|(name, value)| (Value::template(&name), value));
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
                return Err(Fault::new("replace wants two strings"));
            };
            let arguments = [text(&old)?, text(&new)?].map(Value::Str).into_iter().chain(count);
            let call = Call { positional: arguments.collect(), named: Vec::new() };
            methods::call(&Value::Str(text(&value)?), "replace", call, budget)
        }
        "reverse" => {
            call.none(name)?;
            if let Value::Str(_) = value {
                return operators::slice(&value, [None, None, Some(Value::Int(-1))], budget);
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
                sum = operators::binary(super::ast::Binary::Add, &sum, &key.of(&item, budget)?, budget)?;
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
        let other = other.ok_or_else(|| Fault::new(format!("the test '{name}' wants a value to compare with")))?;
        return match (compared, name) {
            (Some(compare), _) => operators::compare(compare, value, &other, budget),
            (None, "sameas") => Ok(value.type_name() == other.type_name() && operators::equal(value, &other, budget)?),
            _ => Ok(!operators::binary(super::ast::Binary::Modulo, value, &other, budget)?.is_true()),
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

/// What is looked at of each item: itself, or an attribute of it.
struct Key {
    path: Vec<Value>,
    case_sensitive: bool,
    default: Option<Value>,
}

impl Key {
    /// `attribute`: a name, several with dots between, or an index.
    fn new(attribute: Option<Value>, case_sensitive: bool) -> Self {
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

    fn of(&self, item: &Value, budget: &Budget) -> Res<Value> {
        let mut value = item.clone();
        for part in &self.path {
            value = operators::item(&value, part, budget)?;
            if let (true, Some(default)) = (value.is_undefined(), &self.default) {
                value = default.clone();
            }
        }
        match value {
            Value::Str(text) if !self.case_sensitive => Ok(Value::Str(methods::cased(&text, "lower", budget)?)),
            value => Ok(value),
        }
    }

    /// Items with what they are sorted by. Equal ones stay in their order.
    fn sorted(&self, items: Vec<Value>, reverse: bool, budget: &Budget) -> Res<Vec<(Value, Value)>> {
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            keyed.push((self.of(&item, budget)?, item));
        }
        sort(keyed, reverse, budget)
    }
}

/// A merge sort: the library's may panic where values have no order, as NaN.
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

fn sliced(value: Value, call: Call, budget: &Budget) -> Res<Value> {
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

/// Each word begins with a capital; words begin behind white space, `-` and opening brackets.
fn title(text: &Text, budget: &Budget) -> Res<Value> {
    budget.characters(text)?;
    let mut out = TextBuilder::default();
    let mut begins = true;
    for (c, given) in text.chars() {
        if begins {
            c.to_uppercase().for_each(|c| out.push_char(c, given));
        } else {
            c.to_lowercase().for_each(|c| out.push_char(c, given));
        }
        begins = methods::is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    }
    Ok(Value::Str(out.finish()))
}

fn dictsort(value: Value, call: Call, budget: &Budget) -> Res<Value> {
    let [case_sensitive, by, reverse] = call.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let at = usize::from(by.as_ref().and_then(Value::as_str) == Some("value"));
    let key = Key::new(Some(Value::Int(at as i128)), bool_of(case_sensitive.as_ref(), false));
    if !matches!(value, Value::Map(_)) {
        return Err(Fault::new(format!("'{}' object has no attribute 'items'", value.type_name())));
    }
    let sorted = key.sorted(methods::pairs(&value, budget)?, bool_of(reverse.as_ref(), false), budget)?;
    Value::list(sorted.into_iter().map(|(_, pair)| pair).collect())
}

fn file_size(bytes: f64, binary: bool) -> String {
    let (base, units) = if binary {
        (1024.0, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
    } else {
        (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
    };
    if bytes == 1.0 {
        return "1 Byte".into();
    }
    if bytes < base {
        return format!("{} Bytes", bytes.trunc());
    }
    let mut size = bytes / base;
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format!("{size:.1} {}", units[unit])
}

fn float(value: &Value, default: f64) -> f64 {
    number_of(value).unwrap_or(default)
}

/// `float(value)` of a number or a string that spells one.
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Str(text) => {
            let text = text.as_str().trim_matches(methods::is_space);
            let is_number = text.chars().any(|c| c.is_ascii_digit()) || text.len() < 10;
            text.replace('_', "").parse().ok().filter(|_| is_number)
        }
        value => value.as_number(),
    }
}

/// `int(text, base)`.
fn integer(text: &str, base: u32) -> Option<i128> {
    let text = text.trim_matches(methods::is_space).replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefixes = [(16, "0x"), (8, "0o"), (2, "0b")];
    let prefixed = prefixes.iter().find(|(radix, prefix)| {
        (base == *radix || base == 0)
            && digits.len() > 2
            && digits.is_char_boundary(2)
            && digits[..2].eq_ignore_ascii_case(prefix)
    });
    let (base, digits) =
        prefixed.map_or((if base == 0 { 10 } else { base }, digits), |(radix, _)| (*radix, &digits[2..]));
    let is_signed = digits.starts_with(['+', '-']);
    if is_signed || !(2..=36).contains(&base) {
        None
    } else {
        i128::from_str_radix(&format!("{sign}{digits}"), base).ok()
    }
}

fn groupby(value: Value, call: Call, budget: &Budget) -> Res<Value> {
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

fn indent(text: &Text, call: Call, budget: &Budget) -> Res<Value> {
    let [width, first, blank] = call.bind("indent", ["width", "first", "blank"])?;
    let indent = match width {
        Some(Value::Str(indent)) => indent,
        width => {
            let width = usize_of(width.as_ref(), 4)?;
            budget.make(width)?;
            Text::template(&" ".repeat(width))
        }
    };
    let (first, blank) = (bool_of(first.as_ref(), false), bool_of(blank.as_ref(), false));
    let mut out = TextBuilder::default();
    if first {
        out.push(&indent);
    }
    let lines = methods::lines(text.as_str());
    budget.make(text.len().saturating_add(indent.len().saturating_mul(lines.len())))?;
    // Python adds a line break before it splits, so that one at the end counts.
    let ends = text.as_str().ends_with(methods::is_line_break) || text.is_empty();
    let last = ends.then_some((text.len(), text.len(), text.len()));
    for (i, (start, end, _)) in lines.into_iter().chain(last).enumerate() {
        if i > 0 {
            out.push_str("\n", false);
            if blank || end > start {
                out.push(&indent);
            }
        }
        out.push_slice(text, start..end);
    }
    Ok(Value::Str(out.finish()))
}

fn join(value: Value, call: Call, budget: &Budget) -> Res<Value> {
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

fn map(value: Value, mut call: Call, budget: &Budget) -> Res<Value> {
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

/// The elements of a value. `map`, `select` and their like take what is false, such as `None`, for empty.
fn some_elements(value: &Value, budget: &Budget) -> Res<Vec<Value>> {
    if value.is_true() { value.elements(budget) } else { Ok(Vec::new()) }
}

fn select(value: Value, mut call: Call, wanted: bool, by_attribute: bool, budget: &Budget) -> Res<Value> {
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

fn round(value: &Value, call: Call) -> Res<Value> {
    let [precision, method] = call.bind("round", ["precision", "method"])?;
    let precision = i32::try_from(int_of(precision.as_ref(), 0)?).unwrap_or_default().clamp(-300, 300);
    let number = match value {
        Value::Undefined(what) => return Err(Fault::new(&**what)),
        value => value
            .as_number()
            .ok_or_else(|| Fault::new(format!("type {} doesn't define __round__ method", value.type_name())))?,
    };
    let scale = 10f64.powi(precision);
    let rounded = match method.as_ref().and_then(Value::as_str).unwrap_or("common") {
        "ceil" => (number * scale).ceil() / scale,
        "floor" => (number * scale).floor() / scale,
        // Python rounds the decimal digits of the number, and halves to even.
        "common" if precision >= 0 => {
            format!("{number:.*}", usize::try_from(precision).unwrap_or_default()).parse().unwrap_or(number)
        }
        "common" => (number * scale).round_ties_even() / scale,
        _ => return Err(Fault::new("method must be common, ceil or floor")),
    };
    let is_whole = matches!(value, Value::Int(_) | Value::Bool(_)) && method.is_none();
    Ok(if is_whole { Value::Int(rounded as i128) } else { Value::Float(rounded) })
}

fn strip_tags(text: &Text, budget: &Budget) -> Res<Value> {
    budget.characters(text)?;
    let mut out = TextBuilder::default();
    let mut in_tag = false;
    let mut space = false;
    for (c, given) in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            _ if in_tag => {}
            c if methods::is_space(c) => space = true,
            c => {
                if space && out.len() > 0 {
                    out.push_str(" ", given);
                }
                space = false;
                out.push_char(c, given);
            }
        }
    }
    Ok(Value::Str(out.finish()))
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
            _ => return Err(Fault::new("separators are two strings")),
        },
    };
    let (ascii, sort_keys) = (bool_of(ascii.as_ref(), false), bool_of(sort_keys.as_ref(), false));
    Json { ascii, indent, separators, sort_keys, budget }.text(value).map(Value::Str)
}

fn truncate(text: &Text, call: Call, budget: &Budget) -> Res<Value> {
    let [length, kill_words, end, leeway] = call.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let length = usize_of(length.as_ref(), 255)?;
    let end = text_of(end, "...", budget)?;
    let leeway = usize_of(leeway.as_ref(), 5)?;
    budget.make(text.len())?;
    if text.as_str().chars().count() <= length.saturating_add(leeway) {
        return Ok(Value::Str(text.clone()));
    }
    let most = length.saturating_sub(end.as_str().chars().count());
    let mut cut = text.as_str().char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    if !bool_of(kill_words.as_ref(), false) {
        cut = text.as_str()[..cut].rfind(' ').unwrap_or(cut);
    }
    let mut out = TextBuilder::default();
    out.push_slice(text, 0..cut);
    out.push(&end);
    Ok(Value::Str(out.finish()))
}

fn urlencode(value: &Value, budget: &Budget) -> Res<Value> {
    let quote = |text: &Text, plus: bool| {
        budget.characters(text)?;
        Ok(text.map(|text| {
            let mut quoted = String::new();
            for byte in text.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                        quoted.push(char::from(byte))
                    }
                    b'/' if !plus => quoted.push('/'),
                    b' ' if plus => quoted.push('+'),
                    byte => quoted.push_str(&format!("%{byte:02X}")),
                }
            }
            quoted
        }))
    };
    let pairs = match value {
        Value::Map(_) => methods::pairs(value, budget)?,
        Value::List(_) => value.elements(budget)?,
        value => return quote(&print::text(value, budget)?, false).map(Value::Str),
    };
    let mut out = TextBuilder::default();
    for (i, pair) in pairs.iter().enumerate() {
        let [key, value] = [0, 1].map(|at| operators::item(pair, &Value::Int(at), budget));
        out.push_str(if i > 0 { "&" } else { "" }, false);
        out.push(&quote(&print::text(&key?, budget)?, true)?);
        out.push_str("=", false);
        out.push(&quote(&print::text(&value?, budget)?, true)?);
    }
    Ok(Value::Str(out.finish()))
}

/// Python's `textwrap.wrap` for words with single spaces between.
fn wordwrap(text: &Text, call: Call, budget: &Budget) -> Res<Value> {
    let names = ["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let [width, break_long, wrap, _] = call.bind("wordwrap", names)?;
    let width = usize_of(width.as_ref(), 79)?.max(1);
    let wrap = text_of(wrap, "\n", budget)?;
    let break_long = bool_of(break_long.as_ref(), true);
    budget.characters(text)?;
    budget.make(text.len().saturating_mul(1 + wrap.len()))?;
    let mut out = TextBuilder::default();
    for (i, (start, end, _)) in methods::lines(text.as_str()).into_iter().enumerate() {
        if i > 0 {
            out.push(&wrap);
        }
        let mut column = 0;
        for (word_start, word) in words(&text.as_str()[start..end]) {
            let mut at = start + word_start;
            let mut left = word.chars().count();
            if column > 0 && column + 1 + left > width && !(break_long && left > width && column + 1 < width) {
                out.push(&wrap);
                column = 0;
            } else if column > 0 {
                out.push_str(" ", false);
                column += 1;
            }
            while break_long && column + left > width {
                let taken: usize = text.as_str()[at..].chars().take(width - column).map(char::len_utf8).sum();
                out.push_slice(text, at..at + taken);
                out.push(&wrap);
                left -= width - column;
                at += taken;
                column = 0;
            }
            out.push_slice(text, at..start + word_start + word.len());
            column += left;
        }
    }
    Ok(Value::Str(out.finish()))
}

/// The words of a line, and where each begins.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = line.as_ptr() as usize;
    line.split_whitespace().map(move |word| (word.as_ptr() as usize - start, word))
}

fn xmlattr(value: &Value, call: Call, budget: &Budget) -> Res<Value> {
    let [space] = call.bind("xmlattr", ["autospace"])?;
    let mut out = TextBuilder::default();
    for pair in methods::pairs(value, budget)? {
        let [key, value] = [0, 1].map(|at| operators::item(&pair, &Value::Int(at), budget));
        let value = value?;
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        out.push_str(if out.len() > 0 || bool_of(space.as_ref(), true) { " " } else { "" }, false);
        print::push(&key?, &mut out, budget)?;
        out.push_str("=\"", false);
        print::push(&filter("escape", value, Call::default(), budget)?, &mut out, budget)?;
        out.push_str("\"", false);
    }
    Ok(Value::Str(out.finish()))
}
