//! Parses the keywords of a schema: drafts 4 to 2020-12, and OpenAPI's `nullable`. Other keywords
//! are annotations and do not restrict values.

mod combined;

use std::rc::Rc;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

use super::Compiler;
use super::kinds::{Array, Contains, Lazy, Object, Schema};
use super::places::escaped;
use super::scalars::{Number, Text, least};
use crate::decimal::Decimal;
use crate::format;
use crate::number::Bound;
use crate::pattern::texts_with;
use crate::regex::Rx;

type Members = Map<String, Value>;

impl Compiler<'_> {
    /// The schema at a JSON pointer.
    pub(super) fn at(&mut self, pointer: &str) -> Result<Schema> {
        if let Some(schema) = self.read.get(pointer) {
            return Ok(schema.clone());
        }
        let value = self
            .schema
            .pointer(pointer)
            .with_context(|| format!("a `$ref` leads to #{pointer}, where there is nothing"))?;
        let schema = self.deeper(|this| this.schema(pointer, value))?;
        self.read.insert(pointer.to_owned(), schema.clone());
        Ok(schema)
    }

    fn schema(&mut self, pointer: &str, value: &Value) -> Result<Schema> {
        self.spend()?;
        let members = match value {
            Value::Bool(true) => return Ok(Schema::Any),
            Value::Bool(false) => return Ok(Schema::Never),
            Value::Object(members) => members,
            other => bail!("a schema is an object or a boolean, not {other} (at #{pointer})"),
        };
        let mut schema = self.kinds_of(pointer, members)?;
        if let Some(values) = members.get("enum") {
            let values = values.as_array().with_context(|| format!("`enum` at #{pointer} is not an array"))?;
            schema = self.intersect(schema, Schema::constants(values)?)?;
        }
        if let Some(value) = members.get("const") {
            schema = self.intersect(schema, Schema::constant(value)?)?;
        }
        if let Some(reference) = members.get("$ref") {
            let place = reference.as_str().and_then(|to| self.places.find(self.schema, pointer, to));
            match place {
                Some(place) => {
                    let lazy = Schema::Lazy(Lazy { places: vec![place], with: None });
                    schema = self.intersect(schema, lazy)?;
                }
                None => {
                    let reason = format!("{reference} is not within the schema: put what it means under `$defs`");
                    self.unable(pointer, "$ref", reason)?;
                }
            }
        }
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if members.contains_key(keyword) {
                self.unable(pointer, keyword, "only `$ref` is followed")?;
            }
        }
        schema = self.combined(pointer, members, schema)?;
        schema = self.dependents(pointer, members, schema)?;
        self.unevaluated(pointer, members, schema)
    }

    fn child(&mut self, pointer: &str, keyword: &str, value: &Value) -> Result<Schema> {
        self.schema(&format!("{pointer}/{}", escaped(keyword)), value)
    }

    fn children(&mut self, pointer: &str, keyword: &str, values: &Value) -> Result<Vec<Schema>> {
        let values = values.as_array().with_context(|| format!("`{keyword}` at #{pointer} is not an array"))?;
        let of = |(at, value): (usize, &Value)| self.schema(&format!("{pointer}/{keyword}/{at}"), value);
        values.iter().enumerate().map(of).collect()
    }

    /// `type`, and the keywords of one kind of JSON.
    fn kinds_of(&mut self, pointer: &str, members: &Members) -> Result<Schema> {
        let mut names: Vec<&str> = match members.get("type") {
            None => Vec::new(),
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => {
                let names = names.iter().map(Value::as_str).collect::<Option<_>>();
                names.with_context(|| format!("`type` at #{pointer} is not a list of names"))?
            }
            Some(other) => bail!("`type` at #{pointer} is {other}, not the name of a type"),
        };
        if members.get("nullable") == Some(&Value::Bool(true)) && !names.is_empty() {
            names.push("null");
        }
        if names.contains(&"number") {
            names.retain(|name| *name != "integer");
        }
        let all = names.is_empty() && !members.contains_key("type");
        if all {
            if !members.keys().any(|key| TYPED.contains(&key.as_str())) {
                return Ok(Schema::Any);
            }
            names = vec!["null", "boolean", "number", "string", "array", "object"];
        }
        let mut options = Vec::new();
        for name in names {
            options.push(match name {
                "null" => Schema::Null,
                "boolean" => Schema::AnyOf(vec![Schema::Bool(true), Schema::Bool(false)]),
                "number" => self.number(pointer, members, false)?,
                "integer" => self.number(pointer, members, true)?,
                "string" => self.text(pointer, members)?,
                "array" => self.array(pointer, members)?,
                "object" => self.object(pointer, members)?,
                other => bail!("`type` at #{pointer} is \"{other}\", which is not a JSON type"),
            });
        }
        Ok(Schema::any_of(options))
    }

    fn number(&mut self, pointer: &str, members: &Members, integer: bool) -> Result<Schema> {
        let decimal = |keyword: &str| match members.get(keyword) {
            Some(Value::Number(number)) => Decimal::parse(&number.to_string()).map(Some),
            None | Some(Value::Bool(_)) => Ok(None),
            Some(other) => bail!("`{keyword}` at #{pointer} is {other}, not a number"),
        };
        let bound = |value: Option<Decimal>, exclusive| value.map(|value| Bound { value, exclusive });
        // in draft 4 these are flags of `minimum` and `maximum`
        let flag = |keyword: &str| members.get(keyword) == Some(&Value::Bool(true));
        let mut number = Number { integer, ..Number::default() };
        number.min = bound(decimal("minimum")?, flag("exclusiveMinimum"));
        number.max = bound(decimal("maximum")?, flag("exclusiveMaximum"));
        let step = decimal("multipleOf")?.map(|step| if step.is_negative() { step.negated() } else { step });
        if step.as_ref().is_some_and(Decimal::is_zero) {
            bail!("`multipleOf` at #{pointer} is 0");
        }
        number.multiple = step;
        let exclusive = Number {
            min: bound(decimal("exclusiveMinimum")?, true),
            max: bound(decimal("exclusiveMaximum")?, true),
            ..Number::default()
        };
        number.intersect(exclusive)
    }

    fn text(&mut self, pointer: &str, members: &Members) -> Result<Schema> {
        let limits = &self.options.limits;
        let mut text = Text {
            min: count(pointer, members, "minLength")?.unwrap_or(0),
            max: count(pointer, members, "maxLength")?,
            ..Text::default()
        };
        let pattern = members.get("pattern").map(|pattern| {
            pattern.as_str().with_context(|| format!("`pattern` at #{pointer} is not a text")).map(texts_with)
        });
        let pattern = pattern.transpose()?;
        let name = members.get("format").and_then(Value::as_str).unwrap_or_default();
        let format = format::texts(name, pattern.is_some(), limits)?;
        match (pattern, format) {
            (Some(Ok(pattern)), Some(format)) => {
                // if the two exclude each other, the pattern counts, since it is more specific
                let both = Rx::and([pattern.clone(), format]);
                let differ = both.has_none().unwrap_or(false);
                text.patterns.push(if differ { pattern } else { both });
            }
            (Some(Ok(pattern)), None) => text.patterns.push(pattern),
            // the format replaces a pattern that cannot be parsed
            (None | Some(Err(_)), Some(format)) => text.patterns.push(format),
            (Some(Err(error)), None) => {
                self.unable(pointer, "pattern", format!("it has {error}"))?;
            }
            (None, None) => {}
        }
        if format::needs_bound(name) && !text.patterns.is_empty() {
            text.max = least(text.max, Some(text.min.max(u64::from(self.options.limits.format))));
        }
        let empty = text.max.is_some_and(|max| text.min > max);
        Ok(if empty { Schema::Never } else { Schema::Text(text) })
    }

    fn array(&mut self, pointer: &str, members: &Members) -> Result<Schema> {
        let mut array = Array {
            min: count(pointer, members, "minItems")?.unwrap_or(0),
            max: count(pointer, members, "maxItems")?,
            ..Array::default()
        };
        // before 2020-12, `items` held the prefix and `additionalItems` the rest
        let old = matches!(members.get("items"), Some(Value::Array(_)));
        let (prefix, rest) = if old { ("items", "additionalItems") } else { ("prefixItems", "items") };
        if let Some(values) = members.get(prefix) {
            array.prefix = self.children(pointer, prefix, values)?;
        }
        if let Some(value) = members.get(rest) {
            *array.items = self.child(pointer, rest, value)?;
            array.items_given = true;
        }
        if members.get("uniqueItems") == Some(&Value::Bool(true)) {
            array.unique = Some(pointer.to_owned());
        }
        if let Some(value) = members.get("contains") {
            array.contains.push(Contains {
                schema: self.child(pointer, "contains", value)?,
                min: count(pointer, members, "minContains")?.unwrap_or(1),
                max: count(pointer, members, "maxContains")?,
                place: pointer.to_owned(),
            });
        }
        let too_many = array.contains.iter().any(|contains| contains.max.is_some_and(|max| contains.min > max));
        let empty = too_many || array.max.is_some_and(|max| array.min > max);
        Ok(if empty { Schema::Never } else { Schema::Array(array) })
    }

    fn object(&mut self, pointer: &str, members: &Members) -> Result<Schema> {
        let map = |keyword: &str| match members.get(keyword) {
            None => Ok(Members::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(other) => bail!("`{keyword}` at #{pointer} is {other}, not an object"),
        };
        let mut object = Object::default();
        for (name, value) in map("properties")? {
            let schema = self.schema(&format!("{pointer}/properties/{}", escaped(&name)), &value)?;
            object.properties.insert(name, schema);
        }
        match members.get("required") {
            Some(Value::Array(names)) => {
                let names = names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>();
                object.required =
                    names.with_context(|| format!("`required` at #{pointer} contains a value that is not a name"))?;
            }
            // draft 3 put it into the property, and some schemas still do
            None | Some(Value::Bool(_)) => {}
            Some(other) => bail!("`required` at #{pointer} is {other}, not a list of names"),
        }
        let mut whole = Schema::Object(object);
        for (pattern, value) in map("patternProperties")? {
            let place = format!("{pointer}/patternProperties/{}", escaped(&pattern));
            let schema = self.schema(&place, &value)?;
            match texts_with(&pattern) {
                Ok(names) => {
                    let patterns = vec![(names, schema)];
                    whole = self.intersect(whole, Schema::Object(Object { patterns, ..Object::default() }))?;
                }
                Err(error) => self.unable(pointer, "patternProperties", format!("/{pattern}/ has {error}"))?,
            }
        }
        let additional = match members.get("additionalProperties") {
            Some(value) => Some(self.child(pointer, "additionalProperties", value)?),
            None => None,
        };
        let Schema::Object(mut object) = whole else { return Ok(whole) };
        if let Some(additional) = additional {
            *object.additional = additional;
            object.additional_given = true;
        }
        object.min = count(pointer, members, "minProperties")?.unwrap_or(0);
        object.max = count(pointer, members, "maxProperties")?;
        if let Some(value) = members.get("propertyNames") {
            let place = format!("{pointer}/propertyNames");
            let names = self.schema(&place, value)?;
            return self.with_names(pointer, object, names);
        }
        self.intersect(Schema::Object(object), Schema::Object(Object::default()))
    }

    /// `propertyNames`.
    fn with_names(&mut self, pointer: &str, mut object: Object, names: Schema) -> Result<Schema> {
        let names = match names {
            Schema::Lazy(lazy) => self.resolved(&lazy)?,
            names => names,
        };
        let options = match names {
            Schema::Any => return Ok(Schema::Object(object)),
            Schema::AnyOf(options) => options,
            other => vec![other],
        };
        let mut texts = Vec::new();
        for option in options {
            match option {
                // names are always texts
                Schema::Text(text) => texts.push(text),
                Schema::Lazy(_) => {
                    self.unable(pointer, "propertyNames", "it refers to several schemas")?;
                    return Ok(Schema::Object(object));
                }
                _ => {}
            }
        }
        if texts.iter().any(Text::is_any) {
            return Ok(Schema::Object(object));
        }
        let known: Option<Vec<Rc<Vec<String>>>> = texts.iter().map(|text| text.values.clone()).collect();
        match known {
            Some(known) => {
                let mut properties = indexmap::IndexMap::new();
                for name in known.iter().flat_map(|names| names.iter()) {
                    properties.insert(name.clone(), object.property(name)?);
                }
                object.properties = properties;
                object.patterns.clear();
                *object.additional = Schema::Never;
            }
            None => object.names.push(Rx::or(texts.iter().map(Text::texts))),
        }
        Ok(Schema::Object(object))
    }
}

/// Keywords of one kind of JSON.
const TYPED: [&str; 25] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "items",
    "prefixItems",
    "additionalItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
    "propertyNames",
    "minProperties",
    "maxProperties",
];

/// A count, which may be written as 2.0.
fn count(pointer: &str, members: &Members, keyword: &str) -> Result<Option<u64>> {
    let Some(value) = members.get(keyword) else { return Ok(None) };
    let number = value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0)?;
        Some(number as u64)
    });
    ensure!(number.is_some(), "`{keyword}` at #{pointer} is {value}, not a whole number from 0 on");
    Ok(number)
}
