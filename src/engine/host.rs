//! An engine in the host's memory: runs recordings with one set of [`Kernels`].
//!
//! The kernels also define how matrices are stored. Kernels without weights default to the
//! reference of their operation: a faster set overrides some of them, and a wrong result can be
//! traced to one kernel.

mod blocks;
mod kernels;

pub use blocks::Block;
pub use kernels::{Kernels, PlainMatrix, Reference};

use std::ops::Range;
use std::rc::Rc;

use blocks::Blocks;

use super::table::Table;
use super::{Counters, Engine, EngineInfo, LocalFuture, ProgramId, freed, released};
use crate::format::block::BlockType;
use crate::format::{Layout, Planes, repack};
use crate::ops::attention::Learned;
use crate::ops::{Affine, AltUpInputs, Command, Convolve, Recording, RopeAppend};
use crate::record::{BufferId, KvCache, KvFormat, Matrix, Memory, Step, Tensor};
use crate::{Error, Result};

enum Buffer<M, B> {
    Values(Vec<f32>),
    Matrix(M),
    Blocks(Blocks<B>),
}

/// Runs recordings on the host with the kernels `K`.
pub struct HostEngine<K: Kernels> {
    kernels: K,
    buffers: Table<BufferId, Buffer<K::Matrix, K::Block>>,
    programs: Table<ProgramId, Rc<Recording>>,
    counters: Counters,
    scratch: Planes,
    /// Largest size in bytes of one plane.
    pub max_buffer_bytes: u64,
    /// Largest size in bytes of all blocks and buffers together; holding more blocks is
    /// `OutOfMemory`.
    pub memory_limit: u64,
}

impl<K: Kernels> HostEngine<K> {
    /// An engine without buffers.
    pub fn new(kernels: K) -> Self {
        let (buffers, programs) = (Table::default(), Table::default());
        let (counters, scratch) = (Counters::default(), Planes::default());
        // wasm32 allocations are below 2 GiB
        Self {
            kernels,
            buffers,
            programs,
            counters,
            scratch,
            max_buffer_bytes: i32::MAX as u64,
            memory_limit: u64::MAX,
        }
    }

    fn bytes(&self, buffer: &Buffer<K::Matrix, K::Block>) -> u64 {
        let bytes = match buffer {
            Buffer::Values(values) => size_of_val(values.as_slice()),
            Buffer::Matrix(matrix) => self.kernels.matrix_bytes(matrix),
            Buffer::Blocks(Blocks { blocks, shape, .. }) => {
                blocks.iter().filter(|block| block.is_held()).count() * K::Block::bytes(shape)
            }
        };
        bytes as u64
    }

    fn values(&self, id: BufferId) -> &[f32] {
        match self.buffers.get(id) {
            Some(Buffer::Values(values)) => values,
            _ => &[],
        }
    }

    /// The first `rows` rows.
    fn rows(&self, tensor: &Tensor, rows: usize) -> &[f32] {
        &self.values(tensor.buffer)[..rows * tensor.cols]
    }

