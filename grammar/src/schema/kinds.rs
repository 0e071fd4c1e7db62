//! The values that a schema allows, by kind of JSON value.

use std::rc::Rc;

use anyhow::{Result, ensure};
use indexmap::{IndexMap, IndexSet};

use super::scalars::{Number, Text};
use crate::decimal::Decimal;
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
        ensure!(rest.len() <= MOST, "an `enum` has {} arrays and objects, and may have {MOST}", rest.len());
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
