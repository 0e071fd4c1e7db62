//! The GPU engine: runs recordings as compute shaders through wgpu. The only place that uses wgpu.
//!
//! It requires nothing beyond core WebGPU; shaders that use optional features are used where the
//! adapter has them. All work is queued, and results are awaited, since wasm must not block.
//!
//! | file | contents |
//! |---|---|
//! | `device` | adapter, limits, allocation, late errors |
//! | [`shader`] | shader sources and their preprocessor |
//! | `pipelines` | kernels → pipelines |
//! | `program` | a recording → bind groups; replay |
//! | `pace` | how much of a prompt goes in a step, and of a program in a submit |
//! | `sampled_ids` | ids of steps that are queued ahead |
//! | `buffers` | buffers and uploads |
//! | `caches` | memory of KV caches |
//! | `readback` | waits for results, and for the end of queued work |
//! | [`planned`] | the memory of an engine that is not there |
//! | `tiles` | layout of weights in memory |
//! | `tuner` | choice of shaders by measurement |
//! | `stopwatch` | times of replays, for measurements |
//! | `self_test` | checks the kernels of a model |
//! | `waiting` | who waits for answers of the device |
//! | here | the engine |

mod buffers;
mod caches;
mod device;
mod pace;
mod pipelines;
pub mod planned;
mod program;
mod readback;
mod sampled_ids;
mod self_test;
pub mod shader;
#[cfg(not(target_arch = "wasm32"))]
mod stopwatch;
mod tiles;
mod tuner;
mod waiting;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use buffers::Buffers;
use device::Gpu;
use pace::Paces;
use pipelines::Pipelines;
use program::{Feedback, Program};
use sampled_ids::SampledIds;
#[cfg(not(target_arch = "wasm32"))]
pub use stopwatch::Times;
use tiles::Uploads;
pub use tuner::Timing;

use super::shapes::Shapes;
use super::table::Table;
use super::{
    Counters, DeviceSampling, Engine, EngineInfo, Hints, Ids, LARGEST_CHUNK, LocalFuture, PROMPT_CHUNK, ProgramId, now,
    released,
};
use crate::ops::variants::Feature;
use crate::ops::{Command, Op, Recording, Variants};
use crate::record::{BufferId, Step};
use crate::{Error, Result};

/// The shaders in use.
struct Shaders {
    variants: Variants,
    /// Notes on the choice for users and developers.
    notes: Vec<String>,
    pipelines: Pipelines,
    /// See [`Engine::tuning`].
    remembered: Option<String>,
}

impl Shaders {
    /// They work everywhere but are not fast.
    fn plain() -> Rc<RefCell<Self>> {
        let (notes, pipelines) = (Vec::new(), Pipelines::default());
        Rc::new(RefCell::new(Self { variants: Variants::PLAIN, notes, pipelines, remembered: None }))
    }
}

/// Runs recordings on a GPU.
pub struct GpuEngine {
    gpu: Rc<Gpu>,
    /// Shared with the engine of a self-test.
    shaders: Rc<RefCell<Shaders>>,
    /// What was remembered of the GPU, until shaders are chosen; `None`: they have been chosen.
    untuned: Option<Option<String>>,
    /// Shared with the futures that resize KV caches.
    buffers: Rc<RefCell<Buffers>>,
    programs: Table<ProgramId, Program>,
    counters: Counters,
    sampled_ids: SampledIds,
    uploads: Uploads,
    /// Bytes uploaded since the last wait for the queue.
    uploading: u64,
    /// The staging buffer of readbacks; `None` while one is in progress.
    staging: Rc<Cell<Option<wgpu::Buffer>>>,
    /// Queued replays whose time will determine the size of the next ones.
    paces: Paces,
    /// Most tokens of a prompt per step.
    prompt_rows: usize,
    /// Tokens of a prompt per step; `None`: by what they take.
    chunk: Option<usize>,
}

impl Drop for GpuEngine {
    fn drop(&mut self) {
        self.clear();
    }
}

