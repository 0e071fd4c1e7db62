//! Drafts that one model makes for another: both ends of it. The caller takes the tokens of an
//! answer from the one model to the other, and a draft back.

use super::LoadedDecoder;
use super::advance::Running;
use super::generation::GenerationId;
use super::not_started;
use super::types::GenerateOptions;
use crate::Result;
use crate::model::adapter::hash;
use crate::sampling::SamplingOptions;

impl LoadedDecoder {
    /// Identifies the vocabulary: models with the same have the same bytes for each id. Unused ids
    /// at the end do not count, since models of a family are padded to different lengths.
    pub fn vocabulary_fingerprint(&self) -> u64 {
        let (bytes, ends) = self.tokenizer.vocabulary();
        // a vocabulary without texts has nothing but its length
        let used = match bytes.len() {
            0 => ends.len(),
            all => ends.partition_point(|&end| (end as usize) < all) + 1,
        };
        hash(ends[..used].iter().flat_map(|end| end.to_le_bytes()).chain(bytes))
    }

    /// The tokens of a generation that another model should now continue, and by how many; `None`
    /// if it should not. To be asked before each [`LoadedDecoder::next`] where drafts are
    /// [`Given`](super::Speculate::Given). On an engine that computes several generations
    /// together, none is wanted beside others.
    pub fn wants_draft(&self, id: GenerationId) -> Option<(&[u32], usize)> {
        let Running { generation, sequence: Some(sequence), logits: None, .. } = self.generations.get(&id)? else {
            return None;
        };
        let begun = !generation.chunks.is_empty() || !generation.ahead.is_empty();
        let others = self.generations.values().filter(|running| running.sequence.is_some()).count() > 1;
        if begun || (others && self.runner.programs.sampling.is_none()) {
            return None;
        }
        let most = generation.wants_draft(sequence.len(), self.context());
        (most > 0).then_some((&generation.tokens, most))
    }

    /// Gives a generation the draft that it wants; an empty one if no more will come. Errors:
    /// `InvalidOption` if the generation does not exist.
    pub fn give_draft(&mut self, id: GenerationId, mut ids: Vec<u32>) -> Result<()> {
        let vocab = self.runner.decoder.vocab;
        let running = self.generations.get_mut(&id).ok_or_else(|| not_started("give_draft"))?;
        // padding of the other vocabulary
        ids.truncate(ids.iter().take_while(|&&id| (id as usize) < vocab).count());
        if let Some(speculation) = &mut running.generation.speculation {
            speculation.give(ids);
        }
        Ok(())
    }

    /// Starts a draft of at most `most` tokens behind `tokens`, which [`LoadedDecoder::propose`]
    /// makes. Its handle serves all drafts of an answer, and must be stopped at its end. Errors:
    /// those of [`LoadedDecoder::start`].
    pub fn start_draft(&mut self, tokens: Vec<u32>, most: usize) -> Result<GenerationId> {
        if self.reads_source() {
            return Err(self.cannot("speculate", "drafts of a model without an encoder"));
        }
        let sampling = SamplingOptions::greedy();
        let options = GenerateOptions { max_tokens: Some(most), ignore_eos: true, sampling, ..Default::default() };
        self.start(tokens, options, 0)
    }

    /// The same again, behind other tokens: what is computed of those that they have in common with
    /// the ones before stays. Errors: `ContextOverflow`, `Tokenize`, `InvalidOption` if the handle
    /// does not exist.
    pub fn restart_draft(&mut self, id: GenerationId, tokens: Vec<u32>, most: usize) -> Result<()> {
        self.check_prompt(&tokens)?;
        let running = self.generations.get_mut(&id).ok_or_else(|| not_started("restart_draft"))?;
        running.restart(tokens, most)
    }

    /// One step of a draft. Returns it once it is complete: the likeliest tokens. Errors: those of
    /// [`LoadedDecoder::next`].
    pub async fn propose(&mut self, id: GenerationId) -> Result<Option<Vec<u32>>> {
        self.next(id).await?;
        let running = self.generations.get(&id).ok_or_else(|| not_started("propose"))?;
        let generation = &running.generation;
        Ok(generation.finish.map(|_| generation.tokens[generation.prompt_len..].to_vec()))
    }
}

impl Running {
    /// Continues `tokens` by at most `most` from now on.
    fn restart(&mut self, tokens: Vec<u32>, most: usize) -> Result<()> {
        let Self { generation, sequence: Some(sequence), logits, .. } = self else {
            return Err(not_started("restart_draft"));
        };
        generation.chunks.clear();
        generation.ahead.clear();
        *logits = None;
        let same = generation.tokens.iter().zip(&tokens).take_while(|(old, new)| old == new).count();
        // the last token is always computed again, for its logits
        sequence.truncate(same.min(tokens.len() - 1));
        sequence.blocks.truncate(sequence.len());
        generation.prompt_len = tokens.len();
        generation.tokens = tokens;
        (generation.generated, generation.max_tokens, generation.finish) = (0, most, None);
        Ok(())
    }
}
