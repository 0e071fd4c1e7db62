//! `sparsify`: keeps the largest values of a row (Gaussian top-k, as in Gemma 3n and Spark
//! Transformer, You et al. 2025, arXiv 2506.06644).

use super::loads::f32s;
use super::{Kernel, Loads, Op, RowGrid, Variants, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// y = max(y - (mean + deviations · standard deviation), 0), of the first columns of each row,
/// whose mean and deviation they are: if values are normally distributed, a known part of them is
/// 0.
#[derive(Clone, Copy, Debug)]
pub struct Sparsify {
    /// Number of columns.
    pub cols: usize,
    /// How far above the mean a value must be.
    pub deviations: f32,
    /// (tokens, at least cols)
    pub y: Tensor,
}

/// Invocations of a workgroup.
const LANES: usize = 256;

impl Op for Sparsify {
    fn check(&self) -> Result<()> {
        ensure((1..=self.y.cols).contains(&self.cols), "sparsify", "columns of y", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        vec![Kernel {
            shader: "sparsify",
            defines: vec![],
            constants: vec![("LANES", LANES as u32)],
            bindings: vec![self.y.into()],
            params: vec![self.y.rows as u32, self.cols as u32, self.y.cols as u32, self.deviations.to_bits()],
            workgroups: [1, self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let row = Loads {
            activations: f32s(self.cols),
            // for the mean, the deviation and the result, and two sums of all lanes
            lane_activations: f32s(3 * self.cols + 2 * (3 * LANES - 2)),
            workgroups: 1,
            ..Loads::default()
        };
        vec![row * step.count(self.y.rows)]
    }
}

impl Sparsify {
    /// `y`: (tokens, y.cols)
    pub fn reference(&self, y: &mut [f32]) {
        for row in y.chunks_exact_mut(self.y.cols) {
            let row = &mut row[..self.cols];
            let mean = row.iter().sum::<f32>() / self.cols as f32;
            let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / self.cols as f32;
            let least = mean + self.deviations * variance.sqrt();
            row.iter_mut().for_each(|v| *v = (*v - least).max(0.0));
        }
    }
}
