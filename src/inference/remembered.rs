//! Blocks of the KV cache as bytes, in the format that it holds them in, for a store that outlives
//! the model. They are exact: an answer behind a block that was written again is the one behind the
//! block that was read.

use super::LoadedDecoder;
use super::keys::token_keys;
use crate::engine::Engine;
use crate::record::{KV_BLOCK, KvCache, Memory};
use crate::{Error, Result};

impl LoadedDecoder {
    /// What keys and values depend on beside tokens, as text: weights, adapters, shape and format.
    pub fn kv_key(&self) -> String {
        let KvCache { heads, head_dim, format, .. } = self.runner.programs.kv.layer(0);
        let (origin, layers) = (self.origin(None), self.runner.decoder.layers.len());
        let adapter = origin.adapter.unwrap_or(0);
        format!("{:016x} {adapter:016x} {layers}x{heads}x{KV_BLOCK}x{head_dim} {}", origin.model, format.name())
    }

    /// How many of these tokens are in the KV cache, and of how many, in whole blocks, more than
    /// one text goes on.
    pub fn remembered(&self, ids: &[u32]) -> [usize; 2] {
        let (keys, origin) = (token_keys(ids).collect::<Vec<_>>(), self.origin(None));
        let Self { runner, generations, .. } = self;
        let running = generations.values().filter_map(|running| running.sequence.as_ref());
        let (positions, _) = runner.prefixes.longest(&runner.programs.kv, running, &keys, &origin);
        [positions, runner.prefixes.shared(&keys, &origin)]
    }

    /// The block with the last of `ids`, in all layers. Errors: `InvalidOption` if the KV cache
    /// does not have them all.
    pub async fn read_block(&mut self, ids: &[u32]) -> Result<Vec<u8>> {
        let (keys, origin) = (token_keys(ids).collect::<Vec<_>>(), self.origin(None));
        let running = self.generations.values().filter_map(|running| running.sequence.as_ref());
        let (positions, blocks) = self.runner.prefixes.longest(&self.runner.programs.kv, running, &keys, &origin);
        let block = blocks.table().last().filter(|_| positions == ids.len());
        let &block = block.ok_or_else(|| invalid(format!("{positions} tokens"), ids.len()))?;
        let layers: Vec<KvCache> = self.layers().collect();
        let read = layers.iter().map(|layer| {
            let values = block as usize * layer.block_len()..(block as usize + 1) * layer.block_len();
            (layer, self.runner.engine.read_ranges(layer.buffer, vec![values]))
        });
        // all are on their way before the first is awaited
        let read: Vec<_> = read.collect();
        let mut bytes = Vec::with_capacity(layers.iter().map(KvCache::block_bytes).sum());
        for (layer, values) in read {
            bytes.extend(layer.format.encode(&values.await?));
        }
        Ok(bytes)
    }

    /// Writes what [`LoadedDecoder::read_block`] returned for these tokens on a model with the same
    /// [`LoadedDecoder::kv_key`]; any prompt may use it from now on. Errors: `InvalidOption` if the
    /// KV cache does not have the tokens before the block, or for another number of bytes;
    /// `OutOfMemory`.
    pub async fn write_block(&mut self, ids: &[u32], bytes: &[u8]) -> Result<()> {
        self.check_ids(ids)?;
        let layers: Vec<KvCache> = self.layers().collect();
        let expected: usize = layers.iter().map(KvCache::block_bytes).sum();
        if bytes.len() != expected {
            return Err(invalid(format!("{expected} bytes"), bytes.len()));
        }
        let first = (ids.len() - 1) / KV_BLOCK * KV_BLOCK;
        let mut sequence = self.open(&ids[..first], None, first);
        if sequence.len() < first || ids.len() > self.context() {
            return Err(invalid(format!("tokens behind {} of them", sequence.len()), first));
        }
        self.runner.grow(&mut sequence, first..ids.len()).await?;
        let block = sequence.blocks.table().last().map_or(0, |&block| block as usize);
        let mut rest = bytes;
        for layer in layers {
            let (now, later) = rest.split_at(layer.block_bytes());
            let values = layer.format.decode(now);
            self.runner.engine.write_values(layer.buffer, block * layer.block_len(), &values)?;
            rest = later;
        }
        sequence.keys = token_keys(ids).collect();
        self.runner.prefixes.keep(&sequence);
        drop(sequence);
        self.runner.engine.throttle().await
    }

    fn layers(&self) -> impl Iterator<Item = KvCache> {
        (0..self.runner.decoder.layers.len()).map(|layer| self.runner.programs.kv.layer(layer))
    }
}

fn invalid(expected: String, got: usize) -> Error {
    Error::InvalidOption { name: "block".into(), expected, got: got.to_string() }
}
