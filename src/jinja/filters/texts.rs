//! Filters of text.

use super::filter;
use crate::jinja::budget::Budget;
use crate::jinja::call::{Call, bool_of, text_of, usize_of};
use crate::jinja::text::{Text, TextBuilder};
use crate::jinja::value::Value;
use crate::jinja::{Res, access, methods, print};

/// Capitalises each word; words begin after white space, `-` and opening brackets.
pub(super) fn title(text: &Text, budget: &Budget) -> Res<Value> {
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

pub(super) fn indent(text: &Text, call: Call, budget: &Budget) -> Res<Value> {
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
    // Python appends a line break before it splits, so a trailing one counts.
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

pub(super) fn strip_tags(text: &Text, budget: &Budget) -> Res<Value> {
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

pub(super) fn truncate(text: &Text, call: Call, budget: &Budget) -> Res<Value> {
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

pub(super) fn urlencode(value: &Value, budget: &Budget) -> Res<Value> {
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
        let [key, value] = [0, 1].map(|at| access::item(pair, &Value::Int(at), budget));
        out.push_str(if i > 0 { "&" } else { "" }, false);
        out.push(&quote(&print::text(&key?, budget)?, true)?);
        out.push_str("=", false);
        out.push(&quote(&print::text(&value?, budget)?, true)?);
    }
    Ok(Value::Str(out.finish()))
}

/// Python's `textwrap.wrap` for words separated by single spaces.
pub(super) fn wordwrap(text: &Text, call: Call, budget: &Budget) -> Res<Value> {
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

/// The words of a line, with their positions.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = line.as_ptr() as usize;
    line.split_whitespace().map(move |word| (word.as_ptr() as usize - start, word))
}

pub(super) fn xmlattr(value: &Value, call: Call, budget: &Budget) -> Res<Value> {
    let [space] = call.bind("xmlattr", ["autospace"])?;
    let mut out = TextBuilder::default();
    for pair in methods::pairs(value, budget)? {
        let [key, value] = [0, 1].map(|at| access::item(&pair, &Value::Int(at), budget));
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
