//! The GPU engine: runs recordings as compute shaders through wgpu. The only place that knows wgpu.
//!
//! It asks nothing of a GPU but WebGPU itself; shaders that use more are candidates where there is more. Everything is queued; the one thing that is
//! ever waited for is a readback, and that by awaiting it, since wasm must not block.
//!
//! | file | what it does |
//! |---|---|
//! | `device` | adapter, limits, allocation, errors that come late |
//! | [`shader`] | sources and preprocessor |
//! | `program` | a recording → pipelines and bind groups; replay |
//! | `sampler` | steps queued ahead, and their ids |
//! | `tiles` | the order of weights in memory |
//! | `tuner` | the choice of shaders |
//! | `self_test` | what the model runs, checked |
//! | here | buffers, uploads, readbacks |

mod device;
mod program;
mod sampler;
mod self_test;
pub mod shader;
mod tiles;
mod tuner;

use std::ops::Range;
use std::time::Duration;

use futures_channel::oneshot;

use device::Gpu;
use program::{Buffers, Pipelines, Program};
use sampler::Sampler;
use tiles::{Run, Tiler, plane_bytes};

use super::{Counters, DeviceSampling, Engine, EngineInfo, Hints, LocalFuture, ProgramId};
use crate::format::block::BlockType;
use crate::format::{Layout, Planes, repack};
use crate::ops::{Command, Op, Recording, Variants};
use crate::record::{BufferId, Matrix, Memory, Step};
use crate::{Error, Result};

const CACHE_USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST).union(wgpu::BufferUsages::COPY_SRC);

/// Bytes of uploads after which a loader waits for them: a copy of each is held until the GPU took it.
const UPLOAD_BYTES: u64 = 16 << 20;

/// A plane, or the values themselves, and the scales of a quantised matrix.
struct GpuBuffer {
    main: wgpu::Buffer,
    scales: Option<wgpu::Buffer>,
    /// Values of a block, of a KV cache.
    block_len: Option<usize>,
    label: String,
}

impl GpuBuffer {
    /// Bytes of a block of a KV cache.
    fn block_bytes(&self) -> u64 {
        self.block_len.map_or(0, |len| (len * size_of::<f32>()) as u64)
    }

    /// Blocks that there is memory for.
    fn blocks(&self) -> usize {
        self.main.size().checked_div(self.block_bytes()).unwrap_or(0) as usize
    }
}

/// A KV cache gets an eighth more than is needed, so that it is copied seldom.
const GROWTH: usize = 8;

/// Bytes of KV caches that are replaced together.
const RESIZED_BYTES: u64 = 64 << 20;

/// Runs recordings on a GPU.
pub struct GpuEngine {
    gpu: Gpu,
    variants: Variants,
    /// What a user or developer may want to know about the choice of shaders.
    notes: Vec<String>,
    buffers: Vec<GpuBuffer>,
    /// How often one of them was replaced.
    generation: u64,
    /// See [`GpuEngine::set_memory_limit`].
    memory_limit: u64,
    pipelines: Pipelines,
    programs: Vec<Program>,
    counters: Counters,
    sampler: Sampler,
    /// Repacked rows on their way to the GPU.
    scratch: Planes,
    tiler: Tiler,
    /// Bytes uploaded since the queue was last waited for.
    uploading: u64,
    /// Hears when the pipeline that was begun last is compiled.
    compiling: Option<oneshot::Receiver<()>>,
    /// The buffer that results are read through; absent while a readback is under way.
    staging: Option<wgpu::Buffer>,
}

impl GpuEngine {
    /// The engine on the best adapter, with the shaders that suit it. Errors: `GpuUnavailable`, with what can be done about it.
    pub async fn new(hints: Hints<'_>) -> Result<Self> {
        let mut engine = Self::open(hints.subgroups).await?;
        engine.tune(hints.tuning).await?;
        Ok(engine)
    }

    /// The engine with the given shaders, for tests and measurements.
    pub async fn with_variants(variants: Variants) -> Result<Self> {
        let mut engine = Self::open(false).await?;
        if let Some(missing) = variants.needs().into_iter().find(|need| !engine.gpu.features.contains(need)) {
            return Err(Error::GpuUnavailable(format!("the adapter has no {}", missing.name())));
        }
        engine.reset(variants)?;
        Ok(engine)
    }

