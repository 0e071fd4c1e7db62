//! How likely the model finds a text that is there already: all tokens of a chunk at once, as a prompt is read.

use super::Session;
use crate::model::kv_cache::shared_prefix;
use crate::sampling::{check_logits, log_probability, log_sum_exp};
use crate::{Error, Result};

impl Session {
    /// Logits of every position of `ids`, from an empty context: `each(position, logits)`. Errors: `ContextOverflow`,
    /// `InvalidLogits`.
    pub async fn logits(&mut self, ids: &[u32], each: impl FnMut(usize, &[f32])) -> Result<()> {
        self.stop();
        self.check_ids(ids)?;
        self.check_length(ids.len())?;
        self.keep(0);
        self.logits_from(ids, 0, each).await
    }

    /// Log-probabilities, in nats, of `ids[from..]`, each after all that stands before it; with `end` one more: of the answer's end
    /// after the last, by whichever token. What `ids` begin with like the KV cache is not computed again, so that a long
    /// text may be asked for a piece at a time. Errors: `InvalidOption` where nothing stands before the first, `ContextOverflow`, `InvalidLogits`.
    pub async fn score(&mut self, ids: &[u32], from: usize, end: bool) -> Result<Vec<f32>> {
        self.stop();
        self.check_ids(ids)?;
        self.check_length(ids.len())?;
        if from == 0 || from > ids.len() {
            let expected = format!("one of {} tokens with one before it", ids.len());
            return Err(Error::InvalidOption { name: "from".into(), expected, got: from.to_string() });
        }
        self.forget_others(None);
        let cached = shared_prefix(&self.cached, ids).min(from - 1);
        let known = if end { ids } else { &ids[..ids.len() - 1] };
        if cached == known.len() {
            // there is nothing to compute, and what follows in the cache may be asked for next
            return Ok(Vec::new());
        }
        self.keep(cached);
        let ends = self.tokenizer.ends().to_vec();
        let mut scores = Vec::with_capacity(ids.len() - from + 1);
        self.logits_from(known, from - 1, |position, logits| {
            let sum = log_sum_exp(logits);
            let of = |id: u32| log_probability(logits, sum, id);
            let score = match ids.get(position + 1) {
                Some(&id) => of(id),
                None => {
                    ends.iter().filter(|&&id| (id as usize) < logits.len()).map(|&id| of(id).exp()).sum::<f64>().ln()
                }
            };
            // sums of infinities could not be compared
            scores.push(score.max(f64::from(f32::MIN)) as f32);
        })
        .await?;
        Ok(scores)
    }

    /// Computes what of `ids` is not cached, and gives the logits from position `first` on, which is none of the cached. After an error
    /// nothing is cached.
    async fn logits_from(&mut self, ids: &[u32], first: usize, mut each: impl FnMut(usize, &[f32])) -> Result<()> {
        let computed = self.compute(ids, first, &mut each).await;
        if computed.is_err() {
            // What is in the KV cache after a failure is not known.
            self.keep(0);
        }
        computed
    }

    async fn compute(&mut self, ids: &[u32], first: usize, each: &mut impl FnMut(usize, &[f32])) -> Result<()> {
        let rows = self.programs.rows;
        while self.cached.len() < first {
            let position = self.cached.len();
            self.run(self.programs.prompt, &ids[position..(position + rows).min(first)]).await?;
            self.engine.synchronize().await?;
        }
        let (program, logits) = self.programs.all_logits(self.engine.as_mut(), &self.decoder)?;
        let vocab = self.decoder.vocab;
        while self.cached.len() < ids.len() {
            let position = self.cached.len();
            let chunk = &ids[position..(position + rows).min(ids.len())];
            self.run(self.programs.prompt, chunk).await?;
            self.run_again(program, chunk)?;
            let values = self.engine.read_values(logits.buffer, chunk.len() * vocab).await?;
            for (i, row) in values.chunks_exact(vocab).enumerate() {
                check_logits(row)?;
                each(position + i, row);
            }
        }
        Ok(())
    }

    fn check_length(&self, needed: usize) -> Result<()> {
        let context = self.decoder.context;
        if needed > context { Err(Error::ContextOverflow { needed, context }) } else { Ok(()) }
    }
}
