//! Attention in one pass over the cache with an online softmax: a running maximum and sum, so that
//! the scores of a row are never stored together (Milakov & Gimelshein 2018, arXiv 1805.02867). The
//! cache is read in runs of positions that fit the first-level cache, and scored four positions at
//! a time.
// Loops, since calls of closures are not always inlined: see `simd::Task`.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::pool::{self, Shared};
use super::simd::{F32x4, Lanes, Task, Vector};
use crate::ops::Attention;
use crate::record::{KV_BLOCK, Step};

/// Positions per run; divides [`KV_BLOCK`].
const RUN: usize = 32;
/// The largest head_dim.
const MOST: usize = 256;
/// Values of a cache line of 64 bytes.
const LINE: usize = 16;

/// Shapes as in [`Attention::reference`]. Query heads that share keys and values are processed
/// together, up to four at a time, if that leaves work for every thread: three on two threads
/// decode a fifth faster at 1,500 positions than one by one.
pub fn attention(lanes: Lanes, op: &Attention, step: &Step, q: &[f32], blocks: &[Vec<f32>], y: &mut [f32]) {
    let lanes = if op.kv.head_dim.is_multiple_of(8) { lanes } else { Lanes::FOUR };
    let rows = y.len() / op.y.cols;
    let group = op.heads / op.kv.heads;
    let enough = |parts: &usize| op.kv.heads * parts * rows >= pool::threads();
    let parts = [4, 2].into_iter().map(|most| group.div_ceil(most)).find(enough).unwrap_or(group);
    let lengths = (0..step.tables.len()).map(|sequence| step.length(sequence)).collect();
    Work { lanes, op, step, lengths, rows, q, blocks, y: Shared::new(y) }.run(parts);
}

struct Work<'a> {
    lanes: Lanes,
    op: &'a Attention,
    step: &'a Step<'a>,
    /// Length of each sequence of the step.
    lengths: Vec<usize>,
    rows: usize,
    q: &'a [f32],
    blocks: &'a [Vec<f32>],
    y: Shared<f32>,
}

impl Work<'_> {
    /// Splits the heads that share keys and values into `parts` parts.
    fn run(&self, parts: usize) {
        let group = self.op.heads / self.op.kv.heads;
        pool::run(self.op.kv.heads * parts * self.rows, |i| {
            // rows vary fastest, since neighbouring rows read the same keys
            let (part, t) = (i / self.rows, i % self.rows);
            let begin = |part: usize| part / parts * group + part % parts * group / parts;
            self.lanes.run(Part { work: self, heads: begin(part)..begin(part + 1), t });
        });
    }

    /// Processes H heads of row `t`, starting at `first`.
    #[inline(always)]
    fn part<V: Vector, const H: usize>(&self, first: usize, t: usize) {
        let Self { op, step, .. } = *self;
        let d = op.kv.head_dim;
        let row = step.rows[t];
        let seen = op.seen(row.position, self.lengths[row.sequence]);
        let q: [&[f32]; H] = std::array::from_fn(|h| &self.q[t * op.q.cols + (first + h) * d..][..d]);
        // SAFETY: each call writes its own heads of its own row
        let y = unsafe { self.y.slice(t * op.y.cols + first * d, H * d) };
        let cold = t == 0 || step.rows[t - 1].sequence != row.sequence;
        let keys = Keys { blocks: self.blocks, table: step.tables[row.sequence], seen, cold };
        heads::<V, H>(op, first, q, keys, y);
    }
}

/// Some heads of row `t` that share keys and values.
struct Part<'a> {
    work: &'a Work<'a>,
    heads: Range<usize>,
    t: usize,
}

impl Task for Part<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { work, heads, t } = self;
        match heads.len() {
            1 => work.part::<V, 1>(heads.start, t),
            2 => work.part::<V, 2>(heads.start, t),
            3 => work.part::<V, 3>(heads.start, t),
            _ => work.part::<V, 4>(heads.start, t),
        }
    }
}

