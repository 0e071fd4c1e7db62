//! Layers with selective scans in `config.json`: of Mamba and Mamba-2, and of Granite 4, which has
//! attention in some layers.

use serde_json::Value;

use super::config::{Object, ParsedConfig, invalid, unsupported};
use crate::Result;

/// Where GGUF says that a model reads texts of any length.
const ANY_LENGTH: u32 = 1 << 20;

impl ParsedConfig {
    /// Whether layers without attention are selective scans.
    pub(super) fn scans(&self) -> bool {
        self.family.architecture == "granitehybrid" || self.scans_alone()
    }

    /// Whether all layers are.
    pub(super) fn scans_alone(&self) -> bool {
        matches!(self.family.architecture, "mamba" | "mamba2")
    }

    /// Reads the sizes of the scans, and which layers have attention.
    pub(super) fn read_scans(&mut self, config: &Object) -> Result<()> {
        let size = |names: &[&str], usual| Ok::<u32, crate::Error>(config.count(names)?.unwrap_or(usual));
        let hidden = size(&["hidden_size"], 0)?;
        if self.family.architecture == "mamba" {
            return self.columns(config, hidden);
        }
        let groups = size(&["mamba_n_groups", "n_groups"], 1)?;
        self.groups = groups as usize;
        self.put("ssm.inner_size", hidden.saturating_mul(size(&["mamba_expand", "expand"], 2)?));
        self.put("ssm.group_count", groups);
        self.put("ssm.time_step_rank", size(&["mamba_n_heads", "num_heads"], 128)?);
        self.put("ssm.state_size", size(&["mamba_d_state", "state_size"], 128)?);
        self.put("ssm.conv_kernel", size(&["mamba_d_conv", "conv_kernel"], 4)?);
        if let Some(limit) = config.get("time_step_limit").filter(|limit| !is_no_limit(limit)) {
            return Err(unsupported("time_step_limit", &limit.to_string(), "0 to infinity"));
        }
        if self.family.architecture != "granitehybrid" {
            self.put("context_length", ANY_LENGTH);
            return Ok(());
        }
        self.layers_that_attend(config, ["mamba", "linear_attention"])?;
        let rotates = config.text(&["position_embedding_type"])?.is_some_and(|kind| kind == "rope");
        self.put("rope.scaling.finetuned", rotates);
        if !rotates {
            self.put("context_length", ANY_LENGTH);
        }
        Ok(())
    }
}

impl ParsedConfig {
    /// The sizes of Mamba's scans. Nothing is left of how time steps were initialised.
    fn columns(&mut self, config: &Object, hidden: u32) -> Result<()> {
        let rank = match config.get("time_step_rank") {
            None | Some(Value::String(_)) => match config.text(&["time_step_rank"])?.as_deref().unwrap_or("auto") {
                "auto" => hidden.div_ceil(16),
                found => return Err(invalid("time_step_rank", "an integer or `auto`", format!("`{found}`"))),
            },
            Some(_) => config.count(&["time_step_rank"])?.unwrap_or(0),
        };
        let inner = match config.count(&["intermediate_size"])? {
            Some(inner) => inner,
            None => hidden.saturating_mul(config.count(&["expand"])?.unwrap_or(2)),
        };
        self.put("context_length", ANY_LENGTH);
        self.put("ssm.inner_size", inner);
        self.put("ssm.time_step_rank", rank);
        self.put("ssm.state_size", config.count(&["state_size"])?.unwrap_or(16));
        self.put("ssm.conv_kernel", config.count(&["conv_kernel"])?.unwrap_or(4));
        let normed = config.text(&["model_type"])?.is_some_and(|kind| kind == "falcon_mamba");
        self.put("ssm.dt_b_c_rms", normed);
        if let Some(eps) = config.number(&["mixer_rms_eps"])?.filter(|_| normed) {
            self.put_own("ssm.step_norm_epsilon", eps as f32);
        }
        Ok(())
    }
}

