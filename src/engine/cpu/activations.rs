//! Inputs of matrix products: normalised, and quantised to 8 bits for quantised weights.
//!
//! A product of 4- or 8-bit weights with f32 would spend most of its time on converting weights.
//! Instead, each block of 32 activations becomes int8 with its own scale, as in ggml's `Q8_1`.
//! Integer products are then exact, and Σ (d q_w + m)(s q_x) = d s Σ q_w q_x + m s Σ q_x.

use super::pool::{self, Shared};
use super::simd::{F32x4, Lanes};
use crate::format::layout::BLOCK;
use crate::ops::RmsNorm;

/// 32 activations; value = scale · quant.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct QuantBlock {
    /// From -127 to 127, in groups of four.
    pub quants: [[i8; 4]; 8],
    /// Largest absolute value / 127.
    pub scale: f32,
    /// scale · Σ quants of each half
    pub sums: [f32; 2],
}

const EMPTY: QuantBlock = QuantBlock { quants: [[0; 4]; 8], scale: 0.0, sums: [0.0; 2] };

/// Buffers that are reused from product to product, and the vectors that these use.
#[derive(Default)]
pub struct ProductBuffers {
    pub lanes: Lanes,
    floats: Vec<f32>,
    blocks: Vec<QuantBlock>,
}

impl ProductBuffers {
    /// Returns the rows of x, (tokens, cols), normalised if there is a norm.
    pub fn floats<'a>(&'a mut self, x: &'a [f32], cols: usize, norm: Option<(RmsNorm, &[f32])>) -> &'a [f32] {
        let Some((op, weight)) = norm else { return x };
        self.floats.resize(x.len(), 0.0);
        let out = Shared::new(&mut self.floats);
        pool::run(x.len() / cols, |t| {
            // SAFETY: each call writes one token's row
            normalize(op, &x[t * cols..][..cols], weight, unsafe { out.slice(t * cols, cols) });
        });
        &self.floats
    }

    /// Returns the rows of x, (tokens, cols), normalised if there is a norm, as blocks: (tokens,
    /// cols / 32).
    pub fn blocks(&mut self, x: &[f32], cols: usize, norm: Option<(RmsNorm, &[f32])>) -> &[QuantBlock] {
        let blocks = cols / BLOCK;
        self.blocks.resize(x.len() / BLOCK, EMPTY);
        self.floats.resize(if norm.is_some() { x.len() } else { 0 }, 0.0);
        let (out, normed) = (Shared::new(&mut self.blocks), Shared::new(&mut self.floats));
        pool::run(x.len() / cols, |t| {
            let x = &x[t * cols..][..cols];
            // SAFETY: each call writes one token's row
            let out = unsafe { out.slice(t * blocks, blocks) };
            match norm {
                Some((op, weight)) => {
                    // SAFETY: as above
                    let normed = unsafe { normed.slice(t * cols, cols) };
                    normalize(op, x, weight, normed);
                    quantize(normed, out);
                }
                None => quantize(x, out),
            }
        });
        &self.blocks
    }
}

/// Normalises one token, see [`RmsNorm::reference`].
fn normalize(op: RmsNorm, x: &[f32], weight: &[f32], y: &mut [f32]) {
    let (fours, rest) = x.as_chunks::<4>();
    let mut squares = [F32x4::ZERO; 4];
    for (i, four) in fours.iter().enumerate() {
        let four = F32x4::load(four);
        squares[i % 4] = four.mul_add(four, squares[i % 4]);
    }
    let squares = F32x4::sums(squares).sum() + rest.iter().map(|v| v * v).sum::<f32>();
    let scale = 1.0 / (squares / x.len() as f32 + op.eps).sqrt();
    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
        *y = x * scale * weight;
    }
}

/// Quantises `x`, (cols), to `out`, (cols / 32).
fn quantize(x: &[f32], out: &mut [QuantBlock]) {
    for (x, out) in x.as_chunks::<BLOCK>().0.iter().zip(out) {
        let fours: [F32x4; 8] = std::array::from_fn(|i| F32x4::load(&x.as_chunks::<4>().0[i]));
        let largest = fours.iter().fold(F32x4::ZERO, |max, four| max.max(four.abs())).max_lane();
        let scale = largest / 127.0;
        // a block of zeros has scale 0; a NaN makes the scale NaN, and with it the result
        let inverse = F32x4::splat(if scale > 0.0 { 127.0 / largest } else { 0.0 });
        let scaled = fours.map(|four| four.mul(inverse));
        let mut quants = [0; BLOCK];
        let (low, high) = quants.split_at_mut(16);
        low.copy_from_slice(&F32x4::round_to_bytes([scaled[0], scaled[1], scaled[2], scaled[3]]));
        high.copy_from_slice(&F32x4::round_to_bytes([scaled[4], scaled[5], scaled[6], scaled[7]]));
        out.scale = scale;
        out.sums =
            [0, 16].map(|half| scale * f32::from(quants[half..][..16].iter().map(|&q| i16::from(q)).sum::<i16>()));
        for (words, quants) in out.quants.iter_mut().zip(quants.as_chunks::<4>().0) {
            *words = *quants;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_exact_to_half_a_step_and_have_the_right_sums() {
        let x: Vec<f32> = (0..96).map(|i| if i < 64 { ((i * 37) % 101) as f32 * 0.07 - 3.0 } else { 0.0 }).collect();
        let mut scratch = ProductBuffers::default();
        for (block, x) in scratch.blocks(&x, 96, None).iter().zip(x.chunks(32)) {
            let values: Vec<f32> = block.quants.iter().flatten().map(|&q| f32::from(q) * block.scale).collect();
            for (value, x) in values.iter().zip(x) {
                assert!((value - x).abs() <= 0.5001 * block.scale, "{value} for {x}");
            }
            for (values, sum) in values.chunks(16).zip(block.sums) {
                assert!((values.iter().sum::<f32>() - sum).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn nan_and_infinity_show_in_the_scale() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = [1.0; 32];
            x[17] = bad;
            assert!(!ProductBuffers::default().blocks(&x, 32, None)[0].scale.is_finite());
        }
    }
}
