//! `sample`: the logits of the last token → the next id, without penalties: see [`Chain`].

use super::loads::f32s;
use super::{Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{Step, Tensor};
use crate::sampling::{Chain, SamplingOptions};

/// y[0] = the id that the chain picks with the step's random bits, or [`INVALID_ID`].
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// (tokens, vocab)
    pub logits: Tensor,
    /// (1, 4): [`Chain::values`]
    pub chain: Tensor,
    /// (1, [`Sample::blocks`]): scratch for the largest logit of each block
    pub maxima: Tensor,
    /// (1, 1): the bits of the id
    pub y: Tensor,
}

/// The result if a logit is NaN or positive infinity, or none is finite.
pub const INVALID_ID: u32 = u32::MAX;

/// Logits per block.
pub(super) const BLOCK: usize = 32;

/// Invocations of a workgroup.
const WORKGROUP: usize = 256;

impl Sample {
    /// Number of blocks in `vocab` logits.
    pub fn blocks(vocab: usize) -> usize {
        vocab.div_ceil(BLOCK)
    }
}

impl Op for Sample {
    fn check(&self) -> Result<()> {
        let blocks = Self::blocks(self.logits.cols);
        ensure(self.chain.cols == 4, "sample", "4 values of the chain", self.chain.cols)?;
        ensure(self.maxima.cols == blocks, "sample", &format!("{blocks} maxima"), self.maxima.cols)?;
        ensure(self.y.rows * self.y.cols == 1, "sample", "room for one id", self.y)?;
        // the shader packs ids and their complements in 24 bits
        ensure((1..1 << 24).contains(&self.logits.cols), "sample", "fewer than 2^24 tokens", self.logits.cols)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        // of the largest logits of the blocks, and of the choice
        let dispatches = [(true, ceil_div(self.maxima.cols, WORKGROUP)), (false, 1)];
        let kernel = |(finds_maxima, workgroups): (bool, u32)| Kernel {
            shader: "sample",
            defines: vec![],
            constants: vec![],
            bindings: [self.logits, self.maxima, self.chain, self.y].map(Into::into).to_vec(),
            params: vec![self.logits.rows as u32, self.logits.cols as u32, finds_maxima.into()],
            workgroups: [workgroups, 1, 1],
            rows: RowGrid::along(1),
            pieces: None,
        };
        dispatches.map(kernel).to_vec()
    }

    /// With the usual top-k; what invocations exchange in workgroup memory is left out.
    fn loads(&self, _: &Variants, _: &Step) -> Vec<Loads> {
        let (vocab, blocks) = (self.logits.cols, self.maxima.cols);
        let top_k = SamplingOptions::default().top_k as usize;
        let chosen = blocks.min(top_k) * BLOCK;
        let chain = self.chain.cols;
        let choice = Loads {
            activations: f32s(blocks + chosen.min(vocab) + chain),
            // seven digits of the k-th best, then all that are better; the largest distance only
            // where a candidate is left
            lane_activations: f32s((7 + 1) * (blocks + chosen) + WORKGROUP * (chain - 1) + top_k.min(vocab)),
            workgroups: 1,
            ..Loads::default()
        };
        vec![Loads::once(vocab, ceil_div(blocks, WORKGROUP) as usize), choice]
    }
}

/// `logits`: (tokens, vocab); `chain`: (4); `y`: (1).
pub fn reference(logits: &[f32], vocab: usize, chain: &[f32], random: u32, y: &mut [f32]) {
    let &[top_k, top_p, max_distance, steepness] = chain else { return };
    let chain = Chain::from_values([top_k, top_p, max_distance, steepness]);
    let id = chain.sample(&logits[logits.len() - vocab..], random).unwrap_or(INVALID_ID);
    y[0] = f32::from_bits(id);
}
