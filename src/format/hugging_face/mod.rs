//! A folder saved by Hugging Face's transformers, read as if it were a GGUF file: later stages know
//! only GGUF's names.
//!
//! | module | content |
//! |---|---|
//! | [`adapter`] | a folder of PEFT → the tensors of a GGUF adapter |
//! | [`config`] | `config.json` → metadata |
//! | [`delta`] | linear attention in `config.json` |
//! | [`experts`] | all experts of a layer in one tensor |
//! | [`names`] | tensor names of transformers → those of GGUF |
//! | [`order`] | tensors whose rows GGUF stores in another order |
//! | [`rope`] | rotary embedding, whose names changed over the years |
//! | [`ternary`] | weights of three values |
//! | [`reader`] | the push reader: headers of the safetensors files → named tensors |
//! | [`unknown`] | a model that weft does not know, for the error that says what it is nearest to |
//! | [`values`] | the values behind a header → rows |

mod adapter;
mod config;
mod delta;
mod experts;
mod gemma;
mod latent;
mod names;
mod order;
mod reader;
mod rope;
mod scans;
mod ternary;
mod unknown;
mod values;

use std::collections::BTreeMap;

use serde_json::Value;

pub use adapter::PeftReader;
pub use reader::FolderReader;

use super::metadata::Array;
use crate::{Error, Result};
use config::{ParsedConfig, parse};
use names::FAMILIES;

/// Metadata key of the text of `tokenizer.json`, from GGUF's specification.
pub const TOKENIZER: &str = "tokenizer.huggingface.json";

/// Metadata key of the text of `tokenizer_config.json`; weft's own.
pub const TOKENIZER_CONFIG: &str = "tokenizer.huggingface.config";

/// Metadata key of the ids that end an answer; weft's own.
pub const ENDS: &str = "tokenizer.huggingface.eos_token_ids";

/// The weights of a folder without an index.
const WEIGHTS: &str = "model.safetensors";

/// Names the files of the weights if there are several.
const INDEX: &str = "model.safetensors.index.json";

/// The projections behind pooling: settings, weights, and the key of their outputs in GGUF.
const DENSE: [(&str, &str, &str); 2] = [
    ("2_Dense/config.json", "2_Dense/model.safetensors", "dense_2_feat_out"),
    ("3_Dense/config.json", "3_Dense/model.safetensors", "dense_3_feat_out"),
];

/// Metadata key of the text of `config_sentence_transformers.json`; weft's own.
pub const SENTENCE_TRANSFORMERS: &str = "weft.sentence_transformers";

/// A folder without its weights.
#[derive(Debug)]
pub struct Folder {
    model: ParsedConfig,
    /// Tensor → its file; empty if there is only one.
    weight_map: BTreeMap<String, String>,
    /// Files of weights behind the model's own.
    more: Vec<&'static str>,
}

impl Folder {
    /// Files that are read if present. The first two are required.
    pub const FILES: [&str; 13] = [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "chat_template.jinja",
        "chat_template.json",
        "additional_chat_templates/rag.jinja",
        "additional_chat_templates/tool_use.jinja",
        INDEX,
        "1_Pooling/config.json",
        DENSE[0].0,
        DENSE[1].0,
        "config_sentence_transformers.json",
    ];

