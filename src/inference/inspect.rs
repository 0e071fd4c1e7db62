//! Looks inside a model while it reads a text: attention weights, residual streams, what each
//! layer would say, the next token stage by stage, experts, times.
//!
//! An inspection advances by one unit of work, as a generation does, and disturbs none: between two
//! units it holds nothing but the blocks of its sequence.
//!
//! | file | contents |
//! |---|---|
//! | here | an inspection from its start to its end |
//! | `types` | what can be asked for, and what is seen |
//! | `walk` | reads tokens layer by layer |
//! | `step` | the step that an answer's token is drawn from |
//! | `times` | times of single operations |
//! | `encoder` | the same of an encoder |
//! | `nearest` | tokens with similar embeddings |

mod encoder;
mod nearest;
mod step;
mod times;
mod types;
mod walk;

pub(super) use encoder::EncoderInspecting;
pub use nearest::Nearest;
pub(super) use step::draw;
pub use types::{
    Bytes, ChosenExpert, Floats, InspectEvent, InspectOptions, LayerSeen, LensOptions, LensPosition, NearToken,
    OperationTime, Rotations, SamplerStage, Seen, StepSeen, TokenProbability, TokenSeen,
};

use super::generation::GenerationId;
use super::runner::Runner;
use super::sequences::Sequence;
use super::{LoadedDecoder, not_started};
use crate::engine::Engine;
use crate::sampling::{Sampler, check_logits, log_probability, log_sum_exp};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};
use walk::Walk;

/// An inspection under way.
pub(super) struct Inspecting {
    ids: Vec<u32>,
    options: InspectOptions,
    sampler: Sampler,
    pub sequence: Sequence,
    cached: usize,
    /// Present if layers are looked at one by one.
    walk: Option<Walk>,
    /// Tokens whose output was read.
    read: usize,
    logprobs: Vec<f32>,
    stages: Option<Vec<SamplerStage>>,
}

impl LoadedDecoder {
    /// Starts to look inside the model while it reads `ids`. A prefix in the KV cache is not
    /// computed again if only `next` is asked for: the rest needs every token's queries or residual
    /// stream. The handle must be given back with [`LoadedDecoder::stop`]. Errors:
    /// `ContextOverflow`, `InvalidOption`, `Tokenize`.
    pub fn inspect(&mut self, ids: Vec<u32>, mut options: InspectOptions) -> Result<GenerationId> {
        if self.reads_source() {
            return Err(self.cannot("inspect", "a model that is an encoder or a decoder, not both"));
        }
        self.check_ids(&ids)?;
        options.experts &= self.runner.decoder.config.experts.is_some();
        let (needed, context) = (ids.len(), self.context());
        if needed > context {
            return Err(Error::ContextOverflow { needed, context });
        }
        let (layers, heads) = (self.runner.decoder.layers.len(), self.runner.decoder.config.heads);
        options.check(layers, heads, ids.len(), ids.len())?;
        let sampler = Sampler::new(options.sampling.clone(), 0)?;
        let depth = options.depth(layers);
        let (sequence, walk) = match depth {
            None if options.logprobs || options.next.is_none() => (self.sequence(None), None),
            None => (self.open((&ids, 0), None, ids.len() - 1), None),
            Some(depth) => {
                let depth = if options.reads_output() { layers } else { depth };
                (self.sequence(None), Some(Walk::new(ids.clone(), 0, depth, &options)))
            }
        };
        let cached = sequence.len();
        let (logprobs, read) = (Vec::new(), cached);
        let inspecting = Inspecting { ids, options, sampler, sequence, cached, walk, read, logprobs, stages: None };
        let id = self.new_id();
        self.inspecting.push((id, inspecting));
        Ok(id)
    }

    /// Does one unit of work of an inspection. An error ends it. Errors: `OutOfMemory`,
    /// `InvalidLogits`, `InvalidOption` after the end, and those of the engine.
    pub async fn inspect_next(&mut self, id: GenerationId) -> Result<InspectEvent> {
        let mut inspecting = self.take_inspecting(id).ok_or_else(|| not_started("inspect_next"))?;
        let event = match self.runner.select(inspecting.sequence.origin.adapter).await {
            Ok(()) => inspecting.next(&mut self.runner, &self.tokenizer).await,
            Err(error) => Err(error),
        };
        match &event {
            Ok(InspectEvent::End(_)) => inspecting.end(&mut self.runner),
            Ok(_) => {
                self.inspecting.push((id, inspecting));
                return event;
            }
            // what its sequence holds is unknown
            Err(_) => inspecting.walk.iter_mut().for_each(|walk| walk.release(&mut self.runner)),
        }
        self.trimmed(event).await
    }

