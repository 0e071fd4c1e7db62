//! The shape of a KV cache.

use std::ops::Range;

use super::{BufferId, KvFormat};

/// Positions per block of the KV cache; a multiple of four, since kernels process four at a time.
pub const KV_BLOCK: usize = 64;

/// Positions of a block whose inputs a convolution finds again: position p is at
/// p % `RECENT_INPUTS` of its block, so that the last ones stay.
pub const RECENT_INPUTS: usize = 8;

/// In the place of the slot that a state is read from: there is none yet, and all of it is 0.
pub const NO_STATE: u32 = u32::MAX;

/// The keys and values of one layer for all sequences: blocks of shape (2, heads, [`KV_BLOCK`],
/// head_dim), keys before values. The block table of a sequence lists the blocks of its positions.
///
/// A layer without attention keeps its state in such blocks: see [`KvCache::of_inputs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvCache {
    /// Created by [`Memory::create_blocks`](super::Memory::create_blocks).
    pub buffer: BufferId,
    /// Number of key/value heads.
    pub heads: usize,
    /// Values per head.
    pub head_dim: usize,
    /// How they are held.
    pub format: KvFormat,
    /// Equal parts of the heads; divides `heads`. A GPU, which bounds the size of a buffer, holds
    /// each in a buffer of its own.
    pub parts: usize,
}

impl KvCache {
    /// The state of a convolution of so many columns: a block has the last [`RECENT_INPUTS`] inputs
    /// of its positions, (`RECENT_INPUTS`, cols), and what is left of the shape is not used.
    pub fn of_inputs(cols: usize) -> Self {
        let head_dim = (RECENT_INPUTS * cols).div_ceil(2 * KV_BLOCK);
        Self { buffer: BufferId(0), heads: 1, head_dim, format: KvFormat::F32, parts: 1 }
    }

    /// The recurrent state of a layer, so many values for a sequence: a slot is a block.
    pub fn of_state(len: usize) -> Self {
        let heads = len.div_ceil(2 * KV_BLOCK);
        Self { buffer: BufferId(0), heads, head_dim: 1, format: KvFormat::F32, parts: 1 }
    }

    /// The range of a position's inputs within its block, in the state of a convolution.
    pub fn inputs(cols: usize, position: usize) -> Range<usize> {
        let first = position % RECENT_INPUTS * cols;
        first..first + cols
    }

    /// The same in the fewest parts that have so many positions in `limit` bytes each; `None`: not
    /// even a head has.
    pub fn divided(self, positions: usize, limit: u64) -> Option<Self> {
        let bytes = (positions.div_ceil(KV_BLOCK) as u64).saturating_mul(self.block_bytes() as u64);
        let fits = |&parts: &usize| self.heads.is_multiple_of(parts) && bytes / parts as u64 <= limit;
        (1..=self.heads).find(fits).map(|parts| Self { parts, ..self })
    }

    /// Heads of a part.
    pub fn part_heads(&self) -> usize {
        self.heads / self.parts
    }

    /// Bytes of a part of a block.
    pub fn part_bytes(&self) -> usize {
        self.block_bytes() / self.parts
    }

    /// A range of values, cut where it leaves a part: parts, and ranges within them. A part has
    /// blocks as the whole, of fewer heads.
    pub fn in_parts(&self, range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        // keys or values of a part in a block: they take turns
        let (run, parts) = (self.part_heads() * KV_BLOCK * self.head_dim, self.parts);
        let runs = range.start / run..range.end.div_ceil(run);
        runs.map(move |i| {
            let within = range.start.max(i * run) - i * run..range.end.min((i + 1) * run) - i * run;
            let first = i / parts * run;
            (i % parts, first + within.start..first + within.end)
        })
    }

    /// Values per block.
    pub fn block_len(&self) -> usize {
        2 * self.heads * KV_BLOCK * self.head_dim
    }

    /// Bytes per block.
    pub fn block_bytes(&self) -> usize {
        self.format.bytes(self.block_len())
    }

    /// Bytes of a key, or of a value, of a head.
    pub fn vector_bytes(&self) -> usize {
        self.format.bytes(self.head_dim)
    }

    /// The range of a head's keys within a block, for these of the block's positions.
    pub fn keys(&self, head: usize, positions: Range<usize>) -> Range<usize> {
        let start = head * KV_BLOCK;
        (start + positions.start) * self.head_dim..(start + positions.end) * self.head_dim
    }

    /// The range of a head's values, likewise.
    pub fn values(&self, head: usize, positions: Range<usize>) -> Range<usize> {
        self.keys(self.heads + head, positions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_has_no_more_parts_than_it_needs() {
        let (heads, head_dim, format) = (6, 64, KvFormat::F16);
        let whole = KvCache { buffer: BufferId(0), heads, head_dim, format, parts: 1 };
        // a block of a head
        let least = 2 * 64 * 64 * 2;
        let parts = |blocks: u64| whole.divided(10 * KV_BLOCK - 5, blocks * least).map(|cache| cache.parts);
        assert_eq!([60, 59, 30, 29, 20, 10].map(parts), [1, 2, 2, 3, 3, 6].map(Some));
        assert_eq!(parts(9), None);
        assert_eq!(whole.divided(usize::MAX, u64::MAX).map(|cache| cache.parts), Some(1));
    }

    #[test]
    fn every_value_is_in_one_part() {
        let (heads, head_dim, format) = (4, 8, KvFormat::F32);
        for parts in [1, 2, 4] {
            let cache = KvCache { buffer: BufferId(0), heads, head_dim, format, parts };
            let mut held = vec![vec![None; 3 * cache.block_len() / parts]; parts];
            // in ranges that begin and end anywhere
            let (mut at, all) = (0, 3 * cache.block_len());
            while at < all {
                let end = all.min(at + 1 + at % 1500);
                let places = cache.in_parts(at..end).flat_map(|(part, range)| range.map(move |place| (part, place)));
                for (value, (part, place)) in (at..end).zip(places) {
                    assert_eq!(held[part][place].replace(value), None);
                }
                at = end;
            }
            assert!(held.iter().flatten().all(Option::is_some));
            // a part is a cache of fewer heads
            let of_part = KvCache { heads: cache.part_heads(), parts: 1, ..cache };
            let (block, head, at) = (2 * cache.block_len(), 3, 5..9);
            let place = |range: Range<usize>| cache.in_parts(block + range.start..block + range.end).next();
            let expected = |range: Range<usize>| {
                let block = 2 * of_part.block_len();
                Some((head / of_part.heads, block + range.start..block + range.end))
            };
            let within = head % of_part.heads;
            assert_eq!(place(cache.keys(head, at.clone())), expected(of_part.keys(within, at.clone())));
            assert_eq!(place(cache.values(head, at.clone())), expected(of_part.values(within, at)));
        }
    }
}
