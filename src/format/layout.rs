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
//! | Q5 | nibbles | per 32 values: one u32, then a u32 of fifth bits |
//! | Q8 | signed bytes | one u32 per 32 values |
//! | IQ4 | nibbles, indices of IQ4_NL's numbers | one u32 per 32 values |
//! | MX4 | nibbles, indices of MXFP4's numbers | one u32 per 64 values: a bf16 scale per 32 |
//! | Q4K32 | nibbles | per 256 values: one u32, then eight pairs of signed bytes, one per 32 |
//! | Q5K32 | nibbles | as Q4K32, then eight u32 of fifth bits, one per 32 values |
//! | IQ4K32 | nibbles, indices as in IQ4 | as Q4K32 |
//! | Q6K16 | six bits | per 256 values: one u32, then 16 signed bytes, one per 16 |
//! | Q3K16 | two bits | as Q6K16, then eight u32 of third bits |
//! | Q2K16 | two bits | per 256 values: one u32, then 16 bytes of two nibbles, one per 16 |
//! | Q2K256 | two bits | per 256 values: one u32 |
//! | Q1 | bits | one u32 per 128 values |
//! | NV4 | as MX4 | one u32 per 64 values: a byte per 16 |
//! | IQ1S to IQ3S | indices of vectors, signs | see `codes.rs` |
//!
//! Nibbles are 16 bytes per 32 values: byte j has value j in its low half and value j + 16 in its
//! high half. Two bits are eight bytes per 32 values: in byte 4 k + j, bits 0 and 1 belong to value
//! 8 k + j, bits 2 and 3 to value 16 + 8 k + j, bits 4 and 5 to 4 + 8 k + j, bits 6 and 7 to 20 + 8
//! k + j. Six bits per 64 values are their nibbles and then the upper two bits. A fifth or third
//! bit is bit i / 4 of byte i % 4 in its u32, for value i of 32.
//!
//! The first u32 holds the f16 scale d in its low half and the f16 minimum m in its high half; a
//! pair holds the factors s of d and t of m. A signed byte is both s and t; of two nibbles, the low
//! one is s and the high one t. A value is d · q + m, or d · s · q + m · t. MX4 has no minima, and
//! of an odd number of blocks the last u32 of a row is half empty.
//!
//! So a layout is the width of quants, perhaps a table, and the way scales are shared:
//! [`Quantised`]. Two levels are those of k-quants, since d · s does not fit an f16. Repacking is
//! exact: an f16 has 11 significant bits, s at most 7, q at most 7, so f32 holds their product, and
//! the one addition rounds as in direct decoding. Types without a minimum get one: Q4_0 has m = −8
//! d, which f16 holds for |d| < 8192; Q5_0 has m = −16 d, for |d| < 4096; Q3_K has m = −4 d and t =
//! s, for |d| < 16384; Q6_K has m = −32 d and t = s, for |d| < 2048. A larger scale, which no
//! trained weight comes near, gives infinity and then an
//! [`InvalidLogits`](crate::Error::InvalidLogits) error instead of silently wrong text.

use super::BlockType;
use super::codes::{self, Code};

/// Columns that kernels process at once: the 32 values of 16 bytes of nibbles.
pub const BLOCK: usize = 32;

/// Values that share the outer scale in layouts with two levels.
pub const GROUP: usize = 256;

/// Values that share a scale where a quant is a sign.
pub const SIGNS: usize = 128;

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
    /// Unsigned 5-bit values, scale and minimum per 32.
    Q5,
    /// Signed 8-bit values, scale and minimum per 32.
    Q8,
    /// 4-bit indices into [`IQ4`], scale and minimum per 32.
    Iq4,
    /// 4-bit indices into [`E2M1`], scale per 32.
    Mx4,
    /// Unsigned 4-bit values, scale and minimum per 32, in two levels.
    Q4K32,
    /// Unsigned 5-bit values, scale and minimum per 32, in two levels.
    Q5K32,
    /// 4-bit indices into [`IQ4`], scale and minimum per 32, in two levels.
    Iq4K32,
    /// Unsigned 6-bit values, scale and minimum per 16 with one factor, in two levels.
    Q6K16,
    /// Unsigned 3-bit values, scale and minimum per 16 with one factor, in two levels.
    Q3K16,
    /// Unsigned 2-bit values, scale and minimum per 16, in two levels.
    Q2K16,
    /// Unsigned 2-bit values, scale and minimum per 256.
    Q2K256,
    /// Signs, scale per 128.
    Q1,
    /// 4-bit indices into [`E2M1`], scale per 16.
    Nv4,
    /// See [`codes::IQ1_S`]; likewise those below.
    Iq1S,
    /// See [`codes::IQ1_M`].
    Iq1M,
    /// See [`codes::IQ2_XXS`].
    Iq2Xxs,
    /// See [`codes::IQ2_XS`].
    Iq2Xs,
    /// See [`codes::IQ2_S`].
    Iq2S,
    /// See [`codes::IQ3_XXS`].
    Iq3Xxs,
    /// See [`codes::IQ3_S`].
    Iq3S,
}