    fn affine(&self, affine: Option<&Tensor>, first: usize) -> Affine<'_> {
        Affine { values: affine.map(|affine| self.rows(affine, 2)), first }
    }

    fn matrix(&self, matrix: &Matrix) -> Result<&K::Matrix> {
        let error = |got: &str| Error::Internal { op: "run", expected: "a matrix".into(), got: got.into() };
        match self.buffers.get(matrix.buffer) {
            Some(Buffer::Matrix(matrix)) => Ok(matrix),
            Some(_) => Err(error("another buffer")),
            None => Err(error("a buffer that was freed")),
        }
    }

    /// Takes a buffer out to be written while others are read; [`Self::put`] puts it back.
    fn take(&mut self, id: BufferId) -> Vec<f32> {
        match self.buffers.get_mut(id) {
            Some(Buffer::Values(values)) => std::mem::take(values),
            _ => Vec::new(),
        }
    }

    fn put(&mut self, id: BufferId, values: Vec<f32>) {
        if let Some(Buffer::Values(place)) = self.buffers.get_mut(id) {
            *place = values;
        }
    }

    fn execute(&mut self, command: &Command, step: &Step) -> Result<()> {
        let out = match command {
            Command::Embed(op) => op.y,
            Command::Linear(op) => op.y,
            Command::LinearPair(op) => op.head.y,
            Command::NormLinear(op) => op.linear.y,
            Command::Norm(op) => op.y,
            Command::Activate(op) => op.y,
            Command::Route(op) => op.y,
            Command::Gather(op) => op.y,
            Command::ExpertLinear(op) => op.y,
            Command::Combine(op) => op.y,
            Command::RopeAppend(op) => op.qkv,
            Command::Convolve(op) => op.y,
            Command::CausalConvolve(op) => op.y,
            Command::DeltaRule(op) => op.y,
            Command::SelectiveScan(op) => op.y,
            Command::Wkv(op) => op.y,
            Command::AltUp(op) => op.y,
            Command::Rescale(op) => op.y,
            Command::Sparsify(op) => op.y,
            Command::Attention(op) => op.y,
            Command::RopeAttention(op) => op.attention.y,
            Command::PickColumns(op) => op.y,
            Command::PickRows(op) => op.y,
            Command::Adjust(op) => op.y,
            Command::Sample(op) => op.y,
            Command::Likely(op) => op.y,
        };
        let mut buffer = self.take(out.buffer);
        let n = step.rows.len().min(out.rows);
        let computed = match buffer.get_mut(..n * out.cols) {
            Some(y) => self.compute(command, step, n, y),
            None => Err(freed("run")),
        };
        // also after an error, so that the next run finds it
        self.put(out.buffer, buffer);
        computed
    }

    /// Computes the first `n` rows of what a command writes, `y`.
    fn compute(&mut self, command: &Command, step: &Step, n: usize, y: &mut [f32]) -> Result<()> {
        let kernels = &self.kernels;
        match command {
            Command::Embed(op) => kernels.embed(op, step, self.matrix(&op.table)?, y),
            Command::Norm(op) => {
                let x = (op.x.buffer != op.y.buffer).then(|| self.rows(&op.x, n));
                let bias = op.bias.as_ref().map(|bias| self.rows(bias, 1));
                if let Some(add) = op.add.filter(|add| add.buffer != op.y.buffer) {
                    y.copy_from_slice(self.rows(&add, n));
                }
                kernels.norm(op, x, self.rows(&op.weight, 1), bias, y);
                if let Some(scale) = &op.scale {
                    let scale = self.rows(scale, 1)[0];
                    y.iter_mut().for_each(|y| *y *= scale);
                }
            }
            Command::Linear(op) => {
                let norm = op.norm.as_ref().map(|norm| self.rows(&norm.weight, 1));
                let affine = self.affine(op.affine.as_ref(), op.affine_first());
                kernels.linear(op, self.rows(&op.x, n), norm, self.matrix(&op.weight)?, affine, y);
            }
            Command::Route(op) => {
                let bias = op.bias.as_ref().map(|bias| self.rows(bias, 1));
                kernels.route(op, self.rows(&op.logits, n), bias, y);
            }
            Command::Gather(op) => op.reference(self.rows(&op.route, step.count(op.route.rows)), y),
            Command::ExpertLinear(op) => {
                let norm = op.norm.as_ref().map(|norm| self.rows(&norm.weight, 1));
                let (x, route) = (self.rows(&op.x, n), self.rows(&op.route, n));
                let weight = (self.matrix(&op.weight)?, self.affine(op.affine.as_ref(), 0));
                kernels.expert_linear(op, x, norm, route, weight, y);
            }
            Command::Combine(op) => kernels.combine(op, self.rows(&op.x, n), self.rows(&op.route, n), y),
            Command::Activate(op) => {
                kernels.activate(op, self.rows(&op.x, n), y);
                if let Some((up, _)) = &op.up {
                    op.multiply(self.rows(up, n), y);
                }
            }
            Command::RopeAppend(op) => self.rope_append(op, step, y)?,
            Command::Convolve(op) => self.convolve(op, step, n, y)?,
            Command::CausalConvolve(op) => {
                let mut slots = self.take_slots(op.state, step)?;
                let inputs = (self.rows(&op.x, n), self.rows(&op.weight, 1));
                each_state(step, n, &mut slots, op.first..op.first + op.kept(), |rows, state| {
                    self.kernels.causal_convolve(op, rows, inputs, state, y);
                });
                self.blocks_mut(op.state.buffer)?.blocks = slots;
            }
            Command::DeltaRule(op) => {
                let mut slots = self.take_slots(op.state, step)?;
                let inputs = (self.rows(&op.qkv, n), self.rows(&op.gates, n), self.rows(&op.weights, 1));
                each_state(step, n, &mut slots, op.first..op.first + op.heads.matrices(), |rows, state| {
                    self.kernels.delta_rule(op, rows, inputs, state, y);
                });
                self.blocks_mut(op.state.buffer)?.blocks = slots;
            }
            Command::SelectiveScan(op) => {
                let mut slots = self.take_slots(op.state, step)?;
                let inputs = (self.rows(&op.xbc, n), self.rows(&op.gates, n), self.rows(&op.weights, 1));
                each_state(step, n, &mut slots, op.first..op.first + op.heads.matrices(), |rows, state| {
                    self.kernels.selective_scan(op, rows, inputs, state, y);
                });
                self.blocks_mut(op.state.buffer)?.blocks = slots;
            }
            Command::Wkv(op) => {
                let mut slots = self.take_slots(op.state, step)?;
                let inputs = (self.rows(&op.projected, n), self.rows(&op.first_values, n), self.rows(&op.weights, 1));
                each_state(step, n, &mut slots, op.first..op.first + op.heads.matrices(), |rows, state| {
                    self.kernels.wkv(op, rows, inputs, state, y);
                });
                self.blocks_mut(op.state.buffer)?.blocks = slots;
            }
            Command::AltUp(op) => {
                let mut first = self.take(op.first.buffer);
                let correction = op.correction.as_ref();
                let inputs = AltUpInputs {
                    late: self.rows(&op.late, n),
                    routed: self.rows(&op.routed, n),
                    weights: self.rows(&op.weights, 1),
                    correction: correction.map(|end| (self.rows(&end.x, n), self.rows(&end.corrected, n))),
                };
                let others = op.others.as_ref().map(|others| self.rows(others, n));
                self.kernels.alt_up(op, &inputs, &mut first, others, y);
                self.put(op.first.buffer, first);
            }
            Command::Rescale(op) => {
                let x = (op.x.buffer != op.y.buffer).then(|| self.rows(&op.x, n));
                if let Some(add) = op.add.filter(|add| add.buffer != op.y.buffer) {
                    y.copy_from_slice(self.rows(&add, n));
                }
                let weight = op.weight.as_ref().map(|weight| self.rows(weight, 1));
                kernels.rescale(op, x, weight, op.like.as_ref().map(|like| self.rows(like, n)), y);
            }
            Command::Sparsify(op) => kernels.sparsify(op, y),
            Command::Attention(op) => {
                let blocks = &self.blocks(op.kv.buffer)?.blocks;
                step.check_tables(blocks.len())?;
                let sinks = op.sinks.as_ref().map(|sinks| self.rows(sinks, 1));
                let bias = op.bias.as_ref().map(|bias| self.rows(bias, 1));
                let learned = Learned { sinks, bias };
                kernels.attention(op, step, self.rows(&op.q, n), blocks, learned, y);
            }
            // see `prepare`
            Command::LinearPair(_) | Command::NormLinear(_) | Command::RopeAttention(_) => {}
            Command::PickColumns(op) => {
                op.reference(|x| self.rows(x, n), self.rows(&op.columns, 1), y);
            }
            Command::PickRows(op) => {
                kernels.pick_rows(op, step, self.rows(&op.x, step.rows.len().min(op.x.rows)), y);
            }
            Command::Adjust(op) => {
                let logits = self.rows(&op.logits, step.rows.len().min(op.logits.rows));
                let [changes, mask, recent] = [&op.changes, &op.mask, &op.recent].map(|values| self.rows(values, 1));
                kernels.adjust(logits, changes, mask, recent, y);
            }
            Command::Sample(op) => {
                let logits = self.rows(&op.logits, step.rows.len().min(op.logits.rows));
                kernels.sample(op, step.random, logits, self.rows(&op.chain, 1), y);
            }
            Command::Likely(op) => {
                let logits = self.rows(&op.logits, step.rows.len().min(op.logits.rows));
                kernels.likely(op, logits, self.rows(&op.id, 1), y);
            }
        }
        Ok(())
    }

    fn rope_append(&mut self, op: &RopeAppend, step: &Step, qkv: &mut [f32]) -> Result<()> {
        let buffer = op.kv.buffer;
        step.check_tables(self.blocks(buffer)?.blocks.len())?;
        let mut blocks = std::mem::take(&mut self.blocks_mut(buffer)?.blocks);
        let angles = self.rows(&op.angles, step.rows.len().min(op.angles.rows));
        let behind = op.behind.as_ref().map(|behind| self.rows(behind, 1));
        self.kernels.rope_append(op, step, qkv, (angles, behind), &mut blocks);
        self.blocks_mut(buffer)?.blocks = blocks;
        Ok(())
    }

    /// Takes the slots of a layer's states out, to be put back once they are written.
    fn take_slots(&mut self, state: KvCache, step: &Step) -> Result<Vec<K::Block>> {
        let slots = &mut self.blocks_mut(state.buffer)?.blocks;
        step.check_states(slots.len())?;
        Ok(std::mem::take(slots))
    }

    fn convolve(&mut self, op: &Convolve, step: &Step, n: usize, y: &mut [f32]) -> Result<()> {
        let state = op.state.buffer;
        step.check_tables(self.blocks(state)?.blocks.len())?;
        let mut blocks = std::mem::take(&mut self.blocks_mut(state)?.blocks);
        self.kernels.convolve(op, step, self.rows(&op.x, n), self.rows(&op.weight, 1), &mut blocks, y);
        self.blocks_mut(state)?.blocks = blocks;
        Ok(())
    }
}

