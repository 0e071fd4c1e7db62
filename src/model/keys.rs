//! Reads hyperparameters by their GGUF names, `<architecture>.<key>`.
//!
//! llama.cpp's saver writes every key it knows into every file, and its loaders read only the keys
//! their architecture uses. [`KEYS`] does the same: for each key, which architectures read it and
//! which values mean "not set".

use super::architecture::Architecture;
use crate::format::Value;
use crate::format::metadata::{Array, Metadata};
use crate::{Error, Result};

/// A key of GGUF.
struct Key {
    name: &'static str,
    /// Values that mean "not set": the architecture's default applies.
    unset: &'static [f64],
    readers: Readers,
}

/// Which architectures read a key, after llama.cpp's loaders. Others ignore it.
enum Readers {
    All,
    Only(&'static [&'static str]),
    /// None: the key exists only as `weft.<key>`, see [`OWN`].
    Folders,
}

/// Prefix of values that only a model's folder has and llama.cpp fixes per architecture, such as
/// `weft.attention.scale`. They come first for every architecture.
const OWN: &str = "weft";

/// Every value counts.
const NEEDED: &[f64] = &[];
/// 0 means "not set".
const ZERO: &[f64] = &[0.0];
/// 0 or -1, as a signed or unsigned integer, means "not set".
const NONE: &[f64] = &[0.0, -1.0, u32::MAX as f64];
/// -1 means "not set"; 0 is a value.
const MINUS_ONE: &[f64] = &[-1.0, u32::MAX as f64];

const fn of_all(name: &'static str, unset: &'static [f64]) -> Key {
    Key { name, unset, readers: Readers::All }
}

const fn of(readers: &'static [&'static str], name: &'static str, unset: &'static [f64]) -> Key {
    Key { name, unset, readers: Readers::Only(readers) }
}

const fn of_folders(name: &'static str, unset: &'static [f64]) -> Key {
    Key { name, unset, readers: Readers::Folders }
}

/// Architectures with a gated delta rule.
const DELTA: &[&str] = &["qwen35", "qwen35moe", "qwen3next"];
/// The same, and those with a selective scan.
const RECURRENT: &[&str] = &["qwen35", "qwen35moe", "qwen3next", "granitehybrid", "mamba", "mamba2"];
const T5: &[&str] = &["t5encoder", "t5"];
/// Architectures with latent attention.
const LATENT: &[&str] = &["minicpm3", "deepseek2"];
/// Architectures with the time mixing of RWKV-7.
const WKV: &[&str] = &["rwkv7"];
const GRANITE: &[&str] = &["granite", "granitemoe", "granitehybrid"];

