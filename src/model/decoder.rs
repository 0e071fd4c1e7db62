//! The recording of a decoder-only transformer (Vaswani et al. 2017, arXiv 1706.03762). Its layer
//! is Llama's (Touvron et al. 2023, arXiv 2302.13971); other architectures differ by their
//! [`Config`] and by the weights in their files. In an encoder, a token sees all others. In the
//! place of attention a layer may have a convolution, linear attention, a selective scan or time
//! mixing: [`Config::kinds`].
//!
//! | file | contents |
//! |---|---|
//! | here | the layer: attention or convolution, and feed-forward block |
//! | `projections` | q, k and v; gate and up: fused with what follows where they are one matrix |
//! | `norms` | the norms of a layer |
//! | `cross` | attention to a source text |
//! | `latent` | attention over latent vectors |
//! | `mixture` | the mixture of experts |
//! | `per_layer` | inputs of layers beside the residual stream |
//! | `streams` | several residual streams |
//! | `wkv` | time mixing and token shifts |
//! | `activations` | buffers for intermediate results |
//! | `operations` | names of the recorded operations |

mod activations;
mod cross;
mod latent;
mod mixture;
mod norms;
mod operations;
mod per_layer;
mod projections;
mod streams;
mod wkv;

pub use activations::{Activations, activations};
pub use cross::CrossWeights;
pub use latent::LatentWeights;
pub use mixture::{Beside, MixtureWeights};
pub use norms::{BlockNorms, HeadNorm, NormWeights};
pub use per_layer::{PerLayerEmbedding, PerLayerWeights};
pub use streams::{StreamsEmbedding, StreamsWeights};
pub use wkv::WkvWeights;

use norms::Stream;

use super::config::Config;
use super::kv_cache::KvPool;
use super::rope::{Frequencies, Rope};
use super::weights::Weight;
use crate::Result;
use crate::ops::{Attention, Epilogue, Index, Part, PickRows, Recording, RmsNorm};
use crate::record::{KvCache, Tensor};

/// Weights of one decoder layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Norms of the attention block.
    pub attn_norms: BlockNorms,
    /// (qkv_width, hidden): q, k and v projection stacked. Where a convolution stands in the place
    /// of attention, (3 hidden, hidden): its two gates and its inputs. For linear attention q, k,
    /// v, z, b and a, see [`DeltaRule`](crate::ops::DeltaRule); for a scan z, x, B, C and dt, see
    /// [`SelectiveScan`](crate::ops::SelectiveScan); for
    /// time mixing that of its receptance alone.
    pub qkv_proj: Weight,
    /// QK-norm, applied before RoPE.
    pub qk_norms: Vec<HeadNorm>,
    /// (1, heads): see [`Attention::sinks`].
    pub sinks: Option<Tensor>,
    /// See [`Attention::bias`].
    pub distance_bias: Option<Tensor>,
    /// (heads · head_dim, hidden): the gates of what attention gives, if it has any.
    pub gate_proj: Option<Weight>,
    /// (1, columns · width): the weights of the convolution in the place of attention, or before
    /// linear attention or a scan; see [`CausalConvolve`](crate::ops::CausalConvolve).
    pub convolution: Option<Tensor>,
    /// See [`DeltaRule::weights`](crate::ops::DeltaRule::weights): of linear attention in the place
    /// of attention.
    pub delta: Option<Tensor>,
    /// Weights of a selective scan in the place of attention.
    pub scan: Option<ScanWeights>,
    /// Weights of attention over latent vectors.
    pub latent: Option<Box<LatentWeights>>,
    /// Weights of time mixing in the place of attention.
    pub wkv: Option<Box<WkvWeights>>,
    /// What it attends to a source text with, behind its own attention.
    pub cross: Option<Box<CrossWeights>>,
    /// (hidden, heads · head_dim), or (hidden, hidden) behind a convolution, or (hidden, heads ·
    /// value) behind attention over latent vectors
    pub o_proj: Weight,
    /// Norms of the feed-forward block.
    pub ffn_norms: BlockNorms,
    /// The feed-forward block.
    pub feed_forward: FeedForward,
    /// What follows the feed-forward block where layers have an input beside the residual stream.
    pub per_layer: Option<PerLayerWeights>,
    /// Of several residual streams, and of a residual beside attention.
    pub streams: Option<StreamsWeights>,
    /// Index of its RoPE in [`Decoder::ropes`].
    pub rope: usize,
}

