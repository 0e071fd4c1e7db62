//! The dispatch before a product of rounded activations: it normalises and rounds them, once for
//! all workgroups of the product.

use super::Linear;
use crate::format::layout::BLOCK;
use crate::ops::loads::f32s;
use crate::ops::variants::Rounded;
use crate::ops::{Binding, Kernel, Loads, RowGrid, ceil_div};

/// Invocations of a workgroup.
const WORKGROUP: usize = 256;

/// The rounding of the activations of a product.
pub struct Rounding<'a> {
    pub op: &'a Linear,
    pub to: Rounded,
}

impl Rounded {
    /// Words of the columns of a token, without what the last column of f16 is followed by: a scale
    /// of a pair of words.
    pub fn words(self, cols: usize) -> usize {
        match self {
            // bytes, and for each block a scale and two sums in a word
            Self::Int8 => cols / BLOCK * (BLOCK / 4 + 2),
            Self::F16 => cols / 2,
        }
    }

    /// Tokens of a workgroup.
    const fn tokens(self) -> usize {
        match self {
            Self::Int8 => 4,
            Self::F16 => 1,
        }
    }
}

impl Rounding<'_> {
    /// Words of the result, for all tokens.
    pub fn words(&self) -> usize {
        let scale = if self.to == Rounded::F16 { 2 } else { 0 };
        self.op.y.rows * (self.to.words(self.op.weight.cols) + scale)
    }

    /// The rounded activations.
    pub fn result(&self) -> Binding {
        Binding::Intermediate { words: self.words() }
    }

    pub fn kernel(&self) -> Kernel {
        let Linear { x, norm, weight, y, .. } = self.op;
        // without a norm, its weights are not read
        let weights = norm.map_or(*x, |norm| norm.weight);
        let (eps, normalises) = (norm.map_or(0.0, |norm| norm.eps), norm.is_some());
        let tokens = (self.to == Rounded::Int8).then_some(("TOKENS", self.to.tokens()));
        Kernel {
            shader: if self.to == Rounded::Int8 { "round_int8" } else { "round_f16" },
            defines: Vec::new(),
            constants: [("WORKGROUP", WORKGROUP)].into_iter().chain(tokens).map(|(n, size)| (n, size as u32)).collect(),
            bindings: vec![(*x).into(), weights.into(), self.result()],
            params: vec![y.rows as u32, weight.cols as u32, eps.to_bits(), normalises.into()],
            workgroups: [ceil_div(y.rows, self.to.tokens()), 1, 1],
            rows: RowGrid { dimension: 0, each: self.to.tokens() },
            pieces: None,
        }
    }

    /// What it loads in a step of so many tokens.
    pub fn loads(&self, tokens: usize) -> Loads {
        let (cols, norm) = (self.op.weight.cols, usize::from(self.op.norm.is_some()));
        let (shared, workgroups) = (self.to.tokens(), tokens.div_ceil(self.to.tokens()));
        let (columns, parts) = match self.to {
            // each column for the squares, for the largest of a block, and to be rounded; the
            // squares of two lanes a sum, and of all lanes in the end
            Rounded::Int8 => (2 + 3 * norm, norm * (2 * (WORKGROUP - shared) + WORKGROUP)),
            // each column for squares and largest value, and to be rounded; these two of two
            // invocations, then for all of them
            Rounded::F16 => (2 + 2 * norm, 4 * (WORKGROUP - 1) + WORKGROUP + norm),
        };
        Loads {
            activations: f32s(tokens * cols + workgroups * norm * cols),
            lane_activations: f32s(workgroups * (shared * cols * columns + parts)),
            workgroups: workgroups as u64,
            ..Loads::default()
        }
    }
}
