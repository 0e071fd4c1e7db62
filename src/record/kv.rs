//! The shape and the format of a KV cache.

use std::ops::Range;

use half::f16;
use serde::Serialize;

use super::BufferId;
use crate::{Error, Result};

/// Positions per block of the KV cache; a multiple of four, since kernels process four at a time.
pub const KV_BLOCK: usize = 64;

/// How an engine holds keys and values. Engines compute with f32 in either format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum KvFormat {
    /// As they are computed.
    #[default]
    F32,
    /// Rounded to 11 bits; what is beyond ±65504 becomes ±65504.
    F16,
}

impl KvFormat {
    /// All formats.
    pub const ALL: [Self; 2] = [Self::F32, Self::F16];

    /// The name, as in options.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// Parses a [`KvFormat::name`], the value of this option. Errors: `InvalidOption`.
    pub fn named(option: &str, name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| Error::InvalidOption {
            name: option.into(),
            expected: Self::ALL.map(Self::name).join(" or "),
            got: name.into(),
        })
    }

    /// Bytes of this many values.
    pub fn bytes(self, values: usize) -> usize {
        match self {
            Self::F32 => values * size_of::<f32>(),
            Self::F16 => values * size_of::<f16>(),
        }
    }

    /// Heads have a multiple of this many values.
    pub fn unit(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 8,
        }
    }

    /// What is read where `value` was written.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => to_f16(value).to_f32(),
        }
    }

    /// The bytes that hold these values.
    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => bytemuck::cast_slice(values).to_vec(),
            Self::F16 => values.iter().flat_map(|value| to_f16(*value).to_le_bytes()).collect(),
        }
    }

    /// The values that these bytes hold; exact.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytemuck::pod_collect_to_vec(bytes),
            Self::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        }
    }
}

/// The nearest f16 that is finite; NaN stays NaN.
fn to_f16(value: f32) -> f16 {
    f16::from_f32(value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
}

/// The keys and values of one layer for all sequences: blocks of shape (2, heads, [`KV_BLOCK`],
/// head_dim), keys before values. The block table of a sequence lists the blocks of its positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvCache {
    /// Created by [`Memory::create_blocks`](super::Memory::create_blocks).
    pub buffer: BufferId,
    /// Number of key/value heads.
    pub heads: usize,
    /// Values per head.
    pub head_dim: usize,
    /// How they are held.
    pub format: KvFormat,
}

impl KvCache {
    /// Values per block.
    pub fn block_len(&self) -> usize {
        2 * self.heads * KV_BLOCK * self.head_dim
    }

    /// Bytes per block.
    pub fn block_bytes(&self) -> usize {
        self.format.bytes(self.block_len())
    }

    /// Bytes of a key, or of a value, of a head.
    pub fn vector_bytes(&self) -> usize {
        self.format.bytes(self.head_dim)
    }

    /// The range of a head's keys within a block, for these of the block's positions.
    pub fn keys(&self, head: usize, positions: Range<usize>) -> Range<usize> {
        let start = head * KV_BLOCK;
        (start + positions.start) * self.head_dim..(start + positions.end) * self.head_dim
    }

    /// The range of a head's values, likewise.
    pub fn values(&self, head: usize, positions: Range<usize>) -> Range<usize> {
        self.keys(self.heads + head, positions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again_as_it_was() {
        let values = [0.0, -0.0, 1.0, 0.1, -3.3e-7, 65504.0, 65519.0, 65520.0, -1e30, f32::INFINITY];
        for format in KvFormat::ALL {
            let read = format.decode(&format.encode(&values));
            assert_eq!(read, values.map(|value| format.round(value)));
            assert_eq!(format.encode(&read), format.encode(&values));
        }
        // beyond the largest f16 nothing becomes infinite
        assert_eq!(values.map(|value| KvFormat::F16.round(value))[5..], [65504.0, 65504.0, 65504.0, -65504.0, 65504.0]);
        assert!(KvFormat::F16.round(f32::NAN).is_nan());
    }

    #[test]
    fn unknown_formats_are_told_what_there_is() {
        assert!(
            KvFormat::ALL
                .into_iter()
                .all(|format| KvFormat::named("kvCache", format.name()).is_ok_and(|named| named == format))
        );
        let error = KvFormat::named("kvCache", "f8").unwrap_err().to_string();
        assert!(error.contains("f32 or f16") && error.contains("kvCache"), "{error}");
    }
}
