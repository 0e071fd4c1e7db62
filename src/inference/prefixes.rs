//! The prefix cache: what ended sequences have computed, for prompts that begin alike.
//!
//! It is a radix tree (RadixAttention, Zheng et al. 2023, arXiv 2312.07104) of blocks of the KV
//! cache: a node is a block and the content of its positions, and its children are the blocks that
//! followed. A text goes on behind a full block, so only full blocks have children. A prompt takes
//! the longest way that it shares with any text, which may end inside a block: [`KvPool::grow`]
//! copies that one before it is written.

use std::collections::BTreeMap;

use super::keys::{Key, Origin, shared_prefix};
use super::sequences::Sequence;
use crate::model::kv_cache::{Blocks, KvPool};
use crate::record::KV_BLOCK;

/// A block that is kept, and the content of its first positions.
struct Node {
    id: u64,
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
    /// Its nodes: the id of the node before each, and the place among those behind that.
    places: Vec<(u64, usize)>,
    positions: usize,
    /// Whether the last node has no further positions.
    is_whole: bool,
}

/// The prefix cache of a model.
pub(super) struct Prefixes {
    /// The nodes behind each node.
    nodes: BTreeMap<u64, Vec<Node>>,
    /// Number of nodes, each of which is a block.
    count: usize,
    /// Largest number of blocks to keep.
    most: usize,
    /// Counts nodes and uses.
    clock: u64,
}

impl Prefixes {
    /// Keeps at most so many blocks.
    pub fn new(most: usize) -> Self {
        Self { nodes: BTreeMap::new(), count: 0, most, clock: ROOT }
    }

    /// Keeps what a sequence has computed, and drops what was used least recently if it is too much
    /// together.
    pub fn keep(&mut self, sequence: &Sequence) {
        self.clock += 1;
        let (mut parent, used) = (ROOT, self.clock);
        for (index, keys) in sequence.keys.chunks(KV_BLOCK).enumerate() {
            let siblings = self.nodes.entry(parent).or_default();
            let shares = |node: &Node, positions: usize| {
                node.origin == sequence.origin && shared_prefix(&node.keys, keys) == positions
            };
            let place = match siblings.iter().position(|node| shares(node, keys.len())) {
                Some(known) => known,
                None => {
                    self.clock += 1;
                    let (origin, block) = (sequence.origin, sequence.blocks.block(index));
                    let node = Node { id: self.clock, origin, keys: keys.to_vec(), block, used };
                    // one that it goes on from makes room for it
                    match siblings.iter().position(|node| shares(node, node.keys.len())) {
                        Some(shorter) => {
                            siblings[shorter] = node;
                            shorter
                        }
                        None => {
                            siblings.push(node);
                            self.count += 1;
                            siblings.len() - 1
                        }
                    }
                }
            };
            siblings[place].used = used;
            parent = siblings[place].id;
        }
        self.drop_leaves(self.count.saturating_sub(self.most));
    }

