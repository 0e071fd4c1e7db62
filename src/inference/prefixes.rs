//! The prefix cache: what ended sequences have computed, for prompts that begin alike.
//!
//! It is a radix tree (RadixAttention, Zheng et al. 2023, arXiv 2312.07104) of blocks of the KV
//! cache: a node is a block and the content of its positions, and its children are the blocks that
//! followed. A text goes on behind a full block, so only full blocks have children. A prompt takes
//! the longest way that it shares with any text, which may end inside a block: [`KvPool::grow`]
//! copies that one before it is written. Where layers keep a state, it takes as much of this way as
//! it can go on from: see [`Blocks::resumable`].

use std::ops::Range;

use super::keys::{Key, Origin, shared_prefix};
use super::sequences::Sequence;
use crate::model::kv_cache::{Blocks, KvPool};
use crate::record::KV_BLOCK;

/// A block that is kept, and the content of its first positions.
struct Node {
    id: u64,
    /// The node before it, or [`ROOT`].
    parent: u64,
    origin: Origin,
    keys: Vec<Key>,
    block: Blocks,
    /// When it was last used, with all before it.
    used: u64,
}

/// What stands for the node before the first ones.
const ROOT: u64 = 0;

/// The longest prefix of a text that is kept.
#[derive(Default)]
struct Way {
    /// The places of its nodes.
    nodes: Vec<usize>,
    positions: usize,
    /// Whether the last node has no further positions.
    is_whole: bool,
}

/// The prefix cache of a model.
pub(super) struct Prefixes {
    /// In order of their parents.
    nodes: Vec<Node>,
    /// Largest number of blocks to keep.
    most: usize,
    /// Counts nodes and uses.
    clock: u64,
}

impl Prefixes {
    /// Keeps at most so many blocks.
    pub fn new(most: usize) -> Self {
        Self { nodes: Vec::new(), most, clock: ROOT }
    }

    /// Keeps what a sequence has computed, and drops what was used least recently if it is too much
    /// together.
    pub fn keep(&mut self, sequence: &Sequence) {
        let origin = sequence.origin;
        let mut parent = ROOT;
        // what nothing can go on from is of no use
        let keys = &sequence.keys[..sequence.blocks.resumable(sequence.len())];
        for (index, keys) in keys.chunks(KV_BLOCK).enumerate() {
            let places = self.behind(parent);
            let shares = |node: &Node, positions| node.origin == origin && shared_prefix(&node.keys, keys) == positions;
            let siblings = &self.nodes[places.clone()];
            if let Some(known) = siblings.iter().find(|node| shares(node, keys.len())) {
                parent = known.id;
                continue;
            }
            // one that it goes on from makes room for it
            let shorter = siblings.iter().position(|node| shares(node, node.keys.len()));
            self.clock += 1;
            let (id, block) = (self.clock, sequence.blocks.block(index));
            let node = Node { id, parent, origin, keys: keys.to_vec(), block, used: id };
            match shorter {
                Some(shorter) => self.nodes[places.start + shorter] = node,
                None => self.nodes.insert(places.end, node),
            }
            parent = id;
        }
        self.touch(keys, &origin);
        self.drop_leaves(self.nodes.len().saturating_sub(self.most));
        while self.nodes.iter().map(|node| node.block.slots()).sum::<usize>() > KvPool::most_slots(self.most) {
            self.drop_leaves(1);
        }
    }

    /// A sequence whose positions are the longest prefix of `keys` in any text that is kept or in
    /// any of `running`. It may go on once [`Prefixes::opened`] knows of it.
    pub fn longest(&self, pool: &KvPool, running: &[&Sequence], keys: &[Key], origin: &Origin) -> Sequence {
        let mut found = Sequence::new(pool, Origin { restored: None, ..*origin });
        let mut way = self.way(keys, &found.origin);
        if origin.restored.is_some() {
            let restored = self.way(keys, origin);
            if restored.positions > way.positions {
                (way, found.origin) = (restored, *origin);
            }
        }
        let serving = running.iter().filter(|sequence| sequence.origin.serves(origin));
        let shared = serving.map(|sequence| (shared_prefix(&sequence.keys, keys), sequence));
        match shared.max_by_key(|(shared, _)| *shared) {
            Some((shared, sequence)) if shared > way.positions => sequence.fork(shared),
            _ => {
                way.nodes.iter().for_each(|&node| found.blocks.extend(&self.nodes[node].block));
                let positions = found.blocks.resumable(way.positions);
                found.blocks.truncate(positions);
                found.keys = keys[..positions].to_vec();
                found
            }
        }
    }

