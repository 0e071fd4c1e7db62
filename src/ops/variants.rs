//! Variants: shaders for `linear` and `attention`, and the layouts of the weights that they read. A
//! variant that suits one GPU can be many times slower on another, so the GPU engine chooses by
//! measuring (`engine::gpu::tuner`).
//!
//! | file | contents |
//! |---|---|
//! | here | what a variant is |
//! | `tables` | the candidates |
//! | `choice` | one candidate of each kind |

mod choice;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use choice::Variants;
pub use tables::{
    ATTEND_MANY, ATTEND_ONE, ATTEND_WIDE, FEW, MATMUL, MATMUL_FEW, MATMUL_INT8_FEW, MATMUL_INT8_NARROW, MATMUL_NARROW,
    MATMUL_ROUNDED, MATVEC, PLAIN, WIDE,
};

/// A variant of `linear`.
#[derive(Debug, PartialEq, Eq)]
pub struct LinearVariant {
    /// Unique within its table. Remembered choices are stored by name.
    pub name: &'static str,
    /// The file in `shaders/`.
    pub shader: &'static str,
    /// Number of the weight's rows that are interleaved in memory, a power of two. It decides the
    /// layout if the variant is chosen for one token; all other shaders read any layout.
    pub row_tile: usize,
    /// Rows per invocation, even.
    pub rows: usize,
    /// Invocations of a workgroup with different rows.
    pub lanes: usize,
    /// Invocations of a workgroup that share each row.
    pub k_threads: usize,
    /// Tokens per workgroup.
    pub tokens: usize,
    /// Optional WebGPU feature that it needs.
    pub needs: Option<Feature>,
    /// Only for adapters that are emulated on the CPU, where few invocations with much work each
    /// are fast. A real GPU would leave most lanes of a subgroup idle, and many of these kernels
    /// have arrays that do not fit its registers.
    pub software_only: bool,
}

/// An optional feature of WebGPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Invocations of a subgroup exchange values without memory.
    Subgroups,
    /// Floats of 16 bits.
    F16,
    /// Dot products of four signed bytes in one instruction.
    PackedDot,
}

/// What activations may be rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounded {
    /// Signed bytes, with a scale per block.
    Int8,
    /// f16, with a scale per token. Weights are rounded too.
    F16,
}

impl Feature {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subgroups => "subgroups",
            Self::F16 => "floats of 16 bits",
            Self::PackedDot => "products of packed bytes",
        }
    }
}

impl LinearVariant {
    /// Invocations of a workgroup.
    pub(super) fn workgroup(&self) -> usize {
        self.lanes * self.k_threads
    }

    /// The constants of its shader, for outputs of `inputs` rows each of a weight with `row_tile`
    /// interleaved rows.
    pub(super) fn constants(&self, row_tile: usize, inputs: usize) -> [(&'static str, u32); 6] {
        [
            ("ROW_TILE", row_tile),
            ("ROWS", self.rows),
            ("OUTPUTS_PER_INVOCATION", self.rows / inputs),
            ("LANES", self.lanes),
            ("K_THREADS", self.k_threads),
            ("WORKGROUP", self.workgroup()),
        ]
        .map(|(name, size)| (name, size as u32))
    }

    /// What activations are rounded to before the product; `None`: they stay what they are.
    pub fn rounded(&self) -> Option<Rounded> {
        match self.needs {
            Some(Feature::PackedDot) => Some(Rounded::Int8),
            Some(Feature::F16) => Some(Rounded::F16),
            Some(Feature::Subgroups) | None => None,
        }
    }

    /// The variant for few rows, with [`Variants::narrow_tiles`], where this one is for many.
    fn for_narrow(&'static self) -> &'static Self {
        match self.shader {
            shader if shader == MATMUL_INT8_NARROW.shader => &MATMUL_INT8_NARROW,
            shader if shader == MATMUL_NARROW.shader && self.needs.is_none() => &MATMUL_NARROW,
            _ => self,
        }
    }

    /// Whether workgroups with the same rows are neighbours in the grid, see
    /// shaders/shared/tile.wgsl.
    pub(super) fn tokens_first(&self) -> bool {
        [MATMUL_FEW.shader, MATMUL_INT8_FEW.shader].contains(&self.shader)
    }

    /// The variant for at most [`FEW`] tokens where this one is chosen for many.
    fn for_few(&'static self) -> &'static Self {
        match self.shader {
            shader if shader == MATMUL_FEW.shader => &MATMUL_FEW,
            shader if shader == MATMUL_INT8_FEW.shader => &MATMUL_INT8_FEW,
            _ => self,
        }
    }

    /// Whether an adapter with these features may use it. `software`: whether the adapter is
    /// emulated on the CPU.
    pub fn suits(&self, software: bool, features: &BTreeSet<Feature>) -> bool {
        (software || !self.software_only) && self.needs.is_none_or(|feature| features.contains(&feature))
    }

    const fn needing(self, feature: Feature) -> Self {
        Self { needs: Some(feature), ..self }
    }

    const fn software_only(self) -> Self {
        Self { software_only: true, ..self }
    }
}

/// A variant of `attention`.
#[derive(Debug, PartialEq, Eq)]
pub struct AttentionVariant {
    /// Unique. Remembered choices are stored by name.
    pub name: &'static str,
    /// The file in `shaders/`.
    pub shader: &'static str,
    /// Positions of a piece at least; a token's pieces are merged afterwards. 0: no split.
    pub split: usize,
    /// Invocations per workgroup. In `attention` they share a key and value head, in
    /// `attention_lane` each has one.
    pub lanes: usize,
    /// Queries of a workgroup, of some rows and heads, in `attention_tile`; 0 in others.
    pub queries: usize,
    /// Only for adapters that are emulated on the CPU, see [`LinearVariant::software_only`].
    pub software_only: bool,
}

impl AttentionVariant {
    /// Whether an adapter may use it. `software`: whether the adapter is emulated on the CPU.
    pub fn suits(&self, software: bool) -> bool {
        software || !self.software_only
    }

    const fn software_only(self) -> Self {
        Self { software_only: true, ..self }
    }

    const fn of_queries(self, queries: usize) -> Self {
        Self { queries, ..self }
    }
}
