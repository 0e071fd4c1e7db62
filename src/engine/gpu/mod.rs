//! The GPU engine: runs recordings as compute shaders through wgpu. The only place that uses wgpu.
//!
//! It requires nothing beyond core WebGPU; shaders that use optional features are used where the
//! adapter has them. All work is queued, and results are awaited, since wasm must not block.
//!
//! | file | contents |
//! |---|---|
//! | `device` | adapter, limits, allocation, late errors |
//! | [`shader`] | shader sources and their preprocessor |
//! | `program` | a recording → pipelines and bind groups; replay |
//! | `sampled_ids` | ids of steps that are queued ahead |
//! | `caches` | memory of KV caches |
//! | `readback` | waits for results, and for the end of queued work |
//! | `tiles` | layout of weights in memory |
//! | `tuner` | choice of shaders by measurement |
//! | `self_test` | checks the kernels of a model |
//! | here | buffers and uploads |

mod caches;
mod device;
mod program;
mod readback;
mod sampled_ids;
mod self_test;
pub mod shader;
mod tiles;
mod tuner;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;

use device::Gpu;
use program::{Buffers, Paces, Pipelines, Program};
use sampled_ids::SampledIds;
use tiles::{Run, Tiler, plane_bytes};

use super::table::Table;
use super::{Counters, DeviceSampling, Engine, EngineInfo, Hints, LocalFuture, ProgramId, freed, released};
use crate::format::block::BlockType;
use crate::format::{Layout, Planes, repack};
use crate::ops::{Command, Op, Recording, Variants};
use crate::record::{BufferId, Matrix, Memory, Step};
use crate::{Error, Result};

const CACHE_USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST).union(wgpu::BufferUsages::COPY_SRC);

/// Bytes of uploads after which a loader waits: wgpu holds a copy of each until the GPU has taken
/// it.
const UPLOAD_BYTES: u64 = 16 << 20;

/// Values or a quants plane, and the scales plane of a quantised matrix.
struct GpuBuffer {
    main: wgpu::Buffer,
    scales: Option<wgpu::Buffer>,
    /// Values of a block, of a KV cache.
    block_len: Option<usize>,
    label: String,
}

impl GpuBuffer {
    fn bytes(&self) -> u64 {
        self.main.size() + self.scales.as_ref().map_or(0, wgpu::Buffer::size)
    }

    /// Frees the memory at once, which a browser would do only at its next garbage collection.
    /// Queued work still runs.
    fn destroy(&self) {
        self.main.destroy();
        self.scales.iter().for_each(wgpu::Buffer::destroy);
    }

    /// Bytes of a block of a KV cache.
    fn block_bytes(&self) -> u64 {
        self.block_len.map_or(0, |len| (len * size_of::<f32>()) as u64)
    }

    /// Blocks that there is memory for.
    fn blocks(&self) -> usize {
        self.main.size().checked_div(self.block_bytes()).unwrap_or(0) as usize
    }
}

/// The shaders in use.
struct Shaders {
    variants: Variants,
    /// Notes on the choice for users and developers.
    notes: Vec<String>,
    pipelines: Pipelines,
}

/// Runs recordings on a GPU.
pub struct GpuEngine {
    gpu: Rc<Gpu>,
    /// Shared with the engine of a self-test.
    shaders: Rc<RefCell<Shaders>>,
    buffers: Table<BufferId, GpuBuffer>,
    /// How often one of them was replaced.
    generation: u64,
    /// See [`GpuEngine::set_memory_limit`].
    memory_limit: u64,
    programs: Table<ProgramId, Program>,
    counters: Counters,
    sampled_ids: SampledIds,
    /// Repacked rows on their way to the GPU.
    scratch: Planes,
    tiler: Tiler,
    /// Bytes uploaded since the last wait for the queue.
    uploading: u64,
    /// Signals that the pipeline begun last is compiled.
    compiling: Option<oneshot::Receiver<()>>,
    /// The staging buffer of readbacks; `None` while one is in progress.
    staging: Rc<Cell<Option<wgpu::Buffer>>>,
    /// Queued replays whose time will determine the size of the next submits.
    paces: Paces,
}

