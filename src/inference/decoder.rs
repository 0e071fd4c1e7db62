//! A decoder on an engine. It serves any number of sequences: running generations, each of which
//! [`LoadedDecoder::next`] advances separately, and what ended ones leave to later prompts.
//!
//! A generation advances by one chunk of the prompt or by one token. Between two of them the caller
//! can stop it or advance another one, and a worker can answer messages.
//!
//! If the engine samples, steps are queued ahead, and the host reads only their ids. Steps past the
//! end of the answer are discarded: their keys and values are past the end of the sequence, and
//! will be overwritten.

use std::collections::BTreeMap;

use super::advance::Running;
use super::generation::{Generation, GenerationId};
use super::inspect::Inspecting;
use super::keys::{Origin, keys_of};
use super::kv::Restoring;
use super::not_started;
use super::pictures::Content;
use super::programs::{Programs, Sampling};
use super::runner::Runner;
use super::sequences::Sequence;
use super::speculate::{Speculate, Speculated};
use super::together;
use super::types::{About, Event, GenerateOptions, Info};
use crate::engine::shared::{Share, SharedEngine};
use crate::engine::{DeviceSampling, Engine, Ids};
use crate::model::Decoder;
use crate::model::decoder::activations;
use crate::model::encoder_config::Pooling;
use crate::ops::adjust::RECENT;
use crate::ops::likely;
use crate::record::{Memory, Step, rows};
use crate::sampling::Sampler;
use crate::tokenizer::{ChatTemplates, Tokenizer};
use crate::{Error, Result};

/// A decoder on an engine.
pub struct LoadedDecoder {
    pub(super) runner: Runner,
    pub(super) tokenizer: Tokenizer,
    pub(super) chat_templates: ChatTemplates,
    about: About,
    next_id: u32,
    pub(super) generations: BTreeMap<GenerationId, Running>,
    /// Sequences that are being restored.
    pub(super) restoring: BTreeMap<GenerationId, Restoring>,
    /// Few at once.
    pub(super) inspecting: Vec<(GenerationId, Inspecting)>,
}

impl LoadedDecoder {
    pub(super) fn new(
        engine: Share,
        decoder: Decoder,
        tokenizer: Tokenizer,
        chat_templates: ChatTemplates,
        about: About,
        programs: Programs,
    ) -> Self {
        Self {
            runner: Runner::new(engine, decoder, programs),
            tokenizer,
            chat_templates,
            about,
            next_id: 0,
            generations: BTreeMap::new(),
            restoring: BTreeMap::new(),
            inspecting: Vec::new(),
        }
    }

    /// Runs every program of a generation once and discards the results, so that the first answer
    /// does not wait for compilation, and errors appear now.
    pub async fn warm_up(&mut self) -> Result<()> {
        self.runner.select(self.choice()).await?;
        for ids in [&[0][..], &[0, 0]] {
            let mut sequence = self.first_sequence().await?;
            self.runner.last_logits(&mut sequence, &ids[..ids.len().min(self.context())]).await?;
        }
        let programs = &self.runner.programs;
        if let (Some(Sampling { id, .. }), Some(sampled)) = (programs.sampling, programs.steps.sampled) {
            let mut sequence = self.first_sequence().await?;
            let first = sequence.len();
            let feed = activations(&mut self.runner.engine, 1, RECENT)?.buffer;
            self.runner.grow(&mut sequence, first..first + 1).await?;
            let rows = rows(0, first, &[0]);
            let states = [sequence.blocks.advance(first..first + 1)];
            let (tables, sources) = ([sequence.blocks.table()], [sequence.source]);
            for program in sampled {
                let step = Step { states: &states, sources: &sources, ..Step::new(&rows, &tables) };
                self.runner.engine.queue(&[program], &step, &Ids { id, feed, recent: None })?.await?;
            }
            self.runner.engine.free(feed);
        }
        self.runner.trim().await
    }