/// The positions that a row attends to, in the blocks of its sequence.
struct Keys<'a> {
    blocks: &'a [Vec<f32>],
    table: &'a [u32],
    seen: Range<usize>,
    /// Whether the row before has not read them.
    cold: bool,
}

impl<'a> Keys<'a> {
    /// Keys and values of a head, each (positions, head_dim), in runs of at most [`RUN`] positions.
    fn runs(self, op: &'a Attention, kv_head: usize) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
        let Self { blocks, table, seen, .. } = self;
        let length = RUN * op.kv.head_dim;
        (seen.start / KV_BLOCK..seen.end.div_ceil(KV_BLOCK)).flat_map(move |index| {
            let (block, start) = (&blocks[table[index] as usize], index * KV_BLOCK);
            let positions = seen.start.max(start) - start..seen.end.min(start + KV_BLOCK) - start;
            let keys = &block[op.kv.keys(kv_head, positions.clone())];
            let values = &block[op.kv.values(kv_head, positions)];
            keys.chunks(length).zip(values.chunks(length))
        })
    }
}

/// Attention of H heads, starting at `first`. `q`: (H, head_dim); `y`: (H · head_dim).
#[inline(always)]
fn heads<V: Vector, const H: usize>(op: &Attention, first: usize, q: [&[f32]; H], keys: Keys, y: &mut [f32]) {
    let d = op.kv.head_dim;
    let slopes: [f32; H] = std::array::from_fn(|h| op.slope(first + h));
    let (mut left, cold) = (keys.seen.len(), keys.cold);
    let mut sums = [[0.0; MOST]; H];
    let (mut max, mut total) = ([f32::NEG_INFINITY; H], [0.0; H]);
    for (keys, values) in keys.runs(op, first / (op.heads / op.kv.heads)) {
        if cold {
            fetch(keys);
            fetch(values);
        }
        // positions past the end keep this score, and weigh next to nothing
        let mut scores = [[f32::NEG_INFINITY; RUN]; H];
        score::<V, H>(q, keys, op.scale, &mut scores);
        let mut shrink = [1.0; H];
        for h in 0..H {
            if let Some(cap) = op.cap {
                bound(&mut scores[h], cap, keys.len() / d);
            }
            if op.alibi.is_some() {
                lower(&mut scores[h], slopes[h], left);
            }
            (shrink[h], max[h]) = weigh(&mut scores[h], max[h], &mut total[h]);
        }
        add_values::<V, H>(&mut sums, shrink, &scores, values, d);
        left -= keys.len() / d;
    }
    for ((y, sums), total) in y.chunks_exact_mut(d).zip(&sums).zip(total) {
        let factor = 1.0 / total;
        for (y, sum) in y.iter_mut().zip(sums) {
            *y = sum * factor;
        }
    }
}

/// Reads a value of each cache line, so that the lines come from memory side by side. Left to the
/// kernels they come one after another: a decode step at 1,500 positions takes a quarter longer.
fn fetch(values: &[f32]) {
    for value in values.iter().step_by(LINE) {
        // SAFETY: the pointer is of a reference; a volatile read is not optimised away
        unsafe { std::ptr::from_ref(value).read_volatile() };
    }
}

/// Replaces the first `count` scores by cap · tanh(score / cap); tanh(x) = 1 - 2 / (1 + e^2x).
fn bound(scores: &mut [f32; RUN], cap: f32, count: usize) {
    let one = F32x4::splat(1.0);
    for four in scores.as_chunks_mut::<4>().0 {
        let power = F32x4::load(four).mul(F32x4::splat(2.0 / cap)).exp();
        let tanh = F32x4::splat(-2.0).div(one.add(power)).add(one);
        *four = tanh.mul(F32x4::splat(cap)).to_array();
    }
    scores[count..].fill(f32::NEG_INFINITY);
}

/// Subtracts `slope` times the distance from the last of `left` positions. Scores past it stay -∞.
fn lower(scores: &mut [f32; RUN], slope: f32, left: usize) {
    let last = left as f32 - 1.0;
    for (i, score) in scores.iter_mut().enumerate() {
        *score -= slope * (last - i as f32);
    }
}

