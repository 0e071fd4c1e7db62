//! Quantises weights as ggml's reference code does: the bytes equal those of the `gguf` package for
//! the types that it writes.
//!
//! The opposite of `repack.rs`, which reads blocks; `block.rs` describes them. Rows are quantised
//! one at a time while a model is read, so it takes almost no memory.

use half::{bf16, f16};

use super::layout::{BLOCK, GROUP};
use super::quantize_k::q4_k;
use super::{BlockType, Header, Layout, Planes, Sink, TensorInfo, dequantize_row, repack};
use crate::{Error, Result};

/// The target types, by their names in options.
const TARGETS: [(&str, BlockType); 8] = [
    ("q8_0", BlockType::Q8_0),
    ("q5_1", BlockType::Q5_1),
    ("q5_0", BlockType::Q5_0),
    ("q4_k", BlockType::Q4K),
    ("q4_1", BlockType::Q4_1),
    ("q4_0", BlockType::Q4_0),
    ("f16", BlockType::F16),
    ("bf16", BlockType::Bf16),
];

/// Tensors that are not quantised: they are small, and their values matter most.
const KEPT: [&str; 4] = ["norm", "ffn_gate_inp", "position_embd", "token_types"];

/// Matrices that keep at least 8 bits, because the next token depends on them directly. With 4
/// bits, SmolLM2 no longer knew where Berlin is.
const EIGHT_BITS: [&str; 2] = ["token_embd.weight", "output.weight"];

/// The type that weights are converted to while loading; `none` keeps them as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[cfg_attr(
    target_arch = "wasm32",
    tsify(type = "'q8_0' | 'q5_1' | 'q5_0' | 'q4_k' | 'q4_1' | 'q4_0' | 'f16' | 'bf16' | 'none'")
)]
pub struct Quantize(Option<BlockType>);

impl Quantize {
    /// Weights stay as they are.
    pub const NONE: Self = Self(None);

    /// The default. A folder has two or four bytes per weight: one does nearly as well, and engines
    /// are fastest with it. A GGUF file stays as its author quantised it.
    pub const fn usual(folder: bool) -> Self {
        Self(if folder { Some(BlockType::Q8_0) } else { None })
    }

    /// Parses `q8_0`, `q4_0` and so on, or `none`. Errors: `InvalidOption`.
    pub fn named(name: &str) -> Result<Self> {
        let found = TARGETS.iter().find(|(target, _)| *target == name).map(|(_, block)| *block);
        if found.is_none() && name != "none" {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            let expected = format!("{} or none", names.join(", "));
            return Err(Error::InvalidOption { name: "quantize".into(), expected, got: name.into() });
        }
        Ok(Self(found))
    }

    /// The value of `general.file_type` for weights of this type; `None` if they stay as they are.
    pub fn file_type(self) -> Option<u32> {
        Some(match self.0? {
            BlockType::F16 => 1,
            BlockType::Q4_0 => 2,
            BlockType::Q4_1 => 3,
            BlockType::Q8_0 => 7,
            BlockType::Q5_0 => 8,
            BlockType::Q5_1 => 9,
            BlockType::Q4K => 14,
            BlockType::Bf16 => 32,
            _ => return None,
        })
    }

    /// The type that a tensor is stored in. Only matrices change, only to fewer bits, and only if
    /// their rows are whole blocks. Rows that are not whole blocks of 256 take Q4_1 instead of
    /// Q4_K; llama.cpp's choice, Q5_0, would take 8 bits per weight in memory.
    pub fn block_of(self, tensor: &TensorInfo) -> BlockType {
        let TensorInfo { name, dims, block, .. } = tensor;
        let Some(target) = self.0 else { return *block };
        let is_matrix = dims.len() > 1 && name.ends_with(".weight") && !KEPT.iter().any(|kept| name.contains(kept));
        let bits = |block: BlockType| block.block_bytes() as f32 / block.block_len() as f32;
        let coarse = bits(target) < bits(BlockType::Q8_0);
        let target = if coarse && EIGHT_BITS.contains(&name.as_str()) { BlockType::Q8_0 } else { target };
        let fits = |block: BlockType| tensor.cols().is_multiple_of(block.block_len());
        let target = if target == BlockType::Q4K && !fits(target) { BlockType::Q4_1 } else { target };
        if is_matrix && fits(target) && bits(target) < bits(*block) { target } else { *block }
    }
}

