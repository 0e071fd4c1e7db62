//! Metadata of an encoder beyond [`Config`]: pooling and classifier.

use super::config::Config;
use super::keys::{Keys, unsupported};
use super::tower::TowerConfig;
use crate::format::metadata::Metadata;
use crate::ops::{Activation, Epilogue, Function};
use crate::{Error, Result};

/// How the vectors of a text's tokens become one: their mean, the first token's, or the last
/// token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Mean over all tokens (Reimers & Gurevych 2019, arXiv 1908.10084).
    Mean,
    /// The vector of the first token, `[CLS]` in BERT.
    Cls,
    /// The vector of the last token.
    Last,
}

/// The number of the kind of pooling that ranks, with a classifier.
pub(super) const RANK: usize = 4;

/// `classifier.output_labels`; a single `LABEL_0` if the file has none.
pub(super) fn labels(keys: &Keys) -> Result<Vec<String>> {
    let labels = keys.opt_strings("classifier.output_labels")?;
    Ok(labels.map_or_else(|| vec!["LABEL_0".into()], <[String]>::to_vec))
}

impl Pooling {
    /// Reads `pooling_type` in llama.cpp's numbering: 0 is none, 4 a classifier that ranks. An
    /// unknown number or type is an error for an encoder and ignored for a decoder.
    pub(super) fn read(keys: &Keys) -> Result<Option<Self>> {
        const KEY: &str = "pooling_type";
        let encoder = keys.architecture.encoder;
        let number = match keys.opt_count(KEY) {
            Err(_) if !encoder => None,
            number => number?,
        };
        Ok(match number {
            None | Some(0 | RANK) => None,
            Some(1) => Some(Self::Mean),
            Some(2) => Some(Self::Cls),
            Some(3) => Some(Self::Last),
            Some(_) if !encoder => None,
            Some(other) => return Err(unsupported(&keys.key(KEY), &other.to_string(), "0 to 4")),
        })
    }
}

/// How the output of an encoder is read.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// `classifier.output_labels`; a single `LABEL_0` if the file has none.
    pub labels: Vec<String>,
    /// Number of segment types; 2 for models that read pairs of texts.
    pub segments: usize,
    /// Outputs of the two projections behind pooling, if the model has them: `dense_2_feat_out`,
    /// `dense_3_feat_out`.
    pub dense: Option<[usize; 2]>,
    /// Whether the classifier reads the mean of all tokens, not the first: `classifier.pooling`
    /// (weft's own key).
    pub classifies_mean: bool,
    /// Activation between the two projections of the classifier: `classifier.activation` (weft's
    /// own key), by default tanh as in BERT.
    pub pooler: Epilogue,
    /// What a tower reads and gives, if this is one.
    pub tower: Option<TowerConfig>,
}

impl EncoderConfig {
    /// Reads the keys of an encoder; `None` for a decoder. Errors: `UnsupportedModel` for an
    /// unknown value.
    pub fn of(config: &Config, metadata: &Metadata) -> Result<Option<Self>> {
        let keys = Keys { metadata, architecture: config.architecture };
        let causal = !config.architecture.encoder;
        if let Some(found) = keys.opt_bool("attention.causal")?.filter(|&found| found != causal) {
            return Err(unsupported(&keys.key("attention.causal"), &found.to_string(), &causal.to_string()));
        }
        if causal {
            return Ok(None);
        }
        Ok(Some(Self { tower: TowerConfig::read(config, metadata)?, ..Self::read(&keys)? }))
    }

    fn read(keys: &Keys) -> Result<Self> {
        const SEGMENTS: &str = "tokenizer.ggml.token_type_count";
        // llama.cpp's saver writes 0 for an absent value
        let segments = keys.metadata.opt_u32(SEGMENTS)?.filter(|&segments| segments > 0).unwrap_or(2) as usize;
        if segments > 1024 {
            let (what, expected) = (SEGMENTS.into(), "1 to 1024".into());
            return Err(Error::InvalidModel { what, expected, got: segments.to_string() });
        }
        let dense = keys.opt_count("dense_2_feat_out")?.zip(keys.opt_count("dense_3_feat_out")?);
        Ok(Self {
            tower: None,
            dense: dense.map(|(inner, outputs)| [inner, outputs]),
            labels: labels(keys)?,
            segments,
            classifies_mean: match keys.opt_str("classifier.pooling")? {
                None => keys.architecture.classifies_mean,
                Some("mean") => true,
                Some("cls") => false,
                Some(found) => return Err(unsupported(&keys.key("classifier.pooling"), found, "mean, cls")),
            },
            pooler: match keys.opt_str("classifier.activation")? {
                None if keys.architecture.classifies_mean => {
                    Epilogue::Activate(Activation { function: Function::Gelu, gated: false })
                }
                None | Some("tanh") => Epilogue::Cap { scale: 1.0, cap: Some(1.0) },
                Some("relu") => Epilogue::Activate(Activation { function: Function::Relu, gated: false }),
                Some(found) => return Err(unsupported(&keys.key("classifier.activation"), found, "tanh, relu")),
            },
        })
    }
}
