//! The sequences of a model that something is computed for.

use super::keys::{Key, Origin};
use crate::model::kv_cache::{Blocks, KvPool};

/// Keys and values of one text.
#[derive(Debug)]
pub(super) struct Sequence {
    pub origin: Origin,
    /// The content of each position whose keys and values are in `blocks`.
    pub keys: Vec<Key>,
    pub blocks: Blocks,
}

impl Sequence {
    /// A sequence without positions.
    pub fn new(pool: &KvPool, origin: Origin) -> Self {
        Self { origin, keys: Vec::new(), blocks: pool.sequence() }
    }

    /// Number of computed positions.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Keeps only the first positions; fewer where it can go on from those alone, see
    /// [`Blocks::resumable`].
    pub fn truncate(&mut self, positions: usize) {
        if positions < self.len() {
            let positions = self.blocks.resumable(positions);
            self.keys.truncate(positions);
            self.blocks.truncate(positions);
        }
    }

    /// A sequence with the first positions of this one, likewise.
    pub fn fork(&self, positions: usize) -> Self {
        let positions = self.blocks.resumable(positions);
        let (origin, keys) = (self.origin, self.keys[..positions].to_vec());
        Self { origin, keys, blocks: self.blocks.fork(positions) }
    }
}
