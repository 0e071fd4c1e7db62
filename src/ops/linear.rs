//! `linear`: activations times a weight matrix, with what comes before and after it; nine tenths of a model's work.

use super::{Kernel, Op, RmsNorm, RopeAppend, Weight, ceil_div, ensure, swiglu::silu};
use crate::Result;
use crate::record::{Matrix, Tensor};

/// What becomes of a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// y = result
    Store,
    /// y += result: the residual connection
    Accumulate,
    /// y = silu(first half of the result) · second half: gate and up projection of a feed-forward layer in one
    SwiGlu,
    /// The result is q, k and v of each token: q is rotated and stored, k and v go to the cache. What y holds beyond q is
    /// not defined.
    RopeAppend(RopeAppend),
}

/// y[t][y_offset + n] = epilogue(Σ_k weight[n][k] norm(x)[t][k] + bias[n])
#[derive(Clone, Debug)]
pub struct Linear {
    /// (tokens, weight.cols)
    pub x: Tensor,
    /// Applied to x first.
    pub norm: Option<RmsNorm>,
    /// (outputs, inputs)
    pub weight: Matrix,
    /// (1, weight.rows)
    pub bias: Option<Tensor>,
    /// What becomes of the result.
    pub epilogue: Epilogue,
    /// First column of y to write: parts of a split or mixed matrix write side by side.
    pub y_offset: usize,
    /// (tokens, at least y_offset + outputs)
    pub y: Tensor,
}

impl Linear {
    /// Columns of y that are written.
    pub fn outputs(&self) -> usize {
        match self.epilogue {
            Epilogue::SwiGlu => self.weight.rows / 2,
            Epilogue::Store | Epilogue::Accumulate | Epilogue::RopeAppend(_) => self.weight.rows,
        }
    }
}

/// Outputs of one invocation.
const OUTPUTS: usize = 4;
/// Tokens of one invocation of `linear_tile`.
const TILE: usize = 8;
const WORKGROUP: usize = 64;

impl Op for Linear {
    fn check(&self) -> Result<()> {
        let (weight, y) = (&self.weight, &self.y);
        ensure(weight.cols.is_multiple_of(weight.block_len()), "linear", "columns in whole blocks", weight)?;
        ensure(self.x.cols == weight.cols, "linear", "x.cols = weight.cols", (self.x.cols, weight.cols))?;
        ensure(self.x.rows >= y.rows, "linear", "x.rows ≥ y.rows", (self.x.rows, y.rows))?;
        ensure(self.y_offset + self.outputs() <= y.cols, "linear", "outputs within y.cols", self)?;
        ensure(self.norm.is_none_or(|n| n.weight.cols == weight.cols), "linear", "norm.cols = weight.cols", self.norm)?;
        ensure(self.bias.is_none_or(|b| b.cols == weight.rows), "linear", "bias.cols = weight.rows", self.bias)?;
        match &self.epilogue {
            Epilogue::Store | Epilogue::Accumulate => Ok(()),
            Epilogue::SwiGlu => ensure(weight.rows.is_multiple_of(2), "linear", "an even number of rows", weight),
            Epilogue::RopeAppend(rope) => {
                let whole = rope.qkv == *y && self.y_offset == 0 && weight.rows == y.cols;
                ensure(whole, "linear", "all of q, k and v in one matrix", self)?;
                rope.check()
            }
        }
    }

    fn kernels(&self) -> Vec<Kernel> {
        let mut defines = vec![self.weight.define()];
        match self.epilogue {
            Epilogue::Store | Epilogue::RopeAppend(_) => {}
            Epilogue::Accumulate => defines.push("ACCUMULATE"),
            Epilogue::SwiGlu => defines.push("SWIGLU"),
        }
        let mut bindings = vec![self.x.into(), self.y.into()];
        if let Some(bias) = self.bias {
            defines.push("BIAS");
            bindings.push(bias.into());
        }
        if let Some(norm) = self.norm {
            defines.push("NORM");
            bindings.push(norm.weight.into());
        }
        bindings.extend(self.weight.bindings());
        // for one token there is nothing to share weights with
        let (shader, tokens) = if self.y.rows == 1 { ("linear", 1) } else { ("linear_tile", TILE) };
        let mut params: Vec<u32> =
            [self.y.rows, self.weight.cols, self.outputs(), self.y.cols, self.y_offset].map(|v| v as u32).to_vec();
        params.push(self.norm.map_or(0.0, |norm| norm.eps).to_bits());
        let workgroups = [ceil_div(self.outputs(), WORKGROUP * OUTPUTS), ceil_div(self.y.rows, tokens), 1];
        let mut kernels = vec![Kernel { shader, defines, bindings, params, workgroups }];
        if let Epilogue::RopeAppend(rope) = &self.epilogue {
            kernels.extend(rope.kernels());
        }
        kernels
    }
}

impl Linear {
    /// `x`: (tokens, weight.cols); `y`: (tokens, y.cols); `norm`: (weight.cols). [`Epilogue::RopeAppend`] is left to the
    /// caller, as [`RopeAppend::reference`].
    pub fn reference(&self, x: &[f32], norm: Option<&[f32]>, weight: Weight, bias: Option<&[f32]>, y: &mut [f32]) {
        let n = self.outputs();
        let tokens = y.len() / self.y.cols;
        let mut x = x[..tokens * weight.cols].to_vec();
        if let (Some(op), Some(norm)) = (self.norm, norm) {
            op.reference(&x.clone(), norm, &mut x);
        }
        let mut row = vec![0.0; weight.cols];
        let product = |n: usize, t: usize, row: &mut [f32]| {
            if t == 0 {
                weight.dequantize(n, row);
            }
            let x = &x[t * weight.cols..][..weight.cols];
            row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + bias.map_or(0.0, |b| b[n])
        };
        let mut up = vec![0.0; weight.cols];
        for i in 0..n {
            for t in 0..tokens {
                let result = product(i, t, &mut row);
                let y = &mut y[t * self.y.cols + self.y_offset + i];
                match self.epilogue {
                    Epilogue::Store | Epilogue::RopeAppend(_) => *y = result,
                    Epilogue::Accumulate => *y += result,
                    Epilogue::SwiGlu => *y = silu(result) * product(n + i, t, &mut up),
                }
            }
        }
    }
}
