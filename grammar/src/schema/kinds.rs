//! The values that a schema allows, by kind of JSON value.

use std::collections::HashSet;
use std::rc::Rc;

use anyhow::{Context as _, Result, ensure};
use indexmap::{IndexMap, IndexSet};

use crate::Limits;
use crate::number::{self, Bound, Decimal};
use crate::pattern::of_length;
use crate::regex::Rx;

#[derive(Debug, Clone)]
pub enum Schema {
    Any,
    Never,
    Null,
    Bool(bool),
    Number(Number),
    Text(Text),
    Array(Array),
    Object(Object),
    AnyOf(Vec<Schema>),
    Lazy(Lazy),
}

/// The combined schema of some places, resolved on use because places may be recursive.
#[derive(Debug, Clone)]
pub struct Lazy {
    /// JSON pointers, sorted.
    pub places: Vec<String>,
    pub with: Option<Box<Schema>>,
}

#[derive(Debug, Clone, Default)]
pub struct Number {
    pub min: Option<Bound>,
    pub max: Option<Bound>,
    pub integer: bool,
    pub multiple: Option<Decimal>,
    /// Further sets that the written form must be in.
    pub written: Vec<Rx>,
    /// Only these numbers, with their written forms.
    pub values: Option<Rc<Vec<(Decimal, String)>>>,
}

#[derive(Debug, Clone, Default)]
pub struct Text {
    pub min: u64,
    pub max: Option<u64>,
    pub patterns: Vec<Rx>,
    /// Only these texts.
    pub values: Option<Rc<Vec<String>>>,
}

#[derive(Debug, Clone)]
pub struct Array {
    pub prefix: Vec<Schema>,
    /// Schema of the items after the prefix.
    pub items: Box<Schema>,
    /// Whether the schema itself contains `items`.
    pub items_given: bool,
    pub min: u64,
    pub max: Option<u64>,
    /// JSON pointer of `uniqueItems`, if set.
    pub unique: Option<String>,
    pub contains: Vec<Contains>,
    /// Whether a `not` restricts the items.
    pub negated: bool,
}

/// How many items must fit a schema.
#[derive(Debug, Clone)]
pub struct Contains {
    pub schema: Schema,
    pub min: u64,
    pub max: Option<u64>,
    pub place: String,
}

#[derive(Debug, Clone)]
pub struct Object {
    pub properties: IndexMap<String, Schema>,
    pub required: IndexSet<String>,
    /// Disjoint sets of names, with the schema of their values.
    pub patterns: Vec<(Rx, Schema)>,
    /// Schema of all other properties.
    pub additional: Box<Schema>,
    /// Whether the schema itself contains it.
    pub additional_given: bool,
    /// Sets that every name must be in.
    pub names: Vec<Rx>,
    pub min: u64,
    pub max: Option<u64>,
    /// Whether a `not` restricts the properties.
    pub negated: bool,
}

impl Default for Array {
    fn default() -> Self {
        Self {
            prefix: Vec::new(),
            items: Box::new(Schema::Any),
            items_given: false,
            min: 0,
            max: None,
            unique: None,
            contains: Vec::new(),
            negated: false,
        }
    }
}

impl Default for Object {
    fn default() -> Self {
        Self {
            properties: IndexMap::new(),
            required: IndexSet::new(),
            patterns: Vec::new(),
            additional: Box::new(Schema::Any),
            additional_given: false,
            names: Vec::new(),
            min: 0,
            max: None,
            negated: false,
        }
    }
}

impl Schema {
    /// One schema per kind of JSON, without conditions.
    pub fn kinds() -> Vec<Schema> {
        vec![
            Self::Null,
            Self::Bool(false),
            Self::Bool(true),
            Self::Number(Number::default()),
            Self::Text(Text::default()),
            Self::Array(Array::default()),
            Self::Object(Object::default()),
        ]
    }

    /// Any of the options; nested ones are flattened.
    pub fn any_of(options: impl IntoIterator<Item = Schema>) -> Self {
        let mut whole = Vec::new();
        for option in options {
            match option {
                Self::Any => return Self::Any,
                Self::Never => {}
                Self::AnyOf(inner) => whole.extend(inner),
                option => whole.push(option),
            }
        }
        match whole.len() {
            0 => Self::Never,
            1 => whole.remove(0),
            _ => Self::AnyOf(whole),
        }
    }

    pub fn is_never(&self) -> bool {
        matches!(self, Self::Never)
    }

