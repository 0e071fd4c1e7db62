//! Values of metadata, and their conversions.
//!
//! Arrays are typed vectors, not vectors of [`Value`]: a vocabulary has up to 250,000 entries, and
//! a tagged value takes three to six times the memory of its number.

use std::fmt;

/// A metadata value, of any type in GGUF.
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

/// An array of metadata: all elements have one type, as in GGUF. Arrays of arrays are not read, as
/// in llama.cpp.
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

/// Runs `$body` with `$items` bound to the vector inside any array.
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

    /// The elements as integers of type `T`; `None` if one is no integer or does not fit.
    pub(super) fn integers<T: Copy + TryFrom<i128>>(&self) -> Option<Vec<T>> {
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
    /// The elements as numbers, bools as 0 and 1; `None` for strings.
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
    /// The value as an integer of type `T`; `None` if it is no integer or does not fit.
    pub(super) fn integer<T: TryFrom<i128>>(&self) -> Option<T> {
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

    /// The value as a number; `None` if it is none. Integers above 2^53 are rounded.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::F32(value) => Some(value.into()),
            Self::F64(value) => Some(value),
            _ => self.integer::<i128>().map(|value| value as f64),
        }
    }

    /// The value as a number, or the number that all items of an array equal; `None` if there is
    /// none.
    pub fn uniform(&self) -> Option<f64> {
        match self {
            Self::Array(array) => {
                let items = array.numbers()?;
                items.first().copied().filter(|first| items.iter().all(|item| item == first))
            }
            _ => self.number(),
        }
    }

    /// The value as a bool: a bool, or 0 or 1.
    pub(super) fn truth(&self) -> Option<bool> {
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

/// A short form for messages and listings: long strings are cut, arrays are shown as their length.
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

/// Implements `From` for each type, such as `Value::from(3u32)`, `Value::from("text")`,
/// `Value::from(vec![0.5f32])`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_in_a_short_form() {
        assert_eq!(Value::from("ä".repeat(100)).to_string().chars().count(), 63);
        assert_eq!(Value::from(vec![1.5f32; 9]).to_string(), "[9 floats]");
        assert_eq!(Value::from(1.0f32).to_string(), "1.0");
    }
}
