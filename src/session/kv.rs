//! The KV cache of a conversation, read out and written back: in another page, on another day, a conversation goes on without being
//! computed again. What is read does not depend on the length of the context, nor on the engine, and is exact.

use std::ops::Range;

use super::Session;
use crate::model::kv_cache::KvCache;
use crate::{Error, Result};

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
        self.engine.throttle().await
    }

    /// After every layer was written: these tokens are in the KV cache now. Errors: `Tokenize` for ids that are none, `ContextOverflow`.
    pub fn restored(&mut self, ids: Vec<u32>) -> Result<()> {
        self.check_ids(&ids)?;
        self.kv_rows(0, ids.len())?;
        self.cached = ids;
        Ok(())
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

fn invalid(expected: String, got: usize) -> Error {
    Error::InvalidOption { name: "session".into(), expected, got: got.to_string() }
}
