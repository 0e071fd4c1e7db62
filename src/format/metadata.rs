//! The key–value pairs of a model file, with typed look-up.
//!
//! Arrays are typed vectors rather than vectors of [`Value`]: a vocabulary has up to a quarter of a million entries,
//! and a tagged value would take three to six times the memory of the number in it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::{Error, Result};

/// One metadata value, of the types that GGUF has.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Array(Array),
}

/// An array of metadata; GGUF arrays have one element type. Arrays of arrays are not read, by weft or llama.cpp.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bools(Vec<bool>),
    Strings(Vec<String>),
}

/// Runs `$body` with `$items` bound to the vector of any kind of array.
macro_rules! with_items {
    ($array:expr, $items:ident => $body:expr) => {
        match $array {
            Array::U8($items) => $body,
            Array::I8($items) => $body,
            Array::U16($items) => $body,
            Array::I16($items) => $body,
            Array::U32($items) => $body,
            Array::I32($items) => $body,
            Array::U64($items) => $body,
            Array::I64($items) => $body,
            Array::F32($items) => $body,
            Array::F64($items) => $body,
            Array::Bools($items) => $body,
            Array::Strings($items) => $body,
        }
    };
}

impl Array {
    /// Number of elements.
    pub fn len(&self) -> usize {
        with_items!(self, items => items.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as integers of type `T`, or `None` if they are no integers or one does not fit.
    fn integers<T: Copy + TryFrom<i128>>(&self) -> Option<Vec<T>> {
        fn convert<S: Copy + Into<i128>, T: TryFrom<i128>>(items: &[S]) -> Option<Vec<T>> {
            items.iter().map(|&item| T::try_from(item.into()).ok()).collect()
        }
        match self {
            Self::U8(items) => convert(items),
            Self::I8(items) => convert(items),
            Self::U16(items) => convert(items),
            Self::I16(items) => convert(items),
            Self::U32(items) => convert(items),
            Self::I32(items) => convert(items),
            Self::U64(items) => convert(items),
            Self::I64(items) => convert(items),
            Self::F32(_) | Self::F64(_) | Self::Bools(_) | Self::Strings(_) => None,
        }
    }
}

impl Array {
    /// The elements as numbers, 0 and 1 for bools, or `None` if they are strings.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        match self {
            Self::F32(items) => Some(items.iter().map(|&item| item.into()).collect()),
            Self::F64(items) => Some(items.clone()),
            Self::Bools(items) => Some(items.iter().map(|&item| f64::from(u8::from(item))).collect()),
            _ => self.integers::<i64>().map(|items| items.iter().map(|&item| item as f64).collect()),
        }
    }
}

impl Value {
    /// The value as an integer of type `T`, or `None` if it is no whole number or does not fit.
    fn integer<T: TryFrom<i128>>(&self) -> Option<T> {
        let wide: i128 = match *self {
            Self::U8(value) => value.into(),
            Self::I8(value) => value.into(),
            Self::U16(value) => value.into(),
            Self::I16(value) => value.into(),
            Self::U32(value) => value.into(),
            Self::I32(value) => value.into(),
            Self::U64(value) => value.into(),
            Self::I64(value) => value.into(),
            Self::F32(value) if value.fract() == 0.0 => value as i128,
            Self::F64(value) if value.fract() == 0.0 => value as i128,
            Self::F32(_) | Self::F64(_) | Self::Bool(_) | Self::String(_) | Self::Array(_) => return None,
        };
        T::try_from(wide).ok()
    }

    /// The value as a number, or `None` if it is none. An integer above 2^53 is rounded.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::F32(value) => Some(value.into()),
            Self::F64(value) => Some(value),
            _ => self.integer::<i128>().map(|value| value as f64),
        }
    }

    /// The number that the value is, or that all items of an array are; `None` where there is no
    /// such number.
    pub fn uniform(&self) -> Option<f64> {
        match self {
            Self::Array(array) => {
                let items = array.numbers()?;
                items.first().copied().filter(|first| items.iter().all(|item| item == first))
            }
            _ => self.number(),
        }
    }

    /// The value as a truth value: a bool, or 0 or 1.
    fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => match self.integer()? {
                0u8 => Some(false),
                1 => Some(true),
                _ => None,
            },
        }
    }
}

