//! Writes what a schema allows as a Lark grammar. Rules are not recursive: a recursive schema is
//! written once for each depth.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;

use super::Compiler;
use super::kinds::{Array, Contains, Lazy, Number, Object, Schema, Text};
use crate::regex::{Matcher, Rx, choice_lark};

/// Spaces in JSON, from the schema's `x-guidance`. Default: Python's style. Flexible spaces let
/// small models produce endless white space.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Spacing {
    whitespace_flexible: bool,
    item_separator: String,
    key_separator: String,
}

impl Default for Spacing {
    fn default() -> Self {
        Self { whitespace_flexible: false, item_separator: ", ".to_owned(), key_separator: ": ".to_owned() }
    }
}

/// The symbols of a schema: terminals, which are joined into one, and names of rules.
#[derive(Default, Clone)]
struct Symbols {
    terminals: Vec<String>,
    rules: Vec<String>,
}

#[derive(Default)]
struct Grammar {
    lines: Vec<String>,
    names: HashMap<String, String>,
    /// Symbols of the places written so far, by place and remaining depth of recursion.
    places: HashMap<(Vec<String>, u32), Symbols>,
    size: usize,
}

impl Grammar {
    /// Defines a rule or terminal with this right side. Returns its name.
    fn define(&mut self, body: &str, prefix: &str) -> Result<String> {
        // in bytes
        const MOST: usize = 16 << 20;
        if let Some(name) = self.names.get(body) {
            return Ok(name.clone());
        }
        let name = format!("{prefix}{}", self.lines.len());
        self.size += body.len();
        ensure!(self.size < MOST, "the schema is too large: its grammar would have more than {} MB", MOST >> 20);
        self.lines.push(format!("{name}: {body}"));
        self.names.insert(body.to_owned(), name.clone());
        Ok(name)
    }

    fn rule(&mut self, body: &str) -> Result<String> {
        self.define(body, "r")
    }

    fn terminal(&mut self, body: &str) -> Result<String> {
        self.define(body, "T")
    }
}

/// Entries in a row, some of which are optional.
struct Row {
    /// A symbol each, and whether it is required.
    entries: Vec<(String, bool)>,
    /// Symbol that may follow any number of times.
    more: Option<String>,
    min: u64,
    max: Option<u64>,
}

