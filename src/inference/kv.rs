//! Keys and values of a sequence, read out and written back: in another page, on another day, a conversation goes on without being
//! computed again. What is read does not depend on the length of the context, nor on the engine, and is exact.

use std::ops::Range;

use super::LoadedDecoder;
use super::generation::GenerationId;
use super::keys::{shared_prefix, token_keys};
use super::not_started;
use super::sequences::Sequence;
use crate::engine::Engine;
use crate::record::{BufferId, Memory};
use crate::{Error, Result};

/// A sequence that is being restored, and which layers of it were written.
pub(super) struct Restoring {
    pub sequence: Sequence,
    ids: Vec<u32>,
    layers: Vec<bool>,
}

impl LoadedDecoder {
    /// Keys, then values of `ids` in one layer: (2, kv_heads, tokens, head_dim). `restored`: as in
    /// [`GenerateOptions::restored`](super::GenerateOptions::restored). Errors: `InvalidOption` where the layer does not exist, or no sequence has
    /// these tokens computed.
    pub async fn read_kv(&mut self, layer: usize, ids: &[u32], restored: Option<u32>) -> Result<Vec<f32>> {
        self.check_kv(layer, ids.len())?;
        let (keys, origin) = (token_keys(ids).collect::<Vec<_>>(), self.origin(restored));
        let running = self.generations.values().filter_map(|running| running.sequence.as_ref());
        let serving = self.runner.ended.iter().chain(running).filter(|sequence| sequence.origin.serves(&origin));
        let found = serving.map(|sequence| (shared_prefix(&sequence.keys, &keys), sequence));
        let (cached, sequence) = found.max_by_key(|&(cached, _)| cached).unzip();
        let cached = cached.unwrap_or(0);
        let Some(sequence) = sequence.filter(|_| cached == ids.len()) else {
            return Err(invalid(format!("at most {cached} tokens, which are in the KV cache"), ids.len()));
        };
        let (buffer, ranges) = self.kv_ranges(layer, sequence, ids.len());
        self.runner.engine.read_ranges(buffer, ranges).await
    }

    /// Begins to restore keys and values of `ids`. Nobody can tell whether they are those that the model computes, so only `owner` goes on from
    /// there, by [`GenerateOptions::restored`](super::GenerateOptions::restored). Errors: `Tokenize` for ids that are none, `ContextOverflow`.
    pub fn restore(&mut self, ids: Vec<u32>, owner: u32) -> Result<GenerationId> {
        self.check_ids(&ids)?;
        self.check_kv(0, ids.len())?;
        let (sequence, id) = (Sequence::new(self.origin(Some(owner))), self.new_id());
        let layers = vec![false; self.runner.decoder.layers.len()];
        self.restoring.insert(id, Restoring { sequence, ids, layers });
        Ok(id)
    }

    /// Writes what [`LoadedDecoder::read_kv`] gave of a layer, of a model with the same weights. Errors: `InvalidOption` where `values` are not of
    /// that shape, `OutOfMemory`.
    pub async fn write_kv(&mut self, id: GenerationId, layer: usize, values: &[f32]) -> Result<()> {
        let tokens = self.restoring.get(&id).ok_or_else(|| not_started("write_kv"))?.ids.len();
        self.check_kv(layer, tokens)?;
        let config = &self.runner.decoder.config;
        let expected = 2 * config.kv_heads * config.head_dim * tokens;
        if values.len() != expected {
            return Err(invalid(format!("{expected} values a layer"), values.len()));
        }
        let Self { runner, restoring, .. } = self;
        let Some(restoring) = restoring.get_mut(&id) else { return Err(not_started("write_kv")) };
        runner.grow(&mut restoring.sequence, 0..tokens).await?;
        restoring.layers[layer] = true;
        let Some(restoring) = self.restoring.get(&id) else { return Err(not_started("write_kv")) };
        let (buffer, ranges) = self.kv_ranges(layer, &restoring.sequence, tokens);
        let mut rest = values;
        for range in ranges {
            let (now, later) = rest.split_at(range.len());
            self.runner.engine.write_values(buffer, range.start, now)?;
            rest = later;
        }
        self.runner.engine.throttle().await
    }

    /// After every layer was written: the tokens are in the KV cache now. Errors: `InvalidOption` where a layer was not written; they are
    /// forgotten then.
    pub fn restored(&mut self, id: GenerationId) -> Result<()> {
        let Restoring { mut sequence, ids, layers } =
            self.restoring.remove(&id).ok_or_else(|| not_started("restored"))?;
        if let Some(layer) = layers.iter().position(|written| !written) {
            self.runner.release(sequence);
            let got = format!("none of layer {layer}");
            return Err(invalid(format!("keys and values of {} tokens in every layer", ids.len()), got));
        }
        sequence.keys = token_keys(&ids).collect();
        self.runner.keep(sequence);
        Ok(())
    }

    /// Where the first `tokens` positions of a sequence lie in a layer.
    fn kv_ranges(&self, layer: usize, sequence: &Sequence, tokens: usize) -> (BufferId, Vec<Range<usize>>) {
        let pool = &self.runner.programs.kv;
        (pool.layer(layer).buffer, pool.ranges(layer, &sequence.blocks, tokens))
    }

    fn check_kv(&self, layer: usize, tokens: usize) -> Result<()> {
        let (layers, context) = (self.runner.decoder.layers.len(), self.context());
        if layer >= layers {
            return Err(invalid(format!("a layer below {layers}"), layer));
        }
        if tokens == 0 || tokens > context {
            return Err(Error::ContextOverflow { needed: tokens, context });
        }
        Ok(())
    }
}

fn invalid(expected: String, got: impl ToString) -> Error {
    Error::InvalidOption { name: "session".into(), expected, got: got.to_string() }
}
