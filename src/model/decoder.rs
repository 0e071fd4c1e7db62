//! The transformer: a decoder-only model (Vaswani et al. 2017, arXiv 1706.03762), as a recording. Its layer is that of Llama (Touvron
//! et al. 2023, arXiv 2302.13971); what other architectures do otherwise is in [`Config`] and in which weights are there.

use super::architecture::{Architecture, Norms};
use super::config::{Config, Experts};
use super::kv_cache::KvPool;
use super::weights::{ExpertWeight, Weight};
use crate::Result;
use crate::ops::{
    Activate, Activation, Attention, Combine, Epilogue, Index, Norm, NormKind, PickRows, Recording, RmsNorm,
    RopeAppend, Route,
};
use crate::record::{KvCache, Memory, Tensor};

/// Weights of one decoder layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Of the attention block.
    pub attn_norms: BlockNorms,
    /// (qkv_width, hidden): q, k and v projection stacked
    pub qkv_proj: Weight,
    /// Of q and k before they turn.
    pub qk_norms: Vec<HeadNorm>,
    /// (hidden, heads · head_dim)
    pub o_proj: Weight,
    /// Of the feed-forward block.
    pub ffn_norms: BlockNorms,
    /// The feed-forward block.
    pub feed_forward: FeedForward,
    /// (context, turning values of a head): cos and sin of every position
    pub rope_table: Tensor,
}

/// Weights of a feed-forward block.
#[derive(Clone, Debug)]
pub enum FeedForward {
    /// Every token uses all of it.
    Dense(Mlp),
    /// A token uses some experts.
    Experts(Box<MixtureWeights>),
}

/// Two projections with an activation in between.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// (2 ffn, hidden): gate and up projection stacked; or (ffn, hidden)
    pub gate_up_proj: Weight,
    /// (hidden, ffn)
    pub down_proj: Weight,
}

/// Weights of a mixture of experts.
#[derive(Clone, Debug)]
pub struct MixtureWeights {
    /// (experts, hidden), and a row more where there is a shared expert: the logit of its weight
    pub router: Weight,
    /// (experts, experts): after the router and tanh, in LLaMA-MoE
    pub deep_router: Option<Weight>,
    /// (experts · ffn, hidden)
    pub gate_proj: ExpertWeight,
    /// (experts · ffn, hidden)
    pub up_proj: ExpertWeight,
    /// (experts · hidden, ffn)
    pub down_proj: ExpertWeight,
    /// The expert that every token goes to.
    pub shared: Option<Mlp>,
}

/// The norms of a block, of which no architecture has all.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockNorms {
    /// Of what it reads.
    pub input: Option<NormWeights>,
    /// Of what it adds to the residual stream.
    pub output: Option<NormWeights>,
    /// Of the sum.
    pub sum: Option<NormWeights>,
}

/// Weights of a norm of the residual stream.
#[derive(Clone, Copy, Debug)]
pub struct NormWeights {
    /// (1, hidden)
    pub weight: Tensor,
    /// (1, hidden)
    pub bias: Option<Tensor>,
}

/// A norm of some columns of q, k and v.
#[derive(Clone, Copy, Debug)]
pub struct HeadNorm {
    /// First of the columns.
    pub first_col: usize,
    /// What is normalised on its own.
    pub groups: usize,
    /// (1, columns)
    pub weight: Tensor,
}

/// A decoder-only transformer in the memory of one engine.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Hyperparameters.
    pub config: Config,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// The most positions of a sequence.
    pub context: usize,
    /// (vocab, hidden)
    pub embed_tokens: Weight,
    /// (trained context, hidden): learned positions, where the model has them
    pub embed_positions: Option<Weight>,
    /// Of the embeddings, where the model has one.
    pub embed_norm: Option<NormWeights>,
    /// One a decoder layer.
    pub layers: Vec<Layer>,
    /// After the last layer.
    pub norm: Option<NormWeights>,
    /// (vocab, hidden); the embedding table itself where the file has no separate output
    pub lm_head: Weight,
}

/// Activations of up to `tokens` tokens; every layer reuses them.
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// (tokens, hidden): the residual stream
    x: Tensor,
    /// (tokens, hidden): what a norm or a block leaves where that is an operation of its own
    branch: Tensor,
    /// (tokens, qkv_width)
    qkv: Tensor,
    /// (tokens, heads · head_dim)
    attn: Tensor,
    /// (tokens, 2 ffn): only used where gate and up have no common matrix; 2 ffn for each expert of a token
    gate_up: Tensor,
    /// (tokens, ffn), or ffn for each expert of a token
    ffn: Tensor,
    mixture: Option<MixtureScratch>,
}

