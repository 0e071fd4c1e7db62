//! The CPU engine: a [`HostEngine`](super::host::HostEngine) with SIMD kernels and threads, for
//! machines without a usable GPU.
//!
//! | file | content |
//! |---|---|
//! | [`simd`] | lanes of f32 and dot products of bytes: WebAssembly's, AVX2's, or portable |
//! | [`tiles`] | weights in tiles of eight rows |
//! | [`activations`] | inputs of matrix products: norm and 8-bit quantisation |
//! | [`linear`], [`expert_linear`], [`attention`], [`activate`], [`norm`] | the kernels |
//! | [`blocks`] | keys and values in their formats |
//! | [`pool`] | the threads that share the work of a kernel |

mod activate;
mod activations;
mod attention;
mod blocks;
mod expert_linear;
mod linear;
mod norm;
pub mod pool;
mod simd;
mod tiles;

use std::cell::RefCell;
use std::ops::Range;

use super::EngineInfo;
use super::host::{Block, Kernels, out_of_memory};
use crate::Result;
use crate::format::layout::{Layout, Planes};
use crate::ops::attention::Learned;
use crate::ops::{
    Activate, Affine, Attention, CausalConvolve, Convolve, DeltaRule, Embed, ExpertLinear, Linear, Norm, RopeAppend,
    SelectiveScan, Wkv,
};
use crate::record::{KvCache, KvFormat, Step};
use activations::ProductBuffers;
use blocks::KvBlock;
use expert_linear::Gathered;
use simd::Lanes;
use tiles::Tiles;

/// SIMD kernels on all threads of the pool.
#[derive(Default)]
pub struct Simd {
    scratch: RefCell<(ProductBuffers, Vec<f32>)>,
    gathered: RefCell<Gathered>,
    attention: RefCell<attention::Buffers>,
}

impl Simd {
    /// With vectors of four lanes, which every processor has: what wider ones are compared with.
    pub fn of_four_lanes() -> Self {
        let engine = Self::default();
        engine.scratch.borrow_mut().0.lanes = Lanes::Four;
        engine
    }
}

impl Kernels for Simd {
    type Matrix = Tiles;
    type Block = KvBlock;

    fn info(&self) -> EngineInfo {
        let threads = pool::threads();
        let s = if threads == 1 { "" } else { "s" };
        EngineInfo {
            kind: "cpu",
            description: format!("{}, {threads} thread{s}", self.scratch.borrow().0.lanes.name()),
            notes: Vec::new(),
        }
    }

    fn kv_format(&self, asked: Option<KvFormat>) -> KvFormat {
        asked.unwrap_or(KvFormat::F16)
    }

