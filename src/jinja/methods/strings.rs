//! Methods of strings.

use std::ops::Range;

use crate::jinja::budget::Budget;
use crate::jinja::call::Call;
use crate::jinja::text::{Text, TextBuilder};
use crate::jinja::value::{Kind, Value};
use crate::jinja::{Fault, Res, format, print};

use super::cuts::{is_space, lines, split_ranges, window};

/// A method called by one of its names.
type Method = fn(&Text, &str, Call, &Budget) -> Res<Value>;

/// All methods of Python's strings.
const METHODS: [(&[&str], Method); 16] = [
    (&["lower", "casefold", "upper", "capitalize", "title", "swapcase"], change_case),
    (&["strip", "lstrip", "rstrip"], strip),
    (&["split", "rsplit"], split),
    (&["splitlines"], splitlines),
    (&["partition", "rpartition"], partition),
    (&["removeprefix", "removesuffix"], remove_affix),
    (&["startswith", "endswith"], has_affix),
    (&["find", "rfind", "index", "rindex"], find),
    (&["count"], count),
    (&["replace"], replace),
    (&["join"], join),
    (&["center", "ljust", "rjust", "zfill"], pad),
    (&["expandtabs"], expandtabs),
    (&["format"], |text, _, call, budget| format::braces(text, &call, budget).map(Value::Str)),
    (
        &[
            "isalnum",
            "isalpha",
            "isascii",
            "isdecimal",
            "isdigit",
            "isidentifier",
            "islower",
            "isnumeric",
            "isprintable",
            "isspace",
            "istitle",
            "isupper",
        ],
        is,
    ),
    (&["encode", "format_map", "maketrans", "translate"], |_, name, _, _| {
        Err(Fault::new(format!("the method '{name}' of strings is not supported")))
    }),
];

fn method(name: &str) -> Option<Method> {
    METHODS.iter().find(|(names, _)| names.contains(&name)).map(|(_, method)| *method)
}

/// Whether Python's strings have a method of this name.
pub(super) fn has(name: &str) -> bool {
    method(name).is_some()
}

pub(super) fn call(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    budget.read(text.len())?;
    let method = method(name).ok_or_else(|| Fault::new(format!("'str' object has no method '{name}'")))?;
    method(text, name, call, budget)
}

fn part(text: &Text, range: Range<usize>, budget: &Budget) -> Res<Value> {
    budget.make(range.len() * text.size() / text.len().max(1))?;
    Ok(Value::Str(text.slice(range)))
}

fn change_case(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    call.none(name)?;
    cased(text, if name == "casefold" { "lower" } else { name }, budget).map(Value::Str)
}

fn strip(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let all = text.as_str();
    let [chars] = call.bind(name, ["chars"])?;
    let chars = opt_string(chars, name)?;
    if let Some(chars) = &chars {
        // searches all of `chars` for each character
        budget.read(text.len().saturating_mul(chars.len()))?;
    }
    let stripped = |c: char| chars.as_ref().map_or_else(|| is_space(c), |chars| chars.as_str().contains(c));
    let end = if name == "lstrip" { all } else { all.trim_end_matches(stripped) }.len();
    let inner = if name == "rstrip" { &all[..end] } else { all[..end].trim_start_matches(stripped) };
    part(text, end - inner.len()..end, budget)
}

fn split(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let [separator, most] = call.bind(name, ["sep", "maxsplit"])?;
    let (separator, most) = (opt_string(separator, name)?, most_of(most.as_ref())?);
    budget.copy(text)?;
    let separator = separator.as_ref().map(Text::as_str);
    let ranges = split_ranges(text.as_str(), separator, most, name == "rsplit")?;
    budget.elements(2 * ranges.len())?;
    Value::list(ranges.into_iter().map(|(start, end)| Value::Str(text.slice(start..end))).collect())
}

fn splitlines(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let [keep] = call.bind(name, ["keepends"])?;
    let keep = keep.is_some_and(|keep| keep.is_true());
    let lines = lines(text.as_str());
    budget.elements(2 * lines.len())?;
    budget.make(text.len())?;
    let line = |(start, end, next)| Value::Str(text.slice(start..if keep { next } else { end }));
    Value::list(lines.into_iter().map(line).collect())
}

fn partition(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let all = text.as_str();
    let [separator] = call.bind(name, ["sep"])?;
    let separator = string_of(separator, name)?;
    if separator.is_empty() {
        return Err(Fault::new("empty separator"));
    }
    let from_end = name == "rpartition";
    let found = if from_end { all.rfind(separator.as_str()) } else { all.find(separator.as_str()) };
    let (first, second) = match found {
        Some(at) => (at, at + separator.len()),
        None if from_end => (0, 0),
        None => (all.len(), all.len()),
    };
    let part = |range| part(text, range, budget);
    Value::tuple(vec![part(0..first)?, part(first..second)?, part(second..all.len())?])
}