impl Drop for GpuEngine {
    fn drop(&mut self) {
        self.clear();
    }
}

impl GpuEngine {
    /// Opens the best adapter and chooses its shaders. Errors: `GpuUnavailable`, with a remedy.
    pub async fn new(hints: Hints<'_>) -> Result<Self> {
        let mut engine = Self::open(hints.subgroups).await?;
        engine.tune(hints.tuning).await?;
        Ok(engine)
    }

    /// Opens the best adapter with the given shaders, for tests and measurements.
    pub async fn with_variants(variants: Variants) -> Result<Self> {
        let mut engine = Self::open(false).await?;
        if let Some(missing) = variants.needs().into_iter().find(|need| !engine.gpu.features.contains(need)) {
            return Err(Error::GpuUnavailable(format!("the adapter has no {}", missing.name())));
        }
        engine.reset(variants)?;
        Ok(engine)
    }

    /// Opens the best adapter with shaders that work everywhere but are not fast. `subgroups`: see
    /// [`Hints`].
    pub async fn open(subgroups: bool) -> Result<Self> {
        let shaders = Shaders { variants: Variants::PLAIN, notes: Vec::new(), pipelines: Pipelines::default() };
        Ok(Self::on(Rc::new(Gpu::new(subgroups).await?), Rc::new(RefCell::new(shaders))))
    }

    /// An engine without buffers.
    fn on(gpu: Rc<Gpu>, shaders: Rc<RefCell<Shaders>>) -> Self {
        Self {
            gpu,
            shaders,
            tiler: Tiler::default(),
            buffers: Table::default(),
            generation: 0,
            memory_limit: u64::MAX,
            programs: Table::default(),
            counters: Counters::default(),
            sampled_ids: SampledIds::default(),
            scratch: Planes::default(),
            uploading: 0,
            compiling: None,
            staging: Rc::default(),
            paces: Paces::default(),
        }
    }

    fn variants(&self) -> Variants {
        self.shaders.borrow().variants
    }

    fn set_variants(&mut self, variants: Variants) {
        self.shaders.borrow_mut().variants = variants;
    }

    /// Adds a note to [`Engine::info`].
    fn note(&mut self, note: String) {
        self.shaders.borrow_mut().notes.push(note);
    }

    /// Frees all buffers and programs.
    fn clear(&mut self) {
        // commands that wait for a submit may name them
        self.flush();
        self.buffers.values().for_each(GpuBuffer::destroy);
        self.buffers.clear();
        self.programs.values().for_each(Program::destroy);
        self.programs.clear();
    }

    /// Chooses the shaders that suit the adapter, before any buffer is created. See
    /// [`GpuEngine::new`].
    pub async fn tune(&mut self, tuning: Option<&str>) -> Result<()> {
        tuner::tune(self, tuning).await
    }

    /// Resets the engine, without buffers, to these shaders.
    fn reset(&mut self, variants: Variants) -> Result<()> {
        self.clear();
        self.counters = Counters::default();
        self.tiler = Tiler::default();
        let mut shaders = self.shaders.borrow_mut();
        shaders.pipelines = Pipelines::default();
        shaders.variants = variants;
        self.gpu.check()
    }

    /// Clears an error of a trial; returns whether the GPU can continue after it.
    fn recover(&mut self, error: &Error) -> bool {
        let lost = matches!(error, Error::DeviceLost(_));
        if !lost {
            self.gpu.watch.faults.clear();
        }
        !lost
    }

    /// Whether the adapter is emulated on the CPU. The CPU engine is then many times faster.
    pub fn is_software(&self) -> bool {
        self.gpu.is_software()
    }

    /// Bounds the work that is queued ahead while sampling; 100 ms by default, and never less than
    /// one step.
    pub fn set_queue_limit(&mut self, limit: Duration) {
        self.sampled_ids.set_limit(limit);
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
        self.gpu.queue.write_buffer(buffer, offset as u64, bytes);
        self.uploading += bytes.len() as u64;
        Ok(())
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
        self.buffers.values().map(GpuBuffer::bytes).sum()
    }

