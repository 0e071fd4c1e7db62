//! The layouts in which engines hold weights, and the repacking of a file's blocks into them.
//!
//! Files come in many block types; kernels are written once a layout. A tensor becomes two planes, because scales
//! inside the blocks would leave the quants at odd addresses (a Q8_0 block has 34 bytes), and a kernel wants whole
//! 32-bit words. Rows are contiguous and row-major in both planes:
//!
//! | layout | quants plane, a row | scales plane, a row |
//! |---|---|---|
//! | F32, F16, BF16 | the values, little-endian | none |
//! | Q4 | 16 bytes a block; byte j: value j in the low nibble, j + 16 in the high one | one u32 a block |
//! | Q8 | 32 signed bytes a block | one u32 a block |
//!
//! A block has 32 values; its u32 holds the f16 scale d in the low half and the f16 minimum m in the high half, and
//! every value is d · q + m. So Q4_0 and Q4_1 share one kernel: Q4_0 has m = −8 d, which f16 holds exactly for every
//! |d| < 8192, and d · q − 8 d is exact in f32. (A larger scale, which no trained weight comes near, gives an
//! infinity, which ends in an [`InvalidLogits`](crate::Error::InvalidLogits) error, not in quietly wrong text.)

use half::{bf16, f16};

use super::BlockType;

/// Values that share a scale in [`Layout::Q4`] and [`Layout::Q8`].
pub const BLOCK: usize = 32;

/// How an engine holds a weight tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// Blocks of 32 unsigned 4-bit values with scale and minimum.
    Q4,
    /// Blocks of 32 signed 8-bit values with scale and minimum.
    Q8,
}

impl Layout {
    /// The layout that tensors of this block type are repacked into, without loss.
    pub fn for_block(block: BlockType) -> Self {
        match block {
            BlockType::F32 => Self::F32,
            BlockType::F16 => Self::F16,
            BlockType::Bf16 => Self::Bf16,
            BlockType::Q4_0 | BlockType::Q4_1 => Self::Q4,
            BlockType::Q8_0 => Self::Q8,
        }
    }

    /// Bytes of a row of `cols` values in the quants plane.
    pub fn quants_row_bytes(self, cols: usize) -> usize {
        match self {
            Self::F32 => 4 * cols,
            Self::F16 | Self::Bf16 => 2 * cols,
            Self::Q4 => cols / 2,
            Self::Q8 => cols,
        }
    }

    /// Bytes of a row of `cols` values in the scales plane; 0 if the layout has none.
    pub fn scales_row_bytes(self, cols: usize) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 0,
            Self::Q4 | Self::Q8 => cols / BLOCK * 4,
        }
    }
}

/// Rows of a tensor in a [`Layout`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planes {
    /// Quants plane: `rows × quants_row_bytes(cols)` bytes.
    pub quants: Vec<u8>,
    /// Scales plane: `rows × scales_row_bytes(cols)` bytes.
    pub scales: Vec<u8>,
}

impl Planes {
    /// Removes all rows and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.quants.clear();
        self.scales.clear();
    }
}

/// **Appends** `rows` to `out`, repacked from the file's `block` type into [`Layout::for_block`].
///
/// `rows` is a whole number of rows of `cols` values, as a [`Sink`](super::Sink) receives them.
/// One pass, no allocation but the growth of `out`: reserve there, or [`clear`](Planes::clear) and reuse it.
pub fn repack(block: BlockType, cols: usize, rows: &[u8], out: &mut Planes) {
    debug_assert_eq!(cols % block.block_len(), 0, "a row is whole blocks");
    debug_assert_eq!(rows.len() % block.row_bytes(cols).max(1), 0, "rows come whole");
    match block {
        BlockType::F32 | BlockType::F16 | BlockType::Bf16 => out.quants.extend_from_slice(rows),
        BlockType::Q4_0 => {
            for [d0, d1, quants @ ..] in rows.as_chunks::<{ 2 + 16 }>().0 {
                let d = f16::from_le_bytes([*d0, *d1]);
                let m = f16::from_f32(-8.0 * d.to_f32());
                out.quants.extend_from_slice(quants);
                out.scales.extend_from_slice(&pack_scale(d, m));
            }
        }
        BlockType::Q4_1 => {
            for [d0, d1, m0, m1, quants @ ..] in rows.as_chunks::<{ 2 + 2 + 16 }>().0 {
                out.quants.extend_from_slice(quants);
                out.scales.extend_from_slice(&[*d0, *d1, *m0, *m1]);
            }
        }
        BlockType::Q8_0 => {
            for [d0, d1, quants @ ..] in rows.as_chunks::<{ 2 + 32 }>().0 {
                out.quants.extend_from_slice(quants);
                out.scales.extend_from_slice(&[*d0, *d1, 0, 0]);
            }
        }
    }
}

/// One u32 of a scales plane, little-endian: f16 scale `d`, f16 minimum `m`.
fn pack_scale(d: f16, m: f16) -> [u8; 4] {
    let ([d0, d1], [m0, m1]) = (d.to_le_bytes(), m.to_le_bytes());
    [d0, d1, m0, m1]
}

