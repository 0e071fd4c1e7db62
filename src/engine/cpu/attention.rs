//! Attention in one pass over the cache with an online softmax: a running maximum and sum, so that
//! the scores of a row are never stored together (Milakov & Gimelshein 2018, arXiv 1805.02867).
//!
//! A tile of neighbouring rows reads each run of keys and values together (Dao et al. 2022, arXiv
//! 2205.14135), with all query heads that share them. The positions are cut into pieces, each with
//! a softmax of its own, and pieces are merged in order. Where rows are few, threads share the
//! pieces (Flash-Decoding, Dao et al. 2023). Pieces and runs begin at the same positions whatever
//! else is computed: who shares a tile or a piece changes no bit of a row's result.
// Loops, since calls of closures are not always inlined: see `simd::Task`.
#![allow(clippy::needless_range_loop)]

mod bytes;
mod floats;
mod softmax;

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::blocks::{KvBlock, Run, Scratch};
use super::pool::{self, Shared};
use super::simd::{Lanes, Vector, WideTask};
use crate::ops::Attention;
use crate::ops::attention::Learned;
use crate::record::{KV_BLOCK, KvFormat, Step};
use bytes::Scaled;
use softmax::{Factors, Scores, bound, fold, lower, raise, weigh};

/// Positions of a piece; a multiple of [`KV_BLOCK`].
const PIECE: usize = 256;
/// Queries of a tile, if a row has fewer: more no longer fit the nearest caches beside a run.
const QUERIES: usize = 96;

/// Memory that is used again from call to call.
#[derive(Default)]
pub struct Buffers {
    /// Queries rounded to 16 bits, and the factor of each.
    queries: Vec<i16>,
    factors: Vec<f32>,
    /// See [`State`].
    states: Vec<f32>,
}

/// Shapes as in [`Attention::reference`].
pub fn attention(
    lanes: Lanes,
    buffers: &mut Buffers,
    op: &Attention,
    step: &Step,
    q: &[f32],
    (blocks, learned): (&[KvBlock], Learned),
    y: &mut [f32],
) {
    let d = op.kv.head_dim;
    let Buffers { queries, factors, states } = buffers;
    if matches!(op.kv.format, KvFormat::Q8 | KvFormat::Q4) {
        let rows = q.chunks_exact(op.q.cols).flat_map(|row| row[..op.heads * d].chunks_exact(d));
        queries.resize(y.len(), 0);
        factors.clear();
        factors.extend(rows.zip(queries.chunks_exact_mut(d)).map(|(q, out)| bytes::round(q, out)));
    }
    let seen: Vec<Range<usize>> = {
        let lengths: Vec<usize> = (0..step.tables.len()).map(|sequence| step.length(sequence)).collect();
        let rows = &step.rows[..y.len() / op.y.cols];
        rows.iter().map(|row| op.seen(row.position, lengths[row.sequence], step.source(row.sequence))).collect()
    };
    let (units, parts) = units(op, step, &seen);
    let group = op.heads / op.kv.heads;
    let most = units.iter().map(|unit| unit.rows.len()).max().unwrap_or(0) * group.div_ceil(parts);
    let stride = State::len(most, d);
    let count = op.kv.heads * parts * units.len();
    states.resize(states.len().max(count * stride), 0.0);
    let (states, y) = (Shared::new(states), Shared::new(y));
    let seen = &seen[..];
    let work = Work { op, step, q, queries, factors, blocks, learned, seen, units: &units, parts, stride, states, y };
    pool::run(count, |i| lanes.run_wide(d, Item { work: &work, i }));
    if units.iter().any(|unit| unit.is_part) {
        pool::run(op.kv.heads * parts, |part| work.merge(part));
    }
}

/// What a thread does at a time, for each part of the heads.
struct Unit {
    rows: Range<usize>,
    /// Pieces of their positions.
    pieces: Range<usize>,
    /// Whether the rows have other pieces, with which these are merged later.
    is_part: bool,
}

