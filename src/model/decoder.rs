//! The transformer: a decoder-only model (Vaswani et al. 2017, arXiv 1706.03762), as a recording. Its layer is that of Llama (Touvron
//! et al. 2023, arXiv 2302.13971); what other architectures do otherwise is in [`Config`] and in which weights are there.

use super::config::Config;
use super::kv_cache::KvCache;
use super::weights::Weight;
use crate::Result;
use crate::ops::{
    Activate, Attention, Embed, Epilogue, Index, LastRow, Norm, NormKind, Recording, RmsNorm, RopeAppend,
};
use crate::record::{Memory, Tensor};

/// Weights of one decoder layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Before the attention block.
    pub attn_norm: NormWeights,
    /// (qkv_width, hidden): q, k and v projection stacked
    pub qkv_proj: Weight,
    /// Of q and k before they turn.
    pub qk_norms: Vec<HeadNorm>,
    /// (hidden, heads · head_dim)
    pub o_proj: Weight,
    /// After the attention block.
    pub post_attn_norm: Option<NormWeights>,
    /// Before the feed-forward block; `None` where that reads what the attention block reads.
    pub ffn_norm: Option<NormWeights>,
    /// (2 ffn, hidden): gate and up projection stacked; or (ffn, hidden)
    pub gate_up_proj: Weight,
    /// (hidden, ffn)
    pub down_proj: Weight,
    /// After the feed-forward block.
    pub post_ffn_norm: Option<NormWeights>,
    /// Keys and values of past tokens.
    pub kv_cache: KvCache,
    /// (context, turning values of a head): cos and sin of every position
    pub rope_table: Tensor,
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
    /// Positions that the KV cache holds.
    pub context: usize,
    /// (vocab, hidden)
    pub embed_tokens: Weight,
    /// (trained context, hidden): learned positions, where the model has them
    pub embed_positions: Option<Weight>,
    /// One a decoder layer.
    pub layers: Vec<Layer>,
    /// After the last layer.
    pub norm: NormWeights,
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
    /// (tokens, 2 ffn): only used where gate and up have no common matrix
    gate_up: Tensor,
    /// (tokens, ffn)
    ffn: Tensor,
}

