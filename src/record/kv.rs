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
    /// Rounded to 127ths of the largest magnitude among 32 values, which is at most 65504.
    Q8,
}

/// Values of [`KvFormat::Q8`] that share their largest magnitude: an f32, then a byte for each.
const GROUP: usize = 32;
const GROUP_BYTES: usize = size_of::<f32>() + GROUP;

impl KvFormat {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Q8];

    /// The name, as in options.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
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

    /// The format itself, or the next larger one that holds heads of this many values.
    pub fn of_heads(self, head_dim: usize) -> Self {
        let holds = |format: &Self| head_dim.is_multiple_of(format.unit());
        [self, Self::F16].into_iter().find(holds).unwrap_or(Self::F32)
    }

    /// The define that selects it in shaders.
    pub fn define(self) -> Option<&'static str> {
        match self {
            Self::F32 => None,
            Self::F16 => Some("KV_F16"),
            Self::Q8 => Some("KV_Q8"),
        }
    }

    /// Bytes of this many values, a multiple of [`KvFormat::together`].
    pub fn bytes(self, values: usize) -> usize {
        match self {
            Self::F32 => values * size_of::<f32>(),
            Self::F16 => values * size_of::<f16>(),
            Self::Q8 => values / GROUP * GROUP_BYTES,
        }
    }

    /// Heads have a multiple of this many values.
    pub fn unit(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 8,
            Self::Q8 => GROUP,
        }
    }

    /// Values that are read and written together, in whole words.
    pub fn together(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::F16 => 2,
            Self::Q8 => GROUP,
        }
    }

    /// Replaces values by what is read where they were written.
    pub fn round(self, values: &mut [f32]) {
        match self {
            Self::F32 => {}
            Self::F16 => values.iter_mut().for_each(|value| *value = to_f16(*value).to_f32()),
            Self::Q8 => {
                for values in values.chunks_mut(GROUP) {
                    let (most, bytes) = to_bytes(values);
                    values.iter_mut().zip(bytes).for_each(|(value, byte)| *value = from_byte(most, byte));
                }
            }
        }
    }

    /// The bytes that hold these values.
    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => bytemuck::cast_slice(values).to_vec(),
            Self::F16 => values.iter().flat_map(|value| to_f16(*value).to_le_bytes()).collect(),
            Self::Q8 => values
                .chunks_exact(GROUP)
                .map(to_bytes)
                .flat_map(|(most, bytes)| most.to_le_bytes().into_iter().chain(bytes.map(i8::cast_unsigned)))
                .collect(),
        }
    }

    /// The values that these bytes hold; exact.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytemuck::pod_collect_to_vec(bytes),
            Self::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            Self::Q8 => {
                let group = |[a, b, c, d, bytes @ ..]: &[u8; GROUP_BYTES]| {
                    let most = f32::from_le_bytes([*a, *b, *c, *d]);
                    bytes.map(|byte| from_byte(most, byte.cast_signed()))
                };
                bytes.as_chunks().0.iter().flat_map(group).collect()
            }
        }
    }
}

/// The largest magnitude of at most [`GROUP`] values, and each as 127ths of it. Ends in zeros.
fn to_bytes(values: &[f32]) -> (f32, [i8; GROUP]) {
    let largest = f16::MAX.to_f32();
    let most = values.iter().fold(0.0, |most: f32, value| most.max(value.abs())).min(largest);
    let mut bytes = [0; GROUP];
    for (byte, value) in bytes.iter_mut().zip(values) {
        let part = value.clamp(-largest, largest) / most.max(LEAST);
        *byte = (part * 127.0).round() as i8;
    }
    (most, bytes)
}

/// A group without larger values becomes zeros.
const LEAST: f32 = 1e-30;

fn from_byte(most: f32, byte: i8) -> f32 {
    most * (f32::from(byte) / 127.0)
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
    /// Equal parts of the heads; divides `heads`. A GPU, which bounds the size of a buffer, holds
    /// each in a buffer of its own.
    pub parts: usize,
}

impl KvCache {
    /// The same in the fewest parts that have so many positions in `limit` bytes each; `None`: not
    /// even a head has.
    pub fn divided(self, positions: usize, limit: u64) -> Option<Self> {
        let bytes = (positions.div_ceil(KV_BLOCK) as u64).saturating_mul(self.block_bytes() as u64);
        let fits = |&parts: &usize| self.heads.is_multiple_of(parts) && bytes / parts as u64 <= limit;
        (1..=self.heads).find(fits).map(|parts| Self { parts, ..self })
    }

    /// Heads of a part.
    pub fn part_heads(&self) -> usize {
        self.heads / self.parts
    }

    /// Bytes of a part of a block.
    pub fn part_bytes(&self) -> usize {
        self.block_bytes() / self.parts
    }