/// All rows and their pieces, and in how many parts heads that share keys and values are split.
fn units(op: &Attention, step: &Step, seen: &[Range<usize>]) -> (Vec<Unit>, usize) {
    let (threads, group) = (pool::threads(), op.heads / op.kv.heads);
    let each = (QUERIES / group).max(1).min((seen.len() * op.kv.heads).div_ceil(2 * threads));
    let mut units: Vec<Unit> = Vec::new();
    let mut first = 0;
    for next in 1..=seen.len() {
        let of_same = next < seen.len() && step.rows[next].sequence == step.rows[first].sequence;
        if !of_same || next - first == each {
            let pieces = seen[first].start / PIECE..seen[next - 1].end.div_ceil(PIECE);
            units.push(Unit { rows: first..next, pieces, is_part: false });
            first = next;
        }
    }
    if threads > 1 && units.len() * op.kv.heads < 4 * threads {
        let cut = |Unit { rows, pieces, .. }: Unit| {
            let is_part = pieces.len() > 1;
            pieces.map(move |piece| Unit { rows: rows.clone(), pieces: piece..piece + 1, is_part })
        };
        units = units.into_iter().flat_map(cut).collect();
    }
    let enough = |parts: &usize| op.kv.heads * parts * units.len() >= threads;
    let parts = [1, group.div_ceil(4), group.div_ceil(2)].into_iter().find(enough).unwrap_or(group);
    (units, parts)
}

struct Work<'a> {
    op: &'a Attention,
    step: &'a Step<'a>,
    q: &'a [f32],
    queries: &'a [i16],
    factors: &'a [f32],
    blocks: &'a [KvBlock],
    learned: Learned<'a>,
    /// Positions that each row attends to.
    seen: &'a [Range<usize>],
    units: &'a [Unit],
    parts: usize,
    /// Values of a [`State`].
    stride: usize,
    /// One for each unit and part.
    states: Shared<f32>,
    y: Shared<f32>,
}

/// What is kept of each query of a unit while it goes through a piece.
struct State<'a> {
    /// (queries, head_dim): sums of values by their weights
    sums: &'a mut [f32],
    /// The largest score.
    max: &'a mut [f32],
    /// The sum of weights; 0 before the first position.
    total: &'a mut [f32],
    /// The same of all pieces until now.
    all: (&'a mut [f32], &'a mut [f32]),
}

impl<'a> State<'a> {
    fn len(queries: usize, d: usize) -> usize {
        queries * (d + 4)
    }

    fn new(values: &'a mut [f32], queries: usize, d: usize) -> Self {
        let (sums, rest) = values.split_at_mut(queries * d);
        let (max, rest) = rest.split_at_mut(queries);
        let (total, rest) = rest.split_at_mut(queries);
        let (all_max, rest) = rest.split_at_mut(queries);
        Self { sums, max, total, all: (all_max, &mut rest[..queries]) }
    }
}

