//! Waits for results, and for the end of queued work. The futures do not borrow the engine, so that
//! others can use it meanwhile.

use std::ops::Range;

use futures_channel::oneshot;
use web_time::Instant;

use super::GpuEngine;
use crate::engine::{LocalFuture, freed, now};
use crate::record::BufferId;
use crate::{Error, Result};

impl GpuEngine {
    /// Queues a readback of these ranges.
    pub(super) fn read(
        &mut self,
        buffer: BufferId,
        ranges: &[Range<usize>],
    ) -> Result<LocalFuture<'static, Result<Vec<f32>>>> {
        self.gpu.check()?;
        let all = self.buffers.borrow();
        let found = all.table.get(buffer).ok_or_else(|| freed("read"))?;
        let format = found.format();
        let size = |values: usize| format.bytes(values) as u64;
        let bytes = size(ranges.iter().map(Range::len).sum());
        let is_whole = |at: usize| at.is_multiple_of(format.together());
        let places: Vec<_> = ranges.iter().flat_map(|range| found.in_planes(range.clone())).collect();
        let fits = |(plane, range): &(usize, Range<usize>)| {
            size(range.end) <= found.planes[*plane].size() && is_whole(range.start) && is_whole(range.end)
        };
        if bytes == 0 || !places.iter().all(fits) {
            let expected = format!("{} values or a multiple, within {} bytes", format.together(), found.bytes());
            return Err(Error::Internal { op: "read", expected, got: format!("{ranges:?}") });
        }
        // taken out, so that a caller who drops the future also drops the mapped buffer
        let staging = match self.staging.take().filter(|staging| staging.size() >= bytes) {
            Some(staging) => staging,
            None => {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                self.gpu.create_buffer("readback", bytes, usage)?
            }
        };
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let mut at = 0;
        for (plane, range) in places {
            let source = &found.planes[plane];
            encoder.copy_buffer_to_buffer(source, size(range.start), &staging, at, size(range.len()));
            at += size(range.len());
        }
        self.gpu.submit(Some(encoder.finish()));
        self.counters.readbacks += 1;
        self.counters.read_bytes += bytes;

        let (sender, receiver) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
            // nobody listens where the caller gave up
            let _ = sender.send(result.map(|()| now()));
        });
        let (watch, paces, place) = (self.gpu.watch.clone(), self.paces.clone(), self.staging.clone());
        let begun = paces.begun();
        Ok(Box::pin(async move {
            watch.wait();
            let mapped = receiver.await;
            watch.settle().await?;
            let failed = |error: String| Error::DeviceLost(format!("a readback failed: {error}"));
            let at = mapped.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
            paces.done(begun, at);
            let view = staging.get_mapped_range(..bytes).map_err(|error| failed(error.to_string()))?;
            let values = format.decode(&view);
            drop(view);
            staging.unmap();
            place.set(Some(staging));
            Ok(values)
        }))
    }

    /// Hears when the GPU has done everything that it was told so far.
    fn queue_done(&self) -> oneshot::Receiver<Instant> {
        let (sender, receiver) = oneshot::channel();
        self.gpu.queue.on_submitted_work_done(move || {
            // nobody listens where the caller gave up
            let _ = sender.send(now());
        });
        receiver
    }

    /// Waits for what is queued by now, but not for what is queued until the future is awaited.
    pub(super) fn wait_for_queue(&mut self) -> LocalFuture<'static, Result<()>> {
        let (mut done, last) = (self.queue_done(), self.gpu.last.borrow().clone());
        self.uploading = 0;
        let (watch, paces, begun) = (self.gpu.watch.clone(), self.paces.clone(), self.paces.begun());
        Box::pin(async move {
            watch.wait_for(last);
            let done = match done.try_recv() {
                Ok(Some(at)) => Ok(at),
                // natively, the callback may belong to a later submit, in which wgpu writes buffers
                _ => {
                    watch.wait();
                    done.await
                }
            };
            watch.settle().await?;
            let at = done.map_err(|_| Error::DeviceLost("the queue never finished".into()))?;
            paces.done(begun, at);
            Ok(())
        })
    }
}
