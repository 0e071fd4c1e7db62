//! `attention`: scaled dot-product attention over the KV cache (Vaswani et al. 2017, arXiv 1706.03762), with query heads that
//! share key and value heads in groups (Ainslie et al. 2023, arXiv 2305.13245); causal in decoders, both ways in encoders. Where a
//! model has no other sense of positions, scores fall with the distance (ALiBi, Press et al. 2022, arXiv 2108.12409).
//!
//! The GPU kernels walk the cache in tiles with a running maximum and sum, so that no score matrix is ever stored (flash
//! attention, Dao et al. 2022, arXiv 2205.14135). For one token the positions are cut into pieces that are merged in a second
//! dispatch, since its heads alone would not fill a GPU.

use std::ops::Range;

use super::{Binding, Kernel, Op, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{BufferId, Tensor};

/// y[t][h] = Σ_p softmax_p(q[t][h] · k[p] · scale - slope(h) · (position + t - p)) v[p], over p ≤ position + t that the window
/// reaches; where it is not causal, over all p up to the last token of the step
#[derive(Clone, Debug)]
pub struct Attention {
    /// (tokens, cols): the first heads · head_dim values of a row are q, already rotated
    pub q: Tensor,
    /// (kv_heads, context, head_dim)
    pub k_cache: BufferId,
    /// (kv_heads, context, head_dim)
    pub v_cache: BufferId,
    /// Positions that the cache holds.
    pub context: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Values a head; a multiple of 4, at most 256.
    pub head_dim: usize,
    /// Factor of the scores, usually 1 / sqrt(head_dim).
    pub scale: f32,
    /// Scores become cap · tanh(score / cap), as in Gemma 2.
    pub cap: Option<f32>,
    /// The largest bias, see [`Attention::slope`]; `None` where scores have none. Only where it is causal.
    pub alibi: Option<f32>,
    /// A token sees this many positions, its own among them (Beltagy et al. 2020, arXiv 2004.05150); `None` for all.
    pub window: Option<usize>,
    /// Whether a token sees none that come after it.
    pub causal: bool,
    /// (tokens, heads · head_dim)
    pub y: Tensor,
}

impl Op for Attention {
    fn check(&self) -> Result<()> {
        let width = self.heads * self.head_dim;
        ensure(self.q.cols >= width && self.y.cols == width, "attention", "y.cols = heads · head_dim ≤ q.cols", self)?;
        ensure(self.q.cols.is_multiple_of(4), "attention", "q.cols in fours", self.q.cols)?;
        ensure(self.window != Some(0), "attention", "a window of 1 or more", self.window)?;
        ensure(self.causal || self.window.is_none(), "attention", "a window only where it is causal", self.window)?;
        ensure(self.cap.is_none_or(|cap| cap > 0.0), "attention", "a bound above 0", self.cap)?;
        let biased = self.alibi.is_none_or(|bias| bias > 0.0 && self.causal);
        ensure(biased, "attention", "a bias above 0, only where it is causal", self.alibi)?;
        ensure(
            self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads),
            "attention",
            "kv_heads divides heads",
            self,
        )?;
        ensure(
            self.head_dim.is_multiple_of(4) && self.head_dim <= 256,
            "attention",
            "head_dim ≤ 256 in fours",
            self.head_dim,
        )
    }

    fn kernels(&self, variants: &Variants) -> Vec<Kernel> {
        let tokens = self.y.rows;
        let variant = if tokens == 1 { variants.attend_one } else { variants.attend_many };
        let split = if variant.split == 0 { self.context } else { variant.split };
        let splits = self.context.div_ceil(split);
        let constants: Vec<_> = [
            ("Q_COLS", self.q.cols),
            ("HEADS", self.heads),
            ("KV_HEADS", self.kv_heads),
            ("HEAD_DIM", self.head_dim),
            ("CONTEXT", self.context),
            ("SPLIT", split),
            ("SPLITS", splits),
            // nothing is farther away than the whole context
            ("WINDOW", self.window.map_or(self.context, |window| window.min(self.context))),
            ("CAUSAL", self.causal.into()),
            ("WORKGROUP", variant.lanes),
        ]
        .map(|(name, value)| (name, value as u32))
        .into();
        let partial = Binding::Scratch(tokens * self.heads * splits * (self.head_dim + 4));
        let (mut defines, out) = if splits > 1 { (vec!["PARTIAL"], partial) } else { (vec![], self.y.into()) };
        defines.extend(self.cap.map(|_| "CAP"));
        defines.extend(self.alibi.map(|_| "ALIBI"));
        let mut kernels = vec![Kernel {
            shader: variant.shader,
            defines,
            constants: constants.clone(),
            bindings: vec![self.q.into(), Binding::Values(self.k_cache), Binding::Values(self.v_cache), out],
            params: vec![
                tokens as u32,
                self.scale.to_bits(),
                self.cap.unwrap_or(0.0).to_bits(),
                self.alibi.unwrap_or(0.0).to_bits(),
            ],
            // sized for the whole context: pieces that the cache does not reach yet leave at once
            workgroups: if variant.lanes == 0 {
                [self.heads as u32, splits as u32, tokens as u32]
            } else {
                [ceil_div(splits * tokens, variant.lanes), self.kv_heads as u32, 1]
            },
        }];
        if splits > 1 {
            kernels.push(Kernel {
                shader: "attention_merge",
                defines: vec![],
                constants: [constants.as_slice(), &[("MERGE_WORKGROUP", MERGE_WORKGROUP as u32)]].concat(),
                bindings: vec![partial, self.y.into()],
                params: vec![tokens as u32],
                workgroups: [ceil_div(self.y.cols / 4, MERGE_WORKGROUP), tokens as u32, 1],
            });
        }
        kernels
    }
}

