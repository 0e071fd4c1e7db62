//! Norm weights, biases and RoPE factors: from the file into buffers.
//!
//! A bias may belong to one part of a split weight, and that is known only when the headers of all
//! files were read. The buffers are created then; values that arrive before are kept on the host.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::architecture::{Norms, QkNorm};
use super::config::{Config, LayerKind, Widths};
use super::decoder::{HeadNorm, NormWeights};
use super::latents::latent_vectors;
use super::rope::ALL_FACTORS;
use super::weights::{check_shape, missing_tensor};
use super::wkv::wkv_vectors;
use crate::format::{Layout, Planes, TensorInfo, dequantize_row, repack};
use crate::ops::NormKind;
use crate::ops::alt_up::STREAMS;
use crate::record::{BufferId, Memory, Tensor};
use crate::{Error, Result};

/// Destination of a range of a vector's values.
struct Place {
    values: Range<usize>,
    buffer: BufferId,
    /// Offset of the first value in the buffer, in values.
    offset: usize,
    /// Number of consecutive copies of each value.
    copies: usize,
}

/// All vectors of a model.
pub struct Vectors {
    /// Vectors that the architecture may have: [columns, rows]. Only QK-norms with weights per
    /// head, biases of experts and convolutions have several rows.
    shapes: HashMap<String, [usize; 2]>,
    /// Names of the vectors in the headers so far.
    announced: HashSet<String>,
    places: HashMap<String, Vec<Place>>,
    /// Values that are not written yet: name, index of the first value, values.
    waiting: Vec<(String, usize, Vec<f32>)>,
}

impl Vectors {
    /// Expects vectors of these shapes.
    pub fn new(shapes: HashMap<String, [usize; 2]>) -> Self {
        Self { shapes, announced: HashSet::new(), places: HashMap::new(), waiting: Vec::new() }
    }

    /// Whether the architecture has a vector of this name.
    pub fn know(&self, name: &str) -> bool {
        self.shapes.contains_key(name)
    }

    /// Whether a header contains it.
    pub fn has(&self, name: &str) -> bool {
        self.announced.contains(name)
    }

    /// Registers a vector of a header. Errors: `InvalidModel` for a wrong shape.
    pub fn announce(&mut self, info: &TensorInfo) -> Result<()> {
        let expected = self.shapes.get(&info.name).copied().unwrap_or_default();
        check_shape(info, &expected)?;
        self.announced.insert(info.name.clone());
        Ok(())
    }

    /// Creates a buffer for a vector, (1, n). Errors: `InvalidModel` naming the vector if no header
    /// contains it.
    pub fn required(&mut self, memory: &mut dyn Memory, name: &str) -> Result<Tensor> {
        let shape = self.shapes.get(name).filter(|_| self.has(name)).ok_or_else(|| missing_tensor(name))?;
        let len = shape.iter().product();
        let buffer = memory.create_values(name, len)?;
        self.places.entry(name.into()).or_default().push(Place { values: 0..len, buffer, offset: 0, copies: 1 });
        Ok(Tensor { buffer, rows: 1, cols: len })
    }

    /// The same of a vector that a model may lack.
    pub fn optional(&mut self, memory: &mut dyn Memory, name: &str) -> Result<Option<Tensor>> {
        if self.has(name) { self.required(memory, name).map(Some) } else { Ok(None) }
    }

    /// `stem.weight` and, if present, `stem.bias` of a norm.
    pub fn norm(&mut self, memory: &mut dyn Memory, stem: &str) -> Result<NormWeights> {
        let weight = self.required(memory, &format!("{stem}.weight"))?;
        let bias = self.optional(memory, &format!("{stem}.bias"))?;
        Ok(NormWeights { weight, bias, scale: None })
    }

