//! A folder saved by PEFT, read as if it were llama.cpp's GGUF adapter.
//!
//! Sources: PEFT's `LoraConfig` and `get_peft_model_state_dict`; llama.cpp's
//! `convert_lora_to_gguf.py`. A setting that would be computed differently is an error.

use serde_json::Value;

use super::config::Object;
use super::experts::Held;
use super::names::{FAMILIES, Family, Target, target};
use super::order::{Heads, Order};
use super::values::{Part, Place, Values};
use crate::format::adapter::{ALPHA, Base};
use crate::format::header::check_dims;
use crate::format::safetensors::{Entry, HeaderParser, SafetensorsHeader};
use crate::format::{Header, Metadata, Sink, TensorInfo};
use crate::{Error, Result};

/// The configuration.
const CONFIG: &str = "adapter_config.json";

/// The weights.
const WEIGHTS: &str = "adapter_model.safetensors";

/// Settings that must have this value or be absent, and what to do otherwise.
const FIXED: [(&str, &str, &str); 13] = [
    ("peft_type", "\"LORA\"", "Use an adapter of that kind."),
    ("use_dora", "false", "DoRA scales each row of the merged weights: merge it in PEFT, and load the whole model."),
    ("use_qalora", "false", "Merge it in PEFT, and load the whole model."),
    ("use_bdlora", "false", "Merge it in PEFT, and load the whole model."),
    ("kasa_config", "null", "Merge it in PEFT, and load the whole model."),
    ("arrow_config", "null", "It routes between adapters: use one of them."),
    ("bias", "\"none\"", "Train without, or merge it in PEFT and load the whole model."),
    ("lora_bias", "false", "Train without, or merge it in PEFT and load the whole model."),
    ("modules_to_save", "[]", "These are weights of their own: merge it in PEFT, and load the whole model."),
    ("trainable_token_indices", "[]", "These are embeddings: merge it in PEFT, and load the whole model."),
    ("target_parameters", "[]", "Adapt projections only, by `target_modules`."),
    ("layer_replication", "[]", "It makes another model: merge it in PEFT, and load that."),
    ("alora_invocation_tokens", "[]", "An adapter holds for a whole text here: use one without them."),
];

/// Ways to begin training that change the base weights too.
const CHANGE_THE_BASE: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// Reads the weights of an adapter from bytes that arrive in pieces.
#[derive(Debug)]
pub struct PeftReader {
    base: Base,
    heads: Heads,
    alpha: f64,
    /// α of some modules, by the end of their names.
    alphas: Vec<(String, f64)>,
    /// Whether a product is scaled by α / √rank instead of α / rank.
    by_root: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Header(HeaderParser),
    Values(Values),
    End,
    Failed(Error),
}

impl PeftReader {
    /// Reads `adapter_config.json`. Errors: `InvalidAdapter` naming the entry.
    pub fn new(config: &str, base: Base) -> Result<Self> {
        let json: Value = serde_json::from_str(config)
            .map_err(|error| invalid(CONFIG.into(), "JSON", error, "Download the folder again."))?;
        let config = Object(&json, None);
        for (name, only, remedy) in FIXED {
            let found = config.get(name).filter(|value| !is_empty(value)).map(Value::to_string);
            if let Some(found) = found.filter(|found| found != only) {
                return Err(entry(name, only, found, remedy));
            }
        }
        if let Some(Value::String(way)) = config.get("init_lora_weights")
            && CHANGE_THE_BASE.iter().any(|known| way.starts_with(known))
        {
            let remedy = "It changed the base weights: save it with `path_initial_model_for_weight_conversion`.";
            return Err(entry("init_lora_weights", "a way that leaves the base weights alone", way, remedy));
        }
        let Base { heads, kv_heads, head_dim, .. } = base;
        Ok(Self {
            base,
            heads: Heads { heads, kv_heads, head_dim, ..Heads::default() },
            // PEFT's own default
            alpha: number("lora_alpha", config.get("lora_alpha").unwrap_or(&Value::from(8)))?,
            alphas: match config.get("alpha_pattern") {
                Some(Value::Object(alphas)) => alphas.iter().map(alpha_of).collect::<Result<_>>()?,
                None => Vec::new(),
                Some(other) => return Err(entry("alpha_pattern", "an object", other, "Download the folder again.")),
            },
            by_root: config.get("use_rslora") == Some(&Value::Bool(true)),
            state: State::Header(HeaderParser::default()),
        })
    }

