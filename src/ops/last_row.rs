//! `last_row`: picks the last token's row, the only one whose logits a generation needs.

use super::{Kernel, Op, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::Tensor;

/// y[0] = x[tokens - 1]
#[derive(Clone, Debug)]
pub struct LastRow {
    /// (tokens, cols)
    pub x: Tensor,
    /// (1, cols)
    pub y: Tensor,
}

const WORKGROUP: usize = 64;

impl Op for LastRow {
    fn check(&self) -> Result<()> {
        ensure(self.x.cols == self.y.cols, "last_row", "x.cols = y.cols", (self.x.cols, self.y.cols))?;
        ensure(self.y.rows == 1, "last_row", "y.rows = 1", self.y.rows)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        vec![Kernel {
            shader: "last_row",
            defines: vec![],
            constants: vec![],
            bindings: vec![self.x.into(), self.y.into()],
            params: vec![self.x.rows as u32, self.x.cols as u32],
            workgroups: [ceil_div(self.x.cols, WORKGROUP), 1, 1],
        }]
    }
}

/// `x`: (tokens, cols); `y`: (cols).
pub fn reference(x: &[f32], y: &mut [f32]) {
    let start = x.len() - y.len();
    y.copy_from_slice(&x[start..]);
}
