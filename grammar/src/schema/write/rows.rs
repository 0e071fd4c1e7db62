//! Rules for entries in a row: the items of arrays and the properties of objects.

use anyhow::{Result, ensure};

use super::Grammar;
use crate::schema::kinds::Array;

/// Entries in a row, some of which are optional.
pub(super) struct Row {
    /// A symbol each, and whether it is required.
    pub(super) entries: Vec<(String, bool)>,
    /// Symbol that may follow any number of times.
    pub(super) more: Option<String>,
    pub(super) min: u64,
    pub(super) max: Option<u64>,
}

pub(super) fn bracketed(grammar: &mut Grammar, row: Row) -> Result<Option<String>> {
    let Some(inner) = in_order(grammar, &row)? else { return Ok(None) };
    Ok(Some(grammar.rule(&format!("\"[\" {inner} \"]\""))?))
}

/// Each symbol at most once, in any order. A rule defines what may follow each set of symbols.
pub(super) fn in_any_order(grammar: &mut Grammar, symbols: &[String], array: &Array) -> Result<Option<String>> {
    let all = (1_usize << symbols.len()) - 1;
    let mut following: Vec<Option<String>> = vec![None; all + 1];
    for set in (0..=all).rev() {
        let written = u64::from(set.count_ones());
        let comma = if set == 0 { "" } else { "COMMA " };
        let goes_on = array.max.is_none_or(|max| written < max);
        let left = symbols.iter().enumerate().filter(|(at, _)| goes_on && (set >> at) & 1 == 0);
        let options: Vec<String> = left
            .filter_map(|(at, symbol)| Some(format!("{comma}{symbol} {}", following[set | (1 << at)].as_ref()?)))
            .collect();
        let options = options.join(" | ");
        following[set] = match (options.as_str(), written >= array.min) {
            ("", true) => Some("\"\"".to_owned()),
            ("", false) => None,
            (_, true) => Some(grammar.rule(&format!("({options})?"))?),
            (_, false) => Some(grammar.rule(&options)?),
        };
    }
    Ok(following.swap_remove(0))
}

/// The entries of a row that may end after any optional entry.
pub(super) fn items_in_order(grammar: &mut Grammar, row: &Row) -> Result<Option<String>> {
    let count = row.entries.len() as u64;
    let reached = row.max.is_none_or(|max| max >= count);
    let mut rest = if reached { more(grammar, row, count)? } else { None };
    // the required entries form one rule; each of the others is nested in the previous one
    let sure = row.entries.iter().take_while(|(_, required)| *required).count();
    ensure!(row.entries.len() - sure <= 300, "an array has more than 300 optional items");
    for (at, (symbol, _)) in row.entries.iter().enumerate().skip(sure.saturating_sub(1)).rev() {
        let comma = if at > 0 { "COMMA " } else { "" };
        let here = match (&rest, row.max) {
            (_, Some(max)) if at as u64 >= max => None,
            (Some(rest), _) => Some(format!("{comma}{symbol} {rest}")),
            (None, _) => None,
        };
        let may_end = at as u64 >= row.min;
        rest = match (here, may_end) {
            (Some(here), true) => Some(grammar.rule(&format!("({here})?"))?),
            (Some(here), false) => Some(grammar.rule(&here)?),
            (None, true) => Some("\"\"".to_owned()),
            (None, false) => None,
        };
    }
    let Some((before, rest)) = rest.map(|rest| (row.entries.iter().take(sure.saturating_sub(1)), rest)) else {
        return Ok(None);
    };
    let before: Vec<&str> = before.map(|(symbol, _)| symbol.as_str()).collect();
    if before.is_empty() {
        return Ok(Some(rest));
    }
    grammar.rule(&format!("{} {rest}", before.join(" COMMA "))).map(Some)
}

/// What may follow after `count` entries.
fn more(grammar: &mut Grammar, row: &Row, count: u64) -> Result<Option<String>> {
    let min = row.min.saturating_sub(count);
    let max = row.max.map(|max| max.saturating_sub(count));
    let Some(symbol) = row.more.as_ref().filter(|_| max != Some(0)) else {
        return Ok((min == 0).then(|| "\"\"".to_owned()));
    };
    // llguidance counts up to this
    ensure!(min.max(max.unwrap_or(0)) <= i32::MAX as u64, "a length is larger than {}", i32::MAX);
    let times = |min: u64, max: Option<u64>| match (min, max) {
        (0, None) => "*".to_owned(),
        (1, None) => "+".to_owned(),
        (min, None) => format!("{{{min},}}"),
        (min, Some(max)) => format!("{{{min},{max}}}"),
    };
    let follows = format!("(COMMA {symbol})");
    let body = if count > 0 {
        format!("{follows}{}", times(min, max))
    } else {
        let left = max.map(|max| max - 1);
        let rest =
            if left == Some(0) { String::new() } else { format!(" {follows}{}", times(min.saturating_sub(1), left)) };
        if min == 0 { format!("({symbol}{rest})?") } else { format!("{symbol}{rest}") }
    };
    grammar.rule(&body).map(Some)
}

