//! One unit of work of a generation: a chunk of the prompt, or a token.

use super::generation::{Generation, GenerationId};
use super::inspect::{StepSeen, draw};
use super::not_started;
use super::runner::{Draw, OnDevice, Runner};
use super::sequences::Sequence;
use super::types::{Event, FinishReason, TokenLogprob, TokenLogprobs};
use crate::engine::Engine;
use crate::ops::likely::Told;
use crate::ops::sample::INVALID_ID;
use crate::sampling::{log_sum_exp, most_likely};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

use super::keys::token_keys;

/// A generation and the sequence that it writes to.
pub(super) struct Running {
    pub generation: Generation,
    /// `None` once the generation has ended.
    pub sequence: Option<Sequence>,
    /// Present if the engine samples for this generation.
    pub device: Option<OnDevice>,
    /// Logits of its last token, if a step of another generation has computed them.
    pub logits: Option<Vec<f32>>,
}

impl Running {
    /// Does one unit of work, as one of `count` running generations.
    pub async fn advance(
        &mut self,
        id: GenerationId,
        runner: &mut Runner,
        tokenizer: &Tokenizer,
        count: usize,
    ) -> Result<Event> {
        let Self { generation, sequence: Some(sequence), device, logits } = self else {
            return Err(not_started("next"));
        };
        if let Some(reason) = generation.finish {
            return Ok(generation.end(reason));
        }
        if let Some(draws) = device
            && !runner.prepare_draw(draws).await?
        {
            // the host draws instead
            device.take().into_iter().for_each(|device| runner.give_back(device));
        }
        let known = generation.tokens.len();
        // a call that was dropped before its end may not have read its logits
        if logits.is_none() {
            sequence.truncate(known - usize::from(!generation.prefill));
        }
        // what is forced is computed with the next draw
        if generation.ahead.is_empty() && !generation.is_in_run() {
            let all = queue_chunks(generation, sequence, runner, count).await?;
            // behind the last chunk, before that is awaited; a mask may still come
            let follows = all && (1..runner.engine.prompt_depth()).contains(&generation.chunks.len());
            let draws = follows && !generation.prefill && !generation.constrained;
            if let (Some(device), true) = (&mut *device, draws) {
                queue_step(id, generation, sequence, device, runner).await?;
            }
        }
        if let Some((end, computed)) = generation.chunks.front_mut() {
            // the chunk stays in the queue until it is done, so that a caller may drop this future
            computed.await?;
            let done = *end;
            generation.chunks.pop_front();
            return Ok(Event::Prompt { done, total: known });
        }
        if generation.prefill {
            return Ok(generation.end(FinishReason::Length));
        }
        if let Some(next) = generation.next_forced(sequence.len()) {
            *logits = None;
            device.iter_mut().for_each(|device| device.computed = None);
            let text = self.push(next, runner, tokenizer)?;
            return Ok(Event::Token { id: next, text, logprobs: None, inspection: None });
        }
        if generation.constrained && !generation.sampler.is_constrained() {
            return Err(not_started("allow"));
        }
        let draft = draft(generation, sequence, logits.as_deref(), runner);
        // a draft comes behind the steps that are queued, and no more are queued before it
        let on_device = logits.is_none() && (draft.is_empty() || !generation.ahead.is_empty());
        let (next, told, inspection) = if let (Some(device), true) = (device, on_device) {
            // a mask is known for one draw
            let waits = generation.constrained || !draft.is_empty() || wants_draft(generation, sequence, runner);
            let depth = if waits { 1 } else { runner.depth(count) };
            let words = next_words(id, generation, sequence, device, runner, (count, depth)).await?;
            let told = generation.top_logprobs.map(|top| Told::read(&words, top.min(runner.decoder.vocab)));
            (words[0], told, None)
        } else {
            let logits = match logits.take() {
                None if !draft.is_empty() => verified(generation, sequence, &draft, runner).await?,
                computed => computed,
            };
            let (id, logits, seen) = drawn(generation, sequence, logits, runner, tokenizer).await?;
            let told = generation.top_logprobs.map(|top| told(&logits, id, top)).transpose()?;
            (id, told, seen.map(Box::new))
        };
        let logprobs = told.map(|told| token_logprobs(tokenizer, &told));
        let ends = tokenizer.is_end_of_generation(next) || (generation.infill && tokenizer.marks_gaps(next));
        if ends && !generation.ignore_eos {
            return Ok(generation.end(FinishReason::Stop));
        }
        let text = self.push(next, runner, tokenizer)?;
        self.run_ahead(runner);
        Ok(Event::Token { id: next, text, logprobs, inspection })
    }

