//! A folder saved by Hugging Face's transformers, read as if it were a GGUF file: later stages know
//! only GGUF's names.
//!
//! | module | content |
//! |---|---|
//! | [`adapter`] | a folder of PEFT → the tensors of a GGUF adapter |
//! | [`config`] | `config.json` → metadata |
//! | [`experts`] | all experts of a layer in one tensor |
//! | [`names`] | tensor names of transformers → those of GGUF |
//! | [`order`] | tensors whose rows GGUF stores in another order |
//! | [`rope`] | rotary embedding, whose names changed over the years |
//! | [`reader`] | the push reader: headers of the safetensors files → named tensors |
//! | [`values`] | the values behind a header → rows |

mod adapter;
mod config;
mod experts;
mod names;
mod order;
mod reader;
mod rope;
mod values;

use std::collections::BTreeMap;

use serde_json::Value;

pub use adapter::PeftReader;
pub use reader::FolderReader;

use super::metadata::Array;
use crate::{Error, Result};
use config::{ParsedConfig, parse};

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

/// A folder without its weights.
#[derive(Debug)]
pub struct Folder {
    model: ParsedConfig,
    /// Tensor → its file; empty if there is only one.
    weight_map: BTreeMap<String, String>,
}

impl Folder {
    /// Files that are read if present. The first two are required.
    pub const FILES: [&str; 10] = [
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
    ];

    /// Reads a folder called `name`; `file` returns the text of a file by its name.
    ///
    /// # Errors
    /// `InvalidModel` naming the file or entry, `UnsupportedModel` for a model that weft does not
    /// run.
    pub fn new<'a>(name: &str, file: impl Fn(&str) -> Option<&'a str>) -> Result<Self> {
        let required = |name: &str| file(name).ok_or_else(|| missing(name));
        let mut model = ParsedConfig::new(required("config.json")?)?;
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
            ends.extend(ids.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()));
        }
        metadata.insert(ENDS, Array::U32(ends));
        if let Some(text) = file("1_Pooling/config.json")
            && let Some(kind) = pooling(&parse("1_Pooling/config.json", text)?)
        {
            let key = format!("{}.pooling_type", model.family.architecture);
            metadata.insert(key, kind);
        }
        let weight_map = file(INDEX).map_or(Ok(BTreeMap::new()), weight_map)?;
        Ok(Self { model, weight_map })
    }

    /// The files of the weights, in the order in which they are fed.
    pub fn shards(&self) -> Vec<String> {
        let mut names: Vec<String> = self.weight_map.values().cloned().collect();
        names.sort();
        names.dedup();
        if names.is_empty() { vec![WEIGHTS.into()] } else { names }
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
