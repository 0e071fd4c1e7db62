//! The buffers of an engine, and uploads into them.

use std::ops::Range;

use super::tiles::plane_bytes;
use super::{GpuEngine, caches};
use crate::engine::table::Table;
use crate::engine::{LocalFuture, freed};
use crate::format::Layout;
use crate::format::block::BlockType;
use crate::record::{BufferId, KvCache, KvFormat, Matrix, Memory};
use crate::{Error, Result};

pub(super) const CACHE_USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST).union(wgpu::BufferUsages::COPY_SRC);

/// Bytes of uploads after which a loader waits: wgpu holds a copy of each until the GPU has taken
/// it.
pub(super) const UPLOAD_BYTES: u64 = 16 << 20;

/// Values, the planes of a matrix, or the parts of a KV cache.
pub(super) struct GpuBuffer {
    /// Of values one; of a matrix the quants, and the scales if it has any; of a KV cache its
    /// [`KvCache::parts`].
    pub planes: Vec<wgpu::Buffer>,
    /// The shape of a KV cache.
    pub cache: Option<KvCache>,
    pub label: String,
}

impl GpuBuffer {
    pub fn bytes(&self) -> u64 {
        self.planes.iter().map(wgpu::Buffer::size).sum()
    }

    /// Frees the memory at once, which a browser would do only at its next garbage collection.
    /// Queued work still runs.
    pub fn destroy(&self) {
        self.planes.iter().for_each(wgpu::Buffer::destroy);
    }

    /// Errors: `Internal` where it has no such plane.
    pub fn plane(&self, number: usize) -> Result<&wgpu::Buffer> {
        self.planes.get(number).ok_or_else(|| Error::Internal {
            op: "run",
            expected: format!("a buffer with plane {number}"),
            got: format!("{} with {}", self.label, self.planes.len()),
        })
    }

    /// A range of values: planes, and ranges within them.
    pub fn in_planes(&self, range: Range<usize>) -> Vec<(usize, Range<usize>)> {
        self.cache.map_or_else(|| vec![(0, range.clone())], |cache| cache.in_parts(range.clone()).collect())
    }

    /// Bytes of a block of a KV cache in each plane.
    pub fn part_bytes(&self) -> u64 {
        self.cache.map_or(0, |cache| cache.part_bytes() as u64)
    }

    /// Bytes of so many blocks of a KV cache.
    pub fn bytes_of(&self, blocks: usize) -> u64 {
        self.planes.len() as u64 * self.part_bytes() * blocks as u64
    }

    /// How its values are held.
    pub fn format(&self) -> KvFormat {
        self.cache.map_or(KvFormat::F32, |cache| cache.format)
    }

    /// Blocks that there is memory for.
    pub fn blocks(&self) -> usize {
        self.planes[0].size().checked_div(self.part_bytes()).unwrap_or(0) as usize
    }
}

/// All buffers of an engine.
pub(super) struct Buffers {
    pub table: Table<BufferId, GpuBuffer>,
    /// How often one of them was replaced.
    pub generation: u64,
    /// See [`GpuEngine::set_memory_limit`].
    pub limit: u64,
    /// See [`GpuEngine::set_resize_limit`].
    pub resized: u64,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { table: Table::default(), generation: 0, limit: u64::MAX, resized: 64 << 20 }
    }
}

impl Buffers {
    /// Errors: `Internal` for a buffer that was freed.
    pub fn get(&self, id: BufferId) -> Result<&GpuBuffer> {
        self.table.get(id).ok_or_else(|| freed("run"))
    }

    /// Of all together.
    pub fn bytes(&self) -> u64 {
        self.table.values().map(GpuBuffer::bytes).sum()
    }

    /// Frees all of them.
    pub fn clear(&mut self) {
        self.table.values().for_each(GpuBuffer::destroy);
        self.table.clear();
    }
}

impl GpuEngine {
    fn insert(&mut self, buffer: GpuBuffer) -> BufferId {
        self.buffers.borrow_mut().table.insert(buffer)
    }

    fn write(&mut self, buffer: &wgpu::Buffer, offset: usize, bytes: &[u8]) -> Result<()> {
        self.gpu.check()?;
        let end = (offset + bytes.len()) as u64;
        if end > buffer.size() || !bytes.len().is_multiple_of(4) || !offset.is_multiple_of(4) {
            return Err(Error::Internal {
                op: "write",
                expected: format!("whole words within {} bytes", buffer.size()),
                got: format!("{} bytes at {offset}", bytes.len()),
            });
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.gpu.queue.write_buffer(buffer, offset as u64, bytes);
        self.uploading += bytes.len() as u64;
        Ok(())
    }

    /// Writes a range of keys and values, held as these bytes.
    fn write_encoded(
        &mut self,
        planes: &[wgpu::Buffer],
        cache: &KvCache,
        range: Range<usize>,
        mut bytes: &[u8],
    ) -> Result<()> {
        // copies of blocks are deferred, and a write comes before the next submit
        self.gpu.flush();
        for (part, range) in cache.in_parts(range) {
            let (now, later) = bytes.split_at(cache.format.bytes(range.len()));
            self.write(&planes[part], cache.format.bytes(range.start), now)?;
            bytes = later;
        }
        Ok(())
    }
}

impl Memory for GpuEngine {
    fn max_buffer_bytes(&self) -> u64 {
        self.gpu.max_buffer_bytes.get()
    }

