//! Writes GGUF files (version 3), which [`GgufReader`](super::GgufReader) reads. For tests and
//! tools that make models.

use std::collections::HashMap;
use std::io::{self, Seek, SeekFrom, Write};

use super::metadata::{Array, Metadata, Value};
use super::{BlockType, Header, Sink, TensorInfo};
use crate::{Error, Result};

/// The usual alignment.
const ALIGNMENT: u64 = 32;

/// Collects metadata and tensors of a model and writes them as one file.
///
/// It writes what it is given, without checks, so that tests can make wrong files.
#[derive(Clone, Debug)]
pub struct GgufWriter {
    version: u32,
    alignment: u64,
    metadata: Metadata,
    tensors: Vec<TensorInfo>,
    /// Weights, with padding.
    data: Vec<u8>,
}

impl Default for GgufWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl GgufWriter {
    /// An empty file.
    pub fn new() -> Self {
        Self { version: 3, alignment: ALIGNMENT, metadata: Metadata::default(), tensors: Vec::new(), data: Vec::new() }
    }

    /// Sets the version number; 2 and 3 are written alike.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Sets the alignment, a power of two. Call before the first tensor.
    pub fn alignment(mut self, alignment: u32) -> Self {
        self.alignment = alignment.into();
        self.metadata("general.alignment", alignment)
    }

    /// Adds or replaces a metadata pair.
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key, value);
        self
    }

    /// Adds a tensor whose rows are already in `block`'s format. `dims` are in ggml's order: length
    /// of a row first.
    pub fn tensor(mut self, name: &str, dims: &[u64], block: BlockType, rows: &[u8]) -> Self {
        let offset = self.data.len() as u64;
        self.tensors.push(TensorInfo { name: name.into(), dims: dims.into(), block, offset });
        self.data.extend_from_slice(rows);
        pad(&mut self.data, self.alignment);
        self
    }

    /// Adds a tensor of plain floats. `dims` are in ggml's order: length of a row first.
    pub fn tensor_f32(self, name: &str, dims: &[u64], values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, dims, BlockType::F32, &bytes)
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = header(self.version, self.alignment, &self.metadata, &self.tensors);
        out.extend_from_slice(&self.data);
        out
    }
}

/// A GGUF file written while its rows arrive, in any order. Keeps only the header in memory.
pub struct GgufFile<W> {
    out: W,
    name: String,
    /// Offset of each tensor.
    offsets: HashMap<String, u64>,
}

impl<W: Write + Seek> GgufFile<W> {
    /// Creates the file `name` at its full length, and writes the header. Tensors get the offsets
    /// that follow from their order.
    pub fn create(mut out: W, name: &str, metadata: &Metadata, tensors: &[TensorInfo]) -> Result<Self> {
        let (tensors, end) = placed(tensors);
        let header = header(3, ALIGNMENT, metadata, &tensors);
        let start = header.len() as u64;
        // writes the last byte, so that the file includes the padding after the last tensor
        let result = out.write_all(&header).and_then(|()| {
            if end > 0 { out.seek(SeekFrom::Start(start + end - 1)).and(out.write_all(&[0])) } else { Ok(()) }
        });
        result.map_err(|error| io_error(name, &error))?;
        let offsets = tensors.into_iter().map(|tensor| (tensor.name, start + tensor.offset)).collect();
        Ok(Self { out, name: name.into(), offsets })
    }

    /// Call after the last row.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(|error| io_error(&self.name, &error))
    }
}

impl<W: Write + Seek> Sink for GgufFile<W> {
    fn header(&mut self, _: Header) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        let Some(offset) = self.offsets.get(&tensor.name) else {
            let expected = "a tensor that was announced".into();
            return Err(Error::Internal { op: "write", expected, got: tensor.name.clone() });
        };
        let at = offset + first_row as u64 * tensor.row_bytes() as u64;
        let written = self.out.seek(SeekFrom::Start(at)).and_then(|_| self.out.write_all(rows));
        written.map_err(|error| io_error(&self.name, &error))
    }
}

