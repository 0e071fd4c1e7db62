//! The header of a GGUF file: metadata and tensor descriptions.
//!
//! Source: ggml's `docs/gguf.md`; versions 2 and 3, little-endian. In order: magic, version, the
//! two counts, metadata pairs, tensor descriptions, padding to the alignment.
//!
//! The parser works item by item: a pair, an array element or run of elements, a tensor
//! description. It collects exactly the bytes that the current item is known to need. So a header
//! in single bytes costs no more parsing than one in a piece, and no byte of the weights is held
//! back. Claims of the file are checked first: lengths and counts against [`MAX_HEADER_BYTES`].
//! Memory is taken only for bytes that have arrived.

use super::block::{BlockType, ggml_type_name};
use super::cursor::{Cursor, Stop};
use super::magic::check_magic;
use super::metadata::{Array, Metadata};
use super::values;
use crate::{Error, Result};

/// Limit of the header's length, 64 MiB. The largest vocabularies (250,000 tokens and as many
/// merges) take 16 MiB. A longer header is a mistake or an attack, and would fill a page's memory
/// before any weight arrives.
pub const MAX_HEADER_BYTES: u64 = 64 << 20;

/// Limit of a row's length, 64 MiB. The reader buffers a row that is split between chunks. The
/// longest row of current models, a bias over the whole vocabulary, takes 1 MiB.
pub const MAX_ROW_BYTES: u64 = 64 << 20;

/// Limit of the length of metadata keys and tensor names: GGUF's own limit for keys.
const MAX_NAME_BYTES: usize = 65535;

/// Limit of the alignment; 32 is usual.
const MAX_ALIGNMENT: u32 = 1 << 16;

/// Bytes of magic, version and the two counts.
const PREAMBLE_BYTES: usize = 4 + 4 + 8 + 8;

/// Bytes of the smallest metadata pair: length, key, type and value of one byte.
const MIN_PAIR_BYTES: u64 = 8 + 1 + 4 + 1;

/// Bytes of the smallest tensor description: length, name, number of dimensions, one dimension,
/// type, offset.
const MIN_TENSOR_BYTES: u64 = 8 + 1 + 4 + 8 + 4 + 8;

/// Description of a tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// 1 to 4 dimensions in ggml's order: `dims[0]` is the length of a row. A single number is a
    /// row of length 1.
    pub dims: Vec<u64>,
    /// Storage type of the rows.
    pub block: BlockType,
    /// Offset of the first row from [`Header::data_offset`], in bytes.
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

/// The header of a file, or of one shard of a split model.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Version of GGUF: 2 or 3.
    pub version: u32,
    /// The key–value pairs.
    pub metadata: Metadata,
    /// The tensors, in the order of their data.
    pub tensors: Vec<TensorInfo>,
    /// Alignment of the weights and of each tensor in them, in bytes: a power of two.
    pub alignment: u64,
    /// Length of the header itself, in bytes.
    pub header_bytes: u64,
    /// Offset of the weights from the beginning of this file, in bytes.
    pub data_offset: u64,
    /// Expected length of this file in bytes, including the padding after the last tensor (which
    /// some writers leave out).
    pub file_bytes: u64,
}

/// The item that comes next.
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