impl GpuEngine {
    /// Opens the best adapter, with its shaders chosen for a model of no matter which shapes, for
    /// tests. Errors: `GpuUnavailable`, with a remedy.
    pub async fn new(hints: Hints<'_>) -> Result<Self> {
        let mut engine = Self::untuned(hints).await?;
        engine.tune(&Shapes::default()).await?;
        Ok(engine)
    }

    /// Opens the best adapter; [`Engine::tune`] chooses its shaders. Errors: `GpuUnavailable`, with
    /// a remedy.
    pub async fn untuned(hints: Hints<'_>) -> Result<Self> {
        let mut engine = Self::on(Rc::new(Gpu::new(hints).await?), Shaders::plain());
        engine.untuned = Some(hints.tuning.map(str::to_string));
        Ok(engine)
    }

    /// Opens the best adapter with the given shaders, for tests and measurements.
    pub async fn with_variants(variants: Variants) -> Result<Self> {
        let mut engine = Self::open().await?;
        if let Some(missing) = variants.needs().into_iter().find(|need| !engine.gpu.features.contains(need)) {
            return Err(Error::GpuUnavailable(format!("the adapter has no {}", missing.name())));
        }
        engine.reset(variants)?;
        engine.shaders.borrow_mut().remembered = tuner::remember(&variants, 0, "", None);
        Ok(engine)
    }

    /// Opens the best adapter with shaders that work everywhere but are not fast.
    pub async fn open() -> Result<Self> {
        Ok(Self::on(Rc::new(Gpu::new(Hints::default()).await?), Shaders::plain()))
    }

    /// An engine without buffers.
    fn on(gpu: Rc<Gpu>, shaders: Rc<RefCell<Shaders>>) -> Self {
        let prompt_rows = if gpu.is_software() { PROMPT_CHUNK } else { LARGEST_CHUNK };
        Self {
            gpu,
            shaders,
            untuned: None,
            uploads: Uploads::default(),
            buffers: Rc::default(),
            programs: Table::default(),
            counters: Counters::default(),
            sampled_ids: SampledIds::default(),
            uploading: 0,
            staging: Rc::default(),
            paces: Paces::default(),
            prompt_rows,
            chunk: None,
        }
    }

    fn variants(&self) -> Variants {
        self.shaders.borrow().variants
    }

    /// Programs that are prepared from now on have these shaders, and matrices that are created
    /// their layout.
    pub fn set_variants(&mut self, variants: Variants) {
        self.shaders.borrow_mut().variants = variants;
    }

    /// Adds a note to [`Engine::info`].
    fn note(&mut self, note: String) {
        self.shaders.borrow_mut().notes.push(note);
    }

    /// Frees all buffers and programs.
    fn clear(&mut self) {
        // commands that wait for a submit may name them
        self.gpu.flush();
        self.buffers.borrow_mut().clear();
        self.programs.values().for_each(Program::destroy);
        self.programs.clear();
    }

    /// Like [`Engine::tune`], with the candidates timed in this way: for tests. `remembered`: see
    /// [`Engine::tuning`].
    pub async fn tune_by(&mut self, shapes: &Shapes, remembered: Option<&str>, timing: Timing) -> Result<()> {
        self.untuned = None;
        tuner::tune(self, shapes, remembered, timing).await
    }

    /// Queues so many replays of a program in one submit, to be timed. Errors: as of
    /// [`Engine::run`].
    fn run_times(&mut self, program: ProgramId, step: &Step, replays: u32) -> Result<()> {
        self.gpu.check()?;
        let program = self.programs.get_mut(program).ok_or_else(released)?;
        program.run_times(&self.gpu, &self.buffers.borrow(), step, replays)?;
        self.counters.dispatches += program.len() as u64 * u64::from(replays);
        Ok(())
    }

    /// Resets the engine, without buffers, to these shaders. It keeps compiled pipelines: those
    /// that a model needs too are not compiled twice.
    pub fn reset(&mut self, variants: Variants) -> Result<()> {
        self.clear();
        self.counters = Counters::default();
        self.gpu.submits.set(0);
        self.uploads = Uploads::default();
        self.set_variants(variants);
        self.gpu.check()
    }