    fn buffer_bytes(&self, buffer: BufferId) -> u64 {
        self.buffers.get(buffer).map_or(0, GpuBuffer::bytes)
    }

    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let main = self.gpu.create_buffer(label, len as u64 * size_of::<f32>() as u64, usage)?;
        Ok(self.buffers.insert(GpuBuffer { main, scales: None, block_len: None, label: label.into() }))
    }

    fn create_blocks(&mut self, label: &str, len: usize, count: usize) -> Result<BufferId> {
        let main = self.gpu.create_buffer(label, (len * count * size_of::<f32>()) as u64, CACHE_USAGE)?;
        Ok(self.buffers.insert(GpuBuffer { main, scales: None, block_len: Some(len), label: label.into() }))
    }

    fn hold_blocks<'a>(&'a mut self, buffers: &'a [BufferId], held: &'a [bool]) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.hold(buffers, held))
    }

    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()> {
        self.gpu.check()?;
        let caches: Vec<&GpuBuffer> = buffers.iter().map(|&buffer| self.cache(buffer)).collect::<Result<_>>()?;
        let most = caches.iter().map(|cache| cache.block_bytes()).max().unwrap_or(0);
        // WebGPU copies no buffer to itself
        let between = self.gpu.create_buffer("copy of a block", most, CACHE_USAGE)?;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for cache in caches {
            let (bytes, main) = (cache.block_bytes(), &cache.main);
            encoder.copy_buffer_to_buffer(main, from as u64 * bytes, &between, 0, bytes);
            encoder.copy_buffer_to_buffer(&between, 0, main, to as u64 * bytes, bytes);
        }
        self.gpu.defer(encoder.finish(), [between]);
        Ok(())
    }

    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()> {
        let GpuBuffer { main, block_len, .. } = self.buffers.get(buffer).ok_or_else(|| freed("write"))?;
        let (target, is_cache) = (main.clone(), block_len.is_some());
        if is_cache {
            // copies of blocks are deferred, and a write comes before the next submit
            self.flush();
        }
        self.write(&target, offset * size_of::<f32>(), bytemuck::cast_slice(values))
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let (quants_bytes, scales_bytes) = plane_bytes(layout, rows, cols, self.variants().row_tile(rows));
        let main = self.gpu.create_buffer(label, quants_bytes, usage)?;
        let scales = match scales_bytes {
            0 => None,
            bytes => Some(self.gpu.create_buffer(label, bytes, usage)?),
        };
        let buffer = self.buffers.insert(GpuBuffer { main, scales, block_len: None, label: label.into() });
        Ok(Matrix { buffer, layout, rows, cols })
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        let GpuBuffer { main, scales, .. } = self.buffers.get(matrix.buffer).ok_or_else(|| freed("write"))?;
        let (main, scales) = (main.clone(), scales.clone());
        let mut planes = std::mem::take(&mut self.scratch);
        planes.clear();
        repack(block, matrix.cols, rows, &mut planes);
        let row_tile = self.variants().row_tile(matrix.rows);
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

    fn free(&mut self, buffer: BufferId) {
        if let Some(buffer) = self.buffers.remove(buffer) {
            // commands that wait for a submit may name it
            self.flush();
            buffer.destroy();
        }
    }
}

impl Engine for GpuEngine {
    fn info(&self) -> EngineInfo {
        let wgpu::AdapterInfo { name, backend, driver, driver_info, .. } = &self.gpu.adapter;
        // browsers hide the name
        let name = if name.is_empty() { "GPU" } else { name };
        let description = format!("{name} ({backend} {driver} {driver_info}");
        let Variants { matvec_wide, matvec_narrow, matmul, matmul_int8, attend_one, attend_many, .. } = self.variants();
        let matmul = matmul_int8.unwrap_or(matmul);
        let linear = format!("linear: {}; {}; {}", matvec_wide.name, matvec_narrow.name, matmul.name);
        let attention = format!("attention: {}; {}", attend_one.name, attend_many.name);
        let features: Vec<&str> = self.gpu.features.iter().map(|feature| feature.name()).collect();
        let features = format!(
            "beyond the core of WebGPU: {}",
            if features.is_empty() { "nothing".into() } else { features.join(", ") }
        );
        let notes =
            [linear, attention, features].into_iter().chain(self.shaders.borrow().notes.iter().cloned()).collect();
        EngineInfo { kind: "gpu", description: format!("{})", description.trim_end()), notes }
    }

