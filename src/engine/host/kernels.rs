//! The kernels of a host engine, and how they store a matrix. Kernels without weights default to
//! the reference of their operation.

use std::ops::Range;

use super::blocks::Block;
use super::zeroed;
use crate::Result;
use crate::engine::EngineInfo;
use crate::format::{Layout, Planes};
use crate::ops::attention::Learned;
use crate::ops::{
    self, Activate, Affine, AltUp, AltUpInputs, Attention, CausalConvolve, Combine, Convolve, DeltaRule, Embed,
    ExpertLinear, Likely, Linear, MatrixView, Norm, PickRows, Rescale, RopeAppend, Route, Sample, SelectiveScan,
    Sparsify, Wkv,
};
use crate::record::{KvCache, KvFormat, Step};

/// How each operation is computed. Slices hold exactly the rows of the step.
pub trait Kernels {
    /// A weight matrix in memory.
    type Matrix;
    /// A block of a KV cache in memory.
    type Block: Block;

    /// What [`Engine::info`](crate::engine::Engine::info) says.
    fn info(&self) -> EngineInfo;

    /// See [`Memory::kv_format`](crate::record::Memory::kv_format).
    fn kv_format(&self, asked: Option<KvFormat>) -> KvFormat {
        asked.unwrap_or_default()
    }

    /// A matrix of shape (rows, cols), of zeros. Errors: `OutOfMemory`.
    fn create_matrix(&self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Self::Matrix>;

    /// Takes whole rows, from `first_row` on, out of row-major planes.
    fn write_rows(&self, matrix: &mut Self::Matrix, first_row: usize, planes: &Planes);

    /// Bytes of memory that a matrix takes.
    fn matrix_bytes(&self, matrix: &Self::Matrix) -> usize;

    /// See [`Embed::reference`].
    fn embed(&self, op: &Embed, step: &Step, table: &Self::Matrix, y: &mut [f32]);

    /// See [`Norm::reference`].
    fn norm(&self, op: &Norm, x: Option<&[f32]>, weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        op.reference(x, weight, bias, y);
    }

    /// See [`Linear::reference`].
    fn linear(
        &self,
        op: &Linear,
        x: &[f32],
        norm: Option<&[f32]>,
        weight: &Self::Matrix,
        affine: Affine,
        y: &mut [f32],
    );

    /// See [`ExpertLinear::reference`].
    fn expert_linear(
        &self,
        op: &ExpertLinear,
        x: &[f32],
        norm: Option<&[f32]>,
        route: &[f32],
        weight: (&Self::Matrix, Affine),
        y: &mut [f32],
    );

    /// See [`Route::reference`].
    fn route(&self, op: &Route, logits: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        op.reference(logits, bias, y);
    }

    /// See [`Combine::reference`].
    fn combine(&self, op: &Combine, x: &[f32], route: &[f32], y: &mut [f32]) {
        op.reference(x, route, y);
    }

    /// See [`ops::activate::reference`]; of [`Activate::of_x`].
    fn activate(&self, op: &Activate, x: &[f32], y: &mut [f32]) {
        ops::activate::reference(op, x, y);
    }

    /// See [`RopeAppend::reference`].
    fn rope_append(
        &self,
        op: &RopeAppend,
        step: &Step,
        qkv: &mut [f32],
        angles: (&[f32], Option<&[f32]>),
        blocks: &mut [Self::Block],
    );

    /// See [`Convolve::reference`] and [`Convolve::keep`].
    fn convolve(
        &self,
        op: &Convolve,
        step: &Step,
        x: &[f32],
        weight: &[f32],
        blocks: &mut [Self::Block],
        y: &mut [f32],
    ) {
        let cols = op.y.cols;
        let read = |block: usize, position, inputs: &mut Vec<f32>| {
            blocks[block].read(&op.state, KvCache::inputs(cols, position), inputs);
        };
        op.reference(step, x, weight, read, y);
        op.keep(step, x, |block, position, inputs| {
            blocks[block].write(&op.state, KvCache::inputs(cols, position).start, inputs);
        });
    }

    /// See [`CausalConvolve::reference`].
    fn causal_convolve(
        &self,
        op: &CausalConvolve,
        rows: Range<usize>,
        (x, weight): (&[f32], &[f32]),
        state: &mut [f32],
        y: &mut [f32],
    ) {
        op.reference(rows, x, weight, state, y);
    }

    /// See [`DeltaRule::reference`].
    fn delta_rule(
        &self,
        op: &DeltaRule,
        rows: Range<usize>,
        inputs: (&[f32], &[f32], &[f32]),
        state: &mut [f32],
        y: &mut [f32],
    ) {
        op.reference(rows, inputs, state, y);
    }

    /// See [`SelectiveScan::reference`].
    fn selective_scan(
        &self,
        op: &SelectiveScan,
        rows: Range<usize>,
        inputs: (&[f32], &[f32], &[f32]),
        state: &mut [f32],
        y: &mut [f32],
    ) {
        op.reference(rows, inputs, state, y);
    }

    /// See [`Wkv::reference`].
    fn wkv(&self, op: &Wkv, rows: Range<usize>, inputs: (&[f32], &[f32], &[f32]), state: &mut [f32], y: &mut [f32]) {
        op.reference(rows, inputs, state, y);
    }

    /// See [`AltUp::reference`].
    fn alt_up(&self, op: &AltUp, inputs: &AltUpInputs, first: &mut [f32], others: Option<&[f32]>, y: &mut [f32]) {
        op.reference(inputs, first, others, y);
    }

    /// See [`Rescale::reference`].
    fn rescale(&self, op: &Rescale, x: Option<&[f32]>, weight: Option<&[f32]>, like: Option<&[f32]>, y: &mut [f32]) {
        op.reference(x, weight, like, y);
    }

    /// See [`Sparsify::reference`].
    fn sparsify(&self, op: &Sparsify, y: &mut [f32]) {
        op.reference(y);
    }

    /// See [`Attention::reference`].
    fn attention(
        &self,
        op: &Attention,
        step: &Step,
        q: &[f32],
        blocks: &[Self::Block],
        learned: Learned,
        y: &mut [f32],
    );

    /// See [`ops::pick_rows::reference`].
    fn pick_rows(&self, op: &PickRows, step: &Step, x: &[f32], y: &mut [f32]) {
        ops::pick_rows::reference(step, op.y.cols, x, y);
    }

    /// See [`ops::adjust::reference`].
    fn adjust(&self, logits: &[f32], changes: &[f32], mask: &[f32], recent: &[f32], y: &mut [f32]) {
        ops::adjust::reference(logits, changes, mask, recent, y);
    }

    /// See [`ops::sample::reference`].
    fn sample(&self, op: &Sample, random: u32, logits: &[f32], chain: &[f32], y: &mut [f32]) {
        ops::sample::reference(logits, op.logits.cols, chain, random, y);
    }

    /// See [`ops::likely::reference`].
    fn likely(&self, op: &Likely, logits: &[f32], id: &[f32], y: &mut [f32]) {
        ops::likely::reference(logits, op.logits.cols, id, y);
    }
}

/// The plain implementations, nothing else.
pub struct Reference;

/// A matrix as row-major planes.
pub struct PlainMatrix {
    layout: Layout,
    cols: usize,
    planes: Planes,
}

impl PlainMatrix {
    fn weight(&self) -> MatrixView<'_> {
        let Self { layout, cols, planes } = self;
        MatrixView { layout: *layout, cols: *cols, quants: &planes.quants, scales: &planes.scales }
    }
}

