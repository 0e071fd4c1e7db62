//! Layouts: how engines hold weights in memory.
//!
//! Files come in many block types; kernels are written once per layout. A tensor becomes two
//! planes: scales inside blocks would leave the quants at odd addresses (a Q8_0 block has 34
//! bytes), and a kernel reads whole 32-bit words. Rows are contiguous and row-major in both planes:
//!
//! | layout | row of the quants plane | row of the scales plane |
//! |---|---|---|
//! | F32, F16, BF16 | the values, little-endian | none |
//! | Q4 | nibbles | one u32 per 32 values |
//! | Q8 | signed bytes | one u32 per 32 values |
//! | IQ4 | nibbles, indices of IQ4_NL's numbers | one u32 per 32 values |
//! | MX4 | nibbles, indices of MXFP4's numbers | one u32 per 64 values: a bf16 scale per 32 |
//! | Q4K32 | nibbles | per 256 values: one u32, then eight pairs of signed bytes, one per 32 |
//! | IQ4K32 | nibbles, indices as in IQ4 | as Q4K32 |
//! | Q4K16 | nibbles | per 256 values: one u32, then 16 pairs of signed bytes, one per 16 |
//! | Q6K16 | six bits | as Q4K16 |
//!
//! Nibbles are 16 bytes per 32 values: byte j has value j in its low half and value j + 16 in its
//! high half. Six bits per 64 values are their nibbles and then 16 bytes with the upper two bits,
//! eight bytes per 32 values: in byte 4 k + j, bits 0 and 1 belong to value 8 k + j, bits 2 and 3
//! to value 16 + 8 k + j, bits 4 and 5 to 4 + 8 k + j, bits 6 and 7 to 20 + 8 k + j. The u32 holds
//! the f16 scale d in its low half and the f16 minimum m in its high half; a pair holds the factors
//! s of d and t of m. A value is d · q + m, or d · s · q + m · t. MX4 has no minima, and of an odd
//! number of blocks the last u32 of a row is half empty.
//!
//! So a layout is the width of quants, perhaps a table, and the way scales are shared:
//! [`Quantised`]. Two levels are those of k-quants, since d · s does not fit an f16. Repacking is
//! exact: an f16 has 11 significant bits, s at most 7, q at most 7, so f32 holds their product, and
//! the one addition rounds as in direct decoding. Types without a minimum get one: Q4_0 has m =
//! −8 d, which f16 holds for |d| < 8192; Q3_K has m = −4 d and t = s, for |d| < 16384; Q6_K has m =
//! −32 d and t = s, for |d| < 2048. A larger scale, which no trained weight comes near, gives
//! infinity and then an [`InvalidLogits`](crate::Error::InvalidLogits) error instead of silently
//! wrong text.

use half::{bf16, f16};

use super::BlockType;

/// Columns that kernels process at once: the 32 values of 16 bytes of nibbles.
pub const BLOCK: usize = 32;

/// Values that share the outer scale in layouts with two levels.
pub const GROUP: usize = 256;

/// Most rows that an engine interleaves; it pads a matrix to whole tiles of them.
pub const MOST_TILE: usize = 32;

/// Bytes of a granule: kernels read quants as `vec4<u32>`.
pub const GRANULE: usize = 16;

/// Values of the nibbles in IQ4_NL and IQ4_XS.
pub const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Values of the nibbles in MXFP4 and NVFP4, doubled: a sign, two exponent bits, one mantissa bit.
pub const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// How an engine holds a weight tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// bfloat16: the upper halves of 32-bit floats.
    Bf16,
    /// Unsigned 4-bit values, scale and minimum per 32.
    Q4,
    /// Signed 8-bit values, scale and minimum per 32.
    Q8,
    /// 4-bit indices into [`IQ4`], scale and minimum per 32.
    Iq4,
    /// 4-bit indices into [`E2M1`], scale per 32.
    Mx4,
    /// Unsigned 4-bit values, scale and minimum per 32, in two levels.
    Q4K32,
    /// 4-bit indices into [`IQ4`], scale and minimum per 32, in two levels.
    Iq4K32,
    /// Unsigned 4-bit values, scale and minimum per 16, in two levels.
    Q4K16,
    /// Unsigned 6-bit values, scale and minimum per 16, in two levels.
    Q6K16,
}

/// How the values of a quantised layout share scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scales {
    /// Per 32 values an f16 scale and an f16 minimum.
    Halves,
    /// Per 32 values a bf16 scale.
    Bfloats,
    /// Per 256 values an f16 scale and an f16 minimum, per 32 a signed factor of each.
    Pairs32,
    /// The same, with factors per 16.
    Pairs16,
}

impl Scales {
    /// Values that share scale and minimum.
    pub const fn block(self) -> usize {
        match self {
            Self::Halves | Self::Bfloats | Self::Pairs32 => BLOCK,
            Self::Pairs16 => BLOCK / 2,
        }
    }

