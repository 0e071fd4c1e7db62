//! `config.json` → the metadata of the same model in GGUF.
//!
//! Sources: the configuration classes of `transformers`, whose older names are still in use on the
//! hub, and llama.cpp's converter for GGUF's names. A setting that weft would compute differently
//! is an error.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::names::{FAMILIES, Family, Windowed};
use super::order::Heads;
use super::ternary::Ternary;
use super::unknown::Unknown;
use crate::format::Metadata;
use crate::{Error, Result};

/// Settings that must have this value or be absent: GGUF's architectures have no other.
const FIXED: &[(&str, &str)] = &[
    ("use_bidirectional_attention", "false"),
    ("moe_every_n_layers", "0"),
    ("classifier_activation", "\"gelu\""),
    ("feed_forward_type", "\"geglu\""),
    ("prenorm", "false"),
    ("rotary_emb_interleaved", "false"),
    ("use_rms_norm", "false"),
    ("conv_bias", "false"),
    ("alibi", "false"),
    ("clip_qkv", "null"),
    ("scale_attn_by_inverse_layer_idx", "false"),
    ("scale_attn_weights", "true"),
    ("decoder_sparse_step", "1"),
    ("mlp_only_layers", "[]"),
    ("position_embedding_type", "\"absolute\""),
    ("is_decoder", "false"),
    ("apply_residual_connection_post_layernorm", "false"),
    ("expansion_ratio", "4"),
    ("logit_scale", "null"),
    ("attn_config.attn_type", "\"multihead_attention\""),
    ("attn_config.alibi", "true"),
    ("attn_config.clip_qkv", "null"),
    ("attn_config.prefix_lm", "false"),
    ("attn_config.qk_ln", "false"),
    ("attn_output_gate", "true"),
    ("swiglu_alpha", "1.702"),
    ("swiglu_limit", "7.0"),
    ("moe_norm_min", "1e-12"),
    ("altup_num_inputs", "4"),
    ("altup_active_idx", "0"),
    ("altup_correct_scale", "true"),
    ("rope_interleave", "true"),
    ("moe_layer_freq", "1"),
];

/// Hyperparameters: GGUF's key, and names in config.json, of which the first present one counts.
pub(super) const COUNTS: [(&str, &[&str]); 10] = [
    ("embedding_length", &["hidden_size", "n_embd", "n_embed", "dim", "d_model"]),
    ("block_count", &["num_hidden_layers", "n_layer", "n_layers", "num_layers"]),
    ("attention.head_count", &["num_attention_heads", "n_head", "n_heads", "num_heads"]),
    (
        "context_length",
        &["max_trained_positions", "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"],
    ),
    (
        "expert_count",
        &["num_local_experts", "num_experts", "moe_num_experts", "n_routed_experts", "moe_num_primary_experts"],
    ),
    ("expert_used_count", &["num_experts_per_tok", "top_k_experts", "moe_k", "moe_num_active_primary_experts"]),
    ("expert_feed_forward_length", &["moe_intermediate_size", "moe_ffn_hidden_size"]),
    ("expert_shared_feed_forward_length", &["shared_expert_intermediate_size", "shared_intermediate_size"]),
    ("leading_dense_block_count", &["num_dense_layers", "moe_layer_start_index", "first_k_dense_replace"]),
    ("interleave_moe_layer_step", &["moe_layer_interval"]),
];

/// The first ones of [`COUNTS`] that a model must have.
const REQUIRED: usize = 4;

/// What Python writes and JSON does not have.
const NO_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Limit of heads, head width and experts: far above all models, and small enough for sums not to
/// overflow.
pub(super) const MOST: usize = 1 << 16;

const FACTORS: [(&str, &str); 9] = [
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("attention.scale", "attention_multiplier"),
    ("attention.scale", "attn_config.softmax_scale"),
    ("attention.max_alibi_bias", "attn_config.alibi_bias_max"),
    ("embedding_scale", "embedding_multiplier"),
    ("residual_scale", "residual_multiplier"),
    ("logit_scale", "logits_scaling"),
    ("expert_weights_scale", "routed_scaling_factor"),
];

