//! The header of a safetensors file: names and places of its tensors.
//!
//! Source: the format's description in the `safetensors` repository. Eight bytes with the length of
//! the header, little-endian; the header, JSON `{name: {dtype, shape, data_offsets: [begin, end]}}`
//! with an optional `__metadata__`; then the values, row-major and little-endian, without gaps.
//! Files are not trusted: all sizes in the header must agree.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::BlockType;
use super::header::{MAX_HEADER_BYTES, invalid};
use super::magic::looks_like;
use crate::{Error, Result};

/// Enough bytes to recognise a wrong file: the length, and the first of the JSON.
const PREAMBLE_BYTES: usize = 16;

/// Value types and their sizes in bytes. A file may contain other types than weights have, such as
/// positions as integers.
const DTYPES: [(&str, u64); 15] = [
    ("F32", 4),
    ("F16", 2),
    ("BF16", 2),
    ("F64", 8),
    ("I64", 8),
    ("U64", 8),
    ("I32", 4),
    ("U32", 4),
    ("I16", 2),
    ("U16", 2),
    ("I8", 1),
    ("U8", 1),
    ("BOOL", 1),
    ("F8_E4M3", 1),
    ("F8_E5M2", 1),
];

/// A tensor of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Type of the values, such as `BF16`.
    pub dtype: String,
    /// Dimensions, slowest first: (rows, columns) for a matrix.
    pub shape: Vec<u64>,
    /// Offset of the first byte, counted from the end of the header.
    pub begin: u64,
    /// Offset after the last byte.
    pub end: u64,
}

impl Entry {
    /// The type as a block type. Errors: `UnsupportedTensorType` for a type that weights do not
    /// have.
    pub fn block(&self) -> Result<BlockType> {
        match self.dtype.as_str() {
            "F32" => Ok(BlockType::F32),
            "F16" => Ok(BlockType::F16),
            "BF16" => Ok(BlockType::Bf16),
            _ => Err(self.unsupported("F32, F16, BF16")),
        }
    }

    /// Errors: `UnsupportedTensorType` unless it is of bytes, in which values are packed.
    pub fn packed(&self) -> Result<()> {
        if self.dtype == "U8" { Ok(()) } else { Err(self.unsupported("U8")) }
    }

    fn unsupported(&self, known: &str) -> Error {
        let (tensor, found) = (self.name.clone(), self.dtype.clone());
        Error::UnsupportedTensorType { tensor, found, known: known.into() }
    }

    /// Checks type and size.
    fn check(&self) -> Result<()> {
        let wrong = |what: &str, expected: String, got: String| {
            Err(invalid(format!("{what} of tensor `{}`", self.name), expected, got))
        };
        let Some((_, bytes)) = DTYPES.iter().find(|(name, _)| *name == self.dtype) else {
            return Err(self.unsupported(&DTYPES.map(|(name, _)| name).join(", ")));
        };
        let size = self.shape.iter().try_fold(*bytes, |size, dim| size.checked_mul(*dim));
        let Some(size) = size.filter(|&size| usize::try_from(size).is_ok()) else {
            return wrong("shape", "a tensor that this machine can address".into(), format!("{:?}", self.shape));
        };
        if self.end.checked_sub(self.begin) != Some(size) {
            let expected = format!("{size} bytes, for {} of shape {:?}", self.dtype, self.shape);
            return wrong("data_offsets", expected, format!("[{}, {}]", self.begin, self.end));
        }
        Ok(())
    }
}

/// The header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetensorsHeader {
    /// The tensors in the order of their values.
    pub entries: Vec<Entry>,
    /// Length of the header, in bytes.
    pub header_bytes: u64,
    /// Length of the whole file, in bytes.
    pub file_bytes: u64,
}

/// Parses a header from bytes that arrive in pieces; takes no byte of the values.
#[derive(Debug, Default)]
pub struct HeaderParser {
    bytes: Vec<u8>,
    /// Bytes of the whole header, once known.
    len: Option<usize>,
}

impl HeaderParser {
    /// Takes bytes of the header from the front of `input`. Returns the header when it is complete.
    ///
    /// # Errors
    /// `InvalidFile`; `UnsupportedTensorType` for a type that weft does not know.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<SafetensorsHeader>> {
        loop {
            let needs = self.len.unwrap_or(PREAMBLE_BYTES);
            let (taken, rest) = input.split_at(input.len().min(needs.saturating_sub(self.bytes.len())));
            self.bytes.extend_from_slice(taken);
            *input = rest;
            if self.bytes.len() < needs {
                return Ok(None);
            }
            if self.len.is_some() {
                return parse(&self.bytes).map(Some);
            }
            self.len = Some(self.header_bytes()?);
        }
    }

    /// Length of the whole header, from its first bytes.
    fn header_bytes(&self) -> Result<usize> {
        let (len, json) = self.bytes.split_at(8);
        let len = len.iter().rev().fold(0u64, |len, byte| len << 8 | u64::from(*byte));
        if json.first() != Some(&b'{') || !(8..=MAX_HEADER_BYTES).contains(&len) {
            let expected = format!("the length of a safetensors header, up to {MAX_HEADER_BYTES}, and JSON");
            return Err(invalid("the first bytes", expected, looks_like(&self.bytes)));
        }
        Ok(8 + len as usize)
    }

    /// Whether any byte has arrived.
    pub fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The error if `file` ends here.
    pub fn truncated(&self, file: &str) -> Error {
        let needed = self.len.unwrap_or(PREAMBLE_BYTES) as u64;
        Error::TruncatedFile { field: format!("the header of {file}"), needed, got: self.bytes.len() as u64 }
    }
}