    /// What the adapter offers beyond the core of WebGPU.
    pub fn features(&self) -> &BTreeSet<Feature> {
        &self.gpu.features
    }

    /// Clears an error of a trial; returns whether the GPU can continue after it.
    pub fn recover(&mut self, error: &Error) -> bool {
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

    /// Reads prompts in chunks of so many tokens, each in one submit if it can be, however long
    /// they take: for tests and measurements, before a program is prepared. By default chunks have
    /// 32 to 512 tokens, by what they take.
    pub fn set_prompt_chunk(&mut self, tokens: usize) {
        (self.prompt_rows, self.chunk) = (tokens, Some(tokens));
    }

    /// Bounds the bytes of all buffers: taking a block of a KV cache beyond is `OutOfMemory`.
    pub fn set_memory_limit(&mut self, bytes: u64) {
        self.buffers.borrow_mut().limit = bytes;
    }

    /// Bounds the bytes of a buffer below what the GPU allows: for tests, before a model is loaded.
    pub fn set_buffer_limit(&mut self, bytes: u64) {
        self.gpu.max_buffer_bytes.set(bytes);
    }

    /// Bounds the bytes of KV caches that are resized together, 64 MiB by default: for that long,
    /// old and new ones exist side by side.
    pub fn set_resize_limit(&mut self, bytes: u64) {
        self.buffers.borrow_mut().resized = bytes;
    }
}

impl Engine for GpuEngine {
    fn info(&self) -> EngineInfo {
        let wgpu::AdapterInfo { name, backend, driver, driver_info, .. } = &self.gpu.adapter;
        // browsers hide the name
        let name = if name.is_empty() { "GPU" } else { name };
        let description = format!("{name} ({backend} {driver} {driver_info}");
        let Variants { matvec_wide, matvec_narrow, matmul, matmul_rounded, attend_one, attend_many, .. } =
            self.variants();
        let matmul = matmul_rounded.unwrap_or(matmul);
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
        self.shaders.borrow().remembered.clone()
    }

    fn tune(&mut self, shapes: &Shapes) -> LocalFuture<'static, Result<()>> {
        let Some(remembered) = self.untuned.take() else { return Box::pin(std::future::ready(Ok(()))) };
        // a model that is loaded meanwhile keeps the plain ones
        let mut engine = Self::on(self.gpu.clone(), Shaders::plain());
        let (shaders, buffers, shapes) = (self.shaders.clone(), self.buffers.clone(), shapes.clone());
        Box::pin(async move {
            let timing = Timing::of(&engine);
            tuner::tune(&mut engine, &shapes, remembered.as_deref(), timing).await?;
            if buffers.borrow().bytes() == 0 {
                shaders.swap(&engine.shaders);
            }
            Ok(())
        })
    }

    fn compile(&mut self, command: &Command, now: bool) -> Result<bool> {
        let most = if now { usize::MAX } else { self.gpu.pipelines_at_once() };
        self.gpu.check()?;
        for kernel in command.kernels(&self.variants()) {
            if !self.shaders.borrow_mut().pipelines.begin(&self.gpu, &kernel, most)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn compiled(&mut self) -> LocalFuture<'static, Result<()>> {
        let (gpu, shaders) = (self.gpu.clone(), self.shaders.clone());
        Box::pin(async move {
            poll_fn(|cx| shaders.borrow_mut().pipelines.poll(&gpu, cx)).await;
            gpu.check()
        })
    }

    fn self_test(&mut self, commands: Vec<Command>) -> LocalFuture<'static, Result<()>> {
        // the buffers of the trials are not among those of the models
        let mut engine = Self::on(self.gpu.clone(), self.shaders.clone());
        Box::pin(async move { self_test::check(&mut engine, &commands).await })
    }

    fn throttle(&mut self) -> LocalFuture<'static, Result<()>> {
        if self.uploading < buffers::UPLOAD_BYTES {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.gpu.submit(None);
        self.wait_for_queue()
    }

