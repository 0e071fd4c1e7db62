//! The projections before attention and before the activation, and what follows them: an epilogue
//! where that can be, else an operation of its own.

use super::norms::Stream;
use super::{Decoder, Layer, Mlp, ScanWeights, StepWeights};
use crate::Result;
use crate::model::config::{LayerKind, TimeSteps, delta_width};
use crate::ops::{
    Activate, Activation, CausalConvolve, Convolve, DeltaRule, Epilogue, Function, Norm, NormKind, Recording, RmsNorm,
    RopeAppend, RopeAttention, ScanHeads, SelectiveScan, Sparsify,
};
use crate::record::{KvCache, Tensor};

impl Decoder {
    /// a.attn = the attention of layer `i` over norm(x), whose keys and values are appended to
    /// `kv`, unless they are another layer's; before the output projection. Returns a.attn.
    pub(super) fn record_attention(&self, r: &mut Recording, i: usize, kv: KvCache, s: &mut Stream) -> Result<Tensor> {
        self.settle(r, s)?;
        let a = &s.a;
        let (layer, attention) = (&self.layers[i], self.attention(i, kv, a));
        let (angles, heads, kind) = (a.angles[layer.rope], self.config.heads, self.config.rope_kind());
        let (qkv, attn) = self.qkv(i, a);
        let behind = layer.qk_norms.iter().find_map(|norm| norm.behind);
        let rope = RopeAppend { qkv, angles, kv, heads, kind, behind };
        let (x, norm) = self.normed(r, layer.attn_norms.input, a)?;
        layer.qkv_proj.linear(r, x, norm, Epilogue::Store, qkv)?;
        let mut norms: Vec<Norm> = layer.qk_norms.iter().map(|norm| self.head_norm(*norm, qkv)).collect();
        if self.config.kv_layers[i] < i {
            norms.into_iter().try_for_each(|norm| r.push(norm))?;
            r.push(RopeAppend { kv: KvCache { heads: 0, parts: 1, ..kv }, ..rope })?;
            r.push(attention)?;
            return Ok(attn);
        }
        let norm = norms.pop_if(|norm| RopeAttention::takes(norm, &rope));
        norms.into_iter().try_for_each(|norm| r.push(norm))?;
        r.push(RopeAttention { norm, rope, attention })?;
        if let (Some(gate_proj), Some(convolved)) = (&layer.gate_proj, a.convolved) {
            let gates = Tensor { cols: attn.cols, ..convolved };
            let (x, norm) = self.normed(r, layer.attn_norms.input, a)?;
            gate_proj.linear(r, x, norm, Epilogue::Store, gates)?;
            let activation = Activation { function: Function::Sigmoid, gated: false };
            r.push(Activate { activation, multiplies: true, x: gates, y: attn, up: None })?;
        }
        Ok(attn)
    }

    /// The same of a convolution over norm(x), whose last inputs are kept in `state`.
    pub(super) fn record_convolution(
        &self,
        r: &mut Recording,
        layer: &Layer,
        weight: Tensor,
        state: KvCache,
        s: &mut Stream,
    ) -> Result<Tensor> {
        self.settle(r, s)?;
        let (a, hidden) = (&s.a, self.config.hidden);
        // buffers with room for either
        let (gates, y) = (Tensor { cols: 3 * hidden, ..a.qkv }, Tensor { cols: hidden, ..a.attn });
        let (x, norm) = self.normed(r, layer.attn_norms.input, a)?;
        layer.qkv_proj.linear(r, x, norm, Epilogue::Store, gates)?;
        r.push(Convolve { x: gates, weight, state, y })?;
        Ok(y)
    }

    /// The same of linear attention over norm(x).
    pub(super) fn record_delta(
        &self,
        r: &mut Recording,
        i: usize,
        (weight, weights): (Tensor, Tensor),
        state: KvCache,
        s: &mut Stream,
    ) -> Result<Tensor> {
        self.settle(r, s)?;
        let (a, layer) = (&s.a, &self.layers[i]);
        let (Some(convolved), Some(heads)) = (a.convolved, self.config.delta_heads()) else { return Ok(a.attn) };
        // buffers with room for either
        let gates = Tensor { cols: delta_width(&heads), ..a.qkv };
        let (qkv, y) = (Tensor { cols: heads.qkv(), ..convolved }, Tensor { cols: heads.values(), ..a.attn });
        let (x, norm) = self.normed(r, layer.attn_norms.input, a)?;
        layer.qkv_proj.linear(r, x, norm, Epilogue::Store, gates)?;
        let convolve =
            CausalConvolve { x: gates, first_col: 0, weight, biased: false, state, first: 0, shift: None, y: qkv };
        let first = convolve.kept();
        r.push(convolve)?;
        r.push(DeltaRule { qkv, gates, weights, state, first, heads, eps: self.config.norm_eps, y })?;
        Ok(y)
    }