    fn buffer_limit(&self) -> String {
        self.gpu.buffer_limit()
    }

    fn memory_bytes(&self) -> u64 {
        self.buffers.borrow().bytes()
    }

    fn buffer_bytes(&self, buffer: BufferId) -> u64 {
        self.buffers.borrow().table.get(buffer).map_or(0, GpuBuffer::bytes)
    }

    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        // as shaders/shared/residual.wgsl may bind it
        let usage = usage | wgpu::BufferUsages::UNIFORM;
        let values = self.gpu.create_buffer(label, len as u64 * size_of::<f32>() as u64, usage)?;
        Ok(self.insert(GpuBuffer { planes: vec![values], cache: None, label: label.into() }))
    }

    fn kv_format(&self, asked: Option<KvFormat>) -> Result<KvFormat> {
        KvFormat::of_gpu(asked)
    }

    fn create_blocks(&mut self, label: &str, shape: &KvCache, count: usize) -> Result<BufferId> {
        let part = |_| self.gpu.create_buffer(label, shape.part_bytes() as u64 * count as u64, CACHE_USAGE);
        let planes = (0..shape.parts).map(part).collect::<Result<_>>()?;
        Ok(self.insert(GpuBuffer { planes, cache: Some(*shape), label: label.into() }))
    }

    fn hold_blocks(&mut self, buffers: &[BufferId], held: &[bool]) -> LocalFuture<'static, Result<()>> {
        Box::pin(caches::hold(self.gpu.clone(), self.buffers.clone(), buffers.to_vec(), held.to_vec()))
    }

    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()> {
        self.gpu.check()?;
        let all = self.buffers.borrow();
        let caches: Vec<&GpuBuffer> = buffers.iter().map(|&buffer| all.get(buffer)).collect::<Result<_>>()?;
        let most = caches.iter().map(|cache| cache.part_bytes()).max().unwrap_or(0);
        // WebGPU copies no buffer to itself
        let between = self.gpu.create_buffer("copy of a block", most, CACHE_USAGE)?;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for cache in caches {
            let bytes = cache.part_bytes();
            for plane in &cache.planes {
                encoder.copy_buffer_to_buffer(plane, from as u64 * bytes, &between, 0, bytes);
                encoder.copy_buffer_to_buffer(&between, 0, plane, to as u64 * bytes, bytes);
            }
        }
        self.gpu.defer(encoder.finish(), [between]);
        Ok(())
    }

    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()> {
        let (planes, cache) = {
            let all = self.buffers.borrow();
            let GpuBuffer { planes, cache, .. } = all.table.get(buffer).ok_or_else(|| freed("write"))?;
            (planes.clone(), *cache)
        };
        let Some(cache) = cache else {
            return self.write(&planes[0], offset * size_of::<f32>(), bytemuck::cast_slice(values));
        };
        self.write_encoded(&planes, &cache, offset..offset + values.len(), &cache.format.encode(values))
    }

    fn write_block(&mut self, cache: &KvCache, block: usize, bytes: &[u8]) -> Result<()> {
        let planes = self.buffers.borrow().table.get(cache.buffer).ok_or_else(|| freed("write"))?.planes.clone();
        let len = cache.block_len();
        self.write_encoded(&planes, cache, block * len..(block + 1) * len, bytes)
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let (quants_bytes, scales_bytes) = plane_bytes(layout, rows, cols, self.variants().row_tile(rows));
        let bytes = [quants_bytes, scales_bytes];
        // a layout without scales has only quants
        let bytes = if scales_bytes == 0 { &bytes[..1] } else { &bytes };
        let planes = bytes.iter().map(|&bytes| self.gpu.create_buffer(label, bytes, usage)).collect::<Result<_>>()?;
        let buffer = self.insert(GpuBuffer { planes, cache: None, label: label.into() });
        Ok(Matrix { buffer, layout, rows, cols })
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        let targets = {
            let all = self.buffers.borrow();
            all.table.get(matrix.buffer).ok_or_else(|| freed("write"))?.planes.clone()
        };
        let row_tile = self.variants().row_tile(matrix.rows);
        let mut uploads = std::mem::take(&mut self.uploads);
        let write = |plane: usize, at, bytes: &[u8]| self.write(&targets[plane], at as usize, bytes);
        let added = uploads.add(matrix, row_tile, first_row, (block, rows), write);
        self.uploads = uploads;
        added
    }

    fn free(&mut self, buffer: BufferId) {
        let freed = self.buffers.borrow_mut().table.remove(buffer);
        if let Some(buffer) = freed {
            // commands that wait for a submit may name it
            self.gpu.flush();
            buffer.destroy();
        }
    }
}
