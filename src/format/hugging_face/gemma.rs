//! What layers of Gemma 3n and 4 differ in, in `config.json`: widths of heads, key and value heads,
//! widths of feed-forward layers, how many of their values count, and whose keys and values they
//! read.

use serde_json::Value;

use super::config::{MOST, Object, ParsedConfig};
use crate::Result;
use crate::format::Array;

impl ParsedConfig {
    /// Reads them under the names of today (`per_layer_config`, which lists the layers that differ)
    /// or those of the published models (`global_head_dim`), to be called after the settings that
    /// all layers share. Layers without a window are taken to be like the first one: shapes of
    /// tensors show others.
    pub(super) fn varied_widths(&mut self, config: &Object) -> Result<()> {
        let (layers, narrow, kv_heads) = (self.layers.min(MOST), self.heads.head_dim, self.heads.kv_heads as u32);
        let types = config.get("layer_types").and_then(Value::as_array);
        let is_windowed = |layer: usize| match types {
            Some(types) => types.get(layer).and_then(Value::as_str) == Some("sliding_attention"),
            None => !(layer + 1).is_multiple_of(6),
        };
        let first = (0..layers).find(|&layer| !is_windowed(layer)).unwrap_or(0);
        let of_first = ["head_dim", "num_key_value_heads"].map(|name| format!("per_layer_config.{first}.{name}"));
        let [head_dims, heads] = match config.get("per_layer_config") {
            Some(_) => [(of_first[0].as_str(), narrow as u32), (of_first[1].as_str(), kv_heads)],
            None => [("global_head_dim", 512), ("num_global_key_value_heads", kv_heads)],
        };
        let settings = [
            head_dims,
            heads,
            ("num_kv_shared_layers", 0),
            ("hidden_size_per_layer_input", 256),
            ("intermediate_size", 0),
        ];
        let mut counts = [0; 5];
        for (count, (name, usual)) in counts.iter_mut().zip(settings) {
            *count = config.count(&[name])?.unwrap_or(usual);
        }
        let [wide, mut wide_heads, shared, inputs, ffn] = counts;
        if config.flag("attention_k_eq_v")? != Some(true) && config.get("per_layer_config").is_none() {
            wide_heads = kv_heads;
        }
        let wide = wide.min(MOST as u32);
        for (ending, width) in [("", wide), ("_swa", narrow as u32)] {
            for key in ["attention.key_length", "attention.value_length", "rope.dimension_count"] {
                self.put(&format!("{key}{ending}"), width);
            }
        }
        self.put("attention.shared_kv_layers", shared);
        self.put("embedding_length_per_layer_input", inputs);
        let doubles = config.flag("use_double_wide_mlp")? == Some(true);
        let own = if doubles { layers.saturating_sub(shared as usize) } else { layers };
        let (mut heads, mut ffns) = (vec![wide_heads; layers], vec![ffn; layers]);
        for layer in 0..layers {
            if is_windowed(layer) {
                heads[layer] = kv_heads;
            }
            if layer >= own {
                ffns[layer] = ffn.saturating_mul(2);
            }
        }
        self.put("attention.head_count_kv", Array::U32(heads));
        self.put("feed_forward_length", Array::U32(ffns));
        if config.get("final_logit_softcapping").is_none() {
            self.put("final_logit_softcapping", 0.0f32);
        }
        self.proportional(config, wide as usize)
    }

    /// Reads what Gemma 3n has beside that.
    pub(super) fn streams(&mut self, config: &Object) -> Result<()> {
        let settings = [
            ("num_kv_shared_layers", "attention.shared_kv_layers", 15),
            ("hidden_size_per_layer_input", "embedding_length_per_layer_input", 256),
            ("laurel_rank", "laurel_rank", 64),
        ];
        for (name, key, usual) in settings {
            self.put_own(key, config.count(&[name])?.unwrap_or(usual));
        }
        if config.get("intermediate_size").is_some_and(Value::is_array) {
            let widths = config.numbers("intermediate_size")?.into_iter().map(|width| width as u32);
            self.put("feed_forward_length", Array::U32(widths.collect()));
        }
        if config.get("activation_sparsity_pattern").is_some() {
            let parts = config.numbers("activation_sparsity_pattern")?;
            let mut deviations: Vec<f32> = Vec::with_capacity(parts.len());
            // more layers than any model has are refused later
            for (i, &part) in parts.iter().take(self.layers.min(1024)).enumerate() {
                let same = parts[..i].iter().position(|&other| other == part);
                deviations.push(same.map_or_else(|| quantile(part) as f32, |same| deviations[same]));
            }
            self.put("activation_sparsity_scale", Array::F32(deviations));
        }
        Ok(())
    }

    /// RoPE of the layers without a window: the first pairs turn, as if all did.
    fn proportional(&mut self, config: &Object, head_dim: usize) -> Result<()> {
        let rope = config.get("rope_parameters.full_attention");
        let settings = Object(rope.unwrap_or(&Value::Null), None);
        if settings.get("rope_type").is_some_and(|kind| kind.as_str() != Some("proportional")) {
            return Ok(());
        }
        if rope.is_none() {
            self.put("rope.freq_base", 1e6f32);
        }
        let part = settings.number(&["partial_rotary_factor"])?.unwrap_or(if rope.is_none() { 0.25 } else { 1.0 });
        let factor = settings.number(&["factor"])?.unwrap_or(1.0) as f32;
        let turning = (part * head_dim as f64 / 2.0) as usize;
        // what does not turn has its frequency divided by a number without end
        let mut divisors = vec![1e30; head_dim / 2];
        divisors.iter_mut().take(turning).for_each(|divisor| *divisor = factor);
        self.vectors.push(("rope_freqs.weight", divisors));
        Ok(())
    }
}

/// What a part of normally distributed values is below, in deviations above their mean.
fn quantile(part: f64) -> f64 {
    if part <= 0.0 || part >= 1.0 {
        return if part <= 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    const STEPS: usize = 2000;
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    // by Simpson's rule
    let below = |x: f64| {
        let step = x / STEPS as f64;
        let weight = |i: usize| if i == 0 || i == STEPS { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
        0.5 + step / 3.0 * (0..=STEPS).map(|i| weight(i) * density(i as f64 * step)).sum::<f64>()
    };
    // Newton's method comes nearer from one side
    (0..50).fold(0.0, |x, _| x - (below(x) - part) / density(x))
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_of_the_normal_distribution() {
        for (part, x) in [
            (0.5, 0.0),
            (0.95, 1.644_853_626_951_472_2),
            (0.3, -0.524_400_512_708_041),
            (0.999, 3.090_232_306_167_813_5),
        ] {
            assert!((quantile(part) - x).abs() < 1e-9, "{part}: {}", quantile(part));
        }
        assert_eq!([quantile(0.0), quantile(1.0)], [f64::NEG_INFINITY, f64::INFINITY]);
    }
}
