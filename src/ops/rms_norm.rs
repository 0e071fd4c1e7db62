//! `rms_norm`: root-mean-square layer normalisation (Zhang & Sennrich 2019, arXiv 1910.07467).
//!
//! Not an operation but the prologue of [`Linear`](super::Linear), which reads the input anyway and
//! can sum its squares. The factor 1 / rms is applied to the finished product.

use crate::record::Tensor;

/// x[t] / sqrt(mean(x[t]²) + eps) · weight
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNorm {
    /// (1, cols)
    pub weight: Tensor,
    /// Keeps a row of zeros finite.
    pub eps: f32,
}

impl RmsNorm {
    /// `x`, `y`: (tokens, cols); `weight`: (cols).
    pub fn reference(&self, x: &[f32], weight: &[f32], y: &mut [f32]) {
        let cols = weight.len();
        for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
            let mean_square = x.iter().map(|v| v * v).sum::<f32>() / cols as f32;
            let scale = 1.0 / (mean_square + self.eps).sqrt();
            for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                *y = x * scale * w;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RmsNorm;
    use crate::record::{BufferId, Tensor};

    fn norm(eps: f32, cols: usize) -> RmsNorm {
        RmsNorm { weight: Tensor { buffer: BufferId(0), rows: 1, cols }, eps }
    }

    #[test]
    fn a_row_has_unit_mean_square_before_the_weight() {
        let x = [3.0, -4.0, 0.0, 5.0, 1.0];
        let mut y = [0.0; 5];
        norm(0.0, 5).reference(&x, &[1.0; 5], &mut y);
        let mean_square = y.iter().map(|v| v * v).sum::<f32>() / 5.0;
        assert!((mean_square - 1.0).abs() < 1e-6);
        assert!((y[0] / y[1] - x[0] / x[1]).abs() < 1e-6);
    }

    #[test]
    fn eps_keeps_zeros_finite() {
        let mut y = [1.0; 4];
        norm(1e-5, 4).reference(&[0.0; 4], &[2.0; 4], &mut y);
        assert_eq!(y, [0.0; 4]);
    }
}
