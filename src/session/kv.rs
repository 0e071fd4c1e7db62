//! The KV cache of a conversation, read out and written back: in another page, on another day, a conversation goes on without being
//! computed again. What is read does not depend on the length of the context, nor on the engine, and is exact.

use std::ops::Range;

use super::Session;
use crate::model::kv_cache::KvCache;
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
        let (cache, rows) = self.kv_rows(layer, tokens)?;
        if tokens > self.cached.len() {
            return Err(invalid(format!("at most {} tokens, which are in the KV cache", self.cached.len()), tokens));
        }
        let mut values = self.engine.read_ranges(cache.k, rows.clone()).await?;
        values.extend(self.engine.read_ranges(cache.v, rows).await?);
        Ok(values)
    }

    /// Writes what [`Session::read_kv`] gave, of a model with the same weights. The KV cache is empty until [`Session::restored`] says whose it
    /// is. Errors: `InvalidOption` where `values` are not of that shape.
    pub async fn write_kv(&mut self, layer: usize, tokens: usize, values: &[f32]) -> Result<()> {
        let restoring = self.restoring.take().filter(|restoring| restoring.tokens == tokens);
        self.stop();
        self.cached.clear();
        let (cache, rows) = self.kv_rows(layer, tokens)?;
        let half: usize = rows.iter().map(Range::len).sum();
        if values.len() != 2 * half {
            return Err(invalid(format!("{} values a layer", 2 * half), values.len()));
        }
        for (buffer, values) in [cache.k, cache.v].into_iter().zip(values.chunks(half)) {
            for (row, values) in rows.iter().zip(values.chunks(half / rows.len())) {
                self.engine.write_values(buffer, row.start, values)?;
            }
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
        self.kv_rows(0, ids.len())?;
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
            self.cached.clear();
        }
        if self.cached.is_empty() {
            self.restored = None;
        }
    }

    /// Where the first `tokens` positions of each head lie in the buffers of a layer.
    fn kv_rows(&self, layer: usize, tokens: usize) -> Result<(KvCache, Vec<Range<usize>>)> {
        let (config, context) = (&self.decoder.config, self.decoder.context);
        let Some(found) = self.decoder.layers.get(layer) else {
            return Err(invalid(format!("a layer below {}", self.decoder.layers.len()), layer));
        };
        if tokens == 0 || tokens > context {
            return Err(Error::ContextOverflow { needed: tokens, context });
        }
        let start = |head| head * context * config.head_dim;
        let rows = (0..config.kv_heads).map(|head| start(head)..start(head) + tokens * config.head_dim).collect();
        Ok((found.kv_cache, rows))
    }
}

fn invalid(expected: String, got: impl ToString) -> Error {
    Error::InvalidOption { name: "session".into(), expected, got: got.to_string() }
}