/// Invocations of a workgroup that merges pieces.
const MERGE_WORKGROUP: usize = 32;

impl Attention {
    /// The positions that token `t` sees of a step of `tokens` that begins at `position`.
    pub fn positions(&self, position: usize, t: usize, tokens: usize) -> Range<usize> {
        let end = position + if self.causal { t + 1 } else { tokens };
        self.window.map_or(0, |window| end.saturating_sub(window))..end
    }

    /// What a score of this head loses for each position between key and query: 2^-x, where x goes up to `alibi` in equal steps, a
    /// power of two of them. Heads past that power lie in the middle of the first steps. 0 where scores have no bias.
    pub fn slope(&self, head: usize) -> f32 {
        let Some(most) = self.alibi else { return 0.0 };
        let whole = 1 << self.heads.ilog2();
        let half_steps = if head < whole { 2 * head + 2 } else { 2 * (head - whole) + 1 };
        (-most * half_steps as f32 / (2 * whole) as f32).exp2()
    }

    /// `q`: (tokens, q.cols); caches: (kv_heads, context, head_dim); `y`: (tokens, heads · head_dim).
    pub fn reference(&self, position: usize, q: &[f32], k_cache: &[f32], v_cache: &[f32], y: &mut [f32]) {
        let d = self.head_dim;
        let group = self.heads / self.kv_heads;
        let tokens = y.len() / self.y.cols;
        for (t, (q, y)) in q.chunks_exact(self.q.cols).zip(y.chunks_exact_mut(self.y.cols)).enumerate() {
            for (h, (q, y)) in q.chunks_exact(d).zip(y.chunks_exact_mut(d)).enumerate() {
                let first = (h / group) * self.context;
                let seen = self.positions(position, t, tokens);
                let cached = (first + seen.start) * d..(first + seen.end) * d;
                let (keys, values) = (&k_cache[cached.clone()], &v_cache[cached]);
                let bounded = |score: f32| self.cap.map_or(score, |cap| cap * (score / cap).tanh());
                let (slope, last) = (self.slope(h), seen.len() - 1);
                let score = |(i, k)| bounded(dot(q, k) * self.scale) - slope * (last - i) as f32;
                let mut scores: Vec<f32> = keys.chunks_exact(d).enumerate().map(score).collect();
                softmax(&mut scores);
                y.fill(0.0);
                for (p, v) in scores.iter().zip(values.chunks_exact(d)) {
                    y.iter_mut().zip(v).for_each(|(y, v)| *y += p * v);
                }
            }
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn softmax(scores: &mut [f32]) {
    let max = scores.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    scores.iter_mut().for_each(|s| *s = (*s - max).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|s| *s /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_sums_to_one_and_survives_large_scores() {
        let mut scores = [1000.0, 999.0, -1000.0];
        softmax(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((scores[0] / scores[1] - std::f32::consts::E).abs() < 1e-4);
    }

    /// As the paper's own code gives them.
    #[test]
    fn slopes_are_those_of_the_paper() {
        let nowhere = Tensor { buffer: BufferId(0), rows: 1, cols: 4 };
        let attention = |heads, alibi| Attention {
            q: nowhere,
            k_cache: BufferId(0),
            v_cache: BufferId(0),
            context: 1,
            heads,
            kv_heads: heads,
            head_dim: 4,
            scale: 1.0,
            cap: None,
            alibi,
            window: None,
            causal: true,
            y: nowhere,
        };
        let exponents = |heads, alibi| -> Vec<f32> {
            let attention = attention(heads, Some(alibi));
            (0..heads).map(|head| -attention.slope(head).log2()).collect()
        };
        assert_eq!(exponents(1, 8.0), [8.0]);
        assert_eq!(exponents(3, 8.0), [4.0, 8.0, 2.0]);
        assert_eq!(exponents(8, 8.0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(exponents(4, 16.0), [4.0, 8.0, 12.0, 16.0]);
        let twelve = exponents(12, 8.0);
        for (got, expected) in twelve[8..].iter().zip([0.5, 1.5, 2.5, 3.5]) {
            assert!((got - expected).abs() < 1e-6, "{twelve:?}");
        }
        assert_eq!(attention(5, None).slope(4), 0.0);
    }
}
