//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864): what a file says of it, and its angles as a table for the engine.

use std::f64::consts::TAU;

use super::keys::{Keys, unsupported};
use crate::Result;
use crate::record::{Memory, Tensor};

/// Divisors of the frequencies, (rope.dim / 2), as Llama 3 ships them.
const FACTORS: &str = "rope_freqs.weight";
/// The same for contexts up to the original length, and beyond.
const SHORT_FACTORS: &str = "rope_factors_short.weight";
const LONG_FACTORS: &str = "rope_factors_long.weight";

/// The names of all vectors of factors.
pub const ALL_FACTORS: [&str; 3] = [FACTORS, SHORT_FACTORS, LONG_FACTORS];

/// How positions turn queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// θ of the geometric series of frequencies.
    pub base: f32,
    /// Values of a head that turn; 0 in models where none do.
    pub dim: usize,
    /// How the frequencies were stretched for longer contexts.
    pub scaling: Scaling,
    /// Factor of cos and sin, beside that of [`Scaling::Yarn`].
    pub attention_factor: f32,
}

/// How rotary frequencies were stretched after training.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all, or by the factors of a tensor alone.
    None,
    /// All by the same factor (Chen et al. 2023, arXiv 2306.15595).
    Linear {
        /// Length of the new context over that of the old one.
        factor: f32,
    },
    /// Low ones more than high ones, and cos and sin times 0.1 ln(factor) + 1 (Peng et al. 2023,
    /// arXiv 2309.00071).
    Yarn {
        /// Length of the new context over that of the old one.
        factor: f32,
        /// Positions that the model was trained for before.
        original_context: usize,
        /// Turns within the original context from which on a frequency stays as it is.
        beta_fast: f32,
        /// Turns up to which a frequency is stretched by the whole factor.
        beta_slow: f32,
    },
    /// By factors of a tensor, one set for contexts up to `original_context` and another beyond (Ding et al. 2024, arXiv 2402.13753).
    Long {
        /// Positions that the model was trained for before.
        original_context: usize,
    },
}

impl Rope {
    /// Of layers in which nothing turns.
    pub(super) const NOTHING: Self = Self { base: 1.0, dim: 0, scaling: Scaling::None, attention_factor: 1.0 };

    /// What the file says.
    pub(super) fn read(keys: &Keys, head_dim: usize, trained_context: usize) -> Result<Self> {
        let turns = keys.architecture.rope().is_some() && keys.opt_bool("rope.scaling.finetuned")? != Some(false);
        if !turns {
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
            },
            other => {
                return Err(unsupported(&keys.key("rope.scaling.type"), other, "none, linear, yarn, longrope"));
            }
        };
        Ok(Self {
            base: keys.f32_or("rope.freq_base", 10000.0)?,
            dim: keys.opt_count("rope.dimension_count")?.unwrap_or(head_dim),
            scaling,
            attention_factor: keys.f32_or("rope.scaling.attn_factor", 1.0)?,
        })
    }

    /// The vector of factors that belongs to a context of this length.
    pub fn factors_name(&self, context: usize) -> &'static str {
        match self.scaling {
            Scaling::Long { original_context, .. } if context > original_context => LONG_FACTORS,
            Scaling::Long { .. } => SHORT_FACTORS,
            Scaling::None | Scaling::Linear { .. } | Scaling::Yarn { .. } => FACTORS,
        }
    }

    /// An empty table, (context, dim).
    pub fn create_table(&self, memory: &mut dyn Memory, context: usize) -> Result<Tensor> {
        Ok(Tensor { buffer: memory.create_values("rope table", context * self.dim)?, rows: context, cols: self.dim })
    }

    /// cos and sin of every position and pair. `factors`: (dim / 2), divisors of the frequencies.
    pub fn write_table(&self, memory: &mut dyn Memory, table: Tensor, factors: Option<&[f32]>) -> Result<()> {
        let factor = |pair: usize| factors.map_or(1.0, |factors| f64::from(factors[pair]));
        let frequencies: Vec<f64> = (0..self.dim / 2).map(|pair| self.frequency(pair) / factor(pair)).collect();
        let magnitude = self.magnitude();
        // A run of positions at a time: for a long context the whole table is megabytes, and its place may be the GPU.
        for first in (0..table.rows).step_by(256) {
            let run = first..(first + 256).min(table.rows);
            let angles = run.flat_map(|position| frequencies.iter().map(move |f| position as f64 * f));
            let turn = |angle: f64| [magnitude * angle.cos(), magnitude * angle.sin()].map(|v| v as f32);
            let values: Vec<f32> = angles.flat_map(turn).collect();
            memory.write_values(table.buffer, first * self.dim, &values)?;
        }
        Ok(())
    }

    /// Radians a position.
    fn frequency(&self, pair: usize) -> f64 {
        let original = f64::from(self.base).powf(-(2.0 * pair as f64) / self.dim as f64);
        match self.scaling {
            Scaling::None | Scaling::Long { .. } => original,
            Scaling::Linear { factor } => original / f64::from(factor),
            Scaling::Yarn { factor, original_context, beta_fast, beta_slow, .. } => {
                // the pair that makes so many turns within the original context
                let turning = |turns: f32| {
                    let ratio = original_context as f64 / (f64::from(turns) * TAU);
                    self.dim as f64 * ratio.ln() / (2.0 * f64::from(self.base).ln())
                };
                let low = turning(beta_fast).floor().max(0.0);
                let high = turning(beta_slow).ceil().min(self.dim as f64 - 1.0);
                let stretched = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
                original * (1.0 - stretched) + original / f64::from(factor) * stretched
            }
        }
    }

    /// Factor of cos and sin.
    fn magnitude(&self) -> f64 {
        f64::from(self.attention_factor)
            * match self.scaling {
                Scaling::Yarn { factor, .. } => 1.0 + 0.1 * f64::from(factor).max(1.0).ln(),
                Scaling::None | Scaling::Linear { .. } | Scaling::Long { .. } => 1.0,
            }
    }
}