    /// The engine on the best adapter, with shaders that are right everywhere and quick nowhere. `subgroups`: see [`Hints`].
    pub async fn open(subgroups: bool) -> Result<Self> {
        let variants = Variants::PLAIN;
        Ok(Self {
            gpu: Gpu::new(subgroups).await?,
            variants,
            notes: Vec::new(),
            tiler: Tiler::default(),
            buffers: Vec::new(),
            generation: 0,
            memory_limit: u64::MAX,
            pipelines: Pipelines::default(),
            programs: Vec::new(),
            counters: Counters::default(),
            sampler: Sampler::default(),
            scratch: Planes::default(),
            uploading: 0,
            compiling: None,
            staging: None,
        })
    }

    /// Chooses the shaders that suit the adapter, before anything is created. See [`GpuEngine::new`].
    pub async fn tune(&mut self, tuning: Option<&str>) -> Result<()> {
        tuner::tune(self, tuning).await
    }

    /// Starts anew, without buffers, with these shaders.
    fn reset(&mut self, variants: Variants) -> Result<()> {
        self.buffers.clear();
        self.programs.clear();
        self.pipelines = Pipelines::default();
        self.counters = Counters::default();
        self.tiler = Tiler::default();
        self.variants = variants;
        self.gpu.check()
    }

    /// Whether the GPU can go on after an error of a trial, which is then forgotten.
    fn recover(&mut self, error: &Error) -> bool {
        let lost = matches!(error, Error::DeviceLost(_));
        if !lost {
            self.gpu.faults.clear();
        }
        !lost
    }

    /// Whether the adapter is a program on the CPU. The CPU engine is then many times faster.
    pub fn is_software(&self) -> bool {
        self.gpu.is_software()
    }

    /// Bounds the work that is queued ahead while sampling; 100 ms by default, and never less than one step.
    pub fn set_queue_limit(&mut self, limit: Duration) {
        self.sampler.set_limit(limit);
    }

    /// Bounds the bytes of all buffers: taking a block of a KV cache beyond is `OutOfMemory`.
    pub fn set_memory_limit(&mut self, bytes: u64) {
        self.memory_limit = bytes;
    }

    fn write(&mut self, buffer: &wgpu::Buffer, offset: usize, bytes: &[u8]) -> Result<()> {
        self.gpu.check()?;
        let end = (offset + bytes.len()) as u64;
        if end > buffer.size() || !bytes.len().is_multiple_of(4) || !offset.is_multiple_of(4) {
            return Err(Error::Internal {
                op: "write",
                expected: format!("whole words within {} bytes", buffer.size()),
                got: format!("{} bytes at {offset}", bytes.len()),
            });
        }
        if bytes.is_empty() {
            return Ok(());
        }
        // a write comes before the next submit, and so before what is deferred
        self.flush();
        self.gpu.queue.write_buffer(buffer, offset as u64, bytes);
        self.uploading += bytes.len() as u64;
        Ok(())
    }

