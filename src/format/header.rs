//! What stands before the weights in a GGUF file: metadata and descriptions of the tensors.
//!
//! Source: ggml's `docs/gguf.md`; versions 2 and 3, little-endian. In order: magic, version, the two counts, metadata
//! pairs, tensor descriptions, padding to the alignment.
//!
//! The parser works item by item: a pair, an array element or run of elements, a tensor description. It collects
//! exactly the bytes that the item at hand is known to need, so that a header in single bytes costs no more parsing
//! than one in a piece, and no byte of the weights is ever held back. What a file claims is checked before it is
//! believed: lengths and counts against [`MAX_HEADER_BYTES`], and memory is only taken for bytes that have come.

use super::block::{BlockType, ggml_type_name};
use super::cursor::{Cursor, Stop};
use super::metadata::{Array, Metadata, Value};
use crate::{Error, Result};

/// The longest header that is read, 64 MiB. The largest vocabularies (a quarter of a million tokens with as many
/// merges) take 16 MiB; a longer header is a mistake or an attack, and would fill a page's memory before any weight.
pub const MAX_HEADER_BYTES: u64 = 64 << 20;

/// The longest row that is read, 64 MiB. A row is what the reader holds back when a chunk's edge cuts it; the longest
/// of today's models, a bias over the whole vocabulary, has 1 MiB.
pub const MAX_ROW_BYTES: u64 = 64 << 20;

/// The longest metadata key and tensor name; GGUF's own bound for keys.
const MAX_NAME_BYTES: usize = 65535;

/// The largest alignment that is read; 32 is the usual one.
const MAX_ALIGNMENT: u32 = 1 << 16;

/// Bytes of the smallest metadata pair: length, key, type and value of one byte.
const MIN_PAIR_BYTES: u64 = 8 + 1 + 4 + 1;

/// Bytes of the smallest tensor description: length, name, number of dimensions, one dimension, type, offset.
const MIN_TENSOR_BYTES: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// What a file says about one of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// 1 to 4 dimensions in ggml's order: `dims[0]` is the length of a row.
    pub dims: Vec<u64>,
    /// How the rows are stored.
    pub block: BlockType,
    /// Where the first row begins, in bytes after [`Header::data_offset`].
    pub offset: u64,
}

impl TensorInfo {
    /// Values of a row.
    pub fn cols(&self) -> usize {
        self.dims[0] as usize // checked when the header was read, on this machine's usize
    }

    /// Number of rows: the product of the dimensions after the first.
    pub fn rows(&self) -> usize {
        self.dims[1..].iter().product::<u64>() as usize // checked like cols
    }

    /// Bytes of a row in the file.
    pub fn row_bytes(&self) -> usize {
        self.block.row_bytes(self.cols())
    }

    /// Bytes of all rows in the file.
    pub fn bytes(&self) -> u64 {
        self.rows() as u64 * self.row_bytes() as u64
    }
}

/// Everything that a file, or one shard of a split model, says before the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Version of GGUF: 2 or 3.
    pub version: u32,
    /// The key–value pairs.
    pub metadata: Metadata,
    /// The tensors, in the order of their data.
    pub tensors: Vec<TensorInfo>,
    /// The power of two that the weights and each tensor in them start at a multiple of, in bytes.
    pub alignment: u64,
    /// Length of the header itself, in bytes.
    pub header_bytes: u64,
    /// Where the weights begin, in bytes from the beginning of this file.
    pub data_offset: u64,
    /// Expected length of this file in bytes, with the padding after the last tensor (which some writers leave out).
    pub file_bytes: u64,
}

/// Which item comes next.
#[derive(Debug)]
enum Next {
    /// Magic, version and the two counts.
    Preamble,
    /// A metadata key with its value, or with the type and length of an array.
    Pair,
    /// Elements of the array at `key`.
    Elements { key: String, array: Array, count: u64 },
    /// A tensor description.
    Tensor,
}

/// Reads one header from bytes that come in pieces.
#[derive(Debug)]
pub(super) struct HeaderParser {
    next: Next,
    /// The bytes of the next item that have come.
    item: Vec<u8>,
    /// The bytes that the next item is so far known to need.
    needs: usize,
    /// Bytes of the items before it.
    position: u64,
    version: u32,
    pairs: u64,
    metadata: Metadata,
    tensor_count: u64,
    tensors: Vec<TensorInfo>,
}

