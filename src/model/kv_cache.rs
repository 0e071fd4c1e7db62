//! The KV cache: the keys and values of past tokens, so that a new token attends to them without
//! computing them again.
//!
//! All sequences of a model share one pool of blocks of [`KV_BLOCK`] positions (PagedAttention,
//! Kwon et al. 2023, arXiv 2309.06180). A sequence takes blocks as it grows; sequences with a
//! common beginning share its blocks until one of them writes.

use std::ops::Range;

use crate::model::Config;
use crate::record::{BufferId, KV_BLOCK, KvCache, Memory};
use crate::{Error, Result};

/// The block table of one sequence, in order of position. [`KvPool::release`] returns the blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    table: Vec<u32>,
}

impl Blocks {
    /// Block `table[p / KV_BLOCK]` holds position p, as in
    /// [`Step::tables`](crate::record::Step::tables).
    pub fn table(&self) -> &[u32] {
        &self.table
    }
}

/// The keys and values of all sequences of a model. A block has a part in each layer.
#[derive(Clone, Debug)]
pub struct KvPool {
    /// One per layer.
    layers: Vec<KvCache>,
    /// The buffers of the layers.
    buffers: Vec<BufferId>,
    blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// Number of sequences that hold it.
    holders: u32,
    /// Whether it has memory in the engine.
    backed: bool,
}

impl KvPool {
    /// A pool for this many layers, without memory at first.
    pub fn new(memory: &mut dyn Memory, config: &Config, layers: usize) -> Result<Self> {
        let Config { kv_heads: heads, head_dim, .. } = *config;
        let layer = |_| {
            let cache = KvCache { buffer: BufferId(0), heads, head_dim };
            let buffer = memory.create_blocks("the KV cache", cache.block_len(), 0)?;
            Ok(KvCache { buffer, ..cache })
        };
        let layers: Vec<KvCache> = (0..layers).map(layer).collect::<Result<_>>()?;
        let buffers = layers.iter().map(|layer| layer.buffer).collect();
        Ok(Self { layers, buffers, blocks: Vec::new() })
    }

    /// The KV cache of a layer, for a recording.
    pub fn layer(&self, layer: usize) -> KvCache {
        self.layers[layer]
    }

    /// Number of blocks that sequences hold.
    pub fn held(&self) -> usize {
        self.blocks.iter().filter(|block| block.holders > 0).count()
    }

    /// Makes room for rows at these positions of a sequence; to be called before they run. Earlier
    /// positions must already be there. A block that other sequences also hold is copied. Errors:
    /// `OutOfMemory`; nothing has then changed, and every sequence can continue.
    pub async fn grow(&mut self, memory: &mut dyn Memory, blocks: &mut Blocks, positions: Range<usize>) -> Result<()> {
        let first = positions.start / KV_BLOCK;
        let end = positions.end.div_ceil(KV_BLOCK);
        if blocks.table.len() < positions.start.div_ceil(KV_BLOCK) {
            let expected = format!("blocks for the {} positions before", positions.start);
            return Err(Error::Internal { op: "grow", expected, got: format!("{} blocks", blocks.table.len()) });
        }
        let needs = |&index: &usize| blocks.table.get(index).is_none_or(|&block| self.is_shared(block));
        let wanted: Vec<usize> = (first..end).filter(needs).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let taken = self.take(memory, wanted.len()).await?;
        for (index, &block) in wanted.into_iter().zip(&taken) {
            let Some(&shared) = blocks.table.get(index) else {
                blocks.table.push(block);
                continue;
            };
            if index * KV_BLOCK < positions.start {
                memory.copy_block(&self.buffers, shared as usize, block as usize)?;
            }
            self.give_back(shared);
            blocks.table[index] = block;
        }
        Ok(())
    }

    /// A new sequence with the first `positions` of another one, in the same blocks.
    pub fn fork(&mut self, blocks: &Blocks, positions: usize) -> Blocks {
        let table = blocks.table[..positions.div_ceil(KV_BLOCK).min(blocks.table.len())].to_vec();
        for &block in &table {
            self.blocks[block as usize].holders += 1;
        }
        Blocks { table }
    }

