//! The KV cache: the keys and values of past tokens, so that a new token attends to them without
//! computing them again.
//!
//! All sequences of a model share one pool of blocks of [`KV_BLOCK`] positions (PagedAttention,
//! Kwon et al. 2023, arXiv 2309.06180). A sequence takes blocks as it grows; sequences with a
//! common beginning share its blocks until one of them writes.
//!
//! The state of a layer without attention is in these blocks too, so that it is shared, copied and
//! freed as keys and values are. But a block has the state at its end only: of a convolution, the
//! inputs of its last positions. So a sequence goes on from the end of a block, or from few
//! positions before the last that was written: see [`Blocks::resumable`].

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use crate::model::Config;
use crate::model::config::LayerKind;
use crate::record::{BufferId, KV_BLOCK, KvCache, KvFormat, Memory, RECENT_INPUTS};
use crate::{Error, Result};

/// The shape of a layer's keys and values, in one part and without a buffer.
pub(super) fn cache_of(config: &Config, format: KvFormat) -> KvCache {
    let Config { kv_heads: heads, head_dim, .. } = *config;
    KvCache { buffer: BufferId(0), heads, head_dim, format: format.of_heads(head_dim), parts: 1 }
}

/// The same of what a layer of this kind keeps.
fn layer_cache(config: &Config, kind: LayerKind, format: KvFormat) -> KvCache {
    match kind {
        LayerKind::Attention => cache_of(config, format),
        LayerKind::Convolution { .. } => KvCache::of_inputs(config.hidden),
    }
}

/// How many positions a sequence may go back inside a block; `None`: any number.
fn rewind_of(config: &Config) -> Option<usize> {
    let rewind = |kind: &LayerKind| match kind {
        LayerKind::Attention => None,
        // the inputs before a position must still be there
        LayerKind::Convolution { width } => Some(RECENT_INPUTS + 1 - width),
    };
    config.kinds.iter().filter_map(rewind).min()
}

/// The block table of one sequence, in order of position. The blocks are given back when it is
/// dropped; [`KvPool::trim`] frees their memory.
#[derive(Debug)]
pub struct Blocks {
    table: Vec<u32>,
    /// The end of what was ever written into them.
    written: usize,
    /// See [`Blocks::resumable`].
    rewind: Option<usize>,
    pool: Rc<RefCell<Vec<Block>>>,
}

impl Blocks {
    /// Block `table[p / KV_BLOCK]` holds position p, as in
    /// [`Step::tables`](crate::record::Step::tables).
    pub fn table(&self) -> &[u32] {
        &self.table
    }

    /// A sequence with the first `positions` of this one, in the same blocks.
    pub fn fork(&self, positions: usize) -> Self {
        self.some(0..positions.div_ceil(KV_BLOCK))
    }

    /// Block `index` alone.
    pub fn block(&self, index: usize) -> Self {
        self.some(index..index + 1)
    }

    /// A sequence of some of the blocks.
    fn some(&self, blocks: Range<usize>) -> Self {
        let end = blocks.end.min(self.table.len());
        let table = self.table[blocks.start.min(end)..end].to_vec();
        hold(&self.pool, &table);
        let written = self.written.min(end * KV_BLOCK).saturating_sub(blocks.start * KV_BLOCK);
        Self { table, written, rewind: self.rewind, pool: self.pool.clone() }
    }

    /// Appends the blocks of another sequence.
    pub fn extend(&mut self, other: &Self) {
        hold(&self.pool, &other.table);
        self.written = self.table.len() * KV_BLOCK + other.written;
        self.table.extend(&other.table);
    }

    /// Gives back the blocks past the first `positions`.
    pub fn truncate(&mut self, positions: usize) {
        let kept = positions.div_ceil(KV_BLOCK).min(self.table.len());
        let mut pool = self.pool.borrow_mut();
        self.table.drain(kept..).for_each(|block| pool[block as usize].holders -= 1);
        self.written = self.written.min(kept * KV_BLOCK);
    }

    /// How many of the first `positions` a sequence may keep in order to go on from there: all of
    /// them, unless layers have a state that was overwritten since. Then the block begins anew.
    pub fn resumable(&self, positions: usize) -> usize {
        let border = positions / KV_BLOCK * KV_BLOCK;
        let written = self.written.min(border + KV_BLOCK);
        let is_lost = |rewind| positions > border && written.saturating_sub(positions) > rewind;
        if self.rewind.is_some_and(is_lost) { border } else { positions }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.truncate(0);
    }
}

fn hold(pool: &RefCell<Vec<Block>>, table: &[u32]) {
    let mut pool = pool.borrow_mut();
    table.iter().for_each(|&block| pool[block as usize].holders += 1);
}

/// The keys and values of all sequences of a model. A block has a part in each layer.
#[derive(Debug)]
#[cfg_attr(test, derive(Default))]
pub struct KvPool {
    /// One per layer.
    layers: Vec<KvCache>,
    /// The buffers of the layers.
    buffers: Vec<BufferId>,
    /// The format of keys and values.
    format: KvFormat,
    /// How many positions a sequence may go back inside a block; `None`: any number.
    rewind: Option<usize>,
    /// Shared with the sequences.
    blocks: Rc<RefCell<Vec<Block>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// Number of sequences that hold it.
    holders: u32,
    /// Whether it has memory in the engine.
    backed: bool,
}

