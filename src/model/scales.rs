//! Scales and soft caps of a model, from its file or its architecture's defaults.

use super::keys::Keys;
use crate::Result;

/// Scales and soft caps between ids and logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// Multiplies the embeddings.
    pub embedding: f32,
    /// Multiplies the attention scores.
    pub attention: f32,
    /// Multiplies the output of each block before it is added to the residual stream.
    pub residual: f32,
    /// Multiplies the logits.
    pub logits: f32,
    /// Attention scores become cap · tanh(score / cap).
    pub attention_cap: Option<f32>,
    /// Logits become cap · tanh(logit / cap).
    pub logits_cap: Option<f32>,
}

impl Scales {
    /// `scaled_width`: the head width whose root divides attention scores if the file has no scale.
    pub(super) fn read(keys: &Keys, hidden: usize, scaled_width: f32) -> Result<Self> {
        let architecture = keys.architecture;
        let attention_cap = keys.cap_or("attn_logit_softcapping", architecture.attention_cap)?;
        let logits_cap = keys.cap_or("final_logit_softcapping", architecture.logits_cap)?;
        if let Some(usual) = &architecture.scales {
            return Ok(Self {
                embedding: keys.f32_or("embedding_scale", usual.embedding)?,
                attention: keys.f32_or("attention.output_scale", usual.attention)?,
                residual: usual.residual,
                logits: keys.f32_or("logit_scale", usual.logits)?,
                attention_cap,
                logits_cap,
            });
        }
        let [embedding, residual, logits] = match architecture.name {
            // the first files of MiniCPM have no keys for what the 2 B model was trained with
            "minicpm" | "minicpm3" => {
                [12.0, (1.4 / (keys.count("block_count")? as f64).sqrt()) as f32, hidden as f32 / 256.0]
            }
            _ if architecture.scales_embedding => [(hidden as f32).sqrt(), 1.0, 1.0],
            _ => [1.0; 3],
        };
        Ok(Self {
            embedding: keys.f32_or("embedding_scale", embedding)?,
            attention: keys.f32_or("attention.scale", 1.0 / scaled_width.sqrt())?,
            residual: keys.f32_or("residual_scale", residual)?,
            logits: 1.0 / keys.f32_or("logit_scale", logits)?,
            attention_cap,
            logits_cap,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::format::metadata::Metadata;
    use crate::model::Config;

    /// Grok-1's own files contain none of these keys.
    #[test]
    fn grok_has_default_scales() {
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", "grok");
        metadata.insert("grok.attention.layer_norm_rms_epsilon", 1e-5f32);
        let counts = [
            ("block_count", 64u32),
            ("embedding_length", 6144),
            ("feed_forward_length", 32768),
            ("attention.head_count", 48),
            ("attention.head_count_kv", 8),
            ("context_length", 8192),
            ("expert_count", 8),
            ("expert_used_count", 2),
        ];
        for (key, count) in counts {
            metadata.insert(format!("grok.{key}"), count);
        }
        let scales = Config::from_metadata(&metadata).unwrap().scales;
        let roots = [(scales.embedding, 6144.0), (1.0 / scales.attention, 128.0), (1.0 / scales.logits, 3.0f32)];
        for (scale, square) in roots {
            assert!((scale * scale / square - 1.0).abs() < 1e-5, "{scale} is not the root of {square}");
        }
        assert_eq!((scales.attention_cap, scales.logits_cap), (Some(30.0), None));
        metadata.insert("grok.attn_logit_softcapping", 0.0f32);
        assert_eq!(Config::from_metadata(&metadata).unwrap().scales.attention_cap, None);
    }

    #[test]
    fn the_largest_gemma2_scales_attention_by_hidden_over_heads() {
        for (layers, width) in [(46u32, 144.0f32), (42, 128.0)] {
            let mut metadata = Metadata::default();
            metadata.insert("general.architecture", "gemma2");
            metadata.insert("gemma2.attention.layer_norm_rms_epsilon", 1e-6f32);
            let counts = [
                ("block_count", layers),
                ("embedding_length", 4608),
                ("feed_forward_length", 36864),
                ("attention.head_count", 32),
                ("attention.head_count_kv", 16),
                ("attention.key_length", 128),
                ("attention.value_length", 128),
                ("context_length", 8192),
            ];
            for (key, count) in counts {
                metadata.insert(format!("gemma2.{key}"), count);
            }
            let scale = Config::from_metadata(&metadata).unwrap().scales.attention;
            assert!((scale - 1.0 / width.sqrt()).abs() < 1e-7, "{layers} layers: {scale}");
        }
    }
}