    /// A sequence whose positions are the longest prefix of `keys`, at most `most`, in any text
    /// that is kept or in any of `running`.
    pub fn open<'a>(
        &mut self,
        pool: &KvPool,
        running: impl Iterator<Item = &'a Sequence>,
        keys: &[Key],
        origin: &Origin,
        most: usize,
    ) -> Sequence {
        let way = self.way(keys, origin);
        let length = way.positions.min(most);
        let running = in_running(running, keys, origin).map(|(shared, sequence)| (shared.min(most), sequence));
        if let Some((shared, sequence)) = running.filter(|&(shared, _)| shared > length) {
            return sequence.fork(shared);
        }
        self.clock += 1;
        let mut sequence = Sequence::new(pool, Origin { restored: None, ..*origin });
        sequence.keys = keys[..length].to_vec();
        for &(parent, place) in &way.places[..length.div_ceil(KV_BLOCK)] {
            if let Some(node) = self.nodes.get_mut(&parent).and_then(|siblings| siblings.get_mut(place)) {
                node.used = self.clock;
                sequence.origin = node.origin;
                sequence.blocks.extend(&node.block);
            }
        }
        // a block that it goes on in need not be copied where nothing is lost
        if way.is_whole && length == way.positions && !length.is_multiple_of(KV_BLOCK) {
            way.places.last().into_iter().for_each(|&last| self.remove(last));
        }
        sequence
    }

    /// The number of positions of the longest prefix of `keys`, and the blocks with them.
    pub fn longest<'a>(
        &self,
        pool: &KvPool,
        running: impl Iterator<Item = &'a Sequence>,
        keys: &[Key],
        origin: &Origin,
    ) -> (usize, Blocks) {
        let Way { places, positions, .. } = self.way(keys, origin);
        match in_running(running, keys, origin).filter(|&(shared, _)| shared > positions) {
            Some((shared, sequence)) => (shared, sequence.blocks.fork(shared)),
            None => {
                let mut blocks = pool.sequence();
                let nodes = places.iter().filter_map(|(parent, place)| self.nodes.get(parent)?.get(*place));
                nodes.for_each(|node| blocks.extend(&node.block));
                (positions, blocks)
            }
        }
    }

    /// How many positions of a text, in whole blocks, another text goes on from.
    pub fn shared(&self, keys: &[Key], origin: &Origin) -> usize {
        let Way { places, positions, .. } = self.way_of(keys, origin);
        let branches = |(parent, place): &(u64, usize)| {
            let node = self.nodes.get(parent).and_then(|siblings| siblings.get(*place));
            node.and_then(|node| self.nodes.get(&node.id)).is_some_and(|children| children.len() > 1)
        };
        places[..positions / KV_BLOCK].iter().rposition(branches).map_or(0, |last| (last + 1) * KV_BLOCK)
    }

    /// Drops so many blocks, the least recently used leaves first. Returns false if there is none.
    pub fn drop_leaves(&mut self, count: usize) -> bool {
        let some = self.count > 0;
        for _ in 0..count {
            let Some(cheapest) = self.cheapest() else { break };
            self.remove(cheapest);
        }
        some
    }

    /// Drops half of all blocks, likewise.
    pub fn drop_half(&mut self) -> bool {
        self.drop_leaves(self.count.div_ceil(2))
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.count = 0;
    }

    /// The longest prefix that `call` may use: of what was computed, or with what it restored.
    fn way(&self, keys: &[Key], call: &Origin) -> Way {
        let computed = self.way_of(keys, &Origin { restored: None, ..*call });
        if call.restored.is_none() {
            return computed;
        }
        let restored = self.way_of(keys, call);
        if restored.positions > computed.positions { restored } else { computed }
    }

    fn way_of(&self, keys: &[Key], origin: &Origin) -> Way {
        let (mut way, mut parent) = (Way::default(), ROOT);
        while let Some(siblings) = self.nodes.get(&parent) {
            let same = siblings.iter().enumerate().filter(|(_, node)| node.origin == *origin);
            let shared = same.map(|(place, node)| (shared_prefix(&node.keys, &keys[way.positions..]), place));
            let Some((shared, place)) = shared.max().filter(|&(shared, _)| shared > 0) else { break };
            way.positions += shared;
            way.places.push((parent, place));
            way.is_whole = shared == siblings[place].keys.len();
            parent = siblings[place].id;
            if shared < KV_BLOCK {
                break;
            }
        }
        way
    }

    /// The least recently used leaf of those beside a newer block that repeats most of its text,
    /// else the least recently used of all. Scores of many labels after one text thus push out each
    /// other, not other texts.
    fn cheapest(&self) -> Option<(u64, usize)> {
        let of = |(&parent, siblings): (&u64, &Vec<Node>)| {
            let is_leaf = |(_, node): &(usize, &Node)| !self.nodes.contains_key(&node.id);
            let cost = |(place, node): (usize, &Node)| {
                let repeats = |newer: &Node| {
                    let most = parent != ROOT || 2 * shared_prefix(&newer.keys, &node.keys) >= node.keys.len();
                    newer.used > node.used && newer.origin == node.origin && most
                };
                ((!siblings.iter().any(repeats), node.used), (parent, place))
            };
            siblings.iter().enumerate().filter(is_leaf).map(cost).min()
        };
        self.nodes.iter().filter_map(of).min().map(|(_, place)| place)
    }

    fn remove(&mut self, (parent, place): (u64, usize)) {
        let Some(siblings) = self.nodes.get_mut(&parent) else { return };
        siblings.swap_remove(place);
        self.count -= 1;
        if siblings.is_empty() {
            self.nodes.remove(&parent);
        }
    }
}

/// The longest prefix of `keys` in sequences that `call` may use.
fn in_running<'a>(
    running: impl Iterator<Item = &'a Sequence>,
    keys: &[Key],
    call: &Origin,
) -> Option<(usize, &'a Sequence)> {
    let serving = running.filter(|sequence| sequence.origin.serves(call));
    serving.map(|sequence| (shared_prefix(&sequence.keys, keys), sequence)).max_by_key(|&(shared, _)| shared)
}

#[cfg(test)]
mod tests;
