//! Engines: memory, and the execution of recordings.
//!
//! | engine | purpose |
//! |---|---|
//! | [`reference`](host::Reference) | plain implementations of `ops`, which the other engines are tested against |
//! | [`cpu`] | SIMD kernels, for machines without a usable GPU |
//! | [`gpu`] | the shaders in `shaders/`, through wgpu |
//!
//! The first two share [`host::HostEngine`] and differ in their kernels.

pub mod cpu;
pub mod gpu;
pub mod host;
mod race;
pub mod shapes;
pub mod shared;
mod table;
pub mod trial;

use std::ops::Range;

use shapes::Shapes;

use crate::ops::{Command, Recording};
pub use crate::record::LocalFuture;
use crate::record::{BufferId, Memory, Step, Tensor};
use crate::{Error, Result};

/// Tokens of a prompt per step, where an engine has no other number.
pub const PROMPT_CHUNK: usize = 32;

/// Most tokens of a prompt per step on a real GPU.
pub const LARGEST_CHUNK: usize = 512;

/// A recording that an engine has made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramId(usize);

impl From<usize> for ProgramId {
    fn from(id: usize) -> Self {
        Self(id)
    }
}

/// A description of an engine for people.
#[derive(Clone, Debug, serde::Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct EngineInfo {
    /// `gpu` or `cpu`; natively also `reference`.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "'gpu' | 'cpu'"))]
    pub kind: &'static str,
    /// Name of the GPU, or the CPU's instruction set.
    pub description: String,
    /// How it computes, and what it cannot use on this machine, as sentences.
    pub notes: Vec<String>,
}

/// Work done since the engine was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Pipelines compiled.
    pub pipelines: u64,
    /// Kernels started.
    pub dispatches: u64,
    /// Command buffers handed to the GPU.
    pub submits: u64,
    /// Number of reads of results from the device.
    pub readbacks: u64,
    /// Bytes of these.
    pub read_bytes: u64,
}

/// Memory and execution. Buffers and programs live until they are freed, at most as long as the
/// engine.
pub trait Engine: Memory {
    /// A description of the engine.
    fn info(&self) -> EngineInfo;

    /// Measurements of this machine to keep for the next [`open`].
    fn tuning(&self) -> Option<String> {
        None
    }

    /// Chooses what suits a model of these shapes best, before the first buffer is created; the
    /// first model of an engine decides. Errors: `GpuUnavailable` if the engine gives wrong
    /// results, and `DeviceLost`.
    fn tune(&mut self, _shapes: &Shapes) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Begins to compile the kernels of `command` before [`Engine::prepare`], without waiting.
    /// Returns false if so much is being compiled that some have to wait: call again later. `now`:
    /// however much it is, as there is nothing else to do.
    fn compile(&mut self, _command: &Command, _now: bool) -> Result<bool> {
        Ok(true)
    }

    /// Waits until what was begun is compiled.
    fn compiled(&mut self) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Checks the kernels of `commands` on small data before [`Engine::prepare`]. A wrong kernel is
    /// replaced by another one, which `info` then notes. Errors: `GpuUnavailable` if there is no
    /// other kernel.
    fn self_test(&mut self, _commands: Vec<Command>) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Waits while more of what was written is on its way than should be held in memory.
    fn throttle(&mut self) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Prepares a recording to be run many times.
    fn prepare(&mut self, recording: Recording) -> Result<ProgramId>;

    /// Gives back a program. What is queued of it still runs; to run it again is an error.
    fn release(&mut self, program: ProgramId);

    /// Runs a prepared recording; a GPU only queues it. Errors: `Internal` for a program or buffer
    /// that was freed; later runs of other programs are not affected.
    fn run(&mut self, program: ProgramId, step: &Step) -> Result<()>;

    /// The values of a buffer in these ranges, one after the other, once everything queued is done.
    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'static, Result<Vec<f32>>>;

    /// The first `len` values of a buffer, once everything queued is done.
    fn read_values(&mut self, buffer: BufferId, len: usize) -> LocalFuture<'static, Result<Vec<f32>>> {
        self.read_ranges(buffer, std::iter::once(0..len).collect())
    }

    /// Waits until everything that is queued by now is done. What is queued before the future is
    /// awaited need not be done: a caller that awaits it one step late never lets the engine idle.
    fn synchronize(&mut self) -> LocalFuture<'static, Result<()>>;

    /// Work done so far.
    fn counters(&self) -> Counters;

    /// Most tokens of a prompt per step: programs are recorded with room for them.
    fn prompt_rows(&self) -> usize {
        PROMPT_CHUNK
    }

    /// Best number of prompt tokens for the next step of a program, which may have room for fewer.
    /// With more tokens each weight that is read is used more often; with fewer a stop takes effect
    /// sooner. `shared`: whether other generations wait for the engine.
    fn prompt_chunk(&self, _program: ProgramId, _shared: bool) -> usize {
        PROMPT_CHUNK
    }

    /// Chunks of a prompt to have queued at once: two, where the engine would otherwise wait for
    /// the host between them.
    fn prompt_depth(&self) -> usize {
        1
    }

    /// Sampling on the device, for engines whose logits are slow to read; `None`: the host samples.
    fn device_sampling(&mut self) -> Option<&mut dyn DeviceSampling> {
        None
    }
}

