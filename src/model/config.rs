//! Hyperparameters of a decoder, read from GGUF metadata (`<architecture>.<key>`, as ggml's GGUF specification names them).

use crate::format::metadata::Metadata;
use crate::ops::RopeKind;
use crate::{Error, Result};

/// Architectures that weft runs, by their GGUF names.
pub const ARCHITECTURES: &[&str] = &["llama"];

/// Hyperparameters of a Llama-like decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `general.architecture`
    pub architecture: String,
    /// `general.name`, or the architecture where the file has none
    pub name: String,
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width inside the feed-forward layer.
    pub ffn: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; fewer than `heads` is grouped-query attention.
    pub kv_heads: usize,
    /// Values a head.
    pub head_dim: usize,
    /// Tokens that the model was trained for.
    pub trained_context: usize,
    /// The ε of RMSNorm.
    pub rms_norm_eps: f32,
    /// Rotary position embedding.
    pub rope: Rope,
}

/// How positions turn queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Which values form pairs.
    pub kind: RopeKind,
    /// θ of the geometric series of frequencies.
    pub base: f32,
    /// Values of a head that turn.
    pub dim: usize,
    /// Positions are multiplied by this (linear scaling; 1 for none).
    pub scale: f32,
}

impl Config {
    /// Reads and checks the hyperparameters. Errors: `UnsupportedModel` for what weft does not run, `InvalidModel` for
    /// what contradicts itself.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let architecture = metadata.str("general.architecture")?.to_string();
        if !ARCHITECTURES.contains(&architecture.as_str()) {
            return Err(unsupported("general.architecture", &architecture, &ARCHITECTURES.join(", ")));
        }
        let key = |name: &str| format!("{architecture}.{name}");
        let count = |name: &str| metadata.u32(&key(name)).map(|v| v as usize);
        let optional = |name: &str| metadata.opt_u32(&key(name)).map(|v| v.map(|v| v as usize));

        if let Some(experts) = optional("expert_count")?.filter(|&n| n > 0) {
            return Err(unsupported(&key("expert_count"), &experts.to_string(), "dense models (0 experts)"));
        }
        let hidden = count("embedding_length")?;
        let heads = count("attention.head_count")?;
        let kv_heads = optional("attention.head_count_kv")?.unwrap_or(heads);
        let head_dim = match optional("attention.key_length")? {
            Some(head_dim) => head_dim,
            None => hidden.checked_div(heads).unwrap_or(0),
        };
        let rope_scaling = metadata.opt_str(&key("rope.scaling.type"))?.unwrap_or("none");
        let scale = match rope_scaling {
            "none" => 1.0,
            "linear" => 1.0 / metadata.f32(&key("rope.scaling.factor"))?,
            other => return Err(unsupported(&key("rope.scaling.type"), other, "none, linear")),
        };
        let config = Self {
            name: metadata.opt_str("general.name")?.unwrap_or(&architecture).to_string(),
            layers: count("block_count")?,
            hidden,
            ffn: count("feed_forward_length")?,
            heads,
            kv_heads,
            head_dim,
            trained_context: count("context_length")?,
            rms_norm_eps: metadata.f32(&key("attention.layer_norm_rms_epsilon"))?,
            rope: Rope {
                kind: RopeKind::Interleaved,
                base: metadata.opt_f32(&key("rope.freq_base"))?.unwrap_or(10000.0),
                dim: optional("rope.dimension_count")?.unwrap_or(head_dim),
                scale,
            },
            architecture,
        };
        config.check()?;
        if let Some(value_length) = metadata.opt_u32(&format!("{}.attention.value_length", config.architecture))? {
            config.require(
                "attention.value_length",
                value_length as usize == head_dim,
                "the same as key_length",
                value_length,
            )?;
        }
        Ok(config)
    }

    /// Bounds that the engines rely on. The upper ones are far above any model that a browser can hold.
    fn check(&self) -> Result<()> {
        self.require("block_count", (1..=1024).contains(&self.layers), "1 to 1024", self.layers)?;
        for (key, value) in [("embedding_length", self.hidden), ("feed_forward_length", self.ffn)] {
            let fits = (4..=1 << 20).contains(&value) && value.is_multiple_of(4);
            self.require(key, fits, "a multiple of 4 up to 1048576", value)?;
        }
        self.require("attention.head_count", (1..=4096).contains(&self.heads), "1 to 4096", self.heads)?;
        let heads_divide = self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads);
        self.require("attention.head_count_kv", heads_divide, "a divisor of head_count", self.kv_heads)?;
        let head_dim_fits = (4..=256).contains(&self.head_dim) && self.head_dim.is_multiple_of(4);
        self.require("attention.key_length", head_dim_fits, "a multiple of 4 up to 256", self.head_dim)?;
        let rope_fits = (2..=self.head_dim).contains(&self.rope.dim) && self.rope.dim.is_multiple_of(2);
        self.require("rope.dimension_count", rope_fits, "an even number up to key_length", self.rope.dim)?;
        self.require("context_length", self.trained_context > 0, "at least 1", self.trained_context)?;
        let base_fits = self.rope.base.is_finite() && self.rope.base > 0.0;
        self.require("rope.freq_base", base_fits, "a positive number", self.rope.base)?;
        let scale_fits = self.rope.scale.is_finite() && self.rope.scale > 0.0;
        self.require("rope.scaling.factor", scale_fits, "a positive number", 1.0 / self.rope.scale)?;
        let eps = self.rms_norm_eps;
        self.require("attention.layer_norm_rms_epsilon", eps.is_finite() && eps >= 0.0, "a small positive number", eps)
    }

    fn require(&self, key: &str, ok: bool, expected: &str, got: impl ToString) -> Result<()> {
        if ok {
            return Ok(());
        }
        let what = format!("{}.{key}", self.architecture);
        Err(Error::InvalidModel { what, expected: expected.into(), got: got.to_string() })
    }

    /// Columns of the fused query, key and value projection.
    pub fn qkv_width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }
}

fn unsupported(what: &str, found: &str, known: &str) -> Error {
    Error::UnsupportedModel { what: what.into(), found: found.into(), known: known.into() }
}