/// Every key that weft reads, sorted by name.
const KEYS: &[Key] = &[
    of(&["gemma3n"], "activation_sparsity_scale", NEEDED),
    of(&["gemma3n"], "altup.active_idx", NEEDED),
    of(&["gemma3n"], "altup.num_inputs", NEEDED),
    of_all("attention.causal", NEEDED),
    of(&["mpt"], "attention.clamp_kqv", ZERO),
    of(WKV, "attention.decay_lora_rank", NONE),
    of(WKV, "attention.gate_lora_rank", NONE),
    of_all("attention.head_count", NEEDED),
    of_all("attention.head_count_kv", NONE),
    of(WKV, "attention.iclr_lora_rank", NONE),
    of_all("attention.key_length", NONE),
    of(LATENT, "attention.key_length_mla", NONE),
    of(&["gemma4", "gemma3n"], "attention.key_length_swa", NONE),
    of(LATENT, "attention.kv_lora_rank", NONE),
    of_all("attention.layer_norm_epsilon", ZERO),
    of_all("attention.layer_norm_rms_epsilon", ZERO),
    of(&["mpt"], "attention.max_alibi_bias", ZERO),
    of(&["grok"], "attention.output_scale", ZERO),
    of(LATENT, "attention.q_lora_rank", NONE),
    of(T5, "attention.relative_buckets_count", NONE),
    of_folders("attention.relative_max_distance", NONE),
    of(GRANITE, "attention.scale", ZERO),
    of(&["gemma4", "gemma3n"], "attention.shared_kv_layers", NONE),
    // llama.cpp's loaders of llama and starcoder2 ignore the window, but Mistral and StarCoder2
    // were trained with one
    of(
        &[
            "gemma2",
            "gemma3",
            "gemma4",
            "gemma3n",
            "phi3",
            "llama",
            "starcoder2",
            "olmo2",
            "gpt-oss",
            "exaone4",
            "smallthinker",
            "modern-bert",
            "gemma-embedding",
        ],
        "attention.sliding_window",
        NONE,
    ),
    of(
        &[
            "gemma2",
            "gemma3",
            "gemma4",
            "gemma3n",
            "llama",
            "olmo2",
            "gpt-oss",
            "exaone4",
            "smallthinker",
            "modern-bert",
            "gemma-embedding",
        ],
        "attention.sliding_window_pattern",
        NONE,
    ),
    of(&["mistral3"], "attention.temperature_length", NONE),
    of(&["mistral3"], "attention.temperature_scale", ZERO),
    of_all("attention.value_length", NONE),
    of(LATENT, "attention.value_length_mla", NONE),
    of(&["gemma4", "gemma3n"], "attention.value_length_swa", NONE),
    of(WKV, "attention.value_residual_mix_lora_rank", NONE),
    of(&["gemma2", "grok"], "attn_logit_softcapping", MINUS_ONE),
    of_all("block_count", NEEDED),
    of(&["bert"], "classifier.activation", NEEDED),
    of_all("classifier.output_labels", NEEDED),
    of(&["modern-bert"], "classifier.pooling", NEEDED),
    of_all("context_length", NEEDED),
    of(&["t5"], "decoder_block_count", NONE),
    of(&["t5"], "decoder_start_token_id", &[-1.0, u32::MAX as f64]),
    of(&["gemma-embedding"], "dense_2_feat_out", ZERO),
    of(&["gemma-embedding"], "dense_3_feat_out", ZERO),
    of_all("embedding_length", NEEDED),
    of(&["gemma4", "gemma3n"], "embedding_length_per_layer_input", NONE),
    of(&["granite", "granitemoe", "granitehybrid", "grok", "minicpm"], "embedding_scale", ZERO),
    of_all("expert_count", NONE),
    of(
        &[
            "qwen2moe",
            "qwen3moe",
            "grok",
            "gpt-oss",
            "lfm2moe",
            "qwen35moe",
            "qwen3next",
            "gemma4",
            "ernie4_5-moe",
            "smallthinker",
            "deepseek2",
        ],
        "expert_feed_forward_length",
        NONE,
    ),
    of_all("expert_gating_func", NONE),
    of_all("expert_group_count", NONE),
    of(&["deepseek2"], "expert_group_used_count", NONE),
    of(&["deepseek2"], "expert_shared_count", NONE),
    of(
        &["qwen2moe", "qwen35moe", "qwen3next", "granitemoe", "granitehybrid", "ernie4_5-moe"],
        "expert_shared_feed_forward_length",
        NONE,
    ),
    of_all("expert_used_count", NONE),
    of(&["deepseek2"], "expert_weights_norm", NEEDED),
    of(&["llama_moe", "deepseek2"], "expert_weights_scale", ZERO),
    of_all("feed_forward_length", NEEDED),
    of(&["gemma2", "gemma3", "gemma4", "gemma3n", "grok"], "final_logit_softcapping", MINUS_ONE),
    of(DELTA, "full_attention_interval", NONE),
    of(&["ernie4_5-moe"], "interleave_moe_layer_step", ZERO),
    of_folders("laurel_rank", NEEDED),
    of(&["lfm2moe", "ernie4_5-moe", "deepseek2"], "leading_dense_block_count", ZERO),
    of(&["granite", "granitemoe", "granitehybrid", "grok", "minicpm"], "logit_scale", ZERO),
    of(&["nomic-bert-moe"], "moe_every_n_layers", ZERO),
    of(DELTA, "nextn_predict_layers", NONE),
    of_all("pooling_type", MINUS_ONE),
    of(&["granite", "granitemoe", "granitehybrid", "minicpm"], "residual_scale", ZERO),
    of_all("rope.dimension_count", NONE),
    of(&["gemma4", "gemma3n"], "rope.dimension_count_swa", NONE),
    of_all("rope.freq_base", ZERO),
    of(
        &[
            "gemma2",
            "gemma3",
            "gemma3n",
            "gemma4",
            "olmo2",
            "exaone4",
            "smallthinker",
            "modern-bert",
            "gemma-embedding",
        ],
        "rope.freq_base_swa",
        ZERO,
    ),
    of_all("rope.scale_linear", ZERO),
    of_all("rope.scaling.attn_factor", ZERO),
    of_all("rope.scaling.factor", ZERO),
    of(GRANITE, "rope.scaling.finetuned", NEEDED),
    of_all("rope.scaling.original_context_length", NONE),
    of_all("rope.scaling.type", NEEDED),
    of_all("rope.scaling.yarn_beta_fast", &[0.0, -1.0]),
    of_all("rope.scaling.yarn_beta_slow", &[0.0, -1.0]),
    of(&["mistral3", "deepseek2"], "rope.scaling.yarn_log_multiplier", ZERO),
    of_folders("rope.scaling.yarn_truncate", NEEDED),
    of_folders("scales_outputs", NEEDED),
    of(&["lfm2", "lfm2moe"], "shortconv.l_cache", ZERO),
    of_folders("squared_relu", NEEDED),
    of(RECURRENT, "ssm.conv_kernel", NONE),
    of(&["mamba"], "ssm.dt_b_c_rms", NEEDED),
    of(RECURRENT, "ssm.group_count", NONE),
    of(RECURRENT, "ssm.inner_size", NONE),
    of(RECURRENT, "ssm.state_size", NONE),
    of_folders("ssm.step_norm_epsilon", NEEDED),
    of(RECURRENT, "ssm.time_step_rank", NONE),
    of(&["gptneox"], "use_parallel_residual", NEEDED),
    of(WKV, "wkv.head_size", NONE),
];

