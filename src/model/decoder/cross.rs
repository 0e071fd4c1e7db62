//! Attention to a source text (Vaswani et al. 2017, arXiv 1706.03762). An encoder reads the text
//! once; the keys and values that each layer makes of its outputs are kept at the first positions
//! of the sequence, where those of the layer's own attention follow.

use super::norms::Stream;
use super::{Activations, BlockNorms, Decoder};
use crate::Result;
use crate::model::kv_cache::KvPool;
use crate::model::weights::Weight;
use crate::ops::{Attention, Epilogue, Part, Recording, RopeAppend};
use crate::record::{KvCache, Tensor};

/// Weights of a layer's attention to a source text.
#[derive(Clone, Debug)]
pub struct CrossWeights {
    /// Norms of the block.
    pub norms: BlockNorms,
    /// (heads · head_dim, hidden): of the residual stream.
    pub q_proj: Weight,
    /// (2 kv_heads · head_dim, hidden): of the encoder's output.
    pub kv_proj: Weight,
    /// (hidden, heads · head_dim)
    pub o_proj: Weight,
}

impl Decoder {
    /// x += o_proj · attention(q_proj · norm(x)), over the keys and values of the source text.
    pub(super) fn record_cross(
        &self,
        r: &mut Recording,
        i: usize,
        cross: &CrossWeights,
        kv: KvCache,
        s: &mut Stream,
    ) -> Result<()> {
        self.settle(r, s)?;
        let own = self.attention(i, kv, &s.a);
        let q = Tensor { cols: own.y.cols, ..own.q };
        let (x, norm) = self.normed(r, cross.norms.input, &s.a)?;
        cross.q_proj.linear(r, x, norm, Epilogue::Store, q)?;
        r.push(Attention { q, part: Part::Source, bias: None, ..own })?;
        self.add(r, &cross.o_proj, (own.y, None), &cross.norms, s)
    }

    /// Records the ids of a whole source text → keys and values of every layer at its positions.
    /// `a`: activations of [`Decoder::source`], with room for the text.
    pub fn record_source(&self, r: &mut Recording, kv: &KvPool, a: &Activations) -> Result<()> {
        let Some(encoder) = &self.source else { return Ok(()) };
        encoder.record_embedding(r, a)?;
        // its own keys are needed until its next layer, and no other's are there yet
        (0..encoder.layers.len()).try_for_each(|layer| encoder.record_layer(r, layer, kv.layer(0), a))?;
        if let Some(norm) = encoder.norm {
            r.push(encoder.norm_op(norm, a.x, None, a.x))?;
        }
        for (i, cross) in self.layers.iter().enumerate().filter_map(|(i, layer)| Some((i, layer.cross.as_ref()?))) {
            let (kv, kind) = (kv.layer(i), self.config.rope_kind());
            let qkv = Tensor { cols: 2 * kv.heads * kv.head_dim, ..a.qkv };
            cross.kv_proj.linear(r, a.x, None, Epilogue::Store, qkv)?;
            r.push(RopeAppend { qkv, angles: a.angles[0], kv, heads: 0, kind, behind: None })?;
        }
        Ok(())
    }
}
