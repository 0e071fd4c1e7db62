//! Writes GGUF files (version 3): what [`GgufReader`](super::GgufReader) reads. For tests and tools that make models.

use super::metadata::{Array, Metadata, Value};
use super::{BlockType, TensorInfo};

/// Collects metadata and tensors of a model, and writes them as one file.
///
/// It writes what it is given, so that tests can make files that are wrong; the reader does the checking.
///
/// ```
/// # use weft_llm::format::GgufWriter;
/// let file = GgufWriter::new()
///     .metadata("general.architecture", "llama")
///     .tensor_f32("output_norm.weight", &[4], &[1.0; 4])
///     .to_bytes();
/// assert!(file.starts_with(b"GGUF"));
/// ```
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
    /// A file with nothing in it.
    pub fn new() -> Self {
        Self { version: 3, alignment: 32, metadata: Metadata::default(), tensors: Vec::new(), data: Vec::new() }
    }

    /// Sets the version that the file claims; 2 and 3 are written alike.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Sets the alignment, a power of two; before the first tensor.
    pub fn alignment(mut self, alignment: u32) -> Self {
        self.alignment = alignment.into();
        self.metadata("general.alignment", alignment)
    }

    /// Adds or replaces a metadata pair.
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key, value);
        self
    }

    /// Adds a tensor whose rows are already in `block`'s format. `dims` are in ggml's order: length of a row first.
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

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in self.metadata.iter() {
            write_string(&mut out, key);
            write_value(&mut out, value);
        }
        for tensor in &self.tensors {
            write_string(&mut out, &tensor.name);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.block.ggml().to_le_bytes());
            out.extend(tensor.offset.to_le_bytes());
        }
        pad(&mut out, self.alignment);
        out.extend_from_slice(&self.data);
        out
    }
}

fn pad(out: &mut Vec<u8>, alignment: u64) {
    out.resize(out.len().next_multiple_of(alignment as usize), 0);
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// The type's number and the value.
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

/// The elements' type, their number and the elements.
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
