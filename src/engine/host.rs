//! The engine whose memory is the host's: runs a recording with one set of [`Kernels`].
//!
//! The kernels also say how they hold a matrix. What knows nothing of matrices has the plain implementation of its operation
//! as the default, so that a faster set overrides what it makes faster, and any result can be bisected to one kernel.

use std::ops::Range;

use super::{Counters, Engine, EngineInfo, LocalFuture, ProgramId};
use crate::format::block::BlockType;
use crate::format::{Layout, Planes, repack};
use crate::ops::{
    self, Activate, Affine, Attention, Combine, Command, Embed, Epilogue, ExpertLinear, LastRow, Linear, Norm,
    Recording, RopeAppend, Route, Sample, Weight,
};
use crate::record::{BufferId, Matrix, Memory, Step, Tensor};
use crate::{Error, Result};

/// How each operation is computed. Slices hold exactly the rows of the step.
pub trait Kernels {
    /// A weight matrix in memory.
    type Matrix;

    /// What [`Engine::info`] says.
    fn info(&self) -> EngineInfo;

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
    fn route(&self, op: &Route, logits: &[f32], y: &mut [f32]) {
        op.reference(logits, y);
    }

    /// See [`Combine::reference`].
    fn combine(&self, op: &Combine, x: &[f32], route: &[f32], y: &mut [f32]) {
        op.reference(x, route, y);
    }

    /// See [`ops::activate::reference`].
    fn activate(&self, op: &Activate, x: &[f32], y: &mut [f32]) {
        ops::activate::reference(op.activation, x, op.y.cols, y);
    }

    /// See [`RopeAppend::reference`].
    fn rope_append(
        &self,
        op: &RopeAppend,
        position: usize,
        qkv: &mut [f32],
        table: &[f32],
        k_cache: &mut [f32],
        v_cache: &mut [f32],
    ) {
        op.reference(position, qkv, table, k_cache, v_cache);
    }

    /// See [`Attention::reference`].
    fn attention(&self, op: &Attention, position: usize, q: &[f32], k_cache: &[f32], v_cache: &[f32], y: &mut [f32]) {
        op.reference(position, q, k_cache, v_cache, y);
    }

    /// See [`ops::last_row::reference`].
    fn last_row(&self, _: &LastRow, x: &[f32], y: &mut [f32]) {
        ops::last_row::reference(x, y);
    }

    /// See [`ops::sample::reference`].
    fn sample(&self, op: &Sample, random: u32, logits: &[f32], chain: &[f32], y: &mut [f32]) {
        ops::sample::reference(logits, op.logits.cols, chain, random, y);
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
    fn weight(&self) -> Weight<'_> {
        let Self { layout, cols, planes } = self;
        Weight { layout: *layout, cols: *cols, quants: &planes.quants, scales: &planes.scales }
    }
}

impl Kernels for Reference {
    type Matrix = PlainMatrix;

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

enum Buffer<M> {
    Values(Vec<f32>),
    Matrix(M),
}

/// Runs recordings on the host with the kernels `K`.
pub struct HostEngine<K: Kernels> {
    kernels: K,
    buffers: Vec<Buffer<K::Matrix>>,
    programs: Vec<Recording>,
    counters: Counters,
    scratch: Planes,
    /// Bytes that one plane may have.
    pub max_buffer_bytes: u64,
}

impl<K: Kernels> HostEngine<K> {
    /// An engine without buffers.
    pub fn new(kernels: K) -> Self {
        let (buffers, programs) = (Vec::new(), Vec::new());
        let (counters, scratch) = (Counters::default(), Planes::default());
        // wasm32 allocations end below 2 GiB
        Self { kernels, buffers, programs, counters, scratch, max_buffer_bytes: i32::MAX as u64 }
    }

    fn values(&self, id: BufferId) -> &[f32] {
        match &self.buffers[id.0] {
            Buffer::Values(values) => values,
            Buffer::Matrix(_) => &[],
        }
    }

