//! The shapes of `attention_tile.wgsl`, in which a tile of queries shares each key and value.

use std::ops::Range;

use super::Attention;
use crate::ops::Loads;
use crate::ops::loads::f32s;
use crate::ops::variants::AttentionVariant;
use crate::record::{Row, Step};

/// Positions of a tile of keys and values.
const KEYS: usize = 32;
/// Most quads of a query or key that are in workgroup memory at once.
const MOST_QUADS: usize = 8;
/// Most quads of values that are: as many as leave room for the weights.
const MOST_VALUES: usize = 256;
/// A larger head has half as many queries in a tile, so that their values fit registers.
const WIDE_HEAD: usize = 128;

/// Workgroups that occupy a large GPU: where there are fewer, positions are cut into pieces.
const WORKGROUPS: usize = 256;
const MOST_PIECES: usize = 64;

/// How an operation is cut into tiles.
pub(super) struct Tile {
    /// Four for each row of `sides` invocations; a tile may use fewer.
    queries: usize,
    lanes: usize,
    /// Heads of a tile, of those that share keys and values, and the tiles of these.
    together: usize,
    pub(super) parts: usize,
    /// Rows of a tile.
    pub(super) tokens: usize,
    /// Quads of a query or key at once.
    chunk: usize,
    /// Positions whose values are taken at once.
    run: usize,
}

impl Tile {
    pub(super) fn new(op: &Attention, variant: &AttentionVariant) -> Self {
        let quads = op.kv.head_dim / 4;
        let queries = if op.kv.head_dim > WIDE_HEAD { variant.queries / 2 } else { variant.queries };
        let group = op.heads / op.kv.heads;
        let parts = group.div_ceil(queries);
        let together = group.div_ceil(parts);
        let chunk = (1..=MOST_QUADS).rev().find(|chunk| quads.is_multiple_of(*chunk)).unwrap_or(1);
        let run = 1 << (MOST_VALUES / quads).clamp(1, KEYS).ilog2();
        Self { queries, lanes: variant.lanes, together, parts, tokens: queries / together, chunk, run }
    }

    /// Along the rows.
    pub(super) fn count(&self, rows: usize) -> usize {
        rows.div_ceil(self.tokens)
    }

    /// Most pieces of the positions of each of this many rows.
    pub(super) fn most_pieces(&self, op: &Attention) -> usize {
        (WORKGROUPS / (op.kv.heads * self.parts * self.count(op.y.rows))).clamp(1, MOST_PIECES)
    }

    pub(super) fn constants(&self) -> [(&'static str, u32); 6] {
        [
            ("TOGETHER", self.together),
            ("PARTS", self.parts),
            ("TOKENS", self.tokens),
            ("QUERIES", self.queries),
            ("CHUNK", self.chunk),
            ("RUN", self.run),
        ]
        .map(|(name, value)| (name, value as u32))
    }

    /// Of the dispatch.
    pub(super) fn walks(&self, op: &Attention, variant: &AttentionVariant, step: &Step, rows: &[Row]) -> Loads {
        let walks = |rows: &[Row]| -> Loads {
            let pieces = |row: &Row| op.pieces_of(variant, step, row);
            let runs = || rows.chunk_by(|a, b| a.sequence == b.sequence && pieces(a).0 == pieces(b).0);
            // an earlier row may have more pieces than a later one
            let pieces = rows.iter().map(|row| pieces(row).1.end);
            (0..pieces.max().unwrap_or(0)).map(|piece| self.walk(op, variant, step, runs(), piece)).sum()
        };
        rows.chunks(self.tokens).map(walks).sum::<Loads>() * op.kv.part_heads()
    }

    /// Of the workgroups of a key head for a piece of runs of rows, each of a sequence and of
    /// pieces of a length.
    fn walk<'a>(
        &self,
        op: &Attention,
        variant: &AttentionVariant,
        step: &Step,
        runs: impl Iterator<Item = &'a [Row]>,
        piece: usize,
    ) -> Loads {
        let of_run = |rows: &[Row]| {
            let seen = |row: &Row| op.piece_of(variant, step, row, piece);
            let positions = seen(&rows[0]).start..seen(&rows[rows.len() - 1]).end;
            if positions.is_empty() { Loads::default() } else { self.run_loads(op, rows.len(), positions) }
        };
        let all: Loads = runs.map(of_run).sum();
        Loads { workgroups: if all.workgroups > 0 { self.parts as u64 } else { 0 }, ..all }
    }

    /// Of the workgroups that attend to the same positions for these many rows of a sequence.
    fn run_loads(&self, op: &Attention, rows: usize, positions: Range<usize>) -> Loads {
        let quads = op.kv.head_dim / 4;
        let sides = self.lanes / (self.queries / 4);
        let (keys_each, quads_each) = (KEYS / sides, quads.div_ceil(sides));
        let tiles = positions.end.div_ceil(KEYS) - positions.start / KEYS;
        let last = positions.end - (positions.end - 1) / KEYS * KEYS;
        let runs = (tiles - 1) * (KEYS / self.run) + last.div_ceil(self.run);
        // Of a tile of keys: every query, from its buffer. By each invocation: four queries and its
        // keys, what the queries see, and the maxima of its neighbours. Of a run: for each position
        // weights and values.
        let tile = self.queries * quads + self.lanes * (quads * (4 + keys_each) + 2 + sides);
        let run = self.run * self.lanes * (1 + quads_each);
        // in the end, the sums of weights of its neighbours
        let every = tiles * tile + runs * run + self.lanes * sides;
        Loads {
            keys_values: self.parts as u64 * op.kv_bytes(positions.len()),
            activations: f32s(rows * op.heads / op.kv.heads * op.kv.head_dim),
            lane_activations: f32s(self.parts * 4 * every),
            workgroups: self.parts as u64,
            ..Loads::default()
        }
    }
}