/// A parsed configuration.
#[derive(Debug)]
pub(super) struct ParsedConfig {
    pub family: &'static Family,
    pub metadata: Metadata,
    pub heads: Heads,
    pub layers: usize,
    pub experts: usize,
    /// Whether the output matrix is the embedding table.
    pub tied: bool,
    /// Class of the model, such as `LlamaForCausalLM`.
    pub class: String,
    /// Rows of the table of positions that no text uses.
    pub skipped_positions: usize,
    /// Groups of the heads of selective scans.
    pub groups: usize,
    /// How matrices of layers are stored, if they have three values.
    pub ternary: Option<Ternary>,
    /// Vectors that are tensors in GGUF.
    pub vectors: Vec<(&'static str, Vec<f32>)>,
    /// Present where no family has the type of the model: its weights are not read.
    pub unknown: Option<Box<Unknown>>,
}

/// Names that were looked up.
pub(super) type Asked = RefCell<BTreeSet<String>>;

/// Look-up in a JSON object; `outer.inner` looks into a nested one. Null counts as absent.
pub(super) struct Object<'a>(pub &'a Value, pub Option<&'a Asked>);

impl<'a> Object<'a> {
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        if let Some(asked) = self.1 {
            asked.borrow_mut().insert(name.split('.').next().unwrap_or(name).to_owned());
        }
        name.split('.').try_fold(self.0, |object, name| object.get(name)).filter(|value| !value.is_null())
    }

    /// The value of the first of these names that is present.
    fn convert<T>(&self, names: &[&str], expected: &str, convert: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        let found = names.iter().find_map(|name| Some((name, self.get(name)?)));
        let wrong = |name: &str, value: &Value| invalid(name, expected, value.to_string());
        found.map(|(name, value)| convert(value).ok_or_else(|| wrong(name, value))).transpose()
    }

    pub fn count(&self, names: &[&str]) -> Result<Option<u32>> {
        let count = |value: &Value| value.as_u64().and_then(|count| u32::try_from(count).ok());
        self.convert(names, "an integer from 0 to 4294967295", count)
    }

    pub fn number(&self, names: &[&str]) -> Result<Option<f64>> {
        self.convert(names, "a number", Value::as_f64)
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.convert(&[name], "true or false", Value::as_bool)
    }

    pub fn text(&self, names: &[&str]) -> Result<Option<String>> {
        self.convert(names, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let numbers = |value: &Value| value.as_array()?.iter().map(Value::as_f64).collect();
        let expected = "an array of numbers";
        self.convert(&[name], expected, numbers)?.ok_or_else(|| invalid(name, expected, "none".into()))
    }
}

impl ParsedConfig {
    /// Reads `config.json`.
    pub(super) fn new(text: &str) -> Result<Self> {
        let json: Value = match parse("config.json", text) {
            Err(_) if NO_NUMBERS.iter().any(|word| text.contains(word)) => {
                let known = |text: String, word: &&str| text.replace(word, "null");
                parse("config.json", &NO_NUMBERS.iter().fold(text.to_owned(), known))?
            }
            json => json?,
        };
        // a vision model has the text model's configuration inside its own
        let outer = Object(&json, None);
        let json = json.get("text_config").filter(|text| text.is_object()).unwrap_or(&json);
        let config = Object(json, None);
        let model_type =
            config.text(&["model_type"])?.ok_or_else(|| invalid("model_type", "a string", "none".into()))?;
        let special = special(&config)?;
        let fits = |family: &&Family| special.is_none_or(|architecture| family.architecture == architecture);
        let families = || FAMILIES.iter().filter(|family| family.model_types.contains(&model_type.as_str()));
        let family = families().find(fits).or_else(|| families().next());
        let tied = config.flag("tie_embedding")?.or(config.flag("tie_word_embeddings")?);
        let tied = tied.or(outer.flag("tie_word_embeddings")?);
        let Some(family) = family else {
            let unknown = Some(Box::new(Unknown { model_type, config: json.clone() }));
            return Ok(Self { unknown, ..Self::empty(&FAMILIES[0], tied, &config) });
        };
        let mut model = Self::empty(family, tied, &config);
        model.check(&config)?;
        model.read(&config, &model_type)?;
        Ok(model)
    }

    /// Of a family, before anything was read.
    pub(super) fn empty(family: &'static Family, tied: Option<bool>, config: &Object) -> Self {
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", family.architecture);
        Self {
            family,
            metadata,
            heads: Heads::default(),
            layers: 0,
            experts: 0,
            tied: tied.unwrap_or(ties(family.architecture)),
            class: config.0["architectures"][0].as_str().unwrap_or_default().to_owned(),
            skipped_positions: 0,
            groups: 0,
            ternary: None,
            vectors: Vec::new(),
            unknown: None,
        }
    }