/// Scale `d` and minimum `m` out of one u32 of a scales plane.
fn unpack_scale([d0, d1, m0, m1]: [u8; 4]) -> (f32, f32) {
    (f16::from_le_bytes([d0, d1]).to_f32(), f16::from_le_bytes([m0, m1]).to_f32())
}

/// Decodes one row into `out`, which has `cols` values.
///
/// - quants: `quants_row_bytes(cols)` bytes
/// - scales: `scales_row_bytes(cols)` bytes
///
/// The obvious code, and the definition of the layouts that every kernel is tested against.
pub fn dequantize_row(layout: Layout, quants: &[u8], scales: &[u8], out: &mut [f32]) {
    debug_assert_eq!(quants.len(), layout.quants_row_bytes(out.len()));
    debug_assert_eq!(scales.len(), layout.scales_row_bytes(out.len()));
    let scales = scales.as_chunks::<4>().0;
    match layout {
        Layout::F32 => {
            for (value, bytes) in out.iter_mut().zip(quants.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Layout::F16 => {
            for (value, bytes) in out.iter_mut().zip(quants.as_chunks().0) {
                *value = f16::from_le_bytes(*bytes).to_f32();
            }
        }
        Layout::Bf16 => {
            for (value, bytes) in out.iter_mut().zip(quants.as_chunks().0) {
                *value = bf16::from_le_bytes(*bytes).to_f32();
            }
        }
        Layout::Q4 => {
            for ((values, quants), scale) in out.chunks_exact_mut(BLOCK).zip(quants.as_chunks::<16>().0).zip(scales) {
                let (d, m) = unpack_scale(*scale);
                for (j, byte) in quants.iter().enumerate() {
                    values[j] = d * f32::from(byte & 0xf) + m;
                    values[j + 16] = d * f32::from(byte >> 4) + m;
                }
            }
        }
        Layout::Q8 => {
            for ((values, quants), scale) in out.chunks_exact_mut(BLOCK).zip(quants.as_chunks::<BLOCK>().0).zip(scales)
            {
                let (d, m) = unpack_scale(*scale);
                for (value, quant) in values.iter_mut().zip(quants) {
                    *value = d * f32::from(quant.cast_signed()) + m;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Value `i` of a file's row, straight from the formulas in `block.rs`.
    fn decode(block: BlockType, row: &[u8], i: usize) -> f32 {
        let bytes = &row[i / block.block_len() * block.block_bytes()..][..block.block_bytes()];
        let half = |at: usize| f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32();
        let i = i % block.block_len();
        let nibble = |start: usize| f32::from((bytes[start + i % 16] >> (i / 16 * 4)) & 0xf);
        match block {
            BlockType::F32 => f32::from_le_bytes(bytes.try_into().unwrap()),
            BlockType::F16 => half(0),
            BlockType::Bf16 => f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16),
            BlockType::Q4_0 => (nibble(2) - 8.0) * half(0),
            BlockType::Q4_1 => nibble(4) * half(0) + half(2),
            BlockType::Q8_0 => f32::from(bytes[2 + i] as i8) * half(0),
        }
    }

    proptest! {
        /// Any bytes at all, so any scale: subnormal, negative, infinite, NaN.
        #[test]
        fn repacked_rows_decode_like_the_file(
            block in proptest::sample::select(&BlockType::ALL[..]),
            blocks in 1usize..7,
            rows in 1usize..5,
            seed in proptest::collection::vec(any::<u8>(), 4 * 6 * 34),
        ) {
            let cols = blocks * block.block_len();
            let row_bytes = block.row_bytes(cols);
            let layout = Layout::for_block(block);
            let file = &seed[..rows * row_bytes];
            let mut planes = Planes::default();
            let cut = rows / 2 * row_bytes; // two calls append
            repack(block, cols, &file[..cut], &mut planes);
            repack(block, cols, &file[cut..], &mut planes);
            let (quants_row, scales_row) = (layout.quants_row_bytes(cols), layout.scales_row_bytes(cols));
            prop_assert_eq!(planes.quants.len(), rows * quants_row);
            prop_assert_eq!(planes.scales.len(), rows * scales_row);
            let mut out = vec![f32::NAN; cols];
            for row in 0..rows {
                let quants = &planes.quants[row * quants_row..][..quants_row];
                let scales = &planes.scales[row * scales_row..][..scales_row];
                dequantize_row(layout, quants, scales, &mut out);
                for (i, &got) in out.iter().enumerate() {
                    let file_row = &file[row * row_bytes..][..row_bytes];
                    let expected = decode(block, file_row, i);
                    let d = |row: &[u8]| f16::from_le_bytes([row[i / 32 * 18], row[i / 32 * 18 + 1]]).to_f32().abs();
                    if block == BlockType::Q4_0 && d(file_row) >= 8192.0 {
                        prop_assert!(!got.is_finite(), "a scale beyond the layout must show: {}", got);
                    } else {
                        // `==`: a zero may have the other sign, −8 d + 8 d being +0.
                        prop_assert!(got == expected || got.is_nan() && expected.is_nan(), "{got} != {expected}");
                    }
                }
            }
        }
    }
}
