//! Mixture of experts (Shazeer et al. 2017, arXiv 1701.06538): a router chooses some experts for
//! each token, and the output is the sum of theirs, weighted by the router.

use super::activations::MixtureActivations;
use super::norms::Stream;
use super::{Activations, BlockNorms, Decoder, Mlp};
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
    /// The shared expert, which every token uses.
    pub shared: Option<Mlp>,
}

impl Decoder {
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
        let MixtureActivations { logits, deep, route, gathered, outputs, shared: shared_activations } = activations;
        let Experts { chosen, weighting, .. } = *experts;
        match &mixture.deep_router {
            None => mixture.router.linear(r, x, norm, Epilogue::Store, logits)?,
            Some(deep_router) => {
                let tanh = Epilogue::Cap { scale: 1.0, cap: Some(1.0) };
                mixture.router.linear(r, x, norm, tanh, deep)?;
                deep_router.linear(r, deep, None, Epilogue::Store, logits)?;
            }
        }
        let (bias, shared) = (mixture.bias, mixture.shared.is_some());
        r.push(Route { logits, bias, chosen, weighting, shared, y: route })?;
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
            shared.down_proj.linear_from(r, ffn, chosen * self.config.hidden, outputs)?;
        }
        Ok(())
    }

    /// x += the sum of the experts' outputs, weighted by the router
    pub(super) fn add_experts(&self, r: &mut Recording, norms: &BlockNorms, s: &mut Stream) -> Result<()> {
        let (Some(experts), Some(MixtureActivations { route, outputs, .. })) = (&self.config.experts, s.a.mixture)
        else {
            return Ok(());
        };
        self.settle(r, s)?;
        let (accumulate, scale, y) = self.target(norms, &s.a);
        r.push(Combine { x: outputs, route, chosen: experts.chosen, scale: scale * experts.scale, accumulate, y })?;
        self.record_norms_behind(r, norms, s)
    }
}
