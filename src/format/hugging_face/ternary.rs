//! Ternary weights (BitNet b1.58: Ma et al. 2024, arXiv 2402.17764) as transformers stores them:
//! packed, four rows a byte, with a scale of the matrix apart, or as they were trained, to be
//! rounded by whoever loads them.
//!
//! Here they become -1, 0 and 1 in GGUF's two bits, and the scale a factor of the product.
//! transformers also rounds what a projection reads to eight bits, a scale a token; here an engine
//! does that as with other weights, or not at all, which is nearer to the exact product.

use super::config::{Object, invalid, unsupported};
use super::values::bytes_of;
use crate::Result;
use crate::format::quantize::{dequantize, quantize_row};
use crate::format::{BlockType, Planes, Sink, TensorInfo};

/// Rows that share a byte.
pub(super) const PACKED: usize = 4;

/// Values of a block of TQ2_0, and how many of them in turn have the same bits of their bytes.
const BLOCK: usize = 256;
const RUN: usize = 32;

/// 1 in f16, little-endian.
const ONE: [u8; 2] = [0x00, 0x3c];

/// How the matrices of layers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ternary {
    /// Numbers from 0 to 2 for -1 to 1: row r of n has two bits of the bytes of row r mod n/4.
    Packed {
        /// Whether products are divided by the scale, not multiplied.
        divides: bool,
    },
    /// As floats, to be rounded: their scale is the mean of their magnitudes.
    Trained,
}

impl Ternary {
    /// Reads `quantization_config`; `None` for another method or none.
    pub(super) fn read(config: &Object) -> Result<Option<Self>> {
        let text = |name: &str| config.text(&[&format!("quantization_config.{name}")]);
        if text("quant_method")?.is_none_or(|method| method != "bitnet") {
            return Ok(None);
        }
        if config.flag("quantization_config.use_rms_norm")? == Some(true) {
            return Err(unsupported("quantization_config.use_rms_norm", "true", "false"));
        }
        let (class, mode) = (text("linear_class")?, text("quantization_mode")?);
        match (class.as_deref().unwrap_or("bitlinear"), mode.as_deref().unwrap_or("offline")) {
            ("bitlinear", "offline") => Ok(Some(Self::Packed { divides: true })),
            ("autobitlinear", "offline") => Ok(Some(Self::Packed { divides: false })),
            ("autobitlinear", "online") => Ok(Some(Self::Trained)),
            (class, mode) => {
                let expected = "bitlinear (offline) or autobitlinear";
                Err(invalid("quantization_config.linear_class", expected, format!("{class} ({mode})")))
            }
        }
    }
}

/// The type that a matrix of so many columns gets.
pub(super) fn block_of(cols: usize) -> BlockType {
    if cols.is_multiple_of(BLOCK) { BlockType::Tq2_0 } else { BlockType::Bf16 }
}

/// The rows of a packed one, each from 0 to 2.
pub(super) fn unpacked(bytes: &[u8]) -> [Vec<u8>; PACKED] {
    [0, 1, 2, 3].map(|row| bytes.iter().map(|byte| byte >> (2 * row) & 3).collect())
}

/// Rounds a whole matrix of floats. Returns numbers from 0 to 2, and hands on the scale.
pub(super) fn rounded(
    block: BlockType,
    bytes: &[u8],
    scale: Option<&TensorInfo>,
    sink: &mut dyn Sink,
) -> Result<Vec<u8>> {
    let mut values = vec![0.0; bytes.len() / block.row_bytes(1)];
    dequantize(block, bytes, &mut Planes::default(), &mut values);
    let sum: f64 = values.iter().map(|value| f64::from(value.abs())).sum();
    let factor = 1.0 / ((sum / values.len().max(1) as f64) as f32).max(1e-5);
    if let Some(scale) = scale {
        sink.rows(scale, 0, &bytes_of(&[1.0 / factor]))?;
    }
    Ok(values.iter().map(|value| ((value * factor).round_ties_even().clamp(-1.0, 1.0) + 1.0) as u8).collect())
}

/// A row of GGUF of numbers from 0 to 2.
pub(super) fn row(numbers: &[u8]) -> Vec<u8> {
    let mut row = Vec::new();
    if block_of(numbers.len()) == BlockType::Bf16 {
        let values: Vec<f32> = numbers.iter().map(|&number| f32::from(number) - 1.0).collect();
        quantize_row(BlockType::Bf16, &values, &mut row);
        return row;
    }
    for block in numbers.as_chunks::<BLOCK>().0 {
        for quarters in block.as_chunks::<{ RUN * PACKED }>().0 {
            let byte = |i: usize| (0..PACKED).fold(0, |byte, part| byte | quarters[part * RUN + i] << (2 * part));
            row.extend((0..RUN).map(byte));
        }
        row.extend(ONE);
    }
    row
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn numbers(len: usize) -> Vec<u8> {
        (0..len).map(|i| ((i * i / 3 + i / 7) % 3) as u8).collect()
    }

    #[test]
    fn a_row_is_the_same_in_two_bits_and_in_sixteen() {
        for cols in [24, 512] {
            let (numbers, mut values) = (numbers(cols), vec![f32::NAN; cols]);
            dequantize(block_of(cols), &row(&numbers), &mut Planes::default(), &mut values);
            let expected: Vec<f32> = numbers.iter().map(|&number| f32::from(number) - 1.0).collect();
            assert_eq!(values, expected, "{cols}");
        }
    }

    #[test]
    fn a_byte_has_a_number_of_each_of_four_rows() {
        assert_eq!(unpacked(&[0b10_01_00_10, 0b00_00_01_01]), [[2, 1], [0, 1], [1, 0], [2, 0]]);
    }

    #[test]
    fn settings_that_transformers_does_not_have_are_refused() {
        let read = |changes: serde_json::Value| {
            let mut config = json!({"quant_method": "bitnet"});
            for (key, value) in changes.as_object().into_iter().flatten() {
                config[key] = value.clone();
            }
            Ternary::read(&Object(&json!({"quantization_config": config}), None)).map_err(|error| error.to_string())
        };
        assert_eq!(read(json!({})), Ok(Some(Ternary::Packed { divides: true })));
        assert_eq!(read(json!({"linear_class": "autobitlinear"})), Ok(Some(Ternary::Packed { divides: false })));
        let online = json!({"linear_class": "autobitlinear", "quantization_mode": "online"});
        assert_eq!(read(online), Ok(Some(Ternary::Trained)));
        assert_eq!(read(json!({"quant_method": "fp8"})), Ok(None));
        assert!(read(json!({"use_rms_norm": true})).unwrap_err().contains("quantization_config.use_rms_norm"));
        assert!(read(json!({"quantization_mode": "online"})).unwrap_err().contains("bitlinear (online)"));
    }
}
