//! Memory of KV caches, which grow and shrink. A KV cache is one buffer with all its blocks;
//! resizing it copies it.

use super::{CACHE_USAGE, GpuBuffer, GpuEngine};
use crate::engine::freed;
use crate::record::{BufferId, Memory};
use crate::{Error, Result};

/// A KV cache gets an eighth more than is needed, so that it is copied seldom.
const GROWTH: usize = 8;

/// Bytes of KV caches that are replaced together.
const RESIZED_BYTES: u64 = 64 << 20;

impl GpuEngine {
    pub(super) fn cache(&self, cache: BufferId) -> Result<&GpuBuffer> {
        self.buffers.get(cache).ok_or_else(|| freed("grow"))
    }

    /// See [`Memory::hold_blocks`]. A KV cache is one buffer with all blocks up to the last held
    /// one.
    pub(super) async fn hold(&mut self, caches: &[BufferId], held: &[bool]) -> Result<()> {
        self.gpu.check()?;
        let count = held.iter().rposition(|held| *held).map_or(0, |last| last + 1);
        let most = count + count / GROWTH;
        // where there is enough, and not much more, nothing is copied
        let fits = |cache: &BufferId| (count..=most).contains(&self.cache(*cache).map_or(0, GpuBuffer::blocks));
        let caches: Vec<BufferId> = caches.iter().copied().filter(|cache| !fits(cache)).collect();
        match self.resize(&caches, most).await {
            Err(Error::OutOfMemory { .. }) if most > count => self.resize(&caches, count).await,
            resized => resized,
        }
    }

    /// Resizes caches to this many blocks, a few caches at a time, since old and new ones exist
    /// side by side.
    async fn resize(&mut self, caches: &[BufferId], blocks: usize) -> Result<()> {
        let before: Vec<usize> = caches.iter().map(|cache| Ok(self.cache(*cache)?.blocks())).collect::<Result<_>>()?;
        let bytes = |cache: &BufferId| self.cache(*cache).map_or(0, GpuBuffer::block_bytes) * blocks as u64;
        let together = (RESIZED_BYTES / caches.iter().map(bytes).max().unwrap_or(0).max(1)).max(1) as usize;
        for (i, some) in caches.chunks(together).enumerate() {
            if i > 0 {
                // the memory of those before
                self.flush();
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
    async fn replace(&mut self, caches: &[BufferId], blocks: usize) -> Result<()> {
        let (mut needed, mut new) = (self.memory_bytes(), Vec::new());
        for cache in caches {
            let cache = self.cache(*cache)?;
            let bytes = cache.block_bytes() * blocks as u64;
            needed = needed - cache.main.size() + bytes;
            if bytes > cache.main.size() && needed > self.memory_limit {
                let limit = format!("and the engine may have {} in all", self.memory_limit);
                return Err(Error::OutOfMemory { what: cache.label.clone(), needed, limit });
            }
            new.push(self.gpu.try_buffer(&cache.label, bytes, CACHE_USAGE)?);
        }
        // all are asked for before any answer is waited for
        let (mut buffers, mut failed) = (Vec::new(), None);
        for new in new {
            match new.await {
                Ok(buffer) => buffers.push(buffer),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            buffers.iter().for_each(wgpu::Buffer::destroy);
            return Err(error);
        }
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let mut old = Vec::new();
        let mut shrinks = false;
        for (cache, new) in caches.iter().zip(buffers) {
            let cache = self.buffers.get_mut(*cache).ok_or_else(|| freed("grow"))?;
            let bytes = cache.block_bytes() * cache.blocks().min(blocks) as u64;
            if bytes > 0 {
                encoder.copy_buffer_to_buffer(&cache.main, 0, &new, 0, bytes);
            }
            shrinks |= blocks < cache.blocks();
            old.push(std::mem::replace(&mut cache.main, new));
        }
        self.gpu.defer(encoder.finish(), old);
        self.generation += 1;
        // what shrinks is to be free at once; what grows is about to be used
        if shrinks {
            self.flush();
        }
        Ok(())
    }

    /// Submits what was deferred.
    pub(super) fn flush(&mut self) {
        if self.gpu.has_deferred() {
            self.gpu.submit(None);
            self.counters.submits += 1;
        }
    }
}
