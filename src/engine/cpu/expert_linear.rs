//! Projection by experts: an expert's rows are read once for all tokens that go to it.

use super::activations::ProductBuffers;
use super::linear::{Output, product};
use super::pool::Shared;
use super::tiles::{ROWS, Tiles};
use crate::ops::{Affine, Epilogue, ExpertLinear};

/// Buffers that are reused from product to product.
#[derive(Default)]
pub struct Gathered {
    x: Vec<f32>,
    y: Vec<f32>,
}

/// Computes [`ExpertLinear::reference`].
pub fn expert_linear(
    (scratch, gathered): (&mut ProductBuffers, &mut Gathered),
    op: &ExpertLinear,
    x: &[f32],
    norm: Option<&[f32]>,
    route: &[f32],
    (weight, affine): (&Tiles, Affine),
    y: &mut [f32],
) {
    if !weight.finite {
        return y.fill(f32::NAN);
    }
    let cols = weight.cols;
    for e in 0..op.experts() {
        let slots: Vec<_> = op.slots_of(e, route).collect();
        if slots.is_empty() {
            continue;
        }
        gathered.x.clear();
        for &(t, j) in &slots {
            gathered.x.extend_from_slice(&x[op.x_row(t, j) * cols..][..cols]);
        }
        // whole tiles; the first and the last may also have rows of neighbouring experts
        let first = e * op.rows;
        let tiles = first / ROWS..(first + op.rows).div_ceil(ROWS);
        let rows = tiles.len() * ROWS;
        gathered.y.resize(slots.len() * rows, 0.0);
        let output = Output {
            y: Shared::new(&mut gathered.y),
            cols: rows,
            offset: 0,
            rows,
            affine: Affine::default(),
            epilogue: Epilogue::Store,
        };
        product(scratch, &gathered.x, op.norm.zip(norm), weight, tiles, &output);
        for (&(t, j), result) in slots.iter().zip(gathered.y.chunks_exact(rows)) {
            let at = t * op.y.cols + op.y_offset + j * op.rows;
            for (n, (y, &result)) in y[at..][..op.rows].iter_mut().zip(&result[first % ROWS..]).enumerate() {
                *y = affine.apply(first + n, result);
            }
        }
    }
}
