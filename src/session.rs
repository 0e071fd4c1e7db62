//! A model on an engine, and the loop that turns a prompt into tokens: prompt in chunks, decode, stop rules.
//!
//! Everything advances by [`Session::next`], one chunk of the prompt or one token at a time: so the caller can stop
//! between any two, and a worker can answer messages meanwhile. The KV cache outlives a generation: a prompt that
//! starts like the tokens in it computes only what is new.
//!
//! Where the engine samples, steps are queued ahead of the answer, which only sees the ids. Steps past its end are dropped:
//! what they put into the KV cache lies beyond `Session::cached` and is written again.

mod embedding;
pub mod encoder;
mod encoder_programs;
mod estimate;
mod kv;
mod loaded;
mod loading;
mod programs;
mod prompt;
mod scoring;
mod types;

use crate::engine::{DeviceSampling, Engine, ProgramId};
use crate::model::Decoder;
use crate::model::encoder_config::Pooling;
use crate::model::kv_cache::{Blocks, shared_prefix};
use crate::ops::sample::INVALID_ID;
use crate::record::{Row, Step, rows};
use crate::sampling::{Sampler, log_probability, log_sum_exp, most_likely};
use crate::tokenizer::{ChatTemplates, Detokenizer, StopMatcher, Tokenizer};
use crate::{Error, Result};

pub use embedding::EmbedOptions;
pub use estimate::{Estimate, Estimator};
pub use loaded::Loaded;
pub use loading::Loading;
use programs::Programs;
use types::About;
pub use types::{Event, FinishReason, GenerateOptions, Info, TokenLogprob, TokenLogprobs};

/// A generation that is under way.
struct Generation {
    /// The prompt and what was generated, without what was dropped.
    tokens: Vec<u32>,
    /// Of them, those that are computed in chunks.
    prompt_len: usize,
    /// Prompt tokens that were in the KV cache already.
    cached: usize,
    generated: usize,
    max_tokens: usize,
    prefill: bool,
    shift_behind: Option<usize>,
    ignore_eos: bool,
    infill: bool,
    sampler: Sampler,
    /// How many alternatives to tell the log-probabilities of; `None`: not even of the token.
    top_logprobs: Option<usize>,
    /// Whether somebody else says what may come next.
    constrained: bool,
    /// Whether the engine samples.
    on_device: bool,
    /// Ids that are queued beyond `tokens`.
    ahead: usize,
    detokenizer: Detokenizer,
    stops: StopMatcher,
    /// Known to end with the next event.
    finish: Option<FinishReason>,
}

/// A model on an engine.
pub struct Session {
    engine: Box<dyn Engine>,
    decoder: Decoder,
    tokenizer: Tokenizer,
    chat_templates: ChatTemplates,
    about: About,
    programs: Programs,
    /// Tokens whose keys and values are in the KV cache.
    cached: Vec<u32>,
    /// Where their keys and values are.
    blocks: Blocks,
    /// Who restored the first of them; `None` where all were computed here.
    restored: Option<u32>,
    /// Keys and values that are being restored.
    restoring: Option<kv::Restoring>,
    /// Tokens that the last generation dropped to make room.
    dropped: usize,
    generation: Option<Generation>,
}

impl Session {
    fn new(
        engine: Box<dyn Engine>,
        decoder: Decoder,
        tokenizer: Tokenizer,
        chat_templates: ChatTemplates,
        about: About,
        programs: Programs,
    ) -> Self {
        Self {
            engine,
            decoder,
            tokenizer,
            chat_templates,
            about,
            programs,
            cached: Vec::new(),
            blocks: Blocks::default(),
            restored: None,
            restoring: None,
            dropped: 0,
            generation: None,
        }
    }

