//! Log-probabilities of a given text, computed in chunks like a prompt.

use super::LoadedDecoder;
use super::pictures::Content;
use super::sequences::Sequence;
use crate::engine::Engine;
use crate::sampling::{check_logits, log_probability, log_sum_exp};
use crate::{Error, Result};

impl LoadedDecoder {
    /// Calls `each(position, logits)` for every position of `ids`, from an empty context. Errors:
    /// `ContextOverflow`, `InvalidLogits`.
    pub async fn logits(&mut self, ids: &[u32], each: impl FnMut(usize, &[f32])) -> Result<()> {
        self.logits_of((&[], ids), Content::default(), each).await
    }

    /// The same with pictures in the places of some tokens: see [`LoadedDecoder::place`].
    pub async fn logits_with(&mut self, ids: &[u32], content: Content, each: impl FnMut(usize, &[f32])) -> Result<()> {
        self.logits_of((&[], ids), content, each).await
    }

    /// The same of `ids` behind a source text, where the model reads one; `position` counts from
    /// the first token of that. Errors: also `UnsupportedTask`.
    pub async fn logits_behind(&mut self, source: &[u32], ids: &[u32], each: impl FnMut(usize, &[f32])) -> Result<()> {
        self.logits_of((source, ids), Content::default(), each).await
    }

    async fn logits_of(
        &mut self,
        (source, ids): (&[u32], &[u32]),
        content: Content,
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<()> {
        if source.is_empty() == self.reads_source() {
            return Err(self.cannot("score", "a source text for a model with an encoder, and for no other"));
        }
        let all = [source, ids].concat();
        self.check_ids(&all)?;
        self.check_length(all.len())?;
        self.check_content(&content, all.len())?;
        let mut sequence = Sequence { content, ..self.sequence(None) };
        self.runner.select(sequence.origin.adapter).await?;
        let read = match source {
            [] => Ok(()),
            source => self.runner.read_source(&mut sequence, source).await,
        };
        let computed = match read {
            Ok(()) => self.logits_from(&mut sequence, &all, 0, &mut each).await,
            Err(error) => Err(error),
        };
        drop(sequence);
        self.trimmed(computed).await
    }

    /// Log-probabilities, in nats, of `ids[from..]` given all tokens before each; with `end` one
    /// more: that any token that ends an answer follows. A prefix that another sequence has
    /// computed is not computed again, so that a long text can be scored in pieces. Errors:
    /// `InvalidOption` if no token is before the first, `ContextOverflow`, `InvalidLogits`.
    pub async fn score(&mut self, ids: &[u32], from: usize, end: bool) -> Result<Vec<f32>> {
        if self.reads_source() {
            return Err(self.cannot("score", "a decoder without an encoder"));
        }
        self.check_ids(ids)?;
        self.check_length(ids.len())?;
        if from == 0 || from > ids.len() {
            let expected = format!("one of {} tokens with one before it", ids.len());
            return Err(Error::InvalidOption { name: "from".into(), expected, got: from.to_string() });
        }
        let known = if end { ids } else { &ids[..ids.len() - 1] };
        let mut sequence = self.open((known, 0), None, from - 1);
        self.runner.select(sequence.origin.adapter).await?;
        let ends = self.tokenizer.ends().to_vec();
        let mut scores = Vec::with_capacity(ids.len() - from + 1);
        let mut each = |position: usize, logits: &[f32]| {
            let sum = log_sum_exp(logits);
            let of = |id: u32| log_probability(logits, sum, id);
            let score = match ids.get(position + 1) {
                Some(&id) => of(id),
                None => {
                    ends.iter().filter(|&&id| (id as usize) < logits.len()).map(|&id| of(id).exp()).sum::<f64>().ln()
                }
            };
            // infinite sums could not be compared
            scores.push(score.max(f64::from(f32::MIN)) as f32);
        };
        let computed = self.logits_from(&mut sequence, known, from - 1, &mut each).await;
        if computed.is_ok() {
            self.runner.prefixes.keep(&sequence);
        }
        drop(sequence);
        self.trimmed(computed.map(|()| scores)).await
    }

    /// Computes the tokens of `ids` that the sequence lacks, and returns the logits from position
    /// `first` on, which the sequence must not have yet.
    async fn logits_from(
        &mut self,
        sequence: &mut Sequence,
        ids: &[u32],
        first: usize,
        each: &mut impl FnMut(usize, &[f32]),
    ) -> Result<()> {
        let runner = &mut self.runner;
        let (rows, prompt) = (runner.programs.read, runner.programs.steps.prompt);
        let mut before = None;
        while sequence.len() < first {
            let position = sequence.len();
            runner.run(prompt, sequence, &ids[position..(position + runner.chunk(1)).min(first)]).await?;
            // of two chunks, so that the engine does not wait for the host
            if let Some(computed) = before.replace(runner.engine.synchronize()) {
                computed.await?;
            }
        }
        let vocab = runner.decoder.vocab;
        while sequence.len() < ids.len() {
            let position = sequence.len();
            let chunk = &ids[position..(position + rows).min(ids.len())];
            runner.run(prompt, sequence, chunk).await?;
            let values = runner.chunk_logits(sequence, position, chunk).await?;
            for (i, row) in values.chunks_exact(vocab).enumerate() {
                check_logits(row)?;
                each(position + i, row);
            }
        }
        Ok(())
    }

    fn check_length(&self, needed: usize) -> Result<()> {
        let context = self.context();
        if needed > context { Err(Error::ContextOverflow { needed, context }) } else { Ok(()) }
    }
}
