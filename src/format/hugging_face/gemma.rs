//! What layers of Gemma 4 differ in, in `config.json`: widths of heads, key and value heads, widths
//! of feed-forward layers, and whose keys and values they read.

use serde_json::Value;

use super::config::{Object, ParsedConfig, invalid, unsupported};
use crate::Result;
use crate::format::Array;

impl ParsedConfig {
    /// Reads them under the names of today (`per_layer_config`) or those of the published models
    /// (`global_head_dim`), to be called after the settings that all layers share.
    pub(super) fn varied_widths(&mut self, config: &Object) -> Result<()> {
        let count = |names: &[&str]| Ok::<_, crate::Error>(config.count(names)?.map(|count| count as usize));
        let (layers, narrow) = (self.layers.min(1 << 16), self.heads.head_dim);
        let types = config.get("layer_types").and_then(Value::as_array);
        let is_windowed = |layer: usize| match types {
            Some(types) => types.get(layer).is_some_and(|kind| kind == "sliding_attention"),
            None => !(layer + 1).is_multiple_of(6),
        };
        let of_layer = |layer: usize, name: &str| {
            let own = config.get(&format!("per_layer_config.{layer}.{name}"));
            own.and_then(Value::as_u64).and_then(|own| usize::try_from(own).ok())
        };
        let unwindowed = (0..layers).find(|&layer| !is_windowed(layer)).unwrap_or(0);
        let wide = match of_layer(unwindowed, "head_dim").or(count(&["global_head_dim"])?) {
            Some(wide) => wide,
            None if config.get("per_layer_config").is_some() => narrow,
            None => 512,
        };
        for layer in 0..layers {
            let (found, expected) = (of_layer(layer, "head_dim"), if is_windowed(layer) { narrow } else { wide });
            if let Some(found) = found.filter(|&found| found != expected) {
                let name = format!("per_layer_config.{layer}.head_dim");
                return Err(unsupported(&name, &found.to_string(), &expected.to_string()));
            }
        }
        if wide > 1 << 16 {
            return Err(invalid("global_head_dim", "at most 65536", wide.to_string()));
        }
        for (key, width) in [("key_length", wide), ("value_length", wide)] {
            self.put(&format!("attention.{key}"), width as u32);
            self.put(&format!("attention.{key}_swa"), narrow as u32);
        }
        self.put("rope.dimension_count", wide as u32);
        self.put("rope.dimension_count_swa", narrow as u32);
        let kv_heads: Vec<u32> = (0..layers)
            .map(|layer| of_layer(layer, "num_key_value_heads").unwrap_or(self.heads.kv_heads) as u32)
            .collect();
        if kv_heads.iter().any(|&heads| heads as usize != self.heads.kv_heads) {
            self.put("attention.head_count_kv", Array::U32(kv_heads));
        }
        let shared = count(&["num_kv_shared_layers"])?.unwrap_or(0);
        self.put("attention.shared_kv_layers", shared as u32);
        if config.flag("use_double_wide_mlp")?.unwrap_or(false) {
            let ffn = config.count(&["intermediate_size"])?.unwrap_or(0);
            let own = layers.saturating_sub(shared);
            let ffns = (0..layers).map(|layer| if layer < own { ffn } else { ffn.saturating_mul(2) });
            self.put("feed_forward_length", Array::U32(ffns.collect()));
        }
        self.put("embedding_length_per_layer_input", config.count(&["hidden_size_per_layer_input"])?.unwrap_or(256));
        let sizes = [config.count(&["vocab_size"])?, config.count(&["vocab_size_per_layer_input"])?];
        if let [Some(vocab), Some(found)] = sizes
            && vocab != found
        {
            return Err(unsupported("vocab_size_per_layer_input", &found.to_string(), &vocab.to_string()));
        }
        if config.get("use_bidirectional_attention").is_some_and(|which| which == "all") {
            return Err(unsupported("use_bidirectional_attention", "all", "vision, null"));
        }
        self.proportional(config, wide)
    }

    /// RoPE of the layers without a window: the first pairs turn, as if all did.
    fn proportional(&mut self, config: &Object, head_dim: usize) -> Result<()> {
        let usual = Value::from("proportional");
        let rope = config.get("rope_parameters").and_then(|rope| rope.get("full_attention"));
        let settings = Object(rope.unwrap_or(&Value::Null));
        if rope.is_some_and(|rope| rope.get("rope_type").unwrap_or(&usual) != &usual) {
            return Ok(());
        }
        if rope.is_none() {
            self.put("rope.freq_base", 1e6f32);
        }
        let part = settings.number(&["partial_rotary_factor"])?.unwrap_or(if rope.is_none() { 0.25 } else { 1.0 });
        let factor = settings.number(&["factor"])?.unwrap_or(1.0);
        let turning = (part * head_dim as f64 / 2.0) as usize;
        // what does not turn has its frequency divided by a number without end
        let divisor = |pair: usize| if pair < turning { factor as f32 } else { 1e30 };
        self.vectors.push(("rope_freqs.weight", (0..head_dim / 2).map(divisor).collect()));
        Ok(())
    }
}
