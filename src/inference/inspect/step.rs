//! Looks at the step that an answer's next token is drawn from.

use super::rotations;
use super::types::{InspectOptions, SamplerStage, Seen, StepSeen, TokenSeen, invalid};
use super::walk::Walk;
use crate::inference::keys::token_keys;
use crate::inference::runner::Runner;
use crate::inference::sequences::Sequence;
use crate::sampling::Sampler;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

impl InspectOptions {
    /// Checks what cannot be looked at while an answer is written. Errors: `InvalidOption`.
    pub(in crate::inference) fn check_for_steps(&self, layers: usize, heads: usize, context: usize) -> Result<()> {
        if self.lens.as_ref().is_some_and(|lens| lens.positions.is_some()) {
            let expected = "none: a step has one position".into();
            return Err(invalid("inspect.lens.positions", expected, "positions"));
        }
        self.check(layers, heads, 1, context)
    }
}

/// Reads the last of `tokens`, the only one that the sequence lacks, and draws the next. Returns
/// its id, its logits and what was seen.
pub(in crate::inference) async fn draw(
    options: &InspectOptions,
    tokens: &[u32],
    sampler: &mut Sampler,
    runner: &mut Runner,
    sequence: &mut Sequence,
    tokenizer: &Tokenizer,
) -> Result<(u32, Vec<f32>, StepSeen)> {
    let Some((&last, before)) = tokens.split_last() else {
        return Err(Error::Internal { op: "inspect", expected: "a token".into(), got: "none".into() });
    };
    let (position, layers) = (before.len(), runner.decoder.layers.len());
    let mut seen = StepSeen::default();
    let logits = if options.depth(layers).is_some() {
        let mut walk = Walk::new(vec![last], position, layers, options);
        let walked = async {
            while !walk.is_over() {
                seen.layers.extend(walk.next(runner, sequence, tokenizer, options).await?);
            }
            sequence.keys.extend(token_keys(&[last]));
            seen.seen.timing = walk.times(runner).await?.map(|times| times.list);
            runner.logits_of(walk.output(0)).await
        };
        let logits = walked.await;
        walk.release(runner);
        logits?
    } else {
        runner.last_logits(sequence, &[last]).await?
    };
    let id = match options.next {
        Some(top) => {
            let (id, stages) = sampler.explain(&logits, tokens, top)?;
            seen.seen.next = Some(stages.iter().map(|stage| SamplerStage::of(tokenizer, stage)).collect());
            id
        }
        None => sampler.sample(&logits, tokens)?,
    };
    seen.seen = Seen {
        tokens: vec![TokenSeen::of(tokenizer, last, None)],
        rotations: options.rotations.then(|| rotations(runner, position..position + 1)),
        cached_tokens: position,
        ..seen.seen
    };
    Ok((id, logits, seen))
}