    /// Reads a folder called `name`; `file` returns the text of a file by its name.
    ///
    /// # Errors
    /// `InvalidModel` naming the file or entry, `UnsupportedModel` for a setting that weft does not
    /// compute. That no model of this kind is known is told with the first header of the weights:
    /// it says what the model is nearest to.
    pub fn new<'a>(name: &str, file: impl Fn(&str) -> Option<&'a str>) -> Result<Self> {
        let required = |name: &str| file(name).ok_or_else(|| missing(name));
        let mut model = ParsedConfig::new(required("config.json")?)?;
        let weight_map = file(INDEX).map_or(Ok(BTreeMap::new()), weight_map)?;
        if model.unknown.is_some() {
            return Ok(Self { model, weight_map, more: Vec::new() });
        }
        let metadata = &mut model.metadata;
        if !name.is_empty() {
            metadata.insert("general.name", name);
        }
        metadata.insert(TOKENIZER, required("tokenizer.json")?);
        for (key, name) in [
            (TOKENIZER_CONFIG, "tokenizer_config.json"),
            ("tokenizer.chat_template", "chat_template.jinja"),
            ("tokenizer.chat_template.rag", "additional_chat_templates/rag.jinja"),
            ("tokenizer.chat_template.tool_use", "additional_chat_templates/tool_use.jinja"),
        ] {
            if let Some(text) = file(name) {
                metadata.insert(key, text);
            }
        }
        // the file of image processors, older than `chat_template.jinja`
        if let Some(text) = file("chat_template.json")
            && metadata.get("tokenizer.chat_template").is_none()
            && !file("tokenizer_config.json").is_some_and(|config| config.contains("\"chat_template\""))
            && let Some(template) = parse("chat_template.json", text)?["chat_template"].as_str()
        {
            metadata.insert("tokenizer.chat_template", template);
        }
        let mut ends = Vec::new();
        for name in ["config.json", "generation_config.json"] {
            let Some(text) = file(name) else { continue };
            let json = parse(name, text)?;
            let ids = match &json["eos_token_id"] {
                Value::Array(ids) => ids.as_slice(),
                id => std::slice::from_ref(id),
            };
            let start = json["decoder_start_token_id"].as_u64().and_then(|id| u32::try_from(id).ok());
            if let Some(start) = start.filter(|_| model.family.architecture == "t5") {
                metadata.insert("t5.decoder_start_token_id", start);
            }
            ends.extend(ids.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()));
        }
        metadata.insert(ENDS, Array::U32(ends));
        if let Some(text) = file("1_Pooling/config.json")
            && let Some(kind) = pooling(&parse("1_Pooling/config.json", text)?)
        {
            let key = format!("{}.pooling_type", model.family.architecture);
            metadata.insert(key, kind);
        }
        if let Some(text) = file("config_sentence_transformers.json") {
            metadata.insert(SENTENCE_TRANSFORMERS, text);
        }
        let mut more = Vec::new();
        for (name, weights, key) in DENSE {
            let Some(text) = file(name) else { continue };
            metadata.insert(format!("weft.{key}"), dense(name, &parse(name, text)?)?);
            more.push(weights);
        }
        Ok(Self { model, weight_map, more })
    }

    /// The values of `model_type` that weft knows, with the architecture of GGUF that they are.
    pub fn kinds() -> impl Iterator<Item = (&'static [&'static str], &'static str)> {
        FAMILIES.iter().map(|family| (family.model_types, family.architecture))
    }

    /// The files of the weights, in the order in which they are fed.
    pub fn shards(&self) -> Vec<String> {
        let mut names: Vec<String> = self.weight_map.values().cloned().collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            names.push(WEIGHTS.into());
        }
        names.extend(self.more.iter().map(|&name| name.into()));
        names
    }
}

/// Number of a kind of pooling in GGUF: 1 mean, 2 first token, 3 last token.
fn pooling(json: &Value) -> Option<u32> {
    let kinds = [
        ("pooling_mode_mean_tokens", "mean"),
        ("pooling_mode_cls_token", "cls"),
        ("pooling_mode_lasttoken", "lasttoken"),
    ];
    (1..).zip(kinds).find(|(_, (flag, name))| json[flag] == true || json["pooling_mode"] == *name).map(|(kind, _)| kind)
}

/// The outputs of a projection behind pooling.
fn dense(file: &str, json: &Value) -> Result<u32> {
    let linear = |name: &str| name.ends_with(".Identity");
    if let Some(found) = json["activation_function"].as_str().filter(|name| !linear(name)) {
        let (what, known) = (format!("{file}: `activation_function`"), "torch.nn.modules.linear.Identity".into());
        return Err(Error::UnsupportedModel { what, found: found.into(), known });
    }
    let outputs = json["out_features"].as_u64().and_then(|outputs| u32::try_from(outputs).ok());
    outputs.ok_or_else(|| Error::InvalidModel {
        what: format!("{file}: `out_features`"),
        expected: "an integer".into(),
        got: json["out_features"].to_string(),
    })
}

/// Tensor → file. Files must lie in the folder itself.
fn weight_map(text: &str) -> Result<BTreeMap<String, String>> {
    let json = parse(INDEX, text)?;
    let wrong = |expected: &str, got: String| Error::InvalidModel {
        what: format!("{INDEX}: `weight_map`"),
        expected: expected.into(),
        got,
    };
    let entries = json["weight_map"].as_object().filter(|entries| !entries.is_empty());
    let entries = entries.ok_or_else(|| wrong("the file of each tensor", json["weight_map"].to_string()))?;
    let file = |(tensor, file): (&String, &Value)| match file.as_str() {
        Some(file) if file.ends_with(".safetensors") && !file.contains(['/', '\\']) => {
            Ok((tensor.clone(), file.to_owned()))
        }
        _ => Err(wrong("the name of a safetensors file in the folder", format!("{file} for `{tensor}`"))),
    };
    entries.iter().map(file).collect()
}

fn missing(file: &str) -> Error {
    Error::InvalidModel { what: file.into(), expected: "one in the folder".into(), got: "none".into() }
}

#[cfg(test)]
mod tests;
