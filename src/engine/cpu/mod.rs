//! The CPU engine: a [`HostEngine`](super::host::HostEngine) whose two expensive operations are written so that the
//! compiler vectorises them (`simd128` in the browser, what the target has natively).

mod attention;
mod dot;
mod linear;

use super::EngineInfo;
use super::host::Kernels;
use crate::ops::{Attention, Linear, Weight};

/// Kernels in f32 over fixed-size lanes.
pub struct Simd;

impl Kernels for Simd {
    fn info(&self) -> EngineInfo {
        let description = if cfg!(target_arch = "wasm32") { "WebAssembly SIMD, 1 thread" } else { "native, 1 thread" };
        EngineInfo { kind: "cpu", description: description.into() }
    }

    fn linear(
        &self,
        op: &Linear,
        x: &[f32],
        norm: Option<&[f32]>,
        weight: Weight,
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) {
        linear::linear(op, x, norm, weight, bias, y);
    }

    fn attention(&self, op: &Attention, position: usize, q: &[f32], k_cache: &[f32], v_cache: &[f32], y: &mut [f32]) {
        attention::attention(op, position, q, k_cache, v_cache, y);
    }
}
