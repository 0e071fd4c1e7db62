//! The key–value pairs of a model file, with typed look-up.

mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::{Error, Result};

pub use value::{Array, Value};

/// The metadata of a model file: unique keys, ordered by name.
///
/// Getters fail with [`Error::InvalidModel`], naming the key, if the value has another type or does
/// not fit. If the key is absent, `opt_` getters return `None` and the others fail. Writers choose
/// number types freely, so a number converts to any type that can hold it, and 0 and 1 to bools.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    entries: BTreeMap<String, Value>,
}

/// The type that each getter expects, for errors.
mod expected {
    pub const STR: &str = "a string";
    pub const BOOL: &str = "true or false";
    pub const U32: &str = "an integer from 0 to 4294967295";
    pub const INTEGER: &str = "an integer";
    pub const UNIFORM: &str = "an integer from 0 to 4294967295, the same for every layer";
    pub const F32: &str = "a number";
    pub const STRINGS: &str = "an array of strings";
    pub const F32S: &str = "an array of numbers";
    pub const I32S: &str = "an array of 32-bit integers";
}

impl Metadata {
    /// The value of `key`, of any type.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Sets `key`. Returns its previous value.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.entries.insert(key.into(), value.into())
    }

    /// Removes the keys for which `unwanted` is true.
    pub fn remove(&mut self, unwanted: impl Fn(&str) -> bool) {
        self.entries.retain(|key, _| !unwanted(key));
    }

    /// All pairs, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The string at `key`.
    pub fn str(&self, key: &str) -> Result<&str> {
        require(key, expected::STR, self.opt_str(key))
    }

    /// The string at `key`, if present.
    pub fn opt_str(&self, key: &str) -> Result<Option<&str>> {
        self.convert(key, expected::STR, |value| match value {
            Value::String(value) => Some(value.as_str()),
            _ => None,
        })
    }

    /// The bool at `key`, if present.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>> {
        self.convert(key, expected::BOOL, Value::truth)
    }

    /// Moves the string at `key` out, if present.
    pub fn take_str(&mut self, key: &str) -> Result<Option<String>> {
        self.opt_str(key)?;
        Ok(self.entries.remove(key).and_then(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        }))
    }

    /// The number at `key` as a u32.
    pub fn u32(&self, key: &str) -> Result<u32> {
        require(key, expected::U32, self.opt_u32(key))
    }

    /// The number at `key` as a u32, if present.
    pub fn opt_u32(&self, key: &str) -> Result<Option<u32>> {
        self.convert(key, expected::U32, Value::integer)
    }

    /// The integer at `key`, of any width and sign, if present.
    pub fn opt_integer(&self, key: &str) -> Result<Option<i128>> {
        self.convert(key, expected::INTEGER, Value::integer)
    }

    /// The number at `key`, or the one that all items of the array there equal, if present.
    pub fn opt_uniform_u32(&self, key: &str) -> Result<Option<u32>> {
        self.convert(key, expected::UNIFORM, |value| Value::F64(value.uniform()?).integer())
    }

    /// The number at `key`, rounded to f32.
    pub fn f32(&self, key: &str) -> Result<f32> {
        require(key, expected::F32, self.opt_f32(key))
    }

    /// The number at `key`, rounded to f32, if present.
    pub fn opt_f32(&self, key: &str) -> Result<Option<f32>> {
        self.convert(key, expected::F32, |value| value.number().map(|number| number as f32))
    }

    /// The strings at `key`.
    pub fn strings(&self, key: &str) -> Result<&[String]> {
        require(key, expected::STRINGS, self.opt_strings(key))
    }

    /// The strings at `key`, if present.
    pub fn opt_strings(&self, key: &str) -> Result<Option<&[String]>> {
        self.convert(key, expected::STRINGS, |value| match value {
            Value::Array(Array::Strings(items)) => Some(items.as_slice()),
            _ => None,
        })
    }

    /// Moves the strings at `key` out, if present: a vocabulary is too large to hold twice.
    pub fn take_strings(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        self.opt_strings(key)?;
        Ok(self.entries.remove(key).and_then(|value| match value {
            Value::Array(Array::Strings(items)) => Some(items),
            _ => None,
        }))
    }

    /// The numbers at `key`: borrowed if stored as f32, otherwise converted.
    pub fn f32s(&self, key: &str) -> Result<Cow<'_, [f32]>> {
        require(key, expected::F32S, self.opt_f32s(key))
    }

    /// The numbers at `key`, if present: borrowed if stored as f32, otherwise converted.
    pub fn opt_f32s(&self, key: &str) -> Result<Option<Cow<'_, [f32]>>> {
        self.convert(key, expected::F32S, |value| match value {
            Value::Array(Array::F32(items)) => Some(Cow::Borrowed(items.as_slice())),
            Value::Array(array) => Some(array.numbers()?.iter().map(|&item| item as f32).collect()),
            _ => None,
        })
    }

    /// The integers at `key`: borrowed if stored as i32, otherwise converted.
    pub fn i32s(&self, key: &str) -> Result<Cow<'_, [i32]>> {
        require(key, expected::I32S, self.opt_i32s(key))
    }

    /// The integers at `key`, if present: borrowed if stored as i32, otherwise converted.
    pub fn opt_i32s(&self, key: &str) -> Result<Option<Cow<'_, [i32]>>> {
        self.convert(key, expected::I32S, |value| match value {
            Value::Array(Array::I32(items)) => Some(Cow::Borrowed(items.as_slice())),
            Value::Array(array) => array.integers().map(Cow::Owned),
            _ => None,
        })
    }

    /// Looks up `key` and converts its value. Errors: `InvalidModel` if `convert` returns `None`.
    fn convert<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match convert(value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(invalid(key, expected, value.to_string())),
        }
    }
}

