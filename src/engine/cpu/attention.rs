//! Attention with an online softmax: one pass over the cache with a running maximum and sum, so that no list of scores
//! is stored (Milakov & Gimelshein 2018, arXiv 1805.02867).

use super::dot::{add_scaled, dot};
use crate::ops::Attention;

/// Shapes as in [`Attention::reference`].
pub fn attention(op: &Attention, position: usize, q: &[f32], k_cache: &[f32], v_cache: &[f32], y: &mut [f32]) {
    let d = op.head_dim;
    let group = op.heads / op.kv_heads;
    for (t, (q, y)) in q.chunks_exact(op.q.cols).zip(y.chunks_exact_mut(op.y.cols)).enumerate() {
        let visible = (position + t + 1) * d;
        for (h, (q, y)) in q.chunks_exact(d).zip(y.chunks_exact_mut(d)).enumerate() {
            let start = (h / group) * op.context * d;
            head(q, &k_cache[start..][..visible], &v_cache[start..][..visible], op.scale, y);
        }
    }
}

/// `q`, `y`: (head_dim); `keys`, `values`: (positions, head_dim).
fn head(q: &[f32], keys: &[f32], values: &[f32], scale: f32, y: &mut [f32]) {
    let (mut max, mut sum) = (f32::NEG_INFINITY, 0.0);
    y.fill(0.0);
    for (k, v) in keys.chunks_exact(q.len()).zip(values.chunks_exact(q.len())) {
        let score = dot(q, k) * scale;
        if score > max {
            let shrink = (max - score).exp();
            y.iter_mut().for_each(|y| *y *= shrink);
            (sum, max) = (sum * shrink, score);
        }
        let p = (score - max).exp();
        sum += p;
        add_scaled(y, p, v);
    }
    y.iter_mut().for_each(|y| *y /= sum);
}
