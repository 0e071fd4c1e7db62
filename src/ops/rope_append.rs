//! `rope_append`: applies rotary position embeddings (Su et al. 2021, arXiv 2104.09864) to queries
//! and keys, and appends keys and values to the KV cache. It is one operation, so that each key is
//! read and written once.
//!
//! The host computes the cosines and sines of each row in f64: WGSL guarantees the precision of
//! `sin` and `cos` only within [-π, π], and angles grow far beyond that.

use super::loads::{f32s, touched};
use super::{Binding, Kernel, Loads, Op, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{KV_BLOCK, KvCache, Step, Tensor};

/// Which values of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeKind {
    /// (2i, 2i + 1), as in the paper and in GGUF files of Llama models.
    Interleaved,
    /// (i, i + rotary_dim / 2), as in GPT-NeoX and most other models.
    HalfSplit,
}

/// Rotates q and k of each row by its position; writes q back to `qkv`, and k and v to the KV cache
/// at that position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeAppend {
    /// (rows, (heads + 2 kv.heads) · head_dim): q, k and v of each row; q is rotated in place.
    pub qkv: Tensor,
    /// (rows, rotary_dim): cos and sin of each row's pair i in columns 2i and 2i + 1.
    pub angles: Tensor,
    /// The cache that receives keys and values.
    pub kv: KvCache,
    /// Number of query heads.
    pub heads: usize,
    /// Which values form a pair.
    pub kind: RopeKind,
}

const WORKGROUP: usize = 64;

impl Op for RopeAppend {
    fn check(&self) -> Result<()> {
        let (cols, head_dim) = (self.all_heads() * self.kv.head_dim, self.kv.head_dim);
        ensure(self.qkv.cols == cols, "rope_append", "qkv.cols = (heads + 2 kv.heads) · head_dim", self.qkv.cols)?;
        ensure(head_dim.is_multiple_of(2), "rope_append", "an even head_dim", head_dim)?;
        let rotary_dim = self.angles.cols;
        let fits = rotary_dim.is_multiple_of(2) && rotary_dim <= head_dim;
        ensure(fits, "rope_append", "even rotary_dim ≤ head_dim", rotary_dim)?;
        ensure(self.angles.rows == self.qkv.rows, "rope_append", "angles.rows = qkv.rows", self.angles.rows)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let KvCache { buffer, heads: kv_heads, head_dim } = self.kv;
        vec![Kernel {
            shader: "rope_append",
            defines: match self.kind {
                RopeKind::Interleaved => vec![],
                RopeKind::HalfSplit => vec!["HALF_SPLIT"],
            },
            constants: vec![("KV_BLOCK", KV_BLOCK as u32)],
            bindings: vec![Binding::Rows, self.qkv.into(), self.angles.into(), Binding::Values(buffer)],
            params: [self.qkv.rows, self.heads, kv_heads, head_dim, self.angles.cols].map(|v| v as u32).to_vec(),
            // one invocation per pair of values
            workgroups: [ceil_div(self.all_heads() * head_dim / 2, WORKGROUP), self.qkv.rows as u32, 1],
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let (width, used) = (self.kv.head_dim / 2, self.angles.cols / 2);
        let rotated = self.heads + self.kv.heads;
        let qkv = Loads::once(self.qkv.cols, ceil_div(self.qkv.cols / 2, WORKGROUP) as usize);
        let angles = Loads {
            activations: f32s(2 * touched(rotated * width, WORKGROUP, width, used)),
            lane_activations: f32s(2 * rotated * used),
            ..Loads::default()
        };
        vec![(qkv + angles) * step.count(self.qkv.rows)]
    }
}

impl RopeAppend {
    /// Number of heads of q, k and v together.
    fn all_heads(&self) -> usize {
        self.heads + 2 * self.kv.heads
    }

    /// Constants for the shader of a projection that does this operation in its epilogue.
    pub(super) fn constants(&self) -> [(&'static str, u32); 5] {
        [
            ("HEADS", self.heads),
            ("KV_HEADS", self.kv.heads),
            ("HEAD_DIM", self.kv.head_dim),
            ("KV_BLOCK", KV_BLOCK),
            ("ROTARY_PAIRS", self.angles.cols / 2),
        ]
        .map(|(name, value)| (name, value as u32))
    }

    /// `qkv`: (rows, …), rotated in place; `angles`: (rows, rotary_dim); `blocks`: those of `kv`,
    /// each of [`KvCache::block_len`].
    pub fn reference(&self, step: &Step, qkv: &mut [f32], angles: &[f32], blocks: &mut [Vec<f32>]) {
        let d = self.kv.head_dim;
        for (number, (row, qkv)) in step.rows.iter().zip(qkv.chunks_exact_mut(self.qkv.cols)).enumerate() {
            let angles = &angles[number * self.angles.cols..][..self.angles.cols];
            let (q_and_k, v) = qkv.split_at_mut((self.heads + self.kv.heads) * d);
            for head in q_and_k.chunks_exact_mut(d) {
                rotate(head, angles, self.kind);
            }
            let (block, position) = step.slot(row);
            let block = &mut blocks[block];
            for h in 0..self.kv.heads {
                let slot = position..position + 1;
                block[self.kv.keys(h, slot.clone())].copy_from_slice(&q_and_k[(self.heads + h) * d..][..d]);
                block[self.kv.values(h, slot)].copy_from_slice(&v[h * d..][..d]);
            }
        }
    }
}

/// Rotates the pairs of `head` by `angles` (cos and sin of each pair); values past rotary_dim stay
/// as they are.
fn rotate(head: &mut [f32], angles: &[f32], kind: RopeKind) {
    let pairs = angles.len() / 2;
    for i in 0..pairs {
        let (a, b) = match kind {
            RopeKind::Interleaved => (2 * i, 2 * i + 1),
            RopeKind::HalfSplit => (i, i + pairs),
        };
        let (cos, sin) = (angles[2 * i], angles[2 * i + 1]);
        (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_turn_swaps_a_pair_and_leaves_the_rest() {
        for (kind, expected) in [
            (RopeKind::Interleaved, [-2.0, 1.0, -4.0, 3.0, 5.0, 6.0]),
            (RopeKind::HalfSplit, [-3.0, -4.0, 1.0, 2.0, 5.0, 6.0]),
        ] {
            let mut head = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
            rotate(&mut head, &[0.0, 1.0, 0.0, 1.0], kind);
            assert_eq!(head, expected, "{kind:?}");
        }
    }
}