impl Work<'_> {
    /// The heads of a part: those of the key head part / parts.
    fn heads(&self, part: usize) -> Range<usize> {
        let (parts, group) = (self.parts, self.op.heads / self.op.kv.heads);
        let begin = |part: usize| part / parts * group + part % parts * group / parts;
        begin(part)..begin(part + 1)
    }

    /// The state of a unit for a part of the heads, and the number of its queries.
    ///
    /// # Safety
    /// Nobody else may use it.
    unsafe fn state(&self, part: usize, unit: usize) -> (State<'_>, usize) {
        let queries = self.units[unit].rows.len() * self.heads(part).len();
        // SAFETY: by contract
        let values = unsafe { self.states.slice((part * self.units.len() + unit) * self.stride, self.stride) };
        (State::new(values, queries, self.op.kv.head_dim), queries)
    }

    /// The result of query `j` of a unit.
    ///
    /// # Safety
    /// Nobody else may use it.
    #[allow(clippy::mut_from_ref)]
    unsafe fn result(&self, heads: &Range<usize>, rows: &Range<usize>, j: usize) -> &mut [f32] {
        let (d, n) = (self.op.kv.head_dim, heads.len());
        // SAFETY: by contract
        unsafe { self.y.slice((rows.start + j / n) * self.op.y.cols + (heads.start + j % n) * d, d) }
    }

    /// Merges the pieces of units that have one each.
    fn merge(&self, part: usize) {
        let (d, heads) = (self.op.kv.head_dim, self.heads(part));
        let mut first = 0;
        while first < self.units.len() {
            let rows = &self.units[first].rows;
            let count = self.units[first..].iter().take_while(|unit| unit.rows == *rows).count();
            for j in 0..if self.units[first].is_part { rows.len() * heads.len() } else { 0 } {
                // SAFETY: each call writes its own heads, and states are written no longer
                let y = unsafe { self.result(&heads, rows, j) };
                let mut all = (f32::NEG_INFINITY, 0.0);
                for unit in first..first + count {
                    // SAFETY: as above
                    let State { sums, max, total, .. } = unsafe { self.state(part, unit) }.0;
                    fold(y, &mut all, &sums[j * d..][..d], (max[j], total[j]));
                }
                self.finish(y, heads.start + j % heads.len(), all);
            }
            first += count;
        }
    }

    /// Attention of some heads of a unit's rows.
    #[inline(always)]
    fn unit<V: Vector>(&self, part: usize, unit: usize) {
        let (d, heads) = (self.op.kv.head_dim, self.heads(part));
        // SAFETY: each call has its own unit and heads
        let (mut state, queries) = unsafe { self.state(part, unit) };
        let Unit { rows, pieces, is_part } = &self.units[unit];
        let mut memory = (Scratch::take(&self.op.kv), Scaled::default());
        state.all.1.fill(0.0);
        for piece in pieces.clone() {
            state.sums.fill(0.0);
            state.max.fill(f32::NEG_INFINITY);
            state.total.fill(0.0);
            self.piece::<V>(&heads, rows.clone(), piece * PIECE..(piece + 1) * PIECE, &mut state, &mut memory);
            for j in 0..if *is_part { 0 } else { queries } {
                let mut all = (state.all.0[j], state.all.1[j]);
                // SAFETY: each call writes its own heads of its own rows
                let y = unsafe { self.result(&heads, rows, j) };
                fold(y, &mut all, &state.sums[j * d..][..d], (state.max[j], state.total[j]));
                (state.all.0[j], state.all.1[j]) = all;
            }
        }
        memory.0.give_back();
        for j in 0..if *is_part { 0 } else { queries } {
            // SAFETY: as above
            let y = unsafe { self.result(&heads, rows, j) };
            self.finish(y, heads.start + j % heads.len(), (state.all.0[j], state.all.1[j]));
        }
    }

    /// Divides a head's sums by the sum of their weights, which are relative to `max`.
    fn finish(&self, y: &mut [f32], head: usize, (max, total): (f32, f32)) {
        let sink = self.learned.sinks.map_or(0.0, |sinks| (sinks[head] * LOG2_E - max).exp2());
        let factor = 1.0 / (total + sink);
        y.iter_mut().for_each(|y| *y *= factor);
    }

    /// All that rows see of some positions, run by run.
    #[inline(always)]
    fn piece<V: Vector>(
        &self,
        heads: &Range<usize>,
        rows: Range<usize>,
        positions: Range<usize>,
        state: &mut State,
        (scratch, scaled): &mut (Scratch, Scaled),
    ) {
        let Self { op, step, .. } = *self;
        let (seen, table) = (&self.seen[rows.clone()], step.tables[step.rows[rows.start].sequence]);
        let (kv_head, n) = (heads.start / (op.heads / op.kv.heads), heads.len());
        let start = positions.start.max(seen[0].start / KV_BLOCK * KV_BLOCK);
        let end = positions.end.min(seen[seen.len() - 1].end);
        for first in (start..end).step_by(KV_BLOCK) {
            let run = first..end.min(first + KV_BLOCK);
            let data = self.blocks[table[first / KV_BLOCK] as usize].run::<V>(&op.kv, kv_head, run.len(), scratch);
            #[cfg(target_arch = "x86_64")]
            if run.end < end {
                self.blocks[table[run.end / KV_BLOCK] as usize].ask(&op.kv, kv_head);
            }
            // rows are in order of position: those that see all of the run are neighbours
            let all = seen.partition_point(|seen| seen.end < run.end);
            let all = all..all.max(seen.partition_point(|seen| seen.start <= run.start));
            let queries = Queries { work: self, heads, rows: &rows, run: &run, data: &data };
            queries.attend::<V>(all.start * n..all.end * n, 0..run.len(), scaled, state);
            for row in (0..all.start).chain(all.end..seen.len()) {
                let part = seen[row].start.max(run.start)..seen[row].end.min(run.end);
                if !part.is_empty() {
                    let part = part.start - run.start..part.end - run.start;
                    queries.attend::<V>(row * n..(row + 1) * n, part, scaled, state);
                }
            }
        }
    }
}

