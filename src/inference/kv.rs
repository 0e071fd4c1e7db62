//! Saves and restores keys and values, so that a conversation can continue in another page or on
//! another day without being computed again. The saved values are exactly those of the KV cache,
//! and depend neither on the context length nor on the engine. A KV cache in another format rounds
//! them.

use super::LoadedDecoder;
use super::generation::GenerationId;
use super::keys::token_keys;
use super::not_started;
use super::pictures::Content;
use super::sequences::Sequence;
use crate::engine::Engine;
use crate::record::Memory;
use crate::{Error, Result};

/// A sequence that is being restored, and whether each layer has been written.
pub(super) struct Restoring {
    pub sequence: Sequence,
    ids: Vec<u32>,
    layers: Vec<bool>,
}

impl LoadedDecoder {
    /// Keys, then values of `ids` in one layer: (2, kv_heads, tokens, head_dim). `restored`: as in
    /// [`GenerateOptions::restored`](super::GenerateOptions::restored). Errors: `InvalidOption` if
    /// the layer does not exist, or no sequence begins with these tokens.
    pub async fn read_kv(&mut self, layer: usize, ids: &[u32], restored: Option<u32>) -> Result<Vec<f32>> {
        self.check_kv(layer, ids.len())?;
        let found = self.longest((ids, 0), &Content::default(), self.origin(restored), None);
        if found.len() < ids.len() {
            let expected = format!("at most {} tokens, which are in the KV cache", found.len());
            return Err(invalid(expected, ids.len()));
        }
        let ranges = self.runner.programs.kv.ranges(layer, &found.blocks, ids.len());
        self.runner.read_kv(layer, &ranges).await
    }

    /// Starts to restore keys and values of `ids`. It cannot be checked whether they are those that
    /// the model computes, so only `owner` may continue from them, with
    /// [`GenerateOptions::restored`](super::GenerateOptions::restored). Errors: `Tokenize` for ids
    /// that are not in the vocabulary, `ContextOverflow`.
    pub fn restore(&mut self, ids: Vec<u32>, owner: u32) -> Result<GenerationId> {
        self.check_ids(&ids)?;
        self.check_kv(0, ids.len())?;
        let (sequence, id) = (self.sequence(Some(owner)), self.new_id());
        let layers = vec![false; self.runner.decoder.layers.len()];
        self.restoring.insert(id, Restoring { sequence, ids, layers });
        Ok(id)
    }

    /// Writes the values of one layer that [`LoadedDecoder::read_kv`] returned for a model with the
    /// same weights. Errors: `InvalidOption` for the wrong number of `values`, `OutOfMemory`.
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
        let kv = &self.runner.programs.kv;
        let (buffer, ranges) = (kv.layer(layer).buffer, kv.ranges(layer, &restoring.sequence.blocks, tokens));
        let mut rest = values;
        for range in ranges {
            let (now, later) = rest.split_at(range.len());
            self.runner.engine.write_values(buffer, range.start, now)?;
            rest = later;
        }
        self.runner.engine.throttle().await
    }

    /// To be called once every layer has been written: the sequence can be continued from now on.
    /// Errors: `InvalidOption` if a layer is missing; the sequence is then dropped.
    pub async fn restored(&mut self, id: GenerationId) -> Result<()> {
        let Restoring { mut sequence, ids, layers } =
            self.restoring.remove(&id).ok_or_else(|| not_started("restored"))?;
        let missing = layers.iter().position(|written| !written);
        let result = match missing {
            None => {
                sequence.keys = token_keys(&ids).collect();
                self.runner.prefixes.keep(&sequence);
                Ok(())
            }
            Some(layer) => {
                let expected = format!("keys and values of {} tokens in every layer", ids.len());
                Err(invalid(expected, format!("none of layer {layer}")))
            }
        };
        drop(sequence);
        self.trimmed(result).await
    }

    /// Whether keys and values of a text can be saved: those of all its tokens, and of one shape.
    pub(super) fn saves_kv(&self) -> bool {
        self.runner.programs.kv.is_uniform() && !self.reads_source()
    }

    fn check_kv(&self, layer: usize, tokens: usize) -> Result<()> {
        if !self.saves_kv() {
            let expected = "none, as layers of this model keep other things: its text is read again".into();
            return Err(invalid(expected, "keys and values"));
        }
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
