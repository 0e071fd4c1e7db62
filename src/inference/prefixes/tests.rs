use std::collections::BTreeMap;

use pollster::block_on;

use super::*;
use crate::inference::estimate::Counting;
use crate::inference::keys::token_keys;

const OWN: Origin = Origin { model: 1, adapter: None, restored: None };

/// Numbers that look random, the same in each run.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// A prefix cache, and what stands for the memory of its blocks: in each slot the text up to its
/// position.
struct Cache {
    pool: KvPool,
    prefixes: Prefixes,
    slots: BTreeMap<(u32, usize), Vec<Key>>,
}

impl Cache {
    fn new(most: usize) -> Self {
        Self { pool: KvPool::default(), prefixes: Prefixes::new(most), slots: BTreeMap::new() }
    }

    /// Opens a sequence for a text. Every position that it has must hold what belongs there.
    fn open(&mut self, running: &[&Sequence], keys: &[Key], origin: &Origin, most: usize) -> Sequence {
        let sequence = self.prefixes.longest(&self.pool, running, &keys[..most], origin);
        self.prefixes.opened(&sequence);
        assert_eq!(sequence.keys, keys[..sequence.len()]);
        assert_eq!(sequence.blocks.table().len(), sequence.len().div_ceil(KV_BLOCK));
        self.check(&sequence);
        sequence
    }

    fn check(&self, sequence: &Sequence) {
        for position in 0..sequence.len() {
            let slot = (sequence.blocks.table()[position / KV_BLOCK], position % KV_BLOCK);
            assert_eq!(self.slots[&slot], sequence.keys[..=position], "position {position}");
        }
    }

    /// Computes the further positions of a text.
    fn compute(&mut self, sequence: &mut Sequence, keys: &[Key]) {
        let positions = sequence.len()..keys.len();
        if positions.is_empty() {
            return;
        }
        let before = sequence.blocks.table().to_vec();
        let mut memory = Counting::default();
        block_on(self.pool.grow(&mut memory, &mut sequence.blocks, positions.clone())).unwrap();
        for (&from, &to) in before.iter().zip(sequence.blocks.table()).filter(|(from, to)| from != to) {
            let copied = (0..KV_BLOCK).filter_map(|i| Some(((to, i), self.slots.get(&(from, i))?.clone())));
            let copied: Vec<_> = copied.collect();
            self.slots.extend(copied);
        }
        for position in positions {
            let slot = (sequence.blocks.table()[position / KV_BLOCK], position % KV_BLOCK);
            self.slots.insert(slot, keys[..=position].to_vec());
        }
        sequence.keys = keys.to_vec();
    }

    /// Opens, computes and keeps a text. Returns how much of it was there.
    fn read(&mut self, keys: &[Key], origin: &Origin) -> usize {
        let mut sequence = self.open(&[], keys, origin, keys.len());
        let cached = sequence.len();
        self.compute(&mut sequence, keys);
        self.prefixes.keep(&sequence);
        cached
    }

    /// The text up to the end of every node that an origin has.
    fn texts(&self, origin: &Origin) -> Vec<Vec<Key>> {
        let (mut texts, mut open) = (Vec::new(), vec![(ROOT, Vec::new())]);
        while let Some((parent, before)) = open.pop() {
            let children = &self.prefixes.nodes[self.prefixes.behind(parent)];
            for node in children.iter().filter(|node| node.origin == *origin) {
                let text = [&before[..], &node.keys].concat();
                open.push((node.id, text.clone()));
                texts.push(text);
            }
        }
        texts
    }

    /// What must hold between calls.
    fn check_tree(&self) {
        let Prefixes { nodes, most, .. } = &self.prefixes;
        assert!(nodes.len() <= *most && nodes.is_sorted_by_key(|node| node.parent));
        for node in nodes {
            assert!((1..=KV_BLOCK).contains(&node.keys.len()));
            let before = nodes.iter().find(|before| before.id == node.parent);
            assert!(node.parent == ROOT || before.is_some_and(|before| before.keys.len() == KV_BLOCK));
            assert!(before.is_none_or(|before| before.used >= node.used && before.origin == node.origin));
            let siblings = nodes.iter().filter(|other| other.parent == node.parent);
            let twice = siblings.filter(|other| other.origin == node.origin && other.keys.starts_with(&node.keys));
            assert_eq!(twice.count(), 1, "nothing is kept twice");
        }
    }
}