    /// A sequence without positions, but for a source text of one token where the model reads one.
    async fn first_sequence(&mut self) -> Result<Sequence> {
        let mut sequence = self.sequence(None);
        if self.reads_source() {
            self.runner.read_source(&mut sequence, &[0]).await?;
        }
        Ok(sequence)
    }

    /// Whether a prompt is a source text, which an encoder reads for the decoder.
    pub(super) fn reads_source(&self) -> bool {
        self.runner.decoder.source.is_some()
    }

    /// Describes the loaded model.
    pub fn info(&self) -> Info {
        let (config, engine) = (&self.runner.decoder.config, &self.runner.engine);
        let tasks = [
            (true, "generate"),
            (self.tokenizer.fills_gaps(), "infill"),
            (!self.chat_templates.is_empty(), "chat"),
            (!self.reads_source(), "score"),
            (config.pooling == Some(Pooling::Last) && self.tokenizer.check_text().is_ok(), "embed"),
            (self.rerank_template().is_some(), "rerank"),
        ];
        let sizes = [self.runner.decoder.vocab, self.context()];
        Info {
            tasks: tasks.into_iter().filter_map(|(can, task)| can.then_some(task)).collect(),
            kv_width: if self.saves_kv() { 2 * config.kv_heads * config.head_dim } else { 0 },
            kv_cache: Some(self.runner.programs.kv.format()),
            vocabulary_fingerprint: Some(format!("{:016x}", self.vocabulary_fingerprint())),
            has_chat_template: !self.chat_templates.is_empty(),
            ..Info::of("decoder", config, sizes, &self.about, engine)
        }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Source of the chat template called `name`, or else of the default one with or without tools.
    /// `None` if there is none.
    pub fn chat_template(&self, name: Option<&str>, tools: bool) -> Option<&str> {
        self.chat_templates.source(name, tools).ok()
    }

    /// The engine, for its counters.
    pub fn engine(&self) -> &dyn Engine {
        &self.runner.engine
    }

    /// Its engine, for a model that works with this one.
    pub fn shared_engine(&self) -> SharedEngine {
        self.runner.engine.whole().clone()
    }

    /// Starts a generation that continues `prompt`, or writes what belongs to it where that is a
    /// source text. A prefix that another sequence has computed is not computed again. `entropy` is
    /// the seed if the options have none. The generation must be stopped once its handle is not
    /// needed. Errors: `ContextOverflow`, `InvalidOption`, `Tokenize`, `UnsupportedTask`.
    pub fn start(&mut self, prompt: Vec<u32>, options: GenerateOptions, entropy: u64) -> Result<GenerationId> {
        self.start_with(prompt, Content::default(), options, entropy)
    }

    /// The same of a prompt in which pictures stand in the places of some tokens: see
    /// [`LoadedDecoder::place`]. Errors: `InvalidOption` where tokens would be dropped.
    pub fn start_with(
        &mut self,
        mut prompt: Vec<u32>,
        content: Content,
        mut options: GenerateOptions,
        entropy: u64,
    ) -> Result<GenerationId> {
        self.check_ids(&prompt)?;
        let mut source = 0;
        if let Some(half) = &self.runner.decoder.config.source {
            let given = matches!(options.speculate, Some(Speculate::Given { .. }));
            if given || options.inspect.is_some() {
                let task = if given { "speculate" } else { "inspect" };
                return Err(self.cannot(task, "a decoder without an encoder"));
            }
            source = prompt.len();
            prompt.push(half.start);
        }
        self.check_prompt(&prompt)?;
        self.check_content(&content, prompt.len())?;
        if options.shift_behind.is_some() && !content.is_empty() {
            let (expected, got) = ("none beside pictures, whose places would move".into(), "one".into());
            return Err(Error::InvalidOption { name: "shiftBehind".into(), expected, got });
        }
        let context = self.context();
        let sampler = Sampler::new(options.sampling.clone(), entropy)?;
        // The last token is always computed again: the cache does not hold its logits.
        let (restored, most) = (options.restored, prompt.len() - 1);
        if let Some(inspect) = &mut options.inspect {
            let Decoder { config, layers, .. } = &self.runner.decoder;
            inspect.experts &= config.experts.is_some();
            inspect.check_for_steps(layers.len(), config.heads, context)?;
        }
        let tells = options.top_logprobs;
        let on_host = tells.is_some_and(|top| top > likely::MOST) || options.inspect.is_some();
        let samples = self.runner.programs.sampling.is_some() && !on_host;
        let (values, adjusts) =
            (sampler.device_values().filter(|_| samples), sampler.changes_logits() || options.constrained);
        let mut generation =
            Generation::new((prompt, source), options, sampler, &self.tokenizer, self.runner.programs.draft_rows())?;
        let device = values.map(|values| self.runner.on_device(values, adjusts, tells.is_some())).transpose()?;
        let sequence = self.open_with((&generation.tokens[..most], source), content, restored);
        generation.cached = sequence.len();
        let id = self.new_id();
        self.generations.insert(id, Running { generation, sequence: Some(sequence), device, logits: None });
        Ok(id)
    }

    /// To be called after [`LoadedDecoder::start`]: continues as if these ids had been generated
    /// and their events returned, as by a generation of the same model that was lost. Random
    /// numbers, text and stop rules continue from there. Errors: `Tokenize` for ids that are not in
    /// the vocabulary, `InvalidOption` if the generation does not exist.
    pub fn resume(&mut self, id: GenerationId, generated: &[u32]) -> Result<()> {
        if generated.is_empty() {
            return Ok(());
        }
        self.check_ids(generated)?;
        let Self { runner, tokenizer, generations, .. } = self;
        let running = generations.get_mut(&id).ok_or_else(|| not_started("resume"))?;
        for &id in generated {
            // each id took one draw
            running.generation.sampler.random();
            running.push(id, runner, tokenizer)?;
        }
        Ok(())
    }

    /// Sets the allowed tokens of the next draw of a constrained generation: one bit per token,
    /// from the lowest bit of the first word on. If a token that ends an answer is allowed, all of
    /// them are. Errors: `InvalidOption` if the generation does not exist.
    pub fn allow(&mut self, id: GenerationId, mut mask: Vec<u32>) -> Result<()> {
        let running = self.generations.get_mut(&id).ok_or_else(|| not_started("allow"))?;
        let ends = self.tokenizer.ends();
        let bit = |id: u32| (id as usize / 32, 1 << (id % 32));
        let may_end = ends.iter().map(|&id| bit(id)).any(|(word, bit)| mask.get(word).is_some_and(|w| w & bit != 0));
        for (word, bit) in ends.iter().map(|&id| bit(id)).filter(|_| may_end) {
            if let Some(w) = mask.get_mut(word) {
                *w |= bit;
            }
        }
        running.generation.sampler.allow(mask);
        Ok(())
    }

    /// To be called after [`LoadedDecoder::allow`]: this text must come next. Returns how many
    /// tokens now come that are not drawn, so that no mask is needed before the one behind them.
    /// The last of the text is always drawn, since it may be one with what follows it. Errors:
    /// `InvalidOption` if the generation does not exist.
    pub fn force(&mut self, id: GenerationId, text: &str) -> Result<usize> {
        let Generation { forced, inspect, top_logprobs, .. } =
            &mut self.generations.get_mut(&id).ok_or_else(|| not_started("force"))?.generation;
        forced.ids.clear();
        // only a draw has probabilities
        if inspect.is_none() && top_logprobs.is_none() {
            let mut ids = self.tokenizer.encode_further(text)?;
            ids.pop();
            let bytes: Vec<u8> =
                ids.iter().flat_map(|&id| self.tokenizer.token_bytes(id).unwrap_or_default()).collect();
            if text.as_bytes().starts_with(&bytes) {
                forced.ids.extend(ids);
            }
        }
        Ok(forced.ids.len())
    }

    /// Ends the answer: the next event is its end. Errors: `InvalidOption` if the generation does
    /// not exist.
    pub fn finish(&mut self, id: GenerationId) -> Result<()> {
        let running = self.generations.get_mut(&id).ok_or_else(|| not_started("finish"))?;
        running.generation.finish = Some(super::FinishReason::Stop);
        Ok(())
    }

    /// Does one unit of work: a chunk of the prompt, or a token. The step of a token computes those
    /// of other generations too, where they wait for theirs. An error ends only this generation.
    /// Errors: `OutOfMemory` if its sequence cannot grow, `InvalidLogits`, `InvalidOption` after
    /// the end, and those of the engine.
    pub async fn next(&mut self, id: GenerationId) -> Result<Event> {
        self.catch_up(id);
        let Self { runner, tokenizer, generations, .. } = self;
        let count = generations.values().filter(|running| running.sequence.is_some()).count();
        let sequence = generations.get(&id).and_then(|running| running.sequence.as_ref());
        let selected = match sequence.map(|sequence| sequence.origin.adapter) {
            Some(choice) => runner.select(choice).await,
            None => Ok(()),
        };
        let computed = match runner.programs.sampling {
            _ if count < 2 || selected.is_err() => selected,
            None => together::compute(id, generations, runner).await,
            Some(_) => together::queue_all(id, generations, runner, count).await,
        };
        let running = generations.get_mut(&id).ok_or_else(|| not_started("next"))?;
        let event = match computed {
            Ok(()) => running.advance(id, runner, tokenizer, count).await,
            Err(error) => Err(error),
        };
        match &event {
            Ok(Event::End { .. }) => running.end(runner),
            Ok(_) => return event,
            // After a failure the contents of the KV cache are unknown.
            Err(_) => generations.remove(&id).into_iter().for_each(|running| running.fail(runner)),
        }
        self.trimmed(event).await
    }

    /// Takes over what others have computed of a prompt since: of prompts that begin alike and are
    /// read at once, each token is computed by one of them. Its own chunks that are queued come
    /// before whatever takes their blocks.
    fn catch_up(&mut self, id: GenerationId) {
        let Some(Running { generation, sequence: Some(sequence), .. }) = self.generations.get(&id) else { return };
        let (done, most) = (sequence.len(), generation.prompt_len - 1);
        if done >= most || !generation.ahead.is_empty() || generation.dropped > 0 {
            return;
        }
        let content = sequence.content.clone();
        let ids = (&generation.tokens[..most], generation.source);
        let longer = self.longest(ids, &content, sequence.origin, Some(id));
        if let (true, Some(running)) = (longer.len() > done, self.generations.get_mut(&id)) {
            self.runner.prefixes.opened(&longer);
            running.generation.cached += longer.len() - done;
            running.sequence = Some(longer);
        }
    }

    /// Ends a generation, a restore or an inspection in any state, and releases its handle. Later
    /// prompts may continue its sequence.
    pub fn stop(&mut self, id: GenerationId) {
        if let Some(mut running) = self.generations.remove(&id) {
            running.end(&mut self.runner);
        }
        self.restoring.remove(&id);
        if let Some(inspecting) = self.take_inspecting(id) {
            inspecting.end(&mut self.runner);
        }
    }

    /// Drops what is kept for later prompts, and frees its memory.
    pub async fn forget(&mut self) -> Result<()> {
        self.runner.prefixes.clear();
        self.runner.trim().await
    }

    /// Number of blocks of the KV cache that are held, by generations and for later prompts.
    pub fn held_blocks(&self) -> usize {
        self.runner.programs.kv.held()
    }

    /// At the end of a call: frees the memory of blocks that no sequence holds. Beside a
    /// generation, which can use them, they stay: a GPU copies what is held in order to free the
    /// rest.
    pub(super) async fn trimmed<T>(&mut self, result: Result<T>) -> Result<T> {
        let alone = self.generations.values().all(|running| running.sequence.is_none());
        let trimmed = if alone { self.runner.trim().await } else { Ok(()) };
        let value = result?;
        trimmed.map(|()| value)
    }

    /// The sequences of everything that is under way.
    pub(super) fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        let running = self.generations.values().filter_map(|running| running.sequence.as_ref());
        let restoring = self.restoring.values().map(|restoring| &restoring.sequence);
        running.chain(restoring).chain(self.inspecting.iter().map(|(_, inspecting)| &inspecting.sequence))
    }

