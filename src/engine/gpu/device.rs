//! The GPU device: adapter, limits, allocation, and errors that arrive outside of calls.
//!
//! WebGPU reports most errors later: out of memory and validation errors to error scopes or a
//! handler, a lost device to a callback. [`Faults`] keeps the first of them, and every later use of
//! the engine returns it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::waiting::Waiting;
use super::{shader, tuner};
use crate::engine::Hints;
use crate::ops::variants::Feature;
use crate::{Error, Result};

/// The first error that the GPU reported outside of a call. An engine that has failed stays failed.
#[derive(Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Option<Error>>>);

impl Faults {
    fn report(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Discards the error, which belongs to a trial.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn replace(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Returns the error, if there is one.
    pub fn check(&self) -> Result<()> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// An allocation whose result is not known yet: label, bytes, and the answer of its error scope.
struct Allocation {
    what: String,
    bytes: u64,
    answer: Pin<Box<dyn Future<Output = Option<wgpu::Error>>>>,
}

impl Allocation {
    fn failed(&self) -> Error {
        let limit = "more than the GPU driver could give (device 'cpu' may have it)".into();
        Error::OutOfMemory { what: self.what.clone(), needed: self.bytes, limit }
    }
}

/// Allocations of unknown outcome, and who waits for it.
#[derive(Clone, Default)]
struct Allocations {
    pending: Rc<RefCell<Vec<Allocation>>>,
    waiting: Arc<Waiting>,
}

impl Allocations {
    fn push(&self, allocation: Allocation) {
        self.pending.borrow_mut().push(allocation);
    }

    /// Checks the allocations whose results are known. Returns the error of the first refused one.
    fn ask(&self) -> Option<Error> {
        let waker = self.waiting.waker();
        let mut cx = Context::from_waker(&waker);
        let mut refused = None;
        self.pending.borrow_mut().retain_mut(|allocation| match allocation.answer.as_mut().poll(&mut cx) {
            Poll::Ready(answer) => {
                refused = refused.take().or(answer.map(|_| allocation.failed()));
                false
            }
            Poll::Pending => true,
        });
        refused
    }

    /// Waits for all results. An error that `faults` had before followed from a refused allocation.
    async fn settle(&self, faults: &Faults) {
        poll_fn(|cx| {
            if let Some(refused) = self.ask() {
                faults.replace(refused);
            }
            if self.pending.borrow().is_empty() { Poll::Ready(()) } else { self.waiting.wait(cx) }
        })
        .await;
    }
}

/// What is waited for without the engine: the end of queued work, and the errors that come with it.
#[derive(Clone)]
pub(super) struct Watch {
    device: wgpu::Device,
    allocations: Allocations,
    pub faults: Faults,
}

impl Watch {
    /// Waits for the results of all allocations, then returns the first error that the GPU
    /// reported.
    pub async fn settle(&self) -> Result<()> {
        self.allocations.settle(&self.faults).await;
        self.faults.check()
    }

    /// Native: runs callbacks and blocks until all submitted work is done. Browser: does nothing,
    /// since callbacks come from the event loop and blocking would never end.
    pub fn wait(&self) {
        self.wait_for(None);
    }

    /// Like [`Watch::wait`], but only until `submission` is done.
    pub fn wait_for(&self, submission_index: Option<wgpu::SubmissionIndex>) {
        if let Err(error) = self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None }) {
            self.faults.report(Error::DeviceLost(error.to_string()));
        }
    }
}

/// Bytes of a buffer: shaders see buffers as arrays of up to 16 bytes an element.
pub(super) fn buffer_size(bytes: u64) -> u64 {
    bytes.next_multiple_of(16).max(16)
}

/// A device with its queue.
pub(super) struct Gpu {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub adapter: wgpu::AdapterInfo,
    pub limits: wgpu::Limits,
    pub watch: Watch,
    /// What it offers beyond the core of WebGPU.
    pub features: BTreeSet<Feature>,
    /// Largest size of a storage buffer in bytes.
    pub max_buffer_bytes: Cell<u64>,
    /// Its vendor and architecture as `GPUAdapterInfo` names them; empty where they are not known.
    pub family: [String; 2],
    is_software: bool,
    /// Number of submits.
    pub submits: Cell<u64>,
    /// The last submit.
    pub last: RefCell<Option<wgpu::SubmissionIndex>>,
    /// Commands that go with the next submit, and buffers that nobody needs after them.
    deferred: RefCell<(Vec<wgpu::CommandBuffer>, Vec<wgpu::Buffer>)>,
}

/// Otherwise a browser would keep the buffers until garbage collection.
impl Drop for Gpu {
    fn drop(&mut self) {
        self.device.destroy();
    }
}

/// Whether an adapter is software: SwiftShader, lavapipe or WARP.
fn is_software(adapter: &wgpu::AdapterInfo) -> bool {
    let names = [&adapter.name, &adapter.driver, &adapter.driver_info].map(|name| name.to_lowercase());
    let known = ["swiftshader", "llvmpipe", "lavapipe", "basic render"];
    adapter.device_type == wgpu::DeviceType::Cpu
        || names.iter().any(|name| known.iter().any(|known| name.contains(known)))
}

impl Gpu {
    /// Opens the best adapter. Errors: `GpuUnavailable`, with a remedy.
    pub async fn new(hints: Hints<'_>) -> Result<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                ..Default::default()
            })
            .await
            .map_err(|error| Error::GpuUnavailable(format!("{error}. {}", remedy())))?;
        let offered = adapter.limits();
        // The limits that bound a model are taken at their maximum; the other defaults are those of
        // every browser.
        let limits = wgpu::Limits {
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            max_storage_buffers_per_shader_stage: offered.max_storage_buffers_per_shader_stage,
            ..wgpu::Limits::default()
        };
        // the clock is for measurements, which are native
        let clock =
            if cfg!(target_arch = "wasm32") { wgpu::Features::empty() } else { wgpu::Features::TIMESTAMP_QUERY };
        let wanted = wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16 | clock;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("weft"),
            // in the browser, wgpu does not know subgroups, and the worker requests them
            required_features: adapter.features() & wanted,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let info = adapter.get_info();
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|error| {
            Error::GpuUnavailable(format!("the adapter `{}` gave no device: {error}. {}", info.name, remedy()))
        })?;
        let has = device.features();
        let expected = [
            (Feature::Subgroups, "try_subgroups", hints.subgroups || has.contains(wgpu::Features::SUBGROUP)),
            (Feature::F16, "try_f16", has.contains(wgpu::Features::SHADER_F16)),
            (Feature::PackedDot, "try_packed_dot", true),
        ];
        let features = features(&device, &expected).await;
        let faults = Faults::default();
        listen(&device, &faults);
        let watch = Watch { device: device.clone(), allocations: Allocations::default(), faults };
        let [vendor, architecture] = hints.family;
        let vendor = if vendor.is_empty() { tuner::vendor(info.vendor) } else { vendor };
        Ok(Self {
            device,
            queue,
            family: [vendor.into(), architecture.into()],
            is_software: is_software(&info) && !hints.is_real,
            adapter: info,
            max_buffer_bytes: limits.max_buffer_size.min(limits.max_storage_buffer_binding_size).into(),
            limits,
            watch,
            features,
            submits: Cell::default(),
            last: RefCell::default(),
            deferred: RefCell::default(),
        })
    }

    /// Whether the adapter is software.
    pub fn is_software(&self) -> bool {
        self.is_software
    }

    /// Pipelines that are compiled at a time while weights come. A software adapter compiles on the
    /// cores that everything else needs.
    pub fn pipelines_at_once(&self) -> usize {
        if self.is_software() { 1 } else { 4 }
    }

    /// Fewest lanes of a subgroup, 1 if the adapter does not tell; 0 without subgroups.
    pub fn subgroup_lanes(&self) -> u32 {
        if self.features.contains(&Feature::Subgroups) { self.adapter.subgroup_min_size.max(1) } else { 0 }
    }

    /// See [`Memory::buffer_limit`](crate::record::Memory::buffer_limit).
    pub fn buffer_limit(&self) -> String {
        format!("and this GPU allows {} for one buffer (device 'cpu' more)", self.max_buffer_bytes.get())
    }

    /// Creates a zeroed buffer. Errors: `OutOfMemory`, either here or from the next
    /// [`Watch::settle`].
    pub fn create_buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let (buffer, mut allocation) = self.allocate(label, bytes, usage)?;
        match allocation.answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(None) => {}
            Poll::Ready(Some(_)) => return Err(allocation.failed()),
            Poll::Pending => self.watch.allocations.push(allocation),
        }
        Ok(buffer)
    }

    /// Creates a zeroed buffer, and a future that says whether the driver has the memory; if not,
    /// the engine can continue. Errors: `OutOfMemory`.
    pub fn try_buffer(
        &self,
        label: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<impl Future<Output = Result<wgpu::Buffer>> + use<>> {
        let (buffer, allocation) = self.allocate(label, bytes, usage)?;
        Ok(async move {
            let failed = allocation.failed();
            match allocation.answer.await {
                None => Ok(buffer),
                Some(_) => Err(failed),
            }
        })
    }

    fn allocate(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<(wgpu::Buffer, Allocation)> {
        let size = buffer_size(bytes);
        if size > self.max_buffer_bytes.get() {
            return Err(Error::OutOfMemory { what: label.into(), needed: bytes, limit: self.buffer_limit() });
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let buffer = self.device.create_buffer(&descriptor);
        Ok((buffer, Allocation { what: label.into(), bytes, answer: Box::pin(scope.pop()) }))
    }

    /// Adds commands to the next submit, so that they need none of their own. `unused`: buffers to
    /// destroy after it; otherwise their memory would wait for garbage collection.
    pub fn defer(&self, commands: wgpu::CommandBuffer, unused: impl IntoIterator<Item = wgpu::Buffer>) {
        let mut deferred = self.deferred.borrow_mut();
        deferred.0.push(commands);
        deferred.1.extend(unused);
    }

    /// Submits the deferred commands, if there are any.
    pub fn flush(&self) {
        if !self.deferred.borrow().0.is_empty() {
            self.submit(None);
        }
    }

    /// Hands the deferred commands to the queue, then these.
    pub fn submit(&self, commands: Option<wgpu::CommandBuffer>) -> wgpu::SubmissionIndex {
        self.submits.update(|submits| submits + 1);
        let (deferred, unused) = self.deferred.take();
        let index = self.queue.submit(deferred.into_iter().chain(commands));
        self.last.replace(Some(index.clone()));
        unused.iter().for_each(wgpu::Buffer::destroy);
        index
    }

    /// Returns the first error that the GPU reported. Every use of a refused buffer is an error too
    /// and may be reported first, so allocations are checked before other errors count.
    pub fn check(&self) -> Result<()> {
        let faults = &self.watch.faults;
        let Err(error) = faults.check() else { return Ok(()) };
        if let Some(refused) = self.watch.allocations.ask() {
            faults.replace(refused);
            return faults.check();
        }
        Err(error)
    }
}

/// Tests optional features of the device, each with a shader. A browser logs a shader that it
/// refuses to the console, so only those are tested that are `expected`.
async fn features(device: &wgpu::Device, expected: &[(Feature, &'static str, bool)]) -> BTreeSet<Feature> {
    let mut features = BTreeSet::new();
    for &(feature, shader, _) in expected.iter().filter(|(.., expected)| *expected) {
        let Ok(source) = shader::wgsl(shader, &[], &[]) else { continue };
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let _module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(shader),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        if scope.pop().await.is_none() {
            features.insert(feature);
        }
    }
    features
}

/// Keeps every error that is reported outside of a call.
fn listen(device: &wgpu::Device, faults: &Faults) {
    let uncaptured = faults.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        uncaptured.report(match error {
            wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory {
                what: "the GPU engine".into(),
                needed: 0,
                limit: "an amount that the driver does not say, and it has no more (device 'cpu' may have it)".into(),
            },
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                Error::Internal { op: "gpu", expected: "commands that the GPU accepts".into(), got: description }
            }
        });
    }));
    let lost = faults.clone();
    // includes a device that the engine itself destroyed: then nobody reads the error
    device.set_device_lost_callback(move |_, message| lost.report(Error::DeviceLost(message)));
}

