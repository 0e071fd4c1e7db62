//! What the shaders of `attention` load.

use std::ops::Range;

use super::{Attention, MERGE_WORKGROUP};
use crate::ops::Loads;
use crate::ops::loads::f32s;
use crate::ops::variants::AttentionVariant;
use crate::record::{Row, Step};

/// Invocations of a workgroup of `attention.wgsl`, and positions of its tiles.
const LANES: usize = 64;
const TILE: usize = 4 * LANES;

/// Positions that `attention_lane.wgsl` takes at once: a walk begins at a multiple of it.
const AT_ONCE: usize = 4;

/// The pieces of `split` positions in which a row sees some.
fn pieces(seen: &Range<usize>, split: usize) -> Range<usize> {
    seen.start / split..seen.end.div_ceil(split)
}

impl Attention {
    /// Of the dispatch over keys and values.
    pub(super) fn walk_loads(&self, variant: &AttentionVariant, step: &Step) -> Loads {
        let rows = &step.rows[..step.count(self.y.rows)];
        let walk = if variant.lanes == 0 {
            self.head_walks(variant, step, rows)
        } else {
            self.lane_walks(variant, step, rows)
        };
        let positions: usize = rows.iter().map(|row| self.seen_by(step, row).len()).sum();
        Loads { multiply_adds: (2 * positions * self.heads * self.kv.head_dim) as u64, ..walk }
    }

    fn seen_by(&self, step: &Step, row: &Row) -> Range<usize> {
        self.seen(row.position, step.length(row.sequence))
    }

    /// Bytes of the keys and values of a head at these many positions.
    fn kv_bytes(&self, positions: usize) -> u64 {
        (2 * positions * self.kv.vector_bytes()) as u64
    }

    /// A workgroup a head and row, or a head and piece of a row.
    fn head_walks(&self, variant: &AttentionVariant, step: &Step, rows: &[Row]) -> Loads {
        let of_row = |row: &Row| -> Loads {
            let seen = self.seen_by(step, row);
            let split = if variant.split == 0 { usize::MAX } else { variant.split };
            let part = |piece: usize| {
                let first = seen.start.max(piece.saturating_mul(split));
                self.head_walk(seen.end.min(split.saturating_mul(piece + 1)) - first)
            };
            pieces(&seen, split).map(part).sum()
        };
        rows.iter().map(of_row).sum::<Loads>() * self.heads
    }

    /// A workgroup that walks over so many positions for one head.
    fn head_walk(&self, positions: usize) -> Loads {
        let (head_dim, quads) = (self.kv.head_dim, self.kv.head_dim / 4);
        let last = positions % TILE;
        // every invocation reads the largest score of all that have one
        let maxima = LANES * (positions / TILE * LANES + last.min(LANES));
        // the query for each score; the score; and the weight twice for each four values
        let memory = positions * (head_dim + 1 + 2 * quads) + maxima;
        // the groups that share positions are added up: four values and a sum
        let groups = (LANES / quads - 1) * quads * 5;
        Loads {
            keys_values: self.kv_bytes(positions),
            activations: f32s(head_dim),
            lane_activations: f32s(head_dim + memory + groups),
            workgroups: 1,
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
            let seen = self.seen_by(step, row);
            let pieces = pieces(&seen, variant.split);
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
        all * self.kv.heads
    }

    /// Of the dispatch that merges pieces.
    pub(super) fn merge_loads(&self, variant: &AttentionVariant, step: &Step) -> Loads {
        let (quads, head_quads) = (self.y.cols / 4, self.kv.head_dim / 4);
        let workgroups = quads.div_ceil(MERGE_WORKGROUP);
        let heads_of = |group: usize| {
            let (first, end) = (group * MERGE_WORKGROUP, quads.min((group + 1) * MERGE_WORKGROUP));
            end.div_ceil(head_quads) - first / head_quads
        };
        // of a piece: its values, four at a time, and four numbers of a head
        let (once, each) = (quads + (0..workgroups).map(heads_of).sum::<usize>(), 2 * quads);
        let of_row = |row: &Row| {
            let pieces = pieces(&self.seen_by(step, row), variant.split).len();
            let (activations, lane_activations) = (f32s(4 * pieces * once), f32s(4 * pieces * each));
            Loads { activations, lane_activations, workgroups: workgroups as u64, ..Loads::default() }
        };
        step.rows[..step.count(self.y.rows)].iter().map(of_row).sum()
    }
}
