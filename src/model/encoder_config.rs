//! What the metadata of an encoder says beside the hyperparameters of [`Config`]: how its output is read.

use super::config::Config;
use crate::format::metadata::Metadata;
use crate::ops::{Activation, Epilogue, Function};
use crate::{Error, Result};

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean (Reimers & Gurevych 2019, arXiv 1908.10084).
    Mean,
    /// The first one, which many models train for it.
    Cls,
    /// The last one.
    Last,
}

impl Pooling {
    /// As llama.cpp numbers them: 0 is none, and 4 says that the model ranks, by its classifier.
    pub fn read(metadata: &Metadata, key: &str) -> Result<Option<Self>> {
        Ok(match metadata.opt_u32(key)? {
            None | Some(0 | 4) => None,
            Some(1) => Some(Self::Mean),
            Some(2) => Some(Self::Cls),
            Some(3) => Some(Self::Last),
            Some(other) => {
                let (found, known) = (other.to_string(), "0 to 4".into());
                return Err(Error::UnsupportedModel { what: key.into(), found, known });
            }
        })
    }
}

/// How an encoder's output is read.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// `classifier.output_labels`; one without a name where there are none.
    pub labels: Vec<String>,
    /// Kinds of segments: 2 where the model tells two texts apart.
    pub segments: usize,
    /// Between the two projections of the classifier: tanh as in BERT, or what `classifier.activation`, a key of weft's own, says.
    pub pooler: Epilogue,
}

impl EncoderConfig {
    /// Reads the keys of an encoder; `None` for other models. Errors: `UnsupportedModel` for a value that weft does not know.
    pub fn of(config: &Config, metadata: &Metadata) -> Result<Option<Self>> {
        let (causal, key) = (!config.architecture.encoder, format!("{}.attention.causal", config.architecture.name));
        if let Some(found) = metadata.opt_bool(&key)?.filter(|&found| found != causal) {
            return Err(Error::UnsupportedModel { what: key, found: found.to_string(), known: causal.to_string() });
        }
        if causal {
            return Ok(None);
        }
        Self::from_metadata(metadata, config.architecture.name).map(Some)
    }

    fn from_metadata(metadata: &Metadata, architecture: &str) -> Result<Self> {
        let key = |name: &str| format!("{architecture}.{name}");
        let invalid = |what: String, expected: &str, got: usize| {
            Err(Error::InvalidModel { what, expected: expected.into(), got: got.to_string() })
        };
        let labels = match metadata.opt_strings(&key("classifier.output_labels"))? {
            Some([]) => return invalid(key("classifier.output_labels"), "at least one label", 0),
            Some(labels) => labels.to_vec(),
            None => vec!["LABEL_0".into()],
        };
        let segments = metadata.opt_u32("tokenizer.ggml.token_type_count")?.unwrap_or(2) as usize;
        if !(1..=1024).contains(&segments) {
            return invalid("tokenizer.ggml.token_type_count".into(), "1 to 1024", segments);
        }
        Ok(Self {
            labels,
            segments,
            pooler: match metadata.opt_str(&key("classifier.activation"))? {
                None | Some("tanh") => Epilogue::Cap { scale: 1.0, cap: Some(1.0) },
                Some("relu") => Epilogue::Activate(Activation { function: Function::Relu, gated: false }),
                Some(found) => {
                    let what = key("classifier.activation");
                    return Err(Error::UnsupportedModel { what, found: found.into(), known: "tanh, relu".into() });
                }
            },
        })
    }
}