fn parse(bytes: &[u8]) -> Result<SafetensorsHeader> {
    let header_bytes = bytes.len() as u64;
    let malformed = |error: serde_json::Error| invalid("header of the safetensors file", "JSON", error.to_string());
    let Entries(mut entries) = serde_json::from_slice(&bytes[8..]).map_err(malformed)?;
    entries.sort_by_key(|entry| (entry.begin, entry.end));
    let mut end = 0;
    for entry in &entries {
        entry.check()?;
        if entry.begin != end {
            let expected = format!("{end}, where the tensor before it ends");
            let field = format!("data_offsets of tensor `{}`", entry.name);
            return Err(invalid(field, expected, entry.begin.to_string()));
        }
        end = entry.end;
    }
    let file_bytes = header_bytes.saturating_add(end);
    Ok(SafetensorsHeader { entries, header_bytes, file_bytes })
}

/// The entries of the JSON object. A map would silently keep only the last of several with one
/// name.
struct Entries(Vec<Entry>);

#[derive(Deserialize)]
struct Fields {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let (mut entries, mut names) = (Vec::new(), HashSet::new());
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<serde::de::IgnoredAny>()?;
                continue;
            }
            if !names.insert(name.clone()) {
                return Err(serde::de::Error::custom(format!("tensor `{name}` twice")));
            }
            let Fields { dtype, shape, data_offsets: [begin, end] } = map.next_value()?;
            entries.push(Entry { name, dtype, shape, begin, end });
        }
        Ok(Entries(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<SafetensorsHeader> {
        let bytes = [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
        // byte by byte and at once give the same
        let mut parser = HeaderParser::default();
        let mut last = Ok(None);
        for byte in bytes.chunks(1) {
            last = parser.feed(&mut &*byte);
            if last.is_err() {
                break;
            }
        }
        let once = HeaderParser::default().feed(&mut bytes.as_slice());
        assert_eq!(format!("{last:?}"), format!("{once:?}"));
        once.map(|header| header.expect("the whole header came"))
    }

    #[test]
    fn tensors_have_the_order_of_their_values() {
        let json = r#"{"__metadata__": {"format": "pt"},
            "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
            "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}"#;
        let header = read(json).unwrap();
        assert_eq!(header.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(header.file_bytes, 8 + json.len() as u64 + 16);
        assert_eq!(header.entries[1].block().unwrap(), BlockType::Bf16);
    }

    #[test]
    fn a_contradictory_header_names_the_tensor() {
        let refused = |json: &str, expected: &str| {
            let error = read(json).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}"#, "tensor `a`: expected 8 bytes");
        refused(r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}"#, "tensor `a`: expected 8 bytes");
        refused(r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}"#, "tensor `a`: expected 0");
        let two = r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "NAME": {"dtype": "F32", "shape": [1], "data_offsets": [BEGIN, END]}}"#;
        let two =
            |name: &str, begin: &str, end: &str| two.replace("NAME", name).replace("BEGIN", begin).replace("END", end);
        refused(&two("b", "0", "4"), "tensor `b`: expected 4");
        refused(&two("b", "8", "12"), "tensor `b`: expected 4");
        refused(&two("a", "4", "8"), "tensor `a` twice");
        refused(r#"{"a": {"dtype": "F32", "shape": [4294967296, 4294967296, 4], "data_offsets": [0, 0]}}"#, "shape");
        refused(r#"{"a": {"dtype": "Q8", "shape": [1], "data_offsets": [0, 1]}}"#, "tensor `a` is stored as Q8");
        refused(r#"{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}"#, "JSON");
        refused(r#"{"a": {"dtype": "F32"}       }"#, "shape");
        refused("{ not json ", "JSON");
    }

    #[test]
    fn a_wrong_file_is_named() {
        let refused = |bytes: &[u8], expected: &str| {
            let error = HeaderParser::default().feed(&mut &*bytes).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(b"<!DOCTYPE html><html>", "a web page");
        refused(b"version https://git-lfs.github.com/spec/v1", "Git LFS");
        refused(b"GGUF\x03\0\0\0aaaaaaaaaaaa", "a GGUF file");
        refused(&[&(1u64 << 40).to_le_bytes()[..], b"{\"a\": 1}"].concat(), "up to 67108864");
        let error = HeaderParser::default().truncated("model.safetensors").to_string();
        assert!(error.contains("the header of model.safetensors"), "{error}");
    }
}