    /// Reads what the model of its family computes.
    pub(super) fn read(&mut self, config: &Object, model_type: &str) -> Result<()> {
        self.ternary = Ternary::read(config)?;
        self.hyperparameters(config)?;
        self.window(config)?;
        if self.is_delta() {
            self.delta(config)?;
        }
        self.classes(config);
        if is_encoder(self.family.architecture) {
            self.encoder(config, model_type)?;
        }
        if matches!(self.family.architecture, "t5encoder" | "t5") {
            self.t5(config, model_type)?;
        } else if !matches!(self.family.architecture, "bert" | "jina-bert-v2") && !self.scans_alone() {
            self.rope(config)?;
        }
        if self.family.architecture == "bitnet" {
            self.metadata.insert("weft.squared_relu", true);
        }
        if self.family.architecture == "smallthinker" {
            self.layouts(config)?;
        }
        if self.family.architecture == "gemma3n" {
            self.streams(config)?;
        }
        if self.family.architecture == "gemma4" {
            self.varied_widths(config)?;
        }
        if self.scans() {
            self.read_scans(config)?;
        }
        Ok(())
    }

    pub(super) fn put(&mut self, key: &str, value: impl Into<crate::format::Value>) {
        let architecture = self.family.architecture;
        self.metadata.insert(format!("{architecture}.{key}"), value);
    }

    /// Writes a value that llama.cpp fixes for many architectures and reads only for some: under
    /// weft's own key, which counts for all architectures, and under GGUF's.
    pub(super) fn put_own(&mut self, key: &str, value: impl Into<crate::format::Value>) {
        let value = value.into();
        self.metadata.insert(format!("weft.{key}"), value.clone());
        self.put(key, value);
    }

    /// Refuses settings that the architecture does not support.
    pub(super) fn check(&self, config: &Object) -> Result<()> {
        let own = match self.family.architecture {
            "jina-bert-v2" | "granitehybrid" => "position_embedding_type",
            "gemma-embedding" => "use_bidirectional_attention",
            _ => "",
        };
        for &(name, mut expected) in FIXED.iter().filter(|(name, _)| *name != own) {
            if (name, self.family.architecture) == ("use_bidirectional_attention", "gemma4") {
                expected = "\"vision\"";
            }
            if let Some(found) = config.get(name).map(Value::to_string).filter(|found| found != expected) {
                return Err(unsupported(name, &found, expected));
            }
        }
        let names = ["hidden_activation", "hidden_act", "activation_function", "activation", "afn"];
        if let Some(found) = config.text(&names)?.filter(|found| !self.family.activations.contains(&found.as_str())) {
            return Err(unsupported(names[1], &found, &self.family.activations.join(", ")));
        }
        let jitter = config.number(&["router_jitter_noise"])?.filter(|_| self.family.architecture == "phimoe");
        match jitter {
            Some(jitter) if jitter != 0.01 => Err(unsupported("router_jitter_noise", &jitter.to_string(), "0.01")),
            _ => Ok(()),
        }
    }

    fn hyperparameters(&mut self, config: &Object) -> Result<()> {
        for (i, (key, names)) in COUNTS.into_iter().enumerate() {
            match config.count(names)? {
                Some(count) => self.put(key, count),
                // without attention
                None if self.scans_alone() && (2..REQUIRED).contains(&i) => self.put(key, 0u32),
                // the first models of these architectures do not state it
                None if key == "context_length" && matches!(self.family.architecture, "falcon" | "bloom") => {
                    self.put(key, 2048u32)
                }
                // positions are distances; GGUF says what the first models were trained for
                None if key == "context_length" && matches!(self.family.architecture, "t5encoder" | "t5") => {
                    self.put(key, 512u32)
                }
                None if i < REQUIRED => return Err(invalid(names[0], "an integer", "none".into())),
                None => {}
            }
        }
        let count = |names: &[&str]| Ok::<_, Error>(config.count(names)?.unwrap_or(0) as usize);
        let hidden = count(COUNTS[0].1)?;
        self.layers = count(COUNTS[1].1)?;
        let heads = count(COUNTS[2].1)?;
        self.experts = count(COUNTS[4].1)?;
        if !self.scans_alone() {
            self.attention_heads(config, hidden, heads)?;
        }
        let listed = config.get("intermediate_size").is_some_and(Value::is_array);
        let names = ["block_ff_dim", "intermediate_size", "ffn_hidden_size", "n_inner", "hidden_dim", "d_ff"];
        let ffn = if listed && self.family.architecture == "gemma3n" { None } else { config.count(&names)? };
        let ffn = ffn.unwrap_or((hidden as u32).saturating_mul(4));
        let ffn = match self.family.architecture {
            "lfm2" | "lfm2moe" => self.convolutions(config, ffn)?,
            // a block for all tokens, beside experts if there are any
            "granitehybrid" if self.experts == 0 => config.count(&["shared_intermediate_size"])?.unwrap_or(ffn),
            _ => ffn,
        };
        let lfm2 = self.convolves();
        self.put("feed_forward_length", ffn);
        let eps = if lfm2 { ["norm_eps"] } else { ["rms_norm_eps"] };
        if let Some(eps) = config.number(&eps)? {
            self.put("attention.layer_norm_rms_epsilon", eps as f32);
        }
        // MPT's own files do not state it
        let usual = (self.family.architecture == "mpt").then_some(1e-5);
        if let Some(eps) =
            config.number(&["layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"])?.or(usual)
        {
            self.put("attention.layer_norm_epsilon", eps as f32);
        }
        if let Some(size) = config.count(&["vocab_size"])? {
            self.put("vocab_size", size);
        }
        for (key, name) in FACTORS {
            if let Some(factor) = config.number(&[name])? {
                self.put_own(key, factor as f32);
            }
        }
        if matches!(self.family.architecture, "minicpm" | "minicpm3") {
            let number = |name| config.number(&[name])?.ok_or_else(|| invalid(name, "a number", "none".into()));
            let (depth, base) = (number("scale_depth")?, number("dim_model_base")?);
            self.put_own("embedding_scale", number("scale_emb")? as f32);
            self.put_own("residual_scale", (depth / (self.layers as f64).sqrt()) as f32);
            self.put_own("logit_scale", (hidden as f64 / base) as f32);
        }
        if let Some(shared) = config.count(&["moe_num_shared_experts"])? {
            // one block for all of them
            let width = count(&["moe_intermediate_size"])? as u32;
            self.put("expert_shared_feed_forward_length", shared.saturating_mul(width));
        }
        if let Some(last) = config.get("moe_layer_end_index").map(Value::to_string) {
            let whole = (self.layers as i64 - 1).to_string();
            if last != "-1" && last != whole {
                return Err(unsupported("moe_layer_end_index", &last, &whole));
            }
        }
        if let Some(width) = config.number(&["query_pre_attn_scalar"])? {
            self.put_own("attention.scale", 1.0 / (width as f32).sqrt());
        }
        if let Some(normed) = config.flag("norm_topk_prob")? {
            self.put_own("expert_weights_norm", normed);
        }
        for name in ["use_parallel_residual", "parallel_attn"] {
            if let Some(parallel) = config.flag(name)? {
                self.put_own("use_parallel_residual", parallel);
            }
        }
        Ok(())
    }