/// Calls `run` for the rows of each sequence with the slot that its state is written to, which has
/// the `range` of that state before the rows.
fn each_state<B: Block>(
    step: &Step,
    rows: usize,
    slots: &mut [B],
    range: Range<usize>,
    mut run: impl FnMut(Range<usize>, &mut [f32]),
) {
    for (rows, [read, write]) in step.runs(rows) {
        if read != write {
            let before = slots.get_mut(read as usize).map(|slot| slot.state_mut()[range.clone()].to_vec());
            let state = &mut slots[write as usize].state_mut()[range.clone()];
            match before {
                Some(before) => state.copy_from_slice(&before),
                None => state.fill(0.0),
            }
        }
        run(rows, slots[write as usize].state_mut());
    }
}

/// A zeroed vector. Errors: `OutOfMemory` if the allocation fails.
pub(super) fn zeroed<T: Clone + Default>(label: &str, len: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| out_of_memory(label, len * size_of::<T>()))?;
    values.resize(len, T::default());
    Ok(values)
}

/// Size in bytes of WebAssembly's linear memory, which never shrinks; `None` elsewhere, where other
/// processes use memory too.
#[cfg(target_arch = "wasm32")]
fn memory_in_use() -> Option<usize> {
    Some(core::arch::wasm32::memory_size(0) * 65536)
}