    /// Creates a buffer for vectors one behind the other, (1, n). Errors: as above.
    pub fn joined(&mut self, memory: &mut dyn Memory, label: &str, names: &[String]) -> Result<Tensor> {
        let mut places = Vec::with_capacity(names.len());
        let mut end = 0;
        for name in names {
            let shape = self.shapes.get(name).filter(|_| self.has(name)).ok_or_else(|| missing_tensor(name))?;
            places.push(0..shape.iter().product());
            end += shape.iter().product::<usize>();
        }
        let (buffer, mut offset) = (memory.create_values(label, end)?, 0);
        for (name, values) in names.iter().zip(places) {
            let len = values.len();
            self.places.entry(name.clone()).or_default().push(Place { values, buffer, offset, copies: 1 });
            offset += len;
        }
        Ok(Tensor { buffer, rows: 1, cols: end })
    }

    /// The biases of a layer's attention, from one for each bucket to one for each distance: see
    /// [`Attention::bias`](crate::ops::Attention::bias). Errors: as above.
    pub fn distance_bias(&mut self, memory: &mut dyn Memory, name: &str, config: &Config) -> Result<Option<Tensor>> {
        let Some(buckets) = config.buckets else { return Ok(None) };
        if !self.has(name) {
            return Err(missing_tensor(name));
        }
        let (heads, each) = (config.heads, 2 * buckets.farthest + 1);
        let buffer = memory.create_values(name, heads * each)?;
        let places = self.places.entry(name.into()).or_default();
        for (bucket, run) in buckets.runs() {
            for head in 0..heads {
                let value = bucket * heads + head;
                let (values, offset) = (value..value + 1, head * each + run.start);
                places.push(Place { values, buffer, offset, copies: run.len() });
            }
        }
        Ok(Some(Tensor { buffer, rows: 1, cols: heads * each }))
    }

    /// QK-norms of a layer.
    pub fn qk_norms(&mut self, memory: &mut dyn Memory, config: &Config, layer: usize) -> Result<Vec<HeadNorm>> {
        let heads = config.heads;
        let head_dim = config.widths[layer].head_dim;
        let [q, k] = ["q", "k"].map(|part| config.of_layer(layer, &format!("attn_{part}_norm.weight")));
        match config.qk_norm() {
            None => Ok(Vec::new()),
            Some(QkNorm::Rows) => {
                let (q, k) = (self.required(memory, &q)?, self.required(memory, &k)?);
                Ok(vec![
                    HeadNorm { first_col: 0, groups: 1, weight: q, behind: None },
                    HeadNorm { first_col: heads * head_dim, groups: 1, weight: k, behind: None },
                ])
            }
            Some(QkNorm::EachHead) if !self.has(&q) && !self.has(&k) => Ok(Vec::new()),
            Some(kind @ (QkNorm::Heads | QkNorm::HeadsBehind | QkNorm::EachHead)) => {
                let own = config.own_kv_heads(layer);
                let keys = heads + own;
                let groups = if config.architecture.norms_values { keys + own } else { keys };
                let cols = groups * head_dim;
                let buffer = memory.create_values("norms of q and k", cols)?;
                if groups > keys {
                    memory.write_values(buffer, keys * head_dim, &vec![1.0; own * head_dim])?;
                }
                for head in 0..keys {
                    let (name, number) = if head < heads { (&q, head) } else { (&k, head - heads) };
                    if !self.has(name) {
                        return Err(missing_tensor(name));
                    }
                    let first = if kind == QkNorm::EachHead { number * head_dim } else { 0 };
                    let (values, offset) = (first..first + head_dim, head * head_dim);
                    let place = Place { values, buffer, offset, copies: 1 };
                    self.places.entry(name.clone()).or_default().push(place);
                }
                let weight = Tensor { buffer, rows: 1, cols };
                if kind != QkNorm::HeadsBehind {
                    return Ok(vec![HeadNorm { first_col: 0, groups, weight, behind: None }]);
                }
                let ones = memory.create_values("ones", cols)?;
                memory.write_values(ones, 0, &vec![1.0; cols])?;
                let (behind, weight) = (Some(weight), Tensor { buffer: ones, ..weight });
                Ok(vec![HeadNorm { first_col: 0, groups, weight, behind }])
            }
        }
    }