impl Kernels for Reference {
    type Matrix = PlainMatrix;
    type Block = Vec<f32>;

    fn info(&self) -> EngineInfo {
        EngineInfo { kind: "reference", description: "plain f32 loops".into(), notes: Vec::new() }
    }

    fn create_matrix(&self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<PlainMatrix> {
        let quants = zeroed(label, rows * layout.quants_row_bytes(cols))?;
        let scales = zeroed(label, rows * layout.scales_row_bytes(cols))?;
        Ok(PlainMatrix { layout, cols, planes: Planes { quants, scales } })
    }

    fn write_rows(&self, matrix: &mut PlainMatrix, first_row: usize, rows: &Planes) {
        let quants_start = first_row * matrix.layout.quants_row_bytes(matrix.cols);
        let scales_start = first_row * matrix.layout.scales_row_bytes(matrix.cols);
        let Planes { quants, scales } = &mut matrix.planes;
        quants[quants_start..][..rows.quants.len()].copy_from_slice(&rows.quants);
        scales[scales_start..][..rows.scales.len()].copy_from_slice(&rows.scales);
    }

    fn matrix_bytes(&self, matrix: &PlainMatrix) -> usize {
        matrix.planes.quants.len() + matrix.planes.scales.len()
    }

    fn embed(&self, op: &Embed, step: &Step, table: &PlainMatrix, y: &mut [f32]) {
        op.reference(step, y, |row, out| table.weight().dequantize(row, out));
    }

    fn rope_append(
        &self,
        op: &RopeAppend,
        step: &Step,
        qkv: &mut [f32],
        angles: (&[f32], Option<&[f32]>),
        blocks: &mut [Vec<f32>],
    ) {
        op.reference(step, qkv, angles, blocks);
    }

    fn attention(&self, op: &Attention, step: &Step, q: &[f32], blocks: &[Vec<f32>], learned: Learned, y: &mut [f32]) {
        op.reference(step, q, blocks, learned, y);
    }

    fn linear(
        &self,
        op: &Linear,
        x: &[f32],
        norm: Option<&[f32]>,
        weight: &PlainMatrix,
        affine: Affine,
        y: &mut [f32],
    ) {
        op.reference(x, norm, weight.weight(), affine, y);
    }

    fn expert_linear(
        &self,
        op: &ExpertLinear,
        x: &[f32],
        norm: Option<&[f32]>,
        route: &[f32],
        (weight, affine): (&PlainMatrix, Affine),
        y: &mut [f32],
    ) {
        op.reference(x, norm, route, weight.weight(), affine, y);
    }
}
