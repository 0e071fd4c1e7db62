//! The KV cache: the keys and values of past tokens, so that a new token attends to them without
//! computing them again.
//!
//! All sequences of a model share one pool of blocks of [`KV_BLOCK`] positions (PagedAttention,
//! Kwon et al. 2023, arXiv 2309.06180). A sequence takes blocks as it grows; sequences with a
//! common beginning share its blocks until one of them writes.
//!
//! The state of a layer without attention is there too, so that it is shared and freed as keys and
//! values are. Of a convolution a block has the state at its end, the inputs of its last positions:
//! a sequence goes on from there, or from few positions before the last that was written. The state
//! of linear attention is as large as the keys and values of hundreds of positions. It is in slots
//! of a pool of its own, and a sequence goes on where one of its slots ends: see
//! [`Blocks::resumable`].
//!
//! | file | contents |
//! |---|---|
//! | here | the blocks of a sequence, and the pool of a model |
//! | `pool` | which blocks are held, and by how many |
//! | `states` | the slots of a sequence |

mod pool;
mod states;

use std::ops::Range;

use pool::{Held, Pool};
use states::States;

use crate::model::Config;
use crate::model::config::{LayerKind, Widths};
use crate::record::{BufferId, KV_BLOCK, KvCache, KvFormat, Memory, NO_STATE, RECENT_INPUTS};
use crate::{Error, Result};

/// The largest shape of a layer's keys and values, in one part and without a buffer.
pub(super) fn cache_of(config: &Config, format: KvFormat) -> KvCache {
    cache_of_heads(config.kv_heads, config.head_dim, format)
}

fn cache_of_heads(heads: usize, head_dim: usize, format: KvFormat) -> KvCache {
    KvCache { buffer: BufferId(0), heads, head_dim, format: format.of_heads(head_dim), parts: 1 }
}

/// The shape of what a layer keeps.
fn layer_cache(config: &Config, layer: usize, format: KvFormat) -> KvCache {
    match config.kinds[layer] {
        LayerKind::Attention => {
            let Widths { kv_heads, head_dim, .. } = config.widths[layer];
            cache_of_heads(kv_heads, head_dim, format)
        }
        LayerKind::Convolution { .. } => KvCache::of_inputs(config.hidden),
        kind @ (LayerKind::Delta { .. } | LayerKind::Scan { .. } | LayerKind::Wkv { .. }) => {
            KvCache::of_state(kind.state_len().unwrap_or(0))
        }
    }
}

/// Whether a layer of this kind keeps its state in slots.
fn has_slots(kind: LayerKind) -> bool {
    kind.state_len().is_some()
}

/// The layers that keep something: not those that read the keys and values of another.
fn keeping(config: &Config, layers: usize) -> impl Iterator<Item = usize> {
    (0..layers).filter(|&layer| config.kv_layers[layer] == layer)
}

/// How many positions a sequence may go back inside a block; `None`: any number.
fn rewind_of(config: &Config) -> Option<usize> {
    let rewind = |kind: &LayerKind| match kind {
        LayerKind::Attention => None,
        // the inputs before a position must still be there
        LayerKind::Convolution { width } => Some(RECENT_INPUTS + 1 - width),
        // a step of one row, which is computed again only from the state before it
        LayerKind::Delta { .. } | LayerKind::Scan { .. } | LayerKind::Wkv { .. } => Some(1),
    };
    config.kinds.iter().filter_map(rewind).min()
}

/// The block table of one sequence, in order of position. The blocks are given back when it is
/// dropped; [`KvPool::trim`] frees their memory.
#[derive(Debug)]
pub struct Blocks {
    table: Held,
    /// The end of what was ever written into them.
    written: usize,
    /// See [`Blocks::resumable`].
    rewind: Option<usize>,
    /// Where layers have linear attention.
    states: Option<States>,
}

impl Blocks {
    /// Block `table[p / KV_BLOCK]` holds position p, as in
    /// [`Step::tables`](crate::record::Step::tables).
    pub fn table(&self) -> &[u32] {
        self.table.ids()
    }

    /// The slots that a step at these positions, for which there is room, reads its state from and
    /// writes it to, as in [`Step::states`](crate::record::Step::states): to be called once for
    /// each such step, before it runs.
    pub fn advance(&mut self, positions: Range<usize>) -> [u32; 2] {
        self.states.as_mut().map_or([NO_STATE; 2], |states| states.advance(positions))
    }

    /// Number of slots of states that it holds.
    pub fn slots(&self) -> usize {
        self.states.as_ref().map_or(0, States::len)
    }

    /// A sequence with the first `positions` of this one, in the same blocks.
    pub fn fork(&self, positions: usize) -> Self {
        let mut forked = self.some(0..positions.div_ceil(KV_BLOCK));
        forked.states.iter_mut().for_each(|states| states.truncate(positions));
        forked
    }

    /// Block `index` alone.
    pub fn block(&self, index: usize) -> Self {
        self.some(index..index + 1)
    }