    /// Reads the heads of attention.
    fn attention_heads(&mut self, config: &Object, hidden: usize, heads: usize) -> Result<()> {
        let kv_heads = match (config.flag("multi_query")?, config.flag("new_decoder_architecture")?.unwrap_or(false)) {
            (Some(true), false) => 1,
            (Some(false), false) => heads,
            _ => config.count(&["num_kv_heads", "num_key_value_heads", "n_head_kv"])?.map_or(heads, |n| n as usize),
        };
        let head_dim =
            config.count(&["head_dim", "d_kv"])?.map_or(hidden.checked_div(heads).unwrap_or(0), |n| n as usize);
        let divide = kv_heads > 0 && heads.is_multiple_of(kv_heads) && head_dim > 0 && head_dim.is_multiple_of(2);
        if !divide || heads > MOST || head_dim > MOST || self.experts > MOST {
            let expected = "a multiple of num_key_value_heads, with an even head_dim, and at most 65536 of each";
            let got = format!("{heads}, {kv_heads}, {head_dim} and {} experts", self.experts);
            return Err(invalid("num_attention_heads", expected, got));
        }
        self.heads = Heads { heads, kv_heads, head_dim, ..Heads::default() };
        if self.is_latent() {
            return self.latent_heads(config, hidden, heads);
        }
        self.put("attention.head_count_kv", kv_heads as u32);
        if hidden != heads * head_dim {
            self.put("attention.key_length", head_dim as u32);
            self.put("attention.value_length", head_dim as u32);
        }
        Ok(())
    }

    fn convolves(&self) -> bool {
        matches!(self.family.architecture, "lfm2" | "lfm2moe")
    }

    fn is_delta(&self) -> bool {
        matches!(self.family.architecture, "qwen35" | "qwen35moe" | "qwen3next")
    }

    /// Reads which layers have attention, the others being of a kind with one of these names.
    pub(super) fn layers_that_attend(&mut self, config: &Object, others: [&str; 2]) -> Result<()> {
        let types = config.get("layer_types").and_then(Value::as_array);
        let attends = config.get("full_attn_idxs").and_then(Value::as_array);
        let kv_heads = self.heads.kv_heads as u32;
        let heads = |layer: usize| match (types, attends) {
            (Some(types), _) => match types.get(layer).and_then(Value::as_str).unwrap_or("none") {
                "full_attention" | "attention" => Ok(kv_heads),
                kind if others.contains(&kind) => Ok(0),
                kind => Err(unsupported(&format!("layer_types[{layer}]"), kind, &format!("attention, {}", others[0]))),
            },
            (None, Some(attends)) if !attends.iter().any(|index| index.as_u64() == Some(layer as u64)) => Ok(0),
            (None, _) => Ok(if self.scans() { 0 } else { kv_heads }),
        };
        let heads: Vec<u32> = (0..self.layers.min(MOST)).map(heads).collect::<Result<_>>()?;
        self.put("attention.head_count_kv", crate::format::Array::U32(heads));
        Ok(())
    }