/// Reads `<architecture>.<key>`. A key that is not set, or that the architecture does not read, is
/// absent.
pub(super) struct Keys<'a> {
    pub metadata: &'a Metadata,
    pub architecture: &'static Architecture,
}

impl Keys<'_> {
    /// The full name of a key.
    pub fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture.name)
    }

    /// The full name of a key that is set.
    fn find(&self, name: &str) -> Option<String> {
        let key = KEYS.iter().find(|key| key.name == name)?;
        let candidates = [Some(format!("{OWN}.{name}")), self.reads(name).then(|| self.key(name))];
        candidates
            .into_iter()
            .flatten()
            .find(|whole| self.metadata.get(whole).is_some_and(|value| !key.is_unset(value)))
    }

    /// Whether the architecture reads this key of a file.
    pub fn reads(&self, name: &str) -> bool {
        KEYS.iter().find(|key| key.name == name).is_some_and(|key| match key.readers {
            Readers::All => true,
            Readers::Only(readers) => readers.contains(&self.architecture.name),
            Readers::Folders => false,
        })
    }

    pub fn opt_count(&self, name: &str) -> Result<Option<usize>> {
        let Some(key) = self.find(name) else { return Ok(None) };
        self.metadata.opt_uniform_u32(&key).map(|count| count.map(|count| count as usize))
    }

    pub fn count(&self, name: &str) -> Result<usize> {
        match self.opt_count(name)? {
            Some(count) => Ok(count),
            None => self.metadata.u32(&self.key(name)).map(|count| count as usize),
        }
    }

    pub fn opt_f32(&self, name: &str) -> Result<Option<f32>> {
        self.find(name).map_or(Ok(None), |key| self.metadata.opt_f32(&key))
    }

    pub fn f32_or(&self, name: &str, default: f32) -> Result<f32> {
        Ok(self.opt_f32(name)?.unwrap_or(default))
    }

    /// A soft cap; 0 means none.
    pub fn cap_or(&self, name: &str, default: Option<f32>) -> Result<Option<f32>> {
        Ok(self.opt_f32(name)?.or(default).filter(|&cap| cap != 0.0))
    }

    pub fn opt_bool(&self, name: &str) -> Result<Option<bool>> {
        self.find(name).map_or(Ok(None), |key| self.metadata.opt_bool(&key))
    }

    pub fn opt_str(&self, name: &str) -> Result<Option<&str>> {
        self.find(name).map_or(Ok(None), |key| self.metadata.opt_str(&key))
    }

    pub fn opt_strings(&self, name: &str) -> Result<Option<&[String]>> {
        self.find(name).map_or(Ok(None), |key| self.metadata.opt_strings(&key))
    }

    /// The value, of any type.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.find(name).and_then(|key| self.metadata.get(&key))
    }
}

