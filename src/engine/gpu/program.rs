//! Prepared recordings: pipelines, parameters and bind groups are made once, so that a replay
//! writes one small buffer and encodes a list of dispatches.
//!
//! A step may need larger buffers for the KV cache, the block tables or the pieces of attention.
//! The bind groups are then made again; pipelines do not depend on these sizes.

use std::rc::Rc;

use super::buffers::{Buffers, GpuBuffer};
use super::device::{Gpu, buffer_size};
use super::pace::Pace;
use super::pipelines::Pipelines;
use super::sampled_ids::Staging;
use crate::ops::adjust::RECENT;
use crate::ops::{Binding, Kernel, Op, Recording, Variants};
use crate::record::{BufferId, KV_BLOCK, NO_STATE, Row, Step};
use crate::{Error, Result};

/// Offset in bytes of the tables in a step's buffer: after the uniform header, at the largest
/// alignment that WebGPU lets an adapter require.
const TABLES_OFFSET: usize = 256;

/// Size in bytes of the header, the uniform `Step` of shaders.
const STEP_BYTES: u64 = 16;

/// Words of a `Row` in shaders/shared/rows.wgsl. The first is the id.
const ROW_WORDS: usize = 5;

/// Initial capacity of the tables in words: one sequence of about 4,000 positions.
const FIRST_TABLE_WORDS: usize = 64;

struct Dispatch {
    kernel: Kernel,
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
}

/// The way of sampled ids: into the next step of their sequence, and to the host.
pub(super) struct Feedback<'a> {
    /// The last ids of a sequence, each at its position modulo [`RECENT`]: row i without an id
    /// takes its own from the i-th, and the new id goes to the first.
    pub feeds: &'a [&'a wgpu::Buffer],
    /// Gets a copy of the first of `feeds` before the step.
    pub recent: Option<&'a wgpu::Buffer>,
    /// Where the program leaves an id, and what gets a copy for the host. `None`: another program
    /// comes in the same submit, and samples.
    pub read: Option<(&'a wgpu::Buffer, &'a Staging)>,
}

/// The place of the id at a position, in bytes.
fn recent_at(position: usize) -> u64 {
    (position % RECENT * ID_BYTES as usize) as u64
}

const ID_BYTES: u64 = size_of::<u32>() as u64;

/// A recording ready to be replayed.
pub(super) struct Program {
    /// Largest number of rows of an operation; further rows are ignored, see
    /// [`Tensor`](crate::record::Tensor).
    capacity: usize,
    /// The uniform `Step`, the tables, then the rows.
    step: wgpu::Buffer,
    /// Capacity of the tables in words.
    table_words: usize,
    /// The words to write to `step`.
    words: Vec<u32>,
    /// The parameters of all dispatches, one slot each.
    params: wgpu::Buffer,
    /// Bytes per slot.
    slot: usize,
    /// Intermediate results between the dispatches of an operation.
    pieces: wgpu::Buffer,
    dispatches: Vec<Dispatch>,
    /// The bound KV caches.
    caches: Vec<BufferId>,
    /// The bound states.
    states: Vec<BufferId>,
    /// [`Buffers::generation`] of the bound buffers.
    generation: u64,
    pub pace: Rc<Pace>,
}

