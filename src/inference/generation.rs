//! An answer while it is generated: its tokens, stop rules and end.

use std::collections::VecDeque;
use std::ops::Range;

use super::inspect::InspectOptions;
use super::speculate::Speculation;
use super::types::{Event, FinishReason, GenerateOptions};
use crate::Result;
use crate::engine::LocalFuture;
use crate::sampling::Sampler;
use crate::tokenizer::{Detokenizer, StopMatcher, Tokenizer};

/// The handle of a generation. Handles are never reused.
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

/// End of the chunk of a prompt of `len` tokens that begins with token `done` and has at most
/// `rows` tokens. It leaves no single token, which would be a decode step: that may round
/// otherwise, and how large chunks are depends on the time that they take.
pub(super) fn chunk_end(done: usize, rows: usize, len: usize) -> usize {
    let end = done.saturating_add(rows).min(len);
    if end + 1 == len && rows > 2 { end - 1 } else { end }
}

/// An answer while it is generated.
pub(super) struct Generation {
    /// The prompt and the generated tokens, without those that were dropped.
    pub tokens: Vec<u32>,
    /// Number of leading tokens that are the source text.
    pub source: usize,
    /// Number of leading tokens that are computed in chunks.
    pub prompt_len: usize,
    /// Number of prompt tokens that were in the KV cache already.
    pub cached: usize,
    /// Number of tokens that were dropped to make room.
    pub dropped: usize,
    pub generated: usize,
    pub max_tokens: usize,
    pub prefill: bool,
    pub shift_behind: Option<usize>,
    pub ignore_eos: bool,
    pub infill: bool,
    pub sampler: Sampler,
    /// Number of alternatives whose log-probabilities are reported; `None`: not even the token's
    /// own.
    pub top_logprobs: Option<usize>,
    /// What to look at in each step.
    pub inspect: Option<InspectOptions>,
    /// Whether [`LoadedDecoder::allow`](super::LoadedDecoder::allow) restricts the next token.
    pub constrained: bool,
    /// What must come next by the constraint.
    pub forced: Forced,
    /// Drafts of the next tokens.
    pub speculation: Option<Speculation>,
    /// Chunks of the prompt that are queued, oldest first: the position after each, and its end.
    pub chunks: VecDeque<(usize, LocalFuture<'static, Result<()>>)>,
    /// Ids of steps queued beyond `tokens`, oldest first.
    pub ahead: VecDeque<LocalFuture<'static, Result<Vec<u32>>>>,
    pub detokenizer: Detokenizer,
    pub stops: StopMatcher,
    /// The reason, once it is known that the next event is the end.
    pub finish: Option<FinishReason>,
}

/// Tokens that a constraint leaves no choice of. They are not drawn, and computed in one step with
/// what comes before them.
#[derive(Default)]
pub(super) struct Forced {
    /// Those that are not in the answer yet.
    pub ids: VecDeque<u32>,
    /// Positions of the latest in the answer, and of what is computed with them.
    run: Range<usize>,
}

impl Generation {
    /// A generation of which nothing is computed yet. `source`: how many of the first tokens of the
    /// prompt are a source text. `next_rows`: see
    /// [`Programs::draft_rows`](super::programs::Programs::draft_rows). Errors: `InvalidOption`.
    pub fn new(
        (prompt, source): (Vec<u32>, usize),
        options: GenerateOptions,
        sampler: Sampler,
        tokenizer: &Tokenizer,
        next_rows: usize,
    ) -> Result<Self> {
        Ok(Self {
            source,
            prompt_len: prompt.len(),
            tokens: prompt,
            cached: 0,
            dropped: 0,
            generated: 0,
            prefill: options.prefill,
            // what is behind the source text and the token that starts an answer
            shift_behind: options.shift_behind.map(|behind| if source > 0 { behind.max(source + 1) } else { behind }),
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            ignore_eos: options.ignore_eos,
            infill: options.infill,
            sampler,
            top_logprobs: options.top_logprobs,
            forced: Forced::default(),
            // what is looked at goes layer by layer
            speculation: options
                .speculate
                .filter(|_| options.inspect.is_none())
                .map(|source| Speculation::new(source, next_rows - 1)),
            inspect: options.inspect,
            constrained: options.constrained,
            chunks: VecDeque::new(),
            ahead: VecDeque::new(),
            detokenizer: Detokenizer::keeping(tokenizer.special_ids(&options.keep_special)),
            stops: StopMatcher::new(options.stop)?,
            finish: options.max_tokens.filter(|&max| max == 0).map(|_| FinishReason::Length),
        })
    }