/// A short form for messages and listings: long strings are cut, arrays are counted.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        match self {
            Self::U8(value) => write!(f, "{value}"),
            Self::I8(value) => write!(f, "{value}"),
            Self::U16(value) => write!(f, "{value}"),
            Self::I16(value) => write!(f, "{value}"),
            Self::U32(value) => write!(f, "{value}"),
            Self::I32(value) => write!(f, "{value}"),
            Self::U64(value) => write!(f, "{value}"),
            Self::I64(value) => write!(f, "{value}"),
            Self::F32(value) => write!(f, "{value:?}"),
            Self::F64(value) => write!(f, "{value:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::String(value) => match value.char_indices().nth(SHOWN) {
                Some((cut, _)) => write!(f, "{:?}…", &value[..cut]),
                None => write!(f, "{value:?}"),
            },
            Self::Array(array) => {
                let kind = match array {
                    Array::Strings(_) => "strings",
                    Array::Bools(_) => "bools",
                    Array::F32(_) | Array::F64(_) => "floats",
                    _ => "integers",
                };
                write!(f, "[{} {kind}]", array.len())
            }
        }
    }
}

/// `Value::from(3u32)`, `Value::from("text")`, `Value::from(vec![0.5f32])` for each type.
macro_rules! from {
    ($($source:ty => $kind:path),* $(,)?) => {$(
        impl From<$source> for Value {
            fn from(value: $source) -> Self {
                $kind(value.into())
            }
        }
    )*};
}

from! {
    u8 => Value::U8, i8 => Value::I8, u16 => Value::U16, i16 => Value::I16, u32 => Value::U32, i32 => Value::I32,
    u64 => Value::U64, i64 => Value::I64, f32 => Value::F32, f64 => Value::F64, bool => Value::Bool,
    &str => Value::String, String => Value::String, Array => Value::Array,
}

impl From<Vec<String>> for Value {
    fn from(items: Vec<String>) -> Self {
        Self::Array(Array::Strings(items))
    }
}

impl From<Vec<f32>> for Value {
    fn from(items: Vec<f32>) -> Self {
        Self::Array(Array::F32(items))
    }
}

impl From<Vec<i32>> for Value {
    fn from(items: Vec<i32>) -> Self {
        Self::Array(Array::I32(items))
    }
}

/// The metadata of a model file: unique keys, ordered by name.
///
/// Every getter fails with [`Error::InvalidModel`], naming the key, when the value has another type
/// or does not fit; the plain ones also when the key is absent, where the `opt_` ones return
/// `None`. Writers choose number types freely, so each number converts to any type that can hold
/// it, and 0 and 1 to truth values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    entries: BTreeMap<String, Value>,
}

