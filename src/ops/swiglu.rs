//! `swiglu`: the gated activation of Llama-like feed-forward layers (Shazeer 2020, arXiv 2002.05202).
//!
//! A separate operation only where gate and up could not share one matrix; else it is the epilogue of
//! [`Linear`](super::Linear).

use super::{Kernel, Op, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::Tensor;

/// y[t] = silu(gate_up[t][..n]) · gate_up[t][n..], with n = y.cols
#[derive(Clone, Debug)]
pub struct SwiGlu {
    /// (tokens, 2 n): gate, then up
    pub gate_up: Tensor,
    /// (tokens, n)
    pub y: Tensor,
}

const WORKGROUP: usize = 64;

impl Op for SwiGlu {
    fn check(&self) -> Result<()> {
        let cols = (self.gate_up.cols, self.y.cols);
        ensure(cols.0 == 2 * cols.1, "swiglu", "gate_up.cols = 2 y.cols", cols)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        vec![Kernel {
            shader: "swiglu",
            defines: vec![],
            constants: vec![],
            bindings: vec![self.gate_up.into(), self.y.into()],
            params: vec![self.y.rows as u32, self.y.cols as u32],
            workgroups: [ceil_div(self.y.cols, WORKGROUP), self.y.rows as u32, 1],
        }]
    }
}

/// x · sigmoid(x), also known as swish.
pub fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// `gate_up`: (tokens, 2 n); `y`: (tokens, n).
pub fn reference(gate_up: &[f32], n: usize, y: &mut [f32]) {
    for (gate_up, y) in gate_up.chunks_exact(2 * n).zip(y.chunks_exact_mut(n)) {
        let (gate, up) = gate_up.split_at(n);
        for ((y, &gate), up) in y.iter_mut().zip(gate).zip(up) {
            *y = silu(gate) * up;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::silu;

    #[test]
    fn silu_at_known_points() {
        assert_eq!(silu(0.0), 0.0);
        assert!((silu(1.0) - 0.731_058_6).abs() < 1e-6);
        assert!(silu(-100.0).abs() < 1e-30);
        assert_eq!(silu(100.0), 100.0);
    }
}