    /// Only this value.
    pub fn constant(value: &serde_json::Value) -> Result<Self> {
        use serde_json::Value;
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => {
                let written = number.to_string();
                let values = Some(Rc::new(vec![(Decimal::parse(&written)?, written)]));
                Self::Number(Number { values, ..Number::default() })
            }
            Value::String(text) => Self::Text(Text { values: Some(Rc::new(vec![text.clone()])), ..Text::default() }),
            Value::Array(items) => {
                let prefix = items.iter().map(Self::constant).collect::<Result<Vec<_>>>()?;
                let length = prefix.len() as u64;
                Self::Array(Array { prefix, min: length, max: Some(length), items_given: true, ..Array::default() })
            }
            Value::Object(members) => {
                let constant = |(name, value): (&String, &Value)| Ok((name.clone(), Self::constant(value)?));
                Self::Object(Object {
                    properties: members.iter().map(constant).collect::<Result<_>>()?,
                    required: members.keys().cloned().collect(),
                    additional: Box::new(Self::Never),
                    additional_given: true,
                    ..Object::default()
                })
            }
        })
    }

    /// Any of these values. All texts form one set, and all numbers.
    pub fn constants(values: &[serde_json::Value]) -> Result<Self> {
        use serde_json::Value;
        let (mut texts, mut numbers, mut rest) = (IndexSet::new(), Vec::new(), Vec::new());
        for value in values {
            match value {
                Value::String(text) => drop(texts.insert(text.clone())),
                Value::Number(number) => {
                    let written = number.to_string();
                    numbers.push((Decimal::parse(&written)?, written));
                }
                value => rest.push(Self::constant(value)?),
            }
        }
        // the grammar has a rule for each
        const MOST: usize = 2000;
        ensure!(rest.len() <= MOST, "an `enum` of {} arrays and objects: {MOST} are the most", rest.len());
        if !texts.is_empty() {
            let values = Some(Rc::new(texts.into_iter().collect()));
            rest.push(Self::Text(Text { values, ..Text::default() }));
        }
        if !numbers.is_empty() {
            rest.push(Self::Number(Number { values: Some(Rc::new(numbers)), ..Number::default() }));
        }
        Ok(Self::any_of(rest))
    }
}

impl Text {
    pub fn is_any(&self) -> bool {
        self.min == 0 && self.max.is_none() && self.patterns.is_empty() && self.values.is_none()
    }

    /// The set of these texts.
    pub fn texts(&self) -> Rx {
        if let Some(values) = &self.values {
            return Rx::or(values.iter().map(|value| Rx::literal(value.as_str())));
        }
        let texts = Rx::and(self.patterns.iter().cloned());
        // bounds that the patterns imply are left out
        let (shortest, longest) = texts.lengths();
        let min = if self.min <= shortest { 0 } else { self.min };
        let max = self.max.filter(|max| longest.is_none_or(|longest| longest > *max));
        let length = (min > 0 || max.is_some()).then(|| of_length(min, max));
        Rx::and(std::iter::once(texts).chain(length))
    }

    /// Texts that fit both. Errors: a pattern is too large to match against values.
    pub fn intersect(self, other: Self) -> Result<Schema> {
        let mut both = Self {
            min: self.min.max(other.min),
            max: least(self.max, other.max),
            patterns: self.patterns,
            values: None,
        };
        both.patterns.extend(other.patterns);
        let values = match (self.values, other.values) {
            (Some(a), Some(b)) => {
                let b: HashSet<&String> = b.iter().collect();
                Some(Rc::new(a.iter().filter(|value| b.contains(value)).cloned().collect()))
            }
            (one, another) => one.or(another),
        };
        let Some(values) = values else {
            let empty = both.max.is_some_and(|max| both.min > max);
            return Ok(if empty { Schema::Never } else { Schema::Text(both) });
        };
        if both.is_any() {
            return Ok(Self::of_values(values));
        }
        let mut matchers = both.patterns.iter().map(Rx::matcher).collect::<Result<Vec<_>>>()?;
        let kept = values.iter().filter(|value| {
            let length = value.chars().count() as u64;
            let fits = both.min <= length && both.max.is_none_or(|max| length <= max);
            fits && matchers.iter_mut().all(|matcher| matcher.is_match(value))
        });
        Ok(Self::of_values(Rc::new(kept.cloned().collect())))
    }

    fn of_values(values: Rc<Vec<String>>) -> Schema {
        if values.is_empty() { Schema::Never } else { Schema::Text(Self { values: Some(values), ..Self::default() }) }
    }
}

impl Number {
    pub fn is_any(&self) -> bool {
        let bounded = self.min.is_some() || self.max.is_some() || self.integer || self.multiple.is_some();
        !bounded && self.written.is_empty() && self.values.is_none()
    }