    /// A sequence of some of the blocks.
    fn some(&self, blocks: Range<usize>) -> Self {
        let end = blocks.end.min(self.table.len());
        let blocks = blocks.start.min(end)..end;
        let positions = blocks.start * KV_BLOCK..blocks.end * KV_BLOCK;
        let written = self.written.min(positions.end).saturating_sub(positions.start);
        let states = self.states.as_ref().map(|states| states.some(positions));
        Self { table: self.table.some(blocks), written, rewind: self.rewind, states }
    }

    /// Appends the blocks of another sequence.
    pub fn extend(&mut self, other: &Self) {
        let positions = self.table.len() * KV_BLOCK;
        self.written = positions + other.written;
        self.table.extend(&other.table);
        if let (Some(states), Some(others)) = (&mut self.states, &other.states) {
            states.extend(positions, others);
        }
    }

    /// Gives back the blocks past the first `positions`, and the states past them.
    pub fn truncate(&mut self, positions: usize) {
        let kept = positions.div_ceil(KV_BLOCK).min(self.table.len());
        self.table.truncate(kept);
        self.written = self.written.min(kept * KV_BLOCK);
        self.states.iter_mut().for_each(|states| states.truncate(positions));
    }

    /// How many of the first `positions` a sequence may keep in order to go on from there: all of
    /// them, unless layers have a state. One in a block may have been overwritten since; then the
    /// block begins anew. One in a slot is that of a single place.
    pub fn resumable(&self, positions: usize) -> usize {
        if let Some(states) = &self.states {
            return states.latest(positions);
        }
        let border = positions / KV_BLOCK * KV_BLOCK;
        let written = self.written.min(border + KV_BLOCK);
        let is_lost = |rewind| positions > border && written.saturating_sub(positions) > rewind;
        if self.rewind.is_some_and(is_lost) { border } else { positions }
    }
}

/// The keys and values of all sequences of a model, and their states. A block has a part in each
/// layer that keeps something of each position, a slot in each of the others.
#[derive(Debug)]
#[cfg_attr(test, derive(Default))]
pub struct KvPool {
    /// One per layer.
    layers: Vec<KvCache>,
    /// Whether each keeps its state in slots.
    in_slots: Vec<bool>,
    /// The layers with keys and values, or a state, of their own.
    keeping: Vec<usize>,
    /// The format of keys and values.
    format: KvFormat,
    /// How many positions a sequence may go back inside a block; `None`: any number.
    rewind: Option<usize>,
    blocks: Pool,
    /// The slots of states, where there are layers that have them.
    slots: Option<Pool>,
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
        let mut caches: Vec<KvCache> = Vec::with_capacity(layers);
        for (layer, &source) in config.kv_layers[..layers].iter().enumerate() {
            if source < layer {
                caches.push(caches[source]);
                continue;
            }
            let whole = layer_cache(config, layer, format);
            let cache = match has_slots(config.kinds[layer]) {
                true => whole,
                false => whole.divided(positions, limit).unwrap_or(KvCache { parts: whole.heads, ..whole }),
            };
            let buffer = memory.create_blocks("the KV cache", &cache, 0)?;
            caches.push(KvCache { buffer, ..cache });
        }
        let in_slots: Vec<bool> = config.kinds[..layers].iter().map(|kind| has_slots(*kind)).collect();
        let (keeping, layers) = (keeping(config, layers).collect::<Vec<_>>(), caches);
        let of = |slots: bool| {
            let some = keeping.iter().filter(|&&layer| in_slots[layer] == slots);
            some.map(|&layer| layers[layer].buffer).collect::<Vec<_>>()
        };
        let (blocks, slots) = (Pool::new(of(false)), in_slots.contains(&true).then(|| Pool::new(of(true))));
        let (format, rewind) = (cache_of(config, format).format, rewind_of(config));
        Ok(Self { layers, in_slots, keeping, format, rewind, blocks, slots })
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

    /// Whether layers keep their state in slots, each of one place in a text.
    pub fn has_slots(&self) -> bool {
        self.slots.is_some()
    }

    /// Whether all layers keep keys and values of one shape, each its own.
    pub fn is_uniform(&self) -> bool {
        let shape = |cache: &KvCache| (cache.heads, cache.head_dim);
        let same = self.layers.iter().all(|cache| shape(cache) == shape(&self.layers[0]));
        same && self.rewind.is_none() && !self.has_slots() && self.keeping.len() == self.layers.len()
    }

    /// The layers with keys and values, or a state, of their own.
    pub fn keeping(&self) -> &[usize] {
        &self.keeping
    }

    /// The KV cache of a layer, or its states, for a recording.
    pub fn layer(&self, layer: usize) -> KvCache {
        self.layers[layer]
    }

    /// A sequence without positions.
    pub fn sequence(&self) -> Blocks {
        let states = self.slots.as_ref().map(|slots| States::new(slots.none()));
        Blocks { table: self.blocks.none(), written: 0, rewind: self.rewind, states }
    }

