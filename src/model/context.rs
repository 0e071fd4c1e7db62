//! What is asked of a model's context: how long it is, and how RoPE reaches further than the
//! positions of training.

use serde::Deserialize;

use super::Config;
use super::rope::Scaling;
use crate::{Error, Result};

/// What is asked of the context.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Context {
    /// The most positions of a sequence; `None`: what the model was trained for, at most 2048.
    pub length: Option<usize>,
    /// How RoPE is scaled; `None`: as the file says.
    pub scaling: Option<RopeScaling>,
}

impl From<Option<usize>> for Context {
    fn from(length: Option<usize>) -> Self {
        Self { length, scaling: None }
    }
}

/// A scaling of RoPE in place of the file's.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct RopeScaling {
    /// How frequencies are scaled.
    #[serde(rename = "type")]
    pub kind: ScalingKind,
    /// Longest context / that of pretraining, from 1 to 1024.
    pub factor: f32,
}

/// The kinds of [`RopeScaling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum ScalingKind {
    /// Position interpolation.
    Linear,
    /// YaRN with the bounds of its paper.
    Yarn,
    /// The base grows with the context that was asked for, and a context that is no longer than
    /// that of pretraining is not scaled. transformers lets it grow with each sequence instead:
    /// keys that are in a KV cache already would then be rotated by another base than the queries.
    Dynamic,
}

impl RopeScaling {
    /// Parses `yarn`, `linear` or `dynamic`. Errors: `InvalidOption` that names `option`.
    pub fn kind_named(option: &str, name: &str) -> Result<ScalingKind> {
        match name {
            "linear" => Ok(ScalingKind::Linear),
            "yarn" => Ok(ScalingKind::Yarn),
            "dynamic" => Ok(ScalingKind::Dynamic),
            other => Err(invalid(option, "linear, yarn or dynamic", other)),
        }
    }
}

impl Config {
    /// Scales RoPE as it is asked for, for a context of `length` positions. Errors:
    /// `InvalidOption` for a factor out of bounds, and for a model that cannot be scaled so.
    pub(super) fn scale(&mut self, RopeScaling { kind, factor }: RopeScaling, length: usize) -> Result<()> {
        if !(1.0..=1024.0).contains(&factor) {
            return Err(invalid("ropeScaling.factor", "a number from 1 to 1024", factor));
        }
        if self.rope.dim == 0 {
            let got = format!("`{}`, whose positions are no rotations", self.architecture.name);
            return Err(invalid("ropeScaling", "a model with RoPE", got));
        }
        let original_context = match self.rope.scaling {
            Scaling::None => self.trained_context,
            Scaling::Linear { factor } => (self.trained_context as f32 / factor) as usize,
            Scaling::Yarn { original_context, .. } => original_context,
            Scaling::Long { .. } => {
                let got = "one with LongRoPE, whose file has factors for its longest context";
                return Err(invalid("ropeScaling", "a model without factors of its own", got));
            }
        };
        // that of the file belongs to the file's scaling
        self.rope.attention_factor = 1.0;
        self.rope.scaling = match kind {
            ScalingKind::Linear => Scaling::Linear { factor },
            ScalingKind::Yarn => {
                Scaling::Yarn { factor, original_context, beta_fast: 32.0, beta_slow: 1.0, whole_pairs: true }
            }
            ScalingKind::Dynamic => {
                let longer = (length as f32 / original_context as f32).max(1.0);
                let dim = self.rope.dim as f32;
                let power = dim / (dim - 2.0).max(1.0);
                self.rope.base *= (factor * longer - (factor - 1.0)).powf(power);
                Scaling::None
            }
        };
        self.longest_context = (original_context as f64 * f64::from(factor)) as usize;
        Ok(())
    }
}

fn invalid(name: &str, expected: &str, got: impl ToString) -> Error {
    Error::InvalidOption { name: name.into(), expected: expected.into(), got: got.to_string() }
}
