//! The layers of RWKV-7 (Peng et al. 2025, arXiv 2503.14456).

use super::norms::Stream;
use super::{Activations, Decoder, Mlp, Weight};
use crate::Result;
use crate::model::config::LayerKind;
use crate::ops::{Activation, CausalConvolve, Epilogue, Function, Recording, Shift, Wkv};
use crate::record::{KvCache, Tensor};

/// Weights of a layer beside its first and last projection, those of receptance and output.
#[derive(Clone, Debug)]
pub struct WkvWeights {
    /// (hidden, hidden)
    pub key: Weight,
    /// (hidden, hidden)
    pub value: Weight,
    /// What decays are made with: (rank, hidden), then (hidden, rank); here and below.
    pub decay: Mlp,
    /// Of the rates of what is taken away.
    pub rate: Mlp,
    /// Of how much of a value is that of the first layer.
    pub mix: Mlp,
    /// Of gates.
    pub gate: Mlp,
    /// (1, 6 · hidden): token shifts of r, w, k, v, a and g.
    pub shifts: Tensor,
    /// (1, hidden): that of the feed-forward block.
    pub channel_shift: Tensor,
    /// See [`Wkv::weights`].
    pub weights: Tensor,
}

impl Decoder {
    /// a.attn = the time mixing of norm(x), whose last input and matrices are kept in `state`;
    /// before the output projection. Returns a.attn.
    pub(super) fn record_wkv(
        &self,
        r: &mut Recording,
        i: usize,
        weights: &WkvWeights,
        state: KvCache,
        s: &mut Stream,
    ) -> Result<Tensor> {
        self.settle(r, s)?;
        let (a, layer, hidden) = (&s.a, &self.layers[i], self.config.hidden);
        let (Some(shifted), Some(first_values)) = (a.convolved, a.first_values) else { return Ok(a.attn) };
        let LayerKind::Wkv { heads, .. } = self.config.kinds[i] else { return Ok(a.attn) };
        // buffers with room for either
        let (projected, y) = (Tensor { cols: 7 * hidden, ..a.qkv }, Tensor { cols: hidden, ..a.attn });
        let (x, _) = self.normed(r, layer.attn_norms.input, a)?;
        let shift = |r: &mut Recording, number: usize| {
            let shift = Some(Shift { first_weight: number * hidden, keeps: number == 5 });
            let weight = weights.shifts;
            r.push(CausalConvolve { x, first_col: 0, weight, biased: false, state, first: 0, shift, y: shifted })
        };
        let low_rank = |r: &mut Recording, mlp: &Mlp, function: Option<Function>, col: usize| {
            // free until the end
            let low = Tensor { cols: mlp.gate_up_proj.rows(), ..a.attn };
            let activation = function.map(|function| Activation { function, gated: false });
            let epilogue = activation.map_or(Epilogue::Store, Epilogue::Activate);
            mlp.gate_up_proj.linear(r, shifted, None, epilogue, low)?;
            mlp.down_proj.linear_from(r, low, None, col * hidden, projected)
        };
        shift(r, 0)?;
        layer.qkv_proj.linear_from(r, shifted, None, 0, projected)?;
        shift(r, 1)?;
        low_rank(r, &weights.decay, Some(Function::Tanh), 3)?;
        shift(r, 2)?;
        weights.key.linear_from(r, shifted, None, hidden, projected)?;
        shift(r, 3)?;
        weights.value.linear_from(r, shifted, None, 2 * hidden, projected)?;
        low_rank(r, &weights.mix, None, 6)?;
        if i == 0 {
            weights.value.linear(r, shifted, None, Epilogue::Store, first_values)?;
        }
        shift(r, 4)?;
        low_rank(r, &weights.rate, None, 4)?;
        shift(r, 5)?;
        low_rank(r, &weights.gate, Some(Function::Sigmoid), 5)?;
        let weights = weights.weights;
        r.push(Wkv { projected, first_values, weights, state, first: 2 * hidden, heads, y })?;
        Ok(y)
    }

    /// What the feed-forward block reads of `x`, whose last row is kept in the state.
    pub(super) fn record_channel_shift(
        &self,
        r: &mut Recording,
        weights: &WkvWeights,
        (x, state): (Tensor, KvCache),
        a: &Activations,
    ) -> Result<Tensor> {
        let Some(y) = a.convolved else { return Ok(x) };
        let (first, shift) = (self.config.hidden, Some(Shift { first_weight: 0, keeps: true }));
        let weight = weights.channel_shift;
        r.push(CausalConvolve { x, first_col: 0, weight, biased: false, state, first, shift, y })?;
        Ok(y)
    }
}
