//! `norm`: normalisation as a separate operation, for norms that cannot be the prologue of a
//! projection: LayerNorm (Ba et al. 2016, arXiv 1607.06450), norms after a projection, and QK-norm
//! (Henry et al. 2020, arXiv 2010.04245).

use super::loads::f32s;
use super::{Kernel, Loads, Op, RowGrid, Variants, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// Kind of normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// RMSNorm: divides by the root mean square.
    Rms,
    /// LayerNorm: subtracts the mean and divides by the standard deviation.
    Layer,
}

/// y[t][g] = scale · (add[t][g] + normalised(x[t][first_col..][g]) · weight[g] + bias[g]), for each
/// of `groups` groups of columns
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// (tokens, at least first_col + weight.cols)
    pub x: Tensor,
    /// First column to read.
    pub first_col: usize,
    /// Number of consecutive groups of equally many columns, normalised separately: heads, or one
    /// group for the whole row.
    pub groups: usize,
    /// (1, columns of all groups)
    pub weight: Tensor,
    /// (1, columns of all groups)
    pub bias: Option<Tensor>,
    /// Kind.
    pub kind: NormKind,
    /// Keeps the result finite if all values of a group are equal.
    pub eps: f32,
    /// What the result is added to, of the shape of y: the residual connection. It may be y.
    pub add: Option<Tensor>,
    /// (tokens, columns of all groups), or x itself, whose columns are then replaced.
    pub y: Tensor,
    /// (1, 1): a learned factor of all of y, which is not x then.
    pub scale: Option<Tensor>,
}

impl Norm {
    fn in_place(&self) -> bool {
        self.x.buffer == self.y.buffer
    }

    /// Columns per group.
    pub(crate) fn width(&self) -> usize {
        self.weight.cols / self.groups
    }

    /// Invocations of a workgroup: few for a head, but a token has one workgroup for its residual
    /// stream, and all else waits for it.
    fn lanes(&self) -> usize {
        if self.width() > 256 { 256 } else { 64 }
    }

    /// First column to write.
    pub(crate) fn y_first_col(&self) -> usize {
        if self.in_place() { self.first_col } else { 0 }
    }
}

impl Op for Norm {
    fn check(&self) -> Result<()> {
        let cols = self.weight.cols;
        ensure(self.groups > 0 && cols.is_multiple_of(self.groups), "norm", "equal groups", self)?;
        ensure(self.first_col + cols <= self.x.cols, "norm", "columns within x.cols", self)?;
        ensure(self.x.rows >= self.y.rows, "norm", "x.rows ≥ y.rows", self)?;
        ensure(self.bias.is_none_or(|bias| bias.cols == cols), "norm", "bias.cols = weight.cols", self)?;
        let fits = if self.in_place() { self.x == self.y && self.add.is_none() } else { self.y.cols == cols };
        ensure(fits, "norm", "y.cols = weight.cols, or y = x", self)?;
        let same = self.add.is_none_or(|add| add.cols == self.y.cols && add.rows >= self.y.rows);
        ensure(same, "norm", "what is added has the shape of y", self)?;
        let is_one = self.scale.is_none_or(|scale| (scale.rows, scale.cols) == (1, 1) && !self.in_place());
        ensure(is_one, "norm", "one factor, of what is not x", self.scale)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let mut defines = Vec::new();
        let mut bindings = vec![self.y.into(), self.weight.into()];
        if self.kind == NormKind::Layer {
            defines.push("LAYER");
        }
        if self.in_place() {
            defines.push("IN_PLACE");
        } else {
            bindings.push(self.x.into());
        }
        if let Some(bias) = self.bias {
            defines.push("BIAS");
            bindings.push(bias.into());
        }
        match self.add {
            Some(add) if add.buffer == self.y.buffer => defines.push("ACCUMULATE"),
            Some(add) => {
                defines.push("ADD");
                bindings.push(add.into());
            }
            None => {}
        }
        if let Some(scale) = self.scale {
            defines.push("SCALE");
            bindings.push(scale.into());
        }
        let sizes = [self.y.rows, self.width(), self.x.cols, self.first_col, self.y.cols, self.y_first_col()];
        vec![Kernel {
            shader: "norm",
            defines,
            constants: vec![("LANES", self.lanes() as u32)],
            bindings,
            params: sizes.map(|size| size as u32).into_iter().chain([self.eps.to_bits()]).collect(),
            workgroups: [self.groups as u32, self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let (cols, bias) = (self.weight.cols, self.bias.map_or(0, |bias| bias.cols));
        let (added, scales) = (self.add.map_or(0, |_| cols), self.scale.map_or(0, |_| cols));
        let factor = scales.min(1);
        // the sum of squares, the mean before it, and the result
        let (passes, sums) = if self.kind == NormKind::Layer { (3, 2) } else { (2, 1) };
        let row = Loads {
            activations: f32s(2 * cols + bias + added + factor),
            // the sums of two invocations, until there is one, which all load
            lane_activations: f32s(
                (passes + 1) * cols + bias + added + scales + self.groups * sums * (3 * self.lanes() - 2),
            ),
            workgroups: self.groups as u64,
            ..Loads::default()
        };
        vec![row * step.count(self.y.rows)]
    }
}

impl Norm {
    /// `x`: (tokens, x.cols), `None` if it is y; `weight`, `bias`: (columns of all groups); `y`:
    /// (tokens, y.cols), with what is added. [`Norm::scale`] is the engine's to multiply with.
    pub fn reference(&self, x: Option<&[f32]>, weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        let (width, first) = (self.width(), self.y_first_col());
        for (t, y) in y.chunks_exact_mut(self.y.cols).enumerate() {
            for g in 0..self.groups {
                let columns = g * width..(g + 1) * width;
                let y = &mut y[first + g * width..][..width];
                let mut row = match x {
                    Some(x) => x[t * self.x.cols + self.first_col + g * width..][..width].to_vec(),
                    None => y.to_vec(),
                };
                if self.kind == NormKind::Layer {
                    let mean = row.iter().sum::<f32>() / width as f32;
                    row.iter_mut().for_each(|v| *v -= mean);
                }
                let mean_square = row.iter().map(|v| v * v).sum::<f32>() / width as f32;
                let scale = 1.0 / (mean_square + self.eps).sqrt();
                for (i, ((y, v), weight)) in y.iter_mut().zip(row).zip(&weight[columns.clone()]).enumerate() {
                    let result = v * scale * weight + bias.map_or(0.0, |bias| bias[columns.start + i]);
                    *y = if self.add.is_some() { *y + result } else { result };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BufferId;

    #[test]
    fn a_group_has_no_mean_and_unit_variance_before_weight_and_bias() {
        let tensor = |buffer, cols| Tensor { buffer: BufferId(buffer), rows: 1, cols };
        let (kind, weight) = (NormKind::Layer, tensor(1, 6));
        let (x, y) = (tensor(0, 8), tensor(2, 6));
        let norm = Norm { x, first_col: 1, groups: 2, weight, bias: None, kind, eps: 0.0, add: None, y, scale: None };
        norm.check().unwrap();
        let mut y = [0.0; 6];
        norm.reference(Some(&[9.0, 3.0, -4.0, 0.0, 5.0, 1.0, 2.0, 9.0]), &[1.0; 6], None, &mut y);
        for group in y.chunks(3) {
            assert!(group.iter().sum::<f32>().abs() < 1e-6);
            assert!((group.iter().map(|v| v * v).sum::<f32>() - 3.0).abs() < 1e-5);
        }
    }
}
