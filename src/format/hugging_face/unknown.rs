//! A folder whose `model_type` weft does not know, as a header of GGUF: what is behind the reader
//! tells of it what it tells of a GGUF file with an unknown architecture.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::config::{Asked, Object, ParsedConfig, unsupported};
use super::names::{FAMILIES, Family, Target, target};
use crate::format::{BlockType, Header, Metadata, Sink, TensorInfo};
use crate::{Error, Result};

/// Parts of the names of settings that say nothing about what a model computes, that tensors say
/// too, or that only a trainer or a server reads.
const OTHER_SETTINGS: [&str; 24] = [
    "architectures",
    "auto_map",
    "aux_loss",
    "bias",
    "cache",
    "chunk_size",
    "coef_clip",
    "drop",
    "dtype",
    "init",
    "_label",
    "label2id",
    "max_window_layers",
    "model_type",
    "name_or_path",
    "output_",
    "pretraining_tp",
    "quantization_config",
    "residual_in_fp32",
    "summary_",
    "tie_",
    "token_id",
    "version",
    "vocab_size_per_",
];

/// Kinds of tensors that are looked at: far more than any model has.
const MOST_KINDS: usize = 4096;

/// How far a family is from a model, the least being the nearest: tensors without a name of their
/// own, settings that it reads, and values, some of which it makes up.
type Rank = (usize, Reverse<usize>, usize);

/// A configuration whose `model_type` no family has.
#[derive(Clone, Debug)]
pub(super) struct Unknown {
    pub model_type: String,
    pub config: Value,
}

impl Unknown {
    /// The error where no tensor is known.
    pub fn plain(&self) -> Error {
        let known: Vec<&str> = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
        unsupported("model_type", &self.model_type, &known.join(", "))
    }

    /// The error of `sink`, or a plain one. `names`: of the tensors.
    pub fn refused<'a>(&self, names: impl Iterator<Item = &'a str>, sink: &mut dyn Sink) -> Error {
        match sink.header(self.header(names)) {
            Err(Error::UnsupportedModel { what, found, known }) if what == "general.architecture" => {
                unsupported("model_type", &found, &known)
            }
            _ => self.plain(),
        }
    }

    fn header<'a>(&self, names: impl Iterator<Item = &'a str>) -> Header {
        // one of each kind, whatever its layer
        let mut kinds: BTreeMap<String, &str> = BTreeMap::new();
        for name in names {
            if kinds.len() < MOST_KINDS {
                kinds.insert(kind_of(name), name);
            }
        }
        let mut asked = BTreeSet::new();
        let mut best: Option<(Rank, ParsedConfig)> = None;
        for family in FAMILIES {
            let own = Asked::default();
            let model = self.read_as(family, &own);
            let own = own.into_inner();
            // most models have these, whether layers differ or not
            let is_usual = |name: &str| ["layer_types", "use_sliding_window", "max_window_layers"].contains(&name);
            let tells = |name: &&String| !is_usual(name) && self.config.get(name).is_some();
            let settings = own.iter().filter(tells).count();
            asked.extend(own);
            let Ok(model) = model else { continue };
            let rank = (misnamed(family, &kinds), Reverse(settings), model.metadata.iter().count());
            if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                best = Some((rank, model));
            }
        }
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", self.model_type.as_str());
        let mut own = |key: &str, value: crate::format::Value| {
            metadata.insert(format!("{}.{key}", self.model_type), value);
        };
        let is_new = |name: &str| !OTHER_SETTINGS.iter().any(|other| name.contains(other));
        for (name, value) in self.config.as_object().into_iter().flatten() {
            if !value.is_null() && is_new(name) && !asked.contains(name) {
                own(name, value.to_string().into());
            }
        }
        let mut tensors: BTreeSet<String> = kinds.keys().cloned().collect();
        if let Some((_, model)) = best {
            let architecture = format!("{}.", model.family.architecture);
            for (key, value) in model.metadata.iter() {
                let Some(key) = key.strip_prefix(&architecture) else { continue };
                // what weft reads of every architecture is not new
                let is_common = model.metadata.get(&format!("weft.{key}")).is_some();
                if !is_common || key.contains("window") {
                    own(key, value.clone());
                }
            }
            tensors = kinds.into_iter().flat_map(|(kind, name)| named(&model, kind, name)).collect();
        }
        // only their names count
        let info = |name| TensorInfo { name, dims: vec![1], block: BlockType::F32, offset: 0 };
        Header {
            version: 3,
            metadata,
            tensors: tensors.into_iter().map(info).collect(),
            alignment: 1,
            header_bytes: 0,
            data_offset: 0,
            file_bytes: 0,
        }
    }

    /// The configuration as if it were of this family.
    fn read_as(&self, family: &'static Family, asked: &Asked) -> Result<ParsedConfig> {
        let config = Object(&self.config, Some(asked));
        let mut model = ParsedConfig::empty(family, None, &config);
        // what no model may have is known too
        let _ = model.check(&config);
        model.read(&config, &self.model_type)?;
        Ok(model)
    }
}

/// How many kinds of tensors have no name in GGUF, or that of another, or are of what the family
/// does not have.
fn misnamed(family: &Family, kinds: &BTreeMap<String, &str>) -> usize {
    let mut names = BTreeSet::new();
    let has = |stem: &str| match family.architecture {
        "mamba" | "mamba2" if stem != "attn_norm" && stem.starts_with("attn_") => false,
        "mamba" => stem != "ssm_norm",
        "mamba2" => stem != "ssm_x",
        _ => true,
    };
    let is_fine = |name: &&&str| match target(family, name) {
        None => false,
        Some(Target::Dropped) => true,
        Some(Target::Tensor { name, stem, .. }) => names.insert(name) && has(stem),
    };
    kinds.len() - kinds.values().filter(is_fine).count()
}

/// Names in GGUF; of an unknown tensor its own. None for one that is dropped.
fn named(model: &ParsedConfig, kind: String, name: &str) -> Vec<String> {
    match target(model.family, name) {
        None => vec![kind],
        Some(Target::Dropped) => Vec::new(),
        Some(Target::Tensor { name, stem: "ssm_a" | "ssm_d", .. }) => vec![name.replace(".weight", "")],
        Some(Target::Tensor { name, stem: "altup_correct_scale", .. }) => {
            vec![format!("{}.weight", name.trim_end_matches(".scale"))]
        }
        Some(Target::Tensor { name, stem: "ffn_gate_up_shexp" | "ffn_down_shexp", .. }) => {
            let name = if model.experts == 0 { name.replace("_shexp", "") } else { name };
            let parts = ["ffn_gate", "ffn_up"].map(|part| name.replace("ffn_gate_up", part));
            parts.into_iter().collect()
        }
        Some(Target::Tensor { name, .. }) => vec![name],
    }
}

/// The name with `#` in place of its numbers: those of layers and experts.
fn kind_of(name: &str) -> String {
    let part = |part: &'_ str| if part.parse::<usize>().is_ok() { "#".to_owned() } else { part.to_owned() };
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}
