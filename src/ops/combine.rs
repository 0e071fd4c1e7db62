//! `combine`: adds the weighted outputs of a token's experts to the residual stream.

use super::loads::f32s;
use super::{Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// y[t] (+)= scale · Σ_j route[t][chosen + j] · x[t][j · y.cols ..]
#[derive(Clone, Copy, Debug)]
pub struct Combine {
    /// (tokens, slots · y.cols): an expert's output per slot
    pub x: Tensor,
    /// (tokens, chosen + slots): see [`Route`](super::Route)
    pub route: Tensor,
    /// Column of the first weight in a row of `route`.
    pub chosen: usize,
    /// Factor of the sum.
    pub scale: f32,
    /// Whether to add to y: the residual connection.
    pub accumulate: bool,
    /// (tokens, cols)
    pub y: Tensor,
}

const WORKGROUP: usize = 64;

impl Combine {
    fn slots(&self) -> usize {
        self.route.cols - self.chosen
    }
}

impl Op for Combine {
    fn check(&self) -> Result<()> {
        let fits = self.chosen < self.route.cols && self.x.cols == self.slots() * self.y.cols;
        ensure(fits, "combine", "x.cols = slots · y.cols", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let sizes = [self.y.rows, self.y.cols, self.slots(), self.route.cols, self.chosen];
        vec![Kernel {
            shader: "combine",
            defines: if self.accumulate { vec!["ACCUMULATE"] } else { vec![] },
            constants: vec![],
            bindings: vec![self.x.into(), self.route.into(), self.y.into()],
            params: sizes.map(|size| size as u32).into_iter().chain([self.scale.to_bits()]).collect(),
            workgroups: [ceil_div(self.y.cols, WORKGROUP), self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let workgroups = ceil_div(self.y.cols, WORKGROUP) as usize;
        let own = Loads::once(self.x.cols + if self.accumulate { self.y.cols } else { 0 }, workgroups);
        // the weights of the experts: once in a workgroup, and again in every invocation
        let activations = f32s(workgroups * self.slots());
        let route = Loads { activations, lane_activations: f32s(self.y.cols * self.slots()), ..Loads::default() };
        vec![(own + route) * step.count(self.y.rows)]
    }
}

impl Combine {
    /// `x`: (tokens, x.cols); `route`: (tokens, route.cols); `y`: (tokens, y.cols).
    pub fn reference(&self, x: &[f32], route: &[f32], y: &mut [f32]) {
        let rows = x.chunks_exact(self.x.cols).zip(route.chunks_exact(self.route.cols));
        for ((x, route), y) in rows.zip(y.chunks_exact_mut(self.y.cols)) {
            if !self.accumulate {
                y.fill(0.0);
            }
            for (x, weight) in x.chunks_exact(self.y.cols).zip(&route[self.chosen..]) {
                y.iter_mut().zip(x).for_each(|(y, x)| *y += self.scale * weight * x);
            }
        }
    }
}