    /// Values that share words of the scales plane.
    pub const fn group(self) -> usize {
        match self {
            Self::Halves => BLOCK,
            Self::Bfloats => 2 * BLOCK,
            Self::Pairs32 | Self::Pairs16 => GROUP,
        }
    }

    /// Words of a group.
    const fn words(self) -> usize {
        match self {
            Self::Halves | Self::Bfloats => 1,
            Self::Pairs32 => 1 + 4,
            Self::Pairs16 => 1 + 8,
        }
    }

    /// Scale and minimum of block `i` of a group with these words.
    fn of(self, words: &[[u8; 4]], i: usize) -> (f32, f32) {
        let half = |at: usize| f16::from_le_bytes([words[0][at], words[0][at + 1]]).to_f32();
        match self {
            Self::Halves => (half(0), half(2)),
            Self::Bfloats => (bf16::from_le_bytes(words[0].as_chunks().0[i]).to_f32(), 0.0),
            Self::Pairs32 | Self::Pairs16 => {
                let [s, t] = words[1..].as_flattened().as_chunks::<2>().0[i].map(|byte| f32::from(byte.cast_signed()));
                (half(0) * s, half(2) * t)
            }
        }
    }
}

/// The parameters of a quantised layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantised {
    /// Bits per quant.
    pub bits: usize,
    /// The numbers that quants are indices of; `None`: they are the numbers.
    pub table: Option<&'static [i8; 16]>,
    /// How values share scales.
    pub scales: Scales,
}

impl Quantised {
    /// Columns of a matrix are a multiple of this.
    pub const fn unit(self) -> usize {
        match self.scales {
            // the last group of a row may be half empty
            Scales::Bfloats => BLOCK,
            scales => scales.group(),
        }
    }

    /// Bytes of a group in the quants plane.
    pub const fn quants_bytes(self) -> usize {
        self.scales.group() * self.bits / 8
    }

    /// Bytes of a group in the scales plane.
    pub const fn scales_bytes(self) -> usize {
        4 * self.scales.words()
    }
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4,
        Self::Q8,
        Self::Iq4,
        Self::Mx4,
        Self::Q4K32,
        Self::Iq4K32,
        Self::Q4K16,
        Self::Q6K16,
    ];

    /// The layout that tensors of this block type are repacked into, without loss.
    ///
    /// NVFP4 becomes bf16, which holds all its values: it has a scale per 16 values, fewer than the
    /// layouts of one level share.
    pub fn for_block(block: BlockType) -> Self {
        match block {
            BlockType::F32 => Self::F32,
            BlockType::F16 => Self::F16,
            BlockType::Bf16 | BlockType::Nvfp4 => Self::Bf16,
            BlockType::Q4_0 | BlockType::Q4_1 => Self::Q4,
            BlockType::Q5_0 | BlockType::Q5_1 | BlockType::Q8_0 => Self::Q8,
            BlockType::Iq4Nl => Self::Iq4,
            BlockType::Mxfp4 => Self::Mx4,
            BlockType::Q4K => Self::Q4K32,
            BlockType::Q2K | BlockType::Q3K => Self::Q4K16,
            BlockType::Q5K | BlockType::Q6K => Self::Q6K16,
            BlockType::Iq4Xs => Self::Iq4K32,
        }
    }

    /// Name in shaders and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4 => "Q4",
            Self::Q8 => "Q8",
            Self::Iq4 => "IQ4",
            Self::Mx4 => "MX4",
            Self::Q4K32 => "Q4K32",
            Self::Iq4K32 => "IQ4K32",
            Self::Q4K16 => "Q4K16",
            Self::Q6K16 => "Q6K16",
        }
    }

    /// Its parameters; `None` for plain values.
    pub const fn quantised(self) -> Option<Quantised> {
        let (bits, table, scales) = match self {
            Self::F32 | Self::F16 | Self::Bf16 => return None,
            Self::Q4 => (4, None, Scales::Halves),
            Self::Q8 => (8, None, Scales::Halves),
            Self::Iq4 => (4, Some(&IQ4), Scales::Halves),
            Self::Mx4 => (4, Some(&E2M1), Scales::Bfloats),
            Self::Q4K32 => (4, None, Scales::Pairs32),
            Self::Iq4K32 => (4, Some(&IQ4), Scales::Pairs32),
            Self::Q4K16 => (4, None, Scales::Pairs16),
            Self::Q6K16 => (6, None, Scales::Pairs16),
        };
        Some(Quantised { bits, table, scales })
    }

    /// Bytes of a row of `cols` values in the quants plane.
    pub const fn quants_row_bytes(self, cols: usize) -> usize {
        match (self, self.quantised()) {
            (Self::F32, _) => 4 * cols,
            (_, None) => 2 * cols,
            (_, Some(quantised)) => cols * quantised.bits / 8,
        }
    }

    /// Bytes of a row of both planes as kernels read it, the quants in whole granules.
    pub const fn row_bytes(self, cols: usize) -> usize {
        self.quants_row_bytes(cols).next_multiple_of(GRANULE) + self.scales_row_bytes(cols)
    }

    /// Bytes of a row of `cols` values in the scales plane; 0 if the layout has none.
    pub const fn scales_row_bytes(self, cols: usize) -> usize {
        match self.quantised() {
            None => 0,
            Some(quantised) => cols.div_ceil(quantised.scales.group()) * quantised.scales_bytes(),
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
    /// Removes all rows, but keeps the memory.
    pub fn clear(&mut self) {
        self.quants.clear();
        self.scales.clear();
    }
}

/// Decodes one row into `out`, which has `cols` values.
///
/// - quants: `quants_row_bytes(cols)` bytes
/// - scales: `scales_row_bytes(cols)` bytes
///
/// The straightforward code: it defines the layouts, and every kernel is tested against it.
pub fn dequantize_row(layout: Layout, quants: &[u8], scales: &[u8], out: &mut [f32]) {
    debug_assert_eq!(quants.len(), layout.quants_row_bytes(out.len()));
    debug_assert_eq!(scales.len(), layout.scales_row_bytes(out.len()));
    match (layout, layout.quantised()) {
        (_, Some(quantised)) => dequantize_groups(quantised, quants, scales, out),
        (Layout::F32, _) => plain(quants, out, f32::from_le_bytes),
        (Layout::F16, _) => plain(quants, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
        (_, None) => plain(quants, out, |bytes| bf16::from_le_bytes(bytes).to_f32()),
    }
}

fn plain<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
        *value = decode(*bytes);
    }
}