/// Passes rows on to `sink`, quantised.
pub(super) struct Quantizing<'a> {
    pub quantize: Quantize,
    pub sink: &'a mut dyn Sink,
}

impl Sink for Quantizing<'_> {
    fn header(&mut self, mut header: Header) -> Result<()> {
        for tensor in &mut header.tensors {
            tensor.block = self.quantize.block_of(tensor);
        }
        self.sink.header(header)
    }

    fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        let block = self.quantize.block_of(tensor);
        if block == tensor.block {
            return self.sink.rows(tensor, first_row, rows);
        }
        let mut values = vec![0.0; tensor.cols()];
        let mut out = Vec::with_capacity(rows.len() / tensor.row_bytes() * block.row_bytes(tensor.cols()));
        let mut planes = Planes::default();
        for row in rows.chunks_exact(tensor.row_bytes()) {
            dequantize(tensor.block, row, &mut planes, &mut values);
            quantize_row(block, &values, &mut out);
        }
        self.sink.rows(&TensorInfo { block, ..tensor.clone() }, first_row, &out)
    }
}

/// Decodes a row of the file to `values`. `planes` is reused memory.
pub(crate) fn dequantize(block: BlockType, row: &[u8], planes: &mut Planes, values: &mut [f32]) {
    planes.clear();
    repack(block, values.len(), row, planes);
    dequantize_row(Layout::for_block(block), &planes.quants, &planes.scales, values);
}

/// **Appends** a row of `values`, a whole number of blocks, to `out`. Writes Q4_K but no other K-
/// or IQ-types; for those nothing is appended.
pub fn quantize_row(block: BlockType, values: &[f32], out: &mut Vec<u8>) {
    match block {
        BlockType::F32 => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        BlockType::F16 => out.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes())),
        BlockType::Bf16 => out.extend(values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes())),
        BlockType::Q4K => values.as_chunks::<GROUP>().0.iter().for_each(|values| q4_k(values, out)),
        _ => {
            for values in values.as_chunks::<BLOCK>().0 {
                match block {
                    BlockType::Q8_0 => q8_0(values, out),
                    BlockType::Q4_0 => symmetric(values, 8.0, out),
                    BlockType::Q5_0 => symmetric(values, 16.0, out),
                    BlockType::Q4_1 => affine(values, 15.0, out),
                    BlockType::Q5_1 => affine(values, 31.0, out),
                    _ => debug_assert!(false, "no target"),
                }
            }
        }
    }
}

fn q8_0(values: &[f32; BLOCK], out: &mut Vec<u8>) {
    let d = values.iter().fold(0.0f32, |most, value| most.max(value.abs())) / 127.0;
    out.extend(f16::from_f32(d).to_le_bytes());
    let inverse = inverse(d);
    out.extend(values.iter().map(|value| ((value * inverse).round() as i8).cast_unsigned()));
}

/// Q4_0 and Q5_0: the value of largest magnitude becomes the lowest quant, −`steps`.
fn symmetric(values: &[f32; BLOCK], steps: f32, out: &mut Vec<u8>) {
    let largest = values.iter().fold(0.0f32, |most, value| if value.abs() > most.abs() { *value } else { most });
    let d = largest / -steps;
    out.extend(f16::from_f32(d).to_le_bytes());
    // in f64 like the gguf package: in f32, ggml's results depend on compiler options
    let inverse = f64::from(inverse(d));
    let quant = |value: f32| (f64::from(value) * inverse + f64::from(steps) + 0.5) as u8;
    push_quants(&values.map(|value| quant(value).min(2 * steps as u8 - 1)), steps > 8.0, out);
}

