//! `likely`: what log-probabilities need of the last token's logits, in few words.

use super::loads::f32s;
use super::sample::{BLOCK, INVALID_ID, Sample};
use super::{Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{Step, Tensor};
use crate::sampling::{exp_sum, most_likely};

/// y = the words of a [`Told`].
#[derive(Clone, Copy, Debug)]
pub struct Likely {
    /// (tokens, vocab)
    pub logits: Tensor,
    /// (1, [`Sample::blocks`]): scratch for the largest logit of each block
    pub maxima: Tensor,
    /// (1, [`Sample::blocks`]): scratch for sums
    pub sums: Tensor,
    /// (1, 1): the bits of the id that was sampled
    pub id: Tensor,
    /// (1, [`WORDS`]), as the bits of values
    pub y: Tensor,
}

/// Most likely ids that are told: as many as OpenAI's API does.
pub const MOST: usize = 20;

/// Invocations of a workgroup that looks at blocks.
const WORKGROUP: usize = 64;

/// Words before those of the most likely ids.
const HEADER: usize = 4;

/// The word of Σ exp(logit - largest), the only one that is rounded.
pub const SUM: usize = 3;

/// Words of the result.
pub const WORDS: usize = HEADER + 2 * MOST;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The sampled id, or [`INVALID_ID`] if a logit is NaN or positive infinity, or none is finite.
    pub id: u32,
    /// Its logit.
    pub logit: f32,
    /// ln Σ exp(logit) over all tokens.
    pub log_sum_exp: f64,
    /// The most likely ids with their logits, best first, at most [`MOST`].
    pub top: Vec<(u32, f32)>,
}

impl Told {
    /// Reads the words of the operation's result; `top`: so many of the most likely ids.
    pub fn read(words: &[u32], top: usize) -> Self {
        let [id, logit, largest, sum] = [0, 1, 2, 3].map(|at| words[at]);
        let [logit, largest, sum] = [logit, largest, sum].map(f32::from_bits);
        let pairs = words[HEADER..].chunks_exact(2).take(top);
        let top = pairs.map(|pair| (pair[0], f32::from_bits(pair[1]))).collect();
        Self { id, logit, log_sum_exp: f64::from(sum).ln() + f64::from(largest), top }
    }
}

impl Op for Likely {
    fn check(&self) -> Result<()> {
        let blocks = Sample::blocks(self.logits.cols);
        for scratch in [self.maxima, self.sums] {
            ensure(scratch.cols == blocks, "likely", &format!("{blocks} blocks"), scratch.cols)?;
        }
        ensure(self.id.rows * self.id.cols == 1, "likely", "one id", self.id)?;
        ensure((self.y.rows, self.y.cols) == (1, WORDS), "likely", &format!("{WORDS} words"), self.y)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let Self { logits, maxima, sums, id, y } = *self;
        let kernel = |shader, bindings: &[Tensor], workgroups| Kernel {
            shader,
            defines: vec![],
            constants: vec![],
            bindings: bindings.iter().copied().map(Into::into).collect(),
            params: vec![logits.rows as u32, logits.cols as u32],
            workgroups: [workgroups, 1, 1],
            rows: RowGrid::along(1),
            pieces: None,
        };
        vec![
            kernel("likely_blocks", &[logits, maxima, sums], ceil_div(maxima.cols, WORKGROUP)),
            kernel("likely", &[logits, maxima, sums, id, y], 1),
        ]
    }

    /// What invocations exchange in workgroup memory is left out.
    fn loads(&self, _: &Variants, _: &Step) -> Vec<Loads> {
        let (vocab, blocks) = (self.logits.cols, self.maxima.cols);
        let of_blocks = Loads::once(vocab, ceil_div(blocks, WORKGROUP) as usize);
        let chosen = blocks.min(MOST) * BLOCK;
        let best = Loads {
            activations: f32s(2 * blocks + chosen.min(vocab) + 2),
            // seven digits of the k-th best, then all that are better; the sum; the id, and its
            // logit
            lane_activations: f32s((7 + 1) * (blocks + chosen) + 2 * blocks + 2),
            workgroups: 1,
            ..Loads::default()
        };
        // each twice: for the largest, and for the sum
        vec![Loads { lane_activations: 2 * of_blocks.lane_activations, ..of_blocks }, best]
    }
}

/// `logits`: (tokens, vocab); `id`: (1); `y`: ([`WORDS`]).
pub fn reference(logits: &[f32], vocab: usize, id: &[f32], y: &mut [f32]) {
    let logits = &logits[logits.len() - vocab..];
    let Ok(top) = most_likely(logits, MOST) else {
        y[0] = f32::from_bits(INVALID_ID);
        return;
    };
    let (largest, sum) = exp_sum(logits);
    let of = |id: usize| logits[id.min(vocab - 1)];
    y[..HEADER].copy_from_slice(&[id[0], of(id[0].to_bits() as usize), largest, sum as f32]);
    for (pair, id) in y[HEADER..].chunks_exact_mut(2).zip(top) {
        pair.copy_from_slice(&[f32::from_bits(id), of(id as usize)]);
    }
}
