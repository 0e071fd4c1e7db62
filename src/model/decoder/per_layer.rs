//! Inputs of layers beside the residual stream, as in Gemma 3n and Gemma 4: each token has a vector
//! for each layer, from a table of its own and from its embedding, which gates multiply after the
//! feed-forward block.

use super::norms::Stream;
use super::{Activations, Decoder, Mlp, NormWeights};
use crate::Result;
use crate::model::weights::Weight;
use crate::ops::{Activate, Activation, Epilogue, Index, Norm, NormKind, Recording};
use crate::record::{Memory, Tensor};

/// Weights that make the inputs of all layers, each of `config.per_layer_input` values.
#[derive(Clone, Debug)]
pub struct PerLayerEmbedding {
    /// (vocab, layers · inputs)
    pub table: Weight,
    /// (layers · inputs, hidden): of the embeddings.
    pub projection: Weight,
    /// (1, layers · inputs): the weights of the norm behind the projection, of each layer.
    pub norm: Tensor,
}

/// Weights of a layer for its input.
#[derive(Clone, Debug)]
pub struct PerLayerWeights {
    /// (inputs, hidden): gates, of the residual stream; and (hidden, inputs).
    pub mlp: Mlp,
    /// Norm behind the second.
    pub norm: NormWeights,
}

/// Buffers for the inputs of layers.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerLayerActivations {
    /// (tokens, layers · inputs): √2 times the inputs.
    pub inputs: Tensor,
    /// The same size: the projections of embeddings.
    projected: Tensor,
    /// (tokens, inputs): gates, and what they give.
    gates: [Tensor; 2],
}

impl PerLayerActivations {
    pub fn new(memory: &mut dyn Memory, model: &Decoder, tokens: usize) -> Result<Option<Self>> {
        let width = model.config.per_layer_input;
        let mut tensor = |cols| super::activations(memory, tokens, cols);
        if model.per_layer.is_none() {
            return Ok(None);
        }
        let all = model.config.layers * width;
        Ok(Some(Self { inputs: tensor(all)?, projected: tensor(all)?, gates: [tensor(width)?, tensor(width)?] }))
    }

    pub fn map(self, cut: impl Fn(Tensor) -> Tensor) -> Self {
        Self { inputs: cut(self.inputs), projected: cut(self.projected), gates: self.gates.map(cut) }
    }
}

impl Decoder {
    /// inputs = √inputs · table[id] + norm(projection · embedding / √hidden), which is √2 times
    /// what layers read, from the embeddings in a.x.
    pub(super) fn record_per_layer_inputs(&self, r: &mut Recording, a: &Activations) -> Result<()> {
        let (Some(weights), Some(per_layer)) = (&self.per_layer, a.per_layer) else { return Ok(()) };
        let PerLayerActivations { inputs, projected, .. } = per_layer;
        weights.table.embed(r, Index::Id, (self.config.per_layer_input as f32).sqrt(), inputs)?;
        let scale = 1.0 / (self.config.hidden as f32).sqrt();
        weights.projection.linear(r, a.x, None, Epilogue::Cap { scale, cap: None }, projected)?;
        let (x, y, add, weight) = (projected, inputs, Some(inputs), weights.norm);
        let (groups, kind, eps) = (self.config.layers, NormKind::Rms, self.config.norm_eps);
        r.push(Norm { x, first_col: 0, groups, weight, bias: None, kind, eps, add, y, scale: None })
    }

    /// x += norm(projection · (activation(gate · x) · input)) of layer `i`
    pub(super) fn add_per_layer_input(&self, r: &mut Recording, i: usize, s: &mut Stream) -> Result<()> {
        if self.layers[i].per_layer.is_some() {
            self.settle(r, s)?;
            s.behind = self.gate_input(r, i, s.a.x, s)?;
        }
        Ok(())
    }

    /// a.branch = projection · (activation(gate · x) · input) of layer `i`. Returns the norm behind
    /// it; `None` without inputs.
    pub(super) fn gate_input(&self, r: &mut Recording, i: usize, x: Tensor, s: &Stream) -> Result<Option<NormWeights>> {
        let (Some(layer), Some(PerLayerActivations { inputs, gates: [gates, gated], .. })) =
            (&self.layers[i].per_layer, s.a.per_layer)
        else {
            return Ok(None);
        };
        layer.mlp.gate_up_proj.linear(r, x, None, Epilogue::Store, gates)?;
        let activation = Activation { gated: true, ..self.config.activation() };
        let up = Some((inputs, i * gates.cols));
        r.push(Activate { activation, multiplies: false, x: gates, y: gated, up })?;
        let half = Epilogue::Cap { scale: std::f32::consts::FRAC_1_SQRT_2, cap: None };
        layer.mlp.down_proj.linear(r, gated, None, half, s.a.branch)?;
        Ok(Some(layer.norm))
    }
}