impl Compiler<'_> {
    pub(super) fn write(&mut self, root: &Schema) -> Result<String> {
        let spacing: Spacing = match self.schema.get("x-guidance") {
            Some(spacing) => serde_json::from_value(spacing.clone())?,
            None => Spacing::default(),
        };
        let mut grammar = Grammar::default();
        let literal = |text: &str| Rx::literal(text).lark(false);
        grammar.lines.push(format!("COMMA: {}", literal(&spacing.item_separator)));
        grammar.lines.push(format!("COLON: {}", literal(&spacing.key_separator)));
        let Some(start) = self.symbol(&mut grammar, root, self.options.limits.depth)? else {
            bail!("nothing fits the schema: it contradicts itself or has no end");
        };
        let mut lines = vec![format!("start: {start}")];
        if spacing.whitespace_flexible {
            lines.push("%llguidance {\"ignore_once\": true}".to_owned());
            lines.push("%ignore /[ \\t\\r\\n]{1,40}/".to_owned());
        }
        lines.append(&mut grammar.lines);
        Ok(lines.join("\n"))
    }

    /// The symbol of a schema; `None` if nothing fits it.
    fn symbol(&mut self, grammar: &mut Grammar, schema: &Schema, depth: u32) -> Result<Option<String>> {
        let mut symbols = Symbols::default();
        self.gather(grammar, schema, depth, &mut symbols)?;
        let Symbols { terminals, mut rules } = symbols;
        if !terminals.is_empty() {
            rules.push(grammar.terminal(&terminals.join(" | "))?);
        }
        Ok(match rules.len() {
            0 => None,
            1 => Some(rules.remove(0)),
            _ => Some(grammar.rule(&rules.join(" | "))?),
        })
    }

    fn gather(&mut self, grammar: &mut Grammar, schema: &Schema, depth: u32, to: &mut Symbols) -> Result<()> {
        self.spend()?;
        match schema {
            Schema::Never => {}
            Schema::Any => {
                // the empty list of places stands for `Any`
                let key = (Vec::new(), depth);
                if !grammar.places.contains_key(&key) {
                    let mut symbols = Symbols::default();
                    for kind in Schema::kinds() {
                        self.gather(grammar, &kind, depth, &mut symbols)?;
                    }
                    grammar.places.insert(key.clone(), symbols);
                }
                let symbols = grammar.places.get(&key).cloned().unwrap_or_default();
                to.terminals.extend(symbols.terminals);
                to.rules.extend(symbols.rules);
            }
            Schema::Null => to.terminals.push("\"null\"".to_owned()),
            Schema::Bool(value) => to.terminals.push(format!("\"{value}\"")),
            Schema::Text(text) => to.terminals.extend(text_terminal(text)?),
            Schema::Number(number) => match number.texts(&self.options.limits) {
                Some(texts) if number.values.is_none() && is_empty(&texts) => {}
                Some(texts) => to.terminals.push(texts.lark(false)),
                None => to.rules.push(grammar.rule(&self.unusual_multiple(number)?)?),
            },
            Schema::AnyOf(options) => {
                for option in options {
                    self.gather(grammar, option, depth, to)?;
                }
            }
            Schema::Lazy(lazy) => {
                let symbols = self.place(grammar, lazy, depth)?;
                to.terminals.extend(symbols.terminals);
                to.rules.extend(symbols.rules);
            }
            Schema::Array(array) => to.rules.extend(self.array_rule(grammar, array, depth)?),
            Schema::Object(object) => to.rules.extend(self.object_rule(grammar, object, depth)?),
        }
        Ok(())
    }

    fn place(&mut self, grammar: &mut Grammar, lazy: &Lazy, depth: u32) -> Result<Symbols> {
        let recursive = lazy.places.iter().any(|place| self.recursive.contains(place));
        let Some(depth) = (if recursive { depth.checked_sub(1) } else { Some(depth) }) else {
            return Ok(Symbols::default());
        };
        let key = (lazy.places.clone(), depth);
        if lazy.with.is_none()
            && let Some(symbols) = grammar.places.get(&key)
        {
            return Ok(symbols.clone());
        }
        let schema = self.resolved(lazy)?;
        let mut symbols = Symbols::default();
        self.deeper(|this| this.gather(grammar, &schema, depth, &mut symbols))?;
        if lazy.with.is_none() {
            grammar.places.insert(key, symbols.clone());
        }
        Ok(symbols)
    }

    /// Multiples that their last digits do not decide.
    fn unusual_multiple(&mut self, number: &Number) -> Result<String> {
        ensure!(number.written.is_empty(), "a `multipleOf` beside a `not`");
        let digits = self.options.limits.digits.clamp(1, 15);
        let most = 10_i64.pow(digits) - 1;
        let step = number.multiple.as_ref().map(ToString::to_string).unwrap_or_default();
        let step: f64 = step.parse()?;
        let bound = |value: f64, exclusive: bool, name: &str, other: &str| {
            (if exclusive { other } else { name }.to_owned(), json!(value))
        };
        let mut schema = serde_json::Map::new();
        schema
            .insert("type".to_owned(), json!(if number.integer || step.fract() == 0.0 { "integer" } else { "number" }));
        schema.insert("multipleOf".to_owned(), json!(step));
        schema.insert("x-guidance".to_owned(), json!({ "whitespace_flexible": false }));
        let ends = [
            (&number.min, -(most as f64), ["minimum", "exclusiveMinimum"]),
            (&number.max, most as f64, ["maximum", "exclusiveMaximum"]),
        ];
        for (end, otherwise, [name, exclusive]) in ends {
            let (key, value) = match end {
                Some(end) => bound(end.value.to_string().parse()?, end.exclusive, name, exclusive),
                None => bound(otherwise, false, name, exclusive),
            };
            schema.insert(key, value);
        }
        Ok(format!("%json {}", serde_json::Value::Object(schema)))
    }

    fn array_rule(&mut self, grammar: &mut Grammar, array: &Array, depth: u32) -> Result<Option<String>> {
        if let Some(place) = &array.unique
            && array.max.is_none_or(|max| max > 1)
        {
            match self.distinct(array)? {
                Some(values) => return self.distinct_rule(grammar, array, values, depth),
                None => self.unable(place, "uniqueItems", "only a few items of an `enum` can be kept distinct")?,
            }
        }
        if !array.contains.is_empty()
            && let Some(row) = self.containing(grammar, array, depth)?
        {
            return bracketed(grammar, row);
        }
        // an array ends before the first item that nothing fits
        let mut max = array.max;
        let mut prefix = Vec::new();
        for item in &array.prefix {
            if max.is_some_and(|max| prefix.len() as u64 >= max) {
                break;
            }
            match self.symbol(grammar, item, depth)? {
                Some(symbol) => prefix.push(symbol),
                None => max = Some(prefix.len() as u64),
            }
        }
        let open = max.is_none_or(|max| max > array.prefix.len() as u64);
        let more = match inner_depth(&array.items, depth) {
            Some(inner) if open => self.symbol(grammar, &array.items, inner)?,
            _ => None,
        };
        let entries = prefix.into_iter().enumerate().map(|(at, symbol)| (symbol, (at as u64) < array.min));
        let row = Row { entries: entries.collect(), more, min: array.min, max };
        let Some(inner) = items_in_order(grammar, &row)? else { return Ok(None) };
        Ok(Some(grammar.rule(&format!("\"[\" {inner} \"]\""))?))
    }

    /// The possible items of an array with distinct items, if they are few enough to be listed.
    fn distinct(&mut self, array: &Array) -> Result<Option<Vec<Schema>>> {
        if !array.prefix.is_empty() || !array.contains.is_empty() {
            return Ok(None);
        }
        let mut values = Vec::new();
        let mut next = vec![(*array.items).clone()];
        while let Some(schema) = next.pop() {
            match schema {
                Schema::Never => {}
                Schema::Null | Schema::Bool(_) => values.push(schema),
                Schema::AnyOf(options) => next.extend(options.into_iter().rev()),
                Schema::Lazy(lazy) if values.len() < MOST_DISTINCT => {
                    let schema = self.resolved(&lazy)?;
                    if matches!(schema, Schema::Lazy(_)) {
                        return Ok(None);
                    }
                    next.push(schema);
                }
                Schema::Text(Text { values: Some(texts), .. }) => {
                    values.extend(texts.iter().map(|text| {
                        Schema::Text(Text { values: Some(Rc::new(vec![text.clone()])), ..Text::default() })
                    }));
                }
                Schema::Number(Number { values: Some(numbers), .. }) => {
                    values.extend(numbers.iter().map(|number| {
                        Schema::Number(Number { values: Some(Rc::new(vec![number.clone()])), ..Number::default() })
                    }));
                }
                _ => return Ok(None),
            }
            if values.len() > MOST_DISTINCT {
                return Ok(None);
            }
        }
        // several options may contain the same value
        let mut seen = std::collections::HashSet::new();
        values.retain(|value| seen.insert(format!("{value:?}")));
        Ok(Some(values))
    }

    /// Each of the values at most once: in any order if they are few, otherwise in the schema's
    /// order.
    fn distinct_rule(
        &mut self,
        grammar: &mut Grammar,
        array: &Array,
        values: Vec<Schema>,
        depth: u32,
    ) -> Result<Option<String>> {
        let mut entries = Vec::new();
        for value in values {
            entries.extend(self.symbol(grammar, &value, depth)?.map(|symbol| (symbol, false)));
        }
        if entries.len() > MOST_IN_ANY_ORDER {
            return bracketed(grammar, Row { entries, more: None, min: array.min, max: array.max });
        }
        let symbols: Vec<String> = entries.into_iter().map(|(symbol, _)| symbol).collect();
        let Some(inner) = in_any_order(grammar, &symbols, array)? else { return Ok(None) };
        grammar.rule(&format!("\"[\" {inner} \"]\"")).map(Some)
    }

    /// `contains`: a number of items that fit, among others. `None` if it cannot be enforced.
    fn containing(&mut self, grammar: &mut Grammar, array: &Array, depth: u32) -> Result<Option<Row>> {
        let [Contains { schema, min, max, place }] = array.contains.as_slice() else {
            self.unable("", "contains", "several of them hold for the same array")?;
            return Ok(None);
        };
        if *min == 0 && max.is_none() {
            return Ok(None);
        }
        let counted = array.min > 0 || array.max.is_some();
        if !array.prefix.is_empty() || counted {
            self.unable(place, "contains", "it is combined with `minItems`, `maxItems` or `prefixItems`")?;
            return Ok(None);
        }
        let fits = self.intersect((*array.items).clone(), schema.clone())?;
        let others = match self.negate(schema.clone())? {
            Some(not) => self.intersect((*array.items).clone(), not)?,
            None if max.is_none() => (*array.items).clone(),
            None => {
                self.unable(place, "maxContains", "the items that do not fit `contains` cannot be expressed")?;
                return Ok(None);
            }
        };
        let inner = depth.saturating_sub(1);
        let fits = self.symbol(grammar, &fits, inner)?;
        let others = self.symbol(grammar, &others, inner)?;
        // the items that fit come first
        let (Some(fits), at_least) = (fits, *min) else {
            let more = if *min == 0 { others } else { None };
            return Ok(Some(Row { entries: Vec::new(), more, min: *min, max: None }));
        };
        ensure!(at_least <= 1000 && max.is_none_or(|max| max <= 1000), "`contains` with more than 1000 items");
        let sure = (0..at_least).map(|_| (fits.clone(), true));
        let (entries, more): (Vec<_>, _) = match max {
            Some(max) => {
                let maybe = (at_least..*max).map(|_| (fits.clone(), false));
                (sure.chain(maybe).collect(), others)
            }
            None => (sure.collect(), any_of(grammar, others, fits.clone())?),
        };
        Ok(Some(Row { entries, more, min: at_least, max: None }))
    }

    fn object_rule(&mut self, grammar: &mut Grammar, object: &Object, depth: u32) -> Result<Option<String>> {
        let mut allowed = object.names.iter().map(Rx::matcher).collect::<Result<Vec<Matcher>>>()?;
        let mut entries = Vec::new();
        let missing = object.required.iter().filter(|name| !object.properties.contains_key(*name));
        let missing = missing.map(|name| Ok((name.clone(), object.property(name)?)));
        let named = object.properties.iter().map(|(name, schema)| Ok((name.clone(), schema.clone()))).chain(missing);
        let mut taken = Vec::new();
        for named in named.collect::<Result<Vec<_>>>()? {
            let (name, schema) = named;
            let required = object.required.contains(&name);
            let fits = allowed.iter_mut().all(|matcher| matcher.is_match(&name));
            let value = if fits { self.symbol(grammar, &schema, depth)? } else { None };
            match value {
                Some(value) => {
                    let key = quoted_literal(&name);
                    entries.push((grammar.rule(&format!("{key} COLON {value}"))?, required));
                }
                None if required => return Ok(None),
                None => {}
            }
            taken.push(name);
        }
        let mut pairs = Vec::new();
        let mut others = object.names.clone();
        if !taken.is_empty() {
            others.push(Rx::or(taken.iter().map(|name| Rx::literal(name.as_str()))).not());
        }
        let room = object.max.is_none_or(|max| max > object.required.len() as u64);
        for (names, schema) in &object.patterns {
            if room {
                let names = Rx::and(std::iter::once(names.clone()).chain(others.iter().cloned()));
                pairs.extend(self.pair(grammar, &names, schema, depth)?);
            }
        }
        others.extend(object.patterns.iter().map(|(names, _)| names.clone().not()));
        if room {
            pairs.extend(self.pair(grammar, &Rx::and(others), &object.additional, depth)?);
        }
        let more = if pairs.is_empty() { None } else { Some(grammar.rule(&pairs.join(" | "))?) };
        let row = Row { entries, more, min: object.min, max: object.max };
        let Some(inner) = in_order(grammar, &row)? else { return Ok(None) };
        Ok(Some(grammar.rule(&format!("\"{{\" {inner} \"}}\""))?))
    }

    /// A property with one of many names; `None` if there is no such name or no value.
    fn pair(&mut self, grammar: &mut Grammar, names: &Rx, schema: &Schema, depth: u32) -> Result<Option<String>> {
        let Some(inner) = inner_depth(schema, depth) else { return Ok(None) };
        if schema.is_never() || is_empty(names) {
            return Ok(None);
        }
        let Some(value) = self.symbol(grammar, schema, inner)? else { return Ok(None) };
        let key = grammar.terminal(&json_string(names))?;
        Ok(Some(grammar.rule(&format!("{key} COLON {value}"))?))
    }
}