    /// The first `rows` rows.
    fn rows(&self, tensor: &Tensor, rows: usize) -> &[f32] {
        &self.values(tensor.buffer)[..rows * tensor.cols]
    }

    fn affine(&self, affine: Option<&Tensor>) -> Affine<'_> {
        Affine(affine.map(|affine| self.rows(affine, 2)))
    }

    fn matrix(&self, matrix: &Matrix) -> Result<&K::Matrix> {
        match &self.buffers[matrix.buffer.0] {
            Buffer::Matrix(matrix) => Ok(matrix),
            Buffer::Values(_) => Err(Error::Internal { op: "run", expected: "a matrix".into(), got: "values".into() }),
        }
    }

    /// Takes a buffer out for writing, so that the others can be read meanwhile; [`Self::put`] brings it back.
    fn take(&mut self, id: BufferId) -> Vec<f32> {
        match &mut self.buffers[id.0] {
            Buffer::Values(values) => std::mem::take(values),
            Buffer::Matrix(_) => Vec::new(),
        }
    }

    fn put(&mut self, id: BufferId, values: Vec<f32>) {
        self.buffers[id.0] = Buffer::Values(values);
    }

    fn execute(&mut self, command: &Command, step: &Step) -> Result<()> {
        let out = match command {
            Command::Embed(op) => op.y,
            Command::Linear(op) => op.y,
            Command::Norm(op) => op.y,
            Command::Activate(op) => op.y,
            Command::Route(op) => op.y,
            Command::ExpertLinear(op) => op.y,
            Command::Combine(op) => op.y,
            Command::RopeAppend(op) => op.qkv,
            Command::Attention(op) => op.y,
            Command::LastRow(op) => op.y,
            Command::Sample(op) => op.y,
        };
        let n = step.ids.len().min(out.rows);
        let mut buffer = self.take(out.buffer);
        let y = &mut buffer[..n * out.cols];
        let kernels = &self.kernels;
        match command {
            Command::Embed(op) => kernels.embed(op, step, self.matrix(&op.table)?, y),
            Command::Norm(op) => {
                let x = (op.x.buffer != op.y.buffer).then(|| self.rows(&op.x, n));
                let bias = op.bias.as_ref().map(|bias| self.rows(bias, 1));
                kernels.norm(op, x, self.rows(&op.weight, 1), bias, y);
            }
            Command::Linear(op) => {
                let norm = op.norm.as_ref().map(|norm| self.rows(&norm.weight, 1));
                let affine = self.affine(op.affine.as_ref());
                kernels.linear(op, self.rows(&op.x, n), norm, self.matrix(&op.weight)?, affine, y);
                if let Epilogue::RopeAppend(rope) = &op.epilogue {
                    self.rope_append(rope, step, y);
                }
            }
            Command::Route(op) => kernels.route(op, self.rows(&op.logits, n), y),
            Command::ExpertLinear(op) => {
                let norm = op.norm.as_ref().map(|norm| self.rows(&norm.weight, 1));
                let (x, route) = (self.rows(&op.x, n), self.rows(&op.route, n));
                let weight = (self.matrix(&op.weight)?, self.affine(op.affine.as_ref()));
                kernels.expert_linear(op, x, norm, route, weight, y);
            }
            Command::Combine(op) => kernels.combine(op, self.rows(&op.x, n), self.rows(&op.route, n), y),
            Command::Activate(op) => kernels.activate(op, self.rows(&op.x, n), y),
            Command::RopeAppend(op) => self.rope_append(op, step, y),
            Command::Attention(op) => {
                let (k, v) = (self.values(op.k_cache), self.values(op.v_cache));
                kernels.attention(op, step.position, self.rows(&op.q, n), k, v, y);
            }
            Command::LastRow(op) => kernels.last_row(op, self.rows(&op.x, step.ids.len().min(op.x.rows)), y),
            Command::Sample(op) => {
                let logits = self.rows(&op.logits, step.ids.len().min(op.logits.rows));
                kernels.sample(op, step.random, logits, self.rows(&op.chain, 1), y);
            }
        }
        self.put(out.buffer, buffer);
        Ok(())
    }
}

