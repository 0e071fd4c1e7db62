//! The engine whose memory is the host's: runs a recording with one set of [`Kernels`].
//!
//! Every kernel has the plain implementation of its operation as the default, so that [`Reference`] is empty and a faster
//! set overrides what it makes faster, and any result can be bisected to one kernel.

use super::{Counters, Engine, EngineInfo, LocalFuture, ProgramId};
use crate::format::block::BlockType;
use crate::format::layout::{Layout, Planes, repack};
use crate::ops::{
    self, Attention, Command, Embed, Epilogue, LastRow, Linear, Recording, RopeAppend, Sample, SwiGlu, Weight,
};
use crate::record::{BufferId, Matrix, Memory, Step, Tensor};
use crate::{Error, Result};

/// How each operation is computed. Slices hold exactly the rows of the step.
pub trait Kernels {
    /// What [`Engine::info`] says.
    fn info(&self) -> EngineInfo;

    /// See [`ops::embed::reference`].
    fn embed(&self, op: &Embed, ids: &[u32], table: Weight, y: &mut [f32]) {
        ops::embed::reference(ids, table, op.first_row, op.table.rows, y);
    }

    /// See [`Linear::reference`].
    fn linear(
        &self,
        op: &Linear,
        x: &[f32],
        norm: Option<&[f32]>,
        weight: Weight,
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) {
        op.reference(x, norm, weight, bias, y);
    }

    /// See [`ops::swiglu::reference`].
    fn swiglu(&self, op: &SwiGlu, gate_up: &[f32], y: &mut [f32]) {
        ops::swiglu::reference(gate_up, op.y.cols, y);
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

impl Kernels for Reference {
    fn info(&self) -> EngineInfo {
        EngineInfo { kind: "reference", description: "plain f32 loops".into() }
    }
}

enum Buffer {
    Values(Vec<f32>),
    Planes(Planes),
}

/// Runs recordings on the host with the kernels `K`.
pub struct HostEngine<K> {
    kernels: K,
    buffers: Vec<Buffer>,
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
            Buffer::Planes(_) => &[],
        }
    }

    /// The first `rows` rows.
    fn rows(&self, tensor: &Tensor, rows: usize) -> &[f32] {
        &self.values(tensor.buffer)[..rows * tensor.cols]
    }

    fn weight(&self, matrix: &Matrix) -> Weight<'_> {
        let (quants, scales): (&[u8], &[u8]) = match &self.buffers[matrix.buffer.0] {
            Buffer::Planes(planes) => (&planes.quants, &planes.scales),
            Buffer::Values(_) => (&[], &[]),
        };
        Weight { layout: matrix.layout, cols: matrix.cols, quants, scales }
    }

    /// Takes a buffer out for writing, so that the others can be read meanwhile; [`Self::put`] brings it back.
    fn take(&mut self, id: BufferId) -> Vec<f32> {
        match &mut self.buffers[id.0] {
            Buffer::Values(values) => std::mem::take(values),
            Buffer::Planes(_) => Vec::new(),
        }
    }

    fn put(&mut self, id: BufferId, values: Vec<f32>) {
        self.buffers[id.0] = Buffer::Values(values);
    }

    fn execute(&mut self, command: &Command, step: &Step) {
        let out = match command {
            Command::Embed(op) => op.y,
            Command::Linear(op) => op.y,
            Command::SwiGlu(op) => op.y,
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
            Command::Embed(op) => kernels.embed(op, step.ids, self.weight(&op.table), y),
            Command::Linear(op) => {
                let bias = op.bias.as_ref().map(|bias| self.rows(bias, 1));
                let norm = op.norm.as_ref().map(|norm| self.rows(&norm.weight, 1));
                kernels.linear(op, self.rows(&op.x, n), norm, self.weight(&op.weight), bias, y);
                if let Epilogue::RopeAppend(rope) = &op.epilogue {
                    self.rope_append(rope, step, y);
                }
            }
            Command::SwiGlu(op) => kernels.swiglu(op, self.rows(&op.gate_up, n), y),
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
    values.try_reserve_exact(len).map_err(|_| Error::OutOfMemory {
        what: label.into(),
        needed: (len * size_of::<T>()) as u64,
        limit: "more than the memory that is free".into(),
    })?;
    values.resize(len, T::default());
    Ok(values)
}

impl<K: Kernels> Memory for HostEngine<K> {
    fn max_buffer_bytes(&self) -> u64 {
        self.max_buffer_bytes
    }

    fn memory_bytes(&self) -> u64 {
        let bytes = |buffer: &Buffer| match buffer {
            Buffer::Values(values) => size_of_val(values.as_slice()),
            Buffer::Planes(planes) => planes.quants.len() + planes.scales.len(),
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
        let quants = zeroed(label, rows * layout.quants_row_bytes(cols))?;
        let scales = zeroed(label, rows * layout.scales_row_bytes(cols))?;
        self.buffers.push(Buffer::Planes(Planes { quants, scales }));
        Ok(Matrix { buffer: BufferId(self.buffers.len() - 1), layout, rows, cols })
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        self.scratch.clear();
        repack(block, matrix.cols, rows, &mut self.scratch);
        if let Buffer::Planes(planes) = &mut self.buffers[matrix.buffer.0] {
            let quants_start = first_row * matrix.layout.quants_row_bytes(matrix.cols);
            let scales_start = first_row * matrix.layout.scales_row_bytes(matrix.cols);
            planes.quants[quants_start..][..self.scratch.quants.len()].copy_from_slice(&self.scratch.quants);
            planes.scales[scales_start..][..self.scratch.scales.len()].copy_from_slice(&self.scratch.scales);
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
            self.execute(command, step);
        }
        self.counters.dispatches += recording.commands.len() as u64;
        self.programs[program.0] = recording;
        Ok(())
    }

    fn read_values(&mut self, buffer: BufferId, len: usize) -> LocalFuture<'_, Result<Vec<f32>>> {
        self.counters.readbacks += 1;
        let values = self.values(buffer)[..len].to_vec();
        Box::pin(std::future::ready(Ok(values)))
    }

    fn synchronize(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
