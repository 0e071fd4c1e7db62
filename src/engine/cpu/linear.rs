//! Matrix product: each weight row is widened to f32 once and shared by all tokens of the step.

use super::dot::dot;
use crate::format::layout::Layout;
use crate::ops::swiglu::silu;
use crate::ops::{Epilogue, Linear, Weight};

/// `x`: (tokens, weight.cols); `y`: (tokens, op.y.cols).
pub fn linear(op: &Linear, x: &[f32], norm: Option<&[f32]>, weight: Weight, bias: Option<&[f32]>, y: &mut [f32]) {
    let mut normed = Vec::new();
    let x = match (op.norm, norm) {
        (Some(op), Some(norm)) => {
            normed.resize(x.len(), 0.0);
            op.reference(x, norm, &mut normed);
            &normed
        }
        _ => x,
    };
    let outputs = op.outputs();
    let tokens = y.len() / op.y.cols;
    let mut row = vec![0.0; weight.cols];
    let mut results = vec![0.0; tokens];
    let mut ups = vec![0.0; tokens];
    for n in 0..outputs {
        products(x, weight, n, bias, &mut row, &mut results);
        if op.epilogue == Epilogue::SwiGlu {
            products(x, weight, outputs + n, bias, &mut row, &mut ups);
            results.iter_mut().zip(&ups).for_each(|(gate, up)| *gate = silu(*gate) * up);
        }
        for (y, result) in y.chunks_exact_mut(op.y.cols).zip(&results) {
            let y = &mut y[op.y_offset + n];
            *y = if op.epilogue == Epilogue::Accumulate { *y + result } else { *result };
        }
    }
}

/// results[t] = weight[n] · x[t] + bias[n]; `row` is scratch of length weight.cols.
fn products(x: &[f32], weight: Weight, n: usize, bias: Option<&[f32]>, row: &mut [f32], results: &mut [f32]) {
    widen(weight, n, row);
    let bias = bias.map_or(0.0, |bias| bias[n]);
    for (x, result) in x.chunks_exact(weight.cols).zip(results) {
        *result = dot(row, x) + bias;
    }
}

/// Row `n` as f32. The 4- and 8-bit layouts are spelled out over whole blocks, which vectorise.
fn widen(weight: Weight, n: usize, row: &mut [f32]) {
    let (blocks, _) = row.as_chunks_mut::<32>();
    let first = n * blocks.len();
    match weight.layout {
        Layout::Q4 => {
            let (quants, _) = weight.quants.as_chunks::<16>();
            for (b, out) in blocks.iter_mut().enumerate() {
                let (d, m) = scales(weight.scales, first + b);
                let block = &quants[first + b];
                for j in 0..16 {
                    out[j] = d * f32::from(block[j] & 15) + m;
                    out[j + 16] = d * f32::from(block[j] >> 4) + m;
                }
            }
        }
        Layout::Q8 => {
            let (quants, _) = weight.quants.as_chunks::<32>();
            for (b, out) in blocks.iter_mut().enumerate() {
                let (d, m) = scales(weight.scales, first + b);
                for (out, &q) in out.iter_mut().zip(&quants[first + b]) {
                    *out = d * f32::from(q as i8) + m;
                }
            }
        }
        Layout::F32 | Layout::F16 | Layout::Bf16 => weight.dequantize(n, row),
    }
}

/// Scale and minimum of a block.
fn scales(plane: &[u8], block: usize) -> (f32, f32) {
    let (blocks, _) = plane.as_chunks::<4>();
    let [d0, d1, m0, m1] = blocks[block];
    (half::f16::from_le_bytes([d0, d1]).to_f32(), half::f16::from_le_bytes([m0, m1]).to_f32())
}
