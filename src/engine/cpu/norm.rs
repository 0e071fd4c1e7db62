//! Norms that are no prologue of a product, as encoders have them. Threads share the rows.

use super::pool::{self, Shared};
use super::simd::F32x4;
use crate::ops::{Norm, NormKind};

/// Shapes as in [`Norm::reference`].
pub fn norm(op: &Norm, x: Option<&[f32]>, weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let width = op.width();
    if !width.is_multiple_of(4) {
        return op.reference(x, weight, bias, y);
    }
    let (rows, y) = (y.len() / op.y.cols, Shared::new(y));
    pool::run(rows, |t| {
        // SAFETY: each call writes one row
        let y = unsafe { y.slice(t * op.y.cols, op.y.cols) };
        for first in (0..op.groups).map(|group| group * width) {
            let y = y[op.y_first_col() + first..][..width].as_chunks_mut::<4>().0;
            let x = x.map(|x| fours(x, t * op.x.cols + op.first_col + first, width));
            normalize(op, x, fours(weight, first, width), bias.map(|bias| fours(bias, first, width)), y);
        }
    });
}

fn fours(values: &[f32], start: usize, len: usize) -> &[[f32; 4]] {
    values[start..start + len].as_chunks().0
}

/// Normalises a group, which is `y` itself where x is `None`.
fn normalize(op: &Norm, x: Option<&[[f32; 4]]>, weight: &[[f32; 4]], bias: Option<&[[f32; 4]]>, y: &mut [[f32; 4]]) {
    let values = x.unwrap_or(y);
    let count = (4 * values.len()) as f32;
    let sum = |term: &dyn Fn(F32x4) -> F32x4| {
        let mut sums = [F32x4::ZERO; 2];
        for (i, four) in values.iter().enumerate() {
            sums[i % 2] = sums[i % 2].add(term(F32x4::load(four)));
        }
        sums[0].add(sums[1]).sum()
    };
    let mean = match op.kind {
        NormKind::Layer => sum(&|v| v) / count,
        NormKind::Rms => 0.0,
    };
    let less = F32x4::splat(-mean);
    let square = sum(&|v| v.add(less).mul(v.add(less))) / count;
    let scale = F32x4::splat(1.0 / (square + op.eps).sqrt());
    for (i, y) in y.iter_mut().enumerate() {
        let v = F32x4::load(x.map_or(&*y, |x| &x[i])).add(less).mul(scale);
        let before = if op.add.is_some() { F32x4::load(y) } else { F32x4::ZERO };
        let bias = bias.map_or(F32x4::ZERO, |bias| F32x4::load(&bias[i]));
        *y = v.mul(F32x4::load(&weight[i])).add(bias).add(before).to_array();
    }
}
