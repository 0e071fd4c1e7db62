//! Multi-head latent attention in `config.json`, and the experts of DeepSeek's models.

use super::config::{Object, ParsedConfig, invalid, unsupported};
use crate::Result;

impl ParsedConfig {
    pub(super) fn is_latent(&self) -> bool {
        matches!(self.family.architecture, "deepseek2" | "minicpm3")
    }

    /// Reads the widths of heads. RoPE is that of a whole head of the rotated values.
    pub(super) fn latent_heads(&mut self, config: &Object, hidden: usize, heads: usize) -> Result<()> {
        let needed = |name: &str| config.count(&[name])?.ok_or_else(|| invalid(name, "an integer", "none".into()));
        let (plain, rotated) = (needed("qk_nope_head_dim")?, needed("qk_rope_head_dim")?);
        let usual = hidden.checked_div(heads).unwrap_or(0) as u32;
        let value = config.count(&["v_head_dim"])?.unwrap_or(usual);
        self.heads.head_dim = rotated as usize;
        self.put("attention.key_length", plain.saturating_add(rotated));
        self.put("attention.value_length", value);
        self.put("attention.kv_lora_rank", needed("kv_lora_rank")?);
        if let Some(rank) = config.count(&["q_lora_rank"])? {
            self.put("attention.q_lora_rank", rank);
        }
        if self.family.architecture == "deepseek2" && self.experts > 0 {
            self.deepseek_experts(config)?;
        }
        Ok(())
    }

    /// Reads how experts are chosen: by softmax up to V2, by sigmoids since.
    fn deepseek_experts(&mut self, config: &Object) -> Result<()> {
        let usual = if config.text(&["model_type"])?.as_deref() == Some("deepseek_v2") { "softmax" } else { "sigmoid" };
        let scores = config.text(&["scoring_func"])?.unwrap_or_else(|| usual.into());
        if scores != usual {
            return Err(unsupported("scoring_func", &scores, usual));
        }
        self.put("expert_gating_func", if usual == "softmax" { 1u32 } else { 2 });
        if config.text(&["topk_method"])?.as_deref() != Some("greedy") {
            for (key, name) in [("expert_group_count", "n_group"), ("expert_group_used_count", "topk_group")] {
                if let Some(groups) = config.count(&[name])? {
                    self.put(key, groups);
                }
            }
        }
        if let Some(shared) = config.count(&["n_shared_experts"])? {
            self.put("expert_shared_count", shared);
        }
        Ok(())
    }

    /// YaRN of scores and of what is rotated. GGUF has a key for scores alone, a tenth of their
    /// factor.
    pub(super) fn latent_yarn(&mut self, scaling: &Object, config: &Object, factor: f64) -> Result<()> {
        let number = |name: &str| Ok::<_, crate::Error>(scaling.number(&[name])?.filter(|&number| number != 0.0));
        let grown = |by: f64| 1.0 + 0.1 * by * factor.max(1.0).ln();
        let (one, all) = (number("mscale")?, number("mscale_all_dim")?);
        let given = scaling.number(&["attention_factor"])?;
        if let Some(all) = all.filter(|_| one == all && given.is_none()) {
            self.put("rope.scaling.yarn_log_multiplier", (0.1 * all) as f32);
            return Ok(());
        }
        let width = |name| Ok::<_, crate::Error>(f64::from(config.count(&[name])?.unwrap_or(0)));
        let width = width("qk_nope_head_dim")? + width("qk_rope_head_dim")?;
        if let Some(all) = all {
            self.put_own("attention.scale", (grown(all).powi(2) / width.sqrt()) as f32);
        }
        let rotated = match (given, one, all) {
            (Some(given), ..) => given,
            (None, Some(one), Some(all)) => grown(one) / grown(all),
            _ => grown(1.0),
        };
        self.put("rope.scaling.attn_factor", (rotated / grown(1.0)) as f32);
        Ok(())
    }
}