/// What a user can do if there is no GPU.
fn remedy() -> &'static str {
    if cfg!(target_arch = "wasm32") {
        "Use a browser with WebGPU (Chrome or Edge 120, Safari 26, Firefox 141 or later) over https or localhost, with \
         hardware acceleration on, or load with device 'cpu'."
    } else {
        "Install a Vulkan driver (on Debian without a GPU: apt install mesa-vulkan-drivers), or use device 'cpu'."
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Wake;

    use futures_channel::oneshot;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn who_waits_for_memory_is_woken_though_another_gave_up() {
        let (allocations, faults, woken) = (Allocations::default(), Faults::default(), Arc::new(Woken::default()));
        let (answer, heard) = oneshot::channel::<()>();
        let answer_of = async move { heard.await.ok().and(None) };
        allocations.push(Allocation { what: "a cache".into(), bytes: 64, answer: Box::pin(answer_of) });

        let waker = Waker::from(woken.clone());
        let mut waits = Box::pin(allocations.settle(&faults));
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let mut gives_up = Box::pin(allocations.settle(&faults));
        assert!(gives_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(gives_up);
        assert!(allocations.ask().is_none());
        assert_eq!(woken.0.load(SeqCst), 0);

        answer.send(()).unwrap();
        assert_eq!(woken.0.load(SeqCst), 1);
        assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());

        let mut nothing_to_wait_for = Box::pin(allocations.settle(&faults));
        assert!(nothing_to_wait_for.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(allocations.waiting.len(), 0, "each token would add one");
    }
}
