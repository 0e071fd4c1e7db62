//! The memory of a GPU engine that is not there: buffers are laid out and counted, and what is
//! written is counted and forgotten. So a model can be recorded from its headers alone.

use super::device::buffer_size;
use super::pace::per_submit;
use super::program::{capacity, program_bytes};
use super::tiles::{Uploads, plane_bytes};
use crate::format::{BlockType, Layout};
use crate::ops::{Kernel, Variants};
use crate::record::{BufferId, KvCache, KvFormat, LocalFuture, Matrix, Memory};
use crate::{Error, Result};

/// Memory that only counts, laid out for these shaders.
pub struct Planned {
    variants: Variants,
    max_buffer_bytes: u64,
    /// Bytes of each, by plane.
    buffers: Vec<Vec<u64>>,
    uploads: Uploads,
    written: u64,
}

impl Planned {
    /// Memory of an adapter that allows so many bytes for one buffer.
    pub fn new(variants: Variants, max_buffer_bytes: u64) -> Self {
        Self { variants, max_buffer_bytes, buffers: Vec::new(), uploads: Uploads::default(), written: 0 }
    }

    /// The shaders.
    pub fn variants(&self) -> &Variants {
        &self.variants
    }

    /// Bytes of weights and values that were written, as a GPU would get them.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes of the largest plane.
    pub fn largest(&self) -> u64 {
        self.buffers.iter().flatten().copied().max().unwrap_or(0)
    }

    /// Bytes of the buffers that a program of these dispatches has of its own, for steps whose
    /// longest sequence has `reach` positions.
    pub fn program_bytes(kernels: &[Kernel], reach: usize) -> u64 {
        program_bytes(kernels, reach)
    }

    /// Submits of a replay of these dispatches, once the time of one has been measured and a chunk
    /// of a prompt takes less than a tenth of a second.
    pub fn submits(kernels: &[Kernel]) -> usize {
        kernels.len().div_ceil(per_submit(capacity(kernels), kernels.len()))
    }

    fn create(&mut self, label: &str, planes: impl IntoIterator<Item = u64>) -> Result<BufferId> {
        let planes: Vec<u64> = planes.into_iter().map(buffer_size).collect();
        if let Some(&needed) = planes.iter().find(|&&bytes| bytes > self.max_buffer_bytes) {
            return Err(Error::OutOfMemory { what: label.into(), needed, limit: self.buffer_limit() });
        }
        self.buffers.push(planes);
        Ok(BufferId(self.buffers.len() - 1))
    }
}

impl Memory for Planned {
    fn max_buffer_bytes(&self) -> u64 {
        self.max_buffer_bytes
    }

    fn memory_bytes(&self) -> u64 {
        self.buffers.iter().flatten().sum()
    }

    fn buffer_bytes(&self, buffer: BufferId) -> u64 {
        self.buffers.get(buffer.0).map_or(0, |planes| planes.iter().sum())
    }

    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId> {
        self.create(label, [len as u64 * size_of::<f32>() as u64])
    }

    fn kv_format(&self, asked: Option<KvFormat>) -> Result<KvFormat> {
        KvFormat::of_gpu(asked)
    }

    fn create_blocks(&mut self, label: &str, shape: &KvCache, count: usize) -> Result<BufferId> {
        self.create(label, (0..shape.parts).map(|_| shape.part_bytes() as u64 * count as u64))
    }

    fn hold_blocks(&mut self, _: &[BufferId], _: &[bool]) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn copy_block(&mut self, _: &[BufferId], _: usize, _: usize) -> Result<()> {
        Ok(())
    }

    fn write_values(&mut self, _: BufferId, _: usize, values: &[f32]) -> Result<()> {
        self.written += size_of_val(values) as u64;
        Ok(())
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        let (quants, scales) = plane_bytes(layout, rows, cols, self.variants.row_tile(rows));
        // a layout without scales has only quants
        let buffer = self.create(label, [quants].into_iter().chain((scales > 0).then_some(scales)))?;
        Ok(Matrix { buffer, layout, rows, cols })
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        let row_tile = self.variants.row_tile(matrix.rows);
        let Self { buffers, uploads, written, .. } = self;
        uploads.add(matrix, row_tile, first_row, (block, rows), |plane, at, bytes| {
            let end = at + bytes.len() as u64;
            let size = buffers.get(matrix.buffer.0).and_then(|planes| planes.get(plane)).copied().unwrap_or(0);
            if end > size {
                let (expected, got) = (format!("a write within {size} bytes"), format!("one up to {end}"));
                return Err(Error::Internal { op: "write", expected, got });
            }
            *written += bytes.len() as u64;
            Ok(())
        })
    }

    fn free(&mut self, buffer: BufferId) {
        if let Some(planes) = self.buffers.get_mut(buffer.0) {
            planes.clear();
        }
    }
}
