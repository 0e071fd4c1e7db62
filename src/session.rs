//! A model on an engine, and the loop that turns a prompt into tokens: prompt in chunks, decode, stop rules.
//!
//! Everything advances by [`Session::next`], one chunk of the prompt or one token at a time: so the caller can stop
//! between any two, and a worker can answer messages meanwhile. The KV cache outlives a generation: a prompt that
//! starts like the tokens in it computes only what is new.

use serde::{Deserialize, Serialize};

use crate::engine::{Engine, EngineInfo, ProgramId};
use crate::model::decoder::{Scratch, activations};
use crate::model::kv_cache::shared_prefix;
use crate::model::{Decoder, Model};
use crate::ops::Recording;
use crate::record::{Memory, Step, Tensor};
use crate::sampling::{Sampler, SamplingOptions};
use crate::tokenizer::{ChatTemplate, Detokenizer, EncodeOptions, Message, RenderOptions, StopMatcher, Tokenizer};
use crate::{Error, Result};

/// Tokens of a prompt that are processed at once. More share each weight that is read; fewer let a stop take effect
/// sooner.
const PROMPT_CHUNK: usize = 32;

/// How to generate. Names and defaults are those of the TypeScript package.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GenerateOptions {
    /// Ends with `Length` after this many tokens; `None`: when the context is full.
    pub max_tokens: Option<usize>,
    /// Strings that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Goes on after the token that ends an answer; for benchmarks.
    pub ignore_eos: bool,
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
        /// Text that became certain with it; empty while a character or a stop string is incomplete.
        text: String,
    },
    /// Nothing more comes.
    End {
        /// Why.
        reason: FinishReason,
        /// Text that was held back.
        text: String,
    },
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model said that it is done, or a stop string came.
    Stop,
    /// `max_tokens` or the context is used up.
    Length,
}

/// What is loaded, for people and programs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// Name that the file gives the model.
    pub name: String,
    /// Its GGUF architecture.
    pub architecture: String,
    /// Number of weights.
    pub parameters: u64,
    /// Block type of most weights.
    pub quantization: String,
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Tokens in the vocabulary.
    pub vocabulary_size: usize,
    /// Positions of the KV cache.
    pub context_length: usize,
    /// Tokens that the model was trained for.
    pub trained_context_length: usize,
    /// Whether [`Session::chat_prompt`] works.
    pub has_chat_template: bool,
    /// The engine that runs it.
    pub engine: EngineInfo,
    /// Bytes of engine memory.
    pub memory_bytes: u64,
}

/// A generation that is under way.
struct Generation {
    /// The prompt and what was generated.
    tokens: Vec<u32>,
    prompt_len: usize,
    /// Prompt tokens that were in the KV cache already.
    cached: usize,
    max_tokens: usize,
    ignore_eos: bool,
    sampler: Sampler,
    detokenizer: Detokenizer,
    stops: StopMatcher,
    /// Known to end with the next event.
    finish: Option<FinishReason>,
}

struct Programs {
    /// One token → its logits.
    decode: ProgramId,
    /// A chunk of the prompt.
    prompt: ProgramId,
    /// Logits of the chunk's last token.
    last_logits: ProgramId,
    /// Logits of every token of the chunk; made when first asked for.
    all_logits: Option<(ProgramId, Tensor)>,
}

/// A model on an engine.
pub struct Session {
    engine: Box<dyn Engine>,
    decoder: Decoder,
    tokenizer: Tokenizer,
    chat_template: Option<ChatTemplate>,
    parameters: u64,
    quantization: &'static str,
    scratch: Scratch,
    programs: Programs,
    /// (1, vocab)
    logits: Tensor,
    /// Tokens whose keys and values are in the KV cache.
    cached: Vec<u32>,
    generation: Option<Generation>,
}

impl Session {
    /// Records the model's work and prepares it on the engine that holds its weights.
    pub fn new(mut engine: Box<dyn Engine>, model: Model) -> Result<Self> {
        let Model { decoder, tokenizer, chat_template, parameters, quantization } = model;
        let memory: &mut dyn Memory = engine.as_mut();
        let chunk = PROMPT_CHUNK.min(decoder.context);
        let scratch = Scratch::new(memory, &decoder, chunk)?;
        let logits = activations(memory, 1, decoder.vocab)?;
        let last = activations(memory, 1, decoder.config.hidden)?;

        let mut decode = Recording::default();
        decoder.record_layers(&mut decode, &scratch.first(1))?;
        decoder.record_logits(&mut decode, &scratch.first(1), logits)?;
        let mut prompt = Recording::default();
        decoder.record_layers(&mut prompt, &scratch)?;
        let mut last_logits = Recording::default();
        decoder.record_last_logits(&mut last_logits, &scratch, last, logits)?;
        let programs = Programs {
            decode: engine.prepare(decode)?,
            prompt: engine.prepare(prompt)?,
            last_logits: engine.prepare(last_logits)?,
            all_logits: None,
        };
        let (cached, generation) = (Vec::new(), None);
        Ok(Self {
            engine,
            decoder,
            tokenizer,
            chat_template,
            parameters,
            quantization,
            scratch,
            programs,
            logits,
            cached,
            generation,
        })
    }