fn remove_affix(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let all = text.as_str();
    let [affix] = call.bind(name, ["affix"])?;
    let affix = string_of(affix, name)?;
    match name {
        "removeprefix" if all.starts_with(affix.as_str()) => part(text, affix.len()..all.len(), budget),
        "removesuffix" if all.ends_with(affix.as_str()) => part(text, 0..all.len() - affix.len(), budget),
        _ => Ok(Value::Str(text.clone())),
    }
}

fn has_affix(text: &Text, name: &str, call: Call, _: &Budget) -> Res<Value> {
    let [affix, start, stop] = call.bind(name, ["prefix", "start", "end"])?;
    let affixes = strings(&affix.unwrap_or(Value::None), name)?;
    let (_, inner) = window(text, start.as_ref(), stop.as_ref())?;
    let has = |affix: &Text| match name {
        "startswith" => inner.starts_with(affix.as_str()),
        _ => inner.ends_with(affix.as_str()),
    };
    Ok(Value::Bool(affixes.iter().any(has)))
}

fn find(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let [part, start, stop] = call.bind(name, ["sub", "start", "end"])?;
    let part = string_of(part, name)?;
    budget.read(8 * part.len())?;
    let (before, inner) = window(text, start.as_ref(), stop.as_ref())?;
    let found = if name.starts_with('r') { inner.rfind(part.as_str()) } else { inner.find(part.as_str()) };
    match found {
        Some(at) => Ok(Value::Int((before + inner[..at].chars().count()) as i128)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => Err(Fault::new("substring not found")),
    }
}

fn count(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let [part, start, stop] = call.bind(name, ["sub", "start", "end"])?;
    let part = string_of(part, name)?;
    budget.read(8 * part.len())?;
    let (_, inner) = window(text, start.as_ref(), stop.as_ref())?;
    Ok(Value::Int(matches(inner, part.as_str(), usize::MAX, budget)? as i128))
}

fn replace(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let [old, new, most] = call.bind(name, ["old", "new", "count"])?;
    let (old, new) = (string_of(old, name)?, string_of(new, name)?);
    let most = most_of(most.filter(|most| !matches!(most, Value::None)).as_ref())?;
    replaced(text, &old, &new, most, budget).map(Value::Str)
}

fn join(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let [items] = call.bind(name, ["iterable"])?;
    let mut out = TextBuilder::default();
    for (i, item) in items.unwrap_or(Value::None).elements(budget)?.iter().enumerate() {
        let Value::Str(item) = item else {
            let found = item.type_name();
            return Err(Fault::new(format!("sequence item {i}: expected str instance, {found} found")));
        };
        budget.copy(text)?;
        budget.copy(item)?;
        if i > 0 {
            out.push(text);
        }
        out.push(item);
    }
    Ok(Value::Str(out.finish()))
}

fn pad(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let [width, fill] = call.bind(name, ["width", "fillchar"])?;
    let fill = opt_string(fill, name)?;
    let width = width.and_then(|width| width.as_int()).ok_or_else(|| Fault::new(format!("{name} needs a width")))?;
    let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
    budget.make(text.len().max(width.saturating_mul(4)))?;
    let missing = width.saturating_sub(text.as_str().chars().count());
    let fill = fill.unwrap_or_else(|| if name == "zfill" { "0" } else { " " }.into());
    if fill.as_str().chars().count() != 1 {
        return Err(Fault::new("The fill character must be exactly one character long"));
    }
    let before = match name {
        "ljust" => 0,
        // CPython puts the extra fill character left if the width is odd.
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let sign = usize::from(name == "zfill" && text.as_str().starts_with(['+', '-']));
    let mut out = TextBuilder::default();
    out.push_slice(text, 0..sign);
    (0..before).for_each(|_| out.push(&fill));
    out.push_slice(text, sign..text.len());
    (before..missing).for_each(|_| out.push(&fill));
    Ok(Value::Str(out.finish()))
}

fn expandtabs(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let [size] = call.bind(name, ["tabsize"])?;
    let size = usize::try_from(size.and_then(|size| size.as_int()).unwrap_or(8)).unwrap_or_default();
    budget.characters(text)?;
    budget.make(text.len().saturating_add(text.as_str().matches('\t').count().saturating_mul(size)))?;
    let (mut out, mut column) = (TextBuilder::default(), 0);
    for (c, given) in text.chars() {
        match c {
            '\t' if size == 0 => {}
            '\t' => {
                let width = size - column % size;
                out.push_str(&" ".repeat(width), given);
                column += width;
            }
            c => {
                out.push_char(c, given);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(Value::Str(out.finish()))
}

fn is(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    call.none(name)?;
    let all = text.as_str();
    let every = |test: fn(char) -> bool| all.chars().all(test);
    let any = |test: fn(char) -> bool| all.chars().any(test);
    let is = match name {
        "isascii" => all.is_ascii(),
        "isprintable" => every(print::is_printable),
        "islower" => any(char::is_lowercase) && !any(char::is_uppercase),
        "isupper" => any(char::is_uppercase) && !any(char::is_lowercase),
        "istitle" => any(|c| c.is_lowercase() || c.is_uppercase()) && cased(text, "title", budget)?.as_str() == all,
        _ if all.is_empty() => false,
        "isalpha" => every(char::is_alphabetic),
        "isalnum" => every(char::is_alphanumeric),
        "isdigit" | "isdecimal" => every(|c| c.is_ascii_digit() || is_other_decimal(c)),
        "isnumeric" => every(char::is_numeric),
        "isspace" => every(is_space),
        // isidentifier
        _ => every(|c| c == '_' || c.is_alphanumeric()) && all.starts_with(|c: char| c == '_' || c.is_alphabetic()),
    };
    Ok(Value::Bool(is))
}

/// `lower`, `upper`, `capitalize`, `title` or `swapcase`.
pub(in crate::jinja) fn cased(text: &Text, how: &str, budget: &Budget) -> Res<Text> {
    budget.make(2 * text.size())?;
    match how {
        "lower" => return Ok(text.map(str::to_lowercase)),
        "upper" => return Ok(text.map(str::to_uppercase)),
        _ => budget.characters(text)?,
    }
    let mut out = TextBuilder::default();
    let mut previous: Option<char> = None;
    for (c, given) in text.chars() {
        let raises = match how {
            "capitalize" => previous.is_none(),
            "title" => !previous.is_some_and(|c| c.is_lowercase() || c.is_uppercase()),
            _ => c.is_lowercase(),
        };
        if raises {
            c.to_uppercase().for_each(|c| out.push_char(c, given));
        } else {
            c.to_lowercase().for_each(|c| out.push_char(c, given));
        }
        previous = Some(c);
    }
    Ok(out.finish())
}

fn strings(value: &Value, function: &str) -> Res<Vec<Text>> {
    let wrong = |value: &Value| {
        let what = "first arg must be str or a tuple of str, not";
        Fault::new(format!("{function} {what} {}", value.type_name()))
    };
    match value {
        Value::Str(text) => Ok(vec![text.clone()]),
        Value::List(list) if list.kind == Kind::Tuple => {
            let text = |item: &Value| match item {
                Value::Str(text) => Ok(text.clone()),
                other => Err(wrong(other)),
            };
            list.items.iter().map(text).collect()
        }
        Value::Undefined(what) => Err(Fault::new(&**what)),
        other => Err(wrong(other)),
    }
}

/// Counts `part` in `text`, up to `most`. Each occurrence costs one step.
fn matches(text: &str, part: &str, most: usize, budget: &Budget) -> Res<usize> {
    let count = text.matches(part).take(most).count();
    budget.spend(count as u64)?;
    Ok(count)
}

/// A required string argument.
fn string_of(value: Option<Value>, function: &str) -> Res<Text> {
    match value {
        Some(Value::Str(text)) => Ok(text),
        Some(Value::Undefined(what)) => Err(Fault::new(&*what)),
        Some(other) => Err(Fault::new(format!("{function}: must be str, not {}", other.type_name()))),
        None => Err(Fault::new(format!("{function} needs one more argument"))),
    }
}

/// An optional string argument, absent or `None`.
fn opt_string(value: Option<Value>, function: &str) -> Res<Option<Text>> {
    match value {
        None | Some(Value::None) => Ok(None),
        given => string_of(given, function).map(Some),
    }
}

/// A count; a negative one or none means no limit.
fn most_of(value: Option<&Value>) -> Res<usize> {
    match value {
        None => Ok(usize::MAX),
        Some(value) => {
            let most = value.as_int().ok_or_else(|| Fault::new("an integer is required"))?;
            Ok(usize::try_from(most).unwrap_or(usize::MAX))
        }
    }
}

/// Digits outside ASCII.
fn is_other_decimal(c: char) -> bool {
    !c.is_ascii()
        && c.is_numeric()
        && !matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{bc}'..='\u{be}' | '\u{2150}'..='\u{218b}')
}

fn replaced(text: &Text, old: &Text, new: &Text, most: usize, budget: &Budget) -> Res<Text> {
    let all = text.as_str();
    let count = matches(all, old.as_str(), most, budget)?;
    budget.make(text.size().saturating_add(count.saturating_mul(new.size())))?;
    let (mut out, mut done) = (TextBuilder::default(), 0);
    for (at, _) in all.match_indices(old.as_str()).take(most) {
        out.push_slice(text, done..at);
        out.push(new);
        done = at + old.len();
    }
    out.push_slice(text, done..text.len());
    Ok(out.finish())
}
