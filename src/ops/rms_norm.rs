//! `rms_norm`: root-mean-square layer normalisation (Zhang & Sennrich 2019, arXiv 1910.07467).

use super::{Kernel, Op, ensure};
use crate::Result;
use crate::record::Tensor;

/// y[t] = x[t] / sqrt(mean(x[t]²) + eps) · weight
#[derive(Clone, Debug)]
pub struct RmsNorm {
    /// (tokens, cols)
    pub x: Tensor,
    /// (1, cols)
    pub weight: Tensor,
    /// Keeps a row of zeros finite.
    pub eps: f32,
    /// (tokens, cols)
    pub y: Tensor,
}

impl Op for RmsNorm {
    fn check(&self) -> Result<()> {
        let shapes = (self.x.cols, self.weight.cols, self.y.cols);
        ensure(shapes.0 == shapes.1 && shapes.1 == shapes.2, "rms_norm", "equal columns of x, weight, y", shapes)?;
        ensure(self.x.rows >= self.y.rows, "rms_norm", "x.rows ≥ y.rows", (self.x.rows, self.y.rows))
    }

    fn kernel(&self) -> Kernel {
        Kernel {
            shader: "rms_norm",
            defines: vec![],
            bindings: vec![self.x.into(), self.weight.into(), self.y.into()],
            params: vec![self.y.rows as u32, self.y.cols as u32, self.eps.to_bits()],
            // one workgroup a token
            workgroups: [self.y.rows as u32, 1, 1],
        }
    }
}

/// `x`, `y`: (tokens, cols); `weight`: (cols).
pub fn reference(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let cols = weight.len();
    for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
        let mean_square = x.iter().map(|v| v * v).sum::<f32>() / cols as f32;
        let scale = 1.0 / (mean_square + eps).sqrt();
        for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
            *y = x * scale * w;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_row_has_unit_mean_square_before_the_weight() {
        let x = [3.0, -4.0, 0.0, 5.0, 1.0];
        let mut y = [0.0; 5];
        super::reference(&x, &[1.0; 5], 0.0, &mut y);
        let mean_square = y.iter().map(|v| v * v).sum::<f32>() / 5.0;
        assert!((mean_square - 1.0).abs() < 1e-6);
        assert!((y[0] / y[1] - x[0] / x[1]).abs() < 1e-6);
    }

    #[test]
    fn eps_keeps_zeros_finite() {
        let mut y = [1.0; 4];
        super::reference(&[0.0; 4], &[2.0; 4], 1e-5, &mut y);
        assert_eq!(y, [0.0; 4]);
    }
}
