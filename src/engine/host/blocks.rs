//! The blocks of KV caches in the host's memory.

use std::ops::Range;

use super::{Buffer, HostEngine, Kernels, zeroed};
use crate::record::{BufferId, KvFormat, Memory};
use crate::{Error, Result};

/// Blocks of a KV cache, each with its own allocation.
#[derive(Default)]
pub(super) struct Blocks {
    pub label: String,
    /// Values per block.
    pub len: usize,
    /// The values are rounded to it, and held in f32 all the same.
    pub format: KvFormat,
    /// Empty vectors for blocks that are not held.
    pub blocks: Vec<Vec<f32>>,
}

impl Blocks {
    /// The block and the range within it of each part of a range of all values.
    pub fn parts(&self, range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let len = self.len.max(1);
        (range.start / len..range.end.div_ceil(len)).map(move |block| {
            let first = block * len;
            (block, range.start.max(first) - first..range.end.min(first + len) - first)
        })
    }
}

impl<K: Kernels> HostEngine<K> {
    pub(super) fn blocks(&self, id: BufferId) -> Result<&Blocks> {
        match self.buffers.get(id) {
            Some(Buffer::Blocks(blocks)) => Ok(blocks),
            _ => Err(not_blocks()),
        }
    }

    pub(super) fn blocks_mut(&mut self, id: BufferId) -> Result<&mut Blocks> {
        match self.buffers.get_mut(id) {
            Some(Buffer::Blocks(blocks)) => Ok(blocks),
            _ => Err(not_blocks()),
        }
    }

    /// See [`Memory::hold_blocks`].
    pub(super) fn hold(&mut self, buffers: &[BufferId], held: &[bool]) -> Result<()> {
        let in_use = self.memory_bytes();
        let mut wanted = Vec::new();
        let mut bytes = 0;
        for (i, &buffer) in buffers.iter().enumerate() {
            let Blocks { label, len, blocks, .. } = self.blocks(buffer)?;
            let is_new = |&block: &usize| held[block] && blocks.get(block).is_none_or(Vec::is_empty);
            for block in (0..held.len()).filter(is_new) {
                bytes += (len * size_of::<f32>()) as u64;
                if in_use + bytes > self.memory_limit {
                    let limit = format!("and the engine may have {} in all", self.memory_limit);
                    return Err(Error::OutOfMemory { what: label.clone(), needed: in_use + bytes, limit });
                }
                wanted.push((i, block));
            }
        }
        grow_once(bytes);
        let mut taken = Vec::with_capacity(wanted.len());
        for (i, block) in wanted {
            let Blocks { label, len, .. } = self.blocks(buffers[i])?;
            taken.push((i, block, zeroed(label, *len)?));
        }
        // nothing fails from here on
        for &buffer in buffers {
            let blocks = &mut self.blocks_mut(buffer)?.blocks;
            blocks.resize_with(held.len(), Vec::new);
            blocks.iter_mut().zip(held).filter(|(_, held)| !**held).for_each(|(block, _)| *block = Vec::new());
        }
        for (i, block, values) in taken {
            self.blocks_mut(buffers[i])?.blocks[block] = values;
        }
        Ok(())
    }
}

fn not_blocks() -> Error {
    Error::Internal { op: "run", expected: "the blocks of a KV cache".into(), got: "another buffer".into() }
}

/// Grows the allocator's memory once for many small allocations of `bytes` in all. Browsers take up
/// to a millisecond for each growth of WebAssembly's memory. Failure does not matter: the small
/// allocations may still find room.
fn grow_once(bytes: u64) {
    let mut room = Vec::<u8>::new();
    let _ = room.try_reserve_exact(bytes as usize);
    // or the compiler leaves the allocation out
    std::hint::black_box(&mut room);
}