    /// The same of a selective scan over norm(x). Returns also the norm of what it gives, if the
    /// output projection is to apply that.
    pub(super) fn record_scan(
        &self,
        r: &mut Recording,
        i: usize,
        (weight, scan): (Tensor, &ScanWeights),
        state: KvCache,
        s: &mut Stream,
    ) -> Result<(Tensor, Option<RmsNorm>)> {
        self.settle(r, s)?;
        let (a, layer) = (&s.a, &self.layers[i]);
        let (Some(convolved), LayerKind::Scan { heads, low_rank, .. }) = (a.convolved, self.config.kinds[i]) else {
            return Ok((a.attn, None));
        };
        let &ScanWeights { weights, norm: own, biased, ref steps } = scan;
        // buffers with room for either
        let gates = Tensor { cols: heads.projected(), ..a.qkv };
        let (xbc, y) = (Tensor { cols: heads.xbc(), ..convolved }, Tensor { cols: heads.inner(), ..a.attn });
        let (x, norm) = self.normed(r, layer.attn_norms.input, a)?;
        layer.qkv_proj.linear(r, x, norm, Epilogue::Store, gates)?;
        let first_col = if heads.columns { 0 } else { heads.inner() };
        let convolve = CausalConvolve { x: gates, first_col, weight, biased, state, first: 0, shift: None, y: xbc };
        let first = convolve.kept();
        r.push(convolve)?;
        if let (Some(steps), Some(of)) = (steps, low_rank) {
            self.record_time_steps(r, (heads, of), steps, (xbc, gates, y))?;
        }
        r.push(SelectiveScan { xbc, gates, weights, state, first, heads, y })?;
        let (Some(own), eps) = (own, self.config.norm_eps) else { return Ok((y, None)) };
        if heads.groups == 1 {
            return Ok((y, Some(RmsNorm { weight: own, eps })));
        }
        let (kind, groups) = (NormKind::Rms, heads.groups);
        r.push(Norm { x: y, first_col: 0, groups, weight: own, bias: None, kind, eps, add: None, scale: None, y })?;
        Ok((y, None))
    }

    /// What a scan of columns reads behind z in `gates`: Δ before softplus, B and C of `x`. `room`
    /// is free until the scan.
    fn record_time_steps(
        &self,
        r: &mut Recording,
        (heads, of): (ScanHeads, TimeSteps),
        steps: &StepWeights,
        (x, gates, room): (Tensor, Tensor, Tensor),
    ) -> Result<()> {
        let (inner, eps) = (heads.inner(), self.config.step_eps);
        let low = Tensor { cols: of.padded(), ..room };
        steps.low.linear(r, x, None, Epilogue::Store, low)?;
        steps.bc.linear_from(r, x, None, 3 * inner, gates)?;
        let norm = steps.norms.map(|[weight, _]| RmsNorm { weight, eps: eps * of.share() });
        steps.dt.linear_from(r, low, norm, 2 * inner, gates)?;
        let Some([_, weight]) = steps.norms else { return Ok(()) };
        let kind = NormKind::Rms;
        let y = gates;
        r.push(Norm { x: y, first_col: 3 * inner, groups: 2, weight, bias: None, kind, eps, add: None, scale: None, y })
    }

    /// ffn = activation(gate(norm(x))) · up(norm(x)), or activation(up(norm(x)))
    pub(super) fn record_mlp(
        &self,
        r: &mut Recording,
        mlp: &Mlp,
        x: Tensor,
        norm: Option<RmsNorm>,
        gate_up: Tensor,
        ffn: Tensor,
    ) -> Result<()> {
        let activation = self.config.activation();
        if mlp.is_fused() {
            return mlp.gate_up_proj.linear(r, x, norm, Epilogue::Activate(activation), ffn);
        }
        mlp.gate_up_proj.linear(r, x, norm, Epilogue::Store, gate_up)?;
        if let Some(deviations) = mlp.deviations {
            r.push(Sparsify { cols: ffn.cols, deviations, y: gate_up })?;
        }
        r.push(Activate { activation, multiplies: false, x: gate_up, y: ffn, up: None })
    }
}