/// Replaces the scores of a run by weights relative to the largest score so far, and adds them to
/// `total`. Returns the factor for earlier weights, and the new maximum.
fn weigh(scores: &mut [f32; RUN], max: f32, total: &mut f32) -> (f32, f32) {
    let (fours, _) = scores.as_chunks_mut::<4>();
    let new_max = fours.iter().fold(F32x4::splat(max), |max, four| max.max(F32x4::load(four))).max_lane();
    let shrink = F32x4::splat(max - new_max).exp().to_array()[0];
    let mut sum = F32x4::ZERO;
    for four in fours {
        let weights = F32x4::load(four).add(F32x4::splat(-new_max)).exp();
        *four = weights.to_array();
        sum = sum.add(weights);
    }
    *total = *total * shrink + sum.sum();
    (shrink, new_max)
}

/// scores[h][p] = queries[h] · keys[p] · scale, for each position p of `keys`.
#[inline(always)]
fn score<V: Vector, const H: usize>(queries: [&[f32]; H], keys: &[f32], scale: f32, scores: &mut [[f32; RUN]; H]) {
    let d = queries[0].len();
    let positions = keys.len() / d;
    for first in (0..positions).step_by(4) {
        // past the end, the last position is used again
        let row = |i: usize| &keys[(first + i).min(positions - 1) * d..][..d];
        let rows = [row(0), row(1), row(2), row(3)];
        let mut products = [[V::ZERO; 4]; H];
        for i in (0..d).step_by(V::LANES) {
            let keys =
                [V::first(&rows[0][i..]), V::first(&rows[1][i..]), V::first(&rows[2][i..]), V::first(&rows[3][i..])];
            for h in 0..H {
                let q = V::first(&queries[h][i..]);
                for p in 0..4 {
                    products[h][p] = q.mul_add(keys[p], products[h][p]);
                }
            }
        }
        let count = 4.min(positions - first);
        for h in 0..H {
            let [a, b, c, d] = products[h];
            let sums = F32x4::sums([a.fold(), b.fold(), c.fold(), d.fold()]).mul(F32x4::splat(scale)).to_array();
            scores[h][first..][..count].copy_from_slice(&sums[..count]);
        }
    }
}

/// sums[h] = sums[h] · shrink[h] + Σ_p weights[h][p] values[p], over a few vectors of columns at a
/// time, so that their sums stay in registers. `d`: head_dim.
#[inline(always)]
fn add_values<V: Vector, const H: usize>(
    sums: &mut [[f32; MOST]; H],
    shrink: [f32; H],
    weights: &[[f32; RUN]; H],
    values: &[f32],
    d: usize,
) {
    const WIDTH: usize = 4;
    let mut start = 0;
    while start + WIDTH * V::LANES <= d {
        add_columns::<V, H, WIDTH>(sums, shrink, weights, values, d, start);
        start += WIDTH * V::LANES;
    }
    while start < d {
        add_columns::<V, H, 1>(sums, shrink, weights, values, d, start);
        start += V::LANES;
    }
}

/// [`add_values`] for W vectors of columns from `start` on.
#[inline(always)]
fn add_columns<V: Vector, const H: usize, const W: usize>(
    sums: &mut [[f32; MOST]; H],
    shrink: [f32; H],
    weights: &[[f32; RUN]; H],
    values: &[f32],
    d: usize,
    start: usize,
) {
    let mut local = [[V::ZERO; W]; H];
    for h in 0..H {
        for w in 0..W {
            local[h][w] = V::first(&sums[h][start + w * V::LANES..]).mul(V::splat(shrink[h]));
        }
    }
    for (p, row) in values.chunks_exact(d).enumerate().take(RUN) {
        let row = &row[start..][..W * V::LANES];
        for h in 0..H {
            let weight = V::splat(weights[h][p]);
            for w in 0..W {
                local[h][w] = weight.mul_add(V::first(&row[w * V::LANES..]), local[h][w]);
            }
        }
    }
    for h in 0..H {
        for w in 0..W {
            local[h][w].write(&mut sums[h][start + w * V::LANES..]);
        }
    }
}