impl Program {
    /// Compiles new pipelines and makes bind groups. `chunk`: rows of every replay; `None`: by what
    /// they take. Errors: `Internal` for a recording that cannot
    /// run, `OutOfMemory`.
    pub fn new(
        gpu: &Gpu,
        pipelines: &mut Pipelines,
        variants: &Variants,
        buffers: &Buffers,
        recording: &Recording,
        chunk: Option<usize>,
    ) -> Result<Self> {
        let kernels: Vec<Kernel> = recording.commands.iter().flat_map(|command| command.kernels(variants)).collect();
        let capacity = capacity(&kernels);

        // the parameters of all dispatches, one slot each
        let slot = slot_bytes(&kernels, gpu.limits.min_uniform_buffer_offset_alignment as usize);
        let mut slots = vec![0; slot * kernels.len()];
        for (kernel, slot) in kernels.iter().zip(slots.chunks_exact_mut(slot.max(1))) {
            slot[..size_of_val(kernel.params.as_slice())].copy_from_slice(bytemuck::cast_slice(&kernel.params));
        }
        let params_usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let params = gpu.create_buffer("params", slots.len() as u64, params_usage)?;
        gpu.queue.write_buffer(&params, 0, &slots);

        let limit = gpu.limits.max_compute_workgroups_per_dimension;
        let with_pipeline = |kernel: Kernel| {
            if kernel.workgroups.iter().any(|&count| count > limit) {
                return Err(Error::Internal {
                    op: kernel.shader,
                    expected: format!("a grid of at most {limit} workgroups a dimension"),
                    got: format!("{:?}", kernel.workgroups),
                });
            }
            let pipeline = pipelines.get(gpu, &kernel)?;
            Ok((kernel, pipeline))
        };
        let kernels = kernels.into_iter().map(with_pipeline).collect::<Result<Vec<_>>>()?;
        let table_words = FIRST_TABLE_WORDS;
        let step = step_buffer(gpu, capacity, table_words)?;
        // larger where a step needs more
        let bytes = pieces_bytes(kernels.iter().map(|(kernel, _)| kernel), 1);
        let pieces = gpu.create_buffer("pieces", bytes, wgpu::BufferUsages::STORAGE)?;
        let pace = Rc::new(Pace::new(capacity, kernels.len(), chunk));
        let (words, generation) = (Vec::new(), buffers.generation);
        let dispatches = Vec::with_capacity(kernels.len());
        let caches = kernels.iter().flat_map(|(kernel, _)| &kernel.bindings).filter_map(|binding| match binding {
            Binding::KeysValues { buffer, .. } => Some(*buffer),
            _ => None,
        });
        let caches = caches.collect();
        let states = kernels.iter().flat_map(|(kernel, _)| &kernel.bindings).filter_map(|binding| match binding {
            Binding::States(buffer) => Some(*buffer),
            _ => None,
        });
        let states = states.collect();
        let mut program = Self {
            capacity,
            step,
            table_words,
            words,
            params,
            slot,
            pieces,
            dispatches,
            caches,
            states,
            generation,
            pace,
        };
        for (i, (kernel, pipeline)) in kernels.into_iter().enumerate() {
            let bind_group = program.bind(gpu, buffers, i, &kernel, &pipeline)?;
            program.dispatches.push(Dispatch { kernel, pipeline, bind_group });
        }
        Ok(program)
    }

