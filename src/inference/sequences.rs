//! The sequences of a model: those under way, and those that ended and may be continued.

use super::keys::{Key, Origin, shared_prefix};
use crate::model::kv_cache::{Blocks, KvPool};

/// Sequences that ended and are kept, at most.
const KEPT: usize = 8;

/// What they may hold together, in full contexts.
const KEPT_CONTEXTS: usize = 2;

/// Keys and values of one text.
#[derive(Debug)]
pub(super) struct Sequence {
    pub origin: Origin,
    /// What each position holds whose keys and values are in `blocks`.
    pub keys: Vec<Key>,
    pub blocks: Blocks,
}

impl Sequence {
    /// Without positions.
    pub fn new(origin: Origin) -> Self {
        Self { origin, keys: Vec::new(), blocks: Blocks::default() }
    }

    /// Positions that are computed.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Keeps the first positions.
    pub fn truncate(&mut self, pool: &mut KvPool, positions: usize) {
        if positions < self.len() {
            self.keys.truncate(positions);
            pool.truncate(&mut self.blocks, positions);
        }
    }
}

/// Sequences that ended. A new prompt continues the one that it shares most with.
#[derive(Default)]
pub(super) struct Ended {
    /// Least recently used first.
    sequences: Vec<Sequence>,
}

impl Ended {
    pub fn iter(&self) -> impl Iterator<Item = &Sequence> {
        self.sequences.iter()
    }

    /// Keeps one more, and drops the least recently used ones where they are too many or too long together.
    pub fn keep(&mut self, pool: &mut KvPool, mut sequence: Sequence, context: usize) {
        // what was queued past its end
        pool.truncate(&mut sequence.blocks, sequence.keys.len());
        let begins = |longer: &Sequence, shorter: &Sequence| {
            longer.origin == shorter.origin && longer.keys.starts_with(&shorter.keys)
        };
        // what another one begins with is there already
        if sequence.keys.is_empty() || self.sequences.iter().any(|other| begins(other, &sequence)) {
            return pool.release(sequence.blocks);
        }
        for shorter in self.sequences.extract_if(.., |other| begins(&sequence, other)) {
            pool.release(shorter.blocks);
        }
        self.sequences.push(sequence);
        while self.sequences.len() > KEPT || self.positions() > KEPT_CONTEXTS * context {
            self.drop_oldest(pool);
        }
    }

    fn positions(&self) -> usize {
        self.sequences.iter().map(Sequence::len).sum()
    }

    /// Gives back the blocks of the least recently used one. False where there is none.
    pub fn drop_oldest(&mut self, pool: &mut KvPool) -> bool {
        if self.sequences.is_empty() {
            return false;
        }
        pool.release(self.sequences.remove(0).blocks);
        true
    }

    /// A sequence whose positions are the longest prefix of `keys` that any sequence has, at most `most`: one that ended, where
    /// nothing of it is lost, else a fork of one that ended or of one of `running`.
    pub fn open<'a>(
        &mut self,
        pool: &mut KvPool,
        running: impl Iterator<Item = &'a Sequence>,
        keys: &[Key],
        origin: &Origin,
        most: usize,
    ) -> Sequence {
        let shared = |sequence: &Sequence| match sequence.origin.serves(origin) {
            true => shared_prefix(&sequence.keys, keys),
            false => 0,
        };
        // of equals the latest
        let ended = self.sequences.iter().map(&shared).enumerate().max_by_key(|&(_, shared)| shared);
        let running = running.map(|sequence| (sequence, shared(sequence))).max_by_key(|&(_, shared)| shared);
        let in_running = running.map_or(0, |(_, shared)| shared.min(most));
        if let Some((index, shared)) = ended.filter(|&(_, shared)| shared > 0 && shared.min(most) >= in_running) {
            let mut found = self.sequences.remove(index);
            if shared == found.len() {
                found.truncate(pool, most);
                return found;
            }
            let fork = fork(pool, &found, shared.min(most));
            // it was used
            self.sequences.push(found);
            return fork;
        }
        match running {
            Some((sequence, _)) if in_running > 0 => fork(pool, sequence, in_running),
            _ => Sequence::new(Origin { restored: None, ..*origin }),
        }
    }
}

fn fork(pool: &mut KvPool, sequence: &Sequence, positions: usize) -> Sequence {
    let blocks = pool.fork(&sequence.blocks, positions);
    Sequence { origin: sequence.origin, keys: sequence.keys[..positions].to_vec(), blocks }
}
