//! Variants: shaders for `linear` and `attention`, and the layouts of the weights that they read. A
//! variant that suits one GPU can be many times slower on another, so the GPU engine chooses by
//! measuring (`engine::gpu::tuner`); this file has the candidates.
//!
//! A variant is a row of a table: a shader and its constants. A new size is a new row; only a new
//! idea is a new shader.

use std::collections::BTreeSet;

use super::gather::TILE;
use super::{Attention, Command, LinearPair, NormLinear, RopeAttention};
use crate::format::layout::BLOCK;
use crate::record::Matrix;

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
    pub(super) fn rounded(&self) -> Option<Rounded> {
        match self.needs {
            Some(Feature::PackedDot) => Some(Rounded::Int8),
            Some(Feature::F16) => Some(Rounded::F16),
            Some(Feature::Subgroups) | None => None,
        }
    }

    /// The variant for few rows, with [`Variants::narrow_tiles`], where this one is for many.
    fn for_narrow(&'static self) -> &'static Self {
        if self.shader == MATMUL_INT8_NARROW.shader { &MATMUL_INT8_NARROW } else { self }
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

const fn linear(
    name: &'static str,
    shader: &'static str,
    row_tile: usize,
    rows: usize,
    lanes: usize,
    k_threads: usize,
    tokens: usize,
) -> LinearVariant {
    LinearVariant { name, shader, row_tile, rows, lanes, k_threads, tokens, needs: None, software_only: false }
}

const fn attention(name: &'static str, shader: &'static str, split: usize, lanes: usize) -> AttentionVariant {
    AttentionVariant { name, shader, split, lanes, queries: 0, software_only: false }
}

/// Handles rows that are not whole blocks. The other variants are measured against it.
pub const PLAIN: LinearVariant = linear("plain", "linear", 1, 2, 64, 1, 1);

/// Candidates for one token. These are bound by memory on a real GPU, so they differ in which
/// invocation reads what.
pub const MATVEC: &[LinearVariant] = &[
    linear("64 rows an invocation", "linear_rows", 32, 64, 4, 1, 1).software_only(),
    linear("32 rows an invocation", "linear_rows", 32, 32, 4, 1, 1).software_only(),
    linear("16 rows an invocation", "linear_rows", 32, 16, 4, 1, 1).software_only(),
    linear("2 rows an invocation", "linear_rows", 32, 2, 64, 1, 1),
    linear("32 rows by 8 invocations", "linear_split", 32, 2, 16, 8, 1),
    linear("16 rows by 32 invocations", "linear_split", 1, 4, 4, 32, 1),
    linear("16 rows by 16 invocations", "linear_split", 1, 4, 4, 16, 1),
    linear("64 rows by 8 invocations", "linear_split", 1, 4, 16, 8, 1),
    linear("16 rows by 32 invocations in subgroups", "linear_subgroup", 1, 4, 4, 32, 1).needing(Feature::Subgroups),
    linear("32 rows by 16 invocations in subgroups", "linear_subgroup", 1, 4, 8, 16, 1).needing(Feature::Subgroups),
    linear("8 rows by 32 invocations in subgroups", "linear_subgroup", 1, 2, 4, 32, 1).needing(Feature::Subgroups),
    PLAIN,
];

/// Candidates for many tokens. These are bound by arithmetic, so they differ in how often values
/// are decoded and loaded.
pub const MATMUL: &[LinearVariant] = &[
    linear("64 rows, 128 tokens a workgroup", "linear_block", 1, 4, 16, 16, 128),
    linear("64 rows, 64 tokens a workgroup", "linear_block", 1, 4, 16, 8, 64),
    linear("32 rows, 8 tokens an invocation", "linear_rows_tile", 1, 32, 4, 1, 8).software_only(),
    PLAIN,
];

/// Candidates for many tokens and a quantised weight. They round activations: to bytes, or, for
/// GPUs that gain nothing from products of bytes, to f16.
pub const MATMUL_ROUNDED: &[LinearVariant] = &[
    linear("32 rows, 256 tokens a workgroup in 8 bits", "linear_block_int8", 1, 4, 8, 32, 256)
        .needing(Feature::PackedDot),
    linear("64 rows, 64 tokens a workgroup in 8 bits", "linear_block_int8", 1, 4, 16, 8, 64)
        .needing(Feature::PackedDot),
    linear("64 rows, 128 tokens a workgroup in 16 bits", "linear_block", 1, 4, 16, 16, 128).needing(Feature::F16),
];

/// A recording with room for at most this many tokens would leave most of a large tile empty.
pub const FEW: usize = 32;

/// Instead of a larger tile.
pub const MATMUL_FEW: LinearVariant = linear("64 rows, 32 tokens a workgroup", "linear_block", 1, 4, 16, 4, FEW);

/// Instead of a larger tile in eight bits.
pub const MATMUL_INT8_FEW: LinearVariant =
    linear("64 rows, 32 tokens a workgroup in 8 bits", "linear_block_int8", 1, 4, 16, 4, FEW)
        .needing(Feature::PackedDot);

/// For a matrix of few rows, see [`Variants::narrow_tiles`].
pub const MATMUL_INT8_NARROW: LinearVariant =
    linear("32 rows, 64 tokens a workgroup in 8 bits", "linear_block_int8", 1, 4, 8, 8, 64).needing(Feature::PackedDot);

/// For the slots of an expert that `gather` has put together.
const GATHERED: LinearVariant = linear("64 rows, 32 slots a workgroup", "linear_gathered", 1, 4, 16, 8, TILE);

/// The same for a quantised weight; it rounds activations to eight bits.
const GATHERED_INT8: LinearVariant =
    linear("64 rows, 32 slots a workgroup in 8 bits", "linear_gathered_int8", 1, 4, 16, 8, TILE)
        .needing(Feature::PackedDot);

/// Candidates for attention of one token.
pub const ATTEND_ONE: &[AttentionVariant] = &[
    attention("64 positions a workgroup", "attention", 64, 128),
    attention("16 positions an invocation", "attention_lane", 16, 4).software_only(),
];

/// Candidates for attention of many tokens, the plain one first.
pub const ATTEND_MANY: &[AttentionVariant] = &[
    attention("a key head a workgroup", "attention", 0, 128),
    attention("a key head an invocation", "attention_lane", 0, 4).software_only(),
    attention("64 queries a workgroup", "attention_tile", 128, 256).of_queries(64),
    attention("32 queries a workgroup", "attention_tile", 128, 128).of_queries(32),
];

/// A matrix with this many rows keeps a large GPU busy even if invocations do not share rows.
pub const WIDE: usize = 2048;

/// A choice of one variant of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variants {
    /// For one token and a matrix with at least 2048 rows. Its row tile is the layout of such
    /// matrices.
    pub matvec_wide: &'static LinearVariant,
    /// For one token and fewer rows.
    pub matvec_narrow: &'static LinearVariant,
    /// For many tokens.
    pub matmul: &'static LinearVariant,
    /// For many tokens and a quantised matrix, if it is faster; it rounds activations.
    pub matmul_rounded: Option<&'static LinearVariant>,
    /// Whether matrices of few rows have smaller tiles than `matmul_rounded` has, in bytes, so that
    /// there are workgroups for all of a large GPU.
    pub narrow_tiles: bool,
    /// For one token.
    pub attend_one: &'static AttentionVariant,
    /// For many tokens.
    pub attend_many: &'static AttentionVariant,
    /// Interleaved rows of wide and narrow matrices whose layout is already fixed; `None`: as the
    /// variants for one token need.
    pub row_tiles: Option<(usize, usize)>,
}

impl Variants {
    /// Works on every GPU, fast on none.
    pub const PLAIN: Self = Self {
        matvec_wide: &PLAIN,
        matvec_narrow: &PLAIN,
        matmul: &PLAIN,
        matmul_rounded: None,
        narrow_tiles: false,
        attend_one: &ATTEND_ONE[0],
        attend_many: &ATTEND_MANY[0],
        row_tiles: None,
    };

    /// For one token and a matrix of this many rows.
    fn matvec(&self, rows: usize) -> &'static LinearVariant {
        if rows < WIDE { self.matvec_narrow } else { self.matvec_wide }
    }

    /// For this many tokens.
    pub fn linear(&self, weight: &Matrix, tokens: usize) -> &'static LinearVariant {
        match weight.layout.quantised() {
            _ if !weight.cols.is_multiple_of(BLOCK) => &PLAIN,
            _ if tokens == 1 => self.matvec(weight.rows),
            quantised => {
                let many = self.matmul_rounded.filter(|_| quantised.is_some()).unwrap_or(self.matmul);
                match tokens {
                    0..=FEW => many.for_few(),
                    _ if self.narrow_tiles && weight.rows < WIDE => many.for_narrow(),
                    _ => many,
                }
            }
        }
    }

    /// For the slots of an expert that `gather` has put together, where tiles are fast for many
    /// tokens; `None`: each slot on its own, as one token.
    pub fn gathered(&self, weight: &Matrix) -> Option<&'static LinearVariant> {
        let matmul = self.linear(weight, TILE);
        let gathered = if matmul.needs == Some(Feature::PackedDot) { &GATHERED_INT8 } else { &GATHERED };
        (matmul.tokens > 1 && !matmul.software_only).then_some(gathered)
    }

    fn linears(&self) -> impl Iterator<Item = &'static LinearVariant> {
        [Some(self.matvec_wide), Some(self.matvec_narrow), Some(self.matmul), self.matmul_rounded].into_iter().flatten()
    }

    /// The features that these variants need.
    pub fn needs(&self) -> Vec<Feature> {
        self.linears().filter_map(|variant| variant.needs).collect()
    }

    /// Whether an adapter with these features may use all of them. `software`: whether the adapter
    /// is emulated on the CPU.
    pub fn suits(&self, software: bool, features: &BTreeSet<Feature>) -> bool {
        self.linears().all(|variant| variant.suits(software, features))
            && [self.attend_one, self.attend_many].iter().all(|variant| variant.suits(software))
    }

    /// Interleaved rows of a matrix with this many rows.
    pub fn row_tile(&self, rows: usize) -> usize {
        match self.row_tiles {
            Some((_, narrow)) if rows < WIDE => narrow,
            Some((wide, _)) => wide,
            None => self.matvec(rows).row_tile,
        }
    }

    /// One copy for each [`MATVEC`] candidate, for a matrix of this many rows.
    fn other_matvecs(self, rows: usize) -> Vec<Self> {
        let with = |matvec| match rows < WIDE {
            true => Self { matvec_narrow: matvec, ..self },
            false => Self { matvec_wide: matvec, ..self },
        };
        MATVEC.iter().map(with).collect()
    }

    /// One copy for each candidate for `command`, the plain one last; layouts stay the same. Empty
    /// for operations with a single variant.
    pub fn others(&self, command: &Command) -> Vec<Self> {
        let row_tiles = Some((self.row_tile(WIDE), self.row_tile(0)));
        let same = Self { row_tiles, ..*self };
        match command {
            Command::Linear(op)
            | Command::LinearPair(LinearPair { head: op, .. })
            | Command::NormLinear(NormLinear { linear: op, .. })
                if op.y.rows == 1 =>
            {
                same.other_matvecs(op.weight.rows)
            }
            Command::ExpertLinear(op) if op.variant(self).1.is_some() => {
                MATMUL.iter().map(|matmul| Self { matmul, matmul_rounded: None, ..same }).collect()
            }
            Command::ExpertLinear(op) => same.other_matvecs(op.weight.rows),
            Command::Linear(op)
            | Command::LinearPair(LinearPair { head: op, .. })
            | Command::NormLinear(NormLinear { linear: op, .. }) => {
                let current = self.linear(&op.weight, op.y.rows);
                let is_current = |variant: &'static LinearVariant| [variant, variant.for_few()].contains(&current);
                let matmul_rounded = self.matmul_rounded.filter(|rounded| !is_current(rounded));
                let narrow_tiles = false;
                MATMUL.iter().map(|matmul| Self { matmul, matmul_rounded, narrow_tiles, ..same }).collect()
            }
            Command::Attention(Attention { y, .. })
            | Command::RopeAttention(RopeAttention { attention: Attention { y, .. }, .. })
                if y.rows == 1 =>
            {
                ATTEND_ONE.iter().map(|attend_one| Self { attend_one, ..same }).collect()
            }
            Command::Attention(_) | Command::RopeAttention(_) => {
                ATTEND_MANY.iter().map(|attend_many| Self { attend_many, ..same }).collect()
            }
            Command::Embed(_)
            | Command::Norm(_)
            | Command::Activate(_)
            | Command::Route(_)
            | Command::Gather(_)
            | Command::Combine(_)
            | Command::RopeAppend(_)
            | Command::PickRows(_)
            | Command::Adjust(_)
            | Command::Sample(_)
            | Command::Likely(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::MOST_TILE;

    /// The names of the candidates of each table that an adapter with every feature may use.
    fn candidates(software: bool) -> [Vec<&'static str>; 5] {
        let features = BTreeSet::from([Feature::Subgroups, Feature::F16, Feature::PackedDot]);
        let linear = |table: &[LinearVariant]| -> Vec<&str> {
            table.iter().filter(|variant| variant.suits(software, &features)).map(|variant| variant.name).collect()
        };
        let attention = |table: &[AttentionVariant]| -> Vec<&str> {
            table.iter().filter(|variant| variant.suits(software)).map(|variant| variant.name).collect()
        };
        [linear(MATVEC), linear(MATMUL), linear(MATMUL_ROUNDED), attention(ATTEND_ONE), attention(ATTEND_MANY)]
    }

    #[test]
    fn a_real_gpu_does_not_try_what_is_for_software_adapters() {
        assert_eq!(
            candidates(false),
            [
                vec![
                    "2 rows an invocation",
                    "32 rows by 8 invocations",
                    "16 rows by 32 invocations",
                    "16 rows by 16 invocations",
                    "64 rows by 8 invocations",
                    "16 rows by 32 invocations in subgroups",
                    "32 rows by 16 invocations in subgroups",
                    "8 rows by 32 invocations in subgroups",
                    "plain",
                ],
                vec!["64 rows, 128 tokens a workgroup", "64 rows, 64 tokens a workgroup", "plain"],
                vec![
                    "32 rows, 256 tokens a workgroup in 8 bits",
                    "64 rows, 64 tokens a workgroup in 8 bits",
                    "64 rows, 128 tokens a workgroup in 16 bits",
                ],
                vec!["64 positions a workgroup"],
                vec!["a key head a workgroup", "64 queries a workgroup", "32 queries a workgroup"],
            ]
        );
        let lengths = [MATVEC.len(), MATMUL.len(), MATMUL_ROUNDED.len(), ATTEND_ONE.len(), ATTEND_MANY.len()];
        assert_eq!(candidates(true).map(|names| names.len()), lengths);
    }

    #[test]
    fn a_choice_suits_an_adapter_if_every_variant_does() {
        let (none, subgroups) = (BTreeSet::new(), BTreeSet::from([Feature::Subgroups]));
        let plain = Variants::PLAIN;
        assert!(plain.suits(false, &none));
        let lanes = Variants { attend_many: &ATTEND_MANY[1], ..plain };
        assert!(lanes.suits(true, &none) && !lanes.suits(false, &none));
        let needing = MATVEC.iter().find(|variant| variant.needs.is_some()).unwrap();
        let needing = Variants { matvec_wide: needing, ..plain };
        assert!(needing.suits(false, &subgroups) && !needing.suits(false, &none));
    }

    #[test]
    fn few_tokens_have_a_tile_of_their_own() {
        let buffer = crate::record::BufferId(0);
        let weight = Matrix { buffer, layout: crate::format::Layout::Q4, rows: 64, cols: 64 };
        let chosen = Variants { matmul: &MATMUL[0], matmul_rounded: Some(&MATMUL_ROUNDED[0]), ..Variants::PLAIN };
        let names = |variants: Variants| [1, 2, FEW, FEW + 1].map(|tokens| variants.linear(&weight, tokens).name);
        let few = MATMUL_INT8_FEW.name;
        assert_eq!(names(chosen), ["plain", few, few, MATMUL_ROUNDED[0].name]);
        let exact = Variants { matmul_rounded: None, ..chosen };
        assert_eq!(names(exact), ["plain", MATMUL_FEW.name, MATMUL_FEW.name, MATMUL[0].name]);
        assert_eq!(names(Variants::PLAIN), ["plain"; 4]);
    }

    #[test]
    fn few_rows_have_a_tile_of_their_own_in_bytes() {
        let buffer = crate::record::BufferId(0);
        let weight = |rows| Matrix { buffer, layout: crate::format::Layout::Q4, rows, cols: 64 };
        let chosen = Variants { matmul_rounded: Some(&MATMUL_ROUNDED[0]), narrow_tiles: true, ..Variants::PLAIN };
        let names = |variants: Variants| [WIDE - 1, WIDE].map(|rows| variants.linear(&weight(rows), FEW + 1).name);
        assert_eq!(names(chosen), [MATMUL_INT8_NARROW.name, MATMUL_ROUNDED[0].name]);
        assert_eq!(names(Variants { narrow_tiles: false, ..chosen }), [MATMUL_ROUNDED[0].name; 2]);
        assert_eq!(names(Variants { matmul_rounded: None, ..chosen }), ["plain"; 2]);
    }

    /// A tile of slots is what `gather` puts together, whatever the tile of tokens.
    #[test]
    fn slots_are_gathered_as_many_tokens_are_rounded() {
        let buffer = crate::record::BufferId(0);
        let of = |matmul, matmul_rounded, layout| {
            let weight = Matrix { buffer, layout, rows: 64, cols: 64 };
            Variants { matmul, matmul_rounded, ..Variants::PLAIN }.gathered(&weight)
        };
        let (q4, f16) = (crate::format::Layout::Q4, crate::format::Layout::F16);
        for matmul in &MATMUL[..2] {
            assert_eq!(of(matmul, None, q4), Some(&GATHERED));
            for rounded in MATMUL_ROUNDED {
                let in_bytes = rounded.needs == Some(Feature::PackedDot);
                assert_eq!(of(matmul, Some(rounded), q4), Some(if in_bytes { &GATHERED_INT8 } else { &GATHERED }));
                assert_eq!(of(matmul, Some(rounded), f16), Some(&GATHERED));
            }
        }
        assert_eq!(of(&MATMUL[2], None, q4).or(of(&PLAIN, None, q4)), None);
        for tile in [GATHERED, GATHERED_INT8] {
            assert_eq!((tile.tokens, 4 * tile.k_threads, tile.rows), (TILE, TILE, 4), "{}", tile.name);
        }
    }

    /// The shaders rely on it.
    #[test]
    fn an_invocation_of_a_tile_takes_eight_tokens() {
        let tiles = MATMUL.iter().chain(MATMUL_ROUNDED).chain([&MATMUL_FEW, &MATMUL_INT8_FEW, &MATMUL_INT8_NARROW]);
        for tile in tiles.filter(|variant| variant.tokens_first()) {
            let (invocations, rows) = (tile.lanes * tile.k_threads, tile.lanes * tile.rows);
            assert_eq!((tile.tokens, tile.rows), (8 * tile.k_threads, 4), "{}", tile.name);
            assert!(rows <= invocations && tile.tokens <= invocations && invocations <= 256, "{}", tile.name);
        }
    }

    #[test]
    fn tiles_are_no_larger_than_loaders_leave_room_for() {
        assert!(MATVEC.iter().all(|variant| MOST_TILE.is_multiple_of(variant.row_tile)));
    }
}