    /// A range of values, cut where it leaves a part: parts, and ranges within them. A part has
    /// blocks as the whole, of fewer heads.
    pub fn in_parts(&self, range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        // keys or values of a part in a block: they take turns
        let (run, parts) = (self.part_heads() * KV_BLOCK * self.head_dim, self.parts);
        let runs = range.start / run..range.end.div_ceil(run);
        runs.map(move |i| {
            let within = range.start.max(i * run) - i * run..range.end.min((i + 1) * run) - i * run;
            let first = i / parts * run;
            (i % parts, first + within.start..first + within.end)
        })
    }

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
    fn a_cache_has_no_more_parts_than_it_needs() {
        let (heads, head_dim, format) = (6, 64, KvFormat::F16);
        let whole = KvCache { buffer: BufferId(0), heads, head_dim, format, parts: 1 };
        // a block of a head
        let least = 2 * 64 * 64 * 2;
        let parts = |blocks: u64| whole.divided(10 * KV_BLOCK - 5, blocks * least).map(|cache| cache.parts);
        assert_eq!([60, 59, 30, 29, 20, 10].map(parts), [1, 2, 2, 3, 3, 6].map(Some));
        assert_eq!(parts(9), None);
        assert_eq!(whole.divided(usize::MAX, u64::MAX).map(|cache| cache.parts), Some(1));
    }

    #[test]
    fn every_value_is_in_one_part() {
        let (heads, head_dim, format) = (4, 8, KvFormat::F32);
        for parts in [1, 2, 4] {
            let cache = KvCache { buffer: BufferId(0), heads, head_dim, format, parts };
            let mut held = vec![vec![None; 3 * cache.block_len() / parts]; parts];
            // in ranges that begin and end anywhere
            let (mut at, all) = (0, 3 * cache.block_len());
            while at < all {
                let end = all.min(at + 1 + at % 1500);
                let places = cache.in_parts(at..end).flat_map(|(part, range)| range.map(move |place| (part, place)));
                for (value, (part, place)) in (at..end).zip(places) {
                    assert_eq!(held[part][place].replace(value), None);
                }
                at = end;
            }
            assert!(held.iter().flatten().all(Option::is_some));
            // a part is a cache of fewer heads
            let of_part = KvCache { heads: cache.part_heads(), parts: 1, ..cache };
            let (block, head, at) = (2 * cache.block_len(), 3, 5..9);
            let place = |range: Range<usize>| cache.in_parts(block + range.start..block + range.end).next();
            let expected = |range: Range<usize>| {
                let block = 2 * of_part.block_len();
                Some((head / of_part.heads, block + range.start..block + range.end))
            };
            let within = head % of_part.heads;
            assert_eq!(place(cache.keys(head, at.clone())), expected(of_part.keys(within, at.clone())));
            assert_eq!(place(cache.values(head, at.clone())), expected(of_part.values(within, at)));
        }
    }

    #[test]
    fn what_is_read_is_written_again_as_it_was() {
        let mut values = [0.0, -0.0, 1.0, 0.1, -3.3e-7, 65504.0, 65519.0, 65520.0, -1e30, f32::INFINITY].repeat(16);
        values[32..]
            .iter_mut()
            .enumerate()
            .for_each(|(i, value)| *value = (i as f32).sin() * 0.01_f32.powi(i as i32 / 32));
        let rounded = |format: KvFormat| {
            let mut values = values.clone();
            format.round(&mut values);
            values
        };
        for format in KvFormat::ALL {
            let read = format.decode(&format.encode(&values));
            assert_eq!(read, rounded(format));
            assert_eq!(format.encode(&read), format.encode(&values));
            assert_eq!(format.encode(&values).len(), format.bytes(values.len()));
        }
        // beyond the largest f16 nothing becomes infinite
        for format in [KvFormat::F16, KvFormat::Q8] {
            assert_eq!(rounded(format)[5..10], [65504.0, 65504.0, 65504.0, -65504.0, 65504.0]);
        }
        let mut none = [f32::NAN];
        KvFormat::F16.round(&mut none);
        assert!(none[0].is_nan());
    }

    #[test]
    fn bytes_are_within_half_a_127th_of_the_largest_of_their_group() {
        let values: Vec<f32> = (0..64).map(|i| (i as f32 * 1.7).sin() * if i < 32 { 1e-3 } else { 40.0 }).collect();
        let mut rounded = values.clone();
        KvFormat::Q8.round(&mut rounded);
        for (values, rounded) in values.chunks(GROUP).zip(rounded.chunks(GROUP)) {
            let most = values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
            assert!(values.iter().zip(rounded).all(|(a, b)| (a - b).abs() <= most / 253.9));
        }
    }

    #[test]
    fn heads_that_a_format_cannot_hold_take_the_next_larger_one() {
        use KvFormat::{F16, F32, Q8};
        assert_eq!([128, 80, 12].map(|head_dim| Q8.of_heads(head_dim)), [Q8, F16, F32]);
        assert_eq!([128, 80, 12].map(|head_dim| F16.of_heads(head_dim)), [F16, F16, F32]);
        assert_eq!([128, 80, 12].map(|head_dim| F32.of_heads(head_dim)), [F32; 3]);
    }

    #[test]
    fn unknown_formats_are_told_what_there_is() {
        assert!(
            KvFormat::ALL
                .into_iter()
                .all(|format| KvFormat::named("kvCache", format.name()).is_ok_and(|named| named == format))
        );
        let error = KvFormat::named("kvCache", "f8").unwrap_err().to_string();
        assert!(error.contains("f32 or f16 or q8") && error.contains("kvCache"), "{error}");
    }
}
