//! Several residual streams (AltUp, see [`AltUp`]), and a low-rank residual beside attention
//! (LAuReL; Menghani et al. 2024, arXiv 2411.07501), as in Gemma 3n.

use super::norms::Stream;
use super::{Activations, Decoder, Layer, Mlp, NormWeights};
use crate::Result;
use crate::model::weights::Weight;
use crate::ops::alt_up::{Correction, STREAMS};
use crate::ops::{AltUp, Epilogue, Recording, Rescale, RmsNorm};
use crate::record::{Memory, Tensor};

/// Weights that make streams of one, and one of them.
#[derive(Clone, Debug)]
pub struct StreamsEmbedding {
    /// (3 · hidden, hidden): of the embeddings.
    pub projection: Weight,
    /// (hidden, hidden), of each stream but the first, behind the last layer.
    pub unembeddings: Vec<Weight>,
}

/// Weights of a layer for its streams.
#[derive(Clone, Debug)]
pub struct StreamsWeights {
    /// (STREAMS, hidden)
    pub router: Weight,
    /// (1, hidden): the norm before it.
    pub router_norm: Tensor,
    /// See [`AltUp::weights`].
    pub weights: Tensor,
    /// (1, hidden): factors of the first stream where the layer's input has its gates.
    pub scale: Tensor,
    /// (rank, hidden) and (hidden, rank): the residual beside attention, and its norm.
    pub laurel: (Mlp, NormWeights),
}

/// Buffers for streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamsActivations {
    /// (tokens, hidden), (tokens, 3 · hidden): the streams, see [`AltUp`].
    first: Tensor,
    others: Tensor,
    /// (tokens, hidden)
    late: Tensor,
    /// (tokens, STREAMS): what the router says before a layer, and behind it.
    routed: [Tensor; 2],
    /// (tokens, rank)
    low: Tensor,
}

impl StreamsActivations {
    pub fn new(memory: &mut dyn Memory, model: &Decoder, tokens: usize) -> Result<Option<Self>> {
        let Some(StreamsWeights { laurel: (laurel, _), .. }) = model.layers.first().and_then(|l| l.streams.as_ref())
        else {
            return Ok(None);
        };
        let (hidden, rank) = (model.config.hidden, laurel.gate_up_proj.rows());
        let mut tensor = |cols| super::activations(memory, tokens, cols);
        Ok(Some(Self {
            first: tensor(hidden)?,
            others: tensor((STREAMS - 1) * hidden)?,
            late: tensor(hidden)?,
            routed: [tensor(STREAMS)?, tensor(STREAMS)?],
            low: tensor(rank)?,
        }))
    }

    pub fn map(self, cut: impl Fn(Tensor) -> Tensor) -> Self {
        Self {
            first: cut(self.first),
            others: cut(self.others),
            late: cut(self.late),
            routed: self.routed.map(&cut),
            low: cut(self.low),
        }
    }
}

impl Decoder {
    /// Records embeddings in a.x → streams, those but the first with the magnitude of the first.
    pub(super) fn record_streams(&self, r: &mut Recording, a: &Activations) -> Result<()> {
        let (Some(weights), Some(StreamsActivations { first, others, late, .. })) = (&self.streams, a.streams) else {
            return Ok(());
        };
        r.push(Rescale::of(a.x, 1.0, first))?;
        r.push(Rescale::of(a.x, 0.0, late))?;
        weights.projection.linear(r, a.x, None, Epilogue::Store, others)?;
        r.push(Rescale { groups: STREAMS - 1, like: Some(first), ..Rescale::of(others, 1.0, others) })
    }

    /// x = the prediction of the first stream.
    pub(super) fn predict(&self, r: &mut Recording, layer: &Layer, s: &Stream) -> Result<()> {
        let (Some(weights), Some(streams)) = (&layer.streams, s.a.streams) else { return Ok(()) };
        let StreamsActivations { first, others, late, routed: [routed, _], .. } = streams;
        self.ask_router(r, weights, first, routed)?;
        let weights = weights.weights;
        r.push(AltUp { first, late, routed, weights, others: Some(others), correction: None, y: s.a.x })
    }

    /// x += norm(x) + norm(low-rank product of norm(x)), before the output of attention is added.
    pub(super) fn add_laurel(&self, r: &mut Recording, layer: &Layer, s: &Stream) -> Result<()> {
        let (Some(StreamsWeights { laurel: (laurel, norm_behind), .. }), Some(StreamsActivations { low, .. })) =
            (&layer.streams, s.a.streams)
        else {
            return Ok(());
        };
        let (a, input) = (&s.a, layer.attn_norms.input);
        let (x, norm) = self.normed(r, input, a)?;
        laurel.gate_up_proj.linear(r, x, norm, Epilogue::Store, low)?;
        laurel.down_proj.linear(r, low, None, Epilogue::Store, a.branch)?;
        if let Some(input) = input {
            r.push(self.norm_op(input, a.x, Some(a.x), a.spare))?;
        }
        r.push(self.norm_op(*norm_behind, a.branch, Some(a.spare), a.x))
    }

    /// Corrects all streams with what layer `i` made of x, and adds its input to those but the
    /// first.
    pub(super) fn correct(&self, r: &mut Recording, i: usize, s: &mut Stream) -> Result<()> {
        let (Some(weights), Some(streams)) = (&self.layers[i].streams, s.a.streams) else { return Ok(()) };
        self.settle(r, s)?;
        let StreamsActivations { first, others, late, routed: [routed, corrected], .. } = streams;
        self.ask_router(r, weights, s.a.x, corrected)?;
        let correction = Some(Correction { x: s.a.x, corrected });
        r.push(AltUp { first, late, routed, weights: weights.weights, others: None, correction, y: others })?;
        r.push(Rescale { weight: Some(weights.scale), ..Rescale::of(first, 1.0, s.a.branch) })?;
        match self.gate_input(r, i, s.a.branch, s)? {
            Some(norm) => r.push(self.norm_op(norm, s.a.branch, None, late)),
            None => Ok(()),
        }
    }

    /// What the router says of a stream.
    fn ask_router(&self, r: &mut Recording, weights: &StreamsWeights, x: Tensor, y: Tensor) -> Result<()> {
        let norm = Some(RmsNorm { weight: weights.router_norm, eps: self.config.norm_eps });
        let scale = 1.0 / self.config.hidden as f32;
        weights.router.linear(r, x, norm, Epilogue::Cap { scale, cap: None }, y)
    }

    /// x = the mean of all streams, those but the first with the magnitude of the first.
    pub(super) fn merge_streams(&self, r: &mut Recording, s: &Stream, x: Tensor) -> Result<()> {
        let (Some(weights), Some(StreamsActivations { first, others, late, .. })) = (&self.streams, s.a.streams) else {
            return Ok(());
        };
        let (a, share) = (&s.a, 1.0 / STREAMS as f32);
        let stream = if a.x == x { a.spare } else { a.x };
        r.push(Rescale::of(first, share, x))?;
        for (i, unembedding) in weights.unembeddings.iter().enumerate() {
            let first_col = i * self.config.hidden;
            r.push(Rescale { first_col, add: Some(late), ..Rescale::of(others, 1.0, stream) })?;
            unembedding.linear(r, stream, None, Epilogue::Store, a.branch)?;
            r.push(Rescale { like: Some(first), add: Some(x), ..Rescale::of(a.branch, share, x) })?;
        }
        Ok(())
    }
}