/// A unit, for a part of the heads.
struct Item<'a> {
    work: &'a Work<'a>,
    i: usize,
}

impl WideTask for Item<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        // units vary fastest, since neighbouring rows read the same keys
        let units = self.work.units.len();
        self.work.unit::<V>(self.i / units, self.i % units);
    }
}

/// The queries of a unit at a run.
struct Queries<'a> {
    work: &'a Work<'a>,
    heads: &'a Range<usize>,
    rows: &'a Range<usize>,
    run: &'a Range<usize>,
    data: &'a Run<'a>,
}

impl Queries<'_> {
    /// These queries attend to the positions `part` of the run.
    #[inline(always)]
    fn attend<V: Vector>(&self, queries: Range<usize>, part: Range<usize>, scaled: &mut Scaled, state: &mut State) {
        if let Run::Bytes(run) = self.data {
            scaled.set::<V>(run, part.clone());
        }
        // sums of four stay in registers; in WebAssembly three take as long as two and one
        let mut first = queries.start;
        while first < queries.end {
            first += match queries.end - first {
                1 => self.some::<V, 1>(first, part.clone(), scaled, state),
                3 if !cfg!(target_arch = "wasm32") => self.some::<V, 3>(first, part.clone(), scaled, state),
                2 | 3 => self.some::<V, 2>(first, part.clone(), scaled, state),
                _ => self.some::<V, 4>(first, part.clone(), scaled, state),
            };
        }
    }

    /// H of them, from `first` on. Returns H.
    // In WebAssembly no instructions need it, and a browser keeps more in registers in functions
    // that are not too large: a quarter faster.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn some<V: Vector, const H: usize>(
        &self,
        first: usize,
        part: Range<usize>,
        scaled: &Scaled,
        state: &mut State,
    ) -> usize {
        let Self { work, heads, rows, run, data } = self;
        let (op, n, d) = (work.op, heads.len(), work.op.kv.head_dim);
        let mut scores: Scores<H> = [[f32::NEG_INFINITY; KV_BLOCK]; H];
        // row and head of each
        let mut at = [(0, 0); H];
        for h in 0..H {
            at[h] = (rows.start + (first + h) / n, heads.start + (first + h) % n);
        }
        // weights are powers of two
        let scale = op.scale * if op.cap.is_some() { 1.0 } else { LOG2_E };
        match data {
            Run::Floats { keys, .. } => {
                let mut q: [&[f32]; H] = [&[]; H];
                for h in 0..H {
                    q[h] = &work.q[at[h].0 * op.q.cols + at[h].1 * d..][..d];
                }
                floats::score::<V, H>(q, keys, scale, part.clone(), &mut scores);
            }
            Run::Bytes(run) => {
                let (mut q, mut factors): ([&[i16]; H], _) = ([&[]; H], [0.0; H]);
                for h in 0..H {
                    let query = at[h].0 * op.heads + at[h].1;
                    q[h] = &work.queries[query * d..][..d];
                    factors[h] = work.factors[query] * scale * run.unit;
                }
                bytes::score::<V, H>(q, run, factors, part.clone(), &mut scores);
            }
        }
        let mut factors = [Factors::default(); H];
        for h in 0..H {
            let scores = &mut scores[h][..part.end.next_multiple_of(16)];
            if let Some(temperature) = op.temperature {
                let factor = temperature.at(work.seen[at[h].0].end - 1);
                scores.iter_mut().for_each(|score| *score *= factor);
            }
            if let Some(cap) = op.cap {
                bound(scores, cap, part.clone());
            }
            if op.alibi.is_some() {
                let position = work.step.rows[at[h].0].position as f32 - run.start as f32;
                lower(scores, op.slope(at[h].1), position);
            }
            if let Some(bias) = work.learned.bias {
                let (own, each) = (work.step.rows[at[h].0].position, bias.len() / op.heads);
                raise(scores, &bias[at[h].1 * each..][..each], run.start, own);
            }
            let j = first + h;
            factors[h] = weigh::<V>(scores, &mut state.max[j], &mut state.total[j], part.clone());
        }
        let sums = &mut state.sums[first * d..][..H * d];
        match data {
            Run::Floats { values, .. } => floats::add_values::<V, H>(sums, &factors, &scores, values, part, d),
            Run::Bytes(run) => bytes::add_values::<V, H>(sums, &factors, &scores, run, scaled, part, d),
        }
        H
    }
}
