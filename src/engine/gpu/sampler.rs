//! Sampling on the GPU: steps queued ahead, each fed with the id that the one before it sampled, and the ids on their way
//! to the host.

use std::collections::VecDeque;
use std::time::Duration;

use futures_channel::oneshot;
use web_time::Instant;

use super::device::Gpu;
use super::program::{Buffers, Feedback, Program};
use crate::engine::now;
use crate::record::{BufferId, Step};
use crate::{Error, Result};

/// Work that may be queued, unless [`Sampler::set_limit`] says otherwise: a stop, and a page that wants to draw, wait no longer.
const QUEUE_LIMIT: Duration = Duration::from_millis(100);

/// Steps ahead are for the way between host and GPU, which takes a few milliseconds; more are only lost at a stop.
const MAX_DEPTH: u32 = 8;

/// An id that is being computed or is on its way.
struct Queued {
    staging: wgpu::Buffer,
    submission: Option<wgpu::SubmissionIndex>,
    /// When its mapping came, or failed.
    arrival: oneshot::Receiver<Result<Instant, wgpu::BufferAsyncError>>,
    /// For a step of one token: when it was queued. A prompt tells nothing about the steps after it.
    since: Option<Instant>,
}

/// The ids of queued steps, oldest first.
pub(super) struct Sampler {
    queued: VecDeque<Queued>,
    idle: Vec<wgpu::Buffer>,
    limit: Duration,
    /// What a step takes, as a moving average.
    step: Duration,
    last_arrival: Option<Instant>,
}

impl Default for Sampler {
    fn default() -> Self {
        let (queued, idle) = (VecDeque::new(), Vec::new());
        Self { queued, idle, limit: QUEUE_LIMIT, step: QUEUE_LIMIT, last_arrival: None }
    }
}

impl Sampler {
    /// Bounds the work that is queued at once. A GPU of unknown speed gets one step at a time.
    pub fn set_limit(&mut self, limit: Duration) {
        (self.limit, self.step) = (limit, limit);
    }

    /// Steps that may be queued at once.
    pub fn depth(&self) -> usize {
        let steps = self.limit.as_micros() / self.step.as_micros().max(1);
        steps.clamp(1, u128::from(MAX_DEPTH)) as usize
    }

    /// Runs `program`, and sends what it leaves in `id` on its way. Returns the number of submits.
    pub fn queue(
        &mut self,
        gpu: &mut Gpu,
        program: &mut Program,
        buffers: Buffers,
        step: &Step,
        id: BufferId,
    ) -> Result<usize> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = match self.idle.pop() {
            Some(staging) => staging,
            None => gpu.create_buffer("sampled id", size_of::<u32>() as u64, usage)?,
        };
        let since = (step.rows.len() == 1).then(now);
        let feedback = Feedback { id: &buffers.all[id.0].main, staging: &staging };
        let submits = program.run(gpu, buffers, step, Some(feedback))?;
        let (sender, arrival) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // nobody listens where the step was discarded
            let _ = sender.send(result.map(|()| now()));
        });
        self.queued.push_back(Queued { staging, submission: submits.last, arrival, since });
        Ok(submits.count)
    }

    /// The id of the oldest queued step. It stays queued until it is here, so that a caller may drop this future half-way.
    pub async fn next_id(&mut self, gpu: &mut Gpu) -> Result<u32> {
        let Some(oldest) = self.queued.front_mut() else {
            return Err(Error::Internal { op: "sample", expected: "a queued step".into(), got: "none".into() });
        };
        gpu.wait_for(oldest.submission.clone());
        let arrival = (&mut oldest.arrival).await;
        gpu.settle().await?;
        let failed = |error: String| Error::DeviceLost(format!("a sampled id did not arrive: {error}"));
        let arrival = arrival.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        let view = oldest.staging.get_mapped_range(..4).map_err(|error| failed(error.to_string()))?;
        let id = bytemuck::pod_read_unaligned(&view);
        drop(view);
        oldest.staging.unmap();
        if let Some(since) = oldest.since {
            // it could not begin before the one ahead of it was done
            let begin = self.last_arrival.map_or(since, |last| last.max(since));
            self.step = (self.step + arrival.saturating_duration_since(begin)) / 2;
        }
        self.last_arrival = Some(arrival);
        self.idle.extend(self.queued.pop_front().map(|queued| queued.staging));
        Ok(id)
    }

    /// Forgets the ids that were not taken. Their steps still run, and what they write is written again.
    pub fn discard(&mut self) {
        // a buffer that waits for its mapping cannot be used again
        self.queued.clear();
    }
}
