//! The recording of a transformer encoder (Devlin et al. 2019, arXiv 1810.04805): attention is
//! bidirectional, and all tokens of a text are processed at once. Also the heads that read its
//! output.

use super::config::Config;
use super::decoder::{NormWeights, activations};
use super::encoder_config::EncoderConfig;
use super::weights::Weight;
use crate::Result;
use crate::ops::{Attention, Epilogue, Index, Norm, Recording, RopeAppend};
use crate::record::{KvCache, Memory, Tensor};

/// Weights of one encoder layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// (3 hidden, hidden): q, k and v projection stacked.
    pub qkv_proj: Weight,
    /// (hidden, hidden)
    pub o_proj: Weight,
    /// Norm after attention and its residual sum.
    pub attn_norm: NormWeights,
    /// (ffn, hidden)
    pub up_proj: Weight,
    /// (hidden, ffn)
    pub down_proj: Weight,
    /// Norm after the feed-forward block and its residual sum.
    pub ffn_norm: NormWeights,
}

/// Sequence classification head, which reads the first token's row.
#[derive(Clone, Debug)]
pub struct Classifier {
    /// (hidden, hidden), followed by the pooler's activation.
    pub pooler: Weight,
    /// (labels, hidden)
    pub output: Weight,
}

/// Masked language modelling head.
#[derive(Clone, Debug)]
pub struct MaskedHead {
    /// (hidden, hidden), followed by the activation of the layers.
    pub transform: Weight,
    /// Norm after the transform.
    pub norm: NormWeights,
    /// (vocab, hidden); the embedding table itself if the file has no other.
    pub output: Weight,
}

/// An encoder in the memory of one engine.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Hyperparameters.
    pub config: Config,
    /// Hyperparameters that only encoders have.
    pub encoder_config: EncoderConfig,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Largest number of tokens in a text.
    pub context: usize,
    /// (vocab, hidden)
    pub embed_tokens: Weight,
    /// (trained context, hidden)
    pub embed_positions: Weight,
    /// (segments, hidden), if the model distinguishes two segments.
    pub embed_segments: Option<Weight>,
    /// Norm of the sum of the embeddings.
    pub embed_norm: NormWeights,
    /// One per encoder layer.
    pub layers: Vec<Layer>,
    /// The head for texts and pairs of texts.
    pub classifier: Option<Classifier>,
    /// (labels, hidden): the head for each token.
    pub token_classifier: Option<Weight>,
    /// The head for masked tokens.
    pub masked: Option<MaskedHead>,
}

/// Buffers for a text of up to `context` tokens, which all layers reuse.
#[derive(Clone, Copy, Debug)]
pub struct EncoderActivations {
    /// (tokens, hidden): the residual stream.
    pub x: Tensor,
    /// (tokens, 0): no RoPE
    angles: Tensor,
    /// (tokens, 3 hidden)
    qkv: Tensor,
    /// (tokens, hidden)
    attn: Tensor,
    /// (tokens, ffn)
    ffn: Tensor,
}

impl EncoderActivations {
    /// Buffers for the longest text.
    pub fn new(memory: &mut dyn Memory, model: &Encoder) -> Result<Self> {
        let config = &model.config;
        let mut tensor = |cols| activations(memory, model.context, cols);
        let (x, angles, qkv) = (tensor(config.hidden)?, tensor(0)?, tensor(config.qkv_width())?);
        Ok(Self { x, angles, qkv, attn: tensor(config.heads * config.head_dim)?, ffn: tensor(config.ffn)? })
    }
}

impl Encoder {
    /// Records token ids → what the last layer says of each, in `a.x`. `kv`: keys and values of the
    /// text, of one layer after the other.
    pub fn record_layers(&self, r: &mut Recording, kv: KvCache, a: &EncoderActivations) -> Result<()> {
        self.record_embedding(r, a)?;
        (0..self.layers.len()).try_for_each(|layer| self.record_layer(r, layer, kv, a))
    }

    /// Records token ids → residual stream before the first layer.
    pub fn record_embedding(&self, r: &mut Recording, a: &EncoderActivations) -> Result<()> {
        self.embed_tokens.embed(r, Index::Id, self.config.scales.embedding, a.x)?;
        self.embed_positions.embed(r, Index::Position, 1.0, a.x)?;
        if let Some(segments) = &self.embed_segments {
            segments.embed(r, Index::Segment, 1.0, a.x)?;
        }
        self.record_norm(r, self.embed_norm, a.x)
    }

    /// One encoder layer: x = norm(x + attention(x)); x = norm(x + feed_forward(x)).
    pub fn record_layer(&self, r: &mut Recording, i: usize, kv: KvCache, a: &EncoderActivations) -> Result<()> {
        let layer = &self.layers[i];
        let (qkv, angles, heads, kind) = (a.qkv, a.angles, self.config.heads, self.config.rope_kind());
        layer.qkv_proj.linear(r, a.x, None, Epilogue::Store, qkv)?;
        r.push(RopeAppend { qkv, angles, kv, heads, kind, behind: None })?;
        r.push(self.attention(kv, a))?;
        layer.o_proj.linear(r, a.attn, None, Epilogue::ACCUMULATE, a.x)?;
        self.record_norm(r, layer.attn_norm, a.x)?;
        layer.up_proj.linear(r, a.x, None, Epilogue::Activate(self.config.activation()), a.ffn)?;
        layer.down_proj.linear(r, a.ffn, None, Epilogue::ACCUMULATE, a.x)?;
        self.record_norm(r, layer.ffn_norm, a.x)
    }

    /// The attention of every layer, of the queries in a.qkv.
    pub fn attention(&self, kv: KvCache, a: &EncoderActivations) -> Attention {
        let (heads, scale) = (self.config.heads, self.config.scales.attention);
        let (cap, alibi, window, causal) = (None, None, None, false);
        let (sinks, temperature) = (None, None);
        Attention { q: a.qkv, kv, heads, scale, cap, alibi, window, causal, sinks, temperature, y: a.attn }
    }

    /// x = norm(x)
    fn record_norm(&self, r: &mut Recording, NormWeights { weight, bias }: NormWeights, x: Tensor) -> Result<()> {
        let (kind, eps) = (self.config.architecture.norm, self.config.norm_eps);
        r.push(Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, add: None, y: x })
    }

    /// Records the first row of `x` → `logits`, (1, labels). `pooled`, (1, hidden), holds the
    /// intermediate result.
    pub fn record_classifier(
        &self,
        r: &mut Recording,
        classifier: &Classifier,
        x: Tensor,
        pooled: Tensor,
        logits: Tensor,
    ) -> Result<()> {
        classifier.pooler.linear(r, x, None, self.encoder_config.pooler, pooled)?;
        classifier.output.linear(r, pooled, None, Epilogue::Store, logits)
    }

    /// Records a row of `a.x`, (1, hidden) → `logits`, (1, vocab). `transformed`, (1, hidden),
    /// holds the intermediate result.
    pub fn record_masked(
        &self,
        r: &mut Recording,
        head: &MaskedHead,
        row: Tensor,
        transformed: Tensor,
        logits: Tensor,
    ) -> Result<()> {
        head.transform.linear(r, row, None, Epilogue::Activate(self.config.activation()), transformed)?;
        self.record_norm(r, head.norm, transformed)?;
        head.output.linear(r, transformed, None, Epilogue::Store, logits)
    }
}
