//! Block types: how GGUF stores a row, as plain values or in blocks that share scales.
//!
//! Source: the structures `block_*` of ggml's `ggml-common.h`, and gguf-py's decoders. All fields
//! are little-endian. A block has one f16 d and, in some types, one f16 m; s and t are small
//! integers for parts of the block:
//!
//! | type | values and bytes of a block | value | q and the scales |
//! |---|---|---|---|
//! | Q4_0 | 32 in 18 | d · q | −8 to 7 |
//! | Q4_1 | 32 in 20 | d · q + m | 0 to 15 |
//! | Q5_0 | 32 in 22 | d · q | −16 to 15 |
//! | Q5_1 | 32 in 24 | d · q + m | 0 to 31 |
//! | Q8_0 | 32 in 34 | d · q | −128 to 127 |
//! | IQ4_NL | 32 in 18 | d · q | one of 16 numbers from −127 to 113 |
//! | NVFP4 | 64 in 36 | s · q | as MXFP4; s per 16 values: unsigned float, 4 bits exponent, 3 mantissa |
//! | MXFP4 | 32 in 17 | 2^(e − 128) · q | one of ±0, 1, 2, 3, 4, 6, 8, 12; e has 8 bits |
//! | Q2_K | 256 in 84 | d · s · q − m · t | 0 to 3; s and t of 4 bits per 16 values |
//! | Q3_K | 256 in 110 | d · s · q | −4 to 3; s of 6 bits, signed, per 16 values |
//! | Q4_K | 256 in 144 | d · s · q − m · t | 0 to 15; s and t of 6 bits per 32 values |
//! | Q5_K | 256 in 176 | d · s · q − m · t | 0 to 31; s and t of 6 bits per 32 values |
//! | Q6_K | 256 in 210 | d · s · q | −32 to 31; s of 8 bits, signed, per 16 values |
//! | IQ4_XS | 256 in 136 | d · s · q | as IQ4_NL; s of 6 bits, signed, per 32 values |
//! | TQ1_0 | 256 in 54 | d · q | −1, 0 or 1 |
//! | TQ2_0 | 256 in 66 | d · q | the same |
//! | Q1_0 | 128 in 18 | d · q | −1 or 1 |
//! | IQ1_S | 256 in 50 | d · s · q | see `codes.rs`, also for those below |
//! | IQ1_M | 256 in 56 | | |
//! | IQ2_XXS | 256 in 66 | | |
//! | IQ2_XS | 256 in 74 | | |
//! | IQ2_S | 256 in 82 | | |
//! | IQ3_XXS | 256 in 98 | | |
//! | IQ3_S | 256 in 110 | | |
//!
//! `repack.rs` says where the bits of each type are.

/// Storage type of a tensor in a file: the types that weft reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockType {
    /// Plain 32-bit floats.
    F32,
    /// Plain IEEE half floats.
    F16,
    /// bfloat16: the upper halves of 32-bit floats.
    Bf16,
    /// 4-bit values, a scale per 32.
    Q4_0,
    /// 4-bit values, a scale and a minimum per 32.
    Q4_1,
    /// 5-bit values, a scale per 32.
    Q5_0,
    /// 5-bit values, a scale and a minimum per 32.
    Q5_1,
    /// 8-bit values, a scale per 32.
    Q8_0,
    /// 2-bit values, a scale and a minimum per 16, in blocks of 256.
    Q2K,
    /// 3-bit values, a scale per 16, in blocks of 256.
    Q3K,
    /// 4-bit values, a scale and a minimum per 32, in blocks of 256.
    Q4K,
    /// 5-bit values, a scale and a minimum per 32, in blocks of 256.
    Q5K,
    /// 6-bit values, a scale per 16, in blocks of 256.
    Q6K,
    /// 4-bit indices into a table, a scale per 32.
    Iq4Nl,
    /// 4-bit indices into the same table, a scale per 32, in blocks of 256.
    Iq4Xs,
    /// Ternary values (BitNet, Ma et al. 2024, arXiv 2402.17764), five in eight bits, a scale per
    /// 256.
    Tq1_0,
    /// The same, four in eight bits.
    Tq2_0,
    /// Signs, a scale per 128.
    Q1_0,
    /// Vectors of eight values, 11 bits each.
    Iq1S,
    /// The same, with a scale per 16 values.
    Iq1M,
    /// Vectors of eight values, 8 bits each and seven signs.
    Iq2Xxs,
    /// The same with 9 bits.
    Iq2Xs,
    /// The same with 10 bits and all signs.
    Iq2S,
    /// Vectors of four values, 8 bits each, and seven signs of eight values.
    Iq3Xxs,
    /// The same with 9 bits and all signs.
    Iq3S,
    /// 4-bit floats, a power of two per 32 (Open Compute Project, Microscaling Formats 1.0).
    Mxfp4,
    /// 4-bit floats, an 8-bit float per 16, in blocks of 64 (NVIDIA). The tensor's own scale is a
    /// separate tensor.
    Nvfp4,
}