    async fn read(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> Result<Vec<f32>> {
        self.gpu.check()?;
        let source = self.buffers[buffer.0].main.clone();
        let size = |values: usize| (values * size_of::<f32>()) as u64;
        let bytes = size(ranges.iter().map(Range::len).sum());
        if bytes == 0 || ranges.iter().any(|range| size(range.end) > source.size()) {
            let expected = format!("1 to {} values", source.size() / 4);
            return Err(Error::Internal { op: "read", expected, got: format!("{ranges:?}") });
        }
        // It is taken out, so that a caller who drops this future half-way drops the mapped buffer with it.
        let staging = match self.staging.take().filter(|staging| staging.size() >= bytes) {
            Some(staging) => staging,
            None => {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                self.gpu.create_buffer("readback", bytes, usage)?
            }
        };
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let mut at = 0;
        for range in ranges {
            encoder.copy_buffer_to_buffer(&source, size(range.start), &staging, at, size(range.len()));
            at += size(range.len());
        }
        self.gpu.submit(Some(encoder.finish()));
        self.counters.submits += 1;
        self.counters.readbacks += 1;

        let (sender, receiver) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
            // nobody listens where the caller gave up
            let _ = sender.send(result);
        });
        self.gpu.wait();
        let mapped = receiver.await;
        self.gpu.settle().await?;
        self.programs.iter_mut().for_each(Program::done);
        let failed = |error: String| Error::DeviceLost(format!("a readback failed: {error}"));
        mapped.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        let view = staging.get_mapped_range(..bytes).map_err(|error| failed(error.to_string()))?;
        let values = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        staging.unmap();
        self.staging = Some(staging);
        Ok(values)
    }

    /// See [`Memory::hold_blocks`]. A KV cache is one buffer of all blocks up to the last that is held.
    async fn hold(&mut self, caches: &[BufferId], held: &[bool]) -> Result<()> {
        self.gpu.check()?;
        let count = held.iter().rposition(|held| *held).map_or(0, |last| last + 1);
        let most = count + count / GROWTH;
        // where there is enough, and not much more, nothing is copied
        let fits = |cache: &BufferId| (count..=most).contains(&self.buffers[cache.0].blocks());
        let caches: Vec<BufferId> = caches.iter().copied().filter(|cache| !fits(cache)).collect();
        match self.resize(&caches, most).await {
            Err(Error::OutOfMemory { .. }) if most > count => self.resize(&caches, count).await,
            resized => resized,
        }
    }

    /// Gives caches memory for so many blocks, a few at a time, as old and new ones exist side by side.
    async fn resize(&mut self, caches: &[BufferId], blocks: usize) -> Result<()> {
        let before: Vec<usize> = caches.iter().map(|cache| self.buffers[cache.0].blocks()).collect();
        let bytes = |cache: &BufferId| self.buffers[cache.0].block_bytes() * blocks as u64;
        let together = (RESIZED_BYTES / caches.iter().map(bytes).max().unwrap_or(0).max(1)).max(1) as usize;
        for (i, some) in caches.chunks(together).enumerate() {
            if i > 0 {
                // the memory of those before
                self.flush();
            }
            if let Err(error) = self.replace(some, blocks).await {
                for (cache, blocks) in caches.iter().zip(before).take(i * together) {
                    // what cannot be given back stays unused
                    let _ = self.replace(&[*cache], blocks).await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// The same of all these at once. Errors: `OutOfMemory`; then none was replaced.
    async fn replace(&mut self, caches: &[BufferId], blocks: usize) -> Result<()> {
        let (mut needed, mut new) = (self.memory_bytes(), Vec::new());
        for cache in caches {
            let cache = &self.buffers[cache.0];
            let bytes = cache.block_bytes() * blocks as u64;
            needed = needed - cache.main.size() + bytes;
            if bytes > cache.main.size() && needed > self.memory_limit {
                let limit = format!("and the engine may have {} in all", self.memory_limit);
                return Err(Error::OutOfMemory { what: cache.label.clone(), needed, limit });
            }
            new.push(self.gpu.try_buffer(&cache.label, bytes, CACHE_USAGE)?);
        }
        // all are asked for before any answer is waited for
        let (mut buffers, mut failed) = (Vec::new(), None);
        for new in new {
            match new.await {
                Ok(buffer) => buffers.push(buffer),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            buffers.iter().for_each(wgpu::Buffer::destroy);
            return Err(error);
        }
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let mut old = Vec::new();
        let mut shrinks = false;
        for (cache, new) in caches.iter().zip(buffers) {
            let cache = &mut self.buffers[cache.0];
            let bytes = cache.block_bytes() * cache.blocks().min(blocks) as u64;
            if bytes > 0 {
                encoder.copy_buffer_to_buffer(&cache.main, 0, &new, 0, bytes);
            }
            shrinks |= blocks < cache.blocks();
            old.push(std::mem::replace(&mut cache.main, new));
        }
        self.gpu.defer(encoder.finish(), old);
        self.generation += 1;
        // what shrinks is to be free at once; what grows is about to be used
        if shrinks {
            self.flush();
        }
        Ok(())
    }

    /// Submits what was deferred.
    fn flush(&mut self) {
        if self.gpu.has_deferred() {
            self.gpu.submit(None);
            self.counters.submits += 1;
        }
    }

    /// Hears when the GPU has done everything that it was told so far.
    fn queue_done(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.gpu.queue.on_submitted_work_done(move || {
            let _ = sender.send(());
        });
        self.gpu.wait();
        receiver
    }

    async fn wait_for_queue(&mut self) -> Result<()> {
        let done = self.queue_done().await;
        self.uploading = 0;
        self.gpu.settle().await?;
        self.programs.iter_mut().for_each(Program::done);
        done.map_err(|_| Error::DeviceLost("the queue never finished".into()))
    }
}

impl Memory for GpuEngine {
    fn max_buffer_bytes(&self) -> u64 {
        self.gpu.max_buffer_bytes()
    }

    fn buffer_limit(&self) -> String {
        self.gpu.buffer_limit()
    }

    fn memory_bytes(&self) -> u64 {
        let bytes = |buffer: &GpuBuffer| buffer.main.size() + buffer.scales.as_ref().map_or(0, wgpu::Buffer::size);
        self.buffers.iter().map(bytes).sum()
    }

    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let main = self.gpu.create_buffer(label, len as u64 * size_of::<f32>() as u64, usage)?;
        self.buffers.push(GpuBuffer { main, scales: None, block_len: None, label: label.into() });
        Ok(BufferId(self.buffers.len() - 1))
    }

    fn create_blocks(&mut self, label: &str, len: usize, count: usize) -> Result<BufferId> {
        let main = self.gpu.create_buffer(label, (len * count * size_of::<f32>()) as u64, CACHE_USAGE)?;
        self.buffers.push(GpuBuffer { main, scales: None, block_len: Some(len), label: label.into() });
        Ok(BufferId(self.buffers.len() - 1))
    }

    fn hold_blocks<'a>(&'a mut self, buffers: &'a [BufferId], held: &'a [bool]) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.hold(buffers, held))
    }

    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()> {
        self.gpu.check()?;
        let most = buffers.iter().map(|buffer| self.buffers[buffer.0].block_bytes()).max().unwrap_or(0);
        // WebGPU copies no buffer to itself
        let between = self.gpu.create_buffer("copy of a block", most, CACHE_USAGE)?;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for buffer in buffers {
            let cache = &self.buffers[buffer.0];
            let (bytes, main) = (cache.block_bytes(), &cache.main);
            encoder.copy_buffer_to_buffer(main, from as u64 * bytes, &between, 0, bytes);
            encoder.copy_buffer_to_buffer(&between, 0, main, to as u64 * bytes, bytes);
        }
        self.gpu.defer(encoder.finish(), [between]);
        Ok(())
    }

    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()> {
        let target = self.buffers[buffer.0].main.clone();
        self.write(&target, offset * size_of::<f32>(), bytemuck::cast_slice(values))
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let (quants_bytes, scales_bytes) = plane_bytes(layout, rows, cols, self.variants.row_tile(rows));
        let main = self.gpu.create_buffer(label, quants_bytes, usage)?;
        let scales = match scales_bytes {
            0 => None,
            bytes => Some(self.gpu.create_buffer(label, bytes, usage)?),
        };
        self.buffers.push(GpuBuffer { main, scales, block_len: None, label: label.into() });
        Ok(Matrix { buffer: BufferId(self.buffers.len() - 1), layout, rows, cols })
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        let mut planes = std::mem::take(&mut self.scratch);
        planes.clear();
        repack(block, matrix.cols, rows, &mut planes);
        let GpuBuffer { main, scales, .. } = &self.buffers[matrix.buffer.0];
        let (main, scales) = (main.clone(), scales.clone());
        let row_tile = self.variants.row_tile(matrix.rows);
        for Run { first_tile, planes } in self.tiler.add(matrix, row_tile, first_row, &planes) {
            let (quants, scale) = plane_bytes(matrix.layout, first_tile * row_tile, matrix.cols, row_tile);
            self.write(&main, quants as usize, &planes.quants)?;
            if let Some(scales) = &scales {
                self.write(scales, scale as usize, &planes.scales)?;
            }
        }
        self.scratch = planes;
        Ok(())
    }
}