impl Key {
    fn is_unset(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => text.is_empty(),
            Value::Array(Array::Strings(items)) => items.is_empty(),
            _ => value.uniform().is_some_and(|number| self.unset.contains(&number)),
        }
    }
}

pub(super) fn unsupported(what: &str, found: &str, known: &str) -> Error {
    Error::UnsupportedModel { what: what.into(), found: found.into(), known: known.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Config;
    use crate::model::architecture::NAMES;
    use crate::model::encoder_config::EncoderConfig;

    /// The keys that every file of an architecture has, and no others.
    fn least(architecture: &str) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", architecture);
        let counts = [
            ("block_count", 2u32),
            ("embedding_length", 24),
            ("feed_forward_length", 96),
            ("attention.head_count", 3),
            ("context_length", 64),
        ];
        let mut put = |key: &str, value: Value| metadata.insert(format!("{architecture}.{key}"), value);
        for (key, count) in counts {
            put(key, count.into());
        }
        if Architecture::named(architecture).unwrap().experts.is_some() {
            put("expert_count", 4u32.into());
            put("expert_used_count", 2u32.into());
        }
        let row = Architecture::named(architecture).unwrap();
        if row.delta.is_some() || row.scans {
            let sizes = [("conv_kernel", 4u32), ("group_count", 1), ("inner_size", 16)];
            for (key, size) in sizes.into_iter().chain([("state_size", 8), ("time_step_rank", 2)]) {
                put(&format!("ssm.{key}"), size.into());
            }
        }
        if row.wkv {
            put("wkv.head_size", 8u32.into());
            for rank in ["decay", "iclr", "value_residual_mix", "gate"] {
                put(&format!("attention.{rank}_lora_rank"), 4u32.into());
            }
        }
        if row.source.is_some() {
            put("decoder_start_token_id", 0u32.into());
        }
        if row.latent {
            let sizes = [("attention.kv_lora_rank", 8u32), ("attention.key_length", 12)];
            for (key, size) in sizes.into_iter().chain([("rope.dimension_count", 4)]) {
                put(key, size.into());
            }
        }
        put("attention.layer_norm_epsilon", 1e-5f32.into());
        put("attention.layer_norm_rms_epsilon", 1e-5f32.into());
        metadata
    }

    fn read(metadata: &Metadata) -> Result<(Config, Option<EncoderConfig>)> {
        let config = Config::from_metadata(metadata)?;
        let encoder = EncoderConfig::of(&config, metadata)?;
        Ok((config, encoder))
    }

    /// Asserts for each architecture in which `counts` holds: with `value` at `key` the config is
    /// the same as without the key.
    fn assert_ignored(key: &Key, value: &Value, counts: impl Fn(&str) -> bool) {
        for architecture in NAMES.into_iter().filter(|name| counts(name)) {
            let mut metadata = least(architecture);
            let whole = format!("{architecture}.{}", key.name);
            metadata.remove(|key| key == whole);
            let Ok(expected) = read(&metadata) else { continue };
            metadata.insert(whole.clone(), value.clone());
            match read(&metadata) {
                Ok(found) => assert_eq!(found, expected, "{whole} = {value}"),
                Err(error) => panic!("{whole} = {value}: {error}"),
            }
        }
    }

    /// llama.cpp's saver writes these values for absent properties; weft used to take them
    /// literally.
    #[test]
    fn unset_values_are_ignored() {
        for key in KEYS {
            for &number in key.unset {
                let forms: [Option<Value>; 5] = [
                    (f64::from(number as f32) == number).then(|| (number as f32).into()),
                    Some(number.into()),
                    (number <= f64::from(u32::MAX) && number >= 0.0).then(|| (number as u32).into()),
                    (number <= f64::from(i32::MAX)).then(|| (number as i32).into()),
                    Some(Array::F64(vec![number, number]).into()),
                ];
                for value in forms.into_iter().flatten() {
                    assert_ignored(key, &value, |_| true);
                }
            }
        }
        let key = |name: &str| KEYS.iter().find(|key| key.name == name).unwrap();
        assert_ignored(key("classifier.output_labels"), &Vec::<String>::new().into(), |_| true);
        assert_ignored(key("rope.scaling.type"), &"".into(), |_| true);
    }

    /// For example `use_parallel_residual` in a Falcon file, or the soft caps that the saver writes
    /// into files of every architecture.
    #[test]
    fn keys_of_other_architectures_are_ignored() {
        for key in KEYS {
            let readers: &[&str] = match key.readers {
                Readers::All => continue,
                Readers::Only(readers) => readers,
                Readers::Folders => &[],
            };
            for value in [Value::from(30.0f32), 7u32.into(), true.into(), "text".into(), vec![1, 2].into()] {
                assert_ignored(key, &value, |architecture| !readers.contains(&architecture));
            }
        }
    }

    #[test]
    fn each_reader_is_an_architecture() {
        for key in KEYS {
            if let Readers::Only(readers) = key.readers {
                assert!(readers.iter().all(|reader| NAMES.contains(reader)), "{}", key.name);
            }
        }
        assert!(KEYS.is_sorted_by_key(|key| key.name), "the table is sorted by name");
    }

    /// A value from the model's folder counts for every architecture.
    #[test]
    fn keys_of_weft_come_first() {
        let mut metadata = least("gemma2");
        metadata.insert("gemma2.attention.scale", 0.5f32);
        let usual = read(&metadata).unwrap().0.scales.attention;
        assert_eq!(usual, 1.0 / 8f32.sqrt());
        metadata.insert("weft.attention.scale", 0.25f32);
        assert_eq!(read(&metadata).unwrap().0.scales.attention, 0.25);
    }

    #[test]
    fn values_that_contradict_are_refused() {
        let refused: [(&str, &str, Value); 25] = [
            ("rwkv7", "wkv.head_size", 5u32.into()),
            ("rwkv7", "attention.gate_lora_rank", 6u32.into()),
            ("llama", "attention.causal", false.into()),
            ("bert", "attention.causal", true.into()),
            ("bert", "pooling_type", 9u32.into()),
            ("qwen2", "rope.scaling.type", "dynamic".into()),
            ("qwen2", "expert_count", 8u32.into()),
            ("qwen3moe", "expert_gating_func", 2u32.into()),
            ("qwen3moe", "expert_group_count", 2u32.into()),
            ("llama", "attention.head_count_kv", vec![1, 3].into()),
            ("llama", "rope.scaling.factor", (-2.0f32).into()),
            ("qwen35", "ssm.inner_size", 15u32.into()),
            ("qwen35", "ssm.group_count", 3u32.into()),
            ("qwen35", "ssm.conv_kernel", 9u32.into()),
            ("qwen35", "ssm.state_size", 7u32.into()),
            ("mamba2", "ssm.inner_size", 15u32.into()),
            ("mamba2", "ssm.group_count", 3u32.into()),
            ("granitehybrid", "ssm.conv_kernel", 9u32.into()),
            ("deepseek2", "attention.kv_lora_rank", 516u32.into()),
            ("deepseek2", "attention.q_lora_rank", 6u32.into()),
            ("deepseek2", "attention.key_length", 4u32.into()),
            ("deepseek2", "rope.dimension_count", 68u32.into()),
            ("deepseek2", "expert_gating_func", 3u32.into()),
            ("deepseek2", "expert_group_count", 3u32.into()),
            ("granitehybrid", "attention.head_count_kv", vec![1, 3].into()),
        ];
        for (architecture, key, value) in refused {
            let mut metadata = least(architecture);
            metadata.insert(format!("{architecture}.{key}"), value);
            let error = read(&metadata).unwrap_err().to_string();
            // what does not divide is told of the other
            let key = if key == "ssm.group_count" { "ssm.time_step_rank" } else { key };
            assert!(error.contains(key), "{error}");
        }
    }

    /// llama.cpp's saver writes a number of heads for models that have none.
    #[test]
    fn heads_of_models_without_attention_are_ignored() {
        for name in ["mamba", "mamba2", "rwkv7"] {
            let mut metadata = least(name);
            let expected = read(&metadata).unwrap();
            metadata.insert(format!("{name}.attention.head_count_kv"), 3u32);
            assert_eq!(read(&metadata).unwrap(), expected, "{name}");
        }
    }

    /// Decoders do not pool, so no value of this key refuses them.
    #[test]
    fn a_decoder_ignores_an_unknown_pooling() {
        for value in [Value::from(9u32), (-1).into(), "mean".into()] {
            let mut metadata = least("llama");
            metadata.insert("llama.pooling_type", value);
            assert_eq!(read(&metadata).unwrap().0.pooling, None);
        }
    }

    #[test]
    fn equal_values_per_layer_count_as_one() {
        let mut metadata = least("llama");
        let expected = read(&metadata).unwrap();
        metadata.insert("llama.attention.head_count", vec![3, 3]);
        metadata.insert("llama.attention.head_count_kv", Array::U32(vec![3, 3]));
        metadata.insert("llama.feed_forward_length", Array::U64(vec![96, 96]));
        assert_eq!(read(&metadata).unwrap(), expected);
    }

    #[test]
    fn windows_follow_the_pattern_of_the_file() {
        let mut metadata = least("gemma3");
        metadata.insert("gemma3.block_count", 4u32);
        metadata.insert("gemma3.attention.sliding_window", 8u32);
        let mut read = |pattern: Option<Value>| {
            metadata.remove(|key| key.ends_with("window_pattern"));
            if let Some(pattern) = pattern {
                metadata.insert("gemma3.attention.sliding_window_pattern", pattern);
            }
            Config::from_metadata(&metadata).map(|config| config.windowed).map_err(|error| error.to_string())
        };
        assert_eq!(read(None), Ok(vec![true; 4]));
        assert_eq!(read(Some(2u32.into())), Ok(vec![true, false, true, false]));
        assert_eq!(read(Some(0u32.into())), Ok(vec![true; 4]));
        assert_eq!(read(Some(Array::Bools(vec![false, true, true, false]).into())), Ok(vec![false, true, true, false]));
        assert!(read(Some(vec![1, 1].into())).unwrap_err().contains("a number for each of 4 layers"));
    }

    #[test]
    fn rope_scaling_defaults_to_linear_and_to_factor_1() {
        use crate::model::rope::Scaling;
        let read = |changes: &[(&str, Value)]| {
            let mut metadata = least("llama");
            for (key, value) in changes {
                metadata.insert(format!("llama.rope.{key}"), value.clone());
            }
            Config::from_metadata(&metadata).unwrap().rope.scaling
        };
        let kind = |kind: &str| ("scaling.type", Value::from(kind));
        assert_eq!(read(&[kind("linear")]), Scaling::None);
        assert_eq!(read(&[("scaling.factor", 4.0f32.into())]), Scaling::Linear { factor: 4.0 });
        assert_eq!(read(&[("scale_linear", 4.0f32.into())]), Scaling::Linear { factor: 4.0 });
        assert_eq!(read(&[kind("none"), ("scaling.factor", 4.0f32.into())]), Scaling::None);
        let Scaling::Yarn { factor, original_context, .. } = read(&[kind("yarn")]) else { panic!("no YaRN") };
        assert_eq!((factor, original_context), (1.0, 64));
    }
}
