//! The formats of keys and values.

use half::f16;
use serde::Serialize;

use crate::{Error, Result};

/// How an engine holds keys and values.
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
    /// Rounded to eighths, -7 to 8, of the value of the largest magnitude among 32, which is at
    /// most 65504. Not on GPUs.
    Q4,
}

/// Values that share a factor, an f32: in [`KvFormat::Q8`] it is followed by a byte for each.
pub(crate) const GROUP: usize = 32;
const GROUP_BYTES: usize = size_of::<f32>() + GROUP;
/// In [`KvFormat::Q4`] by half a byte for each: the first 16 in the low halves.
const HALF_BYTES: usize = size_of::<f32>() + GROUP / 2;

impl KvFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Q8, Self::Q4];
    /// Those that GPUs have kernels for.
    pub const OF_GPUS: [Self; 3] = [Self::F32, Self::F16, Self::Q8];

    /// The name, as in options.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
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

    /// The format on a GPU where `asked` is wanted. Errors: `InvalidOption`.
    pub fn of_gpu(asked: Option<Self>) -> Result<Self> {
        let format = asked.unwrap_or(Self::F16);
        if Self::OF_GPUS.contains(&format) {
            return Ok(format);
        }
        let formats = Self::OF_GPUS.map(Self::name).join(" or ");
        let expected = format!("{formats} on a GPU; device 'cpu' takes {} too", format.name());
        Err(Error::InvalidOption { name: "kvCache".into(), expected, got: format.name().into() })
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
            Self::Q4 => Some("KV_Q4"),
        }
    }

    /// Bytes of this many values, a multiple of [`KvFormat::together`].
    pub fn bytes(self, values: usize) -> usize {
        match self {
            Self::F32 => values * size_of::<f32>(),
            Self::F16 => values * size_of::<f16>(),
            Self::Q8 => values / GROUP * GROUP_BYTES,
            Self::Q4 => values / GROUP * HALF_BYTES,
        }
    }

    /// Heads have a multiple of this many values.
    pub fn unit(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 8,
            Self::Q8 | Self::Q4 => GROUP,
        }
    }

    /// Values that are read and written together, in whole words.
    pub fn together(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::F16 => 2,
            Self::Q8 | Self::Q4 => GROUP,
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
            Self::Q4 => {
                for values in values.chunks_mut(GROUP) {
                    let (extreme, numbers) = to_nibbles(values);
                    values.iter_mut().zip(numbers).for_each(|(value, n)| *value = from_nibble(extreme, n));
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
            Self::Q4 => values
                .chunks_exact(GROUP)
                .map(to_nibbles)
                .flat_map(|(extreme, numbers)| {
                    let half = |n: i8| (n + 8).cast_unsigned();
                    let packed = (0..GROUP / 2).map(move |i| half(numbers[i]) | half(numbers[i + GROUP / 2]) << 4);
                    extreme.to_le_bytes().into_iter().chain(packed)
                })
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
            Self::Q4 => {
                let group = |[a, b, c, d, packed @ ..]: &[u8; HALF_BYTES]| {
                    let extreme = f32::from_le_bytes([*a, *b, *c, *d]);
                    let value = move |half: u8| from_nibble(extreme, half.cast_signed() - 8);
                    let (low, high) = (packed.map(|byte| value(byte & 15)), packed.map(|byte| value(byte >> 4)));
                    low.into_iter().chain(high)
                };
                bytes.as_chunks().0.iter().flat_map(group).collect()
            }
        }
    }
}

/// The largest magnitude of at most [`GROUP`] values, and each as 127ths of it. Ends in zeros.
pub(crate) fn to_bytes(values: &[f32]) -> (f32, [i8; GROUP]) {
    let largest = f16::MAX.to_f32();
    let mut all = [0.0; GROUP];
    all[..values.len()].copy_from_slice(values);
    // magnitudes as integers, of which a compiler finds the largest in vectors
    let most = all.iter().fold(0, |most: u32, value| most.max(value.abs().to_bits()));
    let most = f32::from_bits(most).min(largest);
    let bytes = all.map(|value| {
        let part = value.clamp(-largest, largest) / most.max(LEAST);
        (part * 127.0 + ROUNDER).to_bits() as i8
    });
    (most, bytes)
}

/// A group without larger values becomes zeros.
const LEAST: f32 = 1e-30;

/// 1.5 · 2^23: added to a small number, it leaves the nearest integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

pub(crate) fn from_byte(most: f32, byte: i8) -> f32 {
    most * (f32::from(byte) / 127.0)
}

/// The value of the largest magnitude among at most [`GROUP`], and each as -8ths of it. Ends in
/// zeros. The extreme itself, which weighs most, is exact.
pub(crate) fn to_nibbles(values: &[f32]) -> (f32, [i8; GROUP]) {
    let largest = f16::MAX.to_f32();
    let mut all = [0.0; GROUP];
    for (place, value) in all.iter_mut().zip(values) {
        *place = value.max(-largest).min(largest);
    }
    let extreme = all.iter().fold(0.0, |most: f32, value| if value.abs() > most.abs() { *value } else { most });
    let factor = if extreme.abs() > LEAST { -8.0 / extreme } else { 0.0 };
    (extreme, all.map(|value| ((value * factor + ROUNDER).to_bits() as i8).clamp(-8, 7)))
}

pub(crate) fn from_nibble(extreme: f32, number: i8) -> f32 {
    extreme * (f32::from(number) / -8.0)
}

/// The nearest f16 that is finite; NaN stays NaN.
pub(crate) fn to_f16(value: f32) -> f16 {
    f16::from_f32(value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn nibbles_are_within_half_an_eighth_of_the_extreme_of_their_group() {
        let values: Vec<f32> = (0..96).map(|i| (i as f32 * 1.7).sin() * 3e-4_f32.powi(i / 32 - 1) - 0.1).collect();
        let mut rounded = values.clone();
        KvFormat::Q4.round(&mut rounded);
        for (values, rounded) in values.chunks(GROUP).zip(rounded.chunks(GROUP)) {
            let extreme =
                values.iter().fold(0.0, |most: f32, value| if value.abs() > most.abs() { *value } else { most });
            for (value, rounded) in values.iter().zip(rounded) {
                // on the side away from the extreme there is no eighth
                let least = if value * extreme < 0.0 { 8.01 } else { 15.99 };
                assert!((value - rounded).abs() <= extreme.abs() / least, "{value} {rounded} {extreme}");
                assert!(*value != extreme || rounded == value);
            }
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
        assert!(error.contains("f32 or f16 or q8 or q4") && error.contains("kvCache"), "{error}");
        let error = KvFormat::of_gpu(Some(KvFormat::Q4)).unwrap_err().to_string();
        assert!(error.contains("f32 or f16 or q8 on a GPU; device 'cpu' takes q4"), "{error}");
    }
}
