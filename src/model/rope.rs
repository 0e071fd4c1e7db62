//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864): its hyperparameters, and the cos
//! and sin of each row of a step, which the engines read.

use std::f64::consts::TAU;

use super::keys::{Keys, unsupported};
use crate::Result;

/// Divisors of the frequencies, (rope.dim / 2), as in Llama 3.
const FACTORS: &str = "rope_freqs.weight";
/// LongRoPE's divisors for contexts up to the original length.
const SHORT_FACTORS: &str = "rope_factors_short.weight";
/// LongRoPE's divisors for longer contexts.
const LONG_FACTORS: &str = "rope_factors_long.weight";

/// The names of all factor tensors.
pub const ALL_FACTORS: [&str; 3] = [FACTORS, SHORT_FACTORS, LONG_FACTORS];

/// Rotary position embedding of queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// θ of the geometric series of frequencies.
    pub base: f32,
    /// Values per head that are rotated; 0 in models without RoPE.
    pub dim: usize,
    /// How the frequencies are scaled for longer contexts.
    pub scaling: Scaling,
    /// Factor of cos and sin, in addition to the factor of [`Scaling::Yarn`].
    pub attention_factor: f32,
    /// Whether the factors of a tensor count, if the file has one.
    pub has_factors: bool,
}

/// How the frequencies are scaled for contexts longer than in pretraining.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// Unscaled, apart from the factors of a tensor.
    None,
    /// Position interpolation: all frequencies by the same factor (Chen et al. 2023, arXiv
    /// 2306.15595).
    Linear {
        /// New context length / original one.
        factor: f32,
    },
    /// YaRN: low frequencies more than high ones, and cos and sin times 0.1 ln(factor) + 1 (Peng et
    /// al. 2023, arXiv 2309.00071).
    Yarn {
        /// New context length / original one.
        factor: f32,
        /// Context length in pretraining, in positions.
        original_context: usize,
        /// Frequencies with at least this many rotations per original context are not scaled.
        beta_fast: f32,
        /// Frequencies with at most this many rotations are scaled by the whole factor.
        beta_slow: f32,
        /// Whether the bounds between scaled and unscaled pairs are rounded to whole pairs.
        whole_pairs: bool,
    },
    /// LongRoPE: one tensor of factors for contexts up to `original_context`, another for longer
    /// ones (Ding et al. 2024, arXiv 2402.13753).
    Long {
        /// Context length in pretraining, in positions.
        original_context: usize,
    },
}

impl Rope {
    /// No RoPE.
    pub(super) const NOTHING: Self =
        Self { base: 1.0, dim: 0, scaling: Scaling::None, attention_factor: 1.0, has_factors: true };

    /// Reads the file's hyperparameters.
    pub(super) fn read(keys: &Keys, head_dim: usize, trained_context: usize) -> Result<Self> {
        let rotates = keys.architecture.rope().is_some() && keys.opt_bool("rope.scaling.finetuned")? != Some(false);
        if !rotates {
            return Ok(Self::NOTHING);
        }
        let original_context = keys.opt_count("rope.scaling.original_context_length")?.unwrap_or(trained_context);
        let factor = match keys.opt_f32("rope.scaling.factor")? {
            None => keys.f32_or("rope.scale_linear", 1.0)?,
            Some(factor) => factor,
        };
        let scaling = match keys.opt_str("rope.scaling.type")?.unwrap_or("linear") {
            "none" => Scaling::None,
            "linear" if factor != 1.0 => Scaling::Linear { factor },
            "linear" if !keys.architecture.long_rope => Scaling::None,
            "linear" | "longrope" => Scaling::Long { original_context },
            "yarn" => Scaling::Yarn {
                factor,
                original_context,
                beta_fast: keys.f32_or("rope.scaling.yarn_beta_fast", 32.0)?,
                beta_slow: keys.f32_or("rope.scaling.yarn_beta_slow", 1.0)?,
                whole_pairs: keys.opt_bool("rope.scaling.yarn_truncate")?.unwrap_or(keys.architecture.whole_yarn_pairs),
            },
            other => {
                return Err(unsupported(&keys.key("rope.scaling.type"), other, "none, linear, yarn, longrope"));
            }
        };
        let mut attention_factor = keys.f32_or("rope.scaling.attn_factor", 1.0)?;
        if keys.architecture.whole_yarn_factor && attention_factor != 1.0 {
            attention_factor /= scaling.magnitude() as f32;
        }
        let log_factor = keys.opt_f32("rope.scaling.yarn_log_multiplier")?;
        if let (Some(log_factor), Scaling::Yarn { factor, .. }) = (log_factor, &scaling) {
            // of latent attention, this is a factor of scores
            let log_factor = if keys.architecture.latent { 1.0 } else { log_factor };
            attention_factor /= 1.0 + 0.1 * log_factor * factor.max(1.0).ln();
        }
        Ok(Self {
            base: keys.f32_or("rope.freq_base", 10000.0)?,
            dim: keys.opt_count("rope.dimension_count")?.unwrap_or(head_dim),
            scaling,
            attention_factor,
            has_factors: true,
        })
    }