impl Scratch {
    /// Buffers for `tokens` tokens.
    pub fn new(memory: &mut dyn Memory, model: &Decoder, tokens: usize) -> Result<Self> {
        let config = &model.config;
        let mut tensor = |cols| activations(memory, tokens, cols);
        let fused = model.layers.iter().all(|layer| layer.gate_up_proj.parts.len() == 1);
        let inputs = config.activation().inputs();
        Ok(Self {
            x: tensor(config.hidden)?,
            branch: tensor(if model.needs_branch() { config.hidden } else { 4 })?,
            qkv: tensor(config.qkv_width())?,
            attn: tensor(config.heads * config.head_dim)?,
            gate_up: tensor(if fused { inputs } else { inputs * config.ffn })?,
            ffn: tensor(config.ffn)?,
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
    pub fn record_layers(&self, r: &mut Recording, s: &Scratch) -> Result<()> {
        let embed = |r: &mut Recording, weight: &Weight, index, scale| {
            let mut parts = weight.parts.iter();
            parts.try_for_each(|part| {
                r.push(Embed { table: part.matrix, first_row: part.first_row, index, scale, y: s.x })
            })
        };
        embed(r, &self.embed_tokens, Index::Id, self.config.scales.embedding)?;
        if let Some(positions) = &self.embed_positions {
            embed(r, positions, Index::Position, 1.0)?;
        }
        self.layers.iter().enumerate().try_for_each(|(i, layer)| self.record_layer(r, i, layer, s))
    }

    /// One decoder layer: x += attention(norm(x)); x += feed_forward(norm(x)). In parallel: both of the same x.
    fn record_layer(&self, r: &mut Recording, i: usize, layer: &Layer, s: &Scratch) -> Result<()> {
        self.record_attention(r, i, layer, s)?;
        if self.config.parallel {
            self.record_feed_forward(r, layer, s)?;
            self.add(r, &layer.o_proj, s.attn, layer.post_attn_norm, s)?;
        } else {
            self.add(r, &layer.o_proj, s.attn, layer.post_attn_norm, s)?;
            self.record_feed_forward(r, layer, s)?;
        }
        self.add(r, &layer.down_proj, s.ffn, layer.post_ffn_norm, s)
    }

    /// s.attn = attention(norm(x)) before the output projection
    fn record_attention(&self, r: &mut Recording, i: usize, layer: &Layer, s: &Scratch) -> Result<()> {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let KvCache { k: k_cache, v: v_cache } = layer.kv_cache;
        let (qkv, table, kind) = (s.qkv, layer.rope_table, self.config.rope_kind());
        let rope = RopeAppend { qkv, table, k_cache, v_cache, heads, kv_heads, head_dim, kind };
        let (x, norm) = self.normed(r, layer.attn_norm, s)?;
        if layer.qkv_proj.parts.len() == 1 && layer.qk_norms.is_empty() {
            layer.qkv_proj.linear(r, x, norm, Epilogue::RopeAppend(rope), qkv)?;
        } else {
            layer.qkv_proj.linear(r, x, norm, Epilogue::Store, qkv)?;
            for &HeadNorm { first_col, groups, weight } in &layer.qk_norms {
                let eps = self.config.norm_eps;
                let (kind, bias, accumulate) = (NormKind::Rms, None, false);
                r.push(Norm { x: qkv, first_col, groups, weight, bias, kind, eps, accumulate, y: qkv })?;
            }
            r.push(rope)?;
        }
        let (scale, cap) = (self.config.scales.attention, self.config.scales.attention_cap);
        let (context, window, q, y) = (self.context, self.config.window_of(i), qkv, s.attn);
        r.push(Attention { q, k_cache, v_cache, context, heads, kv_heads, head_dim, scale, cap, window, y })
    }

    /// s.ffn = activation(norm(x) · projection) before the down projection
    fn record_feed_forward(&self, r: &mut Recording, layer: &Layer, s: &Scratch) -> Result<()> {
        let activation = self.config.activation();
        let (x, norm) = self.normed(r, layer.ffn_norm.unwrap_or(layer.attn_norm), s)?;
        if layer.gate_up_proj.parts.len() == 1 {
            return layer.gate_up_proj.linear(r, x, norm, Epilogue::Activate(activation), s.ffn);
        }
        layer.gate_up_proj.linear(r, x, norm, Epilogue::Store, s.gate_up)?;
        r.push(Activate { activation, x: s.gate_up, y: s.ffn })
    }

    /// x += weight · block, by way of the norm after it where there is one
    fn add(
        &self,
        r: &mut Recording,
        weight: &Weight,
        block: Tensor,
        norm: Option<NormWeights>,
        s: &Scratch,
    ) -> Result<()> {
        match norm {
            None => weight.linear(r, block, None, Epilogue::Accumulate { scale: self.config.scales.residual }, s.x),
            Some(norm) => {
                weight.linear(r, block, None, Epilogue::Store, s.branch)?;
                r.push(self.norm_op(norm, s.branch, true, s.x))
            }
        }
    }

    /// norm(x): the prologue of a projection of x where it can be that, else computed beforehand.
    fn normed(&self, r: &mut Recording, norm: NormWeights, s: &Scratch) -> Result<(Tensor, Option<RmsNorm>)> {
        if self.is_prologue(norm) {
            return Ok((s.x, Some(RmsNorm { weight: norm.weight, eps: self.config.norm_eps })));
        }
        r.push(self.norm_op(norm, s.x, false, s.branch))?;
        Ok((s.branch, None))
    }

    fn norm_op(&self, NormWeights { weight, bias }: NormWeights, x: Tensor, accumulate: bool, y: Tensor) -> Norm {
        let (kind, eps) = (self.config.architecture.norm, self.config.norm_eps);
        Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, accumulate, y }
    }

    fn is_prologue(&self, norm: NormWeights) -> bool {
        self.config.architecture.norm == NormKind::Rms && norm.bias.is_none()
    }

    fn needs_branch(&self) -> bool {
        !self.is_prologue(self.norm) || self.config.architecture.post_norms
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

    /// Records residual stream → logits of the last token, (1, vocab), by way of `last`, (1, hidden).
    pub fn record_last_logits(&self, r: &mut Recording, s: &Scratch, last: Tensor, logits: Tensor) -> Result<()> {
        r.push(LastRow { x: s.x, y: last })?;
        self.record_logits(r, &Scratch { x: last, ..s.first(1) }, logits)
    }
}