impl Engine for GpuEngine {
    fn info(&self) -> EngineInfo {
        let wgpu::AdapterInfo { name, backend, driver, driver_info, .. } = &self.gpu.adapter;
        // browsers hide it
        let name = if name.is_empty() { "GPU" } else { name };
        let description = format!("{name} ({backend} {driver} {driver_info}");
        let Variants { matvec_wide, matvec_narrow, matmul, matmul_int8, attend_one, attend_many, .. } = self.variants;
        let matmul = matmul_int8.unwrap_or(matmul);
        let linear = format!("linear: {}; {}; {}", matvec_wide.name, matvec_narrow.name, matmul.name);
        let attention = format!("attention: {}; {}", attend_one.name, attend_many.name);
        let features: Vec<&str> = self.gpu.features.iter().map(|feature| feature.name()).collect();
        let features = format!(
            "beyond the core of WebGPU: {}",
            if features.is_empty() { "nothing".into() } else { features.join(", ") }
        );
        let notes = [linear, attention, features].into_iter().chain(self.notes.iter().cloned()).collect();
        EngineInfo { kind: "gpu", description: format!("{})", description.trim_end()), notes }
    }

    fn tuning(&self) -> Option<String> {
        tuner::remember(&self.variants)
    }

    fn compile(&mut self, command: &Command) -> Result<bool> {
        self.gpu.check()?;
        for kernel in command.kernels(&self.variants) {
            if self.pipelines.has(&kernel) {
                continue;
            }
            if self.compiling.as_mut().is_some_and(|done| done.try_recv() == Ok(None)) {
                return Ok(false);
            }
            self.pipelines.get(&self.gpu, &kernel)?;
            self.compiling = Some(self.queue_done());
        }
        Ok(true)
    }