/// What a mixture of experts needs besides.
#[derive(Clone, Copy, Debug)]
struct MixtureScratch {
    /// (tokens, experts), and one column more where there is a shared one
    logits: Tensor,
    /// The same, between the two matrices of a router that has them.
    deep: Tensor,
    /// (tokens, …): see [`Route`]
    route: Tensor,
    /// (tokens, 2 shared ffn), (tokens, shared ffn): of the shared expert
    shared: Option<(Tensor, Tensor)>,
    /// (tokens, slots · hidden): the answers
    answers: Tensor,
}

impl Scratch {
    /// Buffers for `tokens` tokens.
    pub fn new(memory: &mut dyn Memory, model: &Decoder, tokens: usize) -> Result<Self> {
        let config = &model.config;
        let mut tensor = |cols| activations(memory, tokens, cols);
        let fused = model.layers.iter().all(|layer| match &layer.feed_forward {
            FeedForward::Dense(mlp) => mlp.gate_up_proj.parts.len() == 1,
            FeedForward::Experts(_) => false,
        });
        let inputs = config.activation().inputs();
        let ffn = config.experts.as_ref().map_or(1, |experts| experts.chosen) * config.ffn;
        let mixture = match &config.experts {
            None => None,
            Some(experts) => {
                let shared = usize::from(experts.shared_ffn.is_some());
                Some(MixtureScratch {
                    logits: tensor(experts.count + shared)?,
                    deep: tensor(if config.architecture.deep_router { experts.count } else { 4 })?,
                    route: tensor(2 * experts.chosen + shared)?,
                    shared: match experts.shared_ffn {
                        Some(ffn) => Some((tensor(inputs * ffn)?, tensor(ffn)?)),
                        None => None,
                    },
                    answers: tensor((experts.chosen + shared) * config.hidden)?,
                })
            }
        };
        Ok(Self {
            x: tensor(config.hidden)?,
            branch: tensor(if model.needs_branch() { config.hidden } else { 4 })?,
            qkv: tensor(config.qkv_width())?,
            attn: tensor(config.heads * config.head_dim)?,
            gate_up: tensor(if fused { inputs } else { inputs * ffn })?,
            ffn: tensor(ffn)?,
            mixture,
        })
    }

    /// The same buffers with room for fewer tokens.
    pub fn first(self, tokens: usize) -> Self {
        let cut = |tensor: Tensor| Tensor { rows: tokens, ..tensor };
        Self {
            x: cut(self.x),
            branch: cut(self.branch),
            qkv: cut(self.qkv),
            attn: cut(self.attn),
            gate_up: cut(self.gate_up),
            ffn: cut(self.ffn),
            mixture: self.mixture.map(|mixture| MixtureScratch {
                logits: cut(mixture.logits),
                deep: cut(mixture.deep),
                route: cut(mixture.route),
                shared: mixture.shared.map(|(gate_up, ffn)| (cut(gate_up), cut(ffn))),
                answers: cut(mixture.answers),
            }),
        }
    }
}

/// A buffer for activations of `tokens` tokens.
pub fn activations(memory: &mut dyn Memory, tokens: usize, cols: usize) -> Result<Tensor> {
    let buffer = memory.create_values("activations", tokens * cols)?;
    Ok(Tensor { buffer, rows: tokens, cols })
}

impl Decoder {
    /// Records token ids → residual stream after the last layer, in `s.x`.
    pub fn record_layers(&self, r: &mut Recording, kv: &KvPool, s: &Scratch) -> Result<()> {
        self.embed_tokens.embed(r, Index::Id, self.config.scales.embedding, s.x)?;
        if let Some(positions) = &self.embed_positions {
            positions.embed(r, Index::Position, 1.0, s.x)?;
        }
        if let Some(norm) = self.embed_norm {
            r.push(self.norm_op(norm, s.x, false, s.x))?;
        }
        self.layers.iter().enumerate().try_for_each(|(i, layer)| self.record_layer(r, (i, layer), kv.layer(i), s))
    }

