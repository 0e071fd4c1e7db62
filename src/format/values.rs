//! Metadata values in GGUF's encoding: a type number, then the value, little-endian.

use super::cursor::{Cursor, Stop};
use super::header::invalid;
use super::metadata::{Array, Value};
use crate::Result;

/// GGUF's number of the array type.
pub(super) const ARRAY: u32 = 9;

/// Reads a value of a type other than [`ARRAY`]. `key` is for errors.
pub(super) fn scalar(kind: u32, key: &str, cursor: &mut Cursor) -> Result<Value, Stop> {
    let field = || format!("metadata key `{key}`");
    Ok(match kind {
        0 => Value::U8(cursor.u8()?),
        1 => Value::I8(cursor.u8()?.cast_signed()),
        2 => Value::U16(cursor.u16()?),
        3 => Value::I16(cursor.u16()?.cast_signed()),
        4 => Value::U32(cursor.u32()?),
        5 => Value::I32(cursor.u32()?.cast_signed()),
        6 => Value::F32(f32::from_bits(cursor.u32()?)),
        7 => Value::Bool(truth(cursor.u8()?, key)?),
        8 => Value::String(cursor.string(field)?),
        10 => Value::U64(cursor.u64()?),
        11 => Value::I64(cursor.u64()?.cast_signed()),
        12 => Value::F64(f64::from_bits(cursor.u64()?)),
        other => return Err(invalid(field(), "a value type from 0 to 12", other.to_string()).into()),
    })
}

/// Reads the next elements, up to `left` of them.
pub(super) fn elements(key: &str, array: &mut Array, left: u64, cursor: &mut Cursor) -> Result<(), Stop> {
    /// Numbers are decoded in runs, which the parser collects first.
    const RUN: u64 = 1024;

    fn extend<const N: usize, T>(
        items: &mut Vec<T>,
        left: u64,
        cursor: &mut Cursor,
        decode: fn([u8; N]) -> T,
    ) -> Result<(), Stop> {
        let bytes = cursor.take(left.min(RUN) * N as u64)?;
        items.extend(bytes.as_chunks::<N>().0.iter().map(|&bytes| decode(bytes)));
        Ok(())
    }

    match array {
        Array::U8(items) => extend(items, left, cursor, u8::from_le_bytes),
        Array::I8(items) => extend(items, left, cursor, i8::from_le_bytes),
        Array::U16(items) => extend(items, left, cursor, u16::from_le_bytes),
        Array::I16(items) => extend(items, left, cursor, i16::from_le_bytes),
        Array::U32(items) => extend(items, left, cursor, u32::from_le_bytes),
        Array::I32(items) => extend(items, left, cursor, i32::from_le_bytes),
        Array::U64(items) => extend(items, left, cursor, u64::from_le_bytes),
        Array::I64(items) => extend(items, left, cursor, i64::from_le_bytes),
        Array::F32(items) => extend(items, left, cursor, f32::from_le_bytes),
        Array::F64(items) => extend(items, left, cursor, f64::from_le_bytes),
        Array::Bools(items) => {
            items.push(truth(cursor.u8()?, key)?);
            Ok(())
        }
        Array::Strings(items) => {
            items.push(cursor.string(|| format!("metadata key `{key}`, element {}", items.len() + 1))?);
            Ok(())
        }
    }
}

/// An empty array of the element type with GGUF's number `id`, and the size of its smallest element
/// in bytes.
pub(super) fn empty_array(id: u32) -> Option<(Array, u64)> {
    Some(match id {
        0 => (Array::U8(Vec::new()), 1),
        1 => (Array::I8(Vec::new()), 1),
        2 => (Array::U16(Vec::new()), 2),
        3 => (Array::I16(Vec::new()), 2),
        4 => (Array::U32(Vec::new()), 4),
        5 => (Array::I32(Vec::new()), 4),
        6 => (Array::F32(Vec::new()), 4),
        7 => (Array::Bools(Vec::new()), 1),
        8 => (Array::Strings(Vec::new()), 8),
        10 => (Array::U64(Vec::new()), 8),
        11 => (Array::I64(Vec::new()), 8),
        12 => (Array::F64(Vec::new()), 8),
        _ => return None,
    })
}

fn truth(byte: u8, key: &str) -> Result<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(invalid(format!("metadata key `{key}`"), "a bool, 0 or 1", other.to_string())),
    }
}