    /// Computes the logits of the newest token while the caller makes the mask of the next.
    fn run_ahead(&mut self, runner: &mut Runner) {
        let Self { generation, sequence: Some(sequence), device: Some(device), logits } = self else { return };
        let newest = generation.tokens.len() - 1;
        let follows = generation.finish.is_none() && device.has_room && sequence.len() == newest;
        let drafted = !draft(generation, sequence, logits.as_deref(), runner).is_empty();
        if follows && !drafted && !wants_draft(generation, sequence, runner) {
            // an error comes again with the next step
            device.computed = runner.run_ahead(sequence, newest, &generation.tokens[newest..]).ok();
        }
    }

    /// Ends the generation; later prompts may continue its sequence.
    pub fn end(&mut self, runner: &mut Runner) {
        self.drop_queued(runner);
        if let Some(sequence) = self.sequence.take() {
            runner.prefixes.keep(&sequence);
        }
    }

    /// Ends the generation after a failure, and drops its sequence, whose keys and values may be
    /// incomplete.
    pub fn fail(mut self, runner: &mut Runner) {
        self.drop_queued(runner);
    }

    fn drop_queued(&mut self, runner: &mut Runner) {
        self.generation.chunks.clear();
        self.generation.ahead.clear();
        if let Some(device) = self.device.take() {
            runner.give_back(device);
        }
    }

    /// Appends the next id; returns the text that it completes.
    pub fn push(&mut self, id: u32, runner: &mut Runner, tokenizer: &Tokenizer) -> Result<String> {
        let (text, again) = self.generation.push(id, tokenizer, runner.decoder.context)?;
        let Self { generation: Generation { speculation, finish, .. }, sequence: Some(sequence), logits, .. } = self
        else {
            return Ok(text);
        };
        if let Some(positions) = again {
            sequence.truncate(positions);
        }
        let Some(speculation) = speculation else { return Ok(text) };
        let drafted = speculation.is_under_way();
        *logits = speculation.push(id).filter(|_| again.is_none() && finish.is_none());
        if logits.is_some() {
            sequence.keys.extend(token_keys(&[id]));
        } else if drafted {
            speculation.clear();
            sequence.blocks.truncate(sequence.len());
        }
        Ok(text)
    }
}

/// A draft of what follows the newest token, where nothing else has computed the logits behind it.
fn draft(generation: &Generation, sequence: &Sequence, logits: Option<&[f32]>, runner: &Runner) -> Vec<u32> {
    match logits {
        None => generation.draft(sequence.len(), runner.decoder.context),
        Some(_) => Vec::new(),
    }
}

/// Whether another model should draft what follows, now or behind the steps that are queued.
fn wants_draft(generation: &Generation, sequence: &Sequence, runner: &Runner) -> bool {
    generation.wants_draft(sequence.len(), runner.decoder.context) > 0
}

/// The logits behind `generation.tokens`, from a step that computes those behind a draft too;
/// `None` if there is no memory for it.
async fn verified(
    generation: &mut Generation,
    sequence: &mut Sequence,
    draft: &[u32],
    runner: &mut Runner,
) -> Result<Option<Vec<f32>>> {
    let all = match runner.draft_logits(sequence, &generation.tokens, draft).await {
        Err(Error::OutOfMemory { .. }) => return Ok(None),
        computed => computed?,
    };
    let mut rows = all.chunks_exact(runner.decoder.vocab).map(<[f32]>::to_vec);
    let first = rows.next();
    if let Some(speculation) = &mut generation.speculation {
        speculation.verify(draft, rows);
    }
    Ok(first)
}

/// The id after `generation.tokens`, drawn by the host, with its logits and what was seen.
/// `logits`: those, if they were computed already.
async fn drawn(
    generation: &mut Generation,
    sequence: &mut Sequence,
    logits: Option<Vec<f32>>,
    runner: &mut Runner,
    tokenizer: &Tokenizer,
) -> Result<(u32, Vec<f32>, Option<StepSeen>)> {
    let Generation { tokens, source, sampler, inspect, .. } = generation;
    let done = sequence.len();
    let Some(options) = inspect else {
        let logits = match logits {
            Some(logits) => logits,
            None => runner.last_logits(sequence, &tokens[done..]).await?,
        };
        return Ok((sampler.sample(&logits, &tokens[*source..])?, logits, None));
    };
    let known = tokens.len() - 1;
    if done < known {
        runner.run(runner.programs.steps.prompt, sequence, &tokens[done..known]).await?;
    }
    let (id, logits, seen) = draw(options, tokens, sampler, runner, sequence, tokenizer).await?;
    Ok((id, logits, Some(seen)))
}