    fn create_matrix(&self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Tiles> {
        let bytes = rows * (layout.quants_row_bytes(cols) + layout.scales_row_bytes(cols));
        Tiles::new(layout, rows, cols).ok_or_else(|| out_of_memory(label, bytes))
    }

    fn write_rows(&self, matrix: &mut Tiles, first_row: usize, planes: &Planes) {
        matrix.write_rows(first_row, planes);
    }

    fn matrix_bytes(&self, matrix: &Tiles) -> usize {
        matrix.bytes()
    }

    fn embed(&self, op: &Embed, step: &Step, table: &Tiles, y: &mut [f32]) {
        op.reference(step, y, |row, out| table.dequantize(row, out));
    }

    fn norm(&self, op: &Norm, x: Option<&[f32]>, weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        norm::norm(op, x, weight, bias, y);
    }

    fn linear(&self, op: &Linear, x: &[f32], norm: Option<&[f32]>, weight: &Tiles, affine: Affine, y: &mut [f32]) {
        linear::linear(&mut self.scratch.borrow_mut(), op, x, norm, weight, affine, y);
    }

    fn expert_linear(
        &self,
        op: &ExpertLinear,
        x: &[f32],
        norm: Option<&[f32]>,
        route: &[f32],
        weight: (&Tiles, Affine),
        y: &mut [f32],
    ) {
        let memory = (&mut self.scratch.borrow_mut().0, &mut *self.gathered.borrow_mut());
        expert_linear::expert_linear(memory, op, x, norm, route, weight, y);
    }

    fn activate(&self, op: &Activate, x: &[f32], y: &mut [f32]) {
        match op.multiplies {
            true => crate::ops::activate::reference(op, x, y),
            false => activate::activate(op.of_x(), x, op.y.cols, op.y.cols, 0, y),
        }
    }

    fn rope_append(
        &self,
        op: &RopeAppend,
        step: &Step,
        qkv: &mut [f32],
        (angles, behind): (&[f32], Option<&[f32]>),
        blocks: &mut [KvBlock],
    ) {
        let rows = pool::Shared::new(qkv);
        pool::run(step.count(op.qkv.rows), |t| {
            // SAFETY: each call has its own row
            let row = unsafe { rows.slice(t * op.qkv.cols, op.qkv.cols) };
            op.rotate(row, &angles[t * op.angles.cols..][..op.angles.cols], behind);
        });
        op.append(step, qkv, |block, first, values| blocks[block].write(&op.kv, first, values));
    }

    fn convolve(&self, op: &Convolve, step: &Step, x: &[f32], weight: &[f32], blocks: &mut [KvBlock], y: &mut [f32]) {
        let (cols, before, rows) = (op.y.cols, &*blocks, pool::Shared::new(y));
        pool::run(step.count(op.y.rows), |t| {
            // SAFETY: each call has its own row
            let y = unsafe { rows.slice(t * cols, cols) };
            let read = |block: usize, position, inputs: &mut Vec<f32>| {
                before[block].read(&op.state, KvCache::inputs(cols, position), inputs);
            };
            op.row(step, t, x, weight, &mut Vec::with_capacity(cols), read, y);
        });
        op.keep(step, x, |block, position, inputs| {
            blocks[block].write(&op.state, KvCache::inputs(cols, position).start, inputs);
        });
    }

    fn causal_convolve(
        &self,
        op: &CausalConvolve,
        rows: Range<usize>,
        inputs: (&[f32], &[f32]),
        state: &mut [f32],
        y: &mut [f32],
    ) {
        let (all, positions) = (op.y.cols, op.kept() / op.y.cols);
        let (state, y) = (pool::Shared::new(state), pool::Shared::new(y));
        pool::run_ranges(all, |cols| {
            let len = cols.len();
            // SAFETY: each call has its own columns, here and below
            let part = |position: usize| unsafe { state.slice(op.first + position * all + cols.start, len) };
            let mut kept: Vec<f32> = (0..positions).flat_map(|position| part(position).to_vec()).collect();
            op.columns(rows.clone(), cols.clone(), inputs, &mut kept, |row, values| {
                // SAFETY: as above
                unsafe { y.slice(row * all + cols.start, len) }.copy_from_slice(values);
            });
            for (position, kept) in kept.chunks(len.max(1)).enumerate() {
                part(position).copy_from_slice(kept);
            }
        });
    }

    fn delta_rule(
        &self,
        op: &DeltaRule,
        rows: Range<usize>,
        inputs: (&[f32], &[f32], &[f32]),
        state: &mut [f32],
        y: &mut [f32],
    ) {
        let (state, y, width) = (pool::Shared::new(state), pool::Shared::new(y), op.heads.value_dim);
        pool::run(op.heads.value, |head| {
            let matrix = op.matrix(head);
            // SAFETY: each call has its own matrix, and its own columns of y
            let matrix = unsafe { state.slice(matrix.start, matrix.len()) };
            op.head(rows.clone(), head, inputs, matrix, |row, values| {
                // SAFETY: as above
                unsafe { y.slice(row * op.y.cols + head * width, width) }.copy_from_slice(values);
            });
        });
    }

    fn selective_scan(
        &self,
        op: &SelectiveScan,
        rows: Range<usize>,
        inputs: (&[f32], &[f32], &[f32]),
        state: &mut [f32],
        y: &mut [f32],
    ) {
        let (state, y, width) = (pool::Shared::new(state), pool::Shared::new(y), op.heads.head_dim);
        pool::run(op.heads.count, |head| {
            let matrix = op.matrix(head);
            // SAFETY: each call has its own matrix, and its own columns of y
            let matrix = unsafe { state.slice(matrix.start, matrix.len()) };
            op.head(rows.clone(), head, inputs, (matrix, simd::exponentials), |row, values| {
                // SAFETY: as above
                unsafe { y.slice(row * op.y.cols + head * width, width) }.copy_from_slice(values);
            });
        });
    }

    fn wkv(&self, op: &Wkv, rows: Range<usize>, inputs: (&[f32], &[f32], &[f32]), state: &mut [f32], y: &mut [f32]) {
        let (state, y, width) = (pool::Shared::new(state), pool::Shared::new(y), op.heads.dim);
        pool::run(op.heads.count, |head| {
            let matrix = op.matrix(head);
            // SAFETY: each call has its own matrix, and its own columns of y
            let matrix = unsafe { state.slice(matrix.start, matrix.len()) };
            op.head(rows.clone(), head, inputs, matrix, |row, values| {
                // SAFETY: as above
                unsafe { y.slice(row * op.y.cols + head * width, width) }.copy_from_slice(values);
            });
        });
    }

    fn attention(&self, op: &Attention, step: &Step, q: &[f32], blocks: &[KvBlock], learned: Learned, y: &mut [f32]) {
        let (lanes, buffers) = (self.scratch.borrow().0.lanes, &mut self.attention.borrow_mut());
        attention::attention(lanes, buffers, op, step, q, (blocks, learned), y);
    }
}