impl BlockType {
    /// Every type that weft reads.
    pub const ALL: [Self; 27] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Iq4Nl,
        Self::Iq4Xs,
        Self::Tq1_0,
        Self::Tq2_0,
        Self::Q1_0,
        Self::Iq1S,
        Self::Iq1M,
        Self::Iq2Xxs,
        Self::Iq2Xs,
        Self::Iq2S,
        Self::Iq3Xxs,
        Self::Iq3S,
        Self::Mxfp4,
        Self::Nvfp4,
    ];

    /// The type with this number in ggml's `enum ggml_type`, or `None` if weft does not read it.
    pub fn from_ggml(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|block| block.ggml() == id)
    }

    /// Number in ggml's `enum ggml_type`, values of a block, bytes of a block.
    const fn numbers(self) -> (u32, usize, usize) {
        match self {
            Self::F32 => (0, 1, 4),
            Self::F16 => (1, 1, 2),
            Self::Bf16 => (30, 1, 2),
            Self::Q4_0 => (2, 32, 2 + 16),
            Self::Q4_1 => (3, 32, 2 + 2 + 16),
            Self::Q5_0 => (6, 32, 2 + 4 + 16),
            Self::Q5_1 => (7, 32, 2 + 2 + 4 + 16),
            Self::Q8_0 => (8, 32, 2 + 32),
            Self::Q2K => (10, 256, 16 + 64 + 2 + 2),
            Self::Q3K => (11, 256, 32 + 64 + 12 + 2),
            Self::Q4K => (12, 256, 2 + 2 + 12 + 128),
            Self::Q5K => (13, 256, 2 + 2 + 12 + 32 + 128),
            Self::Q6K => (14, 256, 128 + 64 + 16 + 2),
            Self::Iq4Nl => (20, 32, 2 + 16),
            Self::Iq4Xs => (23, 256, 2 + 2 + 4 + 128),
            Self::Tq1_0 => (34, 256, 48 + 4 + 2),
            Self::Tq2_0 => (35, 256, 64 + 2),
            Self::Q1_0 => (41, 128, 2 + 16),
            Self::Iq1S => (19, 256, 2 + 32 + 16),
            Self::Iq1M => (29, 256, 32 + 16 + 8),
            Self::Iq2Xxs => (16, 256, 2 + 64),
            Self::Iq2Xs => (17, 256, 2 + 64 + 8),
            Self::Iq2S => (22, 256, 2 + 32 + 32 + 8 + 8),
            Self::Iq3Xxs => (18, 256, 2 + 64 + 32),
            Self::Iq3S => (21, 256, 2 + 64 + 8 + 32 + 4),
            Self::Mxfp4 => (39, 32, 1 + 16),
            Self::Nvfp4 => (40, 64, 4 + 32),
        }
    }

    /// Number of the type in ggml's `enum ggml_type`.
    pub const fn ggml(self) -> u32 {
        self.numbers().0
    }

    /// ggml's name of the type.
    pub const fn name(self) -> &'static str {
        GGML_TYPES[self.ggml() as usize]
    }

    /// Values in a block; a row is a whole number of blocks.
    pub const fn block_len(self) -> usize {
        self.numbers().1
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.numbers().2
    }

    /// Bytes of a row of `cols` values; `cols` is a multiple of [`block_len`](Self::block_len).
    pub const fn row_bytes(self, cols: usize) -> usize {
        cols / self.block_len() * self.block_bytes()
    }
}

/// ggml's name of the type with number `id`, whether weft reads it or not; `type 99` if ggml has no
/// such type.
pub fn ggml_type_name(id: u32) -> String {
    match usize::try_from(id).ok().and_then(|id| GGML_TYPES.get(id)) {
        Some(name) => (*name).to_owned(),
        None => format!("type {id}"),
    }
}

/// Names in ggml's `enum ggml_type`, by number. Withdrawn types (4, 5, 31–33, 36–38) still occur in
/// old files.
const GGML_TYPES: [&str; 42] = [
    "F32",
    "F16",
    "Q4_0",
    "Q4_1",
    "Q4_2",
    "Q4_3",
    "Q5_0",
    "Q5_1",
    "Q8_0",
    "Q8_1",
    "Q2_K",
    "Q3_K",
    "Q4_K",
    "Q5_K",
    "Q6_K",
    "Q8_K",
    "IQ2_XXS",
    "IQ2_XS",
    "IQ3_XXS",
    "IQ1_S",
    "IQ4_NL",
    "IQ3_S",
    "IQ2_S",
    "IQ4_XS",
    "I8",
    "I16",
    "I32",
    "I64",
    "F64",
    "IQ1_M",
    "BF16",
    "Q4_0_4_4",
    "Q4_0_4_8",
    "Q4_0_8_8",
    "TQ1_0",
    "TQ2_0",
    "IQ4_NL_4_4",
    "IQ4_NL_4_8",
    "IQ4_NL_8_8",
    "MXFP4",
    "NVFP4",
    "Q1_0",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree_with_ggml() {
        for block in BlockType::ALL {
            assert_eq!(BlockType::from_ggml(block.ggml()), Some(block));
            assert_eq!(block.name().replace('_', ""), format!("{block:?}").replace('_', "").to_uppercase());
        }
        assert_eq!(ggml_type_name(14), "Q6_K");
        assert_eq!(ggml_type_name(39), "MXFP4");
        assert_eq!(ggml_type_name(4_000_000_000), "type 4000000000");
        assert_eq!(BlockType::from_ggml(9), None);
    }

    #[test]
    fn row_bytes_count_whole_blocks() {
        let bytes: Vec<_> = BlockType::ALL.iter().map(|block| block.row_bytes(512)).collect();
        let expected = [
            2048,
            1024,
            1024,
            288,
            320,
            352,
            384,
            544,
            2 * 84,
            2 * 110,
            2 * 144,
            2 * 176,
            2 * 210,
            288,
            2 * 136,
            2 * 54,
            2 * 66,
            4 * 18,
            2 * 50,
            2 * 56,
            2 * 66,
            2 * 74,
            2 * 82,
            2 * 98,
            2 * 110,
            272,
            288,
        ];
        assert_eq!(bytes, expected);
    }
}
