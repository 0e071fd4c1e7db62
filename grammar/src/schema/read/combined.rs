//! Keywords that combine schemas: `allOf`, `anyOf`, `oneOf`, `not`, `if`, `dependent…`,
//! `unevaluated…`.

use anyhow::Result;
use serde_json::Value;

use super::Members;
use crate::schema::Compiler;
use crate::schema::kinds::{Object, Schema};
use crate::schema::places::escaped;

impl Compiler<'_> {
    pub(super) fn combined(&mut self, pointer: &str, members: &Members, mut schema: Schema) -> Result<Schema> {
        if let Some(values) = members.get("allOf") {
            let parts = self.children(pointer, "allOf", values)?;
            let mut all = Schema::Any;
            for part in &parts {
                all = self.intersect(all, part.clone())?;
            }
            if all.is_never() {
                all = self.closed_together(parts)?;
            }
            schema = self.intersect(schema, all)?;
        }
        if let Some(values) = members.get("anyOf") {
            let options = Schema::any_of(self.children(pointer, "anyOf", values)?);
            schema = self.intersect(schema, options)?;
        }
        if let Some(values) = members.get("oneOf") {
            let options = self.children(pointer, "oneOf", values)?;
            let one = self.one_of(pointer, &schema, options)?;
            schema = self.intersect(schema, one)?;
        }
        if let Some(value) = members.get("not") {
            let not = self.child(pointer, "not", value)?;
            match self.negate(not)? {
                Some(not) => schema = self.intersect(schema, not)?,
                None => self.unable(pointer, "not", "its schema cannot be negated")?,
            }
        }
        if let Some(value) = members.get("if") {
            let then = members.get("then").map(|value| self.child(pointer, "then", value)).transpose()?;
            let other = members.get("else").map(|value| self.child(pointer, "else", value)).transpose()?;
            if then.is_some() || other.is_some() {
                let condition = self.child(pointer, "if", value)?;
                let both = self.intersect(condition.clone(), then.unwrap_or(Schema::Any))?;
                match self.negate(condition)? {
                    Some(not) => {
                        let neither = self.intersect(not, other.unwrap_or(Schema::Any))?;
                        schema = self.intersect(schema, Schema::any_of([both, neither]))?;
                    }
                    None => self.unable(pointer, "if", "its condition cannot be negated")?,
                }
            }
        }
        Ok(schema)
    }

    /// Joins closed objects that no value fits together. Schemas like that (zod's intersections)
    /// mean that the objects are closed jointly.
    fn closed_together(&mut self, parts: Vec<Schema>) -> Result<Schema> {
        let mut all = Schema::Any;
        for part in parts {
            let Some(part) = opened(part) else { return Ok(Schema::Never) };
            all = self.intersect(all, part)?;
        }
        Ok(self.with_rest(all, &Schema::Never, false)?.unwrap_or(Schema::Never))
    }

    /// `oneOf`: each option without those that overlap with it.
    fn one_of(&mut self, pointer: &str, schema: &Schema, options: Vec<Schema>) -> Result<Schema> {
        // the rest of the schema may make the options disjoint
        let base = if matches!(schema, Schema::AnyOf(_)) { Schema::Any } else { schema.clone() };
        let narrowed =
            options.iter().map(|option| self.intersect(option.clone(), base.clone())).collect::<Result<Vec<_>>>()?;
        let mut exact = Vec::new();
        for (at, option) in options.iter().enumerate() {
            let mut only = option.clone();
            for (other_at, other) in options.iter().enumerate() {
                let (Some(a), Some(b)) = (narrowed.get(at), narrowed.get(other_at)) else { continue };
                if at == other_at || self.disjoint(a, b)? {
                    continue;
                }
                match self.negate(other.clone())? {
                    Some(not) => only = self.intersect(only, not)?,
                    None => {
                        self.unable(pointer, "oneOf", "its cases may overlap: use `anyOf` if several may fit")?;
                        return Ok(Schema::any_of(options));
                    }
                }
            }
            exact.push(only);
        }
        Ok(Schema::any_of(exact))
    }

    /// `dependentRequired`, `dependentSchemas`, and `dependencies`, which combined both.
    pub(super) fn dependents(&mut self, pointer: &str, members: &Members, mut schema: Schema) -> Result<Schema> {
        for keyword in ["dependentRequired", "dependentSchemas", "dependencies"] {
            let Some(Value::Object(dependents)) = members.get(keyword) else { continue };
            for (name, value) in dependents {
                let needed = match value {
                    Value::Array(names) => {
                        let names = names.iter().filter_map(|name| name.as_str().map(str::to_owned));
                        Schema::Object(Object { required: names.collect(), ..Object::default() })
                    }
                    value => self.schema(&format!("{pointer}/{keyword}/{}", escaped(name)), value)?,
                };
                let properties = [(name.clone(), Schema::Never)].into();
                let without = Schema::Object(Object { properties, ..Object::default() });
                let with = Schema::Object(Object { required: [name.clone()].into(), ..Object::default() });
                let kinds = Schema::kinds().into_iter().filter(|kind| !matches!(kind, Schema::Object(_)));
                let with = self.intersect(with, needed)?;
                schema = self.intersect(schema, Schema::any_of(kinds.chain([without, with])))?;
            }
        }
        Ok(schema)
    }

    /// `unevaluatedProperties` and `unevaluatedItems`: what no other keyword of the schema covers.
    pub(super) fn unevaluated(&mut self, pointer: &str, members: &Members, mut schema: Schema) -> Result<Schema> {
        for keyword in ["unevaluatedProperties", "unevaluatedItems"] {
            let Some(value) = members.get(keyword) else { continue };
            let rest = self.child(pointer, keyword, value)?;
            if matches!(rest, Schema::Any) {
                continue;
            }
            match self.with_rest(schema.clone(), &rest, keyword == "unevaluatedItems")? {
                Some(closed) => schema = closed,
                None => self.unable(pointer, keyword, "it is combined with `not` or `if`")?,
            }
        }
        Ok(schema)
    }

    /// `None` if it cannot be decided what other keywords cover.
    fn with_rest(&mut self, schema: Schema, rest: &Schema, items: bool) -> Result<Option<Schema>> {
        self.spend()?;
        Ok(Some(match schema {
            Schema::Any => {
                let kinds = Schema::AnyOf(Schema::kinds());
                return self.with_rest(kinds, rest, items);
            }
            Schema::AnyOf(options) => {
                let mut closed = Vec::new();
                for option in options {
                    let Some(option) = self.with_rest(option, rest, items)? else { return Ok(None) };
                    closed.push(option);
                }
                Schema::any_of(closed)
            }
            Schema::Lazy(lazy) => {
                let schema = self.resolved(&lazy)?;
                return self.deeper(|this| this.with_rest(schema, rest, items));
            }
            Schema::Object(object) if !items && object.negated => return Ok(None),
            Schema::Array(array) if items && array.negated => return Ok(None),
            Schema::Object(mut object) if !items && !object.additional_given => {
                *object.additional = rest.clone();
                object.additional_given = true;
                Schema::Object(object)
            }
            Schema::Array(mut array) if items && !array.items_given => {
                *array.items = rest.clone();
                array.items_given = true;
                Schema::Array(array)
            }
            other => other,
        }))
    }
}

/// Objects, with additional properties allowed; `None` for other schemas.
fn opened(schema: Schema) -> Option<Schema> {
    match schema {
        Schema::Object(mut object) => {
            if object.additional.is_never() {
                *object.additional = Schema::Any;
                object.additional_given = false;
            }
            Some(Schema::Object(object))
        }
        Schema::AnyOf(options) => Some(Schema::AnyOf(options.into_iter().map(opened).collect::<Option<_>>()?)),
        _ => None,
    }
}