#[cfg(not(target_arch = "wasm32"))]
fn memory_in_use() -> Option<usize> {
    None
}

/// `OutOfMemory` for an allocation of `bytes` that failed.
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
        self.buffers.values().map(|buffer| self.bytes(buffer)).sum()
    }

    fn buffer_bytes(&self, buffer: BufferId) -> u64 {
        self.buffers.get(buffer).map_or(0, |buffer| self.bytes(buffer))
    }

    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId> {
        Ok(self.buffers.insert(Buffer::Values(zeroed(label, len)?)))
    }

    fn kv_format(&self, asked: Option<KvFormat>) -> Result<KvFormat> {
        Ok(self.kernels.kv_format(asked))
    }

    fn create_blocks(&mut self, label: &str, shape: &KvCache, count: usize) -> Result<BufferId> {
        let blocks = (0..count).map(|_| K::Block::new(label, shape)).collect::<Result<_>>()?;
        Ok(self.buffers.insert(Buffer::Blocks(Blocks { label: label.into(), shape: *shape, blocks })))
    }

    fn hold_blocks(&mut self, buffers: &[BufferId], held: &[bool]) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(self.hold(buffers, held)))
    }

    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()> {
        for &buffer in buffers {
            let blocks = &mut self.blocks_mut(buffer)?.blocks;
            let source = std::mem::take(&mut blocks[from]);
            blocks[to].clone_from(&source);
            blocks[from] = source;
        }
        Ok(())
    }

    fn write_values(&mut self, buffer: BufferId, offset: usize, mut values: &[f32]) -> Result<()> {
        match self.buffers.get_mut(buffer) {
            Some(Buffer::Values(target)) => target[offset..][..values.len()].copy_from_slice(values),
            Some(Buffer::Blocks(target)) => {
                for (block, part) in target.parts(offset..offset + values.len()) {
                    let (now, later) = values.split_at(part.len());
                    target.blocks[block].write(&target.shape, part.start, now);
                    values = later;
                }
            }
            Some(Buffer::Matrix(_)) => {}
            None => return Err(freed("write")),
        }
        Ok(())
    }

    fn write_block(&mut self, cache: &KvCache, block: usize, bytes: &[u8]) -> Result<()> {
        self.blocks_mut(cache.buffer)?.blocks[block].write_bytes(cache, bytes);
        Ok(())
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        let buffer = self.buffers.insert(Buffer::Matrix(self.kernels.create_matrix(label, layout, rows, cols)?));
        Ok(Matrix { buffer, layout, rows, cols })
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        self.scratch.clear();
        repack(block, matrix.cols, rows, &mut self.scratch);
        let Some(Buffer::Matrix(matrix)) = self.buffers.get_mut(matrix.buffer) else { return Err(freed("write")) };
        self.kernels.write_rows(matrix, first_row, &self.scratch);
        Ok(())
    }

    fn free(&mut self, buffer: BufferId) {
        self.buffers.remove(buffer);
    }
}

