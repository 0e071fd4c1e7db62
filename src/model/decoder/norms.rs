//! The norms of a layer: before a block, after it, or after its residual sum; and QK-norm.

use super::{Activations, Decoder};
use crate::model::architecture::Norms;
use crate::ops::{Norm, NormKind, Recording, RmsNorm};
use crate::record::Tensor;
use crate::{Error, Result};

/// The residual stream while blocks are recorded.
pub(super) struct Stream {
    /// The stream is in `a.x`, and `a.spare` is free.
    pub a: Activations,
    /// The norm of the output of a block, in `a.branch`, which is not added yet.
    pub behind: Option<NormWeights>,
}

impl From<Activations> for Stream {
    fn from(a: Activations) -> Self {
        Self { a, behind: None }
    }
}

/// The norms of a block. No architecture has all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockNorms {
    /// Pre-norm: norm of the block's input.
    pub input: Option<NormWeights>,
    /// Norm of what the block's last projection reads.
    pub sub: Option<NormWeights>,
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
    /// (1, 1): a factor of the sum that the norm is part of.
    pub scale: Option<Tensor>,
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
    /// The same size: factors behind RoPE, where the norm's weights belong behind it; `weight` is 1
    /// then. RoPE does not change what the norm divides by.
    pub behind: Option<Tensor>,
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
        r.push(self.norm_op(norm, a.x, None, a.branch))?;
        Ok((a.branch, None))
    }

    /// QK-norm of `qkv`, in place; applied before RoPE.
    pub(super) fn head_norm(&self, HeadNorm { first_col, groups, weight, .. }: HeadNorm, qkv: Tensor) -> Norm {
        let (kind, eps) = (self.config.architecture.norm, self.config.norm_eps);
        Norm { x: qkv, first_col, groups, weight, bias: None, kind, eps, add: None, y: qkv, scale: None }
    }

    /// Whether a block's output is added, its factor, and the tensor it goes to: the residual
    /// stream, or `a.branch` if the output is normalised first.
    pub(super) fn target(&self, norms: &BlockNorms, a: &Activations) -> (bool, f32, Tensor) {
        match norms.output {
            None => (true, self.config.scales.residual, a.x),
            Some(_) => (false, 1.0, a.branch),
        }
    }

    /// Records the norms after a block whose output is in [`Decoder::target`], or leaves that of
    /// the output to whoever reads the stream next.
    pub(super) fn record_norms_behind(&self, r: &mut Recording, norms: &BlockNorms, s: &mut Stream) -> Result<()> {
        s.behind = norms.output;
        match norms.sum {
            Some(norm) => {
                self.settle(r, s)?;
                r.push(self.norm_op(norm, s.a.x, None, s.a.x))
            }
            None => Ok(()),
        }
    }

    /// Adds the block's output that is still to be normalised. The sum goes to the other buffer:
    /// if a projection follows, both are one dispatch, whose workgroups all read the old one.
    pub(super) fn settle(&self, r: &mut Recording, s: &mut Stream) -> Result<()> {
        let Some(norm) = s.behind.take() else { return Ok(()) };
        r.push(self.norm_op(norm, s.a.branch, Some(s.a.x), s.a.spare))?;
        std::mem::swap(&mut s.a.x, &mut s.a.spare);
        Ok(())
    }

    /// The same, into `x`, where the stream ends.
    pub(super) fn settle_in(&self, r: &mut Recording, s: &mut Stream, x: Tensor) -> Result<()> {
        if self.streams.is_some() {
            return self.merge_streams(r, s, x);
        }
        let (norm, a) = (s.behind.take(), &s.a);
        match norm {
            Some(norm) => r.push(self.norm_op(norm, a.branch, Some(a.x), x)),
            None if a.x == x => Ok(()),
            None => {
                let (expected, got) = (format!("the residual stream in {x:?}"), format!("{:?}", a.x));
                Err(Error::Internal { op: "record", expected, got })
            }
        }
    }

    /// y = add + norm(x)
    pub(super) fn norm_op(&self, norm: NormWeights, x: Tensor, add: Option<Tensor>, y: Tensor) -> Norm {
        let (kind, eps) = (self.config.architecture.norm, self.config.norm_eps);
        let NormWeights { weight, bias, scale } = norm;
        Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, add, y, scale }
    }

    /// Whether outputs of blocks are normalised before they are added.
    pub(super) fn norms_outputs(&self) -> bool {
        matches!(self.config.architecture.norms, Norms::Around(_) | Norms::Outputs(_))
    }

    /// Whether a norm or a block writes to `a.branch`.
    pub(super) fn needs_branch(&self) -> bool {
        self.config.architecture.norm == NormKind::Layer || self.norms_outputs()
    }
}