    /// Checks, when all buffers exist, that every vector of the headers is used: one that is not
    /// would silently give wrong output.
    pub fn check_used(&self) -> Result<()> {
        let unused = |name: &&String| !self.places.contains_key(*name) && !ALL_FACTORS.contains(&name.as_str());
        match self.announced.iter().filter(unused).min() {
            None => Ok(()),
            Some(name) => Err(Error::UnsupportedModel {
                what: "one of its tensors".into(),
                found: name.clone(),
                known: "models in which every bias and norm has its weight".into(),
            }),
        }
    }

    /// Creates a buffer for the scales and biases of `rows` of stacked weights, (2, rows.len()). A
    /// member without a scale has 1, without a bias 0; `None` if no member has either. A member's
    /// bias has a value per row, its scale one value per expert.
    ///
    /// - members: stem and rows of each
    pub fn affine<'a>(
        &mut self,
        memory: &mut dyn Memory,
        members: impl Iterator<Item = (&'a str, Range<usize>)>,
        rows: Range<usize>,
        experts: usize,
    ) -> Result<Option<Tensor>> {
        let mut affine = None;
        for (stem, member) in members {
            let (start, common) = (member.start, member.start.max(rows.start)..member.end.min(rows.end));
            for (kind, each, row) in [("scale", member.len() / experts, 0), ("bias", 1, 1)] {
                let name = format!("{stem}.{kind}");
                // one of another shape is for the inputs
                let fits = |shape: &[usize; 2]| shape.iter().product::<usize>() == member.len() / each;
                if common.is_empty() || !self.has(&name) || !self.shapes.get(&name).is_some_and(fits) {
                    continue;
                }
                let buffer = match affine {
                    Some(buffer) => buffer,
                    None => *affine.insert(ones_and_zeros(memory, rows.len())?),
                };
                // a range of rows contains whole experts only
                let values = (common.start - start) / each..(common.end - start).div_ceil(each);
                let (offset, copies) = (row * rows.len() + common.start - rows.start, common.len() / values.len());
                self.places.entry(name).or_default().push(Place { values, buffer, offset, copies });
            }
        }
        Ok(affine.map(|buffer| Tensor { buffer, rows: 2, cols: rows.len() }))
    }

    /// Keeps rows of a vector until [`Self::write`]; most vectors have one row.
    pub fn take(&mut self, info: &TensorInfo, first_row: usize, rows: &[u8]) {
        let (cols, row_bytes) = (info.cols(), info.block.row_bytes(info.cols()));
        for (i, row) in rows.chunks_exact(row_bytes).enumerate() {
            self.waiting.push((info.name.clone(), (first_row + i) * cols, dequantize(info, row)));
        }
    }

    /// Writes the kept values into their buffers, once all buffers exist. Returns the RoPE factors
    /// among them.
    pub fn write(&mut self, memory: &mut dyn Memory) -> Result<Vec<(String, Vec<f32>)>> {
        let mut rope_factors = Vec::new();
        for (name, first, values) in self.waiting.drain(..) {
            for Place { values: wanted, buffer, offset, copies } in self.places.get(&name).into_iter().flatten() {
                let common = wanted.start.max(first)..wanted.end.min(first + values.len());
                if common.is_empty() {
                    continue;
                }
                let offset = offset + (common.start - wanted.start) * copies;
                let values = &values[common.start - first..common.end - first];
                let repeated = values.iter().flat_map(|&value| std::iter::repeat_n(value, *copies));
                memory.write_values(*buffer, offset, &repeated.collect::<Vec<f32>>())?;
            }
            if ALL_FACTORS.contains(&name.as_str()) {
                rope_factors.push((name, values));
            }
        }
        Ok(rope_factors)
    }
}

/// A buffer of `len` ones, then `len` zeros.
fn ones_and_zeros(memory: &mut dyn Memory, len: usize) -> Result<BufferId> {
    let buffer = memory.create_values("factors and biases", 2 * len)?;
    memory.write_values(buffer, 0, &vec![1.0; len])?;
    Ok(buffer)
}

