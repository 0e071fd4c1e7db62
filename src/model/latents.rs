//! The weights of multi-head latent attention, from the two forms that files have them in.

use std::collections::BTreeMap;

use super::config::{Config, Latent};
use super::decoder::LatentWeights;
use super::tensors::Tensors;
use super::weights::{ExpertWeight, Group, Part, Weight};
use crate::Result;
use crate::format::quantize::{dequantize, quantize_row};
use crate::format::{BlockType, Layout, Planes, TensorInfo};
use crate::record::Memory;

/// The matrices of a layer before its output projection. Older files have the keys and values of
/// each head as one matrix, over latent vectors; newer ones apart, and keys transposed.
pub fn latent_groups(config: &Config, latent: &Latent, layer: usize) -> Vec<Group> {
    let (hidden, heads) = (config.hidden, config.heads);
    let &Latent { query_rank, rank, plain, rotated, value } = latent;
    let one = |part: &str, rows, cols| Group::of_one(format!("blk.{layer}.{part}"), rows, cols);
    let of_heads = |part: &str, rows, cols| Group::of_experts(format!("blk.{layer}.{part}"), heads, rows, cols);
    let mut groups = match query_rank {
        None => vec![one("attn_q", heads * latent.query(), hidden)],
        Some(rank) => vec![one("attn_q_a", rank, hidden), one("attn_q_b", heads * latent.query(), rank)],
    };
    groups.extend([
        one("attn_kv_a_mqa", rank + rotated, hidden),
        of_heads("attn_k_b", rank, plain),
        of_heads("attn_v_b", value, rank),
        one("attn_kv_b", heads * (plain + value), rank).of_heads(HeadRows::new(heads, [plain, value])),
        one("attn_output", hidden, heads * value),
    ]);
    groups
}

/// Names and lengths of a layer's vectors.
pub fn latent_vectors(latent: &Latent) -> [(&'static str, usize); 2] {
    [("attn_kv_a_norm.weight", latent.rank), ("attn_q_a_norm.weight", latent.query_rank.unwrap_or(0))]
}

/// Whether a tensor is one of those that stand for each other.
pub fn is_of_either_form(stem: &str) -> bool {
    ["attn_k_b", "attn_v_b", "attn_kv_b"].iter().any(|part| stem.ends_with(part))
}

/// The projection of the residual stream to queries, or to what they are made of, and the rest.
pub fn latent_weights(
    tensors: &mut Tensors,
    config: &Config,
    latent: &Latent,
    layer: usize,
) -> Result<(Weight, LatentWeights)> {
    let heads = config.heads;
    let (query_proj, queries) = match latent.query_rank {
        None => (tensors.weight_of(layer, "attn_q")?, None),
        Some(_) => {
            let norm = tensors.vector_of(layer, "attn_q_a_norm.weight")?;
            (tensors.weight_of(layer, "attn_q_a")?, Some((norm, tensors.weight_of(layer, "attn_q_b")?)))
        }
    };
    let is_one = tensors.groups.get(&format!("blk.{layer}.attn_kv_b")).is_some_and(Group::is_there);
    let [keys, values] = match is_one {
        true => {
            let mut both = tensors.weight_of(layer, "attn_kv_b")?;
            let values = Weight { parts: both.parts.split_off(1), low_rank: Vec::new() };
            [both, values]
        }
        false => [tensors.weight_of(layer, "attn_k_b")?, tensors.weight_of(layer, "attn_v_b")?],
    };
    let weights = LatentWeights {
        queries,
        latent_proj: tensors.weight_of(layer, "attn_kv_a_mqa")?,
        norm: tensors.vector_of(layer, "attn_kv_a_norm.weight")?,
        keys: ExpertWeight { weight: keys, rows: latent.rank, chosen: heads },
        values: ExpertWeight { weight: values, rows: latent.value, chosen: heads },
    };
    Ok((query_proj, weights))
}

/// A tensor with rows for the key and the value of each head in turns. They become two matrices:
/// the values as they are, and the keys of each head transposed, in f32, since queries are
/// multiplied with them.
#[derive(Clone, Debug)]
pub struct HeadRows {
    heads: usize,
    /// Rows of a head: of its key, of its value.
    rows: [usize; 2],
    /// Keys of heads of which only some rows have come: how many, and their values as they are
    /// written.
    begun: BTreeMap<usize, (usize, Vec<f32>)>,
}

impl HeadRows {
    fn new(heads: usize, rows: [usize; 2]) -> Self {
        Self { heads, rows, begun: BTreeMap::new() }
    }

    /// Memory for the keys, then for the values, over latent vectors of so many values.
    pub fn place(&self, memory: &mut dyn Memory, info: &TensorInfo, rank: usize) -> Result<Vec<Part>> {
        let (heads, [key, value]) = (self.heads, self.rows);
        let keys = memory.create_matrix(&info.name, Layout::F32, heads * rank, key)?;
        let values = memory.create_matrix(&info.name, Layout::for_block(info.block), heads * value, rank)?;
        Ok([keys, values].map(|matrix| Part { matrix, first_row: 0, affine: None }).into())
    }

    /// Writes rows of the tensor to these parts.
    pub fn write(
        &mut self,
        memory: &mut dyn Memory,
        parts: &[Part],
        info: &TensorInfo,
        mut first_row: usize,
        mut rows: &[u8],
    ) -> Result<()> {
        let ([key, value], rank) = (self.rows, info.cols());
        let row_bytes = info.block.row_bytes(rank);
        let [Part { matrix: keys, .. }, Part { matrix: values, .. }] = parts else { return Ok(()) };
        let (mut planes, mut row) = (Planes::default(), vec![0.0; rank]);
        while !rows.is_empty() {
            let (head, i) = (first_row / (key + value), first_row % (key + value));
            let end = if i < key { key } else { key + value };
            let count = (end - i).min(rows.len() / row_bytes);
            let (now, later) = rows.split_at(count * row_bytes);
            (first_row, rows) = (first_row + count, later);
            if i >= key {
                memory.write_rows(values, head * value + i - key, info.block, now)?;
                continue;
            }
            let (seen, begun) = self.begun.entry(head).or_insert_with(|| (0, vec![0.0; rank * key]));
            for (i, bytes) in (i..).zip(now.chunks_exact(row_bytes)) {
                dequantize(info.block, bytes, &mut planes, &mut row);
                begun[i..].iter_mut().step_by(key).zip(&row).for_each(|(place, value)| *place = *value);
            }
            *seen += count;
            if *seen == key {
                let mut bytes = Vec::with_capacity(4 * begun.len());
                quantize_row(BlockType::F32, begun, &mut bytes);
                memory.write_rows(keys, head * rank, BlockType::F32, &bytes)?;
                self.begun.remove(&head);
            }
        }
        Ok(())
    }
}
