//! How long a GPU takes, from what `weft cost` counts and the figures of its family.

use serde::Serialize;

use crate::Result;
use crate::cost::families::Family;
use crate::cost::profiles::PROFILES;
use crate::cost::roofs::{Rates, Roof};
use crate::inference::cost::{Costing, StepCost};
use crate::inference::programs::Programs;
use crate::model::Decoder;
use crate::ops::Recording;

/// Tokens of the prompt whose time is given, unless the context is shorter.
const PROMPT: usize = 512;

/// A GPU needs so many times what its figures say, at most. That is assumed: that matrix kernels of
/// browsers reach a third of them or more.
const SLOWEST: f64 = 3.0;

/// How long a GPU of a family takes, by its figures in docs/COST.md, most of which are assumed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct GpuTime {
    /// The family of GPUs, as far as the browser tells it: "Intel Iris Xe", or "any GPU".
    pub family: String,
    /// Tokens of the prompt: 512, or what the context has room for.
    pub prompt_tokens: usize,
    /// To read the prompt, up to the first token of an answer.
    pub prompt_seconds: Seconds,
    /// To write the next token.
    pub token_seconds: Seconds,
}

/// A range of seconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Seconds {
    /// On the fastest GPU of the family, if it reached its figures.
    pub least: f64,
    /// On the slowest one, at a third of that.
    pub most: f64,
}

impl GpuTime {
    /// The time of a decoder with these programs.
    pub(super) fn new(family: Family, decoder: &Decoder, programs: &Programs<Recording>) -> Result<Self> {
        let costing = Costing { decoder, programs, variants: PROFILES[0].variants };
        let prompt_tokens = PROMPT.min(decoder.context - 1).max(1);
        let [prompt, token] = [costing.prompt(prompt_tokens)?, costing.decode(prompt_tokens)?];
        let [prompt_seconds, token_seconds] = [prompt, token].map(|step| Seconds::new(&family, &step));
        Ok(Self { family: family.name.into(), prompt_tokens, prompt_seconds, token_seconds })
    }
}

impl Seconds {
    fn new(family: &Family, StepCost { sum, .. }: &StepCost) -> Self {
        let roof = |rates: &Rates| rates.roof(sum.dispatches, sum.weight_bytes + sum.kv_bytes, sum.multiply_adds);
        // the fastest one computes while it loads
        let Roof { memory_seconds, arithmetic_seconds, dispatch_seconds } = roof(&family.fastest);
        let least = memory_seconds.max(arithmetic_seconds).max(dispatch_seconds);
        let Roof { memory_seconds, arithmetic_seconds, dispatch_seconds } = roof(&family.slowest);
        Self { least, most: SLOWEST * (memory_seconds + arithmetic_seconds) + dispatch_seconds }
    }
}
