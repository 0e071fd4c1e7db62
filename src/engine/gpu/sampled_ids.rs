//! Sampling on the GPU: steps are queued ahead of the host, and each passes the id that it samples
//! to the next step and to the host.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use web_time::Instant;

use super::device::Gpu;
use super::pace::Paces;
use crate::engine::{LocalFuture, now};
use crate::ops::adjust::RECENT;
use crate::{Error, Result};

/// Longest time for queued work, unless [`SampledIds::set_limit`] sets another: a stop takes effect
/// within it, and so does the drawing of the page.
const QUEUE_LIMIT: Duration = Duration::from_millis(100);

/// Largest number of queued steps. A few hide the latency between host and GPU of some
/// milliseconds; more would only be wasted at a stop. As many ids stay on the device.
const MAX_DEPTH: u32 = RECENT as u32;

/// Bytes of the smallest staging buffer, so that all kinds of steps share a few.
const LEAST_STAGING: u64 = 256;

/// The measured speed of steps of one token.
#[derive(Clone, Copy)]
struct Pace {
    /// Time per step, as a moving average.
    step: Duration,
    last_arrival: Option<Instant>,
}

impl Pace {
    /// Updates the average: a step that was queued at `since` delivered its id at `arrival`.
    fn arrived(mut self, since: Option<Instant>, arrival: Instant) -> Self {
        // two generations may read their ids in another order
        if self.last_arrival.is_some_and(|last| arrival < last) {
            return self;
        }
        if let Some(since) = since {
            // the step could not begin before the previous one was done
            let begin = self.last_arrival.map_or(since, |last| last.max(since));
            self.step = (self.step + arrival.saturating_duration_since(begin)) / 2;
        }
        self.last_arrival = Some(arrival);
        self
    }
}

/// A buffer that the host reads.
pub(super) struct Staging {
    pub buffer: wgpu::Buffer,
    /// What is read of it.
    pub bytes: u64,
}

/// Reads sampled ids back to the host.
pub(super) struct SampledIds {
    /// Staging buffers that are not in use.
    idle: Rc<RefCell<Vec<wgpu::Buffer>>>,
    limit: Duration,
    pace: Rc<Cell<Pace>>,
}

impl Default for SampledIds {
    fn default() -> Self {
        let pace = Pace { step: QUEUE_LIMIT, last_arrival: None };
        Self { idle: Rc::default(), limit: QUEUE_LIMIT, pace: Rc::new(Cell::new(pace)) }
    }
}

impl SampledIds {
    /// Limits the time for queued work. A GPU of unknown speed gets one step at a time.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
        self.pace.set(Pace { step: limit, ..self.pace.get() });
    }

    /// Number of steps that may be queued at once.
    pub fn depth(&self) -> usize {
        let steps = self.limit.as_micros() / self.pace.get().step.as_micros().max(1);
        steps.clamp(1, u128::from(MAX_DEPTH)) as usize
    }

    /// A buffer for what the host reads of a step.
    pub fn staging(&self, gpu: &Gpu, bytes: u64) -> Result<Staging> {
        let idle = self.idle.borrow_mut().pop().filter(|idle| idle.size() >= bytes);
        let buffer = match idle {
            Some(idle) => idle,
            None => {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                gpu.create_buffer("sampled id", bytes.max(LEAST_STAGING), usage)?
            }
        };
        Ok(Staging { buffer, bytes })
    }

    /// Reads what a step leaves in `staging`: a future of its words, which may be dropped. `last`:
    /// its last submit; `since`: when it was queued, if it tells the time of a token. `paces` hear
    /// when it is done.
    pub fn read(
        &mut self,
        gpu: &Gpu,
        staging: Staging,
        last: Option<wgpu::SubmissionIndex>,
        since: Option<Instant>,
        paces: &Paces,
    ) -> LocalFuture<'static, Result<Vec<u32>>> {
        let Staging { buffer, bytes } = staging;
        let (sender, arrival) = oneshot::channel();
        buffer.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
            // the receiver has been dropped if the id is not needed any more
            let _ = sender.send(result.map(|()| now()));
        });
        let (watch, idle, pace) = (gpu.watch.clone(), self.idle.clone(), self.pace.clone());
        let (paces, begun) = (paces.clone(), paces.begun());
        Box::pin(async move {
            watch.wait_for(last);
            let arrival = arrival.await;
            watch.settle().await?;
            let failed = |error: String| Error::DeviceLost(format!("a sampled id did not arrive: {error}"));
            let arrival =
                arrival.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
            let view = buffer.get_mapped_range(..bytes).map_err(|error| failed(error.to_string()))?;
            let words = bytemuck::pod_collect_to_vec::<u8, u32>(&view);
            drop(view);
            buffer.unmap();
            pace.set(pace.get().arrived(since, arrival));
            paces.done(begun, arrival);
            idle.borrow_mut().push(buffer);
            Ok(words)
        })
    }
}