    /// Runs every program of a generation once and forgets the result: what is still being compiled, and what is wrong with
    /// it, should not wait for the first answer.
    pub async fn warm_up(&mut self) -> Result<()> {
        for ids in [&[0][..], &[0, 0]] {
            self.keep(0);
            self.last_logits(&ids[..ids.len().min(self.decoder.context)]).await?;
        }
        if let Some((device, programs)) = self.engine.device_sampling().zip(self.programs.device.as_ref()) {
            for program in [programs.decode, programs.last] {
                device.queue(program, &Step::new(&rows(0, 0, &[0]), &[self.blocks.table()]), programs.id.buffer)?;
                device.next_id().await?;
            }
        }
        self.keep(0);
        self.programs.kv.trim(self.engine.as_mut()).await
    }

    /// What is loaded.
    pub fn info(&self) -> Info {
        let config = &self.decoder.config;
        let tasks = [
            (true, "generate"),
            (self.tokenizer.fills_gaps(), "infill"),
            (!self.chat_templates.is_empty(), "chat"),
            (true, "score"),
            (config.pooling == Some(Pooling::Last) && self.tokenizer.check_text().is_ok(), "embed"),
        ];
        Info {
            kind: "decoder",
            tasks: tasks.into_iter().filter_map(|(can, task)| can.then_some(task)).collect(),
            labels: Vec::new(),
            mask_token: None,
            name: config.name.clone(),
            architecture: config.architecture.name.into(),
            parameters: self.about.parameters,
            quantization: self.about.quantization.to_string(),
            fingerprint: format!("{:016x}", self.about.fingerprint),
            layers: config.layers,
            kv_width: 2 * config.kv_heads * config.head_dim,
            hidden_size: config.hidden,
            vocabulary_size: self.decoder.vocab,
            context_length: self.decoder.context,
            trained_context_length: config.trained_context,
            has_chat_template: !self.chat_templates.is_empty(),
            engine: self.engine.info(),
            memory_bytes: self.engine.memory_bytes(),
        }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The text of the chat template that a conversation is rendered with: that called `name`, or
    /// the one for its tools. `None` where there is none.
    pub fn chat_template(&self, name: Option<&str>, tools: bool) -> Option<&str> {
        self.chat_templates.source(name, tools).ok()
    }

    /// The engine, for its counters.
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Begins to continue `prompt`; ends what was under way. `entropy` is the seed where the options have none. Errors:
    /// `ContextOverflow`, `InvalidOption`.
    pub fn start(&mut self, prompt: Vec<u32>, options: GenerateOptions, entropy: u64) -> Result<()> {
        self.stop();
        self.check_ids(&prompt)?;
        let context = self.decoder.context;
        if prompt.len() >= context {
            return Err(Error::ContextOverflow { needed: prompt.len() + 1, context });
        }
        self.forget_others(options.restored);
        // The last token is always computed again: its logits are not in the cache.
        let cached = shared_prefix(&self.cached, &prompt).min(prompt.len() - 1);
        self.keep(cached);
        self.dropped = 0;
        let sampler = Sampler::new(options.sampling, entropy)?;
        let on_device = match (&self.programs.device, sampler.device_values()) {
            (Some(programs), Some(values)) if options.top_logprobs.is_none() && !options.constrained => {
                self.engine.write_values(programs.chain.buffer, 0, &values)?;
                true
            }
            _ => false,
        };
        self.generation = Some(Generation {
            prompt_len: prompt.len(),
            tokens: prompt,
            cached,
            generated: 0,
            prefill: options.prefill,
            shift_behind: options.shift_behind,
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            ignore_eos: options.ignore_eos,
            infill: options.infill,
            sampler,
            top_logprobs: options.top_logprobs,
            constrained: options.constrained,
            on_device,
            ahead: 0,
            detokenizer: Detokenizer::keeping(self.tokenizer.special_ids(&options.keep_special)),
            stops: StopMatcher::new(options.stop)?,
            finish: options.max_tokens.filter(|&max| max == 0).map(|_| FinishReason::Length),
        });
        Ok(())
    }

    /// After [`Session::start`]: goes on as if these ids had been generated already, and their events given. Another session of
    /// the same model that was lost on the way gave them; the random stream, the text and the stop rules continue where it was.
    /// Errors: `Tokenize` for ids that are none, `InvalidOption` where nothing was started.
    pub fn resume(&mut self, generated: &[u32]) -> Result<()> {
        if generated.is_empty() {
            return Ok(());
        }
        self.check_ids(generated)?;
        let Some(mut generation) = self.generation.take() else { return Err(not_started("resume")) };
        for &id in generated {
            // every id took one draw
            generation.sampler.random();
            self.push(&mut generation, id)?;
        }
        self.generation = Some(generation);
        Ok(())
    }

    /// Of a generation that is constrained: which tokens may come next, a bit each, from the lowest of the first word on. It holds until the
    /// next call. Where the tokenizer's `end` is among them, so are all tokens that end an answer. Errors: `InvalidOption` where nothing
    /// was started.
    pub fn allow(&mut self, mut mask: Vec<u32>) -> Result<()> {
        let Some(generation) = &mut self.generation else { return Err(not_started("allow")) };
        let ends = self.tokenizer.ends();
        let bit = |id: u32| (id as usize / 32, 1 << (id % 32));
        let may_end = ends.iter().map(|&id| bit(id)).any(|(word, bit)| mask.get(word).is_some_and(|w| w & bit != 0));
        for (word, bit) in ends.iter().map(|&id| bit(id)).filter(|_| may_end) {
            if let Some(w) = mask.get_mut(word) {
                *w |= bit;
            }
        }
        generation.sampler.allow(mask);
        Ok(())
    }

    /// What was generated is the whole answer: the next event is its end. Errors: `InvalidOption` where nothing was started.
    pub fn finish(&mut self) -> Result<()> {
        let Some(generation) = &mut self.generation else { return Err(not_started("finish")) };
        generation.finish = Some(FinishReason::Stop);
        Ok(())
    }

    /// Does one unit of work: a chunk of the prompt, or a token. After `End`, and after an error, nothing is under way.
    pub async fn next(&mut self) -> Result<Event> {
        let Some(mut generation) = self.generation.take() else {
            return Err(not_started("next"));
        };
        let event = self.advance(&mut generation).await;
        match &event {
            Ok(Event::End { .. }) => {
                self.stop();
                // blocks for steps that were queued ahead
                self.keep(self.cached.len());
            }
            Ok(_) => {
                self.generation = Some(generation);
                return event;
            }
            // What is in the KV cache after a failure is not known.
            Err(_) => {
                self.stop();
                self.keep(0);
            }
        }
        let freed = self.programs.kv.trim(self.engine.as_mut()).await;
        event.and_then(|event| freed.map(|()| event))
    }

    /// Ends what is under way. The KV cache stays valid.
    pub fn stop(&mut self) {
        self.generation = None;
        self.restoring = None;
        if let Some(device) = self.engine.device_sampling() {
            device.discard();
        }
    }

    /// Tokens of the running generation's prompt that were in the KV cache already.
    pub fn cached_tokens(&self) -> usize {
        self.generation.as_ref().map_or(0, |generation| generation.cached)
    }

    /// Tokens that the last generation dropped behind [`GenerateOptions::shift_behind`].
    pub fn dropped_tokens(&self) -> usize {
        self.dropped
    }

    async fn advance(&mut self, generation: &mut Generation) -> Result<Event> {
        if let Some(reason) = generation.finish {
            return Ok(generation.end(reason));
        }
        let (done, known) = (self.cached.len(), generation.tokens.len());
        let end = generation.computed_with(done, self.programs.rows);
        if generation.prefill && done == known {
            return Ok(generation.end(FinishReason::Length));
        }
        if end < known || generation.prefill {
            let program = if end - done == 1 { self.programs.decode } else { self.programs.prompt };
            self.run(program, &generation.tokens[done..end]).await?;
            self.engine.synchronize().await?;
            return Ok(Event::Prompt { done: end, total: known });
        }
        if generation.constrained && !generation.sampler.is_constrained() {
            return Err(not_started("allow"));
        }
        let (id, logprobs) = if generation.on_device {
            (self.next_id(generation).await?, None)
        } else {
            let logits = self.last_logits(&generation.tokens[done..]).await?;
            let id = generation.sampler.sample(&logits, &generation.tokens)?;
            let logprobs = generation.top_logprobs.map(|top| token_logprobs(&self.tokenizer, &logits, id, top));
            (id, logprobs.transpose()?)
        };
        let tokenizer = &self.tokenizer;
        let ends = tokenizer.is_end_of_generation(id) || (generation.infill && tokenizer.marks_gaps(id));
        if ends && !generation.ignore_eos {
            return Ok(generation.end(FinishReason::Stop));
        }
        let text = self.push(generation, id)?;
        Ok(Event::Token { id, text, logprobs })
    }

    /// Takes the next id; returns the text that became certain with it. A full context ends the answer, or makes room.
    fn push(&mut self, generation: &mut Generation, id: u32) -> Result<String> {
        let text = generation.push(id, &self.tokenizer)?;
        let (known, context) = (generation.tokens.len(), self.decoder.context);
        if generation.finish.is_none() && known >= context {
            match generation.shift_behind.filter(|behind| behind.saturating_add(1) < context) {
                Some(behind) => {
                    // What comes behind moves to other positions, and saw what is dropped: it is computed again.
                    let drop = (known - behind).div_ceil(2);
                    generation.tokens.drain(behind..behind + drop);
                    generation.prompt_len = generation.tokens.len();
                    self.keep(behind);
                    self.dropped += drop;
                }
                None => generation.finish = Some(FinishReason::Length),
            }
        }
        Ok(text)
    }

    /// The id after `generation.tokens`, as the engine samples it. Keeps as many steps queued as the engine wants.
    async fn next_id(&mut self, generation: &mut Generation) -> Result<u32> {
        let known = generation.tokens.len();
        let left = generation.max_tokens - generation.generated;
        let most = known.saturating_add(left).min(self.decoder.context);
        while known + generation.ahead < most && generation.ahead < self.device()?.depth() {
            // the oldest step takes the ids that the host knows, the others that of the step before
            let rows = match generation.ahead {
                0 => rows(0, self.cached.len(), &generation.tokens[self.cached.len()..]),
                ahead => vec![Row { id: None, position: known + ahead - 1, sequence: 0, wanted: true }],
            };
            let positions = rows[0].position..rows[0].position + rows.len();
            let grown = self.programs.kv.grow(self.engine.as_mut(), &mut self.blocks, positions).await;
            if generation.ahead > 0 && matches!(grown, Err(Error::OutOfMemory { .. })) {
                // it may not be needed
                break;
            }
            grown?;
            self.queue(&rows, generation.sampler.random())?;
            generation.ahead += 1;
        }
        let id = self.device()?.next_id().await?;
        generation.ahead -= 1;
        self.cached.extend(&generation.tokens[self.cached.len()..]);
        match id {
            INVALID_ID => Err(Error::InvalidLogits("NaN, infinity or no finite number, found on the GPU".into())),
            id => Ok(id),
        }
    }

    fn device(&mut self) -> Result<&mut dyn DeviceSampling> {
        self.engine.device_sampling().ok_or_else(no_device)
    }

    /// Queues a step that samples.
    fn queue(&mut self, rows: &[Row], random: u32) -> Result<()> {
        let tables = [self.blocks.table()];
        let step = Step { random, ..Step::new(rows, &tables) };
        let (Some(device), Some(programs)) = (self.engine.device_sampling(), &self.programs.device) else {
            return Err(no_device());
        };
        if rows.len() == 1 {
            return device.queue(programs.decode, &step, programs.id.buffer);
        }
        device.run(self.programs.prompt, &step)?;
        device.queue(programs.last, &step, programs.id.buffer)
    }

    /// Logits of the last of `ids`, which follow what is cached: (vocab).
    async fn last_logits(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
        if let [id] = ids {
            self.run(self.programs.decode, &[*id]).await?;
        } else {
            self.run(self.programs.prompt, ids).await?;
            self.run_again(self.programs.last_logits, ids)?;
        }
        self.engine.read_values(self.programs.logits.buffer, self.decoder.vocab).await
    }

    /// Computes `ids`, which follow what is cached.
    async fn run(&mut self, program: ProgramId, ids: &[u32]) -> Result<()> {
        let (engine, position) = (self.engine.as_mut(), self.cached.len());
        self.programs.kv.grow(engine, &mut self.blocks, position..position + ids.len()).await?;
        engine.run(program, &Step::new(&rows(0, position, ids), &[self.blocks.table()]))?;
        self.cached.extend(ids);
        Ok(())
    }

    /// Runs what reads the residual stream of `ids`, the last that were computed.
    fn run_again(&mut self, program: ProgramId, ids: &[u32]) -> Result<()> {
        let rows = rows(0, self.cached.len() - ids.len(), ids);
        self.engine.run(program, &Step::new(&rows, &[self.blocks.table()]))
    }

    /// Forgets what is cached past the first `tokens`.
    fn keep(&mut self, tokens: usize) {
        self.cached.truncate(tokens);
        self.programs.kv.truncate(&mut self.blocks, self.cached.len());
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
    /// Where a run that begins with token `done` ends: the prompt goes in chunks of `rows`, what was generated token by token,
    /// also when it is computed again. So the KV cache of a resumed generation has the very values of the first time.
    fn computed_with(&self, done: usize, rows: usize) -> usize {
        if done < self.prompt_len { (done + rows).min(self.prompt_len) } else { done + 1 }
    }

    fn push(&mut self, id: u32, tokenizer: &Tokenizer) -> Result<String> {
        self.tokens.push(id);
        self.generated += 1;
        let piece = self.detokenizer.push(tokenizer, id)?;
        let outcome = self.stops.push(&piece);
        self.finish = match outcome.stopped {
            Some(_) => Some(FinishReason::Stop),
            None if self.generated >= self.max_tokens => Some(FinishReason::Length),
            None => None,
        };
        Ok(outcome.emit)
    }

    fn end(&mut self, reason: FinishReason) -> Event {
        // A character that the length limit cut is left out: it would come back as U+FFFD with the next turn.
        let rest = if reason == FinishReason::Length { String::new() } else { self.detokenizer.flush() };
        let text = self.stops.push(&rest).emit + &self.stops.flush();
        Event::End { reason, text }
    }
}

fn no_device() -> Error {
    Error::Internal { op: "sample", expected: "an engine that samples".into(), got: "none".into() }
}

fn not_started(name: &str) -> Error {
    let expected = "a generation that was started".into();
    Error::InvalidOption { name: name.into(), expected, got: "none".into() }
}

/// Mean negative log-likelihood of `target` under `logits`, in nats: logsumexp(logits) - logits[target].
pub fn negative_log_likelihood(logits: &[f32], target: u32) -> f64 {
    -log_probability(logits, log_sum_exp(logits), target)
}

/// Of `id` and of the `top` most likely. A token that the vocabulary does not spell (some models have more logits than tokens) has no bytes.
fn token_logprobs(tokenizer: &Tokenizer, logits: &[f32], id: u32, top: usize) -> Result<TokenLogprobs> {
    let sum = log_sum_exp(logits);
    let of = |id| {
        let bytes = tokenizer.token_bytes(id).unwrap_or_default();
        // JSON has no infinity
        let logprob = log_probability(logits, sum, id).max(f64::from(f32::MIN)) as f32;
        TokenLogprob { id, logprob, bytes }
    };
    let top = most_likely(logits, top)?.into_iter().map(of).collect();
    Ok(TokenLogprobs { token: of(id), top })
}
