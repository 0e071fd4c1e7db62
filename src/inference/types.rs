//! What goes into a loaded model and what comes out, named as in the TypeScript package.

use serde::{Deserialize, Serialize};

use crate::engine::shared::Share;
use crate::engine::{Engine, EngineInfo};
use crate::model::Config;
use crate::record::Memory;
use crate::sampling::SamplingOptions;

/// How to generate. Names and defaults are those of the TypeScript package.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GenerateOptions {
    /// Ends with `Length` after this many tokens; `None`: when the context is full.
    pub max_tokens: Option<usize>,
    /// Strings that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Draws every token from those that [`super::LoadedDecoder::allow`] allows.
    pub constrained: bool,
    /// What is written fills a gap: it ends at the tokens that mark the parts of a prompt with a
    /// gap too.
    pub infill: bool,
    /// Names of special tokens that are part of the text, as others are not: `[TOOL_CALLS]`, for
    /// example.
    pub keep_special: Vec<String>,
    /// Ends when the prompt is in the KV cache.
    pub prefill: bool,
    /// When the context is full, drops the older half of the tokens behind so many first ones,
    /// computes the rest again and goes on. `None`: the answer ends there.
    pub shift_behind: Option<usize>,
    /// Whose restored keys and values it may go on from, see [`super::LoadedDecoder::restore`].
    /// Others' are computed anew.
    pub restored: Option<u32>,
    /// Goes on after the token that ends an answer; for benchmarks.
    pub ignore_eos: bool,
    /// Tells the log-probability of every token, and of so many of the likeliest beside it.
    pub top_logprobs: Option<usize>,
    /// How the next token is chosen.
    #[serde(flatten)]
    pub sampling: SamplingOptions,
}

/// One unit of progress.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    },
    /// Nothing more comes.
    End {
        /// Why.
        reason: FinishReason,
        /// Text that was held back.
        text: String,
    },
}

/// How likely the model found a token and its alternatives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenLogprobs {
    /// The one that was chosen.
    #[serde(flatten)]
    pub token: TokenLogprob,
    /// The likeliest, best first, whether or not the chosen one is among them.
    pub top: Vec<TokenLogprob>,
}

/// How likely the model found a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenLogprob {
    /// The token.
    pub id: u32,
    /// In nats, of the model's own distribution: before temperature, filters, biases and penalties.
    pub logprob: f32,
    /// What it spells, which need not be whole characters.
    pub bytes: Vec<u8>,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// `decoder` or `encoder`.
    pub kind: &'static str,
    /// What it can do, by the names of the TypeScript package's methods.
    pub tasks: Vec<&'static str>,
    /// What its classifier tells apart, in the file's order.
    pub labels: Vec<String>,
    /// What stands for a token to be filled in, where the model fills some in.
    pub mask_token: Option<String>,
    /// Name that the file gives the model.
    pub name: String,
    /// Its GGUF architecture.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// Block type of most weights.
    pub quantization: String,
    /// Tells models apart, of their tensors and how these begin: 16 hexadecimal digits.
    pub fingerprint: String,
    /// Layers.
    pub layers: usize,
    /// Keys and values that a token has in the KV cache of a layer: 2 · kv_heads · head_dim. 0 for
    /// an encoder.
    pub kv_width: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Tokens in the vocabulary.
    pub vocabulary_size: usize,
    /// The most tokens that it takes: positions of the KV cache.
    pub context_length: usize,
    /// Tokens that the model was trained for.
    pub trained_context_length: usize,
    /// Whether [`LoadedDecoder::chat_prompt`](super::LoadedDecoder::chat_prompt) works.
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
            name: config.name.clone(),
            architecture: config.architecture.name.into(),
            parameters: about.parameters,
            quantization: about.quantization.to_string(),
            fingerprint: format!("{:016x}", about.fingerprint),
            layers: config.layers,
            kv_width: 0,
            hidden_size: config.hidden,
            vocabulary_size: vocab,
            context_length: context,
            trained_context_length: config.trained_context,
            has_chat_template: false,
            engine: on.info(),
            memory_bytes: on.memory_bytes(),
        }
    }
}