fn io_error(what: &str, error: &io::Error) -> Error {
    Error::Io { what: what.into(), message: error.to_string() }
}

/// The tensors with the offsets that follow from their order, and the bytes of all.
fn placed(tensors: &[TensorInfo]) -> (Vec<TensorInfo>, u64) {
    let mut tensors = tensors.to_vec();
    let mut end = 0;
    for tensor in &mut tensors {
        tensor.offset = end;
        end = (end + tensor.bytes()).next_multiple_of(ALIGNMENT);
    }
    (tensors, end)
}

/// The bytes of a file before its weights, for tensors in this order.
pub fn header_of(metadata: &Metadata, tensors: &[TensorInfo]) -> Vec<u8> {
    header(3, ALIGNMENT, metadata, &placed(tensors).0)
}

/// The bytes before the weights.
fn header(version: u32, alignment: u64, metadata: &Metadata, tensors: &[TensorInfo]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(version.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata.iter() {
        write_string(&mut out, key);
        write_value(&mut out, value);
    }
    for tensor in tensors {
        write_string(&mut out, &tensor.name);
        out.extend((tensor.dims.len() as u32).to_le_bytes());
        tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
        out.extend(tensor.block.ggml().to_le_bytes());
        out.extend(tensor.offset.to_le_bytes());
    }
    pad(&mut out, alignment);
    out
}

fn pad(out: &mut Vec<u8>, alignment: u64) {
    out.resize(out.len().next_multiple_of(alignment as usize), 0);
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Writes the type number and the value.
fn write_value(out: &mut Vec<u8>, value: &Value) {
    let mut put = |id: u32, bytes: &[u8]| {
        out.extend(id.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Value::U8(value) => put(0, &value.to_le_bytes()),
        Value::I8(value) => put(1, &value.to_le_bytes()),
        Value::U16(value) => put(2, &value.to_le_bytes()),
        Value::I16(value) => put(3, &value.to_le_bytes()),
        Value::U32(value) => put(4, &value.to_le_bytes()),
        Value::I32(value) => put(5, &value.to_le_bytes()),
        Value::F32(value) => put(6, &value.to_le_bytes()),
        Value::Bool(value) => put(7, &[u8::from(*value)]),
        Value::String(text) => {
            put(8, &[]);
            write_string(out, text);
        }
        Value::Array(array) => {
            put(9, &[]);
            write_array(out, array);
        }
        Value::U64(value) => put(10, &value.to_le_bytes()),
        Value::I64(value) => put(11, &value.to_le_bytes()),
        Value::F64(value) => put(12, &value.to_le_bytes()),
    }
}

/// Writes the element type, the number of elements, and the elements.
fn write_array(out: &mut Vec<u8>, array: &Array) {
    fn put<T: Copy, const N: usize>(out: &mut Vec<u8>, id: u32, items: &[T], encode: fn(T) -> [u8; N]) {
        out.extend(id.to_le_bytes());
        out.extend((items.len() as u64).to_le_bytes());
        items.iter().for_each(|&item| out.extend(encode(item)));
    }
    match array {
        Array::U8(items) => put(out, 0, items, u8::to_le_bytes),
        Array::I8(items) => put(out, 1, items, i8::to_le_bytes),
        Array::U16(items) => put(out, 2, items, u16::to_le_bytes),
        Array::I16(items) => put(out, 3, items, i16::to_le_bytes),
        Array::U32(items) => put(out, 4, items, u32::to_le_bytes),
        Array::I32(items) => put(out, 5, items, i32::to_le_bytes),
        Array::F32(items) => put(out, 6, items, f32::to_le_bytes),
        Array::Bools(items) => put(out, 7, items, |item| [u8::from(item)]),
        Array::Strings(items) => {
            out.extend(8u32.to_le_bytes());
            out.extend((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| write_string(out, item));
        }
        Array::U64(items) => put(out, 10, items, u64::to_le_bytes),
        Array::I64(items) => put(out, 11, items, i64::to_le_bytes),
        Array::F64(items) => put(out, 12, items, f64::to_le_bytes),
    }
}