impl HeaderParser {
    pub(super) fn new() -> Self {
        Self {
            next: Next::Preamble,
            item: Vec::new(),
            needs: 0,
            position: 0,
            version: 0,
            pairs: 0,
            metadata: Metadata::default(),
            tensor_count: 0,
            tensors: Vec::new(),
        }
    }

    /// Takes bytes of the header from the front of `input`; returns the header when its last byte was among them.
    pub(super) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Header>> {
        loop {
            let (taken, rest) = input.split_at(input.len().min(self.needs - self.item.len()));
            self.item.extend_from_slice(taken);
            *input = rest;
            if self.item.len() < self.needs {
                return Ok(None);
            }
            let item = std::mem::take(&mut self.item);
            let parsed = self.parse(&item);
            self.item = item;
            match parsed {
                Ok(()) => {
                    self.position += self.item.len() as u64;
                    self.item.clear();
                    self.needs = 0;
                    if matches!(self.next, Next::Tensor) && self.tensors.len() as u64 == self.tensor_count {
                        return self.complete().map(Some);
                    }
                }
                Err(Stop::Needs(bytes)) => self.needs = self.bounded(bytes)?,
                Err(Stop::Wrong(error)) => return Err(error),
            }
        }
    }

    /// The error of a stream that ends here.
    pub(super) fn truncated(&self) -> Error {
        if matches!(self.next, Next::Preamble)
            && let Err(error) = check_magic(&self.item)
        {
            return error;
        }
        Error::TruncatedFile { field: self.field(), needed: self.needs as u64, got: self.item.len() as u64 }
    }

    /// The next item, in words.
    fn field(&self) -> String {
        match &self.next {
            Next::Preamble => "the header's first fields".into(),
            Next::Pair => format!("metadata pair {} of {}", self.metadata.len() + 1, self.pairs),
            Next::Elements { key, array, count } => {
                format!("metadata key `{key}`, element {} of {count}", array.len() + 1)
            }
            Next::Tensor => format!("description of tensor {} of {}", self.tensors.len() + 1, self.tensor_count),
        }
    }

    /// `bytes` that the next item needs, unless they would make the header too long.
    fn bounded(&self, bytes: u64) -> Result<usize> {
        if bytes > MAX_HEADER_BYTES - self.position.min(MAX_HEADER_BYTES) {
            return Err(too_long(self.field(), format!("{bytes} bytes here")));
        }
        Ok(bytes as usize)
    }

    /// `count` things of at least `min_bytes` each, unless they would make the header too long.
    fn bounded_count(field: &str, count: u64, min_bytes: u64) -> Result<u64> {
        if count.saturating_mul(min_bytes) > MAX_HEADER_BYTES {
            return Err(too_long(field.into(), format!("a count of {count}")));
        }
        Ok(count)
    }

    /// Parses the next item out of `bytes`, and moves on. If bytes are missing or wrong, nothing has changed.
    fn parse(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let mut cursor = Cursor::new(bytes);
        match &mut self.next {
            Next::Preamble => self.preamble(&mut cursor)?,
            Next::Pair if self.metadata.len() as u64 == self.pairs => self.next = Next::Tensor,
            Next::Pair => self.pair(&mut cursor)?,
            Next::Elements { key, array, count } => {
                let left = *count - array.len() as u64;
                if left > 0 {
                    elements(key, array, left, &mut cursor)?;
                } else {
                    let array = std::mem::replace(array, Array::U8(Vec::new()));
                    self.metadata.insert(std::mem::take(key), array);
                    self.next = Next::Pair;
                }
            }
            Next::Tensor => {
                let tensor = self.tensor(&mut cursor)?;
                self.tensors.push(tensor);
            }
        }
        Ok(())
    }

    fn preamble(&mut self, cursor: &mut Cursor) -> Result<(), Stop> {
        let bytes = cursor.take(4 + 4 + 8 + 8)?;
        check_magic(bytes)?;
        let mut cursor = Cursor::new(&bytes[4..]);
        let version = cursor.u32()?;
        if !matches!(version, 2 | 3) {
            let found = match version {
                // A byte-swapped small number.
                _ if version.swap_bytes() < 100 => format!("{}, big-endian", version.swap_bytes()),
                _ => version.to_string(),
            };
            let known = "versions 2 and 3, little-endian: convert the model again with a current llama.cpp".into();
            return Err(Error::UnsupportedModel { what: "GGUF version".into(), found, known }.into());
        }
        let tensor_count = Self::bounded_count("tensor_count", cursor.u64()?, MIN_TENSOR_BYTES)?;
        let pairs = Self::bounded_count("metadata_kv_count", cursor.u64()?, MIN_PAIR_BYTES)?;
        (self.version, self.tensor_count, self.pairs, self.next) = (version, tensor_count, pairs, Next::Pair);
        Ok(())
    }