    fn self_test<'a>(&'a mut self, commands: &'a [Command]) -> LocalFuture<'a, Result<()>> {
        Box::pin(self_test::check(self, commands))
    }

    fn throttle(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async {
            if self.uploading < UPLOAD_BYTES {
                return Ok(());
            }
            self.gpu.submit(None);
            self.wait_for_queue().await
        })
    }

    fn prepare(&mut self, recording: Recording) -> Result<ProgramId> {
        self.gpu.check()?;
        let buffers = Buffers { all: &self.buffers, generation: self.generation };
        let program = Program::new(&mut self.gpu, &mut self.pipelines, &self.variants, buffers, &recording)?;
        self.programs.push(program);
        // natively, a shader or binding that is refused is known by now
        self.gpu.check()?;
        Ok(ProgramId(self.programs.len() - 1))
    }

    fn run(&mut self, program: ProgramId, step: &Step) -> Result<()> {
        self.gpu.check()?;
        let program = &mut self.programs[program.0];
        let buffers = Buffers { all: &self.buffers, generation: self.generation };
        self.counters.submits += program.run(&mut self.gpu, buffers, step, None)?.count as u64;
        self.counters.dispatches += program.len() as u64;
        Ok(())
    }

    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'_, Result<Vec<f32>>> {
        Box::pin(self.read(buffer, ranges))
    }

    fn synchronize(&mut self) -> LocalFuture<'_, Result<()>> {
        Box::pin(self.wait_for_queue())
    }

    fn device_sampling(&mut self) -> Option<&mut dyn DeviceSampling> {
        Some(self)
    }

    fn counters(&self) -> Counters {
        Counters { pipelines: self.pipelines.len() as u64, ..self.counters }
    }
}

impl DeviceSampling for GpuEngine {
    fn depth(&self) -> usize {
        self.sampler.depth()
    }

    fn queue(&mut self, program: ProgramId, step: &Step, id: BufferId) -> Result<()> {
        self.gpu.check()?;
        let program = &mut self.programs[program.0];
        let buffers = Buffers { all: &self.buffers, generation: self.generation };
        self.counters.submits += self.sampler.queue(&mut self.gpu, program, buffers, step, id)? as u64;
        self.counters.dispatches += program.len() as u64;
        self.counters.readbacks += 1;
        Ok(())
    }

    fn next_id(&mut self) -> LocalFuture<'_, Result<u32>> {
        Box::pin(self.sampler.next_id(&mut self.gpu))
    }

    fn discard(&mut self) {
        self.sampler.discard();
    }
}