    /// Reads the convolutions of LFM2. Returns the width of its feed-forward layers, which is less
    /// than the configuration says.
    fn convolutions(&mut self, config: &Object, ffn: u32) -> Result<u32> {
        self.layers_that_attend(config, ["conv"; 2])?;
        self.put("shortconv.l_cache", config.count(&["conv_L_cache"])?.unwrap_or(3));
        if self.experts > 0 || config.flag("block_auto_adjust_ff_dim")? == Some(false) {
            return Ok(ffn);
        }
        let width = f64::from(u32::try_from(u64::from(ffn) * 2 / 3).unwrap_or(ffn));
        let multiple = config.count(&["block_multiple_of"])?.unwrap_or(256).max(1);
        let width = (width * config.number(&["block_ffn_dim_multiplier"])?.unwrap_or(1.0)) as u32;
        Ok(width.div_ceil(multiple).saturating_mul(multiple))
    }

    /// Reads sliding windows, and checks that windows and layers without RoPE are where GGUF's
    /// architecture has them.
    fn window(&mut self, config: &Object) -> Result<()> {
        let window = config.count(&["sliding_window", "local_attention"])?.filter(|&window| window > 0);
        let used = window.is_some() && config.flag("use_sliding_window")?.unwrap_or(true);
        let windowed = |layer: usize| match self.family.windowed {
            Windowed::Never => false,
            Windowed::All | Windowed::Listed => used,
            Windowed::AllButEvery(n) => used && !(layer + 1).is_multiple_of(n),
            Windowed::AllButFirstOf(n) => used && !layer.is_multiple_of(n),
        };
        let expected = |layer: usize| if windowed(layer) { "sliding_attention" } else { "full_attention" };
        let types = config.get("layer_types").filter(|_| !self.convolves() && !self.is_delta() && !self.scans());
        if let Some(types) = types.and_then(Value::as_array) {
            let listed = used && !matches!(self.family.windowed, Windowed::Never | Windowed::All);
            let known = |layer: usize| {
                listed && ["sliding_attention", "full_attention"].contains(&types[layer].as_str().unwrap_or_default())
            };
            let other = |layer: &usize| types[*layer] != expected(*layer);
            if let Some(layer) = (0..types.len()).find(|layer| other(layer) && !known(*layer)) {
                return Err(unsupported(&format!("layer_types[{layer}]"), &types[layer].to_string(), expected(layer)));
            }
            if (0..types.len()).any(|layer| other(&layer)) {
                let flags: Vec<i32> = types.iter().map(|kind| i32::from(kind == "sliding_attention")).collect();
                self.put_own("attention.sliding_window_pattern", flags);
            }
        } else if config.flag("use_sliding_window")? == Some(true) && self.family.windowed == Windowed::Never {
            let first = config.count(&["max_window_layers"])?.unwrap_or(0) as usize;
            if used && first < self.layers {
                return Err(unsupported("use_sliding_window", "true", "false"));
            }
        }
        let every = config.count(&["global_attn_every_n_layers"])?.filter(|_| config.get("layer_types").is_none());
        if let (Windowed::AllButFirstOf(_), Some(every)) = (self.family.windowed, every) {
            self.put_own("attention.sliding_window_pattern", every);
        }
        let letters = config.get("sliding_window_pattern").and_then(Value::as_str);
        let pattern = match letters {
            // `LLLG`: three layers with a window, one without
            Some(letters) if letters.trim_start_matches('L') == "G" => Some(letters.len()),
            _ => config.count(&["sliding_window_pattern"])?.map(|n| n as usize),
        };
        if let (Windowed::AllButEvery(n), Some(found)) = (self.family.windowed, pattern.filter(|_| used))
            && n != found
            && config.get("layer_types").is_none()
        {
            return Err(unsupported("sliding_window_pattern", &found.to_string(), &n.to_string()));
        }
        if let Some(flags) = config.get("no_rope_layers").and_then(Value::as_array) {
            // 0 is a layer without RoPE
            let expected = |layer: usize| u64::from(!(layer + 1).is_multiple_of(4));
            if let Some(layer) = (0..flags.len()).find(|&layer| flags[layer].as_u64() != Some(expected(layer))) {
                let (what, found) = (format!("no_rope_layers[{layer}]"), flags[layer].to_string());
                return Err(unsupported(&what, &found, &expected(layer).to_string()));
            }
        }
        if let Some(window) = window.filter(|_| used && self.family.windowed != Windowed::Never) {
            self.put_own("attention.sliding_window", window);
        }
        Ok(())
    }

