//! What the shaders of `attention` load.

use std::ops::Range;

use super::{Attention, Tile};
use crate::ops::loads::f32s;
use crate::ops::variants::AttentionVariant;
use crate::ops::{Loads, Variants};
use crate::record::{KV_BLOCK, Row, Step};

/// Invocations of a workgroup of `attention.wgsl` that share a key, and that add up the scores of a
/// head in a block.
const SHARES: usize = 4;
const SCORERS: usize = 16;

/// Positions that `attention_lane.wgsl` takes at once: a walk begins at a multiple of it.
const AT_ONCE: usize = 4;

/// The workgroups of a key head that a prologue is repeated in.
pub struct Prologue {
    /// Those that walk over positions.
    pub pieces: usize,
    /// Those among them that see the newest position.
    pub newest: usize,
}

impl Attention {
    /// The workgroups of a step of one row, over pieces.
    pub fn prologue(&self, variants: &Variants, step: &Step) -> Prologue {
        let rows = &step.rows[..step.count(self.y.rows)];
        let pieces = |row| self.pieces_of(self.variant(variants), step, row).1.len();
        Prologue { pieces: rows.iter().map(pieces).sum(), newest: rows.len() }
    }

    /// Of a dispatch over a part of keys and values.
    pub(super) fn walk_loads(&self, variant: &AttentionVariant, step: &Step) -> Loads {
        let rows = &step.rows[..step.count(self.y.rows)];
        let walk = match variant.shader {
            "attention_tile" => Tile::new(self, variant).walks(self, variant, step, rows),
            "attention" => self.head_walks(variant, step, rows),
            _ => self.lane_walks(variant, step, rows),
        };
        let positions: usize = rows.iter().map(|row| self.seen_by(step, row).len()).sum();
        let heads = self.heads / self.kv.parts;
        Loads { multiply_adds: (2 * positions * heads * self.kv.head_dim) as u64, ..walk }
    }

    /// Bytes of the keys and values of a head at these many positions.
    pub(super) fn kv_bytes(&self, positions: usize) -> u64 {
        (2 * positions * self.kv.vector_bytes()) as u64
    }

    /// Positions of a piece of a row, and the pieces in which it sees some.
    pub(super) fn pieces_of(&self, variant: &AttentionVariant, step: &Step, row: &Row) -> (usize, Range<usize>) {
        let Some(pieces) = self.pieces(variant) else { return (usize::MAX, 0..1) };
        let seen = self.seen_by(step, row);
        let length = pieces.length(seen.end);
        let begin = seen.start / KV_BLOCK * KV_BLOCK;
        (length, (seen.start - begin) / length..(seen.end - begin).div_ceil(length))
    }

    /// The positions that a row sees in a piece; empty where it sees none.
    pub(super) fn piece_of(&self, variant: &AttentionVariant, step: &Step, row: &Row, piece: usize) -> Range<usize> {
        let (seen, (length, _)) = (self.seen_by(step, row), self.pieces_of(variant, step, row));
        let start = seen.start / KV_BLOCK * KV_BLOCK + piece * length;
        seen.start.max(start)..seen.end.min(start.saturating_add(length))
    }

    /// Some heads of a key head a workgroup, for a row or a piece of it.
    fn head_walks(&self, variant: &AttentionVariant, step: &Step, rows: &[Row]) -> Loads {
        let of_row = |row: &Row| -> Loads {
            let part = |piece| self.head_walk(variant, self.piece_of(variant, step, row, piece));
            self.pieces_of(variant, step, row).1.map(part).sum()
        };
        rows.iter().map(of_row).sum::<Loads>() * self.kv.part_heads()
    }

