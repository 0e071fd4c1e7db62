//! The norms of a layer: before a block, after it, or after its residual sum; and QK-norm.

use super::{Activations, Decoder};
use crate::Result;
use crate::model::architecture::{Architecture, Norms};
use crate::ops::{Norm, NormKind, Recording, RmsNorm};
use crate::record::Tensor;

/// The norms of a block. No architecture has all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockNorms {
    /// Pre-norm: norm of the block's input.
    pub input: Option<NormWeights>,
    /// Norm of the block's output, before it is added to the residual stream.
    pub output: Option<NormWeights>,
    /// Post-norm: norm of the residual stream after the sum.
    pub sum: Option<NormWeights>,
}

/// Weights of a norm of the residual stream.
#[derive(Clone, Copy, Debug)]
pub struct NormWeights {
    /// (1, hidden)
    pub weight: Tensor,
    /// (1, hidden)
    pub bias: Option<Tensor>,
}

/// QK-norm of some columns of q, k and v.
#[derive(Clone, Copy, Debug)]
pub struct HeadNorm {
    /// Index of the first column.
    pub first_col: usize,
    /// Number of groups of columns, each of which is normalised separately.
    pub groups: usize,
    /// (1, columns)
    pub weight: Tensor,
}

impl Decoder {
    /// norm(x): as the prologue of a projection of x if the engine can do that, else computed into
    /// `a.branch`.
    pub(super) fn normed(
        &self,
        r: &mut Recording,
        norm: Option<NormWeights>,
        a: &Activations,
    ) -> Result<(Tensor, Option<RmsNorm>)> {
        let Some(norm) = norm else { return Ok((a.x, None)) };
        if self.config.architecture.norm == NormKind::Rms {
            return Ok((a.x, Some(RmsNorm { weight: norm.weight, eps: self.config.norm_eps })));
        }
        r.push(self.norm_op(norm, a.x, false, a.branch))?;
        Ok((a.branch, None))
    }

    /// QK-norm of `qkv`, in place; applied before RoPE.
    pub(super) fn head_norm(&self, HeadNorm { first_col, groups, weight }: HeadNorm, qkv: Tensor) -> Norm {
        let (kind, eps) = (self.config.architecture.norm, self.config.norm_eps);
        Norm { x: qkv, first_col, groups, weight, bias: None, kind, eps, accumulate: false, y: qkv }
    }

    /// Whether a block's output is added, its factor, and the tensor it goes to: the residual
    /// stream, or `a.branch` if the output is normalised first.
    pub(super) fn target(&self, norms: &BlockNorms, a: &Activations) -> (bool, f32, Tensor) {
        match norms.output {
            None => (true, self.config.scales.residual, a.x),
            Some(_) => (false, 1.0, a.branch),
        }
    }

    /// Records the norms after a block whose output is in [`Decoder::target`].
    pub(super) fn record_norms_behind(&self, r: &mut Recording, norms: &BlockNorms, a: &Activations) -> Result<()> {
        if let Some(norm) = norms.output {
            r.push(self.norm_op(norm, a.branch, true, a.x))?;
        }
        match norms.sum {
            Some(norm) => r.push(self.norm_op(norm, a.x, false, a.x)),
            None => Ok(()),
        }
    }

    pub(super) fn norm_op(&self, norm: NormWeights, x: Tensor, accumulate: bool, y: Tensor) -> Norm {
        let (kind, eps) = (self.config.architecture.norm, self.config.norm_eps);
        let NormWeights { weight, bias } = norm;
        Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, accumulate, y }
    }

    /// Whether a norm or a block writes to `a.branch`.
    pub(super) fn needs_branch(&self) -> bool {
        let Architecture { norm, norms, .. } = self.config.architecture;
        *norm == NormKind::Layer || matches!(norms, Norms::Around(_))
    }
}