    fn pair(&mut self, cursor: &mut Cursor) -> Result<(), Stop> {
        let key = name(cursor, || format!("key of metadata pair {}", self.metadata.len() + 1))?;
        if self.metadata.get(&key).is_some() {
            return Err(invalid(format!("metadata key `{key}`"), "each key once", "it again").into());
        }
        let field = || format!("metadata key `{key}`");
        let value = match cursor.u32()? {
            0 => Value::U8(cursor.u8()?),
            1 => Value::I8(cursor.u8()?.cast_signed()),
            2 => Value::U16(cursor.u16()?),
            3 => Value::I16(cursor.u16()?.cast_signed()),
            4 => Value::U32(cursor.u32()?),
            5 => Value::I32(cursor.u32()?.cast_signed()),
            6 => Value::F32(f32::from_bits(cursor.u32()?)),
            7 => Value::Bool(truth(cursor.u8()?, &key)?),
            8 => Value::String(cursor.string(field)?),
            9 => {
                let (element, count) = (cursor.u32()?, cursor.u64()?);
                let Some((array, min_bytes)) = empty_array(element) else {
                    let got = if element == 9 { "arrays".into() } else { format!("type {element}") };
                    return Err(invalid(field(), "an array of numbers, bools or strings", got).into());
                };
                let count = Self::bounded_count(&field(), count, min_bytes)?;
                self.next = Next::Elements { key, array, count };
                return Ok(());
            }
            10 => Value::U64(cursor.u64()?),
            11 => Value::I64(cursor.u64()?.cast_signed()),
            12 => Value::F64(f64::from_bits(cursor.u64()?)),
            other => return Err(invalid(field(), "a value type from 0 to 12", other.to_string()).into()),
        };
        self.metadata.insert(key, value);
        Ok(())
    }

    fn tensor(&self, cursor: &mut Cursor) -> Result<TensorInfo, Stop> {
        let name = name(cursor, || format!("name of tensor {}", self.tensors.len() + 1))?;
        let n_dims = cursor.u32()?;
        if !(1..=4).contains(&n_dims) {
            return Err(invalid(format!("n_dims of tensor `{name}`"), "1 to 4", n_dims.to_string()).into());
        }
        let dims = (0..n_dims).map(|_| cursor.u64()).collect::<Result<Vec<u64>, Stop>>()?;
        let id = cursor.u32()?;
        let offset = cursor.u64()?;
        let Some(block) = BlockType::from_ggml(id) else {
            let known = BlockType::ALL.map(BlockType::name).join(", ");
            return Err(Error::UnsupportedTensorType { tensor: name, found: ggml_type_name(id), known }.into());
        };
        let tensor = TensorInfo { name, dims, block, offset };
        check_dims(&tensor)?;
        Ok(tensor)
    }

    /// The checks that need the whole header, and the header.
    fn complete(&mut self) -> Result<Header> {
        let metadata = std::mem::take(&mut self.metadata);
        let mut tensors = std::mem::take(&mut self.tensors);
        let alignment = metadata.opt_u32("general.alignment")?.unwrap_or(32);
        if !(alignment.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(&alignment)) {
            let expected = format!("a power of two from 8 to {MAX_ALIGNMENT}");
            return Err(invalid("general.alignment", expected, alignment.to_string()));
        }
        let alignment = u64::from(alignment);
        tensors.sort_by_key(|tensor| tensor.offset);
        // Tensors follow each other with nothing but padding between: llama.cpp asks for the same, and it leaves no
        // room for overlaps, nor for gaps of any length that a reader would have to skip.
        let mut end = 0u64;
        for tensor in &tensors {
            if tensor.offset != end {
                let expected = format!("{end}, where the tensor before it ends");
                return Err(invalid(
                    format!("offset of tensor `{}`", tensor.name),
                    expected,
                    tensor.offset.to_string(),
                ));
            }
            end = (tensor.bytes().checked_add(end))
                .and_then(|end| end.checked_next_multiple_of(alignment))
                .filter(|&end| end <= i64::MAX as u64 - 2 * MAX_HEADER_BYTES)
                .ok_or_else(|| invalid(format!("end of tensor `{}`", tensor.name), "less than 2^63 bytes", "more"))?;
        }
        let data_offset = self.position.next_multiple_of(alignment);
        Ok(Header {
            version: self.version,
            metadata,
            tensors,
            alignment,
            header_bytes: self.position,
            data_offset,
            file_bytes: data_offset + end,
        })
    }
}

