//! `pick_rows`: gathers the rows whose logits are wanted, such as the last row of a prompt.

use super::{Binding, Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// y[i] = x[the i-th wanted row]; further rows of y are not written.
#[derive(Clone, Copy, Debug)]
pub struct PickRows {
    /// (rows, cols)
    pub x: Tensor,
    /// (largest number of wanted rows, cols)
    pub y: Tensor,
}

const WORKGROUP: usize = 64;

impl Op for PickRows {
    fn check(&self) -> Result<()> {
        ensure(self.x.cols == self.y.cols, "pick_rows", "x.cols = y.cols", (self.x.cols, self.y.cols))?;
        ensure(self.x.rows >= self.y.rows, "pick_rows", "x.rows ≥ y.rows", (self.x.rows, self.y.rows))
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        vec![Kernel {
            shader: "pick_rows",
            defines: vec![],
            constants: vec![],
            bindings: vec![Binding::Rows, self.x.into(), self.y.into()],
            params: vec![self.x.rows as u32, self.x.cols as u32],
            workgroups: [ceil_div(self.x.cols, WORKGROUP), self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let row = Loads::once(self.x.cols, ceil_div(self.x.cols, WORKGROUP) as usize);
        vec![row * step.wanted().filter(|&row| row < self.x.rows).count().min(self.y.rows)]
    }
}

/// `x`: (rows, cols); `y`: (n, cols), for the first n wanted rows.
pub fn reference(step: &Step, cols: usize, x: &[f32], y: &mut [f32]) {
    let wanted = step.wanted().filter_map(|row| x.get(row * cols..(row + 1) * cols));
    for (y, x) in y.chunks_exact_mut(cols).zip(wanted) {
        y.copy_from_slice(x);
    }
}
