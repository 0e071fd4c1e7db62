//! The KV cache of a conversation, read out and written back: in another page, on another day, a conversation goes on without being
//! computed again. What is read does not depend on the length of the context, nor on the engine, and is exact.

use super::Session;
use crate::{Error, Result};

/// Keys and values that are being restored: of how many tokens, and of which layers they were
/// written.
pub(super) struct Restoring {
    tokens: usize,
    layers: Vec<bool>,
}

impl Session {
    /// Keys, then values of the first `tokens` positions in one layer: (2, kv_heads, tokens, head_dim). Errors: `InvalidOption` where the layer
    /// does not exist, or so many tokens are not in the KV cache.
    pub async fn read_kv(&mut self, layer: usize, tokens: usize) -> Result<Vec<f32>> {
        self.check_kv(layer, tokens)?;
        if tokens > self.cached.len() {
            return Err(invalid(format!("at most {} tokens, which are in the KV cache", self.cached.len()), tokens));
        }
        let kv = &self.programs.kv;
        self.engine.read_ranges(kv.layer(layer).buffer, kv.ranges(layer, &self.blocks, tokens)).await
    }

    /// Writes what [`Session::read_kv`] gave, of a model with the same weights. The KV cache is empty until [`Session::restored`] says whose it
    /// is. Errors: `InvalidOption` where `values` are not of that shape.
    pub async fn write_kv(&mut self, layer: usize, tokens: usize, values: &[f32]) -> Result<()> {
        let restoring = self.restoring.take().filter(|restoring| restoring.tokens == tokens);
        self.stop();
        self.cached.clear();
        self.check_kv(layer, tokens)?;
        let (engine, kv) = (self.engine.as_mut(), &mut self.programs.kv);
        let cache = kv.layer(layer);
        let expected = 2 * cache.heads * tokens * cache.head_dim;
        if values.len() != expected {
            return Err(invalid(format!("{expected} values a layer"), values.len()));
        }
        kv.truncate(&mut self.blocks, tokens);
        kv.grow(engine, &mut self.blocks, 0..tokens).await?;
        let mut rest = values;
        for range in kv.ranges(layer, &self.blocks, tokens) {
            let (now, later) = rest.split_at(range.len());
            engine.write_values(cache.buffer, range.start, now)?;
            rest = later;
        }
        self.engine.throttle().await?;
        let layers = self.decoder.layers.len();
        let mut restoring = restoring.unwrap_or_else(|| Restoring { tokens, layers: vec![false; layers] });
        restoring.layers[layer] = true;
        self.restoring = Some(restoring);
        Ok(())
    }

    /// After every layer was written, without a call in between: these tokens are in the KV cache
    /// now. Nobody can tell whether the keys and values are those that the model computes of them,
    /// so only `owner` goes on from there, by
    /// [`GenerateOptions::restored`](super::GenerateOptions::restored). Errors: `Tokenize` for ids
    /// that are none, `ContextOverflow`, `InvalidOption` where a layer was not written.
    pub fn restored(&mut self, ids: Vec<u32>, owner: u32) -> Result<()> {
        self.check_ids(&ids)?;
        self.check_kv(0, ids.len())?;
        let restoring = self.restoring.take().filter(|restoring| restoring.tokens == ids.len());
        let missing = restoring.map_or(Some(0), |restoring| restoring.layers.iter().position(|written| !written));
        if let Some(layer) = missing {
            let got = format!("none of layer {layer}");
            return Err(invalid(format!("keys and values of {} tokens in every layer", ids.len()), got));
        }
        self.cached = ids;
        self.restored = Some(owner);
        Ok(())
    }

    /// Clears the KV cache where somebody else than `owner` restored a part of it.
    pub(super) fn forget_others(&mut self, owner: Option<u32>) {
        if self.restored.is_some() && self.restored != owner {
            self.keep(0);
        }
        if self.cached.is_empty() {
            self.restored = None;
        }
    }

    /// Whether the layer exists, and a sequence can have so many tokens.
    fn check_kv(&self, layer: usize, tokens: usize) -> Result<()> {
        let (layers, context) = (self.decoder.layers.len(), self.decoder.context);
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