    /// Name of the factor tensor for a context of this length.
    pub fn factors_name(&self, context: usize) -> &'static str {
        match self.scaling {
            Scaling::Long { original_context, .. } if context > original_context => LONG_FACTORS,
            Scaling::Long { .. } => SHORT_FACTORS,
            Scaling::None | Scaling::Linear { .. } | Scaling::Yarn { .. } => FACTORS,
        }
    }

    /// The frequencies with the divisors of a factor tensor, (dim / 2).
    pub fn frequencies(&self, factors: Option<&[f32]>) -> Frequencies {
        let factor = |pair: usize| factors.map_or(1.0, |factors| f64::from(factors[pair]));
        let pairs = (0..self.dim / 2).map(|pair| self.frequency(pair) / factor(pair)).collect();
        Frequencies { pairs, magnitude: self.magnitude() }
    }

    /// Frequency of a pair, in radians per position.
    fn frequency(&self, pair: usize) -> f64 {
        let original = f64::from(self.base).powf(-(2.0 * pair as f64) / self.dim as f64);
        match self.scaling {
            Scaling::None | Scaling::Long { .. } => original,
            Scaling::Linear { factor } => original / f64::from(factor),
            Scaling::Yarn { factor, original_context, beta_fast, beta_slow, whole_pairs } => {
                // the pair that makes this many rotations within the original context
                let pair_with = |rotations: f32| {
                    let ratio = original_context as f64 / (f64::from(rotations) * TAU);
                    self.dim as f64 * ratio.ln() / (2.0 * f64::from(self.base).ln())
                };
                let (mut low, mut high) = (pair_with(beta_fast), pair_with(beta_slow));
                if whole_pairs {
                    (low, high) = (low.floor(), high.ceil());
                }
                let (low, high) = (low.max(0.0), high.min(self.dim as f64 - 1.0));
                let scaled = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
                original * (1.0 - scaled) + original / f64::from(factor) * scaled
            }
        }
    }

    /// Factor of cos and sin.
    fn magnitude(&self) -> f64 {
        f64::from(self.attention_factor) * self.scaling.magnitude()
    }
}

impl Scaling {
    /// Its own factor of cos and sin.
    fn magnitude(&self) -> f64 {
        match self {
            Self::Yarn { factor, .. } => 1.0 + 0.1 * f64::from(*factor).max(1.0).ln(),
            Self::None | Self::Linear { .. } | Self::Long { .. } => 1.0,
        }
    }
}

/// What determines the angles of a position.
#[derive(Clone, Debug)]
pub struct Frequencies {
    /// In radians per position.
    pairs: Vec<f64>,
    /// Factor of cos and sin.
    magnitude: f64,
}

impl Frequencies {
    /// cos and sin of every pair at each position: (positions, 2 · pairs).
    pub fn angles(&self, positions: impl Iterator<Item = usize>) -> Vec<f32> {
        let cos_sin = |angle: f64| [self.magnitude * angle.cos(), self.magnitude * angle.sin()].map(|v| v as f32);
        positions.flat_map(|position| self.radians(position)).flat_map(cos_sin).collect()
    }

    /// The angle of every pair at a position: (pairs).
    pub fn radians(&self, position: usize) -> impl Iterator<Item = f64> {
        self.pairs.iter().map(move |frequency| position as f64 * frequency)
    }
}