impl<K: Kernels> Engine for HostEngine<K> {
    fn info(&self) -> EngineInfo {
        self.kernels.info()
    }

    fn prepare(&mut self, recording: Recording) -> Result<ProgramId> {
        // its kernels take one operation at a time
        Ok(self.programs.insert(Rc::new(recording.in_parts())))
    }

    fn release(&mut self, program: ProgramId) {
        self.programs.remove(program);
    }

    fn run(&mut self, program: ProgramId, step: &Step) -> Result<()> {
        if step.rows.iter().any(|row| row.id.is_none()) {
            let expected = "an id for every row, as this engine samples none".into();
            return Err(Error::Internal { op: "run", expected, got: "a row without".into() });
        }
        let recording = self.programs.get(program).cloned().ok_or_else(released)?;
        for command in &recording.commands {
            self.execute(command, step)?;
        }
        self.counters.dispatches += recording.commands.len() as u64;
        Ok(())
    }

    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'static, Result<Vec<f32>>> {
        self.counters.readbacks += 1;
        let mut read = Vec::with_capacity(ranges.iter().map(Range::len).sum());
        self.counters.read_bytes += (read.capacity() * size_of::<f32>()) as u64;
        match self.buffers.get(buffer) {
            Some(Buffer::Values(values)) => ranges.into_iter().for_each(|range| read.extend(&values[range])),
            Some(Buffer::Blocks(source)) => {
                let parts = ranges.into_iter().flat_map(|range| source.parts(range));
                parts.for_each(|(block, part)| source.blocks[block].read(&source.shape, part, &mut read));
            }
            Some(Buffer::Matrix(_)) => {}
            None => return Box::pin(std::future::ready(Err(freed("read")))),
        }
        Box::pin(std::future::ready(Ok(read)))
    }

    fn synchronize(&mut self) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
