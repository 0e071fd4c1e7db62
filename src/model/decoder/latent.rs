//! Multi-head latent attention (DeepSeek-V2 2024, arXiv 2405.04434): the keys and values of all
//! heads are made of one latent vector of each position, which is kept of it, as key and as value,
//! beside the rotated part of a key.
//!
//! The matrices of keys are multiplied with queries, and those of values with what attention gives:
//! q · (K c) = (Kᵀ q) · c. So attention is over one head of keys, the rotated part and the latent
//! vector, whose values are the same.

use super::activations::activations;
use super::norms::Stream;
use super::{Activations, Decoder, Layer};
use crate::Result;
use crate::model::config::{Config, Latent};
use crate::model::weights::{ExpertWeight, Weight};
use crate::ops::gather::TILE;
use crate::ops::{Epilogue, Gather, Norm, NormKind, PickColumns, Recording, RmsNorm, RopeAppend, RopeAttention};
use crate::record::{KvCache, Memory, Tensor};

/// Weights of multi-head latent attention beside those of [`Layer`], whose `qkv_proj` gives the
/// queries or the latent vector that they are made of.
#[derive(Clone, Debug)]
pub struct LatentWeights {
    /// The norm of that latent vector, and (heads · query, query rank).
    pub queries: Option<(Tensor, Weight)>,
    /// (rank + rotated, hidden): the latent vector, and the rotated part of the key.
    pub latent_proj: Weight,
    /// (1, rank): the norm of the latent vector.
    pub norm: Tensor,
    /// (heads · rank, plain): the keys of each head, transposed.
    pub keys: ExpertWeight,
    /// (heads · value, rank): the values of each head.
    pub values: ExpertWeight,
}

/// Buffers for multi-head latent attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct LatentActivations {
    /// (tokens, query rank)
    query_latent: Tensor,
    /// (tokens, heads · query)
    queries: Tensor,
    /// (tokens, heads · plain), in the same buffer (tokens, heads · value)
    parts: [Tensor; 2],
    /// (tokens, rank + rotated)
    latent: Tensor,
    /// (tokens, heads · rank)
    latents: Tensor,
    /// See [`PickColumns::columns`]: what is not rotated of queries; queries, key and value for
    /// attention; the latent vectors of what that gives.
    columns: [Tensor; 3],
    /// (tokens, heads): all heads, which are experts that every token goes to, and what
    /// [`Gather`] finds there.
    route: (Tensor, Tensor),
}

impl LatentActivations {
    pub fn new(memory: &mut dyn Memory, config: &Config, tokens: usize) -> Result<Option<Self>> {
        let (Some(latent), heads) = (config.latent, config.heads) else { return Ok(None) };
        let Latent { query_rank, rank, plain, rotated, value } = latent;
        let (query, kept) = (latent.query(), latent.kept());
        let mut whole = |rows: usize, columns: Vec<usize>| {
            let cols = columns.len();
            let numbers: Vec<f32> = columns.into_iter().map(|column| column as f32).collect();
            let tensor = activations(memory, rows, cols)?;
            memory.write_values(tensor.buffer, 0, &numbers.repeat(rows))?;
            Ok::<_, crate::Error>(tensor)
        };
        let runs = |stride: usize, range: std::ops::Range<usize>| {
            (0..heads).flat_map(move |head| range.clone().map(move |i| head * stride + i))
        };
        // queries, their latent form, and the latent vector with the rotated part side by side
        let (latents, last) = (heads * query, heads * (query + rank));
        let of_query = |head: usize| {
            (head * query + plain..(head + 1) * query).chain(latents + head * rank..latents + (head + 1) * rank)
        };
        let key = || (last + rank..last + kept).chain(last..last + rank);
        let columns = [
            whole(1, runs(query, 0..plain).collect())?,
            whole(1, (0..heads).flat_map(of_query).chain(key()).chain(key()).collect())?,
            whole(1, runs(kept, rotated..kept).collect())?,
        ];
        let route = whole(tokens, (0..heads).collect())?;
        let gathered = activations(memory, 1, Gather::len(tokens, heads, heads))?;
        let mut tensor = |cols| activations(memory, tokens, cols);
        let parts = tensor(heads * plain.max(value))?;
        Ok(Some(Self {
            query_latent: tensor(query_rank.unwrap_or(4))?,
            queries: tensor(heads * query)?,
            parts: [plain, value].map(|part| Tensor { cols: heads * part, ..parts }),
            latent: tensor(kept)?,
            latents: tensor(heads * rank)?,
            columns,
            route: (route, gathered),
        }))
    }