    /// Reads SmallThinker's lists of the layers that have a window, and of those that turn queries
    /// and keys: the same ones, or all where none has a window.
    fn layouts(&mut self, config: &Object) -> Result<()> {
        let layers = 0..self.layers.min(MOST);
        let flag = |name: &str, layer: usize| match config.get(name).and_then(|flags| flags.get(layer)?.as_u64()) {
            Some(flag @ 0..2) => Ok(flag as i32),
            _ => Err(invalid(&format!("{name}[{layer}]"), "0 or 1", config.0[name][layer].to_string())),
        };
        let windows = layers.map(|layer| flag("sliding_window_layout", layer)).collect::<Result<Vec<_>>>()?;
        let any = windows.contains(&1);
        for (layer, window) in windows.iter().enumerate() {
            let (rotates, expected) = (flag("rope_layout", layer)?, if any { *window } else { 1 });
            if rotates != expected {
                let name = format!("rope_layout[{layer}]");
                return Err(unsupported(&name, &rotates.to_string(), &expected.to_string()));
            }
        }
        if any {
            let size = config.count(&["sliding_window_size"])?.filter(|&size| size > 0);
            let size = size.ok_or_else(|| invalid("sliding_window_size", "an integer above 0", "none".into()))?;
            self.put_own("attention.sliding_window", size);
            self.put_own("attention.sliding_window_pattern", windows);
        }
        let softmax = config.flag("moe_primary_router_apply_softmax")?.unwrap_or(false);
        self.put("expert_gating_func", if softmax { 1u32 } else { 2 });
        Ok(())
    }

    /// The labels of a classifier, and whether it reads a whole text.
    fn classes(&mut self, config: &Object) {
        let labels = config.get("id2label").and_then(Value::as_object);
        let mut labels: Vec<(u32, String)> = (labels.into_iter().flatten())
            .filter_map(|(id, label)| Some((id.parse().ok()?, label.as_str()?.to_owned())))
            .collect();
        labels.sort_unstable();
        if self.class.ends_with("Classification") && !labels.is_empty() {
            let labels: Vec<String> = labels.into_iter().map(|(_, label)| label).collect();
            self.put("classifier.output_labels", labels);
        }
        if self.class.ends_with("ForSequenceClassification") {
            self.put("pooling_type", 4u32);
        }
    }

    fn encoder(&mut self, config: &Object, model_type: &str) -> Result<()> {
        if model_type == "distilbert" {
            // a constant in transformers' code
            self.put("attention.layer_norm_epsilon", 1e-12f32);
        }
        self.put("attention.causal", false);
        let segments = config.count(&["type_vocab_size"])?;
        if let Some(segments) = segments.or((self.family.architecture == "bert").then_some(1)) {
            self.metadata.insert("tokenizer.ggml.token_type_count", segments);
        }
        if matches!(model_type, "roberta" | "xlm-roberta" | "camembert") {
            let skipped = config.count(&["pad_token_id"])?.unwrap_or(1).saturating_add(1);
            let positions = config.count(COUNTS[3].1)?.unwrap_or(0);
            self.skipped_positions = skipped as usize;
            self.put("context_length", positions.saturating_sub(skipped));
        }
        if self.class.ends_with("ForSequenceClassification") {
            if let Some(pooling) = config.text(&["classifier_pooling"])? {
                self.put("classifier.pooling", pooling);
            }
            if model_type == "distilbert" {
                self.put("classifier.activation", "relu");
            }
        }
        Ok(())
    }
}

impl ParsedConfig {
    /// Reads the buckets of distances, and what only a model of both halves has. What the
    /// feed-forward layers are, the tensors say.
    fn t5(&mut self, config: &Object, model_type: &str) -> Result<()> {
        if self.family.architecture == "t5" {
            if let Some(layers) = config.count(&["num_decoder_layers"])? {
                self.put("decoder_block_count", layers);
                self.layers = self.layers.max(layers as usize);
            }
            // newer versions of transformers keep only what follows from the other
            let scales = config.flag("scale_decoder_outputs")?.or(config.flag("tie_word_embeddings")?);
            self.put_own("scales_outputs", model_type != "mt5" && scales.unwrap_or(true));
            // a matrix that is there counts
            self.tied = false;
        } else if !self.class.is_empty() && !self.class.ends_with("EncoderModel") {
            let known = "T5EncoderModel, T5ForConditionalGeneration, and those of MT5 and UMT5";
            return Err(unsupported("architectures", &self.class, known));
        }
        let known = ["relu", "gated-gelu"];
        let found = config.text(&["feed_forward_proj"])?.filter(|found| !known.contains(&found.as_str()));
        if let Some(found) = found {
            return Err(unsupported("feed_forward_proj", &found, &known.join(", ")));
        }
        let count = |name, usual| Ok::<_, Error>(config.count(&[name])?.unwrap_or(usual));
        self.put("attention.relative_buckets_count", count("relative_attention_num_buckets", 32)?);
        self.put_own("attention.relative_max_distance", count("relative_attention_max_distance", 128)?);
        Ok(())
    }
}

/// Whether transformers ties the output to the embedding table by default.
fn ties(architecture: &str) -> bool {
    matches!(
        architecture,
        "lfm2"
            | "lfm2moe"
            | "mamba"
            | "gemma"
            | "gemma2"
            | "gemma3"
            | "gemma4"
            | "gemma3n"
            | "gpt2"
            | "openai-gpt"
            | "falcon"
            | "mpt"
            | "bloom"
            | "minicpm3"
    ) || is_encoder(architecture)
}

/// Whether its tokens see all others.
fn is_encoder(architecture: &str) -> bool {
    matches!(architecture, "bert" | "jina-bert-v2" | "nomic-bert" | "modern-bert" | "gemma-embedding" | "t5encoder")
}

/// The architecture of GGUF where it depends on more than the type of the model.
fn special(config: &Object) -> Result<Option<&'static str>> {
    let class = config.0["architectures"][0].as_str().unwrap_or_default();
    let alibi = config.text(&["position_embedding_type"])?.is_some_and(|kind| kind == "alibi");
    // Gemma 4 has a string here
    Ok(match config.get("use_bidirectional_attention") {
        Some(Value::Bool(true)) => Some("gemma-embedding"),
        _ if alibi => Some("jina-bert-v2"),
        _ if class.ends_with("T5ForConditionalGeneration") => Some("t5"),
        _ => None,
    })
}

