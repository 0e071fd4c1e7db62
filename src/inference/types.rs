//! What goes into a loaded model and what comes out, named as in the TypeScript package.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::inspect::{InspectOptions, StepSeen};
use super::speculate::Speculate;
use crate::engine::shared::Share;
use crate::engine::{Engine, EngineInfo};
use crate::model::Config;
use crate::record::{KvFormat, Memory};
use crate::sampling::SamplingOptions;

/// How to generate. Names and defaults are those of the TypeScript package.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase", default)]
pub struct GenerateOptions {
    /// Maximum number of tokens in the answer. Default: until the context is full.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub max_tokens: Option<usize>,
    /// Strings that end the answer; they are not part of it.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "readonly string[]"))]
    pub stop: Vec<String>,
    /// Draws every token from those that [`super::LoadedDecoder::allow`] allows.
    pub constrained: bool,
    /// What is written fills a gap: it ends at the tokens that mark the parts of a prompt with a
    /// gap too.
    pub infill: bool,
    /// Names of special tokens to keep in the text. Default: special tokens are left out.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "readonly string[]"))]
    pub keep_special: Vec<String>,
    /// Ends when the prompt is in the KV cache.
    pub prefill: bool,
    /// When the context is full, drops the older half of the tokens after this many first ones,
    /// computes the rest again and goes on. Default: the answer ends there.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub shift_behind: Option<usize>,
    /// Owner of the restored keys and values that it may go on from, see
    /// [`super::LoadedDecoder::restore`]. Those of other owners are computed again.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub restored: Option<u32>,
    /// Goes on after the token that ends an answer; for benchmarks.
    pub ignore_eos: bool,
    /// Reports the log-probability of every token and of this many most likely alternatives.
    /// Default: no log-probabilities.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub top_logprobs: Option<usize>,
    /// Where drafts come from, of tokens that are verified in one step. They change how fast an
    /// answer comes, not what it is. Default: no drafts.
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub speculate: Option<Speculate>,
    /// What to look at in each step; its sampling is that of the generation. Default: nothing.
    #[serde(skip)]
    pub inspect: Option<InspectOptions>,
    /// How the next token is chosen.
    #[serde(flatten)]
    pub sampling: SamplingOptions,
}

/// One unit of progress.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// Some of the prompt was processed.
    Prompt {
        /// Tokens processed, cached ones included.
        done: usize,
        /// Tokens of the prompt.
        total: usize,
    },
    /// A token was chosen.
    Token {
        /// The token.
        id: u32,
        /// Text that became certain with it; empty while a character or a stop string is
        /// incomplete.
        text: String,
        /// Where they were asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<TokenLogprobs>,
        /// What was seen of the step, where that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        inspection: Option<Box<StepSeen>>,
    },
    /// Nothing more comes.
    End {
        /// Why.
        reason: FinishReason,
        /// Text that was held back.
        text: String,
    },
}

/// The log-probability of a token and of its alternatives.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct TokenLogprobs {
    /// The one that was chosen.
    #[serde(flatten)]
    pub token: TokenLogprob,
    /// The most likely tokens, best first. The chosen token need not be among them.
    pub top: Vec<TokenLogprob>,
}

/// The log-probability of a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct TokenLogprob {
    /// The token.
    pub id: u32,
    /// In nats, under the model's own distribution: before biases, penalties, temperature and
    /// filters.
    pub logprob: f32,
    /// UTF-8 bytes of this token, which need not be whole characters.
    pub bytes: Vec<u8>,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model said that it is done, or a stop string came.
    Stop,
    /// `max_tokens` or the context is used up, or only the prompt was wanted.
    Length,
}

/// What a model's files say of its weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub parameters: u64,
    /// The block type of most weights.
    pub quantization: &'static str,
    pub fingerprint: u64,
}

/// What is loaded, for people and programs.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// A decoder generates text; an encoder turns a text into vectors or labels.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "'decoder' | 'encoder'"))]
    pub kind: &'static str,
    /// What it can do, by the names of the TypeScript package's methods.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "Task[]"))]
    pub tasks: Vec<&'static str>,
    /// Labels of the model's classifier, in the file's order; empty without one.
    pub labels: Vec<String>,
    /// Text of the mask token for `fillMask`; null if the model cannot fill masks.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "string | null"))]
    pub mask_token: Option<String>,
    /// What the model reads before a text that it embeds, by the name of a task; empty if its files
    /// do not say.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "Record<string, string>"))]
    pub prompts: BTreeMap<String, String>,
    /// Name that the file gives the model.
    pub name: String,
    /// Name that the file gives its family, `smollm2` for example; null if it gives none.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "string | null"))]
    pub basename: Option<String>,
    /// How many weights it has, as the file says it, `135M` for example; null if it does not.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "string | null"))]
    pub size_label: Option<String>,
    /// Its GGUF architecture.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// Block type of most weights, `Q4_1` for example.
    pub quantization: String,
    /// Identifies the weights: a hash of the tensors' headers and first bytes, as 16 hexadecimal
    /// digits.
    pub fingerprint: String,
    /// Layers.
    pub layers: usize,
    /// Values per token and layer in the KV cache, keys and values together: 2 · kv_heads ·
    /// head_dim. 0 for an encoder, and for a decoder with layers that keep a state instead, that
    /// differ in width or share keys, of which conversations are saved without keys and values.
    pub kv_width: usize,
    /// How the engine holds keys and values; null for an encoder, which keeps none.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "KvFormat | null"))]
    pub kv_cache: Option<KvFormat>,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Tokens in the vocabulary.
    pub vocabulary_size: usize,
    /// Identifies the vocabulary: a hash of the bytes of its tokens as 16 hexadecimal digits, whose
    /// unused ids at the end do not count. A model can draft for another one with the same. Null
    /// for an encoder.
    #[cfg_attr(target_arch = "wasm32", tsify(type = "string | null"))]
    pub vocabulary_fingerprint: Option<String>,
    /// Maximum number of tokens in the loaded model's context: positions of the KV cache.
    pub context_length: usize,
    /// Context length, in tokens, that the model was trained for.
    pub trained_context_length: usize,
    /// Whether the model has a chat template.
    pub has_chat_template: bool,
    /// The engine that runs it.
    pub engine: EngineInfo,
    /// Bytes of engine memory.
    pub memory_bytes: u64,
}

impl Info {
    /// What models of both kinds have in common; it can do nothing yet. `vocab` and `context`: in
    /// tokens.
    pub(super) fn of(
        kind: &'static str,
        config: &Config,
        [vocab, context]: [usize; 2],
        about: &About,
        on: &Share,
    ) -> Self {
        Self {
            kind,
            tasks: Vec::new(),
            labels: Vec::new(),
            mask_token: None,
            prompts: config.prompts.clone(),
            name: config.name.clone(),
            basename: config.basename.clone(),
            size_label: config.size_label.clone(),
            architecture: config.architecture.name.into(),
            parameters: about.parameters,
            quantization: about.quantization.to_string(),
            fingerprint: format!("{:016x}", about.fingerprint),
            layers: config.layers,
            kv_width: 0,
            kv_cache: None,
            hidden_size: config.hidden,
            vocabulary_size: vocab,
            vocabulary_fingerprint: None,
            context_length: context,
            trained_context_length: config.trained_context,
            has_chat_template: false,
            engine: on.info(),
            memory_bytes: on.memory_bytes(),
        }
    }
}