/// What each getter expects, for messages.
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
    /// The value of `key`, of whatever type.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Sets `key`, and returns the value that it had before.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.entries.insert(key.into(), value.into())
    }

    /// Removes the keys that `unwanted` says.
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

    /// The string at `key`, if there is one.
    pub fn opt_str(&self, key: &str) -> Result<Option<&str>> {
        self.convert(key, expected::STR, |value| match value {
            Value::String(value) => Some(value.as_str()),
            _ => None,
        })
    }

    /// The truth value at `key`, if there is one.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>> {
        self.convert(key, expected::BOOL, Value::truth)
    }

    /// Moves the string at `key` out, if there is one.
    pub fn take_str(&mut self, key: &str) -> Result<Option<String>> {
        self.opt_str(key)?;
        Ok(self.entries.remove(key).and_then(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        }))
    }

    /// The integer at `key`, of any type.
    pub fn u32(&self, key: &str) -> Result<u32> {
        require(key, expected::U32, self.opt_u32(key))
    }

    /// The integer at `key`, of any type, if there is one.
    pub fn opt_u32(&self, key: &str) -> Result<Option<u32>> {
        self.convert(key, expected::U32, Value::integer)
    }

    /// The integer at `key`, of any width and sign, if there is one.
    pub fn opt_integer(&self, key: &str) -> Result<Option<i128>> {
        self.convert(key, expected::INTEGER, Value::integer)
    }

    /// The integer at `key`, or the one that all items of the array there are, if there is one.
    pub fn opt_uniform_u32(&self, key: &str) -> Result<Option<u32>> {
        self.convert(key, expected::UNIFORM, |value| Value::F64(value.uniform()?).integer())
    }

    /// The number at `key`, of any type; one that an f32 cannot hold is rounded.
    pub fn f32(&self, key: &str) -> Result<f32> {
        require(key, expected::F32, self.opt_f32(key))
    }

    /// The number at `key`, of any type, if there is one; one that an f32 cannot hold is rounded.
    pub fn opt_f32(&self, key: &str) -> Result<Option<f32>> {
        self.convert(key, expected::F32, |value| value.number().map(|number| number as f32))
    }

    /// The strings at `key`.
    pub fn strings(&self, key: &str) -> Result<&[String]> {
        require(key, expected::STRINGS, self.opt_strings(key))
    }

    /// The strings at `key`, if there are any.
    pub fn opt_strings(&self, key: &str) -> Result<Option<&[String]>> {
        self.convert(key, expected::STRINGS, |value| match value {
            Value::Array(Array::Strings(items)) => Some(items.as_slice()),
            _ => None,
        })
    }

    /// Moves the strings at `key` out, if there are any: a vocabulary is too large to hold twice.
    pub fn take_strings(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        self.opt_strings(key)?;
        Ok(self.entries.remove(key).and_then(|value| match value {
            Value::Array(Array::Strings(items)) => Some(items),
            _ => None,
        }))
    }

    /// The numbers at `key`: borrowed when they are stored as f32, else converted.
    pub fn f32s(&self, key: &str) -> Result<Cow<'_, [f32]>> {
        require(key, expected::F32S, self.opt_f32s(key))
    }

    /// The numbers at `key`, if there are any: borrowed when they are stored as f32, else
    /// converted.
    pub fn opt_f32s(&self, key: &str) -> Result<Option<Cow<'_, [f32]>>> {
        self.convert(key, expected::F32S, |value| match value {
            Value::Array(Array::F32(items)) => Some(Cow::Borrowed(items.as_slice())),
            Value::Array(array) => Some(array.numbers()?.iter().map(|&item| item as f32).collect()),
            _ => None,
        })
    }

    /// The integers at `key`: borrowed when they are stored as i32, else converted.
    pub fn i32s(&self, key: &str) -> Result<Cow<'_, [i32]>> {
        require(key, expected::I32S, self.opt_i32s(key))
    }

    /// The integers at `key`, if there are any: borrowed when they are stored as i32, else converted.
    pub fn opt_i32s(&self, key: &str) -> Result<Option<Cow<'_, [i32]>>> {
        self.convert(key, expected::I32S, |value| match value {
            Value::Array(Array::I32(items)) => Some(Cow::Borrowed(items.as_slice())),
            Value::Array(array) => array.integers().map(Cow::Owned),
            _ => None,
        })
    }

    /// Looks `key` up and converts it; a value that `convert` refuses is an error.
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
    fn absent_and_mistyped_keys_are_told_apart() {
        let metadata = metadata();
        assert_eq!(metadata.opt_str("absent").unwrap(), None);
        assert_eq!(
            metadata.str("absent").unwrap_err().to_string(),
            "the model file is inconsistent: metadata key `absent`: expected a string, got no such key"
        );
        assert_eq!(
            metadata.opt_bool("tokens").unwrap_err().to_string(),
            "the model file is inconsistent: metadata key `tokens`: expected true or false, got [2 strings]"
        );
        assert!(metadata.opt_f32("name").is_err());
        assert!(metadata.opt_bool("small").is_err());
        assert!(metadata.opt_u32("eps").is_err());
        assert!(metadata.strings("name").is_err());
        assert!(metadata.f32s("tokens").is_err());
    }

    #[test]
    fn values_print_shortly() {
        assert_eq!(Value::from("ä".repeat(100)).to_string().chars().count(), 63);
        assert_eq!(Value::from(vec![1.5f32; 9]).to_string(), "[9 floats]");
        assert_eq!(Value::from(1.0f32).to_string(), "1.0");
    }
}
