//! A transformer encoder (Devlin et al. 2019, arXiv 1810.04805): attention is bidirectional, and
//! all tokens of a text are processed at once. Its layers are those of [`Decoder`], which an
//! encoder's row of the table lets see all positions. Here are the heads that read its output.

use super::decoder::{Activations, Decoder, NormWeights};
use super::encoder_config::EncoderConfig;
use super::tower::Tower;
use super::weights::Weight;
use crate::Result;
use crate::ops::{Activation, Epilogue, Norm, Recording};
use crate::record::{KvCache, Tensor};

/// Sequence classification head, which reads the first token's row or the mean of all.
#[derive(Clone, Debug)]
pub struct Classifier {
    /// (hidden, hidden), followed by the pooler's activation.
    pub pooler: Weight,
    /// Norm behind it.
    pub norm: Option<NormWeights>,
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
    /// Embeddings, layers and the last norm.
    pub trunk: Decoder,
    /// Hyperparameters that only encoders have.
    pub encoder_config: EncoderConfig,
    /// Two projections of a text's vector, (inner, hidden) and (outputs, inner).
    pub dense: Option<[Weight; 2]>,
    /// The head for texts and pairs of texts.
    pub classifier: Option<Classifier>,
    /// (labels, hidden): the head for each token.
    pub token_classifier: Option<Weight>,
    /// The head for masked tokens.
    pub masked: Option<MaskedHead>,
    /// What reads pictures and what turns rows of the layers into a decoder's.
    pub tower: Option<Tower>,
}

impl Encoder {
    /// Records token ids → what the last layer says of each, in `a.x`. `kv`: keys and values of the
    /// text, of one layer after the other.
    pub fn record_layers(&self, r: &mut Recording, kv: KvCache, a: &Activations) -> Result<()> {
        self.trunk.record_embedding(r, a)?;
        (0..self.trunk.layers.len()).try_for_each(|layer| self.record_layer(r, layer, kv, a))
    }

    /// One layer, behind the last one also the last norm: from `a.x` to `a.x`.
    pub fn record_layer(&self, r: &mut Recording, layer: usize, kv: KvCache, a: &Activations) -> Result<()> {
        self.trunk.record_layer(r, layer, kv, a)?;
        match self.trunk.norm.filter(|_| layer + 1 == self.trunk.layers.len()) {
            Some(norm) => self.record_norm(r, norm, a.x),
            None => Ok(()),
        }
    }

    /// x = norm(x)
    fn record_norm(&self, r: &mut Recording, NormWeights { weight, bias, .. }: NormWeights, x: Tensor) -> Result<()> {
        let (kind, eps) = (self.trunk.config.architecture.norm, self.trunk.config.norm_eps);
        r.push(Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, add: None, y: x, scale: None })
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
        if let Some(norm) = classifier.norm {
            self.record_norm(r, norm, pooled)?;
        }
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
        let activation = Activation { gated: false, ..self.trunk.config.activation() };
        head.transform.linear(r, row, None, Epilogue::Activate(activation), transformed)?;
        self.record_norm(r, head.norm, transformed)?;
        head.output.linear(r, transformed, None, Epilogue::Store, logits)
    }
}