    fn tuning(&self) -> Option<String> {
        tuner::remember(&self.variants())
    }

    fn compile(&mut self, command: &Command) -> Result<bool> {
        self.gpu.check()?;
        for kernel in command.kernels(&self.variants()) {
            if self.shaders.borrow().pipelines.has(&kernel) {
                continue;
            }
            if self.compiling.as_mut().is_some_and(|done| done.try_recv() == Ok(None)) {
                return Ok(false);
            }
            self.shaders.borrow_mut().pipelines.get(&self.gpu, &kernel)?;
            self.compiling = Some(self.queue_done());
        }
        Ok(true)
    }

    fn self_test(&mut self, commands: Vec<Command>) -> LocalFuture<'static, Result<()>> {
        // the buffers of the trials are not among those of the models
        let mut engine = Self::on(self.gpu.clone(), self.shaders.clone());
        Box::pin(async move { self_test::check(&mut engine, &commands).await })
    }

    fn throttle(&mut self) -> LocalFuture<'static, Result<()>> {
        if self.uploading < UPLOAD_BYTES {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.gpu.submit(None);
        self.wait_for_queue()
    }

    fn prepare(&mut self, recording: Recording) -> Result<ProgramId> {
        self.gpu.check()?;
        let buffers = Buffers { all: &self.buffers, generation: self.generation };
        let Shaders { variants, pipelines, .. } = &mut *self.shaders.borrow_mut();
        let program = Program::new(&self.gpu, pipelines, variants, buffers, &recording)?;
        // natively, a shader or binding that is refused is known by now
        self.gpu.check()?;
        Ok(self.programs.insert(program))
    }

    fn release(&mut self, program: ProgramId) {
        if let Some(program) = self.programs.remove(program) {
            program.destroy();
        }
    }

    fn run(&mut self, program: ProgramId, step: &Step) -> Result<()> {
        self.gpu.check()?;
        let buffers = Buffers { all: &self.buffers, generation: self.generation };
        let program = self.programs.get_mut(program).ok_or_else(released)?;
        self.paces.begin(program);
        self.counters.submits += program.run(&self.gpu, buffers, step, None)?.count as u64;
        self.counters.dispatches += program.len() as u64;
        Ok(())
    }

    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'static, Result<Vec<f32>>> {
        self.read(buffer, &ranges).unwrap_or_else(|error| Box::pin(std::future::ready(Err(error))))
    }

    fn synchronize(&mut self) -> LocalFuture<'static, Result<()>> {
        self.wait_for_queue()
    }

    fn device_sampling(&mut self) -> Option<&mut dyn DeviceSampling> {
        Some(self)
    }

    fn counters(&self) -> Counters {
        Counters { pipelines: self.shaders.borrow().pipelines.len() as u64, ..self.counters }
    }
}

impl DeviceSampling for GpuEngine {
    fn depth(&self) -> usize {
        self.sampled_ids.depth()
    }

    fn queue(
        &mut self,
        program: ProgramId,
        step: &Step,
        id: BufferId,
        feed: BufferId,
    ) -> Result<LocalFuture<'static, Result<u32>>> {
        self.gpu.check()?;
        let buffers = Buffers { all: &self.buffers, generation: self.generation };
        let program = self.programs.get_mut(program).ok_or_else(released)?;
        self.paces.begin(program);
        let (submits, sampled) = self.sampled_ids.queue(&self.gpu, program, buffers, step, [id, feed])?;
        self.counters.submits += submits as u64;
        self.counters.dispatches += program.len() as u64;
        self.counters.readbacks += 1;
        Ok(sampled)
    }
}