/// How the values of a quantised layout share scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scales {
    /// Per 32 values an f16 scale and an f16 minimum.
    Halves,
    /// Per 32 values a bf16 scale.
    Bfloats,
    /// Per 16 values a scale of four bits exponent and three bits mantissa.
    Minifloats,
    /// Per 128 values an f16 scale.
    Signs,
    /// Per 256 values an f16 scale and an f16 minimum, per 32 a signed factor of each.
    Pairs,
    /// The same, and per 16 one signed factor of both.
    Factors,
    /// The same, and per 16 an unsigned factor of each, of four bits.
    Nibbles,
    /// Per 256 values an f16 scale and an f16 minimum.
    Whole,
    /// As a [`Code`] says.
    Coded(&'static Code),
}

impl Scales {
    /// Values that share scale and minimum.
    pub const fn block(self) -> usize {
        match self {
            Self::Halves | Self::Bfloats | Self::Pairs => BLOCK,
            Self::Minifloats | Self::Factors | Self::Nibbles | Self::Coded(_) => BLOCK / 2,
            Self::Signs => SIGNS,
            Self::Whole => GROUP,
        }
    }

    /// Values that share words of the scales plane.
    pub const fn group(self) -> usize {
        match self {
            Self::Halves => BLOCK,
            Self::Bfloats | Self::Minifloats => 2 * BLOCK,
            Self::Signs => SIGNS,
            Self::Pairs | Self::Factors | Self::Nibbles | Self::Whole | Self::Coded(_) => GROUP,
        }
    }

    /// Words of a group.
    pub(super) const fn words(self) -> usize {
        match self {
            Self::Halves | Self::Bfloats | Self::Minifloats | Self::Signs | Self::Whole => 1,
            Self::Coded(code) => code.words(),
            Self::Pairs | Self::Factors | Self::Nibbles => 1 + 4,
        }
    }
}

/// The parameters of a quantised layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantised {
    /// Bits per quant in the quants plane.
    pub bits: usize,
    /// Whether a quant has one bit more, in the scales plane.
    pub high_bit: bool,
    /// The numbers that quants are indices of; `None`: they are the numbers.
    pub table: Option<&'static [i8; 16]>,
    /// How values share scales.
    pub scales: Scales,
}

impl Quantised {
    const fn of(bits: usize, scales: Scales) -> Self {
        Self { bits, high_bit: false, table: None, scales }
    }

    const fn with_high_bit(self) -> Self {
        Self { high_bit: true, ..self }
    }

    const fn with_table(self, table: &'static [i8; 16]) -> Self {
        Self { table: Some(table), ..self }
    }

    /// Indices of vectors.
    const fn coded(code: &'static Code) -> Self {
        Self::of(8 * code.quants_bytes() / GROUP, Scales::Coded(code))
    }

    /// Whether quants are less than numbers: see [`Quantised::decode`](super::codes).
    pub const fn is_coded(self) -> bool {
        matches!(self.scales, Scales::Coded(_) | Scales::Signs)
    }

