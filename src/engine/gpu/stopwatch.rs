//! How long replays take, by the GPU's own clock where it has one: for measurements of kernels.

use std::time::Duration;

use futures_channel::oneshot;

use super::GpuEngine;
use crate::engine::{Engine, ProgramId, now, released};
use crate::record::Step;
use crate::{Error, Result};

/// Bytes of the two times of a pass, in ticks.
const TICKS_BYTES: u64 = 2 * size_of::<u64>() as u64;

/// Time of replays that one submit has.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From the submit to the news of its end.
    pub wall: Duration,
    /// From the begin to the end of the pass on the GPU, where it tells.
    pub gpu: Option<Duration>,
}

impl GpuEngine {
    /// Runs a program so many times in one pass and waits for its end. Errors: as of
    /// [`Engine::run`].
    pub async fn time(&mut self, program: ProgramId, step: &Step<'_>, replays: u32) -> Result<Times> {
        self.gpu.check()?;
        let device = &self.gpu.device;
        let has_clock = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let clock = has_clock.then(|| {
            let (label, ty) = (Some("times"), wgpu::QueryType::Timestamp);
            let queries = device.create_query_set(&wgpu::QuerySetDescriptor { label, ty, count: 2 });
            let buffer = |usage| {
                let (size, mapped_at_creation) = (TICKS_BYTES, false);
                device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation })
            };
            let ticks = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
            (queries, ticks, buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST))
        });
        let prepared = self.programs.get_mut(program).ok_or_else(released)?;
        let mut encoder = device.create_command_encoder(&Default::default());
        let queries = clock.as_ref().map(|(queries, ..)| queries);
        prepared.encode_times(&self.gpu, &self.buffers.borrow(), step, replays, (&mut encoder, queries))?;
        if let Some((queries, ticks, staging)) = &clock {
            encoder.resolve_query_set(queries, 0..2, ticks, 0);
            encoder.copy_buffer_to_buffer(ticks, 0, staging, 0, TICKS_BYTES);
        }
        self.counters.dispatches += prepared.len() as u64 * u64::from(replays);
        let commands = encoder.finish();
        let start = now();
        self.gpu.submit(Some(commands));
        self.synchronize().await?;
        let wall = start.elapsed();
        let gpu = match clock {
            None => None,
            Some((.., staging)) => Some(self.elapsed(staging).await?),
        };
        Ok(Times { wall, gpu })
    }

    /// Reads two times.
    async fn elapsed(&self, staging: wgpu::Buffer) -> Result<Duration> {
        let (sender, receiver) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| drop(sender.send(result)));
        self.gpu.watch.wait();
        let failed = |error: &dyn std::fmt::Display| Error::DeviceLost(format!("a clock could not be read: {error}"));
        receiver.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let view = staging.get_mapped_range(..).map_err(|error| failed(&error))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        staging.destroy();
        let nanoseconds = (ticks[1].saturating_sub(ticks[0])) as f64 * f64::from(self.gpu.queue.get_timestamp_period());
        Ok(Duration::from_secs_f64(nanoseconds / 1e9))
    }
}
