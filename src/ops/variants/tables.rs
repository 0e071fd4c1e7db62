//! The candidates: a variant is a row of a table, a shader and its constants. A new size is a new
//! row; only a new idea is a new shader.

use super::{AttentionVariant, Feature, LinearVariant};
use crate::ops::gather::TILE;

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
    linear("32 rows, 256 tokens a workgroup", "linear_block", 1, 4, 8, 32, 256),
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
pub const MATMUL_NARROW: LinearVariant = linear("32 rows, 64 tokens a workgroup", "linear_block", 1, 4, 8, 8, 64);

/// The same in eight bits.
pub const MATMUL_INT8_NARROW: LinearVariant =
    linear("32 rows, 64 tokens a workgroup in 8 bits", "linear_block_int8", 1, 4, 8, 8, 64).needing(Feature::PackedDot);

/// For the slots of an expert that `gather` has put together.
pub(super) const GATHERED: LinearVariant =
    linear("64 rows, 32 slots a workgroup", "linear_gathered", 1, 4, 16, 8, TILE);

/// The same for a quantised weight; it rounds activations to eight bits.
pub(super) const GATHERED_INT8: LinearVariant =
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
    ATTEND_WIDE,
];

/// The one that takes heads of any width.
pub const ATTEND_WIDE: AttentionVariant =
    attention("32 queries a workgroup", "attention_tile", 128, 128).of_queries(32);

/// A matrix with this many rows keeps a large GPU busy even if invocations do not share rows.
pub const WIDE: usize = 2048;