/// Weights of a selective scan.
#[derive(Clone, Debug)]
pub struct ScanWeights {
    /// See [`SelectiveScan::weights`](crate::ops::SelectiveScan::weights).
    pub weights: Tensor,
    /// (1, width of all heads): the norm of what it gives, by groups; of columns none.
    pub norm: Option<Tensor>,
    /// Whether its convolution has biases.
    pub biased: bool,
    /// Of columns: what their Δ, B and C are made with.
    pub steps: Option<StepWeights>,
}

/// What a scan of columns projects again behind its convolution.
#[derive(Clone, Debug)]
pub struct StepWeights {
    /// (rank, columns): what the time steps are made of. Here and below, the rank is filled up to a
    /// multiple of 4 with 0.
    pub low: Weight,
    /// (columns, rank)
    pub dt: Weight,
    /// (2 · state_dim, columns): B and C.
    pub bc: Weight,
    /// Norms without weights of what time steps are made of, and of B and C.
    pub norms: Option<[Tensor; 2]>,
}

/// Weights of a feed-forward block.
#[derive(Clone, Debug)]
pub enum FeedForward {
    /// None: the layer ends with what stands in the place of attention.
    Absent,
    /// One MLP for all tokens.
    Dense(Mlp),
    /// A mixture of experts.
    Experts(Box<MixtureWeights>),
}

/// Two projections with an activation between them.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// (2 ffn, hidden): gate and up projection stacked; (ffn, hidden) without a gate.
    pub gate_up_proj: Weight,
    /// (hidden, ffn)
    pub down_proj: Weight,
    /// Where only the largest gates count, see [`Sparsify`](crate::ops::Sparsify).
    pub deviations: Option<f32>,
}

impl Mlp {
    /// Whether the activation is part of the projection before it.
    fn is_fused(&self) -> bool {
        let is_one = self.gate_up_proj.parts.len() == 1 && self.gate_up_proj.low_rank.is_empty();
        is_one && self.deviations.is_none()
    }
}

/// A decoder-only transformer in the memory of one engine.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Hyperparameters.
    pub config: Config,
    /// The encoder of a source text, if the layers attend to one.
    pub source: Option<Box<Decoder>>,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// The most positions of a sequence.
    pub context: usize,
    /// (vocab, hidden)
    pub embed_tokens: Weight,
    /// (trained context, hidden): learned position embeddings, if the model has them.
    pub embed_positions: Option<Weight>,
    /// (segments, hidden): of an encoder that tells the two texts of a pair apart.
    pub embed_segments: Option<Weight>,
    /// Norm of the embeddings, if the model has one.
    pub embed_norm: Option<NormWeights>,
    /// What makes the inputs of the layers beside the residual stream, if they have any.
    pub per_layer: Option<PerLayerEmbedding>,
    /// What makes several residual streams of embeddings, if the model has them.
    pub streams: Option<StreamsEmbedding>,
    /// One per decoder layer.
    pub layers: Vec<Layer>,
    /// The RoPEs of the layers, and their frequencies, which may lack the factors of a tensor that
    /// has not arrived.
    pub ropes: Vec<(Rope, Frequencies)>,
    /// Norm after the last layer.
    pub norm: Option<NormWeights>,
    /// (vocab, hidden); the embedding table itself if the file has no separate output matrix.
    pub lm_head: Weight,
    /// (labels, hidden): the head of a model that ranks texts, which reads the last token's
    /// output.
    pub ranking: Option<Weight>,
}

impl Decoder {
    /// Records token ids → residual stream after the last layer, in `a.x`.
    pub fn record_layers(&self, r: &mut Recording, kv: &KvPool, a: &Activations) -> Result<()> {
        r.commands.extend(self.stages(kv, a)?.into_iter().flat_map(|stage| stage.commands));
        Ok(())
    }

    /// The same as the embedding and each layer, which go on where the one before has ended: what a
    /// layer adds to the residual stream in the end, the next one may add with its first
    /// projection.
    pub fn stages(&self, kv: &KvPool, a: &Activations) -> Result<Vec<Recording>> {
        let mut stream = Stream::from(a.clone());
        if self.norms_outputs() {
            // a layer goes through both buffers, the first one through one, to end in a.x
            std::mem::swap(&mut stream.a.x, &mut stream.a.spare);
        }
        let mut embedding = Recording::default();
        self.record_embedding(&mut embedding, &stream.a)?;
        let mut stages = vec![embedding];
        for i in 0..self.layers.len() {
            let mut layer = Recording::default();
            self.record_blocks(&mut layer, i, kv.layer(i), &mut stream)?;
            stages.push(layer);
        }
        if let Some(last) = stages.last_mut() {
            self.settle_in(last, &mut stream, a.x)?;
        }
        Ok(stages)
    }

