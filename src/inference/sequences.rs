//! The sequences of a model: running ones, and ended ones that may be continued.

use super::keys::{Key, Origin, shared_prefix};
use crate::model::kv_cache::{Blocks, KvPool};

/// Largest number of ended sequences to keep.
const KEPT: usize = 8;

/// Their largest total length, in full contexts.
pub(super) const KEPT_CONTEXTS: usize = 2;

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

    /// Keeps only the first positions.
    pub fn truncate(&mut self, positions: usize) {
        if positions < self.len() {
            self.keys.truncate(positions);
            self.blocks.truncate(positions);
        }
    }

    /// A sequence with the first positions of this one.
    fn fork(&self, positions: usize) -> Self {
        let (origin, keys) = (self.origin, self.keys[..positions].to_vec());
        Self { origin, keys, blocks: self.blocks.fork(positions) }
    }
}

/// Ended sequences. A new prompt continues the one with the longest common prefix.
#[derive(Default)]
pub(super) struct Ended {
    /// Least recently used first.
    sequences: Vec<Sequence>,
}

impl Ended {
    pub fn iter(&self) -> impl Iterator<Item = &Sequence> {
        self.sequences.iter()
    }

    /// Keeps one more sequence, and drops the least recently used ones if there are too many or
    /// they are too long together.
    pub fn keep(&mut self, mut sequence: Sequence, context: usize) {
        // positions of steps queued past its end
        sequence.blocks.truncate(sequence.keys.len());
        let begins = |longer: &Sequence, shorter: &Sequence| {
            longer.origin == shorter.origin && longer.keys.starts_with(&shorter.keys)
        };
        // another sequence already has this one as its prefix
        if sequence.keys.is_empty() || self.sequences.iter().any(|other| begins(other, &sequence)) {
            return;
        }
        self.sequences.retain(|other| !begins(&sequence, other));
        self.sequences.push(sequence);
        while self.sequences.len() > KEPT || self.positions() > KEPT_CONTEXTS * context {
            self.sequences.remove(self.cheapest());
        }
    }

    /// The least recently used sequence of those that a newer one repeats by half or more, else the
    /// least recently used of all. Scores of many labels after one text thus push out each other,
    /// not other texts.
    fn cheapest(&self) -> usize {
        let repeated = |(i, sequence): (usize, &Sequence)| {
            let by = |newer: &Sequence| match newer.origin == sequence.origin {
                true => shared_prefix(&newer.keys, &sequence.keys),
                false => 0,
            };
            self.sequences[i + 1..].iter().any(|newer| 2 * by(newer) >= sequence.len())
        };
        self.sequences.iter().enumerate().position(repeated).unwrap_or(0)
    }

    fn positions(&self) -> usize {
        self.sequences.iter().map(Sequence::len).sum()
    }

    /// Drops the least recently used sequence. Returns false if there is none.
    pub fn drop_oldest(&mut self) -> bool {
        let some = !self.sequences.is_empty();
        self.sequences.drain(..usize::from(some));
        some
    }

    /// Drops all sequences.
    pub fn clear(&mut self) {
        self.sequences.clear();
    }

    /// A sequence whose positions are the longest prefix of `keys` in any sequence, at most `most`:
    /// an ended sequence itself if none of it is lost, else a fork of an ended one or of one of
    /// `running`.
    pub fn open<'a>(
        &mut self,
        pool: &KvPool,
        running: impl Iterator<Item = &'a Sequence>,
        keys: &[Key],
        origin: &Origin,
        most: usize,
    ) -> Sequence {
        let shared = |sequence: &Sequence| match sequence.origin.serves(origin) {
            true => shared_prefix(&sequence.keys, keys),
            false => 0,
        };
        // the latest among equals
        let ended = self.sequences.iter().map(&shared).enumerate().max_by_key(|&(_, shared)| shared);
        let running = running.map(|sequence| (sequence, shared(sequence))).max_by_key(|&(_, shared)| shared);
        let in_running = running.map_or(0, |(_, shared)| shared.min(most));
        if let Some((index, shared)) = ended.filter(|&(_, shared)| shared > 0 && shared.min(most) >= in_running) {
            let mut found = self.sequences.remove(index);
            if shared == found.len() {
                found.truncate(most);
                return found;
            }
            let fork = found.fork(shared.min(most));
            // it is now the most recently used
            self.sequences.push(found);
            return fork;
        }
        match running {
            Some((sequence, _)) if in_running > 0 => sequence.fork(in_running),
            _ => Sequence::new(pool, Origin { restored: None, ..*origin }),
        }
    }
}