/// Steps that are queued ahead of the host: each takes the id that the previous step of its
/// sequence sampled, and the host reads it later.
pub trait DeviceSampling: Engine {
    /// Number of steps to queue at once: enough that the device never waits for the host, few
    /// enough that a stop takes effect soon.
    fn depth(&self) -> usize;

    /// Queues a recording whose rows may be without ids: row i takes the last id of `feeds[i]`, as
    /// of [`Ids::feed`].
    fn run_fed(&mut self, program: ProgramId, step: &Step, feeds: &[BufferId]) -> Result<()>;

    /// Queues recordings, one after the other, that end with a [`Sample`](crate::ops::Sample), and
    /// returns a future of what they leave in `ids.id`. The future may be dropped; the step still
    /// runs.
    fn queue(
        &mut self,
        programs: &[ProgramId],
        step: &Step,
        ids: &Ids,
    ) -> Result<LocalFuture<'static, Result<Vec<u32>>>>;
}

/// Where sampled ids are on a device, as the bits of values.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// (1, words): what the host reads. The first word is the id.
    pub id: Tensor,
    /// (1, [`RECENT`](crate::ops::adjust::RECENT)): the last ids of the sequence, see
    /// [`Adjust::recent`](crate::ops::Adjust::recent). A row without an id takes its token from
    /// there, and the new id goes there.
    pub feed: BufferId,
    /// Gets a copy of `feed` before the recordings run.
    pub recent: Option<BufferId>,
}

/// Which engine computes. `auto` takes the GPU if it is a real one and else the CPU; `gpu` and
/// `cpu` take that engine or fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A real GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// A GPU, even one that is emulated in software.
    Gpu,
    /// The CPU engine.
    Cpu,
    /// The plain reference implementation: slow, and the standard of correctness. Not an option of
    /// the TypeScript package.
    #[serde(skip)]
    Reference,
}

/// Facts about the GPU that are known before it is opened.
#[derive(Clone, Copy, Default)]
pub struct Hints<'a> {
    /// The result of [`Engine::tuning`] from an earlier session with the same adapter.
    pub tuning: Option<&'a str>,
    /// Whether devices have subgroups although wgpu does not report them, as in browsers.
    pub subgroups: bool,
    /// `GPUAdapterInfo.vendor` and `architecture`, which wgpu does not report in browsers; empty
    /// where they are not known.
    pub family: [&'a str; 2],
    /// Whether a software adapter passes for a real GPU: for tests.
    pub is_real: bool,
}

/// A buffer was used that the engine does not hold.
fn freed(op: &'static str) -> Error {
    Error::Internal { op, expected: "a buffer that is large enough".into(), got: "one that was freed".into() }
}

/// A program was run that the engine does not hold.
fn released() -> Error {
    Error::Internal { op: "run", expected: "a prepared program".into(), got: "one that was released".into() }
}

/// The time of a clock that never goes back.
#[allow(clippy::disallowed_methods, reason = "natively web_time's clock is std's, and in wasm it is the browser's")]
pub(crate) fn now() -> web_time::Instant {
    web_time::Instant::now()
}

/// An engine and the reason for choosing it.
pub struct Opened {
    /// The engine. A GPU is tuned before the first weight is loaded, see [`Engine::tune`].
    pub engine: Box<dyn Engine>,
    /// The reason, as a sentence.
    pub reason: String,
    /// Whether the CPU engine may take its place, see [`Opened::instead`].
    pub is_optional: bool,
}

impl Opened {
    fn new(engine: impl Engine + 'static, reason: String) -> Self {
        Self { engine: Box::new(engine), reason, is_optional: false }
    }

    fn cpu(reason: String) -> Self {
        Self::new(host::HostEngine::new(cpu::Simd::default()), reason)
    }

    /// What takes the place of an optional engine that failed its test. Errors: `DeviceLost`: that
    /// GPU may work again after it has been reset.
    pub fn instead(error: Error) -> Result<Self> {
        match error {
            Error::DeviceLost(_) => Err(error),
            error => Ok(Self::cpu(format!("The GPU failed its test: {error}"))),
        }
    }
}

/// Opens the engine for `device`. Errors: `GpuUnavailable` if a GPU was asked for and none works.
pub async fn open(device: Device, hints: Hints<'_>) -> Result<Opened> {
    let asked = |name: &str| format!("device '{name}' was asked for.");
    match device {
        Device::Reference => Ok(Opened::new(host::HostEngine::new(host::Reference), asked("reference"))),
        Device::Cpu => Ok(Opened::cpu(asked("cpu"))),
        Device::Gpu => Ok(Opened::new(gpu::GpuEngine::untuned(hints).await?, asked("gpu"))),
        Device::Auto => Ok(match gpu::GpuEngine::untuned(hints).await {
            Ok(engine) if engine.is_software() => {
                Opened::cpu("The only GPU adapter is emulated in software; the CPU engine is faster.".into())
            }
            Ok(engine) => Opened { is_optional: true, ..Opened::new(engine, "A GPU was found.".into()) },
            Err(error) => Opened::cpu(format!("The GPU cannot be used: {error}")),
        }),
    }
}