    /// A sequence without positions.
    pub(super) fn sequence(&self, restored: Option<u32>) -> Sequence {
        Sequence::new(&self.runner.programs.kv, self.origin(restored))
    }

    /// Number of tokens of a generation's prompt that it did not compute: those that were in the KV
    /// cache, or came into it before their turn.
    pub fn cached_tokens(&self, id: GenerationId) -> usize {
        self.generations.get(&id).map_or(0, |running| running.generation.cached)
    }

    /// How many tokens a generation drafted, and how many of these it took.
    pub fn speculated(&self, id: GenerationId) -> Speculated {
        let speculation = self.generations.get(&id).and_then(|running| running.generation.speculation.as_ref());
        speculation.map_or(Speculated::default(), |speculation| speculation.counts)
    }

    /// Number of tokens that a generation dropped behind [`GenerateOptions::shift_behind`].
    pub fn dropped_tokens(&self, id: GenerationId) -> usize {
        self.generations.get(&id).map_or(0, |running| running.generation.dropped)
    }

    /// A sequence with the longest prefix of `ids`, of which the first `source` are a source text,
    /// in the KV cache, at most `most` tokens.
    pub(super) fn open(&mut self, (ids, source): (&[u32], usize), restored: Option<u32>, most: usize) -> Sequence {
        self.open_with((&ids[..most], source), Content::default(), restored)
    }

