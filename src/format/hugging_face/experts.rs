//! All experts of a layer in one tensor, which GGUF stores otherwise: matrices of inputs by
//! outputs, gate and up projection together, or MXFP4 as one tensor of numbers and one of scales
//! (gpt-oss).

use std::collections::HashMap;

use super::values::{bytes_of, transposed};
use crate::Result;
use crate::format::quantize::dequantize;
use crate::format::safetensors::Entry;
use crate::format::{BlockType, Planes, Sink, TensorInfo};

/// Numbers of MXFP4 that share a scale, and the bytes that they take.
const BLOCK: usize = 32;
const BLOCK_BYTES: usize = BLOCK / 2;

/// Halves of tensors whose other half has not arrived, by their name in GGUF.
pub(super) type Held = HashMap<String, Vec<u8>>;

/// How a tensor of experts is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Rows of outputs.
    Rows,
    /// Rows of inputs.
    Transposed,
    /// A value for each output.
    Bias,
    /// The numbers of MXFP4, two a byte.
    Numbers,
    /// The scales of MXFP4.
    Scales,
}

/// A tensor of experts in a file.
#[derive(Debug)]
pub(super) struct Experts {
    kind: Kind,
    /// Type in the file.
    pub block: BlockType,
    pub experts: usize,
    /// Of an expert: rows in GGUF, of gate and up projection together.
    outputs: usize,
    inputs: usize,
    /// Where outputs of the up projection go, and whether they take turns with those of the gate.
    up: Option<(TensorInfo, bool)>,
}

impl Experts {
    /// The tensor with this suffix; `None` for a shape that it cannot have.
    pub(super) fn new(entry: &Entry, suffix: &str, is_transposed: bool) -> Result<Option<Self>> {
        let shape: Vec<usize> = entry.shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX)).collect();
        let (kind, [experts, outputs, inputs]) = match (suffix, shape.as_slice()) {
            ("weight", &[experts, inputs, outputs]) if is_transposed => (Kind::Transposed, [experts, outputs, inputs]),
            ("weight", &[experts, outputs, inputs]) => (Kind::Rows, [experts, outputs, inputs]),
            // one for all tokens
            ("weight", &[outputs, inputs]) => (Kind::Rows, [1, outputs, inputs]),
            ("bias", &[experts, outputs]) => (Kind::Bias, [experts, outputs, 1]),
            ("blocks", &[experts, outputs, blocks, BLOCK_BYTES]) => {
                (Kind::Numbers, [experts, outputs, blocks.saturating_mul(BLOCK)])
            }
            ("scales", &[experts, outputs, blocks]) => (Kind::Scales, [experts, outputs, blocks.saturating_mul(BLOCK)]),
            _ => return Ok(None),
        };
        let block = match kind {
            Kind::Numbers | Kind::Scales => entry.packed().map(|()| BlockType::Mxfp4)?,
            Kind::Rows | Kind::Transposed | Kind::Bias => entry.block()?,
        };
        Ok(Some(Self { kind, block, experts, outputs, inputs, up: None }))
    }

    /// Outputs of an expert in a tensor of GGUF that has half of them where two are merged.
    pub(super) fn info(&self, name: String, merged: bool) -> TensorInfo {
        let outputs = if merged { self.outputs / 2 } else { self.outputs } as u64;
        let (dims, block) = match self.kind {
            Kind::Bias => (vec![outputs, self.experts as u64], BlockType::F32),
            _ => (vec![self.inputs as u64, outputs, self.experts as u64], self.block),
        };
        TensorInfo { name, dims, block, offset: 0 }
    }

    /// Half of its outputs go to another tensor.
    pub(super) fn merged(&mut self, up: TensorInfo, interleaved: bool) {
        self.up = Some((up, interleaved));
    }

    pub(super) fn is_even(&self) -> bool {
        self.outputs.is_multiple_of(2)
    }

    /// Whether it is a half of what GGUF has in one tensor.
    pub(super) fn is_half(&self) -> bool {
        matches!(self.kind, Kind::Numbers | Kind::Scales)
    }

    /// Passes on whole experts, from number `first` on; of a half, all of them at once.
    pub(super) fn hand_on(
        &self,
        info: &TensorInfo,
        first: usize,
        bytes: &[u8],
        held: &mut Held,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        if self.is_half() {
            let Some(other) = held.remove(&info.name) else {
                held.insert(info.name.clone(), bytes.to_vec());
                return Ok(());
            };
            let (numbers, scales) = if self.kind == Kind::Numbers { (bytes, &other[..]) } else { (&other[..], bytes) };
            let each = self.outputs * self.inputs / BLOCK;
            let experts = numbers.chunks_exact(each * BLOCK_BYTES).zip(scales.chunks_exact(each));
            return experts.enumerate().try_for_each(|(e, (numbers, scales))| {
                self.expert(info, e, &packed(numbers, scales), self.block.row_bytes(self.inputs), sink)
            });
        }
        let size = self.block.row_bytes(1);
        for (i, expert) in bytes.chunks_exact(self.outputs * self.inputs * size).enumerate() {
            match self.kind {
                Kind::Transposed => {
                    let rows = transposed(expert, self.outputs, size);
                    self.expert(info, first + i, &rows, self.inputs * size, sink)?;
                }
                _ => self.expert(info, first + i, expert, self.inputs * size, sink)?,
            }
        }
        Ok(())
    }

    /// Passes on an expert: outputs of `size` bytes.
    fn expert(&self, info: &TensorInfo, e: usize, outputs: &[u8], size: usize, sink: &mut dyn Sink) -> Result<()> {
        let Some((up, interleaved)) = &self.up else { return self.write(info, e, outputs, sink) };
        let (mut gates, mut ups) = (Vec::with_capacity(outputs.len() / 2), Vec::with_capacity(outputs.len() / 2));
        for (i, output) in outputs.chunks_exact(size).enumerate() {
            let is_up = if *interleaved { i % 2 == 1 } else { i >= self.outputs / 2 };
            if is_up { &mut ups } else { &mut gates }.extend_from_slice(output);
        }
        self.write(info, e, &gates, sink)?;
        self.write(up, e, &ups, sink)
    }

    fn write(&self, info: &TensorInfo, e: usize, outputs: &[u8], sink: &mut dyn Sink) -> Result<()> {
        if self.kind != Kind::Bias {
            return sink.rows(info, e * info.dims[1] as usize, outputs);
        }
        let mut values = vec![0.0; info.cols()];
        dequantize(self.block, outputs, &mut Planes::default(), &mut values);
        sink.rows(info, e, &bytes_of(&values))
    }
}

/// Blocks of GGUF: the scale, then numbers, of which a byte has one of the first and one of the
/// second half. In the file a byte has two neighbours.
fn packed(numbers: &[u8], scales: &[u8]) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(numbers.len() + scales.len());
    for (numbers, scale) in numbers.as_chunks::<BLOCK_BYTES>().0.iter().zip(scales) {
        let number = |i: usize| numbers[i / 2] >> (i % 2 * 4) & 15;
        blocks.push(*scale);
        blocks.extend((0..BLOCK_BYTES).map(|i| number(i) | number(i + BLOCK_BYTES) << 4));
    }
    blocks
}