/// Names and shapes of all vectors that a decoder may have.
pub fn decoder_vectors(config: &Config, vocab: usize) -> HashMap<String, [usize; 2]> {
    let Config { hidden, ffn, heads, kv_heads, per_layer_input, architecture, .. } = *config;
    let mut lengths: HashMap<String, usize> = HashMap::from([("output.bias".into(), vocab)]);
    if architecture.norms != Norms::After {
        lengths.insert(format!("{}.weight", architecture.final_norm), hidden);
    }
    if let Some(labels) = &config.ranking {
        lengths.insert("cls.output.bias".into(), labels.len());
    }
    if architecture.norms_embedding {
        lengths.extend(["weight", "bias"].map(|part| (format!("token_embd_norm.{part}"), hidden)));
    }
    lengths.extend(ALL_FACTORS.map(|name| (name.into(), config.rope.dim / 2)));
    let mut vectors = vec![("attn_output.bias", hidden), ("ffn_down.bias", hidden)];
    if per_layer_input > 0 {
        lengths.insert("per_layer_proj_norm.weight".into(), per_layer_input);
        vectors.push(("post_norm.weight", hidden));
    }
    if architecture.streams {
        let names = ["altup_correct_scale.weight", "altup_router_norm.weight", "laurel_post_norm.weight"];
        vectors.extend(names.map(|name| (name, hidden)));
    }
    if architecture.varied_widths {
        vectors.push(("layer_output_scale.weight", 1));
    }
    if architecture.norm == NormKind::Layer {
        vectors.extend([("attn_norm_2.weight", hidden), ("attn_norm_2.bias", hidden)]);
        if architecture.norms != Norms::After {
            lengths.insert(format!("{}.bias", architecture.final_norm), hidden);
        }
    }
    if architecture.sinks {
        vectors.push(("attn_sinks.weight", heads));
    }
    let experts = config.experts.as_ref().map_or(0, |experts| experts.count);
    let mut shapes: HashMap<String, [usize; 2]> = lengths.into_iter().map(|(name, len)| (name, [len, 1])).collect();
    for layer in 0..config.layers {
        let Widths { head_dim, ffn: layer_ffn, .. } = config.widths[layer];
        // projections to and from latent vectors have no biases
        let (q, kv) = match config.latent {
            Some(_) => (0, 0),
            None => (heads * head_dim, config.own_kv_heads(layer) * head_dim),
        };
        let mut of_layer = vectors.clone();
        of_layer.extend(config.latent.iter().flat_map(latent_vectors));
        of_layer.extend([("attn_qkv.bias", q + 2 * kv), ("attn_q.bias", q), ("attn_k.bias", kv), ("attn_v.bias", kv)]);
        of_layer.extend([("ffn_gate.bias", layer_ffn), ("ffn_up.bias", layer_ffn)]);
        if architecture.sub_norms {
            of_layer.extend([("attn_sub_norm.weight", q), ("ffn_sub_norm.weight", layer_ffn)]);
        }
        let norms = match architecture.qk_norm {
            None | Some(QkNorm::EachHead) => [0; 2],
            Some(QkNorm::Heads | QkNorm::HeadsBehind) => [head_dim, head_dim.min(kv)],
            Some(QkNorm::Rows) => [q, kv],
        };
        of_layer.extend([("attn_q_norm.weight", norms[0]), ("attn_k_norm.weight", norms[1])]);
        let known = of_layer.iter().filter(|(_, len)| *len > 0);
        shapes.extend(known.map(|(name, len)| (config.of_layer(layer, name), [*len, 1])));
        if let Some(experts) = config.experts.as_ref().filter(|_| architecture.biased_choice) {
            shapes.insert(config.of_layer(layer, "exp_probs_b.bias"), [experts.count, 1]);
        }
        if config.source.is_some() {
            shapes.insert(config.of_layer(layer, "cross_attn_norm.weight"), [hidden, 1]);
        }
        if let Some(buckets) = config.buckets {
            shapes.insert(config.of_layer(layer, "attn_rel_b.weight"), [heads, buckets.count]);
        }
        let of_layer: &[(&str, [usize; 2])] = match config.kinds[layer] {
            LayerKind::Attention => &[],
            LayerKind::Wkv { .. } => &wkv_vectors(hidden),
            LayerKind::Convolution { width } => &[("shortconv.conv.weight", [width, hidden])],
            LayerKind::Delta { width, heads } => &[
                ("ssm_conv1d.weight", [width, heads.qkv()]),
                ("ssm_a", [heads.value, 1]),
                ("ssm_dt.bias", [heads.value, 1]),
                ("ssm_norm.weight", [heads.value_dim, 1]),
            ],
            LayerKind::Scan { width, heads, low_rank: Some(_) } => &[
                ("ssm_in.bias", [2 * heads.inner(), 1]),
                ("ssm_out.bias", [hidden, 1]),
                ("ssm_conv1d.weight", [width, heads.inner()]),
                ("ssm_conv1d.bias", [heads.inner(), 1]),
                ("ssm_a", [heads.state_dim, heads.inner()]),
                ("ssm_dt.bias", [heads.inner(), 1]),
                ("ssm_d", [heads.inner(), 1]),
            ],
            LayerKind::Scan { width, heads, low_rank: None } => &[
                ("ssm_in.bias", [heads.projected(), 1]),
                ("ssm_out.bias", [hidden, 1]),
                ("ssm_conv1d.weight", [width, heads.xbc()]),
                ("ssm_conv1d.bias", [heads.xbc(), 1]),
                ("ssm_a", [1, heads.count]),
                ("ssm_dt.bias", [heads.count, 1]),
                ("ssm_d", [1, heads.count]),
                ("ssm_norm.weight", [heads.inner() / heads.groups, heads.groups]),
            ],
        };
        shapes.extend(of_layer.iter().map(|(part, shape)| (config.of_layer(layer, part), *shape)));
        for norm in [architecture.attn_norm, architecture.ffn_norm] {
            shapes.insert(config.of_layer(layer, &format!("{norm}.weight")), [hidden, 1]);
            if architecture.norm == NormKind::Layer {
                shapes.insert(config.of_layer(layer, &format!("{norm}.bias")), [hidden, 1]);
            }
        }
        if architecture.streams {
            let of = |name: &str, rows| (format!("blk.{layer}.altup_{name}_coef.weight"), [STREAMS, rows]);
            shapes.extend([of("predict", STREAMS * STREAMS), of("correct", STREAMS)]);
        }
        if experts > 0 && architecture.varied_widths {
            let norms =
                ["ffn_gate_inp.scale", "post_ffw_norm_1.weight", "pre_ffw_norm_2.weight", "post_ffw_norm_2.weight"];
            shapes.extend(norms.map(|name| (config.of_layer(layer, name), [hidden, 1])));
        }
        if experts > 0 {
            let biases = [("gate_inp", [experts, 1]), ("gate_exps", [ffn, experts]), ("up_exps", [ffn, experts])];
            let biases = biases.into_iter().chain([("down_exps", [hidden, experts])]);
            shapes.extend(biases.map(|(part, shape)| (config.of_layer(layer, &format!("ffn_{part}.bias")), shape)));
        }
        if let Norms::Around(stems) | Norms::Outputs(stems) = architecture.norms {
            shapes.extend(stems.map(|stem| (config.of_layer(layer, &format!("{stem}.weight")), [hidden, 1])));
        }
        if architecture.qk_norm == Some(QkNorm::EachHead) {
            let norms = [("q", heads), ("k", kv_heads)];
            shapes.extend(
                norms.map(|(part, heads)| {
                    (config.of_layer(layer, &format!("attn_{part}_norm.weight")), [head_dim, heads])
                }),
            );
        }
    }
    if let Some(source) = &config.source {
        shapes.extend(decoder_vectors(&source.config, vocab));
    }
    shapes
}

/// One row of a tensor as f32.
fn dequantize(info: &TensorInfo, row: &[u8]) -> Vec<f32> {
    let cols = info.cols();
    let mut planes = Planes::default();
    repack(info.block, cols, row, &mut planes);
    let mut values = vec![0.0; cols];
    dequantize_row(Layout::for_block(info.block), &planes.quants, &planes.scales, &mut values);
    values
}