    /// The bind group of dispatch `i`.
    fn bind(
        &self,
        gpu: &Gpu,
        buffers: &Buffers,
        i: usize,
        kernel: &Kernel,
        pipeline: &wgpu::ComputePipeline,
    ) -> Result<wgpu::BindGroup> {
        let part = |buffer, offset: usize, size| {
            let size = wgpu::BufferSize::new(size);
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: offset as u64, size })
        };
        let table_bytes = self.table_words * size_of::<u32>();
        let mut entries = vec![
            wgpu::BindGroupEntry { binding: 0, resource: part(&self.step, 0, STEP_BYTES) },
            wgpu::BindGroupEntry { binding: 1, resource: part(&self.params, i * self.slot, self.slot as u64) },
        ];
        for (slot, binding) in kernel.slots() {
            let resource = match binding {
                Binding::Tables => part(&self.step, TABLES_OFFSET, table_bytes as u64),
                Binding::Rows => part(&self.step, TABLES_OFFSET + table_bytes, 0),
                Binding::Pieces { .. } | Binding::Intermediate { .. } => self.pieces.as_entire_binding(),
                Binding::Values(id) | Binding::Quants(id) => buffers.get(id)?.plane(0)?.as_entire_binding(),
                Binding::Scales(id) => buffers.get(id)?.plane(1)?.as_entire_binding(),
                Binding::States(id) => buffers.get(id)?.plane(0)?.as_entire_binding(),
                Binding::KeysValues { buffer, part } => buffers.get(buffer)?.plane(part)?.as_entire_binding(),
            };
            entries.push(wgpu::BindGroupEntry { binding: slot, resource });
        }
        Ok(gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(kernel.shader),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        }))
    }

    /// Makes room for what this step needs, and binds what was replaced since the last one.
    fn fit(&mut self, gpu: &Gpu, buffers: &Buffers, table_words: usize, reach: usize) -> Result<()> {
        let tables = table_words > self.table_words;
        if tables {
            let words = table_words.next_power_of_two();
            let larger = step_buffer(gpu, self.capacity, words)?;
            std::mem::replace(&mut self.step, larger).destroy();
            self.table_words = words;
        }
        let bytes = pieces_bytes(self.dispatches.iter().map(|dispatch| &dispatch.kernel), reach);
        let pieces = bytes > self.pieces.size();
        if pieces {
            // an eighth more, so that not every new piece makes it anew
            let larger = gpu.create_buffer("pieces", bytes + bytes / 8, wgpu::BufferUsages::STORAGE)?;
            std::mem::replace(&mut self.pieces, larger).destroy();
        }
        let replaced = self.generation != buffers.generation;
        for i in 0..self.dispatches.len() {
            let Dispatch { kernel, pipeline, .. } = &self.dispatches[i];
            let is_stale = |binding: &Binding| match binding {
                Binding::KeysValues { .. } | Binding::States(_) => replaced,
                Binding::Pieces { .. } | Binding::Intermediate { .. } => pieces,
                _ => false,
            };
            if tables || kernel.bindings.iter().any(is_stale) {
                self.dispatches[i].bind_group = self.bind(gpu, buffers, i, kernel, pipeline)?;
            }
        }
        self.generation = buffers.generation;
        Ok(())
    }

    /// Whether it reads a KV cache.
    pub fn has_layers(&self) -> bool {
        !self.caches.is_empty()
    }

    /// Rows of a step that it takes.
    pub fn rows(&self, step: &Step) -> usize {
        step.count(self.capacity)
    }

    /// Dispatches per replay.
    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// Frees its buffers at once, which a browser would do only at its next garbage collection.
    /// Queued work still runs.
    pub fn destroy(&self) {
        [&self.step, &self.params, &self.pieces].into_iter().for_each(wgpu::Buffer::destroy);
    }

    /// Queues a replay; returns its last submit. Errors: `Internal` for a step without rows or
    /// without the blocks that it needs, `OutOfMemory`.
    pub fn run(
        &mut self,
        gpu: &Gpu,
        buffers: &Buffers,
        step: &Step,
        feedback: Option<Feedback>,
    ) -> Result<Option<wgpu::SubmissionIndex>> {
        let feeds = feedback.as_ref().map_or(&[][..], |feedback| feedback.feeds);
        let rows = step.rows.iter().take(self.capacity).enumerate();
        let fed: Vec<usize> = rows.filter_map(|(row, Row { id, .. })| id.is_none().then_some(row)).collect();
        if fed.last().is_some_and(|&last| last >= feeds.len()) {
            return Err(no_tokens("a row without an id"));
        }
        let extent = self.write(gpu, buffers, step)?;
        let batches = self.dispatches.chunks(self.pace.per_submit(extent[0]));
        let (mut last, count) = (None, batches.len());
        let copies = feedback.as_ref();
        for (i, batch) in batches.enumerate() {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let (first, end) = (copies.filter(|_| i == 0), copies.filter(|_| i + 1 == count));
            for &row in fed.iter().filter(|_| i == 0) {
                let at = TABLES_OFFSET + (self.table_words + ROW_WORDS * row) * size_of::<u32>();
                let from = recent_at(step.rows[row].position);
                encoder.copy_buffer_to_buffer(feeds[row], from, &self.step, at as u64, ID_BYTES);
            }
            if let Some(Feedback { feeds: [feed, ..], recent: Some(recent), .. }) = first {
                encoder.copy_buffer_to_buffer(feed, 0, recent, 0, RECENT as u64 * ID_BYTES);
            }
            encode(&mut encoder.begin_compute_pass(&Default::default()), batch, extent);
            if let (Some(Feedback { feeds: [feed, ..], read: Some((id, staging)), .. }), Some(row)) =
                (end, step.rows.last())
            {
                encoder.copy_buffer_to_buffer(id, 0, feed, recent_at(row.position + 1), ID_BYTES);
                encoder.copy_buffer_to_buffer(id, 0, &staging.buffer, 0, staging.bytes);
            }
            match end {
                Some(Feedback { read: None, .. }) => gpu.defer(encoder.finish(), []),
                _ => last = Some(gpu.submit(Some(encoder.finish()))),
            }
        }
        Ok(last)
    }

    /// Queues the same replay many times in one pass and one submit, to be timed. Errors: as of
    /// [`Program::run`].
    pub fn run_times(&mut self, gpu: &Gpu, buffers: &Buffers, step: &Step, times: u32) -> Result<()> {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode_times(gpu, buffers, step, times, (&mut encoder, None))?;
        gpu.submit(Some(encoder.finish()));
        Ok(())
    }

    /// Encodes the same replay many times as one pass, with the times of its begin and its end.
    /// Errors: as of [`Program::run`].
    pub fn encode_times(
        &mut self,
        gpu: &Gpu,
        buffers: &Buffers,
        step: &Step,
        times: u32,
        (encoder, clock): (&mut wgpu::CommandEncoder, Option<&wgpu::QuerySet>),
    ) -> Result<()> {
        let extent = self.write(gpu, buffers, step)?;
        let timestamp_writes = clock.map(|query_set| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
        (0..times).for_each(|_| encode(&mut pass, &self.dispatches, extent));
        Ok(())
    }

    /// Writes a step to the GPU. Returns its rows, and the positions of its longest sequence.
    fn write(&mut self, gpu: &Gpu, buffers: &Buffers, step: &Step) -> Result<[usize; 2]> {
        let rows = &step.rows[..self.rows(step)];
        if rows.is_empty() {
            return Err(no_tokens("none"));
        }
        if let Some(blocks) =
            self.caches.iter().map(|cache| buffers.table.get(*cache).map_or(0, GpuBuffer::blocks)).min()
        {
            step.check_tables(blocks)?;
        }
        let slots = |states: &BufferId| buffers.table.get(*states).map_or(0, GpuBuffer::blocks);
        if let Some(slots) = self.states.iter().map(slots).min() {
            step.check_states(slots)?;
        }
        let (tables, starts) = tables(step);
        let reach = rows.iter().map(|row| row.position + 1).max().unwrap_or(0);
        self.fit(gpu, buffers, tables.len(), reach)?;
        self.words.clear();
        self.words.extend([rows.len() as u32, reach as u32, step.random, step.second]);
        self.words.resize(TABLES_OFFSET / size_of::<u32>(), 0);
        self.words.extend(&tables);
        self.words.resize(TABLES_OFFSET / size_of::<u32>() + self.table_words, 0);
        let mut wanted = step.wanted();
        for row in rows {
            let Row { id, position, sequence, .. } = *row;
            let start = starts.get(sequence).copied().unwrap_or(0);
            // a program without a KV cache needs no tables
            let slot = if self.caches.is_empty() { 0 } else { step.slot(row).0 * KV_BLOCK + position % KV_BLOCK };
            let wanted = wanted.next().map_or(u32::MAX, |row| row as u32);
            self.words.extend([id.unwrap_or(0), position as u32, slot as u32, start, wanted]);
        }
        gpu.queue.write_buffer(&self.step, 0, bytemuck::cast_slice(&self.words));
        Ok([rows.len(), reach])
    }
}