/// Takes the next elements, up to `left` of them, out of the cursor.
fn elements(key: &str, array: &mut Array, left: u64, cursor: &mut Cursor) -> Result<(), Stop> {
    /// Numbers are taken in runs, which the parser collects before they are decoded.
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

/// An empty array of the element type with GGUF's number `id`, and the bytes of its smallest element.
fn empty_array(id: u32) -> Option<(Array, u64)> {
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

/// A metadata key or tensor name. Its length is checked as soon as it is known, before its bytes are waited for.
fn name(cursor: &mut Cursor, what: impl Fn() -> String) -> Result<String, Stop> {
    let named = cursor.string(&what);
    let len = match &named {
        Ok(text) => text.len() as u64,
        Err(Stop::Needs(bytes)) if *bytes > 8 => bytes - 8,
        Err(_) => return named,
    };
    if len == 0 || len > MAX_NAME_BYTES as u64 {
        return Err(invalid(what(), format!("1 to {MAX_NAME_BYTES} bytes"), len.to_string()).into());
    }
    named
}

fn truth(byte: u8, key: &str) -> Result<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(invalid(format!("metadata key `{key}`"), "a bool, 0 or 1", other.to_string())),
    }
}

/// Checks that rows are whole blocks and that every size of the tensor fits this machine.
fn check_dims(tensor: &TensorInfo) -> Result<()> {
    let TensorInfo { name, dims, block, .. } = tensor;
    let wrong =
        |expected: String| Err(invalid(format!("dimensions of tensor `{name}`"), expected, format!("{dims:?}")));
    let block_len = block.block_len() as u64;
    if dims.contains(&0) {
        return wrong("no dimension of 0".into());
    }
    if dims[0] % block_len != 0 {
        return wrong(format!("rows of whole {} blocks of {block_len}", block.name()));
    }
    let row_bytes = (dims[0] / block_len).checked_mul(block.block_bytes() as u64);
    let Some(row_bytes) = row_bytes.filter(|&bytes| bytes <= MAX_ROW_BYTES) else {
        return wrong(format!("rows of at most {MAX_ROW_BYTES} bytes"));
    };
    let rows = dims[1..].iter().try_fold(1u64, |rows, &dim| rows.checked_mul(dim));
    match rows.filter(|&rows| usize::try_from(rows).is_ok()).and_then(|rows| rows.checked_mul(row_bytes)) {
        Some(_) => Ok(()),
        None => wrong("a tensor that this machine can address".into()),
    }
}

/// Checks the first bytes of a file, as many as there are, and says what a wrong file looks like.
fn check_magic(bytes: &[u8]) -> Result<()> {
    const MAGIC: &[u8] = b"GGUF";
    if bytes.iter().zip(MAGIC).all(|(byte, magic)| byte == magic) {
        return Ok(());
    }
    let first = bytes.trim_ascii_start();
    let looks_like = match bytes {
        _ if first.starts_with(b"<") => "a web page: a login or error page, or a link to a page about the file?",
        _ if bytes.starts_with(b"version http") => "a Git LFS pointer: fetch the file itself with `git lfs pull`",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive: unpack it, or is it a PyTorch checkpoint to convert?",
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => "a compressed file: unpack it first",
        [_, _, _, _, _, 0, 0, 0, b'{', ..] => "a safetensors file: convert it to GGUF",
        [0x80, 2..=5, ..] => "a pickled PyTorch checkpoint: convert it to GGUF",
        [b'l', b'm' | b'a', b'g', b'g', ..] | [b't' | b'f', b'j' | b'm', b'g', b'g', ..] => {
            "a model in GGML's format before GGUF: get a newer file"
        }
        [b'F', b'U', b'G', b'G', ..] => "a byte-swapped GGUF file: get a little-endian one",
        _ if first.starts_with(b"{") => "JSON: a server's error message, or another file of the model?",
        _ => "another kind of file",
    };
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(16)]).escape_debug().to_string();
    Err(invalid("magic", "`GGUF`", format!("`{shown}`, which looks like {looks_like}")))
}

fn too_long(field: String, got: String) -> Error {
    invalid(field, format!("a header of at most {MAX_HEADER_BYTES} bytes"), got)
}

/// Shorthand for the error that most checks give.
pub(super) fn invalid(field: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Error {
    Error::InvalidFile { field: field.into(), expected: expected.into(), got: got.into() }
}