    /// The workgroups that walk over the same positions of a key head.
    fn head_walk(&self, variant: &AttentionVariant, positions: Range<usize>) -> Loads {
        let (head_dim, quads) = (self.kv.head_dim, self.kv.head_dim / 4);
        let (together, parts) = self.together();
        let groups = variant.lanes / quads;
        let head_groups = groups.min(together);
        let (stripes, heads_each) = (groups / head_groups, together.div_ceil(head_groups));
        let blocks = positions.end.div_ceil(KV_BLOCK) - positions.start / KV_BLOCK;
        // of a block: the queries for each two keys; parts of products, and the largest scores;
        // what earlier sums are multiplied with
        let scores = together * SCORERS * (KV_BLOCK / SCORERS * SHARES + SCORERS);
        let block = KV_BLOCK / 2 * together * head_dim + scores + variant.lanes * heads_each;
        // a weight for each four values of a group's heads
        let weights = positions.len() * head_groups * quads * heads_each;
        // the stripes are added up, four values at a time
        let stripes = head_groups * quads * (stripes - 1) * 4;
        // of each head the sums of the scorers, and the maximum
        let heads = self.heads / self.kv.heads;
        let ends = heads * quads * (SCORERS + 1);
        let every = together * head_dim + blocks * block + weights + stripes;
        Loads {
            keys_values: parts as u64 * self.kv_bytes(positions.len()),
            activations: f32s(heads * head_dim),
            lane_activations: f32s(parts * every + ends),
            workgroups: parts as u64,
            ..Loads::default()
        }
    }

    /// An invocation a row and key head, or a piece of it; those of a workgroup read the same keys
    /// and values, or neighbouring pieces of them.
    fn lane_walks(&self, variant: &AttentionVariant, step: &Step, rows: &[Row]) -> Loads {
        let queries = f32s(self.heads / self.kv.heads * self.kv.head_dim);
        let walked = |row: &Row| {
            let seen = self.seen_by(step, row);
            seen.start / AT_ONCE * AT_ONCE..seen.end
        };
        let of_rows = |rows: &[Row]| {
            // the rows of a sequence come in order of position
            let walks = rows.chunk_by(|a, b| a.sequence == b.sequence).map(|rows| {
                let ends = rows.iter().map(walked);
                let (starts, ends): (Vec<usize>, Vec<usize>) = ends.map(|walk| (walk.start, walk.end)).unzip();
                ends.iter().max().unwrap_or(&0) - starts.iter().min().unwrap_or(&0)
            });
            let queries = rows.len() as u64 * queries;
            let (activations, lane_activations) = (queries, queries);
            let keys_values = self.kv_bytes(walks.sum());
            Loads { keys_values, activations, lane_activations, workgroups: 1, ..Loads::default() }
        };
        let of_pieces = |row: &Row| {
            let (_, pieces) = self.pieces_of(variant, step, row);
            let workgroups = pieces.end.div_ceil(variant.lanes) - pieces.start / variant.lanes;
            Loads {
                keys_values: self.kv_bytes(walked(row).len()),
                activations: workgroups as u64 * queries,
                lane_activations: pieces.len() as u64 * queries,
                workgroups: workgroups as u64,
                ..Loads::default()
            }
        };
        let all: Loads = match variant.split {
            0 => rows.chunks(variant.lanes).map(of_rows).sum(),
            _ => rows.iter().map(of_pieces).sum(),
        };
        all * self.kv.part_heads()
    }

    /// Of the dispatch that merges pieces.
    pub(super) fn merge_loads(&self, variant: &AttentionVariant, step: &Step) -> Loads {
        let quads = self.kv.head_dim / 4;
        let groups = self.merge_lanes() / quads;
        let of_row = |row: &Row| {
            let pieces = self.pieces_of(variant, step, row).1.len();
            // of a piece: its values, four at a time, and four numbers with its maximum and its sum
            let once = 4 * pieces * (quads + 1);
            // every maximum, by all; a factor and a sum for each four values; the sums of groups
            let memory = pieces * (self.merge_lanes() + 2 * quads) + 4 * quads * (groups - 1);
            let (activations, lane_activations) = (f32s(once), f32s(once + memory));
            Loads { activations, lane_activations, workgroups: 1, ..Loads::default() } * self.heads
        };
        step.rows[..step.count(self.y.rows)].iter().map(of_row).sum()
    }
}