/// Remaining depth inside a value of this schema; `None` if it is used up. Only arbitrary JSON uses
/// depth.
fn inner_depth(schema: &Schema, depth: u32) -> Option<u32> {
    if matches!(schema, Schema::Any) { depth.checked_sub(1) } else { Some(depth) }
}

/// Limit of distinct items that are listed.
const MOST_DISTINCT: usize = 256;

/// Limit of distinct items in any order: each set of them has a rule, 256 at most.
const MOST_IN_ANY_ORDER: usize = 8;

fn is_empty(rx: &Rx) -> bool {
    // without intersection and complement, the form shows it
    rx.is_never() || (rx.has_conditions() && rx.has_none().unwrap_or(false))
}

fn text_terminal(text: &Text) -> Result<Option<String>> {
    if let Some(values) = &text.values {
        return Ok(Some(format!("/\"(?:{})\"/", choice_lark(values.iter().map(String::as_str), true)?)));
    }
    let texts = text.texts();
    Ok((!is_empty(&texts)).then(|| json_string(&texts)))
}

/// One of the texts as a JSON string.
fn json_string(texts: &Rx) -> String {
    let inner = texts.lark(true);
    match inner.strip_prefix('/').and_then(|inner| inner.strip_suffix('/')) {
        Some(plain) if !texts.has_conditions() => format!("/\"(?:{plain})\"/"),
        _ => format!("(\"\\\"\" {inner} \"\\\"\")"),
    }
}