fn dequantize_groups(quantised: Quantised, quants: &[u8], scales: &[u8], out: &mut [f32]) {
    let (block, group) = (quantised.scales.block(), quantised.scales.group());
    let words = scales.as_chunks::<4>().0.chunks_exact(quantised.scales_bytes() / 4);
    let groups = quants.chunks(quantised.quants_bytes()).zip(words);
    let mut unpacked = [0; GROUP];
    for (values, (quants, words)) in out.chunks_mut(group).zip(groups) {
        unpack(quantised, quants, &mut unpacked);
        for (i, (values, quants)) in values.chunks_exact_mut(block).zip(unpacked.chunks_exact(block)).enumerate() {
            let (d, m) = quantised.scales.of(words, i);
            for (value, quant) in values.iter_mut().zip(quants) {
                *value = d * f32::from(*quant) + m;
            }
        }
    }
}

/// Unpacks quants to bytes.
fn unpack(quantised: Quantised, quants: &[u8], out: &mut [i8; GROUP]) {
    match quantised.bits {
        8 => out.iter_mut().zip(quants).for_each(|(out, quant)| *out = quant.cast_signed()),
        6 => {
            for (out, quants) in out.as_chunks_mut::<{ 2 * BLOCK }>().0.iter_mut().zip(quants.as_chunks::<48>().0) {
                let (nibbles, high) = quants.split_at(32);
                unpack_nibbles(nibbles, out);
                for (out, high) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(high.as_chunks::<8>().0) {
                    for (i, out) in out.iter_mut().enumerate() {
                        let (byte, shift) = high_bits(i);
                        *out |= ((high[byte] >> shift & 3) << 4).cast_signed();
                    }
                }
            }
        }
        _ => unpack_nibbles(quants, out),
    }
    if let Some(table) = quantised.table {
        out.iter_mut().for_each(|out| *out = table[usize::from(out.cast_unsigned() & 15)]);
    }
}

/// Byte and lowest bit of the upper two bits of value `i` of 32 (see the module's comment).
pub(super) fn high_bits(i: usize) -> (usize, usize) {
    (i % 16 / 8 * 4 + i % 4, i % 8 / 4 * 4 + i / 16 * 2)
}

fn unpack_nibbles(nibbles: &[u8], out: &mut [i8]) {
    for (out, quants) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(nibbles.as_chunks::<{ BLOCK / 2 }>().0) {
        for (j, byte) in quants.iter().enumerate() {
            out[j] = (byte & 15).cast_signed();
            out[j + BLOCK / 2] = (byte >> 4).cast_signed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of 256 values in a file and in memory.
    #[test]
    fn memory_against_the_file() {
        let bytes = |block: BlockType| {
            let layout = Layout::for_block(block);
            (block.name(), block.row_bytes(GROUP), layout.quants_row_bytes(GROUP) + layout.scales_row_bytes(GROUP))
        };
        let expected = [
            ("F32", 1024, 1024),
            ("F16", 512, 512),
            ("BF16", 512, 512),
            ("Q4_0", 144, 160),
            ("Q4_1", 160, 160),
            ("Q5_0", 176, 288),
            ("Q5_1", 192, 288),
            ("Q8_0", 272, 288),
            ("Q2_K", 84, 164),
            ("Q3_K", 110, 164),
            ("Q4_K", 144, 148),
            ("Q5_K", 176, 228),
            ("Q6_K", 210, 228),
            ("IQ4_NL", 144, 160),
            ("IQ4_XS", 136, 148),
            ("MXFP4", 136, 144),
            ("NVFP4", 144, 512),
        ];
        assert_eq!(BlockType::ALL.map(bytes), expected);
    }
}
