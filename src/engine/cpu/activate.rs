//! The activation of feed-forward layers, four values at a time.

use super::pool::{self, Shared};
use super::simd::F32x4;
use crate::ops::{Activation, Function};

/// `x`: (tokens, n), or (tokens, 2 n) if gated; `y`: (tokens, y_cols), of which n columns from
/// `y_offset` on are written.
pub fn activate(activation: Activation, x: &[f32], n: usize, y_cols: usize, y_offset: usize, y: &mut [f32]) {
    let tokens = y.len() / y_cols;
    let y = Shared::new(y);
    pool::run(tokens, |t| {
        let (x, up) = x[t * activation.inputs() * n..][..activation.inputs() * n].split_at(n);
        // SAFETY: each call writes one token's row
        let y = unsafe { y.slice(t * y_cols + y_offset, n) };
        match activation.function {
            Function::Silu => row(x, y, silu),
            Function::GeluTanh => row(x, y, gelu_tanh),
            Function::Gelu => row(x, y, gelu),
            Function::Relu => row(x, y, |x| x.max(F32x4::ZERO)),
            Function::SquaredRelu => row(x, y, |x| x.max(F32x4::ZERO).mul(x.max(F32x4::ZERO))),
            Function::Sigmoid => row(x, y, |x| times_sigmoid(F32x4::splat(1.0), x)),
            Function::Tanh => row(x, y, tanh),
            // few values, of some experts
            Function::ClampedSwish => y.iter_mut().zip(x).for_each(|(y, x)| *y = Function::ClampedSwish.at(*x)),
        }
        for (y, up) in y.iter_mut().zip(up) {
            *y *= activation.function.up(*up);
        }
    });
}

#[inline(always)]
fn row(x: &[f32], y: &mut [f32], function: impl Fn(F32x4) -> F32x4) {
    let (fours, rest) = x.as_chunks::<4>();
    let (ys, y_rest) = y.as_chunks_mut::<4>();
    for (y, x) in ys.iter_mut().zip(fours) {
        *y = function(F32x4::load(x)).to_array();
    }
    for (y, &x) in y_rest.iter_mut().zip(rest) {
        *y = function(F32x4::splat(x)).to_array()[0];
    }
}

/// x · sigmoid(x)
#[inline(always)]
fn silu(x: F32x4) -> F32x4 {
    times_sigmoid(x, x)
}

/// x · (1 + tanh(u)) / 2 = x · sigmoid(2 u)
#[inline(always)]
fn gelu_tanh(x: F32x4) -> F32x4 {
    let scale = 2.0 * (2.0 / std::f32::consts::PI).sqrt();
    let cubic = x.mul(x).mul_add(F32x4::splat(0.044_715 * scale), F32x4::splat(scale));
    times_sigmoid(x, x.mul(cubic))
}

/// x · (1 + erf(x / √2)) / 2; see [`Function::Gelu`] for erf.
#[inline(always)]
fn gelu(x: F32x4) -> F32x4 {
    let z = x.abs().mul(F32x4::splat(std::f32::consts::FRAC_1_SQRT_2));
    let one = F32x4::splat(1.0);
    let t = one.div(z.mul_add(F32x4::splat(0.327_591_1), one));
    let mut tail = F32x4::ZERO;
    for factor in [1.061_405_4, -1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
        tail = tail.add(F32x4::splat(factor)).mul(t);
    }
    let erf = one.add(tail.mul(z.mul(z).neg().exp()).neg());
    // erf is odd: x · erf(x) = |x| · erf(|x|)
    x.add(x.abs().mul(erf)).mul(F32x4::splat(0.5))
}

/// 2 · sigmoid(2 x) - 1
#[inline(always)]
fn tanh(x: F32x4) -> F32x4 {
    times_sigmoid(F32x4::splat(2.0), x.add(x)).add(F32x4::splat(-1.0))
}

/// x / (1 + e^-u)
#[inline(always)]
fn times_sigmoid(x: F32x4, u: F32x4) -> F32x4 {
    x.div(F32x4::splat(1.0).add(u.neg().exp()))
}