    /// The same with this content.
    fn open_with(&mut self, ids: (&[u32], usize), content: Content, restored: Option<u32>) -> Sequence {
        let sequence = self.longest(ids, &content, self.origin(restored), None);
        self.runner.prefixes.opened(&sequence);
        sequence
    }

    /// The longest prefix of `ids` in the KV cache that calls of this origin may use, but for what
    /// the generation `but` has: see [`Prefixes::longest`](super::prefixes::Prefixes::longest).
    pub(super) fn longest(
        &self,
        (ids, source): (&[u32], usize),
        content: &Content,
        origin: Origin,
        but: Option<GenerationId>,
    ) -> Sequence {
        let others = self.generations.iter().filter(|(id, _)| Some(**id) != but);
        let running: Vec<_> = others.filter_map(|(_, running)| running.sequence.as_ref()).collect();
        let keys = if source > 0 { keys_of(ids, source).collect() } else { content.keys(0, ids) };
        let mut found = self.runner.prefixes.longest(&self.runner.programs.kv, &running, &keys, &origin);
        (found.source, found.content) = (source, content.clone());
        if found.len() < source {
            found.truncate(0);
        }
        found
    }

    /// The origin of keys and values that this model computes for the owner `restored`.
    pub(super) fn origin(&self, restored: Option<u32>) -> Origin {
        Origin { model: self.about.fingerprint, adapter: self.choice(), restored }
    }

    pub(super) fn new_id(&mut self) -> GenerationId {
        self.next_id += 1;
        self.next_id.into()
    }

    /// Largest number of tokens in a sequence.
    pub(super) fn context(&self) -> usize {
        self.runner.decoder.context
    }

    /// Checks a prompt. Errors: `ContextOverflow` unless a token fits behind it, and those of
    /// [`Self::check_ids`].
    pub(super) fn check_prompt(&self, ids: &[u32]) -> Result<()> {
        self.check_ids(ids)?;
        let (needed, context) = (ids.len() + 1, self.context());
        if needed > context { Err(Error::ContextOverflow { needed, context }) } else { Ok(()) }
    }

    pub(super) fn check_ids(&self, ids: &[u32]) -> Result<()> {
        let vocab = self.runner.decoder.vocab;
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