    pub(super) fn take_inspecting(&mut self, id: GenerationId) -> Option<Inspecting> {
        let at = self.inspecting.iter().position(|(other, _)| *other == id)?;
        Some(self.inspecting.swap_remove(at).1)
    }
}

impl Inspecting {
    /// Gives back what the engine holds for it; later prompts may continue its sequence.
    pub fn end(mut self, runner: &mut Runner) {
        self.walk.iter_mut().for_each(|walk| walk.release(runner));
        // keys count only where every layer has them
        runner.prefixes.keep(&self.sequence);
    }

    async fn next(&mut self, runner: &mut Runner, tokenizer: &Tokenizer) -> Result<InspectEvent> {
        let Self { walk, sequence, ids, options, .. } = self;
        if let Some(walk) = walk.as_mut().filter(|walk| !walk.is_over()) {
            let layer = walk.next(runner, sequence, tokenizer, options).await?;
            let whole = walk.is_over() && layer.as_ref().is_some_and(|seen| is_last(runner, seen));
            if whole {
                sequence.keys = super::keys::token_keys(ids).collect();
            }
            return Ok(layer.map_or(InspectEvent::Working, InspectEvent::Layer));
        }
        if self.read < self.ids.len() && self.options.reads_output() {
            self.read_output(runner, tokenizer).await?;
            if self.read < self.ids.len() {
                return Ok(InspectEvent::Working);
            }
        }
        let timing = match &mut self.walk {
            Some(walk) => walk.times(runner).await?.map(|times| times.list),
            None => None,
        };
        let logprob = |at: usize| at.checked_sub(1).and_then(|before| self.logprobs.get(before)).copied();
        let token = |(at, &id)| TokenSeen::of(tokenizer, id, logprob(at));
        Ok(InspectEvent::End(Seen {
            tokens: self.ids.iter().enumerate().map(token).collect(),
            next: self.stages.take(),
            rotations: self.options.rotations.then(|| rotations(runner, 0..self.ids.len())),
            timing,
            cached_tokens: self.cached,
        }))
    }

    /// Reads the output for the next tokens: computes them, unless that was done layer by layer.
    async fn read_output(&mut self, runner: &mut Runner, tokenizer: &Tokenizer) -> Result<()> {
        let (count, hidden) = (self.ids.len(), runner.decoder.config.hidden);
        // the first position whose logits are wanted
        let first = if self.options.logprobs { self.read } else { count - 1 };
        let end = (self.read + runner.programs.read).min(count);
        let (end, logits) = match &self.walk {
            Some(_) if end <= first => (first, Vec::new()),
            Some(walk) => (end, runner.logits_of(&walk.output(first)[..(end - first) * hidden]).await?),
            None => {
                let chunk = &self.ids[self.read..end];
                runner.run(runner.programs.steps.prompt, &mut self.sequence, chunk).await?;
                let logits = match (self.options.logprobs, end == count) {
                    (true, _) => runner.chunk_logits(&self.sequence, self.read, chunk).await?,
                    (false, true) => runner.chunk_last_logits(&self.sequence, self.read, chunk).await?,
                    (false, false) => {
                        runner.engine.synchronize().await?;
                        Vec::new()
                    }
                };
                (end, logits)
            }
        };
        self.read = end;
        for (position, logits) in (first..).zip(logits.chunks_exact(runner.decoder.vocab)) {
            check_logits(logits)?;
            if let Some(&next) = self.ids.get(position + 1) {
                let logprob = log_probability(logits, log_sum_exp(logits), next);
                // JSON has no infinity
                self.logprobs.push(logprob.max(f64::from(f32::MIN)) as f32);
            } else if let Some(top) = self.options.next {
                let (_, stages) = self.sampler.explain(logits, &self.ids, top)?;
                self.stages = Some(stages.iter().map(|stage| SamplerStage::of(tokenizer, stage)).collect());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

fn is_last(runner: &Runner, seen: &LayerSeen) -> bool {
    seen.layer.is_some_and(|layer| layer + 1 == runner.decoder.layers.len())
}

/// The angles of each RoPE that layers have.
fn rotations(runner: &Runner, positions: std::ops::Range<usize>) -> Vec<Rotations> {
    let decoder = &runner.decoder;
    let of = |(index, (rope, frequencies)): (usize, &(crate::model::rope::Rope, crate::model::rope::Frequencies))| {
        let layers: Vec<usize> =
            (0..decoder.layers.len()).filter(|&layer| decoder.layers[layer].rope == index).collect();
        let angles = |position| Floats(frequencies.radians(position).map(|angle| angle as f32).collect());
        let rotates = rope.dim > 0 && !layers.is_empty();
        rotates.then(|| Rotations { layers, angles: positions.clone().map(angles).collect() })
    };
    decoder.ropes.iter().enumerate().filter_map(of).collect()
}
