//! Options of sampling.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How the next token is chosen. Defaults are llama.cpp's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase", default)]
pub struct SamplingOptions {
    /// Added to the logits of these tokens before anything else. Ids outside the vocabulary are
    /// ignored. Default: none.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "readonly (readonly [id: number, bias: number])[]"))]
    pub logit_bias: Vec<(u32, f32)>,
    /// Divides the logits before the draw: below 1 sharpens, above 1 flattens. 0 always takes the
    /// most likely token. Default 0.8.
    pub temperature: f32,
    /// Keeps the k most likely tokens; 0 keeps all. Default 40.
    pub top_k: u32,
    /// Keeps the most likely tokens whose probabilities add up to p (nucleus sampling); 1 keeps
    /// all. Default 0.95.
    pub top_p: f32,
    /// Keeps tokens at least this fraction as likely as the most likely one; 0 keeps all. Default
    /// 0.05.
    pub min_p: f32,
    /// Divides the positive logits of recent tokens and multiplies the negative ones; 1 turns it
    /// off. Default 1.
    pub repetition_penalty: f32,
    /// Subtracted from a token's logit once for each recent occurrence. Default 0.
    pub frequency_penalty: f32,
    /// Subtracted from a token's logit if it occurred recently. Default 0.
    pub presence_penalty: f32,
    /// Number of last tokens, prompt included, that the penalties look at; 0 turns them off.
    /// Default 64.
    pub penalty_last_n: usize,
    /// Seed of the random draws. The same seed, prompt and options give the same answer on the same
    /// engine, except that on a GPU the rounding depends on how much of the prompt was in the KV
    /// cache. Default: random.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub seed: Option<u64>,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self {
            logit_bias: Vec::new(),
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            penalty_last_n: 64,
            seed: None,
        }
    }
}

impl SamplingOptions {
    /// Always takes the best token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Whether a penalty is switched on.
    pub(super) fn penalizes(&self) -> bool {
        self.repetition_penalty != 1.0 || self.frequency_penalty != 0.0 || self.presence_penalty != 0.0
    }

    /// Checks every option against its range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] naming the first option out of range.
    pub fn validate(&self) -> Result<()> {
        let unit = |value: f32| (0.0..=1.0).contains(&value);
        let checks = [
            ("temperature", self.temperature, "0 or a positive number", self.temperature >= 0.0),
            ("topP", self.top_p, "a number from 0 to 1", unit(self.top_p)),
            ("minP", self.min_p, "a number from 0 to 1", unit(self.min_p)),
            ("repetitionPenalty", self.repetition_penalty, "a positive number", self.repetition_penalty > 0.0),
            ("frequencyPenalty", self.frequency_penalty, "a number", true),
            ("presencePenalty", self.presence_penalty, "a number", true),
        ];
        let biases = self.logit_bias.iter().map(|&(_, bias)| ("logitBias", bias, "numbers", true));
        for (name, value, expected, fits) in biases.chain(checks) {
            if !fits || !value.is_finite() {
                let (name, expected, got) = (name.into(), expected.into(), value.to_string());
                return Err(Error::InvalidOption { name, expected, got });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_are_camel_case_and_absent_ones_default() {
        let options: SamplingOptions = serde_json::from_str(r#"{"topK": 3, "penaltyLastN": 7, "seed": 9}"#).unwrap();
        let expected = SamplingOptions { top_k: 3, penalty_last_n: 7, seed: Some(9), ..Default::default() };
        assert_eq!(options, expected);
    }

    #[test]
    fn an_option_out_of_range_is_named() {
        let default = SamplingOptions::default;
        assert!(default().validate().is_ok() && SamplingOptions::greedy().validate().is_ok());
        let cases = [
            ("temperature", SamplingOptions { temperature: -0.1, ..default() }),
            ("temperature", SamplingOptions { temperature: f32::INFINITY, ..default() }),
            ("logitBias", SamplingOptions { logit_bias: vec![(1, 2.0), (2, f32::NAN)], ..default() }),
            ("topP", SamplingOptions { top_p: 1.1, ..default() }),
            ("minP", SamplingOptions { min_p: f32::NAN, ..default() }),
            ("repetitionPenalty", SamplingOptions { repetition_penalty: 0.0, ..default() }),
            ("frequencyPenalty", SamplingOptions { frequency_penalty: f32::NAN, ..default() }),
            ("presencePenalty", SamplingOptions { presence_penalty: f32::NEG_INFINITY, ..default() }),
        ];
        for (expected, options) in cases {
            let error = options.validate().unwrap_err();
            assert!(matches!(&error, Error::InvalidOption { name, .. } if name == expected), "{error}");
        }
    }
}
