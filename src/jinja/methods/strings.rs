//! Methods of strings.

use crate::jinja::budget::Budget;
use crate::jinja::call::Call;
use crate::jinja::text::{Text, TextBuilder};
use crate::jinja::value::{Kind, Value};
use crate::jinja::{Fault, Res, format, print};

const STRING: [&str; 43] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
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
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
];
const MORE_STRING: [&str; 4] = ["maketrans", "translate", "upper", "zfill"];

/// Whether Python's strings have a method of this name.
pub(super) fn has(name: &str) -> bool {
    STRING.contains(&name) || MORE_STRING.contains(&name)
}

/// The part of `length` places that a slice from `start` to `stop` selects.
pub(super) fn bounds(length: usize, start: Option<&Value>, stop: Option<&Value>) -> Res<std::ops::Range<usize>> {
    let place = |bound: Option<&Value>, default: usize| -> Res<usize> {
        match bound {
            None | Some(Value::None) => Ok(default),
            Some(value) => {
                let at = value.as_int().ok_or_else(|| Fault::new("slice indices must be integers"))?;
                let at = if at < 0 { at.saturating_add(length as i128) } else { at };
                Ok(usize::try_from(at.clamp(0, length as i128)).unwrap_or_default())
            }
        }
    };
    Ok(place(start, 0)?..place(stop, length)?)
}

/// `str.isspace` for one character.
pub(in crate::jinja) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Whether `splitlines` splits at `c`.
pub(in crate::jinja) fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Start and end of each line, without and with its line break, as in `splitlines`.
pub(in crate::jinja) fn lines(text: &str) -> Vec<(usize, usize, usize)> {
    let mut lines = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = text[start..].find(is_line_break).map_or(text.len(), |at| start + at);
        let width = match &text[end..] {
            rest if rest.starts_with("\r\n") => 2,
            rest => rest.chars().next().map_or(0, char::len_utf8),
        };
        lines.push((start, end, end + width));
        start = end + width;
    }
    lines
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

pub(super) fn call(text: &Text, name: &str, call: Call, budget: &Budget) -> Res<Value> {
    let all = text.as_str();
    budget.read(text.len())?;
    let is = |test: fn(char) -> bool| Ok(Value::Bool(!all.is_empty() && all.chars().all(test)));
    let part = |range: std::ops::Range<usize>| {
        budget.make(range.len() * text.size() / text.len().max(1))?;
        Ok::<_, Box<Fault>>(Value::Str(text.slice(range)))
    };
    match name {
        "lower" | "casefold" | "upper" | "capitalize" | "title" | "swapcase" => {
            call.bind::<0>(name, [])?;
            cased(text, if name == "casefold" { "lower" } else { name }, budget).map(Value::Str)
        }
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = call.bind(name, ["chars"])?;
            let chars = opt_string(chars, name)?;
            if let Some(chars) = &chars {
                // searches all of `chars` for each character
                budget.read(text.len().saturating_mul(chars.len()))?;
            }
            let stripped = |c: char| chars.as_ref().map_or_else(|| is_space(c), |chars| chars.as_str().contains(c));
            let end = if name == "lstrip" { all } else { all.trim_end_matches(stripped) }.len();
            let inner = if name == "rstrip" { &all[..end] } else { all[..end].trim_start_matches(stripped) };
            part(end - inner.len()..end)
        }
        "split" | "rsplit" => {
            let [separator, most] = call.bind(name, ["sep", "maxsplit"])?;
            split(text, opt_string(separator, name)?.as_ref(), most_of(most.as_ref())?, name == "rsplit", budget)
        }
        "splitlines" => {
            let [keep] = call.bind(name, ["keepends"])?;
            let keep = keep.is_some_and(|keep| keep.is_true());
            let lines = lines(all);
            budget.elements(2 * lines.len())?;
            budget.make(text.len())?;
            let line = |(start, end, next)| Value::Str(text.slice(start..if keep { next } else { end }));
            Value::list(lines.into_iter().map(line).collect())
        }
        "partition" | "rpartition" => {
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
            Value::tuple(vec![part(0..first)?, part(first..second)?, part(second..all.len())?])
        }
        "removeprefix" | "removesuffix" => {
            let [affix] = call.bind(name, ["affix"])?;
            let affix = string_of(affix, name)?;
            match name {
                "removeprefix" if all.starts_with(affix.as_str()) => part(affix.len()..all.len()),
                "removesuffix" if all.ends_with(affix.as_str()) => part(0..all.len() - affix.len()),
                _ => Ok(Value::Str(text.clone())),
            }
        }
        "startswith" | "endswith" => {
            let [affix, start, stop] = call.bind(name, ["prefix", "start", "end"])?;
            let affixes = strings(&affix.unwrap_or(Value::None), name)?;
            let inner = window(text, start.as_ref(), stop.as_ref())?;
            let has = |affix: &Text| match name {
                "startswith" => inner.1.starts_with(affix.as_str()),
                _ => inner.1.ends_with(affix.as_str()),
            };
            Ok(Value::Bool(affixes.iter().any(has)))
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let [part, start, stop] = call.bind(name, ["sub", "start", "end"])?;
            let part = string_of(part, name)?;
            budget.read(8 * part.len())?;
            let (before, inner) = window(text, start.as_ref(), stop.as_ref())?;
            if name == "count" {
                return Ok(Value::Int(matches(inner, part.as_str(), usize::MAX, budget)? as i128));
            }
            let found = if name.starts_with('r') { inner.rfind(part.as_str()) } else { inner.find(part.as_str()) };
            match found {
                Some(at) => Ok(Value::Int((before + inner[..at].chars().count()) as i128)),
                None if name.ends_with("find") => Ok(Value::Int(-1)),
                None => Err(Fault::new("substring not found")),
            }
        }
        "replace" => {
            let [old, new, most] = call.bind(name, ["old", "new", "count"])?;
            let most = most.filter(|most| !matches!(most, Value::None));
            replace(text, &string_of(old, name)?, &string_of(new, name)?, most_of(most.as_ref())?, budget)
        }
        "join" => {
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
        "center" | "ljust" | "rjust" | "zfill" => {
            let [width, fill] = call.bind(name, ["width", "fillchar"])?;
            pad(text, name, width.as_ref(), opt_string(fill, name)?, budget)
        }
        "expandtabs" => {
            let [size] = call.bind(name, ["tabsize"])?;
            let size = usize::try_from(size.and_then(|size| size.as_int()).unwrap_or(8)).unwrap_or_default();
            budget.characters(text)?;
            budget.make(text.len().saturating_add(all.matches('\t').count().saturating_mul(size)))?;
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
        "format" => format::braces(text, &call, budget).map(Value::Str),
        "isalpha" => is(char::is_alphabetic),
        "isalnum" => is(char::is_alphanumeric),
        "isdigit" | "isdecimal" => is(|c| c.is_ascii_digit() || is_other_decimal(c)),
        "isnumeric" => is(char::is_numeric),
        "isspace" => is(is_space),
        "isascii" => Ok(Value::Bool(all.is_ascii())),
        "isprintable" => Ok(Value::Bool(all.chars().all(print::is_printable))),
        "isidentifier" => {
            let begins = all.chars().next().is_some_and(|c| c == '_' || c.is_alphabetic());
            Ok(Value::Bool(begins && all.chars().all(|c| c == '_' || c.is_alphanumeric())))
        }
        "islower" => Ok(Value::Bool(all.chars().any(char::is_lowercase) && !all.chars().any(char::is_uppercase))),
        "isupper" => Ok(Value::Bool(all.chars().any(char::is_uppercase) && !all.chars().any(char::is_lowercase))),
        "istitle" => {
            let is_cased = all.chars().any(|c| c.is_lowercase() || c.is_uppercase());
            Ok(Value::Bool(is_cased && cased(text, "title", budget)?.as_str() == all))
        }
        _ => Err(Fault::new(format!("the method '{name}' of strings is not supported"))),
    }
}

/// Digits outside ASCII.
fn is_other_decimal(c: char) -> bool {
    !c.is_ascii()
        && c.is_numeric()
        && !matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{bc}'..='\u{be}' | '\u{2150}'..='\u{218b}')
}

/// The part of a text between two positions counted in characters, and the number of characters
/// before it.
fn window<'t>(text: &'t Text, start: Option<&Value>, stop: Option<&Value>) -> Res<(usize, &'t str)> {
    let all = text.as_str();
    if start.is_none() && stop.is_none() {
        return Ok((0, all));
    }
    let range = bounds(all.chars().count(), start, stop)?;
    let byte = |place: usize| all.char_indices().nth(place).map_or(all.len(), |(at, _)| at);
    Ok((range.start, all.get(byte(range.start)..byte(range.end)).unwrap_or_default()))
}

