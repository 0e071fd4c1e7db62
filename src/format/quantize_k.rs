//! Writes Q4_K: blocks of 256 values in 4.5 bits each, with a 6-bit scale and minimum per 32.
//! `repack.rs` reads it.
//!
//! The plain types map the smallest and largest values to the ends of the range. Q4_K looks for the
//! line with the least error instead, which is slower and makes more of the same bits.

use half::f16;

use super::layout::{BLOCK, GROUP};

/// Sub-blocks of 32 values per block.
const PARTS: usize = GROUP / BLOCK;

/// The largest quant, and the largest stored scale or minimum.
const MOST: f32 = 15.0;
const MOST_SCALE: f32 = 63.0;

/// **Appends** a block: d and m; scales and minima; nibbles, 64 values per 32 bytes.
pub(super) fn q4_k(values: &[f32; GROUP], out: &mut Vec<u8>) {
    let parts = values.as_chunks::<BLOCK>().0;
    let lines: [Line; PARTS] = std::array::from_fn(|part| Line::fitting(&parts[part]));
    let (d, scales) = six_bits(lines.map(|line| line.scale));
    let (m, minima) = six_bits(lines.map(|line| line.minimum));
    out.extend(d.to_le_bytes());
    out.extend(m.to_le_bytes());
    out.extend(packed(scales, minima));
    let quants: [[u8; BLOCK]; PARTS] = std::array::from_fn(|part| {
        let scale = d.to_f32() * f32::from(scales[part]);
        let minimum = m.to_f32() * f32::from(minima[part]);
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        parts[part].map(|value| quant((value + minimum) * inverse) as u8)
    });
    for [low, high] in quants.as_chunks::<2>().0 {
        out.extend(low.iter().zip(high).map(|(low, high)| low | high << 4));
    }
}

fn quant(value: f32) -> f32 {
    value.round().clamp(0.0, MOST)
}

/// value = scale · quant − minimum; both are at least 0.
#[derive(Clone, Copy, Default)]
struct Line {
    scale: f32,
    minimum: f32,
}

impl Line {
    /// Tries several step sizes for the quants, fits a line of least squares to each, and returns
    /// the best. Large values weigh more, as in ggml's reference code.
    fn fitting(values: &[f32; BLOCK]) -> Self {
        let least = values.iter().copied().fold(0.0f32, f32::min);
        let most = values.iter().copied().fold(least, f32::max);
        if most == least {
            return Self { scale: 0.0, minimum: -least };
        }
        let rms = (values.iter().map(|value| value * value).sum::<f32>() / BLOCK as f32).sqrt();
        let weights = values.map(|value| rms + value.abs());
        let mut best = Self { scale: (most - least) / MOST, minimum: -least };
        let mut least_error = best.error(values, &weights);
        for tenth in 0..=20u8 {
            let inverse = (MOST - 1.0 + 0.1 * f32::from(tenth)) / (most - least);
            let line = Self::of_least_squares(values, &weights, values.map(|value| quant((value - least) * inverse)));
            let error = line.error(values, &weights);
            if error < least_error {
                (best, least_error) = (line, error);
            }
        }
        best
    }

    fn of_least_squares(values: &[f32; BLOCK], weights: &[f32; BLOCK], quants: [f32; BLOCK]) -> Self {
        let (mut w, mut wq, mut wqq, mut wx, mut wqx) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for ((&x, &weight), q) in values.iter().zip(weights).zip(quants) {
            w += weight;
            wq += weight * q;
            wqq += weight * q * q;
            wx += weight * x;
            wqx += weight * q * x;
        }
        let determinant = w * wqq - wq * wq;
        let minimum = (wq * wqx - wqq * wx) / determinant;
        if minimum > 0.0 {
            return Self { scale: (w * wqx - wq * wx) / determinant, minimum };
        }
        Self { scale: wqx / wqq, minimum: 0.0 }
    }

    fn error(self, values: &[f32; BLOCK], weights: &[f32; BLOCK]) -> f32 {
        let error = |x: f32| self.scale * quant((x + self.minimum) / self.scale) - self.minimum - x;
        values.iter().zip(weights).map(|(&x, weight)| weight * error(x) * error(x)).sum()
    }
}

/// Eight numbers as a common factor and six bits each.
fn six_bits(numbers: [f32; PARTS]) -> (f16, [u8; PARTS]) {
    let factor = f16::from_f32(numbers.into_iter().fold(0.0, f32::max) / MOST_SCALE);
    let inverse = if factor == f16::ZERO { 0.0 } else { 1.0 / factor.to_f32() };
    (factor, numbers.map(|number| (number * inverse).round().clamp(0.0, MOST_SCALE) as u8))
}

/// Packs eight scales and eight minima of six bits: the first four of each in the low bits of the
/// first eight bytes, whose two high bits belong to the last four; the other bits of those are
/// nibbles in the last four bytes.
fn packed(scales: [u8; PARTS], minima: [u8; PARTS]) -> [u8; 12] {
    std::array::from_fn(|i| match i {
        0..4 => scales[i] | scales[i + 4] >> 4 << 6,
        4..8 => minima[i - 4] | minima[i] >> 4 << 6,
        _ => scales[i - 4] & 15 | minima[i - 4] << 4,
    })
}

#[cfg(test)]
mod tests {
    use crate::format::quantize::{dequantize, quantize_row};
    use crate::format::{BlockType, Planes};

    /// Root mean squared error relative to that of the values themselves, for rows with mean
    /// `shift`.
    fn error(block: BlockType, shift: f32) -> f32 {
        let mut state = 7u32;
        // the sum of four uniform numbers is nearly normal
        let mut random = || {
            (0..4).fold(0.0, |sum, _| {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                sum + (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
        };
        let values: Vec<f32> = (0..64 * 256).map(|i| (random() + shift) * [1.0, 0.3, 2.0][i / 32 % 3]).collect();
        let mut bytes = Vec::new();
        quantize_row(block, &values, &mut bytes);
        assert_eq!(bytes.len(), block.row_bytes(values.len()));
        let mut decoded = vec![0.0; values.len()];
        dequantize(block, &bytes, &mut Planes::default(), &mut decoded);
        let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>();
        let error = squares(&mut values.iter().zip(&decoded).map(|(value, decoded)| value - decoded));
        (error / squares(&mut values.iter().copied())).sqrt()
    }

    #[test]
    fn q4_k_has_no_larger_error_than_q4_1() {
        // Q4_1 is better for values that all lie far from 0 on one side, which weights do not: Q4_K
        // has no minimum above 0
        for shift in [0.0, 0.4, -0.4] {
            let [k, plain, symmetric] =
                [BlockType::Q4K, BlockType::Q4_1, BlockType::Q4_0].map(|block| error(block, shift));
            println!("{shift}: {k}; Q4_1 {plain}; Q4_0 {symmetric}");
            assert!(k < 1.02 * plain && k < symmetric, "{shift}: {k}; Q4_1 {plain}; Q4_0 {symmetric}");
        }
    }

    #[test]
    fn nan_does_not_affect_other_blocks() {
        let mut values = vec![0.5; 512];
        values[3] = f32::NAN;
        values[40] = f32::INFINITY;
        values[80] = f32::NEG_INFINITY;
        let mut bytes = Vec::new();
        quantize_row(BlockType::Q4K, &values, &mut bytes);
        let mut decoded = vec![0.0; 512];
        dequantize(BlockType::Q4K, &bytes, &mut Planes::default(), &mut decoded);
        assert!(decoded[256..].iter().all(|value| (value - 0.5).abs() < 0.01));
    }
}