    /// The written forms; `None` if no regular expression of acceptable size expresses them.
    pub fn texts(&self, limits: &Limits) -> Option<Rx> {
        if let Some(values) = &self.values {
            return Some(Rx::or(values.iter().map(|(_, written)| Rx::literal(written.as_str()))));
        }
        // forms that digits decide have no exponent
        let plain = Limits { exponent: 0, ..limits.clone() };
        // doubles distinguish multiples up to this many digits
        let exact = Limits { digits: limits.digits.min(15), ..plain.clone() };
        let limits = match &self.multiple {
            Some(_) => &exact,
            None if !self.written.is_empty() => &plain,
            None => limits,
        };
        let mut all = vec![number::numbers(self.min.as_ref(), self.max.as_ref(), self.integer, limits)];
        if let Some(step) = &self.multiple {
            all.push(number::multiples(step)?);
        }
        all.extend(self.written.iter().cloned());
        Some(Rx::and(all))
    }

    /// Every written form without an exponent; `None` as in `texts`.
    pub fn all_texts(&self, limits: &Limits) -> Option<Rx> {
        match &self.values {
            Some(values) => Some(Rx::or(values.iter().map(|(value, _)| number::value(value)))),
            None if self.integer => {
                // a fraction of zeros does not change the number
                let zeros = Rx::concat([Rx::literal("."), Rx::literal("0").repeat(1, None)]).optional();
                Some(Rx::concat([self.texts(limits)?, zeros]))
            }
            None => self.texts(&Limits { exponent: 0, ..limits.clone() }),
        }
    }

    /// Numbers that fit both. Errors: too many digits.
    pub fn intersect(self, other: Self) -> Result<Schema> {
        let multiple = match (self.multiple, other.multiple) {
            (Some(a), Some(b)) => Some(a.common_multiple(&b).context("multiples with too many digits")?),
            (one, another) => one.or(another),
        };
        let mut both = Self {
            min: tighter(self.min, other.min, true),
            max: tighter(self.max, other.max, false),
            integer: self.integer || other.integer,
            multiple,
            written: self.written,
            values: None,
        };
        both.written.extend(other.written);
        let values = match (self.values, other.values) {
            (Some(a), Some(b)) => Some(Rc::new(
                a.iter().filter(|(value, _)| b.iter().any(|(other, _)| value == other)).cloned().collect(),
            )),
            (one, another) => one.or(another),
        };
        let Some(values) = values else {
            let empty = match (&both.min, &both.max) {
                (Some(min), Some(max)) => {
                    min.value > max.value || (min.value == max.value && (min.exclusive || max.exclusive))
                }
                _ => false,
            };
            return Ok(if empty { Schema::Never } else { Schema::Number(both) });
        };
        let mut matchers = both.written.iter().map(Rx::matcher).collect::<Result<Vec<_>>>()?;
        let mut kept = Vec::new();
        for (value, written) in values.iter() {
            let above =
                both.min.as_ref().is_none_or(|min| *value > min.value || (*value == min.value && !min.exclusive));
            let below =
                both.max.as_ref().is_none_or(|max| *value < max.value || (*value == max.value && !max.exclusive));
            let step = match &both.multiple {
                Some(step) => value.is_multiple_of(step).context("a number with too many digits")?,
                None => true,
            };
            let text = value.to_string();
            let fits = above && below && step && (!both.integer || value.is_integer());
            if fits && matchers.iter_mut().all(|matcher| matcher.is_match(&text)) {
                kept.push((value.clone(), written.clone()));
            }
        }
        Ok(match kept.len() {
            0 => Schema::Never,
            _ => Schema::Number(Self { values: Some(Rc::new(kept)), ..Self::default() }),
        })
    }
}

impl Object {
    /// The schema of a property of this name. Errors: a pattern is too large to match.
    pub fn property(&self, name: &str) -> Result<Schema> {
        if let Some(schema) = self.properties.get(name) {
            return Ok(schema.clone());
        }
        for (names, schema) in &self.patterns {
            if names.matcher()?.is_match(name) {
                return Ok(schema.clone());
            }
        }
        Ok((*self.additional).clone())
    }
}

/// The smaller maximum; `None` is no maximum.
pub fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, another) => one.or(another),
    }
}

fn tighter(a: Option<Bound>, b: Option<Bound>, lower: bool) -> Option<Bound> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (one, another) => return one.or(another),
    };
    let first = if a.value == b.value { a.exclusive } else { (a.value > b.value) == lower };
    Some(if first { a } else { b })
}
