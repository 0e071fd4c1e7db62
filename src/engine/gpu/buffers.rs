//! The buffers of an engine, and uploads into them.

use super::tiles::{Run, plane_bytes};
use super::{GpuEngine, caches};
use crate::engine::table::Table;
use crate::engine::{LocalFuture, freed};
use crate::format::block::BlockType;
use crate::format::{Layout, repack};
use crate::record::{BufferId, KvCache, KvFormat, Matrix, Memory};
use crate::{Error, Result};

pub(super) const CACHE_USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST).union(wgpu::BufferUsages::COPY_SRC);

/// Bytes of uploads after which a loader waits: wgpu holds a copy of each until the GPU has taken
/// it.
pub(super) const UPLOAD_BYTES: u64 = 16 << 20;

/// Values or a quants plane, and the scales plane of a quantised matrix.
pub(super) struct GpuBuffer {
    pub main: wgpu::Buffer,
    pub scales: Option<wgpu::Buffer>,
    /// The shape of a KV cache.
    pub cache: Option<KvCache>,
    pub label: String,
}

impl GpuBuffer {
    pub fn bytes(&self) -> u64 {
        self.main.size() + self.scales.as_ref().map_or(0, wgpu::Buffer::size)
    }

    /// Frees the memory at once, which a browser would do only at its next garbage collection.
    /// Queued work still runs.
    pub fn destroy(&self) {
        self.main.destroy();
        self.scales.iter().for_each(wgpu::Buffer::destroy);
    }

    /// Bytes of a block of a KV cache.
    pub fn block_bytes(&self) -> u64 {
        self.cache.map_or(0, |cache| cache.block_bytes() as u64)
    }

    /// How its values are held.
    pub fn format(&self) -> KvFormat {
        self.cache.map_or(KvFormat::F32, |cache| cache.format)
    }

    /// Blocks that there is memory for.
    pub fn blocks(&self) -> usize {
        self.main.size().checked_div(self.block_bytes()).unwrap_or(0) as usize
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
}

impl Memory for GpuEngine {
    fn max_buffer_bytes(&self) -> u64 {
        self.gpu.max_buffer_bytes()
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
        let main = self.gpu.create_buffer(label, len as u64 * size_of::<f32>() as u64, usage)?;
        Ok(self.insert(GpuBuffer { main, scales: None, cache: None, label: label.into() }))
    }

    fn kv_format(&self, asked: Option<KvFormat>) -> KvFormat {
        asked.unwrap_or(KvFormat::F16)
    }

    fn create_blocks(&mut self, label: &str, shape: &KvCache, count: usize) -> Result<BufferId> {
        let main = self.gpu.create_buffer(label, (shape.block_bytes() * count) as u64, CACHE_USAGE)?;
        Ok(self.insert(GpuBuffer { main, scales: None, cache: Some(*shape), label: label.into() }))
    }

    fn hold_blocks(&mut self, buffers: &[BufferId], held: &[bool]) -> LocalFuture<'static, Result<()>> {
        Box::pin(caches::hold(self.gpu.clone(), self.buffers.clone(), buffers.to_vec(), held.to_vec()))
    }

    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()> {
        self.gpu.check()?;
        let all = self.buffers.borrow();
        let caches: Vec<&GpuBuffer> = buffers.iter().map(|&buffer| all.get(buffer)).collect::<Result<_>>()?;
        let most = caches.iter().map(|cache| cache.block_bytes()).max().unwrap_or(0);
        // WebGPU copies no buffer to itself
        let between = self.gpu.create_buffer("copy of a block", most, CACHE_USAGE)?;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for cache in caches {
            let (bytes, main) = (cache.block_bytes(), &cache.main);
            encoder.copy_buffer_to_buffer(main, from as u64 * bytes, &between, 0, bytes);
            encoder.copy_buffer_to_buffer(&between, 0, main, to as u64 * bytes, bytes);
        }
        self.gpu.defer(encoder.finish(), [between]);
        Ok(())
    }

    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()> {
        let (target, cache) = {
            let all = self.buffers.borrow();
            let GpuBuffer { main, cache, .. } = all.table.get(buffer).ok_or_else(|| freed("write"))?;
            (main.clone(), *cache)
        };
        let Some(KvCache { format, .. }) = cache else {
            return self.write(&target, offset * size_of::<f32>(), bytemuck::cast_slice(values));
        };
        // copies of blocks are deferred, and a write comes before the next submit
        self.gpu.flush();
        self.write(&target, format.bytes(offset), &format.encode(values))
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let (quants_bytes, scales_bytes) = plane_bytes(layout, rows, cols, self.variants().row_tile(rows));
        let main = self.gpu.create_buffer(label, quants_bytes, usage)?;
        let scales = match scales_bytes {
            0 => None,
            bytes => Some(self.gpu.create_buffer(label, bytes, usage)?),
        };
        let buffer = self.insert(GpuBuffer { main, scales, cache: None, label: label.into() });
        Ok(Matrix { buffer, layout, rows, cols })
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        let (main, scales) = {
            let all = self.buffers.borrow();
            let GpuBuffer { main, scales, .. } = all.table.get(matrix.buffer).ok_or_else(|| freed("write"))?;
            (main.clone(), scales.clone())
        };
        let mut planes = std::mem::take(&mut self.scratch);
        planes.clear();
        repack(block, matrix.cols, rows, &mut planes);
        let row_tile = self.variants().row_tile(matrix.rows);
        for Run { first_tile, planes } in self.tiler.add(matrix, row_tile, first_row, &planes) {
            let (quants, scale) = plane_bytes(matrix.layout, first_tile * row_tile, matrix.cols, row_tile);
            self.write(&main, quants as usize, &planes.quants)?;
            if let Some(scales) = &scales {
                self.write(scales, scale as usize, &planes.scales)?;
            }
        }
        self.scratch = planes;
        Ok(())
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