/// A name in JSON's syntax, as a literal of a grammar.
fn quoted_literal(name: &str) -> String {
    let json = serde_json::Value::from(name).to_string().replace('\u{7f}', "\\u007f");
    serde_json::Value::from(json).to_string()
}

fn any_of(grammar: &mut Grammar, one: Option<String>, other: String) -> Result<Option<String>> {
    Ok(Some(match one {
        Some(one) if one != other => grammar.rule(&format!("{one} | {other}"))?,
        _ => other,
    }))
}

fn bracketed(grammar: &mut Grammar, row: Row) -> Result<Option<String>> {
    let Some(inner) = in_order(grammar, &row)? else { return Ok(None) };
    Ok(Some(grammar.rule(&format!("\"[\" {inner} \"]\""))?))
}

/// Each symbol at most once, in any order. A rule defines what may follow each set of symbols.
fn in_any_order(grammar: &mut Grammar, symbols: &[String], array: &Array) -> Result<Option<String>> {
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
fn items_in_order(grammar: &mut Grammar, row: &Row) -> Result<Option<String>> {
    let count = row.entries.len() as u64;
    let reached = row.max.is_none_or(|max| max >= count);
    let mut rest = if reached { more(grammar, row, count)? } else { None };
    // the required entries form one rule; each of the others is nested in the previous one
    let sure = row.entries.iter().take_while(|(_, required)| *required).count();
    ensure!(row.entries.len() - sure <= 300, "an array of more than 300 items, each of which may be the last");
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
    ensure!(min.max(max.unwrap_or(0)) <= i32::MAX as u64, "a count of more than {}", i32::MAX);
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
fn in_order(grammar: &mut Grammar, row: &Row) -> Result<Option<String>> {
    let required = row.entries.iter().filter(|(_, required)| *required).count() as u64;
    if row.max.is_none() && row.min <= required.max(1) {
        return uncounted(grammar, row);
    }
    let count = row.entries.len();
    // each is a rule nested in the previous one, and a browser's stack holds this many
    ensure!(count <= 300, "`minProperties` or `maxProperties` with more than 300 properties");
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