/// From 0 to infinity, which JSON has no number for.
fn is_no_limit(limit: &Value) -> bool {
    let ends = limit.as_array().map(Vec::as_slice);
    matches!(ends, Some([least, most]) if least.as_f64() == Some(0.0)
        && (most.is_null() || most.get("__float__").is_some_and(|name| name == "Infinity")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::format::{Array, Metadata};

    fn granite(changes: Value) -> Result<Metadata> {
        let mut config = json!({"model_type": "granitemoehybrid", "hidden_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 24, "max_position_embeddings": 64,
            "rms_norm_eps": 1e-5, "mamba_n_heads": 8, "layer_types": ["mamba", "attention"]});
        for (key, value) in changes.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        ParsedConfig::new(&config.to_string()).map(|config| config.metadata)
    }

    #[test]
    fn layers_are_told_by_both_names() {
        let heads = |types: Value| granite(json!({"layer_types": types})).unwrap();
        let key = "granitehybrid.attention.head_count_kv";
        let mixed = heads(json!(["linear_attention", "full_attention"]));
        assert_eq!(mixed.get(key), granite(json!({})).unwrap().get(key));
        assert_eq!(mixed.get(key), Some(&Array::U32(vec![0, 2]).into()));
        assert_eq!(heads(json!(["attention", "attention"])).get(key), Some(&Array::U32(vec![2, 2]).into()));
        let error = |types: Value| granite(json!({"layer_types": types})).unwrap_err().to_string();
        assert!(error(json!(["mamba"])).contains("layer_types[1]"));
        assert!(error(json!(["mamba", "conv"])).contains("layer_types[1]` is `conv`; weft runs attention, mamba"));
    }

    #[test]
    fn ranks_of_time_steps_are_numbers_or_left_to_the_width() {
        let read = |changes: Value| {
            let mut config = json!({"model_type": "falcon_mamba", "hidden_size": 40, "num_hidden_layers": 2});
            for (key, value) in changes.as_object().into_iter().flatten() {
                config[key] = value.clone();
            }
            ParsedConfig::new(&config.to_string()).map(|config| config.metadata).map_err(|error| error.to_string())
        };
        let rank =
            |value: Value| read(json!({"time_step_rank": value})).unwrap().u32("mamba.ssm.time_step_rank").unwrap();
        assert_eq!([rank(json!("auto")), rank(json!(null)), rank(json!(7))], [3, 3, 7]);
        assert_eq!(read(json!({})).unwrap().u32("mamba.ssm.inner_size").unwrap(), 80);
        assert_eq!(read(json!({})).unwrap().opt_bool("mamba.ssm.dt_b_c_rms").unwrap(), Some(true));
        assert!(read(json!({"time_step_rank": "low"})).unwrap_err().contains("time_step_rank"));
        assert!(read(json!({"time_step_rank": -1})).unwrap_err().contains("time_step_rank"));
    }

    /// Python writes `Infinity`, which is no JSON.
    #[test]
    fn a_bound_of_time_steps_is_refused() {
        let plain = r#"{"model_type": "mamba2", "hidden_size": 16, "num_hidden_layers": 2, "time_step_limit": LIMIT}"#;
        let read = |limit: &str| ParsedConfig::new(&plain.replace("LIMIT", limit)).map(|config| config.metadata);
        let expected = read("null").unwrap();
        assert_eq!(expected.u32("mamba2.ssm.inner_size").unwrap(), 32);
        for limit in ["[0.0, Infinity]", "[0.0,Infinity]", r#"[0.0, {"__float__": "Infinity"}]"#] {
            assert_eq!(read(limit).unwrap(), expected, "{limit}");
        }
        for limit in ["[0.0, 0.1]", "[0.001, Infinity]", "7"] {
            assert!(read(limit).unwrap_err().to_string().contains("time_step_limit"), "{limit}");
        }
    }
}