    fn prepare(&mut self, recording: Recording) -> Result<ProgramId> {
        self.gpu.check()?;
        let Shaders { variants, pipelines, .. } = &mut *self.shaders.borrow_mut();
        let variants = if recording.exact { &variants.exact() } else { &*variants };
        let program = Program::new(&self.gpu, pipelines, variants, &self.buffers.borrow(), &recording, self.chunk)?;
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
        let program = self.programs.get_mut(program).ok_or_else(released)?;
        self.paces.begin(&program.pace, program.rows(step), now());
        program.run(&self.gpu, &self.buffers.borrow(), step, None)?;
        self.counters.dispatches += program.len() as u64;
        Ok(())
    }

    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'static, Result<Vec<f32>>> {
        self.read(buffer, &ranges).unwrap_or_else(|error| Box::pin(std::future::ready(Err(error))))
    }

    fn synchronize(&mut self) -> LocalFuture<'static, Result<()>> {
        self.wait_for_queue()
    }

    fn prompt_rows(&self) -> usize {
        self.prompt_rows
    }

    fn prompt_chunk(&self, program: ProgramId, shared: bool) -> usize {
        self.programs.get(program).map_or(PROMPT_CHUNK, |program| program.pace.rows(shared))
    }

    fn prompt_depth(&self) -> usize {
        2
    }

    fn device_sampling(&mut self) -> Option<&mut dyn DeviceSampling> {
        Some(self)
    }

    fn counters(&self) -> Counters {
        let pipelines = self.shaders.borrow().pipelines.len() as u64;
        Counters { pipelines, submits: self.gpu.submits.get(), ..self.counters }
    }
}

impl DeviceSampling for GpuEngine {
    fn depth(&self) -> usize {
        self.sampled_ids.depth()
    }

    fn run_fed(&mut self, program: ProgramId, step: &Step, feeds: &[BufferId]) -> Result<()> {
        self.gpu.check()?;
        let buffers = self.buffers.borrow();
        let feeds = feeds.iter().map(|&feed| buffers.get(feed)?.plane(0)).collect::<Result<Vec<_>>>()?;
        let program = self.programs.get_mut(program).ok_or_else(released)?;
        self.paces.begin(&program.pace, program.rows(step), now());
        program.run(&self.gpu, &buffers, step, Some(Feedback { feeds: &feeds, recent: None, read: None }))?;
        self.counters.dispatches += program.len() as u64;
        Ok(())
    }

    fn queue(
        &mut self,
        programs: &[ProgramId],
        step: &Step,
        ids: &Ids,
    ) -> Result<LocalFuture<'static, Result<Vec<u32>>>> {
        self.gpu.check()?;
        let Self { gpu, buffers, sampled_ids, counters, .. } = self;
        let buffers = buffers.borrow();
        let buffer = |id| buffers.get(id)?.plane(0);
        let (id, feed) = (buffer(ids.id.buffer)?, buffer(ids.feed)?);
        let mut recent = ids.recent.map(buffer).transpose()?;
        let staging = sampled_ids.staging(gpu, (ids.id.cols * size_of::<u32>()) as u64)?;
        let (mut submitted, mut decodes) = (None, false);
        for (i, &program) in programs.iter().enumerate() {
            let program = self.programs.get_mut(program).ok_or_else(released)?;
            self.paces.begin(&program.pace, program.rows(step), now());
            let read = (i + 1 == programs.len()).then_some((id, &staging));
            let feedback = Feedback { feeds: &[feed], recent: recent.take(), read };
            submitted = program.run(gpu, &buffers, step, Some(feedback))?;
            counters.dispatches += program.len() as u64;
            // a prompt tells nothing about the steps after it, nor does a draw alone
            decodes |= step.rows.len() == 1 && program.has_layers();
        }
        counters.readbacks += 1;
        counters.read_bytes += staging.bytes;
        Ok(sampled_ids.read(gpu, staging, submitted, decodes.then(now), &self.paces))
    }
}