    /// Notes that a sequence goes on from what [`Prefixes::longest`] found.
    pub fn opened(&mut self, sequence: &Sequence) {
        let way = self.touch(&sequence.keys, &sequence.origin);
        // a block that it goes on in need not be copied where nothing is lost
        if way.is_whole && way.positions == sequence.len() && !sequence.len().is_multiple_of(KV_BLOCK) {
            way.nodes.last().into_iter().for_each(|&last| drop(self.nodes.remove(last)));
        }
    }

    /// How many positions of a text, in whole blocks, another text goes on from.
    pub fn shared(&self, keys: &[Key], origin: &Origin) -> usize {
        let way = self.way(keys, origin);
        let branches = |&node: &usize| self.behind(self.nodes[node].id).len() > 1;
        way.nodes[..way.positions / KV_BLOCK].iter().rposition(branches).map_or(0, |last| (last + 1) * KV_BLOCK)
    }

    /// Drops so many blocks, the least recently used leaves first. Returns false if there is none.
    pub fn drop_leaves(&mut self, count: usize) -> bool {
        let some = !self.nodes.is_empty();
        for _ in 0..count {
            let Some(cheapest) = self.cheapest() else { break };
            self.nodes.remove(cheapest);
        }
        some
    }

    /// Drops half of all blocks, likewise.
    pub fn drop_half(&mut self) -> bool {
        self.drop_leaves(self.nodes.len().div_ceil(2))
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.nodes.clear();
    }

    /// The places of the nodes behind a node.
    fn behind(&self, parent: u64) -> Range<usize> {
        let start = self.nodes.partition_point(|node| node.parent < parent);
        let count = self.nodes[start..].iter().take_while(|node| node.parent == parent).count();
        start..start + count
    }

    fn way(&self, keys: &[Key], origin: &Origin) -> Way {
        let (mut way, mut parent) = (Way::default(), ROOT);
        loop {
            let same = self.behind(parent).filter(|&place| self.nodes[place].origin == *origin);
            let shared = same.map(|place| (shared_prefix(&self.nodes[place].keys, &keys[way.positions..]), place));
            let Some((shared, place)) = shared.max().filter(|&(shared, _)| shared > 0) else { return way };
            way.positions += shared;
            way.nodes.push(place);
            way.is_whole = shared == self.nodes[place].keys.len();
            parent = self.nodes[place].id;
            if shared < KV_BLOCK {
                return way;
            }
        }
    }

    /// Makes the way of a text the most recently used one.
    fn touch(&mut self, keys: &[Key], origin: &Origin) -> Way {
        self.clock += 1;
        let way = self.way(keys, origin);
        way.nodes.iter().for_each(|&node| self.nodes[node].used = self.clock);
        way
    }

    /// The least recently used leaf of those beside a newer block that repeats most of its text,
    /// else the least recently used of all. Scores of many labels after one text thus push out each
    /// other, not other texts.
    fn cheapest(&self) -> Option<usize> {
        let cost = |&place: &usize| {
            let node = &self.nodes[place];
            let repeats = |newer: &Node| {
                let most = node.parent != ROOT || 2 * shared_prefix(&newer.keys, &node.keys) >= node.keys.len();
                newer.used > node.used && newer.origin == node.origin && most
            };
            (!self.nodes[self.behind(node.parent)].iter().any(repeats), node.used)
        };
        (0..self.nodes.len()).filter(|&place| self.behind(self.nodes[place].id).is_empty()).min_by_key(cost)
    }
}

#[cfg(test)]
mod tests;