/// Turns an absent key into an error.
fn require<T>(key: &str, expected: &str, found: Result<Option<T>>) -> Result<T> {
    found?.ok_or_else(|| invalid(key, expected, "no such key".into()))
}

fn invalid(key: &str, expected: &str, got: String) -> Error {
    Error::InvalidModel { what: format!("metadata key `{key}`"), expected: expected.into(), got }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let mut metadata = Metadata::default();
        metadata.insert("name", "weft");
        metadata.insert("small", 7u8);
        metadata.insert("wide", -1i64);
        metadata.insert("eps", 1e-5f64);
        metadata.insert("flag", true);
        metadata.insert("tokens", vec!["a".to_owned(), "b".to_owned()]);
        metadata.insert("types", Array::U8(vec![1, 3]));
        metadata.insert("signed", vec![1, -3]);
        metadata
    }

    #[test]
    fn integers_convert_from_any_width_when_in_range() {
        let metadata = metadata();
        assert_eq!(metadata.u32("small").unwrap(), 7);
        assert_eq!(metadata.i32s("types").unwrap(), [1, 3].as_slice());
        assert!(matches!(metadata.i32s("signed").unwrap(), Cow::Borrowed([1, -3])));
        assert_eq!(metadata.f32("eps").unwrap(), 1e-5);
        for (key, error) in [("wide", metadata.u32("wide").err()), ("signed", metadata.u32("signed").err())] {
            assert!(error.unwrap().to_string().contains(key));
        }
    }

    #[test]
    fn numbers_convert_to_every_type_that_can_hold_them() {
        let mut metadata = metadata();
        metadata.insert("whole", 32.0f32);
        metadata.insert("one", 1u8);
        metadata.insert("zero", 0i64);
        metadata.insert("wider", Array::F64(vec![0.5, 2.0]));
        assert_eq!(metadata.u32("whole").unwrap(), 32);
        assert_eq!(metadata.f32("small").unwrap(), 7.0);
        assert_eq!(metadata.f32("wide").unwrap(), -1.0);
        assert_eq!([metadata.opt_bool("one").unwrap(), metadata.opt_bool("zero").unwrap()], [Some(true), Some(false)]);
        assert_eq!(metadata.f32s("wider").unwrap(), [0.5, 2.0].as_slice());
        assert_eq!(metadata.f32s("types").unwrap(), [1.0, 3.0].as_slice());
    }

    #[test]
    fn absent_and_mistyped_keys_give_different_errors() {
        let metadata = metadata();
        assert_eq!(metadata.opt_str("absent").unwrap(), None);
        let says = |error: Error, text: &str| assert!(error.to_string().contains(text), "{error}");
        says(metadata.str("absent").unwrap_err(), "metadata key `absent`: expected a string, got no such key.");
        let mistyped = "metadata key `tokens`: expected true or false, got [2 strings].";
        says(metadata.opt_bool("tokens").unwrap_err(), mistyped);
        assert!(metadata.opt_f32("name").is_err());
        assert!(metadata.opt_bool("small").is_err());
        assert!(metadata.opt_u32("eps").is_err());
        assert!(metadata.strings("name").is_err());
        assert!(metadata.f32s("tokens").is_err());
    }
}