fn split(text: &Text, separator: Option<&Text>, most: usize, from_end: bool, budget: &Budget) -> Res<Value> {
    let all = text.as_str();
    budget.copy(text)?;
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    match separator.map(Text::as_str) {
        Some("") => return Err(Fault::new("empty separator")),
        Some(separator) if from_end => {
            let mut end = all.len();
            for (at, _) in all.rmatch_indices(separator).take(most) {
                ranges.push((at + separator.len(), end));
                end = at;
            }
            ranges.push((0, end));
            ranges.reverse();
        }
        Some(separator) => {
            let mut start = 0;
            for (at, _) in all.match_indices(separator).take(most) {
                ranges.push((start, at));
                start = at + separator.len();
            }
            ranges.push((start, all.len()));
        }
        None if from_end => {
            let mut rest = all.trim_end_matches(is_space);
            while !rest.is_empty() {
                let start = if ranges.len() < most { rest.rfind(is_space) } else { None };
                let start = start.map_or(0, |at| at + rest[at..].chars().next().map_or(0, char::len_utf8));
                ranges.push((start, rest.len()));
                rest = rest[..start].trim_end_matches(is_space);
            }
            // The rest after the last split keeps the space before it, but not at its beginning.
            ranges.reverse();
        }
        None => {
            let mut start = all.len() - all.trim_start_matches(is_space).len();
            while start < all.len() {
                let end = if ranges.len() < most { all[start..].find(is_space) } else { None };
                let end = end.map_or(all.len(), |at| start + at);
                ranges.push((start, end));
                start = all.len() - all[end..].trim_start_matches(is_space).len();
            }
        }
    }
    budget.elements(2 * ranges.len())?;
    Value::list(ranges.into_iter().map(|(start, end)| Value::Str(text.slice(start..end))).collect())
}

fn replace(text: &Text, old: &Text, new: &Text, most: usize, budget: &Budget) -> Res<Value> {
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
    Ok(Value::Str(out.finish()))
}

fn pad(text: &Text, name: &str, width: Option<&Value>, fill: Option<Text>, budget: &Budget) -> Res<Value> {
    let width = width.and_then(Value::as_int).ok_or_else(|| Fault::new(format!("{name} needs a width")))?;
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
