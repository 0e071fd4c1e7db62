//! An answer that is being drawn on a sequence: tokens, stop rules, and when it ends.

use std::collections::VecDeque;

use super::types::{Event, FinishReason, GenerateOptions};
use crate::Result;
use crate::engine::LocalFuture;
use crate::sampling::Sampler;
use crate::tokenizer::{Detokenizer, StopMatcher, Tokenizer};

/// The handle of a generation. None is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationId(u32);

impl From<u32> for GenerationId {
    fn from(id: u32) -> Self {
        Self(id)
    }
}

impl From<GenerationId> for u32 {
    fn from(GenerationId(id): GenerationId) -> Self {
        id
    }
}

/// An answer that is being drawn.
pub(super) struct Generation {
    /// The prompt and what was generated, without what was dropped.
    pub tokens: Vec<u32>,
    /// Of them, those that are computed in chunks.
    pub prompt_len: usize,
    /// Prompt tokens that were in the KV cache already.
    pub cached: usize,
    /// Tokens that were dropped to make room.
    pub dropped: usize,
    pub generated: usize,
    pub max_tokens: usize,
    pub prefill: bool,
    pub shift_behind: Option<usize>,
    pub ignore_eos: bool,
    pub infill: bool,
    pub sampler: Sampler,
    /// How many alternatives to tell the log-probabilities of; `None`: not even of the token.
    pub top_logprobs: Option<usize>,
    /// Whether [`LoadedDecoder::allow`](super::LoadedDecoder::allow) says what may come next.
    pub constrained: bool,
    /// Ids that are queued beyond `tokens`, oldest first.
    pub ahead: VecDeque<LocalFuture<'static, Result<u32>>>,
    pub detokenizer: Detokenizer,
    pub stops: StopMatcher,
    /// Known to end with the next event.
    pub finish: Option<FinishReason>,
}

impl Generation {
    /// Nothing of the prompt is computed yet. Errors: `InvalidOption`.
    pub fn new(prompt: Vec<u32>, options: GenerateOptions, sampler: Sampler, tokenizer: &Tokenizer) -> Result<Self> {
        Ok(Self {
            prompt_len: prompt.len(),
            tokens: prompt,
            cached: 0,
            dropped: 0,
            generated: 0,
            prefill: options.prefill,
            shift_behind: options.shift_behind,
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            ignore_eos: options.ignore_eos,
            infill: options.infill,
            sampler,
            top_logprobs: options.top_logprobs,
            constrained: options.constrained,
            ahead: VecDeque::new(),
            detokenizer: Detokenizer::keeping(tokenizer.special_ids(&options.keep_special)),
            stops: StopMatcher::new(options.stop)?,
            finish: options.max_tokens.filter(|&max| max == 0).map(|_| FinishReason::Length),
        })
    }

    /// Where a run that begins with token `done` ends: the prompt goes in chunks of `rows`, what was generated token by token,
    /// also when it is computed again. So the KV cache of a resumed generation has the very values of the first time.
    pub fn computed_with(&self, done: usize, rows: usize) -> usize {
        if done < self.prompt_len { (done + rows).min(self.prompt_len) } else { done + 1 }
    }

    /// Takes the next id; returns the text that became certain with it. A full context ends the answer, or makes room: then the
    /// positions from the second result on are to be computed again.
    pub fn push(&mut self, id: u32, tokenizer: &Tokenizer, context: usize) -> Result<(String, Option<usize>)> {
        self.tokens.push(id);
        self.generated += 1;
        let piece = self.detokenizer.push(tokenizer, id)?;
        let outcome = self.stops.push(&piece);
        self.finish = match outcome.stopped {
            Some(_) => Some(FinishReason::Stop),
            None if self.generated >= self.max_tokens => Some(FinishReason::Length),
            None => None,
        };
        let known = self.tokens.len();
        if self.finish.is_some() || known < context {
            return Ok((outcome.emit, None));
        }
        let Some(behind) = self.shift_behind.filter(|behind| behind.saturating_add(1) < context) else {
            self.finish = Some(FinishReason::Length);
            return Ok((outcome.emit, None));
        };
        // What comes behind moves to other positions, and attended to what is dropped: it is computed again.
        let drop = (known - behind).div_ceil(2);
        self.tokens.drain(behind..behind + drop);
        self.prompt_len = self.tokens.len();
        self.dropped += drop;
        Ok((outcome.emit, Some(behind)))
    }

    /// The last event.
    pub fn end(&mut self, reason: FinishReason) -> Event {
        // A character that the length limit cut is left out: it would come back as U+FFFD with the next turn.
        let rest = if reason == FinishReason::Length { String::new() } else { self.detokenizer.flush() };
        let text = self.stops.push(&rest).emit + &self.stops.flush();
        Event::End { reason, text }
    }
}
