//! Memory of KV caches, which grow and shrink. A KV cache is one buffer with all its blocks, or
//! one for each of its parts; resizing copies it.

use std::cell::RefCell;
use std::rc::Rc;

use super::buffers::{Buffers, CACHE_USAGE, GpuBuffer};
use super::device::Gpu;
use crate::engine::freed;
use crate::record::BufferId;
use crate::{Error, Result};

/// A KV cache gets an eighth more than is needed, so that it is copied seldom.
const GROWTH: usize = 8;

/// See [`Memory::hold_blocks`](crate::record::Memory::hold_blocks). A KV cache has all blocks up to
/// the last held one.
pub(super) async fn hold(
    gpu: Rc<Gpu>,
    buffers: Rc<RefCell<Buffers>>,
    caches: Vec<BufferId>,
    held: Vec<bool>,
) -> Result<()> {
    gpu.check()?;
    let count = held.iter().rposition(|held| *held).map_or(0, |last| last + 1);
    let most = count + count / GROWTH;
    let resizing = Resizing { gpu: &gpu, buffers: &buffers };
    // where there is enough, and not much more, nothing is copied
    let fits = |cache: &BufferId| resizing.blocks(*cache).is_ok_and(|blocks| (count..=most).contains(&blocks));
    let caches: Vec<BufferId> = caches.into_iter().filter(|cache| !fits(cache)).collect();
    match resizing.resize(&caches, most).await {
        Err(Error::OutOfMemory { .. }) if most > count => resizing.resize(&caches, count).await,
        resized => resized,
    }
}

/// Borrows the buffers for moments only, never across an `await`: other models use them meanwhile.
struct Resizing<'a> {
    gpu: &'a Gpu,
    buffers: &'a RefCell<Buffers>,
}

impl Resizing<'_> {
    fn blocks(&self, cache: BufferId) -> Result<usize> {
        Ok(self.buffers.borrow().get(cache)?.blocks())
    }

    /// Resizes caches to this many blocks, a few caches at a time, since old and new ones exist
    /// side by side. Errors: `OutOfMemory`; all then have as many blocks as before.
    async fn resize(&self, caches: &[BufferId], blocks: usize) -> Result<()> {
        let before: Vec<usize> = caches.iter().map(|cache| self.blocks(*cache)).collect::<Result<_>>()?;
        let together = {
            let buffers = self.buffers.borrow();
            let bytes = |cache: &BufferId| buffers.get(*cache).map_or(0, |cache| cache.bytes_of(blocks));
            (buffers.resized / caches.iter().map(bytes).max().unwrap_or(0).max(1)).max(1) as usize
        };
        for (i, some) in caches.chunks(together).enumerate() {
            if i > 0 {
                // the memory of those before
                self.gpu.flush();
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
    async fn replace(&self, caches: &[BufferId], blocks: usize) -> Result<()> {
        // all are asked for before any answer is waited for
        let asked = self.ask(caches, blocks)?;
        let (mut new, mut failed) = (Vec::new(), None);
        for buffer in asked {
            match buffer.await {
                Ok(buffer) => new.push(buffer),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            new.iter().for_each(wgpu::Buffer::destroy);
            return Err(error);
        }
        let mut buffers = self.buffers.borrow_mut();
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let mut old = Vec::new();
        let (mut shrinks, mut new) = (false, new.into_iter());
        for cache in caches {
            let cache = buffers.table.get_mut(*cache).ok_or_else(|| freed("grow"))?;
            let bytes = cache.part_bytes() * cache.blocks().min(blocks) as u64;
            shrinks |= blocks < cache.blocks();
            for (plane, new) in cache.planes.iter_mut().zip(&mut new) {
                if bytes > 0 {
                    encoder.copy_buffer_to_buffer(plane, 0, &new, 0, bytes);
                }
                old.push(std::mem::replace(plane, new));
            }
        }
        self.gpu.defer(encoder.finish(), old);
        buffers.generation += 1;
        // what shrinks is to be free at once; what grows is about to be used
        if shrinks {
            self.gpu.flush();
        }
        Ok(())
    }

    /// Creates the buffers of caches with this many blocks, one cache after the other. Errors:
    /// `OutOfMemory` beyond a limit, before any is created.
    fn ask(
        &self,
        caches: &[BufferId],
        blocks: usize,
    ) -> Result<Vec<impl Future<Output = Result<wgpu::Buffer>> + use<>>> {
        let buffers = self.buffers.borrow();
        let caches: Vec<&GpuBuffer> = caches.iter().map(|cache| buffers.get(*cache)).collect::<Result<_>>()?;
        let mut needed = buffers.bytes();
        for cache in &caches {
            let (bytes, before) = (cache.bytes_of(blocks), cache.bytes());
            needed = needed - before + bytes;
            if bytes > before && needed > buffers.limit {
                let limit = format!("and the engine may have {} in all", buffers.limit);
                return Err(Error::OutOfMemory { what: cache.label.clone(), needed, limit });
            }
        }
        let ask =
            |cache: &&GpuBuffer| self.gpu.try_buffer(&cache.label, cache.part_bytes() * blocks as u64, CACHE_USAGE);
        caches.iter().flat_map(|cache| cache.planes.iter().map(|_| ask(cache))).collect()
    }
}