impl KvPool {
    /// A pool for this many layers, without memory at first; see [`KvFormat::of_heads`]. A layer is
    /// of as many parts as give room for `positions` of all sequences, where any number does.
    pub fn new(
        memory: &mut dyn Memory,
        config: &Config,
        layers: usize,
        format: KvFormat,
        positions: usize,
    ) -> Result<Self> {
        let limit = memory.max_buffer_bytes();
        let layer = |kind: &LayerKind| {
            let whole = layer_cache(config, *kind, format);
            let cache = whole.divided(positions, limit).unwrap_or(KvCache { parts: whole.heads, ..whole });
            let buffer = memory.create_blocks("the KV cache", &cache, 0)?;
            Ok(KvCache { buffer, ..cache })
        };
        let layers: Vec<KvCache> = config.kinds[..layers].iter().map(layer).collect::<Result<_>>()?;
        let buffers = layers.iter().map(|layer| layer.buffer).collect();
        let (format, rewind) = (cache_of(config, format).format, rewind_of(config));
        Ok(Self { layers, buffers, format, rewind, blocks: Rc::default() })
    }

    /// The format of keys and values.
    pub fn format(&self) -> KvFormat {
        self.format
    }

    /// How many positions a sequence may go back inside a block; `None`: any number, since no layer
    /// has a state.
    pub fn rewind(&self) -> Option<usize> {
        self.rewind
    }

    /// The KV cache of a layer, for a recording.
    pub fn layer(&self, layer: usize) -> KvCache {
        self.layers[layer]
    }

    /// A sequence without positions.
    pub fn sequence(&self) -> Blocks {
        Blocks { table: Vec::new(), written: 0, rewind: self.rewind, pool: self.blocks.clone() }
    }

    /// Bytes of a block in the layers of a decoder.
    pub fn bytes_of_block(config: &Config, format: KvFormat) -> usize {
        config.kinds.iter().map(|&kind| layer_cache(config, kind, format).block_bytes()).sum()
    }

    /// The same of this pool.
    pub fn block_bytes(&self) -> usize {
        self.layers.iter().map(KvCache::block_bytes).sum()
    }

    /// Bytes of a block in the largest of the layers, where each is in as many parts as it can be.
    pub fn least_part_bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.block_bytes() / layer.heads).max().unwrap_or(0)
    }

    /// Number of blocks that sequences hold.
    pub fn held(&self) -> usize {
        self.blocks.borrow().iter().filter(|block| block.holders > 0).count()
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
        let wanted: Vec<usize> = {
            let pool = self.blocks.borrow();
            let is_own = |&block: &u32| pool[block as usize].holders == 1;
            (first..end).filter(|&index| !blocks.table.get(index).is_some_and(is_own)).collect()
        };
        if wanted.is_empty() {
            blocks.written = blocks.written.max(positions.end);
            return Ok(());
        }
        let mut taken = self.take(memory, wanted.len()).await?;
        let shared = wanted.iter().filter(|&&index| index < blocks.table.len()).count();
        for (&index, block) in wanted.iter().zip(&mut taken.table[..shared]) {
            let old = &mut blocks.table[index];
            if index * KV_BLOCK < positions.start {
                memory.copy_block(&self.buffers, *old as usize, *block as usize)?;
            }
            // the old one is given back with `taken`
            std::mem::swap(old, block);
        }
        blocks.table.extend(taken.table.drain(shared..));
        blocks.written = blocks.written.max(positions.end);
        Ok(())
    }

    /// Frees the memory of blocks that no sequence holds. A GPU copies the other blocks for this;
    /// without memory for the copy, nothing is freed.
    pub async fn trim(&mut self, memory: &mut dyn Memory) -> Result<()> {
        let held: Vec<bool> = {
            let pool = self.blocks.borrow();
            if pool.iter().all(|block| block.holders > 0 || !block.backed) {
                return Ok(());
            }
            pool.iter().map(|block| block.holders > 0).collect()
        };
        match memory.hold_blocks(&self.buffers, &held).await {
            Ok(()) => {
                let mut pool = self.blocks.borrow_mut();
                pool.iter_mut().zip(held).for_each(|(block, held)| block.backed = held);
                Ok(())
            }
            Err(Error::OutOfMemory { .. }) => Ok(()),
            Err(error) => Err(error),
        }
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

    /// Takes free blocks and gives them memory. Errors: `OutOfMemory`; none is then taken.
    async fn take(&mut self, memory: &mut dyn Memory, count: usize) -> Result<Blocks> {
        let pool = self.blocks.borrow().clone();
        let mut free: Vec<usize> = (0..pool.len()).filter(|&block| pool[block].holders == 0).collect();
        // blocks with memory first, then the lowest, so that the end of the pool becomes free
        free.sort_by_key(|&block| !pool[block].backed);
        free.extend((pool.len()..).take(count.saturating_sub(free.len())));
        free.truncate(count);
        let most = free.iter().max().map_or(0, |last| last + 1).max(pool.len());
        let is_backed = |&block: &usize| pool.get(block).is_some_and(|block| block.backed);
        if !free.iter().all(is_backed) {
            let mut held: Vec<bool> = (0..most).map(|block| is_backed(&block)).collect();
            free.iter().for_each(|&block| held[block] = true);
            memory.hold_blocks(&self.buffers, &held).await?;
        }
        let mut pool = self.blocks.borrow_mut();
        pool.resize(most, Block::default());
        free.iter().for_each(|&block| pool[block] = Block { holders: 1, backed: true });
        let table = free.into_iter().map(|block| block as u32).collect();
        Ok(Blocks { table, written: 0, rewind: self.rewind, pool: self.blocks.clone() })
    }
}
