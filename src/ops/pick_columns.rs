//! `pick_columns`: puts columns of an input or of three in another order, such as the parts of
//! heads that are computed apart.

use super::{Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// y[t][j] = column `columns[j]` of row t of all inputs side by side.
#[derive(Clone, Copy, Debug)]
pub struct PickColumns {
    /// (tokens, …)
    pub x: Tensor,
    /// Further inputs.
    pub others: Option<[Tensor; 2]>,
    /// (1, y.cols): indices of columns.
    pub columns: Tensor,
    /// (tokens, cols)
    pub y: Tensor,
}

const WORKGROUP: usize = 64;

impl Op for PickColumns {
    fn check(&self) -> Result<()> {
        ensure(self.columns.cols == self.y.cols, "pick_columns", "an index of each column of y", self)?;
        let rows = self.inputs().all(|x| x.rows >= self.y.rows);
        ensure(rows, "pick_columns", "x.rows ≥ y.rows", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let [second, third] = self.others.map_or([0; 2], |others| others.map(|x| x.cols));
        let sizes = [self.y.rows, self.y.cols, self.x.cols, second, third];
        vec![Kernel {
            shader: "pick_columns",
            defines: self.others.iter().map(|_| "OTHERS").collect(),
            constants: vec![],
            bindings: [self.columns, self.y].into_iter().chain(self.inputs()).map(Into::into).collect(),
            params: sizes.map(|size| size as u32).into(),
            workgroups: [ceil_div(self.y.cols, WORKGROUP), self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    /// As if no column was picked twice.
    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let workgroups = ceil_div(self.y.cols, WORKGROUP) as usize;
        vec![Loads::once(2 * self.y.cols, workgroups) * step.count(self.y.rows)]
    }
}

impl PickColumns {
    fn inputs(&self) -> impl Iterator<Item = Tensor> {
        [self.x].into_iter().chain(self.others.into_iter().flatten())
    }

    /// `inputs`: (tokens, …) each; `columns`: (y.cols); `y`: (tokens, y.cols).
    pub fn reference<'a>(&self, inputs: impl Fn(&Tensor) -> &'a [f32], columns: &[f32], y: &mut [f32]) {
        let inputs: Vec<_> = self.inputs().map(|x| (x.cols, inputs(&x))).collect();
        for (t, y) in y.chunks_exact_mut(self.y.cols).enumerate() {
            for (y, &column) in y.iter_mut().zip(columns) {
                let mut column = column as usize;
                for &(cols, x) in &inputs {
                    if column < cols {
                        *y = x[t * cols + column];
                        break;
                    }
                    column -= cols;
                }
            }
        }
    }
}
