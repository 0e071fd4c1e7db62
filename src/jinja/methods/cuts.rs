//! Where a text is cut: at lines, separators and positions.

use std::ops::Range;

use crate::jinja::text::Text;
use crate::jinja::value::Value;
use crate::jinja::{Fault, Res};

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

/// The part of `length` places that a slice from `start` to `stop` selects.
pub(super) fn bounds(length: usize, start: Option<&Value>, stop: Option<&Value>) -> Res<Range<usize>> {
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

/// The part of a text between two positions counted in characters, and the number of characters
/// before it.
pub(super) fn window<'t>(text: &'t Text, start: Option<&Value>, stop: Option<&Value>) -> Res<(usize, &'t str)> {
    let all = text.as_str();
    if start.is_none() && stop.is_none() {
        return Ok((0, all));
    }
    let range = bounds(all.chars().count(), start, stop)?;
    let byte = |place: usize| all.char_indices().nth(place).map_or(all.len(), |(at, _)| at);
    Ok((range.start, all.get(byte(range.start)..byte(range.end)).unwrap_or_default()))
}

/// The parts of `all` between separators; at white space without one.
pub(super) fn split_ranges(
    all: &str,
    separator: Option<&str>,
    most: usize,
    from_end: bool,
) -> Res<Vec<(usize, usize)>> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    match separator {
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
    Ok(ranges)
}
