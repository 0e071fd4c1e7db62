//! The blocks of KV caches in the host's memory.

use std::ops::Range;

use super::{Buffer, HostEngine, Kernels, zeroed};
use crate::record::{BufferId, KvCache, Memory};
use crate::{Error, Result};

/// A block of a KV cache in memory. The default is one that is not held.
pub trait Block: Clone + Default {
    /// Bytes of a block of this shape that is held.
    fn bytes(shape: &KvCache) -> usize;

    /// A block of zeros. Errors: `OutOfMemory`.
    fn new(label: &str, shape: &KvCache) -> Result<Self>;

    /// Whether it has memory.
    fn is_held(&self) -> bool;

    /// Writes values from `first` on, in their order in [`KvCache`], rounded to its format.
    fn write(&mut self, shape: &KvCache, first: usize, values: &[f32]);

    /// Writes all values, held as these bytes of its format.
    fn write_bytes(&mut self, shape: &KvCache, bytes: &[u8]) {
        self.write(shape, 0, &shape.format.decode(bytes));
    }

    /// Appends a range of values to `read`.
    fn read(&self, shape: &KvCache, range: Range<usize>, read: &mut Vec<f32>);

    /// All values of a state, see [`KvCache::of_state`].
    fn state_mut(&mut self) -> &mut [f32];
}

/// Values as the reference holds them: rounded to the format, and in f32 all the same.
impl Block for Vec<f32> {
    fn bytes(shape: &KvCache) -> usize {
        shape.block_len() * size_of::<f32>()
    }

    fn new(label: &str, shape: &KvCache) -> Result<Self> {
        zeroed(label, shape.block_len())
    }

    fn is_held(&self) -> bool {
        !self.is_empty()
    }

    fn write(&mut self, shape: &KvCache, first: usize, values: &[f32]) {
        let places = &mut self[first..][..values.len()];
        places.copy_from_slice(values);
        shape.format.round(places);
    }

    fn read(&self, _: &KvCache, range: Range<usize>, read: &mut Vec<f32>) {
        read.extend(&self[range]);
    }

    fn state_mut(&mut self) -> &mut [f32] {
        self
    }
}

/// Blocks of a KV cache, each with its own allocation.
pub(super) struct Blocks<B> {
    pub label: String,
    pub shape: KvCache,
    pub blocks: Vec<B>,
}

impl<B> Blocks<B> {
    /// The block and the range within it of each part of a range of all values.
    pub fn parts(&self, range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<B> {
        let len = self.shape.block_len().max(1);
        (range.start / len..range.end.div_ceil(len)).map(move |block| {
            let first = block * len;
            (block, range.start.max(first) - first..range.end.min(first + len) - first)
        })
    }
}

impl<K: Kernels> HostEngine<K> {
    pub(super) fn blocks(&self, id: BufferId) -> Result<&Blocks<K::Block>> {
        match self.buffers.get(id) {
            Some(Buffer::Blocks(blocks)) => Ok(blocks),
            _ => Err(not_blocks()),
        }
    }

    pub(super) fn blocks_mut(&mut self, id: BufferId) -> Result<&mut Blocks<K::Block>> {
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
            let Blocks { label, shape, blocks } = self.blocks(buffer)?;
            let is_new = |&block: &usize| held[block] && !blocks.get(block).is_some_and(Block::is_held);
            for block in (0..held.len()).filter(is_new) {
                bytes += K::Block::bytes(shape) as u64;
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
            let Blocks { label, shape, .. } = self.blocks(buffers[i])?;
            taken.push((i, block, K::Block::new(label, shape)?));
        }
        // nothing fails from here on
        for &buffer in buffers {
            let blocks = &mut self.blocks_mut(buffer)?.blocks;
            blocks.resize_with(held.len(), K::Block::default);
            blocks.iter_mut().zip(held).filter(|(_, held)| !**held).for_each(|(block, _)| *block = K::Block::default());
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