/// The entries of a row in order, without any of the optional ones. `None` if there are too few.
pub(super) fn in_order(grammar: &mut Grammar, row: &Row) -> Result<Option<String>> {
    let required = row.entries.iter().filter(|(_, required)| *required).count() as u64;
    if row.max.is_none() && row.min <= required.max(1) {
        return uncounted(grammar, row);
    }
    let count = row.entries.len();
    // each is a rule nested in the previous one, and a browser's stack holds this many
    ensure!(count <= 300, "`minProperties` or `maxProperties` of an object with more than 300 properties");
    // higher counts need not be distinguished
    let most = row.max.unwrap_or(0).max(row.min).clamp(1, count.max(1) as u64) as usize;
    let over = |written: usize| row.max.is_some_and(|max| written as u64 > max);
    let ends = (0..=most).map(|written| if over(written) { Ok(None) } else { more(grammar, row, written as u64) });
    let mut after = ends.collect::<Result<Vec<_>>>()?;
    for (symbol, required) in row.entries.iter().rev() {
        let mut here = Vec::new();
        for written in 0..=most {
            let comma = if written > 0 { "COMMA " } else { "" };
            let full = row.max.is_some_and(|max| written as u64 >= max);
            let next = if full { &None } else { after.get((written + 1).min(most)).unwrap_or(&None) };
            let taken = next.as_ref().map(|next| format!("{comma}{symbol} {next}"));
            let left = if *required { None } else { after.get(written).cloned().flatten() };
            here.push(match (taken, left) {
                (Some(taken), Some(left)) => Some(grammar.rule(&format!("{taken} | {left}"))?),
                (Some(taken), None) => Some(grammar.rule(&taken)?),
                (None, left) => left,
            });
        }
        after = here;
    }
    Ok(after.into_iter().next().flatten())
}

/// The same if only required entries matter, not the number. Halving the entries keeps rules
/// shallow.
fn uncounted(grammar: &mut Grammar, row: &Row) -> Result<Option<String>> {
    let tail = more(grammar, &Row { entries: Vec::new(), more: row.more.clone(), min: 0, max: None }, 1)?;
    let tail = tail.unwrap_or_default();
    if let Some(first) = row.entries.iter().position(|(_, required)| *required) {
        let (before, rest) = row.entries.split_at(first);
        let Some(((symbol, _), rest)) = rest.split_first() else { return Ok(None) };
        let before = match some_of(grammar, before)? {
            Some(before) => format!("({before} COMMA)? "),
            None => String::new(),
        };
        let rest = following(grammar, rest)?;
        return Ok(Some(grammar.rule(&format!("{before}{symbol} {rest} {tail}"))?));
    }
    let mut options: Vec<String> = Vec::new();
    options.extend(some_of(grammar, &row.entries)?.map(|some| format!("{some} {tail}")));
    options.extend(row.more.as_ref().map(|symbol| format!("{symbol} {tail}")));
    if row.min == 0 {
        options.push("\"\"".to_owned());
    }
    if options.is_empty() { Ok(None) } else { grammar.rule(&options.join(" | ")).map(Some) }
}

/// Entries after others, each with its comma.
fn following(grammar: &mut Grammar, entries: &[(String, bool)]) -> Result<String> {
    // entries per rule
    const SHORT: usize = 32;
    if entries.is_empty() {
        return Ok("\"\"".to_owned());
    }
    if entries.len() > SHORT {
        let (one, other) = entries.split_at(entries.len() / 2);
        let halves = [following(grammar, one)?, following(grammar, other)?];
        return grammar.rule(&halves.join(" "));
    }
    let each = entries.iter().map(
        |(symbol, required)| {
            if *required { format!("COMMA {symbol}") } else { format!("(COMMA {symbol})?") }
        },
    );
    grammar.rule(&each.collect::<Vec<_>>().join(" "))
}

/// One or more of some optional entries; `None` if there are none.
fn some_of(grammar: &mut Grammar, entries: &[(String, bool)]) -> Result<Option<String>> {
    let (one, other) = match entries {
        [] => return Ok(None),
        [(symbol, _)] => return Ok(Some(symbol.clone())),
        entries => entries.split_at(entries.len() / 2),
    };
    let (Some(first), Some(later)) = (some_of(grammar, one)?, some_of(grammar, other)?) else { return Ok(None) };
    let rest = following(grammar, other)?;
    grammar.rule(&format!("{first} {rest} | {later}")).map(Some)
}