    /// Bytes of a block in the layers of a decoder, with its share of the slots that stay.
    pub fn bytes_of_block(config: &Config, format: KvFormat) -> usize {
        let of = |layer: usize| {
            let bytes = layer_cache(config, layer, format).block_bytes();
            if has_slots(config.kinds[layer]) { bytes * KV_BLOCK / states::STAYS_EVERY } else { bytes }
        };
        keeping(config, config.layers).map(of).sum()
    }

    /// Most slots of so many blocks that are kept for later prompts.
    pub fn most_slots(blocks: usize) -> usize {
        states::most(blocks.saturating_mul(KV_BLOCK)) + states::most(0)
    }

    /// The same of this pool.
    pub fn block_bytes(&self) -> usize {
        self.bytes(false)
    }

    /// Bytes of a slot in all layers that have them.
    pub fn slot_bytes(&self) -> usize {
        self.bytes(true)
    }

    /// Bytes of what a sequence of so many positions holds.
    pub fn sequence_bytes(&self, positions: usize) -> u64 {
        let slots = if self.has_slots() { states::most(positions) } else { 0 };
        (positions.div_ceil(KV_BLOCK) * self.block_bytes()) as u64 + (slots * self.slot_bytes()) as u64
    }

    fn bytes(&self, slots: bool) -> usize {
        let some = self.keeping.iter().filter(|&&layer| self.in_slots[layer] == slots);
        some.map(|&layer| self.layers[layer].block_bytes()).sum()
    }

    /// Bytes of a block in the largest of the layers, where each is in as many parts as it can be.
    pub fn least_part_bytes(&self) -> usize {
        let some = self.layers.iter().zip(&self.in_slots).filter(|(_, in_slots)| !**in_slots);
        some.map(|(layer, _)| layer.block_bytes() / layer.heads).max().unwrap_or(0)
    }

    /// Number of blocks that sequences hold.
    pub fn held(&self) -> usize {
        self.blocks.held()
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
        if let (Some(states), Some(slots)) = (&mut blocks.states, &mut self.slots) {
            states.grow(memory, slots, positions.clone()).await?;
        }
        let wanted: Vec<usize> = (first..end).filter(|&index| !blocks.table.owns(index)).collect();
        if wanted.is_empty() {
            blocks.written = blocks.written.max(positions.end);
            return Ok(());
        }
        let mut taken = self.blocks.take(memory, wanted.len()).await?;
        let shared = wanted.iter().filter(|&&index| index < blocks.table.len()).count();
        for (number, &index) in wanted[..shared].iter().enumerate() {
            if index * KV_BLOCK < positions.start {
                let (old, block) = (blocks.table.ids()[index], taken.ids()[number]);
                memory.copy_block(self.blocks.buffers(), old as usize, block as usize)?;
            }
            // the old one is given back with `taken`
            blocks.table.swap(index, &mut taken, number);
        }
        blocks.table.append(&mut taken, shared);
        blocks.written = blocks.written.max(positions.end);
        Ok(())
    }

    /// Frees the memory of blocks that no sequence holds. A GPU copies the other blocks for this;
    /// without memory for the copy, nothing is freed.
    pub async fn trim(&mut self, memory: &mut dyn Memory) -> Result<()> {
        for pool in std::iter::once(&mut self.blocks).chain(&mut self.slots) {
            pool.trim(memory).await?;
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
            let start = blocks.table.ids()[first / KV_BLOCK] as usize * cache.block_len();
            // the values follow the keys like further heads
            let within = cache.keys(head, 0..KV_BLOCK.min(positions - first));
            start + within.start..start + within.end
        };
        heads.map(range).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Array;
    use crate::format::metadata::Metadata;

    #[test]
    fn keys_that_layers_share_count_once() {
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", "gemma4");
        let mut put = |key: &str, count: u32| metadata.insert(format!("gemma4.{key}"), count);
        put("block_count", 6);
        put("embedding_length", 24);
        put("feed_forward_length", 96);
        put("context_length", 64);
        put("attention.head_count", 4);
        put("attention.head_count_kv", 2);
        put("attention.key_length", 16);
        put("attention.key_length_swa", 8);
        put("attention.sliding_window", 8);
        put("attention.shared_kv_layers", 3);
        metadata.insert("gemma4.attention.sliding_window_pattern", Array::U32(vec![1, 0, 1, 0, 1, 0]));
        metadata.insert("gemma4.attention.layer_norm_rms_epsilon", 1e-6f32);
        let config = Config::from_metadata(&metadata).unwrap();
        assert_eq!(config.kv_layers, [0, 1, 2, 1, 2, 1]);
        let own = [8, 16, 8].map(|head_dim| 2 * 2 * head_dim * KV_BLOCK * size_of::<f32>());
        assert_eq!(KvPool::bytes_of_block(&config, KvFormat::F32), own.iter().sum::<usize>());
        // a number is that of each layer
        metadata.insert("gemma4.attention.sliding_window_pattern", 5u32);
        let config = Config::from_metadata(&metadata).unwrap();
        assert_eq!(config.kv_layers, [0, 1, 2, 2, 2, 2]);
        assert!(config.widths.iter().all(|widths| widths.head_dim == 8), "{:?}", config.widths);
    }
}