    /// Takes the next bytes and calls `sink` with what they complete. After an error, every further
    /// call returns the same error. Errors: `InvalidFile`, `UnsupportedTensorType`, and
    /// `InvalidAdapter` naming the tensor, and those of `sink`.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let result = self.advance(bytes, sink);
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    fn advance(&mut self, mut input: &[u8], sink: &mut dyn Sink) -> Result<()> {
        loop {
            match &mut self.state {
                State::Header(parser) => {
                    let Some(header) = parser.feed(&mut input)? else { return Ok(()) };
                    self.state = State::Values(self.header(header, sink)?);
                }
                State::Values(values) => {
                    if !values.feed(&mut input, sink)? {
                        return Ok(());
                    }
                    self.state = State::End;
                }
                State::End if input.is_empty() => return Ok(()),
                State::End => {
                    let got = format!("{} bytes or more", input.len());
                    return Err(crate::format::header::invalid("end of the weights", "nothing after them", got));
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    /// Call at the end of the file. Errors: `TruncatedFile`.
    pub fn finish(&self) -> Result<()> {
        match &self.state {
            State::Header(parser) => Err(parser.truncated(WEIGHTS)),
            State::Values(values) => values.truncated(WEIGHTS),
            State::End => Ok(()),
            State::Failed(error) => Err(error.clone()),
        }
    }

    fn header(&self, header: SafetensorsHeader, sink: &mut dyn Sink) -> Result<Values> {
        let mut metadata = Metadata::default();
        metadata.insert("general.type", "adapter");
        metadata.insert("general.architecture", self.base.architecture);
        metadata.insert("adapter.type", "lora");
        let (mut tensors, mut parts) = (Vec::new(), Vec::new());
        for entry in header.entries {
            let (place, alpha) = self.place(&entry)?;
            if let Some(alpha) = alpha {
                let of = place.info.name.trim_end_matches(".lora_a");
                metadata.insert(format!("{ALPHA}.{of}"), alpha as f32);
            }
            tensors.push(place.info.clone());
            parts.push(Part { bytes: entry.end - entry.begin, name: entry.name, place: Some(place) });
        }
        sink.header(Header {
            version: 3,
            metadata,
            tensors,
            alignment: 1,
            header_bytes: header.header_bytes,
            data_offset: header.header_bytes,
            file_bytes: header.file_bytes,
        })?;
        Ok(Values::new(self.heads, parts, Held::new()))
    }

    /// Where a tensor goes, and α of its projection if it is A.
    fn place(&self, tensor: &Entry) -> Result<(Place, Option<f64>)> {
        let of_tensor =
            |expected: &str, remedy| invalid(format!("tensor `{}`", tensor.name), expected, "another one", remedy);
        let name = tensor.name.strip_prefix("base_model.model.").unwrap_or(&tensor.name);
        // the name of the adapter may stand in between
        let split = |mark| name.split_once(mark).filter(|(_, rest): &(&str, &str)| rest.ends_with("weight"));
        let (module, part) = match (split(".lora_A."), split(".lora_B.")) {
            (Some((module, _)), None) => (module, "lora_a"),
            (None, Some((module, _))) => (module, "lora_b"),
            _ => {
                let remedy = "Adapt projections only, and save without modules or embeddings of their own \
                    (`modules_to_save`, `save_embedding_layers`).";
                return Err(of_tensor("`….lora_A.weight` or `….lora_B.weight` of a projection", remedy));
            }
        };
        let known = |family: &&Family| family.architecture == self.base.architecture;
        let found = FAMILIES.iter().filter(known).find_map(|family| {
            let Target::Tensor { name, stem, .. } = target(family, &format!("{module}.weight"))? else { return None };
            Some((family, name, stem))
        });
        let Some((family, name, stem)) = found else {
            let expected = format!("a module of {} models", self.base.architecture);
            return Err(of_tensor(&expected, "Load the model that it was trained for, or the adapter as GGUF."));
        };
        let [rows, cols] = tensor.shape[..] else {
            return Err(shape(tensor, "two dimensions"));
        };
        let is_b = part == "lora_b";
        // an input that is stored in another order does not occur; outputs are those of the weight
        let order = family.order_of(stem);
        if order.is_of_linear_attention() {
            let remedy = "Adapt attention and feed-forward layers, or load the adapter as GGUF.";
            return Err(of_tensor("a projection outside of linear attention", remedy));
        }
        let order = if is_b && order != Order::Transposed { order } else { Order::Kept };
        if let Some(expected) = order.expected(self.heads, rows as usize).filter(|&expected| expected as u64 != rows) {
            return Err(shape(tensor, &format!("{expected} rows")));
        }
        let block = tensor.block()?;
        let info = TensorInfo { name: format!("{name}.{part}"), dims: vec![cols, rows], block, offset: 0 };
        check_dims(&info)?;
        let cols = cols as usize;
        let place =
            Place { info, first_row: 0, order, block, cols, whole: false, rest: None, experts: None, ternary: None };
        Ok((place, (!is_b).then(|| self.alpha(module, rows as f64))))
    }

    /// α as llama.cpp means it: the product is scaled by α / rank.
    fn alpha(&self, module: &str, rank: f64) -> f64 {
        let is_of = |pattern: &str| match pattern.strip_prefix('^') {
            Some(whole) => module == whole,
            None => module.strip_suffix(pattern).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        };
        let own = self.alphas.iter().find(|(pattern, _)| is_of(pattern)).map(|(_, alpha)| *alpha);
        own.unwrap_or(self.alpha) * if self.by_root { rank.sqrt() } else { 1.0 }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        _ => false,
    }
}

/// An entry of `alpha_pattern`. PEFT takes regular expressions; in practice these are the ends of
/// names.
fn alpha_of((pattern, alpha): (&String, &Value)) -> Result<(String, f64)> {
    let name = pattern.strip_prefix('^').unwrap_or(pattern);
    if name.contains(['\\', '^', '$', '*', '+', '?', '(', ')', '[', ']', '{', '}', '|']) {
        let remedy = "Write the names of the modules out.";
        return Err(entry("alpha_pattern", "names of modules or the ends of these", pattern, remedy));
    }
    Ok((pattern.clone(), number("alpha_pattern", alpha)?))
}

fn number(name: &str, value: &Value) -> Result<f64> {
    let finite = value.as_f64().filter(|number| number.is_finite());
    finite.ok_or_else(|| entry(name, "a number", value, "Download the folder again."))
}

fn entry(name: &str, expected: &str, got: impl ToString, remedy: &'static str) -> Error {
    invalid(format!("{CONFIG}: `{name}`"), expected, got, remedy)
}

fn shape(tensor: &Entry, expected: &str) -> Error {
    let remedy = "Load the model that it was trained for.";
    invalid(format!("shape of tensor `{}`", tensor.name), expected, format!("{:?}", tensor.shape), remedy)
}

fn invalid(what: String, expected: impl Into<String>, got: impl ToString, remedy: &'static str) -> Error {
    Error::InvalidAdapter { what, expected: expected.into(), got: got.to_string(), remedy }
}
