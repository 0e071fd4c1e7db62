//! The sequences of a model that something is computed for.

use super::keys::{Key, Origin};
use super::pictures::Content;
use crate::model::kv_cache::{Blocks, KvPool};

/// Keys and values of one text.
#[derive(Debug)]
pub(super) struct Sequence {
    pub origin: Origin,
    /// The content of each position whose keys and values are in `blocks`.
    pub keys: Vec<Key>,
    pub blocks: Blocks,
    /// The positions that are not of tokens, computed or not.
    pub content: Content,
    /// How many of the first positions are those of its source text, which is there as a whole or
    /// not at all.
    pub source: usize,
}

impl Sequence {
    /// A sequence without positions.
    pub fn new(pool: &KvPool, origin: Origin) -> Self {
        Self { origin, keys: Vec::new(), blocks: pool.sequence(), content: Content::default(), source: 0 }
    }

    /// Notes that the next positions, of these ids, are computed.
    pub fn computed(&mut self, ids: &[u32]) {
        let keys = self.content.keys(self.len(), ids);
        self.keys.extend(keys);
    }

    /// Number of computed positions.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Keeps only the first positions; fewer where it can go on from those alone, see
    /// [`Blocks::resumable`].
    pub fn truncate(&mut self, positions: usize) {
        if positions < self.len() {
            let whole = if positions < self.source { 0 } else { positions };
            let positions = self.blocks.resumable(whole);
            self.keys.truncate(positions);
            self.blocks.truncate(positions);
        }
    }

    /// A sequence with the first positions of this one, likewise.
    pub fn fork(&self, positions: usize) -> Self {
        let positions = self.blocks.resumable(positions);
        let (origin, keys) = (self.origin, self.keys[..positions].to_vec());
        let (content, source) = (self.content.clone(), self.source);
        Self { origin, keys, blocks: self.blocks.fork(positions), content, source }
    }
}