    /// Runs every program of a generation once and forgets the result: the browser compiles shaders on first use, which
    /// should not delay the first answer.
    pub async fn warm_up(&mut self) -> Result<()> {
        for ids in [&[0][..], &[0, 0]] {
            self.cached.clear();
            self.last_logits(&ids[..ids.len().min(self.decoder.context)]).await?;
        }
        self.cached.clear();
        Ok(())
    }

    /// What is loaded.
    pub fn info(&self) -> Info {
        let config = &self.decoder.config;
        Info {
            name: config.name.clone(),
            architecture: config.architecture.clone(),
            parameters: self.parameters,
            quantization: self.quantization.to_string(),
            layers: config.layers,
            hidden_size: config.hidden,
            vocabulary_size: self.decoder.vocab,
            context_length: self.decoder.context,
            trained_context_length: config.trained_context,
            has_chat_template: self.chat_template.is_some(),
            engine: self.engine.info(),
            memory_bytes: self.engine.memory_bytes(),
        }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The engine, for its counters.
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// A conversation in the form that the model was trained on, ready for its answer. `now`: seconds since 1970
    /// on the user's clock, for templates that print the date. Special tokens that a message spells are plain text. Errors: `ChatTemplate`.
    pub fn chat_prompt(&self, messages: &[Message], now: i64) -> Result<Vec<u32>> {
        let template = self.chat_template.as_ref().ok_or_else(|| {
            Error::ChatTemplate("the model file has none: use generate() with a prompt of your own".into())
        })?;
        let token = |id: Option<u32>| id.and_then(|id| self.tokenizer.token(id)).unwrap_or_default();
        let options = RenderOptions {
            add_generation_prompt: true,
            bos_token: token(self.tokenizer.bos()),
            eos_token: token(self.tokenizer.eos()),
            now: Some(now),
            ..RenderOptions::default()
        };
        let literal =
            |message: &Message| Message { content: self.tokenizer.literal(&message.content), ..message.clone() };
        let messages: Vec<Message> = messages.iter().map(literal).collect();
        let text = template.render(&messages, &options)?;
        self.tokenizer.encode(&text, EncodeOptions { add_special: false, parse_special: true })
    }

    /// Begins to continue `prompt`; ends what was under way. `entropy` is the seed where the options have none. Errors:
    /// `ContextOverflow`, `InvalidOption`.
    pub fn start(&mut self, prompt: Vec<u32>, options: GenerateOptions, entropy: u64) -> Result<()> {
        self.generation = None;
        self.check_ids(&prompt)?;
        let context = self.decoder.context;
        if prompt.len() >= context {
            return Err(Error::ContextOverflow { needed: prompt.len() + 1, context });
        }
        // The last token is always computed again: its logits are not in the cache.
        let cached = shared_prefix(&self.cached, &prompt).min(prompt.len() - 1);
        self.cached.truncate(cached);
        self.generation = Some(Generation {
            prompt_len: prompt.len(),
            tokens: prompt,
            cached,
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            ignore_eos: options.ignore_eos,
            sampler: Sampler::new(options.sampling, entropy)?,
            detokenizer: Detokenizer::new(true),
            stops: StopMatcher::new(options.stop)?,
            finish: options.max_tokens.filter(|&max| max == 0).map(|_| FinishReason::Length),
        });
        Ok(())
    }

    /// Does one unit of work: a chunk of the prompt, or a token. After `End`, and after an error, nothing is under way.
    pub async fn next(&mut self) -> Result<Event> {
        let Some(mut generation) = self.generation.take() else {
            return Err(Error::InvalidOption {
                name: "next".into(),
                expected: "a generation that was started".into(),
                got: "none".into(),
            });
        };
        let event = self.advance(&mut generation).await;
        match &event {
            Ok(Event::End { .. }) => {}
            Ok(_) => self.generation = Some(generation),
            // What is in the KV cache after a failure is not known.
            Err(_) => self.cached.clear(),
        }
        event
    }

    /// Ends what is under way. The KV cache stays valid.
    pub fn stop(&mut self) {
        self.generation = None;
    }

    /// Tokens of the running generation's prompt that were in the KV cache already.
    pub fn cached_tokens(&self) -> usize {
        self.generation.as_ref().map_or(0, |generation| generation.cached)
    }

    async fn advance(&mut self, generation: &mut Generation) -> Result<Event> {
        if let Some(reason) = generation.finish {
            return Ok(generation.end(reason));
        }
        let prompt = generation.prompt_len;
        let done = self.cached.len();
        let chunk = self.scratch_rows();
        if done + chunk < prompt {
            self.run(self.programs.prompt, &generation.tokens[done..done + chunk])?;
            self.engine.synchronize().await?;
            return Ok(Event::Prompt { done: done + chunk, total: prompt });
        }
        let logits = self.last_logits(&generation.tokens[done..]).await?;
        let id = generation.sampler.sample(&logits, &generation.tokens)?;
        if !generation.ignore_eos && self.tokenizer.is_end_of_generation(id) {
            return Ok(generation.end(FinishReason::Stop));
        }
        generation.tokens.push(id);
        let piece = generation.detokenizer.push(&self.tokenizer, id)?;
        let outcome = generation.stops.push(&piece);
        let full = generation.tokens.len() >= self.decoder.context
            || generation.tokens.len() - generation.prompt_len >= generation.max_tokens;
        generation.finish = match (outcome.stopped.is_some(), full) {
            (true, _) => Some(FinishReason::Stop),
            (false, true) => Some(FinishReason::Length),
            (false, false) => None,
        };
        Ok(Event::Token { id, text: outcome.emit })
    }

    /// Logits of the last of `ids`, which follow what is cached: (vocab).
    async fn last_logits(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
        if let [id] = ids {
            self.run(self.programs.decode, &[*id])?;
        } else {
            let position = self.cached.len();
            self.run(self.programs.prompt, ids)?;
            self.engine.run(self.programs.last_logits, &Step { position, ids })?;
        }
        self.engine.read_values(self.logits.buffer, self.decoder.vocab).await
    }

    fn run(&mut self, program: ProgramId, ids: &[u32]) -> Result<()> {
        self.engine.run(program, &Step { position: self.cached.len(), ids })?;
        self.cached.extend(ids);
        Ok(())
    }

    /// Logits of every position of `ids`, from an empty context: `each(position, logits)`. Errors: `ContextOverflow`.
    pub async fn logits(&mut self, ids: &[u32], mut each: impl FnMut(usize, &[f32])) -> Result<()> {
        self.generation = None;
        self.check_ids(ids)?;
        if ids.len() > self.decoder.context {
            return Err(Error::ContextOverflow { needed: ids.len(), context: self.decoder.context });
        }
        self.cached.clear();
        let (program, logits) = self.all_logits()?;
        let vocab = self.decoder.vocab;
        for chunk in ids.chunks(self.scratch_rows()) {
            let position = self.cached.len();
            self.run(self.programs.prompt, chunk)?;
            self.engine.run(program, &Step { position, ids: chunk })?;
            let values = self.engine.read_values(logits.buffer, chunk.len() * vocab).await?;
            for (i, row) in values.chunks_exact(vocab).enumerate() {
                each(position + i, row);
            }
        }
        Ok(())
    }

    fn all_logits(&mut self) -> Result<(ProgramId, Tensor)> {
        if let Some(ready) = self.programs.all_logits {
            return Ok(ready);
        }
        let rows = self.scratch_rows();
        let logits = activations(self.engine.as_mut(), rows, self.decoder.vocab)?;
        let mut recording = Recording::default();
        self.decoder.record_logits(&mut recording, &self.scratch, logits)?;
        let ready = (self.engine.prepare(recording)?, logits);
        self.programs.all_logits = Some(ready);
        Ok(ready)
    }

    fn scratch_rows(&self) -> usize {
        PROMPT_CHUNK.min(self.decoder.context)
    }

    fn check_ids(&self, ids: &[u32]) -> Result<()> {
        let vocab = self.decoder.vocab;
        if ids.is_empty() {
            return Err(Error::InvalidOption {
                name: "prompt".into(),
                expected: "at least one token".into(),
                got: "an empty prompt".into(),
            });
        }
        match ids.iter().find(|&&id| id as usize >= vocab) {
            Some(id) => Err(Error::Tokenize(format!("token id {id} is not in the vocabulary of {vocab} tokens"))),
            None => Ok(()),
        }
    }
}

impl Generation {
    fn end(&mut self, reason: FinishReason) -> Event {
        // A character that the length limit cut is left out: it would come back as U+FFFD with the next turn.
        let rest = if reason == FinishReason::Length { String::new() } else { self.detokenizer.flush() };
        let text = self.stops.push(&rest).emit + &self.stops.flush();
        Event::End { reason, text }
    }
}

/// Mean negative log-likelihood of `target` under `logits`, in nats: logsumexp(logits) - logits[target].
pub fn negative_log_likelihood(logits: &[f32], target: u32) -> f64 {
    let max = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - max).exp()).sum();
    sum.ln() + f64::from(max) - f64::from(logits[target as usize])
}