/// Queues chunks of the prompt, as many as the engine wants. Returns whether all are queued that
/// come before the step that gives the next token.
async fn queue_chunks(
    generation: &mut Generation,
    sequence: &mut Sequence,
    runner: &mut Runner,
    count: usize,
) -> Result<bool> {
    let known = generation.tokens.len();
    loop {
        let done = sequence.len();
        let mut end = generation.computed_with(done, runner.chunk(count));
        // the state before the last token, from which the same prompt goes on when it comes again
        if runner.programs.kv.has_slots() && end == generation.prompt_len && end > done + 1 && !generation.prefill {
            end -= 1;
        }
        if done == known || (end == known && !generation.prefill) {
            return Ok(true);
        }
        if generation.chunks.len() >= runner.engine.prompt_depth() {
            return Ok(false);
        }
        let program = if end - done == 1 { runner.programs.steps.decode } else { runner.programs.steps.prompt };
        match done < generation.source {
            true => runner.read_source(sequence, &generation.tokens[..end]).await?,
            false => runner.run(program, sequence, &generation.tokens[done..end]).await?,
        }
        generation.chunks.push_back((end, runner.engine.synchronize()));
    }
}

/// The words of the draw after `generation.tokens`, sampled by the engine: its id, or a [`Told`].
/// Keeps `depth` steps queued, as one of `count` running generations.
async fn next_words(
    id: GenerationId,
    generation: &mut Generation,
    sequence: &mut Sequence,
    device: &mut OnDevice,
    runner: &mut Runner,
    (count, depth): (usize, usize),
) -> Result<Vec<u32>> {
    let known = generation.tokens.len();
    let left = generation.max_tokens - generation.generated;
    let most = known.saturating_add(left).min(runner.decoder.context);
    while known + generation.ahead.len() < most && (generation.ahead.is_empty() || generation.ahead.len() < depth) {
        match queue_step(id, generation, sequence, device, runner).await {
            // no more steps fit; those that are queued suffice
            Err(Error::OutOfMemory { .. }) if !generation.ahead.is_empty() => break,
            queued => queued?,
        }
    }
    let Generation { tokens, ahead, constrained, .. } = generation;
    // room that is there before the id, so that nothing is awaited behind it; beside others, their
    // steps would take the place of the logits
    let alone = count == 1 && !runner.programs.kv.has_slots();
    device.has_room = *constrained && alone && known < runner.decoder.context && {
        runner.grow(sequence, known..known + 1).await.is_ok()
    };
    // the step stays in the queue until its id has arrived, so that a caller may drop this future
    let sampled = match ahead.front_mut() {
        Some(oldest) => oldest.await?,
        None => return Err(not_started("next")),
    };
    ahead.pop_front();
    sequence.computed(&tokens[sequence.len()..]);
    match sampled[0] {
        INVALID_ID => Err(Error::InvalidLogits("NaN, infinity or no finite number, found on the GPU".into())),
        _ => Ok(sampled),
    }
}

/// Queues one more step that the engine samples in.
async fn queue_step(
    id: GenerationId,
    generation: &mut Generation,
    sequence: &mut Sequence,
    device: &mut OnDevice,
    runner: &mut Runner,
) -> Result<()> {
    let Generation { tokens, source, ahead, sampler, .. } = generation;
    // the oldest step takes ids that the host knows, each later one the id of the step before it
    let position = if ahead.is_empty() { sequence.len() } else { tokens.len() + ahead.len() - 1 };
    let ids = if ahead.is_empty() { &tokens[position..] } else { &[] };
    runner.grow(sequence, position..position + ids.len().max(1)).await?;
    let (source, known) = (*source, &tokens[*source..]);
    let draw = Draw { random: sampler.random(), sampler, source, known, ahead: ahead.len() };
    ahead.push_back(runner.queue(id, sequence, device, (position, ids), draw)?);
    Ok(())
}

/// What the logits tell of `id` and of the `top` most likely tokens. Errors: `InvalidLogits`.
fn told(logits: &[f32], id: u32, top: usize) -> Result<Told> {
    let of = |id: u32| logits[id as usize];
    let top = most_likely(logits, top)?.into_iter().map(|id| (id, of(id))).collect();
    Ok(Told { id, logit: of(id), log_sum_exp: log_sum_exp(logits), top })
}

/// Log-probabilities. Tokens that are not in the vocabulary have no bytes (some models have more
/// logits than tokens).
fn token_logprobs(tokenizer: &Tokenizer, told: &Told) -> TokenLogprobs {
    let of = |(id, logit): (u32, f32)| {
        let bytes = tokenizer.token_bytes(id).unwrap_or_default();
        // JSON has no infinity
        let logprob = (f64::from(logit) - told.log_sum_exp).max(f64::from(f32::MIN)) as f32;
        TokenLogprob { id, logprob, bytes }
    };
    TokenLogprobs { token: of((told.id, told.logit)), top: told.top.iter().copied().map(of).collect() }
}