    /// One decoder layer: x += attention(norm(x)); x += feed_forward(norm(x)). In parallel: both of the same x.
    fn record_layer(&self, r: &mut Recording, (i, layer): (usize, &Layer), kv: KvCache, s: &Scratch) -> Result<()> {
        self.record_attention(r, (i, layer), kv, s)?;
        let add_attention = |r: &mut Recording| self.add(r, &layer.o_proj, s.attn, &layer.attn_norms, s);
        if !self.config.parallel {
            add_attention(r)?;
        }
        let (x, norm) = self.normed(r, layer.ffn_norms.input, s)?;
        match &layer.feed_forward {
            FeedForward::Dense(mlp) => self.record_mlp(r, mlp, x, norm, s.gate_up, s.ffn)?,
            FeedForward::Experts(mixture) => self.record_experts(r, mixture, x, norm, s)?,
        }
        if self.config.parallel {
            add_attention(r)?;
        }
        match &layer.feed_forward {
            FeedForward::Dense(mlp) => self.add(r, &mlp.down_proj, s.ffn, &layer.ffn_norms, s),
            FeedForward::Experts(_) => self.add_answers(r, &layer.ffn_norms, s),
        }
    }

    /// s.attn = attention(norm(x)) before the output projection
    fn record_attention(&self, r: &mut Recording, (i, layer): (usize, &Layer), kv: KvCache, s: &Scratch) -> Result<()> {
        let (qkv, table, heads, kind) = (s.qkv, layer.rope_table, self.config.heads, self.config.rope_kind());
        let rope = RopeAppend { qkv, table, kv, heads, kind };
        let (x, norm) = self.normed(r, layer.attn_norms.input, s)?;
        if layer.qkv_proj.parts.len() == 1 && layer.qk_norms.is_empty() {
            layer.qkv_proj.linear(r, x, norm, Epilogue::RopeAppend(rope), qkv)?;
        } else {
            layer.qkv_proj.linear(r, x, norm, Epilogue::Store, qkv)?;
            for &HeadNorm { first_col, groups, weight } in &layer.qk_norms {
                let (kind, eps) = (self.config.architecture.norm, self.config.norm_eps);
                let (bias, accumulate) = (None, false);
                r.push(Norm { x: qkv, first_col, groups, weight, bias, kind, eps, accumulate, y: qkv })?;
            }
            r.push(rope)?;
        }
        r.push(Attention {
            q: qkv,
            kv,
            heads,
            scale: self.config.scales.attention,
            cap: self.config.scales.attention_cap,
            alibi: self.config.alibi,
            window: self.config.window_of(i),
            causal: true,
            y: s.attn,
        })
    }

    /// ffn = activation(norm(x) · projection) before the down projection
    fn record_mlp(
        &self,
        r: &mut Recording,
        mlp: &Mlp,
        x: Tensor,
        norm: Option<RmsNorm>,
        gate_up: Tensor,
        ffn: Tensor,
    ) -> Result<()> {
        let activation = self.config.activation();
        if mlp.gate_up_proj.parts.len() == 1 {
            return mlp.gate_up_proj.linear(r, x, norm, Epilogue::Activate(activation), ffn);
        }
        mlp.gate_up_proj.linear(r, x, norm, Epilogue::Store, gate_up)?;
        r.push(Activate { activation, x: gate_up, y: ffn })
    }

    /// answers = feed_forward(norm(x)) of each of a token's experts, the shared one last
    fn record_experts(
        &self,
        r: &mut Recording,
        mixture: &MixtureWeights,
        x: Tensor,
        norm: Option<RmsNorm>,
        s: &Scratch,
    ) -> Result<()> {
        let (Some(experts), Some(scratch)) = (&self.config.experts, s.mixture) else { return Ok(()) };
        let MixtureScratch { logits, route, answers, .. } = scratch;
        let Experts { chosen, weighting, .. } = *experts;
        let gated = Activation { gated: true, ..self.config.activation() };
        match &mixture.deep_router {
            None => mixture.router.linear(r, x, norm, Epilogue::Store, logits)?,
            Some(deep_router) => {
                let tanh = Epilogue::Cap { scale: 1.0, cap: Some(1.0) };
                mixture.router.linear(r, x, norm, tanh, scratch.deep)?;
                deep_router.linear(r, scratch.deep, None, Epilogue::Store, logits)?;
            }
        }
        r.push(Route { logits, chosen, weighting, shared: mixture.shared.is_some(), y: route })?;
        mixture.gate_proj.linear(r, x, norm, route, 0, s.gate_up)?;
        mixture.up_proj.linear(r, x, norm, route, chosen * self.config.ffn, s.gate_up)?;
        r.push(Activate { activation: gated, x: s.gate_up, y: s.ffn })?;
        mixture.down_proj.linear(r, s.ffn, None, route, 0, answers)?;
        if let (Some(shared), Some((gate_up, ffn))) = (&mixture.shared, scratch.shared) {
            self.record_mlp(r, shared, x, norm, gate_up, ffn)?;
            shared.down_proj.linear_from(r, ffn, chosen * self.config.hidden, answers)?;
        }
        Ok(())
    }

