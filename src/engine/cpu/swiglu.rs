//! The gated activation, four values at a time.

use super::pool::{self, Shared};
use super::simd::F32x4;
use crate::ops::swiglu::silu as silu_of_one;

/// `gate_up`: (tokens, 2 n); `y`: (tokens, y_cols), of which n columns from `y_offset` on are written.
pub fn swiglu(gate_up: &[f32], n: usize, y_cols: usize, y_offset: usize, y: &mut [f32]) {
    let tokens = y.len() / y_cols;
    let y = Shared::new(y);
    pool::run(tokens, |t| {
        let (gate, up) = gate_up[t * 2 * n..][..2 * n].split_at(n);
        // SAFETY: a token's row is written by its own call
        row(gate, up, unsafe { y.slice(t * y_cols + y_offset, n) });
    });
}

fn row(gate: &[f32], up: &[f32], y: &mut [f32]) {
    let (gates, gate_rest) = gate.as_chunks::<4>();
    let (ups, up_rest) = up.as_chunks::<4>();
    let (ys, y_rest) = y.as_chunks_mut::<4>();
    for ((y, gate), up) in ys.iter_mut().zip(gates).zip(ups) {
        *y = silu(F32x4::load(gate)).mul(F32x4::load(up)).to_array();
    }
    for ((y, &gate), up) in y_rest.iter_mut().zip(gate_rest).zip(up_rest) {
        *y = silu_of_one(gate) * up;
    }
}

/// x · sigmoid(x)
#[inline(always)]
fn silu(x: F32x4) -> F32x4 {
    x.div(F32x4::splat(1.0).add(x.neg().exp()))
}
