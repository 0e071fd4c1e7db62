//! Intersection and complement of schemas, and whether two are disjoint.

use anyhow::{Result, bail, ensure};

use super::Compiler;
use super::kinds::{Array, Lazy, Object, Schema};
use super::scalars::{Number, Text, least};
use crate::regex::Rx;

impl Compiler<'_> {
    /// Values that fit both.
    pub(super) fn intersect(&mut self, a: Schema, b: Schema) -> Result<Schema> {
        self.spend()?;
        Ok(match (a, b) {
            (Schema::Any, other) | (other, Schema::Any) => other,
            (Schema::Never, _) | (_, Schema::Never) => Schema::Never,
            (Schema::Lazy(a), Schema::Lazy(b)) => {
                let with = match (a.with, b.with) {
                    (Some(a), Some(b)) => Some(Box::new(self.intersect(*a, *b)?)),
                    (one, another) => one.or(another),
                };
                let mut places = [a.places, b.places].concat();
                places.sort();
                places.dedup();
                Schema::Lazy(Lazy { places, with })
            }
            (Schema::Lazy(lazy), other) | (other, Schema::Lazy(lazy)) => {
                let with = match lazy.with {
                    Some(with) => self.intersect(*with, other)?,
                    None => other,
                };
                Schema::Lazy(Lazy { places: lazy.places, with: Some(Box::new(with)) })
            }
            (Schema::AnyOf(options), other) => {
                let both = options.into_iter().map(|option| self.intersect(option, other.clone()));
                Schema::any_of(both.collect::<Result<Vec<_>>>()?)
            }
            (other, Schema::AnyOf(options)) => {
                let both = options.into_iter().map(|option| self.intersect(other.clone(), option));
                Schema::any_of(both.collect::<Result<Vec<_>>>()?)
            }
            (Schema::Null, Schema::Null) => Schema::Null,
            (Schema::Bool(a), Schema::Bool(b)) if a == b => Schema::Bool(a),
            (Schema::Number(a), Schema::Number(b)) => a.intersect(b)?,
            (Schema::Text(a), Schema::Text(b)) => a.intersect(b)?,
            (Schema::Array(a), Schema::Array(b)) => self.intersect_arrays(a, b)?,
            (Schema::Object(a), Schema::Object(b)) => self.intersect_objects(a, b)?,
            _ => Schema::Never,
        })
    }

    fn intersect_arrays(&mut self, mut a: Array, mut b: Array) -> Result<Schema> {
        let length = a.prefix.len().max(b.prefix.len());
        a.prefix.resize_with(length, || (*a.items).clone());
        b.prefix.resize_with(length, || (*b.items).clone());
        let prefix = a.prefix.into_iter().zip(b.prefix).map(|(a, b)| self.intersect(a, b)).collect::<Result<_>>()?;
        let array = Array {
            prefix,
            items: Box::new(self.intersect(*a.items, *b.items)?),
            items_given: a.items_given || b.items_given,
            min: a.min.max(b.min),
            max: least(a.max, b.max),
            unique: a.unique.or(b.unique),
            contains: [a.contains, b.contains].concat(),
            negated: a.negated || b.negated,
        };
        let empty = array.max.is_some_and(|max| array.min > max);
        Ok(if empty { Schema::Never } else { Schema::Array(array) })
    }

    fn intersect_objects(&mut self, a: Object, b: Object) -> Result<Schema> {
        let mut both = Object {
            required: a.required.iter().chain(&b.required).cloned().collect(),
            additional_given: a.additional_given || b.additional_given,
            names: [a.names.clone(), b.names.clone()].concat(),
            min: a.min.max(b.min),
            max: least(a.max, b.max),
            negated: a.negated || b.negated,
            ..Object::default()
        };
        if both.max.is_some_and(|max| both.min > max || both.required.len() as u64 > max) {
            return Ok(Schema::Never);
        }
        for name in a.properties.keys().chain(b.properties.keys()) {
            if !both.properties.contains_key(name) {
                let schema = self.intersect(a.property(name)?, b.property(name)?)?;
                both.properties.insert(name.clone(), schema);
            }
        }
        if both.required.iter().any(|name| both.properties.get(name).is_some_and(Schema::is_never)) {
            return Ok(Schema::Never);
        }
        let rest = |of: &[(Rx, Schema)]| of.iter().map(|(names, _)| names.clone().not()).collect::<Vec<_>>();
        let (not_a, not_b) = (rest(&a.patterns), rest(&b.patterns));
        let mut patterns = Vec::new();
        for (names, schema) in &a.patterns {
            for (others, other) in &b.patterns {
                patterns.push((vec![names.clone(), others.clone()], schema.clone(), other.clone()));
            }
            patterns.push(([vec![names.clone()], not_b.clone()].concat(), schema.clone(), (*b.additional).clone()));
        }
        for (names, schema) in b.patterns {
            patterns.push(([vec![names], not_a.clone()].concat(), schema, (*a.additional).clone()));
        }
        // each that overlaps with all others doubles the number of sets
        const MOST_PATTERNS: usize = 40;
        ensure!(
            patterns.len() <= MOST_PATTERNS,
            "too many `patternProperties` may match the same name: at most {MOST_PATTERNS}"
        );
        for (names, schema, other) in patterns {
            let several = names.len() > 1;
            let names = Rx::and(names);
            if !(several && names.has_none().unwrap_or(false)) {
                both.patterns.push((names, self.intersect(schema, other)?));
            }
        }
        both.additional = Box::new(self.intersect(*a.additional, *b.additional)?);
        Ok(Schema::Object(both))
    }

    /// Values that do not fit; `None` if no schema expresses that.
    pub(super) fn negate(&mut self, schema: Schema) -> Result<Option<Schema>> {
        self.spend()?;
        let others = |kind: &Schema| {
            let kind = std::mem::discriminant(kind);
            Schema::kinds().into_iter().filter(move |other| std::mem::discriminant(other) != kind)
        };
        Ok(Some(match schema {
            Schema::Any => Schema::Never,
            Schema::Never => Schema::Any,
            Schema::Null => Schema::any_of(others(&Schema::Null)),
            Schema::Bool(value) => Schema::any_of(others(&Schema::Bool(value)).chain([Schema::Bool(!value)])),
            Schema::Number(number) => {
                let rest = if number.is_any() {
                    None
                } else {
                    let Some(texts) = number.all_texts(&self.options.limits) else { return Ok(None) };
                    Some(Schema::Number(Number { written: vec![texts.not()], ..Number::default() }))
                };
                Schema::any_of(others(&Schema::Number(Number::default())).chain(rest))
            }
            Schema::Text(text) => {
                let rest = (!text.is_any())
                    .then(|| Schema::Text(Text { patterns: vec![text.texts().not()], ..Text::default() }));
                Schema::any_of(others(&Schema::Text(Text::default())).chain(rest))
            }
            Schema::Array(array) => {
                let Some(rest) = self.negate_array(array)? else { return Ok(None) };
                Schema::any_of(others(&Schema::Array(Array::default())).chain(rest))
            }
            Schema::Object(object) => {
                let Some(rest) = self.negate_object(object)? else { return Ok(None) };
                Schema::any_of(others(&Schema::Object(Object::default())).chain(rest))
            }
            Schema::AnyOf(options) => {
                let mut none = Schema::Any;
                for option in options {
                    let Some(not) = self.negate(option)? else { return Ok(None) };
                    none = self.intersect(none, not)?;
                }
                none
            }
            Schema::Lazy(lazy) => {
                let schema = self.resolved(&lazy)?;
                return self.deeper(|this| this.negate(schema));
            }
        }))
    }

    /// Arrays that do not fit.
    fn negate_array(&mut self, array: Array) -> Result<Option<Vec<Schema>>> {
        let open = matches!(*array.items, Schema::Any | Schema::Never);
        if !open || array.unique.is_some() || !array.contains.is_empty() {
            return Ok(None);
        }
        let mut rest = Vec::new();
        let sized = |min, max| Schema::Array(Array { min, max, ..Array::default() });
        if let Some(max) = array.min.checked_sub(1) {
            rest.push(sized(0, Some(max)));
        }
        let closed = array.items.is_never().then_some(array.prefix.len() as u64);
        if let Some(max) = least(array.max, closed) {
            rest.push(sized(max + 1, None));
        }
        for (at, item) in array.prefix.into_iter().enumerate() {
            let Some(not) = self.negate(item)? else { return Ok(None) };
            let mut prefix = vec![Schema::Any; at];
            prefix.push(not);
            rest.push(Schema::Array(Array { prefix, min: at as u64 + 1, negated: true, ..Array::default() }));
        }
        Ok(Some(rest))
    }

    /// Objects that do not fit.
    fn negate_object(&mut self, object: Object) -> Result<Option<Vec<Schema>>> {
        let open = matches!(*object.additional, Schema::Any);
        if !open || !object.patterns.is_empty() || !object.names.is_empty() {
            return Ok(None);
        }
        let mut rest = Vec::new();
        for name in object.required {
            rest.push(Schema::Object(Object { properties: [(name, Schema::Never)].into(), ..Object::default() }));
        }
        for (name, schema) in object.properties {
            if matches!(schema, Schema::Any) {
                continue;
            }
            let Some(not) = self.negate(schema)? else { return Ok(None) };
            rest.push(Schema::Object(Object {
                properties: [(name.clone(), not)].into(),
                required: [name].into(),
                negated: true,
                ..Object::default()
            }));
        }
        if let Some(max) = object.min.checked_sub(1) {
            rest.push(Schema::Object(Object { max: Some(max), ..Object::default() }));
        }
        if let Some(max) = object.max {
            rest.push(Schema::Object(Object { min: max + 1, ..Object::default() }));
        }
        Ok(Some(rest))
    }

    /// Whether certainly no value fits both.
    pub(super) fn disjoint(&mut self, a: &Schema, b: &Schema) -> Result<bool> {
        self.spend()?;
        Ok(match (a, b) {
            (Schema::Never, _) | (_, Schema::Never) => true,
            (Schema::Any, _) | (_, Schema::Any) => false,
            (Schema::Lazy(lazy), other) | (other, Schema::Lazy(lazy)) => {
                let schema = self.resolved(lazy)?;
                // a recursive schema may have no end
                self.deeper(|this| this.disjoint(&schema, other)).unwrap_or(false)
            }
            (Schema::AnyOf(options), other) | (other, Schema::AnyOf(options)) => {
                for option in options {
                    if !self.disjoint(option, other)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Schema::Null, Schema::Null) => false,
            (Schema::Bool(a), Schema::Bool(b)) => a != b,
            (Schema::Number(a), Schema::Number(b)) => match a.clone().intersect(b.clone())? {
                Schema::Number(both) if both.values.is_none() => {
                    let texts = both.all_texts(&self.options.limits);
                    texts.is_some_and(|texts| texts.has_none().unwrap_or(false))
                }
                both => both.is_never(),
            },
            (Schema::Text(a), Schema::Text(b)) => match a.clone().intersect(b.clone())? {
                Schema::Text(both) if both.values.is_none() => both.texts().has_none().unwrap_or(false),
                both => both.is_never(),
            },
            (Schema::Array(a), Schema::Array(b)) => {
                let (min, max) = (a.min.max(b.min), least(a.max, b.max));
                let item = |of: &Array, at: usize| of.prefix.get(at).unwrap_or(&of.items).clone();
                let differs = max.is_some_and(|max| min > max);
                let compared = (min as usize).min(a.prefix.len().max(b.prefix.len()).max(1));
                for at in 0..compared {
                    if self.disjoint(&item(a, at), &item(b, at))? {
                        return Ok(true);
                    }
                }
                differs
            }
            (Schema::Object(a), Schema::Object(b)) => {
                for name in a.required.iter().chain(&b.required) {
                    if self.disjoint(&a.property(name)?, &b.property(name)?)? {
                        return Ok(true);
                    }
                }
                least(a.max, b.max).is_some_and(|max| a.min.max(b.min) > max)
            }
            _ => true,
        })
    }

    /// The combined schema of the places.
    pub(super) fn resolved(&mut self, lazy: &Lazy) -> Result<Schema> {
        let mut schema = Schema::Any;
        for place in &lazy.places {
            let said = self.at(place)?;
            schema = self.intersect(schema, said)?;
        }
        match &lazy.with {
            Some(with) => self.intersect(schema, (**with).clone()),
            None => Ok(schema),
        }
    }

    /// Follows a reference, which may lead back here.
    pub(super) fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        const DEEPEST: u32 = 32;
        if self.depth == DEEPEST {
            bail!("a `$ref` leads back to itself, or {DEEPEST} of them lead to each other");
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }
}