    /// End of the run that begins with token `done`: the prompt is computed in chunks of at most
    /// `rows`, generated tokens one by one, even when they are computed again. The KV cache of a
    /// resumed generation then has exactly the values of the first time.
    pub fn computed_with(&self, done: usize, rows: usize) -> usize {
        match self.forced.run.contains(&done) {
            true => (done + rows).min(self.forced.run.end),
            // a source text is read as a whole
            false if done < self.source => self.source,
            false if done < self.prompt_len => chunk_end(done, rows, self.prompt_len),
            false => done + 1,
        }
    }

    /// Whether a forced token follows another one, so that nothing is computed between them.
    pub fn is_in_run(&self) -> bool {
        !self.forced.ids.is_empty() && self.forced.run.end == self.tokens.len()
    }

    /// The next token, if it is forced. `computed` leading tokens are, and a step would compute the
    /// rest: it waits until the run is over.
    pub fn next_forced(&mut self, computed: usize) -> Option<u32> {
        let id = self.forced.ids.pop_front()?;
        let known = self.tokens.len();
        let start = if self.forced.run.end == known { self.forced.run.start } else { computed };
        self.forced.run = start..known + 1;
        Some(id)
    }

    /// A draft of the tokens behind `self.tokens`, where all but the newest are computed. Empty:
    /// the next token is computed alone.
    pub fn draft(&self, computed: usize, context: usize) -> Vec<u32> {
        let draft = |(speculation, most): (&Speculation, usize)| speculation.draft(&self.tokens, most);
        self.draftable(computed, context).map(draft).unwrap_or_default()
    }

    /// Tokens of the draft that another model should give now; 0: none.
    pub fn wants_draft(&self, computed: usize, context: usize) -> usize {
        self.draftable(computed, context).map_or(0, |(speculation, most)| speculation.wants(most))
    }

    /// Largest number of tokens of a draft, where there may be one now.
    fn draftable(&self, computed: usize, context: usize) -> Option<(&Speculation, usize)> {
        let (known, left) = (self.tokens.len(), self.max_tokens - self.generated);
        let speculation = self.speculation.as_ref().filter(|_| computed + 1 == known && self.finish.is_none())?;
        if !self.forced.ids.is_empty() {
            return None;
        }
        // the last token of an answer is not computed
        Some((speculation, (left - 1).min(context - known)))
    }

    /// Appends the next id. Returns the text that it completes. A full context ends the answer, or
    /// drops tokens: the positions from the second result on must then be computed again.
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
        // Later tokens move to other positions and attended to the dropped ones: they are computed
        // again.
        let drop = (known - behind).div_ceil(2);
        self.tokens.drain(behind..behind + drop);
        self.prompt_len = self.tokens.len();
        self.dropped += drop;
        self.forced.run = 0..0;
        Ok((outcome.emit, Some(behind)))
    }

    /// The last event.
    pub fn end(&mut self, reason: FinishReason) -> Event {
        // A character cut off by the length limit is left out: it would return as U+FFFD in the
        // next turn.
        let rest = if reason == FinishReason::Length { String::new() } else { self.detokenizer.flush() };
        let text = self.stops.push(&rest).emit + &self.stops.flush();
        Event::End { reason, text }
    }
}

#[cfg(test)]
mod tests {
    use super::chunk_end;

    #[test]
    fn whatever_the_sizes_of_chunks_the_same_tokens_are_decode_steps() {
        for len in 1..200 {
            for rows in 3..100 {
                let (mut done, mut alone) = (0, 0);
                while done < len {
                    let end = chunk_end(done, rows, len);
                    assert!(end > done && end - done <= rows && end <= len);
                    alone += usize::from(end - done == 1);
                    done = end;
                }
                assert_eq!(alone, usize::from(len == 1), "{len} tokens in chunks of {rows}");
            }
        }
        // a context of two tokens
        assert_eq!([chunk_end(0, 2, 2), chunk_end(0, 1, 2)], [2, 1]);
    }
}