/// Q4_1 and Q5_1: from the smallest value to the largest in `steps` steps.
fn affine(values: &[f32; BLOCK], steps: f32, out: &mut Vec<u8>) {
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let d = (most - least) / steps;
    out.extend(f16::from_f32(d).to_le_bytes());
    out.extend(f16::from_f32(least).to_le_bytes());
    let inverse = inverse(d);
    let quant = |value: f32| (((value - least) * inverse + 0.5) as u8).min(steps as u8);
    push_quants(&values.map(quant), steps > 15.0, out);
}

/// Appends four bytes with the fifth bits, if quants have five; then nibbles, the first half of the
/// values in the low ones.
fn push_quants(quants: &[u8; BLOCK], five: bool, out: &mut Vec<u8>) {
    if five {
        let bits = quants.iter().enumerate().map(|(i, quant)| u32::from(quant >> 4) << i);
        out.extend(bits.sum::<u32>().to_le_bytes());
    }
    let (low, high) = quants.split_at(BLOCK / 2);
    out.extend(low.iter().zip(high).map(|(low, high)| low & 15 | high << 4));
}

fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dims: &[u64], block: BlockType) -> TensorInfo {
        TensorInfo { name: name.into(), dims: dims.into(), block, offset: 0 }
    }

    #[test]
    fn only_matrices_change_and_only_to_fewer_bits() {
        let quantize = Quantize::named("q8_0").unwrap();
        let becomes = |name: &str, dims: &[u64], block| quantize.block_of(&tensor(name, dims, block));
        assert_eq!(becomes("blk.0.attn_q.weight", &[64, 3], BlockType::Bf16), BlockType::Q8_0);
        assert_eq!(becomes("blk.0.attn_q.weight", &[36, 3], BlockType::Bf16), BlockType::Bf16);
        assert_eq!(becomes("blk.0.attn_q.weight", &[64, 3], BlockType::Q4_0), BlockType::Q4_0);
        assert_eq!(becomes("blk.0.attn_norm.weight", &[64], BlockType::F32), BlockType::F32);
        assert_eq!(becomes("blk.0.ffn_gate_inp.weight", &[64, 8], BlockType::F32), BlockType::F32);
        let coarse = Quantize::named("q4_0").unwrap();
        let becomes = |name: &str, block| coarse.block_of(&tensor(name, &[64, 3], block));
        assert_eq!(becomes("token_embd.weight", BlockType::Bf16), BlockType::Q8_0);
        assert_eq!(becomes("output.weight", BlockType::Q6K), BlockType::Q6K);
        assert_eq!(becomes("blk.0.ffn_up.weight", BlockType::Q8_0), BlockType::Q4_0);
        let grouped = Quantize::named("q4_k").unwrap();
        let becomes = |name: &str, cols| grouped.block_of(&tensor(name, &[cols, 3], BlockType::Bf16));
        assert_eq!(becomes("blk.0.ffn_up.weight", 512), BlockType::Q4K);
        assert_eq!(becomes("blk.0.ffn_up.weight", 576), BlockType::Q4_1);
        assert_eq!(becomes("blk.0.ffn_up.weight", 36), BlockType::Bf16);
        assert_eq!(becomes("token_embd.weight", 512), BlockType::Q8_0);
        let none = Quantize::named("none").unwrap();
        assert_eq!(none.block_of(&tensor("output.weight", &[64, 3], BlockType::F32)), BlockType::F32);
        assert!(Quantize::named("q3").unwrap_err().to_string().contains("q8_0"));
    }

    #[test]
    fn zeros_and_values_beyond_f16_stay_in_range() {
        for (name, block) in TARGETS {
            for values in [[0.0; GROUP], [-0.0; GROUP], [1e-30; GROUP], [7.0; GROUP], [-7.0; GROUP]] {
                let mut bytes = Vec::new();
                quantize_row(block, &values, &mut bytes);
                assert_eq!(bytes.len(), block.row_bytes(GROUP), "{name}");
                let mut decoded = [1.0; GROUP];
                dequantize(block, &bytes, &mut Planes::default(), &mut decoded);
                for (value, decoded) in values.iter().zip(decoded) {
                    assert!((value - decoded).abs() <= 0.02 * value.abs() + 1e-6, "{name}: {value} {decoded}");
                }
            }
        }
    }
}