/// Texts of few different tokens that often begin like earlier ones, at any length.
fn text(rng: &mut Rng, earlier: &[Vec<Key>]) -> Vec<Key> {
    let mut keys = match earlier.is_empty() || rng.below(4) == 0 {
        true => Vec::new(),
        false => {
            let earlier = &earlier[rng.below(earlier.len())];
            earlier[..rng.below(earlier.len() + 1)].to_vec()
        }
    };
    let most = if rng.below(2) == 0 { 5 } else { 200 };
    let more = 1 + rng.below(most);
    let ids: Vec<u32> = (0..more).map(|_| rng.below(3) as u32).collect();
    keys.extend(token_keys(&ids));
    keys
}

fn longest(texts: &[Vec<Key>], keys: &[Key]) -> usize {
    texts.iter().map(|text| shared_prefix(text, keys)).max().unwrap_or(0)
}

#[test]
fn a_text_finds_the_longest_prefix_that_any_earlier_one_has() {
    let (mut rng, mut cache) = (Rng(1), Cache::new(usize::MAX));
    let mut texts: BTreeMap<u32, Vec<Vec<Key>>> = BTreeMap::new();
    for _ in 0..400 {
        let adapter = rng.below(2) as u32;
        let origin = Origin { adapter: (adapter > 0).then_some(7), ..OWN };
        let earlier = texts.entry(adapter).or_default();
        let keys = text(&mut rng, earlier);
        assert_eq!(cache.read(&keys, &origin), longest(earlier, &keys));
        earlier.push(keys);
        cache.check_tree();
    }
    cache.prefixes.clear();
    assert_eq!(cache.pool.held(), 0);
}

/// The same where little is kept, so that blocks are dropped and taken again all the time, and
/// other sequences run meanwhile.
#[test]
fn what_is_found_is_what_was_computed_whatever_is_dropped() {
    for most in [0, 1, 2, 5, 20] {
        let (mut rng, mut cache) = (Rng(2 + most as u64), Cache::new(most));
        let (mut earlier, mut running): (Vec<Vec<Key>>, Vec<Sequence>) = Default::default();
        let mut found = 0;
        for _ in 0..300 {
            let keys = text(&mut rng, &earlier);
            let kept = cache.texts(&OWN);
            let beside: Vec<Vec<Key>> = running.iter().map(|sequence| sequence.keys.clone()).collect();
            let expected = longest(&kept, &keys).max(longest(&beside, &keys));
            let limit = rng.below(keys.len() + 1).max(rng.below(keys.len() + 1));
            let mut sequence = cache.open(&running.iter().collect::<Vec<_>>(), &keys, &OWN, limit);
            assert_eq!(sequence.len(), expected.min(limit));
            found += sequence.len();
            let computed = sequence.len() + rng.below(keys.len() - sequence.len() + 1);
            cache.compute(&mut sequence, &keys[..computed]);
            running.push(sequence);
            if running.len() > 3 {
                cache.prefixes.keep(&running.swap_remove(rng.below(4)));
            }
            running.iter().for_each(|sequence| cache.check(sequence));
            cache.check_tree();
            earlier.push(keys);
        }
        assert!(found > 0);
        running.clear();
        assert_eq!(cache.pool.held(), cache.prefixes.nodes.len(), "each node has a block of its own");
        cache.prefixes.drop_leaves(most);
        assert_eq!((cache.pool.held(), cache.prefixes.drop_half()), (0, false));
    }
}

#[test]
fn the_least_recently_used_leaves_go_first() {
    let of = |first: u32, length: usize| token_keys(&vec![first; length]).collect::<Vec<_>>();
    // two blocks each, without a common beginning
    let texts: Vec<_> = (0..4).map(|first| of(first, 100)).collect();
    let mut cache = Cache::new(6);
    texts[..3].iter().for_each(|keys| assert_eq!(cache.read(keys, &OWN), 0));
    assert_eq!(cache.read(&texts[0], &OWN), 100);
    // takes the place of the second
    assert_eq!(cache.read(&texts[3], &OWN), 0);
    let has = |cache: &Cache| [0, 1, 2, 3].map(|i| longest(&cache.texts(&OWN), &texts[i]));
    assert_eq!(has(&cache), [100, 0, 100, 100]);
    // the end of a text goes before its beginning
    cache.prefixes.drop_leaves(1);
    assert_eq!(has(&cache), [100, 0, 64, 100]);
    cache.prefixes.drop_half();
    assert_eq!(has(&cache), [0, 0, 0, 100]);
}