impl<K: Kernels> HostEngine<K> {
    fn rope_append(&mut self, op: &RopeAppend, step: &Step, qkv: &mut [f32]) {
        let (mut k, mut v) = (self.take(op.k_cache), self.take(op.v_cache));
        let table = self.rows(&op.table, op.table.rows);
        self.kernels.rope_append(op, step.position, qkv, table, &mut k, &mut v);
        self.put(op.k_cache, k);
        self.put(op.v_cache, v);
    }
}

/// A zeroed vector, or `OutOfMemory` where the allocator has no more.
fn zeroed<T: Clone + Default>(label: &str, len: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| out_of_memory(label, len * size_of::<T>()))?;
    values.resize(len, T::default());
    Ok(values)
}

/// Bytes of WebAssembly's linear memory, which never shrinks; elsewhere the system has memory for others too.
#[cfg(target_arch = "wasm32")]
fn memory_in_use() -> Option<usize> {
    Some(core::arch::wasm32::memory_size(0) * 65536)
}

#[cfg(not(target_arch = "wasm32"))]
fn memory_in_use() -> Option<usize> {
    None
}

/// The allocator has no `bytes` more.
pub(super) fn out_of_memory(label: &str, bytes: usize) -> Error {
    let limit = match memory_in_use() {
        Some(used) => format!("more than is free: {used} are in use already"),
        None => "more than the memory that is free".into(),
    };
    Error::OutOfMemory { what: label.into(), needed: bytes as u64, limit }
}

impl<K: Kernels> Memory for HostEngine<K> {
    fn max_buffer_bytes(&self) -> u64 {
        self.max_buffer_bytes
    }

    fn memory_bytes(&self) -> u64 {
        let bytes = |buffer: &Buffer<K::Matrix>| match buffer {
            Buffer::Values(values) => size_of_val(values.as_slice()),
            Buffer::Matrix(matrix) => self.kernels.matrix_bytes(matrix),
        };
        self.buffers.iter().map(|buffer| bytes(buffer) as u64).sum()
    }

    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId> {
        self.buffers.push(Buffer::Values(zeroed(label, len)?));
        Ok(BufferId(self.buffers.len() - 1))
    }

    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()> {
        if let Buffer::Values(target) = &mut self.buffers[buffer.0] {
            target[offset..][..values.len()].copy_from_slice(values);
        }
        Ok(())
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        self.buffers.push(Buffer::Matrix(self.kernels.create_matrix(label, layout, rows, cols)?));
        Ok(Matrix { buffer: BufferId(self.buffers.len() - 1), layout, rows, cols })
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        self.scratch.clear();
        repack(block, matrix.cols, rows, &mut self.scratch);
        if let Buffer::Matrix(matrix) = &mut self.buffers[matrix.buffer.0] {
            self.kernels.write_rows(matrix, first_row, &self.scratch);
        }
        Ok(())
    }
}

impl<K: Kernels> Engine for HostEngine<K> {
    fn info(&self) -> EngineInfo {
        self.kernels.info()
    }

    fn prepare(&mut self, recording: Recording) -> Result<ProgramId> {
        self.programs.push(recording);
        Ok(ProgramId(self.programs.len() - 1))
    }

    fn run(&mut self, program: ProgramId, step: &Step) -> Result<()> {
        let recording = std::mem::take(&mut self.programs[program.0]);
        for command in &recording.commands {
            self.execute(command, step)?;
        }
        self.counters.dispatches += recording.commands.len() as u64;
        self.programs[program.0] = recording;
        Ok(())
    }

    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'_, Result<Vec<f32>>> {
        self.counters.readbacks += 1;
        let values = self.values(buffer);
        let values = ranges.into_iter().flat_map(|range| &values[range]).copied().collect();
        Box::pin(std::future::ready(Ok(values)))
    }

    fn synchronize(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
