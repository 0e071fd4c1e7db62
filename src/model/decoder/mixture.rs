//! Mixture of experts (Shazeer et al. 2017, arXiv 1701.06538): a router chooses some experts for
//! each token, and the output is the sum of theirs, weighted by the router.

use super::activations::MixtureActivations;
use super::norms::Stream;
use super::{Activations, BlockNorms, Decoder, Mlp, NormWeights};
use crate::Result;
use crate::model::config::Experts;
use crate::model::weights::{ExpertWeight, Weight};
use crate::ops::gather::TILE;
use crate::ops::{Activate, Combine, Epilogue, Gather, Recording, RmsNorm, Route};
use crate::record::Tensor;

/// Weights of a mixture of experts.
#[derive(Clone, Debug)]
pub struct MixtureWeights {
    /// (experts, hidden), with one more row if there is a shared expert: the logit of its weight.
    pub router: Weight,
    /// (experts, experts): a second matrix of the router, after a tanh, in LLaMA-MoE.
    pub deep_router: Option<Weight>,
    /// (1, experts): see [`Route::bias`].
    pub bias: Option<Tensor>,
    /// (experts · ffn, hidden), if the activation is gated.
    pub gate_proj: Option<ExpertWeight>,
    /// (experts · ffn, hidden)
    pub up_proj: ExpertWeight,
    /// (experts · hidden, ffn)
    pub down_proj: ExpertWeight,
    /// The shared expert, which every token uses. If the router does not weigh it, its output is
    /// added to the residual stream by itself.
    pub shared: Option<Mlp>,
    /// What every token uses beside the experts, and the norms of both.
    pub beside: Option<Beside>,
}

/// An ordinary feed-forward block beside experts, as in Gemma 4: each has norms of its own, and so
/// has the router, which reads the residual stream.
#[derive(Clone, Debug)]
pub struct Beside {
    /// (1, hidden): √hidden times the weights of the norm before the router.
    pub router_norm: Tensor,
    /// Norm before the experts.
    pub input: NormWeights,
    /// Norm of the sum of their outputs.
    pub output: NormWeights,
    /// The other block.
    pub mlp: Mlp,
    /// Norm of its output.
    pub mlp_output: NormWeights,
}

impl Decoder {
    /// a.mixture.route = the experts of norm(x). Returns the norm of what experts read.
    pub(super) fn record_router(
        &self,
        r: &mut Recording,
        mixture: &MixtureWeights,
        x: Tensor,
        norm: Option<RmsNorm>,
        a: &Activations,
    ) -> Result<Option<RmsNorm>> {
        let (Some(experts), Some(activations)) = (&self.config.experts, a.mixture) else { return Ok(norm) };
        let MixtureActivations { logits, deep, route, .. } = activations;
        let Experts { chosen, weighting, groups, .. } = *experts;
        let eps = self.config.norm_eps;
        let norm = match (&mixture.beside, &mixture.deep_router) {
            (Some(Beside { router_norm, input, .. }), _) => {
                let epilogue = Epilogue::Cap { scale: 1.0 / (self.config.hidden as f32).sqrt(), cap: None };
                mixture.router.linear(r, x, Some(RmsNorm { weight: *router_norm, eps }), epilogue, logits)?;
                Some(RmsNorm { weight: input.weight, eps })
            }
            (None, None) => {
                mixture.router.linear(r, x, norm, Epilogue::Store, logits)?;
                norm
            }
            (None, Some(deep_router)) => {
                let tanh = Epilogue::Cap { scale: 1.0, cap: Some(1.0) };
                mixture.router.linear(r, x, norm, tanh, deep)?;
                deep_router.linear(r, deep, None, Epilogue::Store, logits)?;
                norm
            }
        };
        let (bias, shared) = (mixture.bias, mixture.shared.is_some() && self.config.architecture.weighs_shared);
        r.push(Route { logits, bias, chosen, weighting, groups, shared, y: route })?;
        Ok(norm)
    }

    /// a.mixture.outputs = feed_forward(norm(x)) of each expert of a token, the shared expert last
    pub(super) fn record_experts(
        &self,
        r: &mut Recording,
        mixture: &MixtureWeights,
        x: Tensor,
        norm: Option<RmsNorm>,
        a: &Activations,
    ) -> Result<()> {
        let (Some(experts), Some(activations)) = (&self.config.experts, a.mixture) else { return Ok(()) };
        let MixtureActivations { route, gathered, outputs, shared: shared_activations, .. } = activations;
        let Experts { chosen, .. } = *experts;
        let norm = match self.config.architecture.routes_input {
            true => norm,
            false => self.record_router(r, mixture, x, norm, a)?,
        };
        let weighs_shared = self.config.architecture.weighs_shared;
        // with fewer tokens, hardly any share an expert
        let gathered = (x.rows >= TILE).then_some(gathered);
        if let Some(y) = gathered {
            r.push(Gather { route, chosen, experts: experts.count, y })?;
        }
        let route = (route, gathered);
        let mut first = 0;
        for proj in mixture.gate_proj.iter().chain([&mixture.up_proj]) {
            proj.linear(r, x, norm, route, first, a.gate_up)?;
            first += chosen * self.config.ffn;
        }
        r.push(Activate { activation: self.config.activation(), multiplies: false, x: a.gate_up, y: a.ffn, up: None })?;
        mixture.down_proj.linear(r, a.ffn, None, route, 0, outputs)?;
        if let (Some(shared), Some((gate_up, ffn))) = (&mixture.shared, shared_activations) {
            self.record_mlp(r, shared, x, norm, gate_up, ffn)?;
            if weighs_shared {
                shared.down_proj.linear_from(r, ffn, None, chosen * self.config.hidden, outputs)?;
            }
        }
        Ok(())
    }

    /// x += the sum of the experts' outputs, weighted by the router, and of what is beside them
    pub(super) fn add_experts(
        &self,
        r: &mut Recording,
        mixture: &MixtureWeights,
        norms: &BlockNorms,
        s: &mut Stream,
    ) -> Result<()> {
        let (Some(experts), Some(activations)) = (&self.config.experts, s.a.mixture) else { return Ok(()) };
        let MixtureActivations { route, outputs, shared, deep: sum, .. } = activations;
        self.settle(r, s)?;
        let (accumulate, scale, y) = self.target(norms, &s.a);
        r.push(Combine { x: outputs, route, chosen: experts.chosen, scale: scale * experts.scale, accumulate, y })?;
        if let (Some(mlp), Some((_, ffn)), false) = (&mixture.shared, shared, self.config.architecture.weighs_shared) {
            mlp.down_proj.linear(r, ffn, None, Epilogue::Accumulate { scale }, y)?;
        }
        if let Some(Beside { output, mlp, mlp_output, .. }) = &mixture.beside {
            r.push(self.norm_op(*output, y, None, sum))?;
            let (x, norm) = self.normed(r, norms.input, &s.a)?;
            let (ffn, inputs) = (self.config.dense_ffn, self.config.activation().inputs());
            let (gate_up, ffn) = (Tensor { cols: inputs * ffn, ..s.a.gate_up }, Tensor { cols: ffn, ..s.a.ffn });
            self.record_mlp(r, mlp, x, norm, gate_up, ffn)?;
            mlp.down_proj.linear(r, ffn, None, Epilogue::Store, y)?;
            r.push(self.norm_op(*mlp_output, y, Some(sum), sum))?;
            // the sum is the output of the block
            s.a.branch = sum;
            s.a.mixture = Some(MixtureActivations { deep: y, ..activations });
        }
        self.record_norms_behind(r, norms, s)
    }
}
