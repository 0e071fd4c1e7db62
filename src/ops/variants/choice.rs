//! A choice among the variants: which one does a command.

use std::collections::BTreeSet;

use super::tables::{ATTEND_MANY, ATTEND_ONE, FEW, GATHERED, GATHERED_INT8, MATMUL, MATVEC, PLAIN, WIDE};
use super::{AttentionVariant, Feature, LinearVariant};
use crate::format::layout::BLOCK;
use crate::ops::gather::TILE;
use crate::ops::{Attention, Command, LinearPair, NormLinear, RopeAttention};
use crate::record::Matrix;

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
    /// Whether matrices of few rows have smaller tiles, in f32 and in bytes, so that there are
    /// workgroups for all of a large GPU.
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

    /// The same without those that round activations, over weights in the same layouts.
    pub fn exact(&self) -> Self {
        let row_tiles = Some((self.row_tile(WIDE), self.row_tile(0)));
        Self { matmul_rounded: None, row_tiles, ..*self }
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
            | Command::Convolve(_)
            | Command::CausalConvolve(_)
            | Command::DeltaRule(_)
            | Command::SelectiveScan(_)
            | Command::Wkv(_)
            | Command::AltUp(_)
            | Command::Rescale(_)
            | Command::Sparsify(_)
            | Command::RopeAppend(_)
            | Command::PickColumns(_)
            | Command::PickRows(_)
            | Command::Adjust(_)
            | Command::Sample(_)
            | Command::Likely(_) => Vec::new(),
        }
    }
}