/// Parses a JSON file. Errors: `InvalidModel` naming it.
pub(super) fn parse(file: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::InvalidModel {
        what: file.into(),
        expected: "JSON".into(),
        got: error.to_string(),
    })
}

pub(super) fn invalid(name: &str, expected: &str, got: String) -> Error {
    Error::InvalidModel { what: format!("config.json: `{name}`"), expected: expected.into(), got }
}

pub(super) fn unsupported(name: &str, found: &str, known: &str) -> Error {
    Error::UnsupportedModel { what: format!("config.json: `{name}`"), found: found.into(), known: known.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn llama(changes: Value) -> Result<ParsedConfig> {
        let mut config = json!({"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 24, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
            "hidden_act": "silu", "vocab_size": 8});
        for (key, value) in changes.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        ParsedConfig::new(&config.to_string())
    }

    #[test]
    fn old_rope_settings_equal_new_ones() {
        let old = json!({"rope_theta": 5e5,
            "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}});
        let new = json!({"rope_parameters": {"rope_type": "yarn", "rope_theta": 5e5, "factor": 4.0,
            "original_max_position_embeddings": 16}});
        let (old, new) = (llama(old).unwrap(), llama(new).unwrap());
        assert_eq!(old.metadata, new.metadata);
        assert_eq!(old.metadata.f32("llama.rope.freq_base").unwrap(), 5e5);
        assert_eq!(old.metadata.u32("llama.rope.scaling.original_context_length").unwrap(), 16);
    }

    #[test]
    fn dynamic_scaling_changes_nothing_within_the_trained_length() {
        let dynamic = llama(json!({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}})).unwrap();
        assert_eq!(dynamic.metadata, llama(json!({})).unwrap().metadata);
    }

    /// One factor for scores, another for what is rotated: GGUF's key where that is 1.
    #[test]
    fn yarn_of_latent_attention_has_two_factors() {
        let read = |one: f64, all: f64| {
            let changes = json!({"model_type": "deepseek_v3", "kv_lora_rank": 8, "qk_nope_head_dim": 12,
                "qk_rope_head_dim": 4, "v_head_dim": 4, "rope_scaling": {"type": "yarn", "factor": 4.0,
                "mscale": one, "mscale_all_dim": all, "original_max_position_embeddings": 16}});
            let metadata = llama(changes).unwrap().metadata;
            let keys = ["weft.attention.scale", "deepseek2.rope.scaling.attn_factor"];
            let [scale, rotated] = keys.map(|key| metadata.opt_f32(key).unwrap());
            (scale, rotated, metadata.opt_f32("deepseek2.rope.scaling.yarn_log_multiplier").unwrap())
        };
        let grown = |by: f64| 1.0 + 0.1 * by * 4f64.ln();
        assert_eq!(read(0.707, 0.707), (None, None, Some(0.0707)));
        let (scale, rotated) = ((grown(0.5).powi(2) / 4.0) as f32, (grown(1.0) / grown(0.5) / grown(1.0)) as f32);
        assert_eq!(read(1.0, 0.5), (Some(scale), Some(rotated), None));
        assert_eq!(read(1.0, 0.0), (None, Some(1.0), None));
        assert_eq!(read(0.0, 0.5), (Some(scale), Some(1.0), None));
    }

    #[test]
    fn settings_that_weft_does_not_support_are_refused_by_name() {
        let refused = |changes: Value, expected: &str| {
            let error = llama(changes).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(json!({"model_type": null}), "`model_type`");
        refused(json!({"hidden_act": "relu"}), "`hidden_act` is `relu`; weft runs silu");
        refused(json!({"rope_scaling": {"rope_type": "ntk", "factor": 2.0}}), "ntk");
        refused(json!({"rope_scaling": {"rope_type": "linear"}}), "rope_scaling.factor");
        refused(
            json!({"rope_scaling": {"rope_type": "longrope", "long_factor": [1], "short_factor": [1]}}),
            "4 factors",
        );
        refused(json!({"layer_types": ["full_attention", "sliding_attention"]}), "layer_types[1]");
        refused(json!({"moe_layer_end_index": 0}), "`moe_layer_end_index` is `0`; weft runs 1");
        refused(json!({"use_sliding_window": true, "sliding_window": 8}), "use_sliding_window");
        refused(json!({"num_key_value_heads": 3}), "num_attention_heads");
        refused(json!({"num_key_value_heads": 0}), "num_attention_heads");
        refused(json!({"head_dim": 7}), "num_attention_heads");
        refused(json!({"hidden_size": "16"}), "`hidden_size`: expected an integer");
        refused(json!({"num_hidden_layers": null}), "`num_hidden_layers`: expected an integer, got none");
        refused(json!({"no_rope_layers": [1, 0]}), "no_rope_layers[1]");
        let small = |windows: Value, rotates: Value| {
            json!({"model_type": "smallthinker", "hidden_act": null,
                "sliding_window_layout": windows, "rope_layout": rotates})
        };
        refused(small(json!([0, 1]), json!([1, 1])), "`rope_layout[0]` is `1`; weft runs 0");
        refused(small(json!([0, 0]), json!([1, 0])), "`rope_layout[1]` is `0`; weft runs 1");
        refused(small(json!([0]), json!([1, 1])), "sliding_window_layout[1]");
        refused(small(json!([0, 1]), json!([0, 1])), "sliding_window_size");
        let deepseek = |name: &str, value: Value| {
            let mut config = json!({"model_type": "deepseek_v3", "kv_lora_rank": 8, "qk_nope_head_dim": 4,
                "qk_rope_head_dim": 4, "v_head_dim": 4, "n_routed_experts": 4, "num_experts_per_tok": 2});
            config[name] = value;
            config
        };
        refused(deepseek("qk_nope_head_dim", json!(null)), "qk_nope_head_dim");
        refused(deepseek("kv_lora_rank", json!("8")), "kv_lora_rank");
        refused(deepseek("rope_interleave", json!(false)), "`rope_interleave` is `false`");
        refused(deepseek("scoring_func", json!("softmax")), "`scoring_func` is `softmax`; weft runs sigmoid");
        refused(json!({"model_type": "falcon", "alibi": true, "hidden_act": "gelu"}), "`alibi` is `true`");
        let delta = |name: &str, value: Value| {
            let mut config = json!({"model_type": "qwen3_next", "linear_num_key_heads": 2, "linear_num_value_heads": 4,
                "linear_key_head_dim": 8, "linear_value_head_dim": 12, "linear_conv_kernel_dim": 4});
            config[name] = value;
            config
        };
        refused(delta("linear_num_value_heads", json!(3)), "linear_num_value_heads");
        refused(delta("linear_key_head_dim", json!(null)), "linear_key_head_dim");
        refused(delta("linear_conv_kernel_dim", json!(0)), "linear_conv_kernel_dim");
        refused(delta("attn_output_gate", json!(false)), "`attn_output_gate` is `false`");
        let types = ["linear_attention", "full_attention", "full_attention"];
        refused(delta("layer_types", json!(types)), "layer_types[2]");
        let mpt = |attention| json!({"model_type": "mpt", "hidden_act": null, "attn_config": attention});
        refused(mpt(json!({"alibi": false})), "`attn_config.alibi` is `false`");
        refused(mpt(json!({"clip_qkv": 6})), "`attn_config.clip_qkv` is `6`");
        assert!(ParsedConfig::new("not JSON").unwrap_err().to_string().contains("config.json"));
    }
}