/// Parses one header from bytes that arrive in pieces.
#[derive(Debug)]
pub(super) struct HeaderParser {
    next: Next,
    /// The bytes of the next item that have arrived.
    item: Vec<u8>,
    /// Number of bytes that the next item is known to need so far.
    needs: usize,
    /// Number of bytes before the next item.
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
            needs: PREAMBLE_BYTES,
            position: 0,
            version: 0,
            pairs: 0,
            metadata: Metadata::default(),
            tensor_count: 0,
            tensors: Vec::new(),
        }
    }

    /// Takes bytes of the header from the front of `input`. Returns the header when it is complete.
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

    /// The error for a stream that ends here.
    pub(super) fn truncated(&self) -> Error {
        if matches!(self.next, Next::Preamble)
            && let Err(error) = check_magic(&self.item)
        {
            return error;
        }
        Error::TruncatedFile { field: self.field(), needed: self.needs as u64, got: self.item.len() as u64 }
    }

    /// Name of the next item, for errors.
    fn field(&self) -> String {
        match &self.next {
            Next::Preamble => "the header's first fields".into(),
            Next::Pair => match self.name_so_far() {
                Some(key) => format!("metadata key `{key}`"),
                None => format!("metadata pair {} of {}", self.metadata.len() + 1, self.pairs),
            },
            Next::Elements { key, array, count } => {
                format!("metadata key `{key}`, element {} of {count}", array.len() + 1)
            }
            Next::Tensor => match self.name_so_far() {
                Some(name) => format!("description of tensor `{name}`"),
                None => format!("description of tensor {} of {}", self.tensors.len() + 1, self.tensor_count),
            },
        }
    }

    /// The key or name at the beginning of the next item, if it has arrived.
    fn name_so_far(&self) -> Option<String> {
        Cursor::new(&self.item).string(String::new).ok()
    }

    /// Returns `bytes`, which the next item needs, if the header does not exceed its limit with
    /// them.
    fn bounded(&self, bytes: u64) -> Result<usize> {
        if bytes > MAX_HEADER_BYTES - self.position.min(MAX_HEADER_BYTES) {
            return Err(too_long(self.field(), format!("{bytes} bytes here")));
        }
        Ok(bytes as usize)
    }

    /// Returns `count`, of items of at least `min_bytes` each, if the header does not exceed its
    /// limit with them.
    fn bounded_count(field: &str, count: u64, min_bytes: u64) -> Result<u64> {
        if count.saturating_mul(min_bytes) > MAX_HEADER_BYTES {
            return Err(too_long(field.into(), format!("a count of {count}")));
        }
        Ok(count)
    }

    /// Parses the next item from `bytes` and moves on. Changes nothing if bytes are missing or
    /// wrong.
    fn parse(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let mut cursor = Cursor::new(bytes);
        match &mut self.next {
            Next::Preamble => self.preamble(&mut cursor)?,
            Next::Pair if self.metadata.len() as u64 == self.pairs => self.next = Next::Tensor,
            Next::Pair => self.pair(&mut cursor)?,
            Next::Elements { key, array, count } => {
                let left = *count - array.len() as u64;
                if left > 0 {
                    values::elements(key, array, left, &mut cursor)?;
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
        let bytes = cursor.take(PREAMBLE_BYTES as u64)?;
        check_magic(bytes)?;
        let mut cursor = Cursor::new(&bytes[4..]);
        let version = cursor.u32()?;
        if !matches!(version, 2 | 3) {
            let found = match version {
                // a small number, byte-swapped
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
            return Err(invalid(format!("metadata key `{key}`"), "each key once", "a duplicate").into());
        }
        let kind = cursor.u32()?;
        if kind == values::ARRAY {
            let (element, count) = (cursor.u32()?, cursor.u64()?);
            let field = format!("metadata key `{key}`");
            let Some((array, min_bytes)) = values::empty_array(element) else {
                let got = if element == values::ARRAY { "arrays".into() } else { format!("type {element}") };
                return Err(invalid(field, "an array of numbers, bools or strings", got).into());
            };
            let count = Self::bounded_count(&field, count, min_bytes)?;
            self.next = Next::Elements { key, array, count };
            return Ok(());
        }
        let value = values::scalar(kind, &key, cursor)?;
        self.metadata.insert(key, value);
        Ok(())
    }

    fn tensor(&self, cursor: &mut Cursor) -> Result<TensorInfo, Stop> {
        let name = name(cursor, || format!("name of tensor {}", self.tensors.len() + 1))?;
        let n_dims = cursor.u32()?;
        if n_dims > 4 {
            return Err(invalid(format!("n_dims of tensor `{name}`"), "0 to 4", n_dims.to_string()).into());
        }
        let mut dims = (0..n_dims).map(|_| cursor.u64()).collect::<Result<Vec<u64>, Stop>>()?;
        if dims.is_empty() {
            dims.push(1); // a single number
        }
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

    /// Makes the checks that need the whole header, and returns it.
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
        // Only padding may lie between tensors, as in llama.cpp. This excludes overlaps, and gaps
        // that a reader would have to skip.
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

/// A metadata key or tensor name. Its length is checked before its bytes arrive.
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

/// Checks that rows are whole blocks and that all sizes fit this machine's `usize`.
pub(super) fn check_dims(tensor: &TensorInfo) -> Result<()> {
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

fn too_long(field: String, got: String) -> Error {
    invalid(field, format!("a header of at most {MAX_HEADER_BYTES} bytes"), got)
}

/// Shorthand for the error of most checks.
pub(super) fn invalid(field: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Error {
    Error::InvalidFile { field: field.into(), expected: expected.into(), got: got.into() }
}
