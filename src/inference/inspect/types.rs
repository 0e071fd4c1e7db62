//! What can be looked at, and what is seen.

use serde::{Deserialize, Serialize, Serializer};

use crate::sampling::{SamplingOptions, Stage};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// What to look at while a model reads a text. Only what is asked for is computed.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase", default)]
pub struct InspectOptions {
    /// Layers, counted from 0, whose attention weights to give; empty for all.
    #[cfg_attr(target_arch = "wasm32", tsify(optional, type = "readonly number[]"))]
    pub attention: Option<Vec<usize>>,
    /// Norm of each token's residual stream after each layer.
    pub hidden_states: bool,
    /// The most likely next tokens after layers.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub lens: Option<LensOptions>,
    /// The next token, stage by stage: number of most likely tokens to list for each.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub next: Option<usize>,
    /// Log-probability of each token.
    pub logprobs: bool,
    /// Experts of each token and layer.
    pub experts: bool,
    /// Angles of RoPE.
    pub rotations: bool,
    /// Time of each operation.
    pub timing: bool,
    /// How the next token would be chosen.
    pub sampling: SamplingOptions,
}

/// Where the output head reads the residual stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct LensOptions {
    /// Number of most likely tokens to give.
    pub top: usize,
    /// Layers, counted from 0, after which it reads; empty for all.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "readonly number[]"))]
    pub layers: Vec<usize>,
    /// Positions of tokens, counted from 0. Default: the last one.
    #[cfg_attr(target_arch = "wasm32", tsify(optional, type = "readonly number[]"))]
    pub positions: Option<Vec<usize>>,
}

/// The most bytes of attention weights that one call may give: JavaScript holds them twice for a
/// moment, and a browser's tab has few GB.
const MOST_ATTENTION_BYTES: usize = 512 << 20;

impl InspectOptions {
    /// Checks layers and positions. `rows`: tokens that are looked at, of `tokens` in all. Errors:
    /// `InvalidOption`.
    pub(super) fn check(&self, layers: usize, heads: usize, rows: usize, tokens: usize) -> Result<()> {
        let below = |name: &str, what: &str, given: &[usize], count: usize| {
            let wrong = given.iter().find(|&&number| number >= count);
            wrong.map_or(Ok(()), |number| Err(invalid(name, format!("{what} from 0 to {}", count - 1), number)))
        };
        below("attention.layers", "a layer", self.attention.as_deref().unwrap_or_default(), layers)?;
        let asked = (0..layers).filter(|&layer| self.attends(layer)).count();
        let bytes = (asked * heads * size_of::<f32>()).saturating_mul(rows).saturating_mul(tokens);
        if bytes > MOST_ATTENTION_BYTES {
            let most = MOST_ATTENTION_BYTES >> 20;
            let expected = format!("at most {most} MiB of weights: name fewer layers, or give a shorter text");
            return Err(invalid("attention", expected, format!("{} MiB of {asked} layers", bytes >> 20)));
        }
        let Some(lens) = &self.lens else { return Ok(()) };
        below("lens.layers", "a layer", &lens.layers, layers)?;
        below("lens.positions", "a position", lens.positions.as_deref().unwrap_or_default(), tokens)
    }

    /// Whether attention weights of a layer are asked for.
    pub(super) fn attends(&self, layer: usize) -> bool {
        self.attention.as_ref().is_some_and(|layers| has(layers, layer))
    }

    /// What the lens is asked for after a layer.
    pub(super) fn lens_after(&self, layer: usize) -> Option<&LensOptions> {
        self.lens.as_ref().filter(|lens| has(&lens.layers, layer))
    }

    /// Number of first layers that must be looked at one by one, of `layers`; `None`: not even the
    /// embedding.
    pub(super) fn depth(&self, layers: usize) -> Option<usize> {
        if self.hidden_states || self.experts || self.timing {
            return Some(layers);
        }
        let last = (0..layers).rev().find(|&layer| self.attends(layer) || self.lens_after(layer).is_some());
        last.map(|layer| layer + 1)
    }

    /// Whether the output of the last layer is read.
    pub(super) fn reads_output(&self) -> bool {
        self.next.is_some() || self.logprobs
    }
}

/// `layers`: empty for all.
fn has(layers: &[usize], layer: usize) -> bool {
    layers.is_empty() || layers.contains(&layer)
}

pub(super) fn invalid(name: &str, expected: String, got: impl ToString) -> Error {
    Error::InvalidOption { name: name.into(), expected, got: got.to_string() }
}

/// Numbers that cross to JavaScript as the bytes of a `Float32Array`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Floats(pub Vec<f32>);

impl Serialize for Floats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytemuck::cast_slice(&self.0))
    }
}

/// Bytes that cross as a `Uint8Array`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// One unit of work of an inspection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum InspectEvent {
    /// Some of the work was done.
    Working,
    /// A layer was read, or the embedding before the first.
    Layer(LayerSeen),
    /// Nothing more comes.
    End(Seen),
}

