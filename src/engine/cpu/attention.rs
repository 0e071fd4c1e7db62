//! Attention in one pass over the cache with an online softmax: a running maximum and sum, so that no list of all scores is
//! stored (Milakov & Gimelshein 2018, arXiv 1805.02867). The cache is walked in runs of positions that fit the first-level
//! cache, scored four positions at a time.

use super::pool::{self, Shared};
use super::simd::F32x4;
use crate::ops::Attention;

/// Positions of a run.
const RUN: usize = 32;
/// The largest head, in fours.
const MOST_FOURS: usize = 64;

/// Shapes as in [`Attention::reference`]. Heads of a token are shared out among the threads.
pub fn attention(op: &Attention, position: usize, q: &[f32], k_cache: &[f32], v_cache: &[f32], y: &mut [f32]) {
    let d = op.head_dim;
    let group = op.heads / op.kv_heads;
    let tokens = y.len() / op.y.cols;
    let y = Shared::new(y);
    pool::run(op.heads * tokens, |i| {
        // token by token within a head: neighbours read the same keys
        let (h, t) = (i / tokens, i % tokens);
        let cached = (h / group) * op.context * d..((h / group) * op.context + position + t + 1) * d;
        let (keys, values) = (&k_cache[cached.clone()], &v_cache[cached]);
        // SAFETY: a head of a token is written by its own call
        let y = unsafe { y.slice(t * op.y.cols + h * d, d) };
        head(&q[t * op.q.cols + h * d..][..d], keys, values, op.scale, y);
    });
}

/// `q`, `y`: (head_dim); `keys`, `values`: (positions, head_dim).
fn head(q: &[f32], keys: &[f32], values: &[f32], scale: f32, y: &mut [f32]) {
    let d = q.len();
    let (query, _) = q.as_chunks::<4>();
    let mut sums = [F32x4::ZERO; MOST_FOURS];
    let sums = &mut sums[..query.len()];
    let (mut max, mut total) = (f32::NEG_INFINITY, 0.0);
    for (keys, values) in keys.chunks(RUN * d).zip(values.chunks(RUN * d)) {
        let mut scores = [f32::NEG_INFINITY; RUN];
        score(query, keys, scale, &mut scores);
        let run_max = scores.as_chunks::<4>().0.iter().fold(F32x4::splat(max), |m, s| m.max(F32x4::load(s))).max_lane();
        // the first run has nothing to shrink, and infinity minus infinity is not a number
        let shrink = if max == run_max { 1.0 } else { (max - run_max).exp() };
        max = run_max;
        let mut run_total = F32x4::ZERO;
        for scores in scores.as_chunks_mut::<4>().0 {
            let weights = F32x4::load(scores).add(F32x4::splat(-max)).exp();
            *scores = weights.to_array();
            run_total = run_total.add(weights);
        }
        let count = keys.len() / d;
        // positions past `count` have weighed 1e-38 each
        total = total * shrink + run_total.sum();
        add_values(sums, shrink, &scores[..count], values);
    }
    let factor = F32x4::splat(1.0 / total);
    for (y, sum) in y.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
        *y = sum.mul(factor).to_array();
    }
}

/// scores[p] = query · keys[p] · scale, for as many positions as there are keys.
fn score(query: &[[f32; 4]], keys: &[f32], scale: f32, scores: &mut [f32; RUN]) {
    let fours = query.len();
    let (keys, _) = keys.as_chunks::<4>();
    let positions = keys.len() / fours;
    for (first, scores) in (0..positions).step_by(4).zip(scores.as_chunks_mut::<4>().0) {
        // past the end, the last position stands in
        let rows: [&[[f32; 4]]; 4] = std::array::from_fn(|i| &keys[(first + i).min(positions - 1) * fours..][..fours]);
        let mut products = [F32x4::ZERO; 4];
        for (i, q) in query.iter().enumerate() {
            let q = F32x4::load(q);
            for (product, row) in products.iter_mut().zip(&rows) {
                *product = q.mul_add(F32x4::load(&row[i]), *product);
            }
        }
        let sums = F32x4::sums(products).mul(F32x4::splat(scale)).to_array();
        let count = scores.len().min(positions - first);
        scores[..count].copy_from_slice(&sums[..count]);
    }
}

/// sums = sums · shrink + Σ_p weights[p] values[p]; eight sums at a time stay in registers.
fn add_values(sums: &mut [F32x4], shrink: f32, weights: &[f32], values: &[f32]) {
    const WIDTH: usize = 8;
    let fours = sums.len();
    let (values, _) = values.as_chunks::<4>();
    let (wide, rest) = sums.as_chunks_mut::<WIDTH>();
    for (i, sums) in wide.iter_mut().enumerate() {
        let mut local = sums.map(|sum| sum.mul(F32x4::splat(shrink)));
        for (weight, row) in weights.iter().zip(values.chunks_exact(fours)) {
            let (weight, row) = (F32x4::splat(*weight), &row[i * WIDTH..][..WIDTH]);
            for (sum, value) in local.iter_mut().zip(row) {
                *sum = weight.mul_add(F32x4::load(value), *sum);
            }
        }
        *sums = local;
    }
    let done = wide.len() * WIDTH;
    for (i, sum) in rest.iter_mut().enumerate() {
        *sum = sum.mul(F32x4::splat(shrink));
        for (weight, row) in weights.iter().zip(values.chunks_exact(fours)) {
            *sum = F32x4::splat(*weight).mul_add(F32x4::load(&row[done + i]), *sum);
        }
    }
}
