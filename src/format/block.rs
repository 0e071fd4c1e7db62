//! How GGUF stores a row: as plain values, or in blocks of 32 values that share a scale.
//!
//! Source: the structures `block_q4_0`, `block_q4_1` and `block_q8_0` of ggml's `ggml-common.h`. All fields are
//! little-endian, and `d` and `m` are f16:
//!
//! | type | bytes of a block | value i of the block |
//! |---|---|---|
//! | Q4_0 | d, 16 bytes of nibbles | d · (q − 8) |
//! | Q4_1 | d, m, 16 bytes of nibbles | d · q + m |
//! | Q8_0 | d, 32 signed bytes | d · q |
//!
//! Byte j of the nibbles holds value j in its low half and value j + 16 in its high half.

/// Storage type of a tensor in a file, one of those that weft reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockType {
    /// Plain 32-bit floats.
    F32,
    /// Plain IEEE half floats.
    F16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// 4-bit values with a scale for 32 of them.
    Q4_0,
    /// 4-bit values with a scale and a minimum for 32 of them.
    Q4_1,
    /// 8-bit values with a scale for 32 of them.
    Q8_0,
}

impl BlockType {
    /// Every type that weft reads.
    pub const ALL: [Self; 6] = [Self::F32, Self::F16, Self::Bf16, Self::Q4_0, Self::Q4_1, Self::Q8_0];

    /// The type with this number in ggml's `enum ggml_type`, or `None` if weft does not read it.
    pub fn from_ggml(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|block| block.ggml() == id)
    }

    /// Number of the type in ggml's `enum ggml_type`.
    pub fn ggml(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 8,
            Self::Bf16 => 30,
        }
    }

    /// ggml's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q8_0 => "Q8_0",
        }
    }

    /// Values in a block; a row is a whole number of blocks.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q8_0 => 32,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 2 + 2 + 16,
            Self::Q8_0 => 2 + 32,
        }
    }

    /// Bytes of a row of `cols` values, `cols` being a multiple of [`block_len`](Self::block_len).
    pub fn row_bytes(self, cols: usize) -> usize {
        cols / self.block_len() * self.block_bytes()
    }
}

/// ggml's name of the type with number `id`, read by weft or not; `type 99` if ggml has no such type either.
pub fn ggml_type_name(id: u32) -> String {
    match usize::try_from(id).ok().and_then(|id| GGML_TYPES.get(id)) {
        Some(name) => (*name).to_owned(),
        None => format!("type {id}"),
    }
}

/// Names in ggml's `enum ggml_type`, by number. Those it has withdrawn (4, 5, 31–33, 36–38) still occur in old files.
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
            assert_eq!(ggml_type_name(block.ggml()), block.name());
        }
        assert_eq!(ggml_type_name(14), "Q6_K");
        assert_eq!(ggml_type_name(39), "MXFP4");
        assert_eq!(ggml_type_name(4_000_000_000), "type 4000000000");
        assert_eq!(BlockType::from_ggml(14), None);
    }

    #[test]
    fn row_bytes_count_whole_blocks() {
        let bytes: Vec<_> = BlockType::ALL.iter().map(|block| block.row_bytes(96)).collect();
        assert_eq!(bytes, [384, 192, 192, 54, 60, 102]);
    }
}