    /// How quants are indices of vectors; `None`: they are numbers, or indices of those.
    pub const fn code(self) -> Option<&'static Code> {
        match self.scales {
            Scales::Coded(code) => Some(code),
            _ => None,
        }
    }

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
        4 * (self.scales.words() + self.high_words())
    }

    /// Words of a group with the highest bits of its quants, which come after those of scales.
    pub const fn high_words(self) -> usize {
        if self.high_bit { self.scales.group() / BLOCK } else { 0 }
    }
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 24] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4,
        Self::Q5,
        Self::Q8,
        Self::Iq4,
        Self::Mx4,
        Self::Q4K32,
        Self::Q5K32,
        Self::Iq4K32,
        Self::Q6K16,
        Self::Q3K16,
        Self::Q2K16,
        Self::Q2K256,
        Self::Q1,
        Self::Nv4,
        Self::Iq1S,
        Self::Iq1M,
        Self::Iq2Xxs,
        Self::Iq2Xs,
        Self::Iq2S,
        Self::Iq3Xxs,
        Self::Iq3S,
    ];

    /// The layout that tensors of this block type are repacked into, without loss.
    pub fn for_block(block: BlockType) -> Self {
        match block {
            BlockType::F32 => Self::F32,
            BlockType::F16 => Self::F16,
            BlockType::Bf16 => Self::Bf16,
            BlockType::Nvfp4 => Self::Nv4,
            BlockType::Q1_0 => Self::Q1,
            BlockType::Q4_0 | BlockType::Q4_1 => Self::Q4,
            BlockType::Q5_0 | BlockType::Q5_1 => Self::Q5,
            BlockType::Q8_0 => Self::Q8,
            BlockType::Iq4Nl => Self::Iq4,
            BlockType::Mxfp4 => Self::Mx4,
            BlockType::Q4K => Self::Q4K32,
            BlockType::Q2K => Self::Q2K16,
            BlockType::Q3K => Self::Q3K16,
            BlockType::Q5K => Self::Q5K32,
            BlockType::Q6K => Self::Q6K16,
            BlockType::Iq4Xs => Self::Iq4K32,
            BlockType::Tq1_0 | BlockType::Tq2_0 => Self::Q2K256,
            BlockType::Iq1S => Self::Iq1S,
            BlockType::Iq1M => Self::Iq1M,
            BlockType::Iq2Xxs => Self::Iq2Xxs,
            BlockType::Iq2Xs => Self::Iq2Xs,
            BlockType::Iq2S => Self::Iq2S,
            BlockType::Iq3Xxs => Self::Iq3Xxs,
            BlockType::Iq3S => Self::Iq3S,
        }
    }

    /// Name in shaders and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4 => "Q4",
            Self::Q5 => "Q5",
            Self::Q8 => "Q8",
            Self::Iq4 => "IQ4",
            Self::Mx4 => "MX4",
            Self::Q4K32 => "Q4K32",
            Self::Q5K32 => "Q5K32",
            Self::Iq4K32 => "IQ4K32",
            Self::Q6K16 => "Q6K16",
            Self::Q3K16 => "Q3K16",
            Self::Q2K16 => "Q2K16",
            Self::Q2K256 => "Q2K256",
            Self::Q1 => "Q1",
            Self::Nv4 => "NV4",
            Self::Iq1S => "IQ1S",
            Self::Iq1M => "IQ1M",
            Self::Iq2Xxs => "IQ2XXS",
            Self::Iq2Xs => "IQ2XS",
            Self::Iq2S => "IQ2S",
            Self::Iq3Xxs => "IQ3XXS",
            Self::Iq3S => "IQ3S",
        }
    }

    /// Its parameters; `None` for plain values.
    pub const fn quantised(self) -> Option<Quantised> {
        Some(match self {
            Self::F32 | Self::F16 | Self::Bf16 => return None,
            Self::Q4 => Quantised::of(4, Scales::Halves),
            Self::Q5 => Quantised::of(4, Scales::Halves).with_high_bit(),
            Self::Q8 => Quantised::of(8, Scales::Halves),
            Self::Iq4 => Quantised::of(4, Scales::Halves).with_table(&IQ4),
            Self::Mx4 => Quantised::of(4, Scales::Bfloats).with_table(&E2M1),
            Self::Q4K32 => Quantised::of(4, Scales::Pairs),
            Self::Q5K32 => Quantised::of(4, Scales::Pairs).with_high_bit(),
            Self::Iq4K32 => Quantised::of(4, Scales::Pairs).with_table(&IQ4),
            Self::Q6K16 => Quantised::of(6, Scales::Factors),
            Self::Q3K16 => Quantised::of(2, Scales::Factors).with_high_bit(),
            Self::Q2K16 => Quantised::of(2, Scales::Nibbles),
            Self::Q2K256 => Quantised::of(2, Scales::Whole),
            Self::Q1 => Quantised::of(1, Scales::Signs),
            Self::Nv4 => Quantised::of(4, Scales::Minifloats).with_table(&E2M1),
            Self::Iq1S => Quantised::coded(&codes::IQ1_S),
            Self::Iq1M => Quantised::coded(&codes::IQ1_M),
            Self::Iq2Xxs => Quantised::coded(&codes::IQ2_XXS),
            Self::Iq2Xs => Quantised::coded(&codes::IQ2_XS),
            Self::Iq2S => Quantised::coded(&codes::IQ2_S),
            Self::Iq3Xxs => Quantised::coded(&codes::IQ3_XXS),
            Self::Iq3S => Quantised::coded(&codes::IQ3_S),
        })
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

/// Byte and lowest bit of the two bits of value `i` of 32 (see the module's comment).
pub(super) fn two_bits(i: usize) -> (usize, usize) {
    (i % 16 / 8 * 4 + i % 4, i % 8 / 4 * 4 + i / 16 * 2)
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
            ("Q5_0", 176, 192),
            ("Q5_1", 192, 192),
            ("Q8_0", 272, 288),
            ("Q2_K", 84, 84),
            ("Q3_K", 110, 116),
            ("Q4_K", 144, 148),
            ("Q5_K", 176, 180),
            ("Q6_K", 210, 212),
            ("IQ4_NL", 144, 160),
            ("IQ4_XS", 136, 148),
            ("TQ1_0", 54, 68),
            ("TQ2_0", 66, 68),
            ("Q1_0", 36, 40),
            ("IQ1_S", 50, 52),
            ("IQ1_M", 56, 60),
            ("IQ2_XXS", 66, 72),
            ("IQ2_XS", 74, 80),
            ("IQ2_S", 82, 84),
            ("IQ3_XXS", 98, 104),
            ("IQ3_S", 110, 112),
            ("MXFP4", 136, 144),
            ("NVFP4", 144, 144),
        ];
        assert_eq!(BlockType::ALL.map(bytes), expected);
        for (name, file, memory) in expected {
            assert!(memory * 100 <= file * 115 || name == "TQ1_0", "{name}: {memory} bytes for {file}");
        }
    }
}
