//! Blocks of the KV cache as bytes, in the format that it holds them in, for a store that outlives
//! the model. They are exact: an answer behind a block that was written again is the one behind the
//! block that was read.

use super::LoadedDecoder;
use super::keys::token_keys;
use super::pictures::Content;
use crate::engine::Engine;
use crate::record::{KV_BLOCK, Memory};
use crate::{Error, Result};

impl LoadedDecoder {
    /// What keys and values depend on beside tokens, as text: weights, adapters, shape and format.
    pub fn kv_key(&self) -> String {
        // the model says what other layers keep
        let (kv, config) = (&self.runner.programs.kv, &self.runner.decoder.config);
        let (heads, head_dim, format) = (config.kv_heads, config.head_dim, kv.format());
        let (origin, layers) = (self.origin(None), self.runner.decoder.layers.len());
        let adapter = origin.adapter.unwrap_or(0);
        format!("{:016x} {adapter:016x} {layers}x{heads}x{KV_BLOCK}x{head_dim} {}", origin.model, format.name())
    }

    /// How many of these tokens are in the KV cache, and of how many, in whole blocks, more than
    /// one text goes on.
    pub fn remembered(&self, ids: &[u32]) -> [usize; 2] {
        // without its states nothing goes on from a block
        if self.runner.programs.kv.has_slots() || self.reads_source() {
            return [0, 0];
        }
        let (found, origin) = (self.longest((ids, 0), &Content::default(), self.origin(None), None), self.origin(None));
        [found.len(), self.runner.prefixes.shared(&found.keys, &origin)]
    }

    /// The block with the last of `ids`, in all layers. Errors: `InvalidOption` if the KV cache
    /// does not have them all.
    pub async fn read_block(&mut self, ids: &[u32]) -> Result<Vec<u8>> {
        let found = self.longest((ids, 0), &Content::default(), self.origin(None), None);
        let is_here = found.len() == ids.len() && !self.runner.programs.kv.has_slots();
        let Some(&block) = found.blocks.table().last().filter(|_| is_here) else {
            return Err(invalid(found.len(), ids.len()));
        };
        let mut bytes = Vec::new();
        for layer in self.runner.programs.kv.keeping().to_vec() {
            let cache = self.runner.programs.kv.layer(layer);
            let start = block as usize * cache.block_len();
            let all = start..start + cache.block_len();
            let values = self.runner.read_kv(layer, std::slice::from_ref(&all)).await?;
            bytes.extend(cache.format.encode(&values));
        }
        Ok(bytes)
    }

    /// Writes what [`LoadedDecoder::read_block`] returned for these tokens on a model with the same
    /// [`LoadedDecoder::kv_key`]; any prompt may use it from now on. Errors: `InvalidOption` if the
    /// KV cache does not have the tokens before the block, or for another number of bytes;
    /// `OutOfMemory`.
    pub async fn write_block(&mut self, ids: &[u32], bytes: &[u8]) -> Result<()> {
        self.check_ids(ids)?;
        let (block_bytes, first) = (self.runner.programs.kv.block_bytes(), (ids.len() - 1) / KV_BLOCK * KV_BLOCK);
        if bytes.len() != block_bytes || self.runner.programs.kv.has_slots() || self.reads_source() {
            return Err(invalid(block_bytes, bytes.len()));
        }
        let mut sequence = self.open((ids, 0), None, first);
        if sequence.len() < first || ids.len() > self.context() {
            return Err(invalid(sequence.len(), first));
        }
        // behind its tokens it may have what was discarded
        let written = ids.len() + self.runner.programs.kv.rewind().unwrap_or(0);
        self.runner.grow(&mut sequence, first..written.min(first + KV_BLOCK)).await?;
        let block = sequence.blocks.table().last().map_or(0, |&block| block as usize);
        let mut rest = bytes;
        for layer in self.runner.programs.kv.keeping().to_vec() {
            let cache = self.runner.programs.kv.layer(layer);
            let (now, later) = rest.split_at(cache.block_bytes());
            self.runner.engine.write_block(&cache, block, now)?;
            rest = later;
        }
        sequence.keys = token_keys(ids).collect();
        self.runner.prefixes.keep(&sequence);
        drop(sequence);
        self.runner.engine.throttle().await
    }
}

fn invalid(expected: usize, got: usize) -> Error {
    Error::InvalidOption { name: "block".into(), expected: expected.to_string(), got: got.to_string() }
}
