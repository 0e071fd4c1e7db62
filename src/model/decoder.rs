//! The transformer: a decoder-only model of the Llama family (Touvron et al. 2023, arXiv 2302.13971), as a recording.

use super::config::Config;
use super::kv_cache::KvCache;
use super::weights::Weight;
use crate::Result;
use crate::ops::{Attention, Embed, Epilogue, LastRow, Recording, RmsNorm, RopeAppend, SwiGlu};
use crate::record::{Memory, Tensor};

/// Weights of one decoder layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// (1, hidden)
    pub attn_norm: Tensor,
    /// (qkv_width, hidden): q, k and v projection stacked
    pub qkv_proj: Weight,
    /// (hidden, heads · head_dim)
    pub o_proj: Weight,
    /// (1, hidden)
    pub ffn_norm: Tensor,
    /// (2 ffn, hidden): gate and up projection stacked
    pub gate_up_proj: Weight,
    /// (hidden, ffn)
    pub down_proj: Weight,
    /// Keys and values of past tokens.
    pub kv_cache: KvCache,
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
    /// One a decoder layer.
    pub layers: Vec<Layer>,
    /// (1, hidden)
    pub norm: Tensor,
    /// (vocab, hidden); the embedding table itself where the file has no separate output
    pub lm_head: Weight,
    /// (context, rope.dim): cos and sin of every position
    pub rope_table: Tensor,
}

/// Activations of up to `tokens` tokens; every layer reuses them.
#[derive(Clone, Copy, Debug)]
pub struct Scratch {
    /// (tokens, hidden): the residual stream
    x: Tensor,
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
        Ok(Self {
            x: tensor(config.hidden)?,
            qkv: tensor(config.qkv_width())?,
            attn: tensor(config.heads * config.head_dim)?,
            gate_up: tensor(if fused { 2 } else { 2 * config.ffn })?,
            ffn: tensor(config.ffn)?,
        })
    }

    /// The same buffers with room for fewer tokens.
    pub fn first(self, tokens: usize) -> Self {
        let cut = |tensor: Tensor| Tensor { rows: tokens, ..tensor };
        Self {
            x: cut(self.x),
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
        for part in &self.embed_tokens.parts {
            r.push(Embed { table: part.matrix, first_row: part.first_row, y: s.x })?;
        }
        self.layers.iter().try_for_each(|layer| self.record_layer(r, layer, s))
    }

    /// One decoder layer: x += attention(norm(x)); x += feed_forward(norm(x)).
    fn record_layer(&self, r: &mut Recording, layer: &Layer, s: &Scratch) -> Result<()> {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let KvCache { k: k_cache, v: v_cache } = layer.kv_cache;

        let (table, kind) = (self.rope_table, self.config.rope.kind);
        let rope = RopeAppend { qkv: s.qkv, table, k_cache, v_cache, heads, kv_heads, head_dim, kind };
        let attn_norm = self.rms_norm(layer.attn_norm);
        if layer.qkv_proj.parts.len() == 1 {
            layer.qkv_proj.linear(r, s.x, attn_norm, Epilogue::RopeAppend(rope), s.qkv)?;
        } else {
            layer.qkv_proj.linear(r, s.x, attn_norm, Epilogue::Store, s.qkv)?;
            r.push(rope)?;
        }
        let scale = 1.0 / (head_dim as f32).sqrt();
        let context = self.context;
        r.push(Attention { q: s.qkv, k_cache, v_cache, context, heads, kv_heads, head_dim, scale, y: s.attn })?;
        layer.o_proj.linear(r, s.attn, None, Epilogue::Accumulate, s.x)?;

        let ffn_norm = self.rms_norm(layer.ffn_norm);
        if layer.gate_up_proj.parts.len() == 1 {
            layer.gate_up_proj.linear(r, s.x, ffn_norm, Epilogue::SwiGlu, s.ffn)?;
        } else {
            layer.gate_up_proj.linear(r, s.x, ffn_norm, Epilogue::Store, s.gate_up)?;
            r.push(SwiGlu { gate_up: s.gate_up, y: s.ffn })?;
        }
        layer.down_proj.linear(r, s.ffn, None, Epilogue::Accumulate, s.x)
    }

    /// Records residual stream → logits of every token, (tokens, vocab).
    pub fn record_logits(&self, r: &mut Recording, s: &Scratch, logits: Tensor) -> Result<()> {
        self.lm_head.linear(r, s.x, self.rms_norm(self.norm), Epilogue::Store, logits)
    }

    /// Records residual stream → logits of the last token, (1, vocab), by way of `last`, (1, hidden).
    pub fn record_last_logits(&self, r: &mut Recording, s: &Scratch, last: Tensor, logits: Tensor) -> Result<()> {
        r.push(LastRow { x: s.x, y: last })?;
        self.record_logits(r, &Scratch { x: last, ..s.first(1) }, logits)
    }

    fn rms_norm(&self, weight: Tensor) -> Option<RmsNorm> {
        Some(RmsNorm { weight, eps: self.config.rms_norm_eps })
    }
}