/// Texts that were asked about once pushed out a chat that rests.
#[test]
fn ends_behind_one_beginning_push_out_each_other() {
    let ids = |first: u32, length: usize| token_keys(&vec![first; length]).collect::<Vec<_>>();
    let mut cache = Cache::new(8);
    let (chat, document) = (ids(1, 200), ids(2, 130));
    cache.read(&chat, &OWN);
    for question in 3..40 {
        let cached = cache.read(&[&document[..], &ids(question, 30)].concat(), &OWN);
        assert_eq!(cached, if question == 3 { 0 } else { 130 });
    }
    assert_eq!(cache.read(&chat, &OWN), 200);
}

#[test]
fn blocks_that_two_texts_go_on_from_are_shared() {
    let ids = |first: u32, length: usize| token_keys(&vec![first; length]).collect::<Vec<_>>();
    let mut cache = Cache::new(100);
    let shared = |cache: &Cache, keys: &[Key]| cache.prefixes.shared(keys, &OWN);
    let document = ids(1, 200);
    for (end, expected) in [(300, 0), (700, 0), (0, 192)] {
        // it goes on, and then another text goes on from its beginning
        let text = if end > 0 { ids(1, end) } else { [&document[..], &ids(2, 50)].concat() };
        cache.read(&text, &OWN);
        assert_eq!([shared(&cache, &document), shared(&cache, &text)], [expected; 2]);
    }
    assert_eq!([100, 191, 192].map(|end| shared(&cache, &document[..end])), [0, 0, 192]);
    assert_eq!(shared(&cache, &ids(3, 100)), 0);
    // texts that part within their first block share none
    cache.read(&[ids(1, 30), ids(4, 100)].concat(), &OWN);
    assert_eq!(shared(&cache, &ids(1, 30)), 0);
}

#[test]
fn a_text_that_goes_on_copies_no_block() {
    let keys: Vec<_> = token_keys(&[5; 300]).collect();
    let mut cache = Cache::new(10);
    cache.read(&keys[..100], &OWN);
    for length in [101, 128, 150, 300] {
        let mut sequence = cache.open(&[], &keys[..length], &OWN, length);
        let table = sequence.blocks.table().to_vec();
        cache.compute(&mut sequence, &keys[..length]);
        assert_eq!(sequence.blocks.table()[..table.len()], table);
        cache.prefixes.keep(&sequence);
    }
    assert_eq!((cache.pool.held(), cache.prefixes.nodes.len()), (5, 5));
}

#[test]
fn what_was_restored_is_for_its_owner() {
    let keys: Vec<_> = token_keys(&[5; 150]).collect();
    let [first, second] = [1, 2].map(|owner| Origin { restored: Some(owner), ..OWN });
    let mut cache = Cache::new(100);
    let found =
        |cache: &Cache| [OWN, first, second].map(|call| cache.prefixes.longest(&cache.pool, &[], &keys, &call).len());
    let mut sequence = Sequence::new(&cache.pool, first);
    cache.compute(&mut sequence, &keys[..140]);
    cache.prefixes.keep(&sequence);
    drop(sequence);
    assert_eq!(found(&cache), [0, 140, 0]);
    // what its owner computes behind it is its own, too
    let mut sequence = cache.open(&[], &keys, &first, 150);
    assert_eq!((sequence.len(), sequence.origin), (140, first));
    cache.compute(&mut sequence, &keys);
    cache.prefixes.keep(&sequence);
    assert_eq!(found(&cache), [0, 150, 0]);
    // what is computed is for all, and comes before what was restored
    assert_eq!(cache.read(&keys, &OWN), 0);
    assert_eq!(found(&cache), [150; 3]);
    assert_eq!(cache.open(&[], &keys, &first, 150).origin, OWN);
}