/// What was seen of a layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct LayerSeen {
    /// Counted from 0; null for the embedding.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub layer: Option<usize>,
    /// (tokens): L2 norm of each row of the residual stream after it.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "Uint8Array | null"))]
    pub norms: Option<Floats>,
    /// Query heads.
    pub heads: usize,
    /// (heads, tokens, tokens)
    #[cfg_attr(target_arch = "wasm32", tsify(type = "Uint8Array | null"))]
    pub attention: Option<Floats>,
    /// The most likely next tokens at each position that was asked for.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "LensPosition[] | null"))]
    pub lens: Option<Vec<LensPosition>>,
    /// The experts of each token, where the layer has some.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "ChosenExpert[][] | null"))]
    pub experts: Option<Vec<Vec<ChosenExpert>>>,
}

/// What was seen of a text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The tokens.
    pub tokens: Vec<TokenSeen>,
    /// The next token, stage by stage.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "SamplerStage[] | null"))]
    pub next: Option<Vec<SamplerStage>>,
    /// Angles of RoPE.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "Rotations[] | null"))]
    pub rotations: Option<Vec<Rotations>>,
    /// Time of each operation.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "OperationTime[] | null"))]
    pub timing: Option<Vec<OperationTime>>,
    /// Tokens whose keys and values were in the KV cache.
    pub cached_tokens: usize,
}

/// What was seen of the step that a token was drawn from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct StepSeen {
    /// The embedding and the layers that were looked at.
    pub layers: Vec<LayerSeen>,
    /// The rest. Its only token is the one that was read.
    pub seen: Seen,
}

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct TokenSeen {
    /// The token.
    pub id: u32,
    /// Its text alone, with U+FFFD for incomplete characters; the name of a special token.
    pub text: String,
    /// The same as UTF-8, which need not be whole characters.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "Uint8Array"))]
    pub bytes: Bytes,
    /// Whether it is no text, but the begin of a turn or the end of an answer, for example.
    pub special: bool,
    /// Log-probability given all tokens before it, in nats; null for the first, and where it was
    /// not asked for.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub logprob: Option<f32>,
}

/// The next token after a stage of the sampler.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct SamplerStage {
    /// `model` for the plain softmax, then each stage that is switched on, in the order of the
    /// sampler: `logitBias`, `penalties`, `constraint`, `topK`, `topP`, `minP`, `temperature`. The
    /// last is what the token is drawn from.
    #[cfg_attr(
        target_arch = "wasm32",
        tsify(type = "'model' | 'logitBias' | 'penalties' | 'constraint' | 'topK' | 'topP' | 'minP' | 'temperature'")
    )]
    pub stage: &'static str,
    /// Number of tokens with a probability.
    pub left: usize,
    /// The most likely tokens, best first, then those that `model` lists besides; probability 0 for
    /// a token that was cut away.
    pub top: Vec<TokenProbability>,
}

/// A token and its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct TokenProbability {
    /// The token.
    pub id: u32,
    /// Its text alone, with U+FFFD for incomplete characters.
    pub text: String,
    /// From 0 to 1.
    pub probability: f64,
}

/// What a layer would say at a position.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct LensPosition {
    /// Position of a token.
    pub position: usize,
    /// The most likely tokens after it, best first.
    pub top: Vec<TokenProbability>,
}

/// An expert of a token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ChosenExpert {
    /// Counted from 0.
    pub expert: usize,
    /// The factor of its output, from the router.
    pub weight: f32,
}

/// The angles that RoPE rotates queries and keys by.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Rotations {
    /// The layers that rotate so.
    pub layers: Vec<usize>,
    /// For each position the angle of each pair of dimensions, in radians.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "Uint8Array[]"))]
    pub angles: Vec<Floats>,
}

/// The time of an operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct OperationTime {
    /// The weight that it multiplies with, as `qkv_proj`, else what it does, as `attention`.
    pub operation: String,
    /// Null for the embedding and the output head.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "number | null"))]
    pub layer: Option<usize>,
    /// For all tokens; the output head for the last one.
    pub milliseconds: f64,
    /// Bytes of weights, and of keys and values, that it read.
    pub bytes: u64,
}

/// A token whose embedding points in nearly the same direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct NearToken {
    /// The token.
    pub id: u32,
    /// Its text alone, with U+FFFD for incomplete characters.
    pub text: String,
    /// Cosine of the angle between the embeddings.
    pub similarity: f32,
}

/// The text of a token alone; empty without a tokenizer, and for what is not in the vocabulary
/// (some models have more logits than tokens).
pub(super) fn text_of(tokenizer: &Tokenizer, id: u32) -> String {
    String::from_utf8_lossy(&tokenizer.token_bytes(id).unwrap_or_default()).into_owned()
}

pub(super) fn probabilities(tokenizer: &Tokenizer, top: &[(u32, f64)]) -> Vec<TokenProbability> {
    let of = |&(id, probability)| TokenProbability { id, text: text_of(tokenizer, id), probability };
    top.iter().map(of).collect()
}

impl SamplerStage {
    pub(super) fn of(tokenizer: &Tokenizer, Stage { name, left, top }: &Stage) -> Self {
        Self { stage: name, left: *left, top: probabilities(tokenizer, top) }
    }
}

impl TokenSeen {
    pub(super) fn of(tokenizer: &Tokenizer, id: u32, logprob: Option<f32>) -> Self {
        let bytes = Bytes(tokenizer.token_bytes(id).unwrap_or_default());
        Self { id, text: text_of(tokenizer, id), bytes, special: tokenizer.is_special(id), logprob }
    }
}
