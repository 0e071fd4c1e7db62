//! `rescale`: factors of a row, and the magnitude of another one.

use super::loads::f32s;
use super::{Binding, Kernel, Loads, Op, RowGrid, Variants, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// y[t][g] = add[t] + factor · weight · x[t][first_col..][g], for each of `groups` groups of
/// columns. With `like`, each of them gets the root mean square of like[t] before the factor.
#[derive(Clone, Copy, Debug)]
pub struct Rescale {
    /// (tokens, at least first_col + y.cols)
    pub x: Tensor,
    /// First column to read.
    pub first_col: usize,
    /// Number of consecutive groups of equally many columns.
    pub groups: usize,
    /// Of all values.
    pub factor: f32,
    /// (1, y.cols): a factor for each column.
    pub weight: Option<Tensor>,
    /// (tokens, columns of a group)
    pub like: Option<Tensor>,
    /// What the result is added to, of the shape of y. It may be y.
    pub add: Option<Tensor>,
    /// (tokens, columns of all groups), or x itself.
    pub y: Tensor,
}

/// Invocations of a workgroup.
const LANES: usize = 256;

/// The least mean square of what gets another magnitude.
const LEAST: f32 = 1e-5;

impl Rescale {
    /// y = factor · x, of the shape of y.
    pub fn of(x: Tensor, factor: f32, y: Tensor) -> Self {
        Self { x, first_col: 0, groups: 1, factor, weight: None, like: None, add: None, y }
    }

    fn in_place(&self) -> bool {
        self.x.buffer == self.y.buffer
    }

    fn width(&self) -> usize {
        self.y.cols / self.groups
    }
}

impl Op for Rescale {
    fn check(&self) -> Result<()> {
        let cols = self.y.cols;
        ensure(self.groups > 0 && cols.is_multiple_of(self.groups), "rescale", "equal groups", self)?;
        ensure(self.first_col + cols <= self.x.cols, "rescale", "columns within x.cols", self)?;
        let fits = !self.in_place() || (self.x == self.y && self.add.is_none());
        ensure(fits, "rescale", "y = x, or another buffer", self)?;
        ensure(self.weight.is_none_or(|weight| weight.cols == cols), "rescale", "weight.cols = y.cols", self)?;
        ensure(self.like.is_none_or(|like| like.cols == self.width()), "rescale", "like.cols = y.cols / groups", self)?;
        ensure(self.add.is_none_or(|add| add.cols == cols), "rescale", "what is added has the shape of y", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let mut defines = Vec::new();
        let mut bindings = vec![self.y.into()];
        let mut bind = |define, tensor: Option<Tensor>| {
            defines.extend(tensor.map(|_| define));
            bindings.extend(tensor.map(Binding::from));
        };
        bind("APART", (!self.in_place()).then_some(self.x));
        bind("WEIGHT", self.weight);
        bind("LIKE", self.like);
        bind("ADD", self.add.filter(|add| add.buffer != self.y.buffer));
        if self.add.is_some_and(|add| add.buffer == self.y.buffer) {
            defines.push("ACCUMULATE");
        }
        let sizes = [self.y.rows, self.width(), self.x.cols, self.first_col, self.y.cols];
        vec![Kernel {
            shader: "rescale",
            defines,
            constants: vec![("LANES", LANES as u32)],
            bindings,
            params: sizes.map(|size| size as u32).into_iter().chain([self.factor, LEAST].map(f32::to_bits)).collect(),
            workgroups: [self.groups as u32, self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let (cols, width) = (self.y.cols, self.width());
        let others = [self.weight, self.add].iter().flatten().count() * cols;
        let (like, sums) = match self.like {
            // two sums of all lanes, as in `norm`
            Some(_) => (self.groups * width, cols + 2 * self.groups * (3 * LANES - 2)),
            None => (0, 0),
        };
        let row = Loads {
            activations: f32s(cols + others + like),
            lane_activations: f32s(cols + others + like + sums),
            workgroups: self.groups as u64,
            ..Loads::default()
        };
        vec![row * step.count(self.y.rows)]
    }
}

impl Rescale {
    /// `x`: (tokens, x.cols), `None` if it is y; `weight`: (y.cols); `like`: (tokens, width); `y`:
    /// (tokens, y.cols), with what is added.
    pub fn reference(&self, x: Option<&[f32]>, weight: Option<&[f32]>, like: Option<&[f32]>, y: &mut [f32]) {
        let width = self.width();
        let mean_square = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>() / width as f32;
        for (t, row) in y.chunks_exact_mut(self.y.cols).enumerate() {
            for (g, y) in row.chunks_exact_mut(width).enumerate() {
                let x = match x {
                    Some(x) => x[t * self.x.cols + self.first_col + g * width..][..width].to_vec(),
                    None => y.to_vec(),
                };
                let like = like.map(|like| mean_square(&like[t * width..][..width]).sqrt());
                let factor = self.factor * like.map_or(1.0, |like| like / mean_square(&x).max(LEAST).sqrt());
                for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
                    let before = if self.add.is_some() { *y } else { 0.0 };
                    *y = before + factor * weight.map_or(1.0, |weight| weight[g * width + i]) * x;
                }
            }
        }
    }
}
