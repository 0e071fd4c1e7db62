//! RoPE in `config.json`, whose names changed over the years.

use serde_json::Value;

use super::config::{COUNTS, Object, ParsedConfig, invalid, unsupported};
use crate::Result;

impl ParsedConfig {
    /// Reads the settings of RoPE under their current names (`rope_parameters`) or the old ones
    /// (`rope_theta`, `rope_scaling`).
    pub(super) fn rope(&mut self, config: &Object) -> Result<()> {
        let architecture = self.family.architecture;
        let parameters = config.get("rope_parameters");
        // Gemma 3 has one set for the layers with a window and one for the others
        let local = parameters.and_then(|parameters| parameters.get("sliding_attention"));
        let all = parameters.and_then(|parameters| parameters.get("full_attention")).or(parameters);
        let scaling = Object(all.or(config.get("rope_scaling")).unwrap_or(&Value::Null), None);
        if let Some(base) = scaling.number(&["rope_theta"])?.or(config.number(&[
            "rope_theta",
            "rotary_emb_base",
            "global_rope_theta",
        ])?) {
            // Hunyuan: a longer context by a larger base
            let alpha = scaling.number(&["alpha"])?.filter(|&alpha| alpha > 0.0 && architecture == "hunyuan-dense");
            let dim = self.heads.head_dim as f64;
            let longer = alpha.map_or(1.0, |alpha| alpha.powf(dim / (dim - 2.0)));
            self.put("rope.freq_base", (base * longer) as f32);
        }
        let local_base = local.map(|local| Object(local, None).number(&["rope_theta"])).transpose()?.flatten();
        if let Some(base) = local_base.or(config.number(&["rope_local_base_freq", "local_rope_theta"])?) {
            self.put("rope.freq_base_swa", base as f32);
        }
        let head_dim = self.heads.head_dim;
        let part = ["partial_rotary_factor", "rotary_pct", "rope_pct"];
        let part = scaling.number(&part)?.or(config.number(&part)?).unwrap_or(1.0);
        let dim = match config.count(&["rotary_dim"])? {
            Some(dim) => dim as usize,
            None => (head_dim as f64 * part) as usize,
        };
        if !matches!(architecture, "gpt2" | "openai-gpt" | "mpt" | "bloom") {
            self.put("rope.dimension_count", dim as u32);
        }
        let context = config.count(COUNTS[3].1)?.unwrap_or(0);
        let original = ["original_max_position_embeddings"];
        let original = scaling.count(&original)?.or(config.count(&original)?).unwrap_or(context);
        if matches!(architecture, "phi3" | "phimoe" | "minicpm3") {
            self.put("rope.scaling.original_context_length", original);
        }
        let factor = scaling.number(&["factor"])?;
        let needed = |name: &str| invalid(&format!("rope_scaling.{name}"), "a number", "none".into());
        let given = scaling.number(&["attention_factor"])?;
        match scaling.text(&["rope_type", "type"])?.as_deref().unwrap_or("default") {
            // dynamic scaling begins behind the trained length, where `ropeScaling` takes over
            "default" | "dynamic" => {}
            // of the heads of layers without a window, see `varied_widths`
            "proportional" if architecture == "gemma4" => {}
            "linear" => {
                self.put("rope.scaling.type", "linear");
                self.put("rope.scaling.factor", factor.ok_or_else(|| needed("factor"))? as f32);
            }
            "yarn" => {
                let is_latent = self.is_latent();
                let both = (scaling.number(&["mscale"])?, scaling.number(&["mscale_all_dim"])?);
                match both {
                    _ if is_latent => {}
                    (Some(1.0), Some(all)) if all != 0.0 && given.is_none() => {
                        self.put_own("rope.scaling.yarn_log_multiplier", all as f32);
                    }
                    (Some(one), Some(all)) if one != 0.0 && all != 0.0 && given.is_none() => {
                        let found = format!("{one}, and mscale_all_dim {all}");
                        return Err(unsupported("rope_scaling.mscale", &found, "1"));
                    }
                    _ => {}
                }
                if architecture == "gpt-oss" || scaling.get("truncate").is_some() {
                    self.put_own("rope.scaling.yarn_truncate", scaling.flag("truncate")?.unwrap_or(true));
                }
                if let Some(beta) = scaling.number(&["llama_4_scaling_beta"])? {
                    self.put("attention.temperature_scale", beta as f32);
                }
                let factor = factor.ok_or_else(|| needed("factor"))?;
                self.put("rope.scaling.type", "yarn");
                self.put("rope.scaling.factor", factor as f32);
                self.put("rope.scaling.original_context_length", original);
                if is_latent {
                    self.latent_yarn(&scaling, config, factor)?;
                } else if let Some(given) = given {
                    // GGUF's factor is relative to this one, but for one architecture
                    let usual = if architecture == "olmo2" { 1.0 } else { 1.0 + 0.1 * factor.max(1.0).ln() };
                    self.put("rope.scaling.attn_factor", (given / usual) as f32);
                }
                for (key, name) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
                    if let Some(beta) = scaling.number(&[name])? {
                        self.put(&format!("rope.scaling.{key}"), beta as f32);
                    }
                }
            }
            "llama3" => {
                let number = |name: &str| scaling.number(&[name])?.ok_or_else(|| needed(name));
                let (low, high) = (number("low_freq_factor")?, number("high_freq_factor")?);
                let base = scaling.number(&["rope_theta"])?.or(config.number(&["rope_theta"])?).unwrap_or(10000.0);
                let factors = llama3_factors(base, dim, low, high, f64::from(original), number("factor")?);
                self.vectors.push(("rope_freqs.weight", factors));
            }
            "longrope" | "su" => {
                let longer = f64::from(context) / f64::from(original.max(1));
                let usual = (1.0 + longer.max(1.0).ln() / f64::from(original).ln()).sqrt();
                let (short, long) = (scaling.number(&["short_mscale"])?, scaling.number(&["long_mscale"])?);
                if short != long {
                    let found = format!("{short:?} and {long:?}");
                    return Err(unsupported("rope_scaling.short_mscale and long_mscale", &found, "one for both"));
                }
                self.put("rope.scaling.attn_factor", given.or(short).unwrap_or(usual) as f32);
                for (tensor, name) in
                    [("rope_factors_long.weight", "long_factor"), ("rope_factors_short.weight", "short_factor")]
                {
                    let factors = scaling.numbers(name)?.into_iter().map(|factor| factor as f32).collect();
                    self.vectors.push((tensor, factors));
                }
            }
            other => return Err(unsupported("rope_type", other, "default, dynamic, linear, yarn, llama3, longrope")),
        }
        let lengths = self.vectors.iter().find(|(_, factors)| factors.len() != dim / 2);
        match lengths {
            Some((name, factors)) => {
                Err(invalid(name, &format!("{} factors, one per rotated pair", dim / 2), factors.len().to_string()))
            }
            None => Ok(()),
        }
    }
}

/// Llama 3's divisors of the frequencies: 1 for pairs with many rotations in the original context,
/// `factor` for those with few, and a blend in between.
fn llama3_factors(base: f64, dim: usize, low: f64, high: f64, original: f64, factor: f64) -> Vec<f32> {
    let divisor = |pair: usize| {
        let wavelength = 2.0 * std::f64::consts::PI * base.powf(2.0 * pair as f64 / dim as f64);
        let kept = ((original / wavelength - low) / (high - low)).clamp(0.0, 1.0);
        (1.0 / (kept + (1.0 - kept) / factor)) as f32
    };
    (0..dim / 2).map(divisor).collect()
}
