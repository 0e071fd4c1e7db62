//! Writes what a schema allows as a Lark grammar. Rules are not recursive: a recursive schema is
//! written once for each depth.

mod arrays;
mod rows;

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;

use self::rows::{Row, in_order};
use super::Compiler;
use super::kinds::{Lazy, Object, Schema};
use super::scalars::{Number, Text};
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
                // the empty list of places means `Any`
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
        ensure!(number.written.is_empty(), "`multipleOf` and `not` restrict the same number");
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