    /// Returns the blocks past the first `positions` of a sequence. [`KvPool::trim`] frees their
    /// memory.
    pub fn truncate(&mut self, blocks: &mut Blocks, positions: usize) {
        let kept = positions.div_ceil(KV_BLOCK).min(blocks.table.len());
        blocks.table.drain(kept..).for_each(|block| self.give_back(block));
    }

    /// Returns all blocks of a sequence. [`KvPool::trim`] frees their memory.
    pub fn release(&mut self, mut blocks: Blocks) {
        self.truncate(&mut blocks, 0);
    }

    /// Frees the memory of blocks that no sequence holds. A GPU copies the other blocks for this;
    /// without memory for the copy, nothing is freed.
    pub async fn trim(&mut self, memory: &mut dyn Memory) -> Result<()> {
        if self.blocks.iter().all(|block| block.holders > 0 || !block.backed) {
            return Ok(());
        }
        let held: Vec<bool> = self.blocks.iter().map(|block| block.holders > 0).collect();
        match memory.hold_blocks(&self.buffers, &held).await {
            Ok(()) => self.blocks.iter_mut().for_each(|block| block.backed = block.holders > 0),
            Err(Error::OutOfMemory { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The ranges of a layer's buffer that hold the first `positions` of a sequence: the keys of
    /// each head in order of position, then the values likewise. Together (2, heads, positions,
    /// head_dim).
    pub fn ranges(&self, layer: usize, blocks: &Blocks, positions: usize) -> Vec<Range<usize>> {
        let cache = self.layers[layer];
        let heads = (0..2 * cache.heads).flat_map(|head| (0..positions).step_by(KV_BLOCK).map(move |p| (head, p)));
        let range = |(head, first): (usize, usize)| {
            let start = blocks.table[first / KV_BLOCK] as usize * cache.block_len();
            // the values follow the keys like further heads
            let within = cache.keys(head, 0..KV_BLOCK.min(positions - first));
            start + within.start..start + within.end
        };
        heads.map(range).collect()
    }

    fn is_shared(&self, block: u32) -> bool {
        self.blocks[block as usize].holders > 1
    }

    fn give_back(&mut self, block: u32) {
        self.blocks[block as usize].holders -= 1;
    }

    /// Takes free blocks and gives them memory. Errors: `OutOfMemory`; none is then taken.
    async fn take(&mut self, memory: &mut dyn Memory, count: usize) -> Result<Vec<u32>> {
        let mut free: Vec<usize> = (0..self.blocks.len()).filter(|&i| self.blocks[i].holders == 0).collect();
        // blocks with memory first, then the lowest, so that the end of the pool becomes free
        free.sort_by_key(|&block| !self.blocks[block].backed);
        free.extend((self.blocks.len()..).take(count.saturating_sub(free.len())));
        free.truncate(count);
        let most = free.iter().max().map_or(0, |last| last + 1).max(self.blocks.len());
        let is_backed = |&block: &usize| self.blocks.get(block).is_some_and(|block| block.backed);
        if !free.iter().all(is_backed) {
            let mut held: Vec<bool> = (0..most).map(|block| is_backed(&block)).collect();
            free.iter().for_each(|&block| held[block] = true);
            memory.hold_blocks(&self.buffers, &held).await?;
        }
        self.blocks.resize(most, Block::default());
        for &block in &free {
            self.blocks[block] = Block { holders: 1, backed: true };
        }
        Ok(free.into_iter().map(|block| block as u32).collect())
    }
}

/// Length of the common beginning of two token sequences: a new prompt need not compute it again.
pub fn shared_prefix(cached: &[u32], prompt: &[u32]) -> usize {
    cached.iter().zip(prompt).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::shared_prefix;

    #[test]
    fn prefix_ends_at_the_first_difference() {
        assert_eq!(shared_prefix(&[1, 2, 3], &[1, 2, 4, 5]), 2);
        assert_eq!(shared_prefix(&[1, 2, 3], &[1, 2, 3, 4]), 3);
        assert_eq!(shared_prefix(&[], &[1]), 0);
        assert_eq!(shared_prefix(&[7], &[1]), 0);
    }
}