    /// x += the answers of the experts, by their weights
    fn add_answers(&self, r: &mut Recording, norms: &BlockNorms, s: &Scratch) -> Result<()> {
        let (Some(experts), Some(MixtureScratch { route, answers, .. })) = (&self.config.experts, s.mixture) else {
            return Ok(());
        };
        let (accumulate, scale, y) = self.target(norms, s);
        r.push(Combine { x: answers, route, chosen: experts.chosen, scale: scale * experts.scale, accumulate, y })?;
        self.finish_block(r, norms, s)
    }

    /// x += weight · block
    fn add(&self, r: &mut Recording, weight: &Weight, block: Tensor, norms: &BlockNorms, s: &Scratch) -> Result<()> {
        let (accumulate, scale, y) = self.target(norms, s);
        let epilogue = if accumulate { Epilogue::Accumulate { scale } } else { Epilogue::Store };
        weight.linear(r, block, None, epilogue, y)?;
        self.finish_block(r, norms, s)
    }

    /// Where a block's output goes, whether it is added there, and by which factor: into the residual stream, unless it is normalised before.
    fn target(&self, norms: &BlockNorms, s: &Scratch) -> (bool, f32, Tensor) {
        match norms.output {
            None => (true, self.config.scales.residual, s.x),
            Some(_) => (false, 1.0, s.branch),
        }
    }

    /// The norms of what a block has added.
    fn finish_block(&self, r: &mut Recording, norms: &BlockNorms, s: &Scratch) -> Result<()> {
        if let Some(norm) = norms.output {
            r.push(self.norm_op(norm, s.branch, true, s.x))?;
        }
        match norms.sum {
            Some(norm) => r.push(self.norm_op(norm, s.x, false, s.x)),
            None => Ok(()),
        }
    }

    /// norm(x): the prologue of a projection of x where it can be that, else computed beforehand.
    fn normed(&self, r: &mut Recording, norm: Option<NormWeights>, s: &Scratch) -> Result<(Tensor, Option<RmsNorm>)> {
        let Some(norm) = norm else { return Ok((s.x, None)) };
        if self.config.architecture.norm == NormKind::Rms {
            return Ok((s.x, Some(RmsNorm { weight: norm.weight, eps: self.config.norm_eps })));
        }
        r.push(self.norm_op(norm, s.x, false, s.branch))?;
        Ok((s.branch, None))
    }

    fn norm_op(&self, NormWeights { weight, bias }: NormWeights, x: Tensor, accumulate: bool, y: Tensor) -> Norm {
        let (kind, eps) = (self.config.architecture.norm, self.config.norm_eps);
        Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, accumulate, y }
    }

    fn needs_branch(&self) -> bool {
        let Architecture { norm, norms, .. } = self.config.architecture;
        *norm == NormKind::Layer || matches!(norms, Norms::Around(_))
    }

    /// Records residual stream → logits of every token, (tokens, vocab).
    pub fn record_logits(&self, r: &mut Recording, s: &Scratch, logits: Tensor) -> Result<()> {
        let scales = &self.config.scales;
        let epilogue = match (scales.logits, scales.logits_cap) {
            (1.0, None) => Epilogue::Store,
            (scale, cap) => Epilogue::Cap { scale, cap },
        };
        let (x, norm) = self.normed(r, self.norm, s)?;
        self.lm_head.linear(r, x, norm, epilogue, logits)
    }

    /// Records residual stream → what the last norm, if there is one, makes of the last token, `y`, (1, hidden).
    pub fn record_hidden(&self, r: &mut Recording, s: &Scratch, y: Tensor) -> Result<()> {
        r.push(PickRows { x: s.x, y })?;
        match self.norm {
            Some(norm) => r.push(self.norm_op(norm, y, false, y)),
            None => Ok(()),
        }
    }

    /// Records residual stream → logits of the last token, (1, vocab), by way of `last`, (1, hidden).
    pub fn record_last_logits(&self, r: &mut Recording, s: &Scratch, last: Tensor, logits: Tensor) -> Result<()> {
        r.push(PickRows { x: s.x, y: last })?;
        self.record_logits(r, &Scratch { x: last, ..s.first(1) }, logits)
    }
}