    pub fn map(self, cut: impl Fn(Tensor) -> Tensor) -> Self {
        Self {
            query_latent: cut(self.query_latent),
            queries: cut(self.queries),
            parts: self.parts.map(&cut),
            latent: cut(self.latent),
            latents: cut(self.latents),
            columns: self.columns,
            route: (cut(self.route.0), self.route.1),
        }
    }
}

impl Decoder {
    /// Which heads are of which tile, for steps of many tokens: once for all layers.
    pub(super) fn record_latent_heads(&self, r: &mut Recording, a: &Activations) -> Result<()> {
        let Some(LatentActivations { route: (route, y), .. }) = a.latent.filter(|_| a.x.rows >= TILE) else {
            return Ok(());
        };
        let heads = self.config.heads;
        r.push(Gather { route, chosen: heads, experts: heads, y })
    }

    /// The attention of layer `i` over norm(x): what its heads give, before the output projection.
    pub(super) fn record_latent_attention(
        &self,
        r: &mut Recording,
        i: usize,
        weights: &LatentWeights,
        kv: KvCache,
        s: &mut Stream,
    ) -> Result<Tensor> {
        self.settle(r, s)?;
        let (a, layer, eps) = (&s.a, &self.layers[i], self.config.norm_eps);
        let Some(buffers) = a.latent else { return Ok(a.attn) };
        let LatentActivations { query_latent, queries, parts: [plain, values], latent, latents, columns, route } =
            buffers;
        let route = (route.0, (a.x.rows >= TILE).then_some(route.1));
        let Layer { qkv_proj, attn_norms, .. } = layer;
        let (x, norm) = self.normed(r, attn_norms.input, a)?;
        match &weights.queries {
            None => qkv_proj.linear(r, x, norm, Epilogue::Store, queries)?,
            Some((weight, query_proj)) => {
                qkv_proj.linear(r, x, norm, Epilogue::Store, query_latent)?;
                let norm = Some(RmsNorm { weight: *weight, eps });
                query_proj.linear(r, query_latent, norm, Epilogue::Store, queries)?;
            }
        }
        weights.latent_proj.linear(r, x, norm, Epilogue::Store, latent)?;
        let (weight, kind, groups) = (weights.norm, NormKind::Rms, 1);
        let (bias, add, scale) = (None, None, None);
        r.push(Norm { x: latent, first_col: 0, groups, weight, bias, kind, eps, add, y: latent, scale })?;
        r.push(PickColumns { x: queries, others: None, columns: columns[0], y: plain })?;
        weights.keys.linear(r, plain, None, route, 0, latents)?;
        let (qkv, attn) = self.qkv(i, a);
        r.push(PickColumns { x: queries, others: Some([latents, latent]), columns: columns[1], y: qkv })?;
        let (angles, heads, kind) = (a.angles[layer.rope], self.config.heads, self.config.rope_kind());
        let rope = RopeAppend { qkv, angles, kv, heads, kind, behind: None };
        r.push(RopeAttention { norm: None, rope, attention: self.attention(i, kv, a) })?;
        r.push(PickColumns { x: attn, others: None, columns: columns[2], y: latents })?;
        weights.values.linear(r, latents, None, route, 0, values)?;
        Ok(values)
    }
}