    /// Where the rows of the embedding table go: (tokens, hidden).
    pub fn embedded(&self, a: &Activations) -> Tensor {
        if self.norms_outputs() { a.spare } else { a.x }
    }

    /// Whether a row of the embedding table is all that the layers read of a token, so that other
    /// rows may stand in its place.
    pub fn takes_rows(&self) -> bool {
        let added = self.embed_positions.is_some() || self.embed_norm.is_some();
        !added && self.per_layer.is_none() && self.streams.is_none()
    }

    /// Records token ids → residual stream before the first layer.
    pub fn record_embedding(&self, r: &mut Recording, a: &Activations) -> Result<()> {
        self.embed_tokens.embed(r, Index::Id, self.config.scales.embedding, a.x)?;
        if let Some(positions) = &self.embed_positions {
            positions.embed(r, Index::Position, 1.0, a.x)?;
        }
        if let Some(segments) = &self.embed_segments {
            segments.embed(r, Index::Segment, 1.0, a.x)?;
        }
        if let Some(norm) = self.embed_norm {
            r.push(self.norm_op(norm, a.x, None, a.x))?;
        }
        self.record_latent_heads(r, a)?;
        self.record_per_layer_inputs(r, a)?;
        self.record_streams(r, a)
    }

    /// One decoder layer alone: from the residual stream in `a.x` to that in `a.x`.
    pub fn record_layer(&self, r: &mut Recording, i: usize, kv: KvCache, a: &Activations) -> Result<()> {
        let mut stream = Stream::from(a.clone());
        self.record_blocks(r, i, kv, &mut stream)?;
        self.settle_in(r, &mut stream, a.x)
    }

    /// The blocks of a layer: x += attention(norm(x)); x += feed_forward(norm(x)), with attention
    /// to a source text in between where there is one. If they are parallel: x +=
    /// attention(norm(x)) + feed_forward(norm(x)).
    fn record_blocks(&self, r: &mut Recording, i: usize, kv: KvCache, s: &mut Stream) -> Result<()> {
        let layer = &self.layers[i];
        self.predict(r, layer, s)?;
        // a buffer with room for either kind of feed-forward block
        let ffn = match &layer.feed_forward {
            FeedForward::Dense(_) => Tensor { cols: self.config.ffn_of(i), ..s.a.ffn },
            FeedForward::Experts(_) | FeedForward::Absent => s.a.ffn,
        };
        if let FeedForward::Experts(mixture) = &layer.feed_forward
            && self.config.architecture.routes_input
        {
            self.settle(r, s)?;
            self.record_router(r, mixture, s.a.x, None, &s.a)?;
        }
        let (attn, norm) = match (layer.convolution, layer.delta, &layer.scan) {
            (None, ..) if let Some(weights) = &layer.latent => {
                (self.record_latent_attention(r, i, weights, kv, s)?, None)
            }
            (None, ..) if let Some(weights) = &layer.wkv => (self.record_wkv(r, i, weights, kv, s)?, None),
            (None, ..) => (self.record_attention(r, i, kv, s)?, None),
            (Some(weight), None, None) => (self.record_convolution(r, layer, weight, kv, s)?, None),
            (Some(weight), Some(delta), _) => (self.record_delta(r, i, (weight, delta), kv, s)?, None),
            (Some(weight), None, Some(scan)) => self.record_scan(r, i, (weight, scan), kv, s)?,
        };
        self.add_laurel(r, layer, s)?;
        if !self.config.parallel {
            self.add(r, &layer.o_proj, (attn, norm), &layer.attn_norms, s)?;
        }
        if let Some(cross) = &layer.cross {
            self.record_cross(r, i, cross, kv, s)?;
        }
        self.record_feed_forward(r, layer, (kv, ffn), s)?;
        if self.config.parallel {
            self.add(r, &layer.o_proj, (attn, norm), &layer.attn_norms, s)?;
        }
        match &layer.feed_forward {
            FeedForward::Absent => Ok(()),
            FeedForward::Dense(mlp) => self.add(r, &mlp.down_proj, (ffn, None), &layer.ffn_norms, s),
            FeedForward::Experts(mixture) => self.add_experts(r, mixture, &layer.ffn_norms, s),
        }?;
        if self.streams.is_some() { self.correct(r, i, s) } else { self.add_per_layer_input(r, i, s) }
    }