fn encode(pass: &mut wgpu::ComputePass, dispatches: &[Dispatch], [rows, reach]: [usize; 2]) {
    for dispatch in dispatches {
        let [x, y, z] = dispatch.kernel.grid(rows, reach);
        pass.set_pipeline(&dispatch.pipeline);
        pass.set_bind_group(0, &dispatch.bind_group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

fn no_tokens(got: &str) -> Error {
    Error::Internal { op: "run", expected: "at least one token".into(), got: got.into() }
}

/// The length of its source text, the slots of its state, the length and the block table of each
/// sequence of a step, concatenated, and where the length is.
fn tables(step: &Step) -> (Vec<u32>, Vec<u32>) {
    let (mut words, mut starts) = (Vec::new(), Vec::new());
    for (sequence, table) in step.tables.iter().enumerate() {
        let length = step.length(sequence);
        words.push(step.source(sequence) as u32);
        words.extend(step.states.get(sequence).unwrap_or(&[NO_STATE; 2]));
        starts.push(words.len() as u32);
        words.push(length as u32);
        words.extend(table.iter().take(length.div_ceil(KV_BLOCK)));
    }
    (words, starts)
}

/// The buffer of a step with room for these rows, and words of tables.
fn step_buffer(gpu: &Gpu, rows: usize, table_words: usize) -> Result<wgpu::Buffer> {
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    gpu.create_buffer("step", step_bytes(rows, table_words), usage)
}

fn step_bytes(rows: usize, table_words: usize) -> u64 {
    (TABLES_OFFSET + (table_words + ROW_WORDS * rows) * size_of::<u32>()) as u64
}

/// Largest number of rows of an operation.
pub(super) fn capacity(kernels: &[Kernel]) -> usize {
    kernels.iter().filter_map(|kernel| kernel.params.first()).max().map_or(0, |&rows| rows as usize)
}

/// Bytes of the parameters of a dispatch.
fn slot_bytes(kernels: &[Kernel], alignment: usize) -> usize {
    let words = kernels.iter().map(|kernel| kernel.params.len()).max().unwrap_or(0);
    (words * size_of::<u32>()).next_multiple_of(alignment)
}

/// Bytes of the pieces for a step whose longest sequence has `reach` positions.
fn pieces_bytes<'a>(kernels: impl Iterator<Item = &'a Kernel>, reach: usize) -> u64 {
    let values = kernels.flat_map(|kernel| &kernel.bindings).map(|binding| match *binding {
        Binding::Pieces { len, pieces } => len * pieces.count(reach),
        Binding::Intermediate { words } => words,
        _ => 0,
    });
    (values.max().unwrap_or(0) * size_of::<f32>()) as u64
}

/// Bytes of the buffers of a program, at the usual alignment, for a step with one sequence of
/// `reach` positions.
pub(super) fn program_bytes(kernels: &[Kernel], reach: usize) -> u64 {
    let table_words = (4 + reach.div_ceil(KV_BLOCK)).next_power_of_two().max(FIRST_TABLE_WORDS);
    let params = slot_bytes(kernels, TABLES_OFFSET) * kernels.len();
    let buffers = [step_bytes(capacity(kernels), table_words), params as u64, pieces_bytes(kernels.iter(), reach)];
    buffers.map(buffer_size).iter().sum()
}
