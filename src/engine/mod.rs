//! Engines own memory and run recordings.
//!
//! | engine | what it is for |
//! |---|---|
//! | [`reference`](host::Reference) | the plain implementations of `ops`: the truth that the others are tested against |
//! | [`cpu`] | SIMD kernels; what a user without a usable GPU gets |
//! | [`gpu`] | the shaders in `shaders/`, through wgpu |
//!
//! The first two share [`host::HostEngine`] and differ in their kernels.

pub mod cpu;
pub mod gpu;
pub mod host;
pub mod shared;
mod table;
pub mod trial;

use std::ops::Range;

use crate::ops::{Command, Recording};
pub use crate::record::LocalFuture;
use crate::record::{BufferId, Memory, Step};
use crate::{Error, Result};

/// A recording that an engine has made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramId(usize);

impl From<usize> for ProgramId {
    fn from(id: usize) -> Self {
        Self(id)
    }
}

/// What an engine is, for people.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineInfo {
    /// `gpu`, `cpu` or `reference`.
    pub kind: &'static str,
    /// Adapter name and backend, or the instruction set.
    pub description: String,
    /// How it computes, and what it cannot use on this machine, as sentences.
    pub notes: Vec<String>,
}

/// Work done since the engine was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Pipelines compiled.
    pub pipelines: u64,
    /// Kernels started.
    pub dispatches: u64,
    /// Command buffers handed to the GPU.
    pub submits: u64,
    /// Times that results were read back.
    pub readbacks: u64,
}

/// Memory and execution. Buffers and programs live until they are given back, or as long as the engine.
pub trait Engine: Memory {
    /// What it is.
    fn info(&self) -> EngineInfo;

    /// What is worth remembering of this machine for the next [`open`].
    fn tuning(&self) -> Option<String> {
        None
    }

    /// Begins to compile what `command` runs, ahead of [`Engine::prepare`] and without waiting for it. False where that is
    /// new and the last such thing is still being compiled: ask again later.
    fn compile(&mut self, _command: &Command) -> Result<bool> {
        Ok(true)
    }

    /// Checks on small data that the kernels of `commands` are right, before [`Engine::prepare`]. One that is not gives way to
    /// another, which `info` then notes. Errors: `GpuUnavailable` where there is no other.
    fn self_test(&mut self, _commands: Vec<Command>) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Waits while more of what was written is on its way than should be held in memory.
    fn throttle(&mut self) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Makes a recording ready to be run many times.
    fn prepare(&mut self, recording: Recording) -> Result<ProgramId>;

    /// Gives back a program. What is queued of it still runs; to run it again is an error.
    fn release(&mut self, program: ProgramId);

    /// Runs a prepared recording; on a GPU this only queues it. Errors: `Internal` for a program or a buffer that was given back; the next
    /// run of another one is not affected.
    fn run(&mut self, program: ProgramId, step: &Step) -> Result<()>;

    /// The values of a buffer in these ranges, one after the other, once everything queued is done.
    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'static, Result<Vec<f32>>>;

    /// The first `len` values of a buffer, once everything queued is done.
    fn read_values(&mut self, buffer: BufferId, len: usize) -> LocalFuture<'static, Result<Vec<f32>>> {
        self.read_ranges(buffer, std::iter::once(0..len).collect())
    }

    /// Waits until everything queued is done: between the chunks of a long prompt, so that an abort is quick.
    fn synchronize(&mut self) -> LocalFuture<'static, Result<()>>;

    /// Work done so far.
    fn counters(&self) -> Counters;

    /// Tokens of a prompt that are best processed at once. More share each weight that is read; fewer let a stop take effect
    /// sooner.
    fn prompt_chunk(&self) -> usize {
        32
    }

    /// Sampling where the logits are, for an engine that is far from the host; else the host samples.
    fn device_sampling(&mut self) -> Option<&mut dyn DeviceSampling> {
        None
    }
}

/// Steps that are queued ahead of the host: each takes the id that the last one of its sequence sampled, and the host hears of
/// it later.
pub trait DeviceSampling: Engine {
    /// Steps that are worth being queued at once, so that the device need not wait for the host, and a stop not for long.
    fn depth(&self) -> usize;

    /// Queues a recording that ends with a [`Sample`](crate::ops::Sample) into `id`, and returns what that will be. A row
    /// without an id takes the one in `feed`, which has one value and gets the sampled id then. Whoever drops the future
    /// forgets the id; the step runs all the same.
    fn queue(
        &mut self,
        program: ProgramId,
        step: &Step,
        id: BufferId,
        feed: BufferId,
    ) -> Result<LocalFuture<'static, Result<u32>>>;
}

/// Which engine a caller wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A real GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// A GPU, even one that is emulated in software.
    Gpu,
    /// The CPU engine.
    Cpu,
    /// The plain reference: slow, and the truth.
    Reference,
}

/// What is known of the GPU before it is opened.
#[derive(Clone, Copy, Default)]
pub struct Hints<'a> {
    /// What [`Engine::tuning`] gave on an earlier visit with the same adapter.
    pub tuning: Option<&'a str>,
    /// Whether a device will have subgroups though wgpu does not say so, as in browsers.
    pub subgroups: bool,
}

/// A buffer was used that the engine does not hold.
fn freed(op: &'static str) -> Error {
    Error::Internal { op, expected: "a buffer that is large enough".into(), got: "one that was freed".into() }
}

/// A program was run that the engine does not hold.
fn released() -> Error {
    Error::Internal { op: "run", expected: "a prepared program".into(), got: "one that was released".into() }
}

#[allow(clippy::disallowed_methods, reason = "natively web_time's clock is std's, and in wasm it is the browser's")]
fn now() -> web_time::Instant {
    web_time::Instant::now()
}

/// An engine, and the reason for it as a sentence.
pub struct Opened {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// Why this one.
    pub reason: String,
}

/// Opens the engine for `device`. Errors: `GpuUnavailable` where a GPU was asked for and none works,
/// `DeviceLost` where it went away meanwhile.
pub async fn open(device: Device, hints: Hints<'_>) -> Result<Opened> {
    let cpu = |reason: String| Ok(Opened { engine: Box::new(host::HostEngine::new(cpu::Simd::default())), reason });
    let asked = |name: &str| format!("device '{name}' was asked for.");
    match device {
        Device::Reference => {
            Ok(Opened { engine: Box::new(host::HostEngine::new(host::Reference)), reason: asked("reference") })
        }
        Device::Cpu => cpu(asked("cpu")),
        Device::Gpu => {
            let engine = gpu::GpuEngine::new(hints).await?;
            Ok(Opened { engine: Box::new(engine), reason: asked("gpu") })
        }
        Device::Auto => {
            let mut engine = match gpu::GpuEngine::open(hints.subgroups).await {
                Ok(engine) if engine.is_software() => {
                    return cpu("The only GPU adapter is emulated in software; the CPU engine is faster.".into());
                }
                Ok(engine) => engine,
                Err(error) => return cpu(format!("The GPU cannot be used: {error}")),
            };
            match engine.tune(hints.tuning).await {
                Ok(()) => Ok(Opened { engine: Box::new(engine), reason: "A GPU was found.".into() }),
                // says nothing of the GPU that comes back
                Err(error @ Error::DeviceLost(_)) => Err(error),
                Err(error) => cpu(format!("The GPU failed its test: {error}")),
            }
        }
    }
}