    /// q, k and v of a layer in a.qkv, or q alone where it reads the keys and values of another;
    /// and its attention in a.attn. These have room for every layer.
    fn qkv(&self, i: usize, a: &Activations) -> (Tensor, Tensor) {
        let (heads, head_dim) = (self.config.heads, self.config.widths[i].head_dim);
        let cols = (heads + 2 * self.config.own_kv_heads(i)) * head_dim;
        (Tensor { cols, ..a.qkv }, Tensor { cols: heads * head_dim, ..a.attn })
    }

    /// The attention of a layer, of the queries in a.qkv; before the output projection.
    pub fn attention(&self, i: usize, kv: KvCache, a: &Activations) -> Attention {
        let (q, y) = self.qkv(i, a);
        Attention {
            q,
            kv,
            heads: self.config.heads,
            scale: self.config.scales.attention,
            cap: self.config.scales.attention_cap,
            alibi: self.config.alibi,
            window: self.config.window_of(i),
            causal: !self.config.architecture.encoder,
            part: if self.source.is_some() { Part::Target } else { Part::Whole },
            sinks: self.layers[i].sinks,
            bias: self.layers[i].distance_bias,
            temperature: self.config.temperature,
            y,
        }
    }

    /// a.ffn = feed_forward(norm(x)), before the down projection
    fn record_feed_forward(
        &self,
        r: &mut Recording,
        layer: &Layer,
        (kv, ffn): (KvCache, Tensor),
        s: &mut Stream,
    ) -> Result<()> {
        self.settle(r, s)?;
        let a = &s.a;
        let (x, norm) = self.normed(r, layer.ffn_norms.input, a)?;
        let x = match &layer.wkv {
            Some(weights) => self.record_channel_shift(r, weights, (x, kv), a)?,
            None => x,
        };
        match &layer.feed_forward {
            FeedForward::Absent => Ok(()),
            FeedForward::Dense(mlp) => {
                let inputs = self.config.activation().inputs();
                self.record_mlp(r, mlp, x, norm, Tensor { cols: inputs * ffn.cols, ..a.gate_up }, ffn)
            }
            FeedForward::Experts(mixture) => self.record_experts(r, mixture, x, norm, a),
        }
    }

    /// x += weight · norm(block)
    fn add(
        &self,
        r: &mut Recording,
        weight: &Weight,
        (block, norm): (Tensor, Option<RmsNorm>),
        norms: &BlockNorms,
        s: &mut Stream,
    ) -> Result<()> {
        self.settle(r, s)?;
        let (accumulate, scale, y) = self.target(norms, &s.a);
        let sub = norms.sub.map(|norm| RmsNorm { weight: norm.weight, eps: self.config.norm_eps });
        let norm = norm.or(sub);
        let epilogue = if accumulate { Epilogue::Accumulate { scale } } else { Epilogue::Store };
        weight.linear(r, block, norm, epilogue, y)?;
        self.record_norms_behind(r, norms, s)
    }

    /// Records residual stream → logits of every token, (tokens, vocab).
    pub fn record_logits(&self, r: &mut Recording, a: &Activations, logits: Tensor) -> Result<()> {
        let scales = &self.config.scales;
        let epilogue = match (scales.logits, scales.logits_cap) {
            (1.0, None) => Epilogue::Store,
            (scale, cap) => Epilogue::Cap { scale, cap },
        };
        let (x, norm) = self.normed(r, self.norm, a)?;
        self.lm_head.linear(r, x, norm, epilogue, logits)
    }

    /// Records residual stream → the wanted rows after the final norm, if there is one: `y`, (rows,
    /// hidden).
    pub fn record_hidden(&self, r: &mut Recording, a: &Activations, y: Tensor) -> Result<()> {
        r.push(PickRows { x: a.x, y })?;
        match self.norm {
            Some(norm) => r.push(self.norm_op(norm, y, None, y)),
            None => Ok(()),
        }
    }

    /// Records residual stream → logits of the last token, (1, vocab). `last`, (1, hidden), holds
    /// the intermediate result.
    pub fn record_last_logits(&self, r: &mut Recording, a: &Activations, last: Tensor, logits: Tensor) -> Result<()> {
        r.push(PickRows { x: a.x, y: last })?;
        self.record_logits(r, &Activations { x: last, ..a.first(1) }, logits)
    }
}
