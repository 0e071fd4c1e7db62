//! Hyperparameters of a model, read from GGUF metadata under the keys `<architecture>.<key>` of
//! ggml's GGUF specification.

mod experts;
mod kinds;
mod latent;

use std::collections::BTreeMap;

use super::architecture::{Architecture, NAMES, NoRope, Positions, QkNorm, WindowedLayers, WindowedRope};
use super::buckets::Buckets;
use super::encoder_config::{Pooling, RANK, labels};
use super::keys::{Keys, unsupported};
use super::prompts::prompts;
use super::rope::{Rope, Scaling};
use super::scales::Scales;
use crate::format::Value;
use crate::format::metadata::Metadata;
use crate::ops::alt_up::STREAMS;
use crate::ops::attention::{Temperature, WIDEST};
use crate::ops::{Activation, DeltaHeads, ExpertGroups, NormKind, RopeKind};
use crate::{Error, Result};

pub use experts::Experts;
use kinds::{KV_HEADS, kinds, kv_layers, numbers_of_layers, of_layers, wkv_widths};
pub use kinds::{LayerKind, Ranks, TimeSteps, delta_width};
pub use latent::Latent;

/// Hyperparameters of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The table row of `general.architecture`.
    pub architecture: &'static Architecture,
    /// `general.name`, or the architecture's name if the file has none.
    pub name: String,
    /// `general.basename`: the name of the family, `smollm2` for example.
    pub basename: Option<String>,
    /// `general.size_label`: how many weights, as people say it, `135M` for example.
    pub size_label: Option<String>,
    /// Number of layers.
    pub layers: usize,
    /// The kind of each.
    pub kinds: Vec<LayerKind>,
    /// Layers behind these that draft further tokens (multi-token prediction), which weft does not
    /// run.
    pub drafting_layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Inner width of the widest feed-forward layer, or of one expert.
    pub ffn: usize,
    /// The same of layers without experts, where others have some, and of what is beside experts.
    pub dense_ffn: usize,
    /// Mixture of experts; `None` for a dense feed-forward layer.
    pub experts: Option<Experts>,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads, the most of any layer; fewer than `heads` means grouped-query
    /// attention.
    pub kv_heads: usize,
    /// Width of a head, the largest of any layer. With latent vectors, of what is kept of a
    /// position.
    pub head_dim: usize,
    /// The parts of heads that are made of latent vectors; `None` for other attention.
    pub latent: Option<Latent>,
    /// The same of each layer.
    pub widths: Vec<Widths>,
    /// For each layer, the one whose keys and values it reads: itself, or an earlier one.
    pub kv_layers: Vec<usize>,
    /// Values of a token's input to each layer beside the residual stream; 0 without.
    pub per_layer_input: usize,
    /// For each layer, how many deviations above their mean gates must be: see
    /// [`Sparsify`](crate::ops::Sparsify).
    pub sparsity: Vec<Option<f32>>,
    /// Rank of the residual beside attention, if there is one.
    pub laurel_rank: usize,
    /// Context length in training, in tokens.
    pub trained_context: usize,
    /// The same, or longer where a caller has RoPE scaled.
    pub longest_context: usize,
    /// ε of the norms.
    pub norm_eps: f32,
    /// ε of the norms of time steps, B and C.
    pub step_eps: f32,
    /// Whether attention and feed-forward layer read the same residual stream instead of running
    /// one after the other.
    pub parallel: bool,
    /// Rotary position embedding.
    pub rope: Rope,
    /// RoPE of the layers with a sliding window, if it differs.
    pub windowed_rope: Option<Rope>,
    /// Largest ALiBi bias, see [`crate::ops::Attention::slope`]; `None` without ALiBi.
    pub alibi: Option<f32>,
    /// Buckets of distances that scores have a bias for.
    pub buckets: Option<Buckets>,
    /// Whether feed-forward layers have no gate: see [`Architecture::gateless`].
    pub gateless: bool,
    /// Whether the activation is that of [`Architecture::ungrouped`], where there is one.
    pub ungrouped: bool,
    /// Size of the sliding window, see [`crate::ops::Attention::window`]; `None` without windows.
    pub window: Option<usize>,
    /// For each layer, whether it has the window.
    pub windowed: Vec<bool>,
    /// Scaling of queries with their position.
    pub temperature: Option<Temperature>,
    /// Scales and soft caps.
    pub scales: Scales,
    /// How an embedding model pools its token vectors into one vector per text.
    pub pooling: Option<Pooling>,
    /// What it reads before a text, by the name of a task.
    pub prompts: BTreeMap<String, String>,
    /// What reads the source text, if there is one.
    pub source: Option<Box<Source>>,
    /// The labels of a decoder that ranks: see [`Decoder::ranking`](super::Decoder::ranking).
    pub ranking: Option<Vec<String>>,
}

/// The half of a model that reads a source text.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Hyperparameters of the encoder.
    pub config: Config,
    /// `decoder_start_token_id`: the token before the first of an answer.
    pub start: u32,
    /// Whether logits are divided by √hidden. `None`: where the output matrix is the table of
    /// embeddings.
    pub scales_outputs: Option<bool>,
}

impl Source {
    fn read(keys: &Keys) -> Result<Option<Box<Self>>> {
        let Some(encoder) = keys.architecture.source else { return Ok(None) };
        Ok(Some(Box::new(Self {
            config: Config::of(keys.metadata, encoder)?,
            start: keys.count("decoder_start_token_id")? as u32,
            scales_outputs: keys.opt_bool("scales_outputs")?,
        })))
    }
}

/// The widths that layers of a model may differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Inner width of the feed-forward block, or of one of its experts.
    pub ffn: usize,
}

impl Config {
    /// Reads and checks the hyperparameters. Errors: `UnsupportedModel` for a model that weft does
    /// not run, `InvalidModel` for values that contradict each other.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        // these accompany a model: they name its architecture but lack most of its keys
        let kind = metadata.opt_str("general.type")?.filter(|kind| ["adapter", "imatrix", "mmproj"].contains(kind));
        if let Some(kind) = kind {
            return Err(unsupported("general.type", kind, "files with a whole model"));
        }
        let name = metadata.str("general.architecture")?;
        let architecture =
            Architecture::named(name).ok_or_else(|| unsupported("general.architecture", name, &NAMES.join(", ")))?;
        Self::of(metadata, architecture)
    }

    fn of(metadata: &Metadata, architecture: &'static Architecture) -> Result<Self> {
        let (keys, name) = (Keys { metadata, architecture }, architecture.name);
        let experts = Experts::read(&keys)?;
        let hidden = keys.count("embedding_length")?;
        let file_heads = keys.count("attention.head_count")?;
        let drafting_layers = keys.opt_count("nextn_predict_layers")?.unwrap_or(0);
        let of_decoder = if architecture.source.is_some() { keys.opt_count("decoder_block_count")? } else { None };
        let layers = match of_decoder {
            Some(layers) => layers,
            None => keys.count("block_count")?.saturating_sub(drafting_layers),
        };
        let (kinds, mut kv_heads) = kinds(&keys, layers, file_heads)?;
        let latent = Latent::read(&keys, hidden, file_heads)?;
        let attends = !(architecture.scans || architecture.wkv) || kinds.contains(&LayerKind::Attention);
        let (heads, head_dim) = match keys.opt_count("attention.key_length")? {
            // unused
            _ if !attends => (1, 4),
            _ if let Some(latent) = &latent => (file_heads, latent.kept()),
            Some(head_dim) => (file_heads, head_dim),
            None => (file_heads, hidden.checked_div(file_heads).unwrap_or(0)),
        };
        if latent.is_some() {
            kv_heads = 1;
        }
        let (rms_eps, layer_eps) = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon");
        let (eps_key, other_key) = match architecture.norm {
            NormKind::Layer if !architecture.rms_eps => (layer_eps, rms_eps),
            NormKind::Rms | NormKind::Layer => (rms_eps, layer_eps),
        };
        let norm_eps = match (keys.opt_f32(eps_key)?, keys.opt_f32(other_key)?) {
            (Some(eps), _) | (None, Some(eps)) => eps,
            (None, None) => metadata.f32(&keys.key(eps_key))?,
        };
        if let Some(bound) = keys.opt_f32("attention.clamp_kqv")? {
            return Err(unsupported(
                &keys.key("attention.clamp_kqv"),
                &bound.to_string(),
                "models without that bound (0)",
            ));
        }
        // source and answer have as many positions each
        let halves = if architecture.source.is_some() { 2 } else { 1 };
        let trained_context = keys.count("context_length")?.saturating_mul(halves);
        let rope = if attends { Rope::read(&keys, head_dim, trained_context)? } else { Rope::NOTHING };
        let scaled_width = match architecture.norms_values || architecture.positions == Positions::Buckets {
            true => 1.0,
            false if let Some(latent) = &latent => latent.scaled_width(&keys, &rope.scaling)?,
            false if architecture.wide_heads_at == Some(layers) => hidden as f32 / heads as f32,
            false => head_dim as f32,
        };
        let window = match keys.opt_count("attention.sliding_window")?.or(architecture.window) {
            // that of an encoder has half of the number on each side
            Some(window) if architecture.encoder => Some(window / 2 + 1),
            window => window,
        };
        let windowed = windowed(&keys, layers)?;
        let windowed_head_dim = keys.opt_count("attention.key_length_swa")?.unwrap_or(head_dim);
        let ffns = of_layers(&keys, "feed_forward_length", layers)?;
        let ffn = match (keys.opt_count("expert_feed_forward_length")?, &experts) {
            // unused
            _ if architecture.bare_mixers => Some(4),
            (Some(ffn), Some(_)) => Some(ffn),
            (None, Some(experts)) if architecture.splits_ffn => {
                Some(keys.count("feed_forward_length")? / experts.chosen.max(1))
            }
            (_, _) => ffns.iter().copied().max(),
        };
        let ffn = match ffn {
            Some(ffn) => ffn,
            None => keys.count("feed_forward_length")?,
        };
        let dense_ffn = match &experts {
            Some(experts) if experts.has_dense() || architecture.varied_widths => keys.count("feed_forward_length")?,
            // unused
            _ => 4,
        };
        let has_window = |layer: usize| window.is_some() && windowed.get(layer).copied().unwrap_or(false);
        let all_kv_heads = of_layers(&keys, KV_HEADS, layers)?;
        let mut widths = Vec::with_capacity(kinds.len());
        for layer in 0..kinds.len() {
            widths.push(Widths {
                kv_heads: all_kv_heads.get(layer).copied().unwrap_or(kv_heads),
                head_dim: if has_window(layer) { windowed_head_dim } else { head_dim },
                ffn: match &experts {
                    Some(experts) if experts.has(layer) => ffn,
                    Some(_) => dense_ffn,
                    None => ffns.get(layer).copied().unwrap_or(ffn),
                },
            });
        }
        let kv_layers = kv_layers(&keys, layers, has_window)?;
        let about = |key| metadata.opt_str(key).map(|text| text.filter(|text| !text.is_empty()));
        let config = Self {
            name: about("general.name")?.unwrap_or(name).to_string(),
            basename: about("general.basename")?.map(str::to_string),
            size_label: about("general.size_label")?.map(str::to_string),
            layers,
            kinds,
            drafting_layers,
            hidden,
            dense_ffn,
            ffn,
            experts,
            heads,
            kv_heads,
            head_dim: head_dim.max(windowed_head_dim),
            latent,
            widths,
            kv_layers,
            per_layer_input: keys.opt_count("embedding_length_per_layer_input")?.unwrap_or(0),
            sparsity: sparsity(&keys, layers)?,
            // llama.cpp knows this one only
            laurel_rank: keys.opt_count("laurel_rank")?.unwrap_or(64),
            trained_context,
            longest_context: trained_context,
            norm_eps,
            // what FalconMamba was trained with; GGUF has no key
            step_eps: keys.f32_or("ssm.step_norm_epsilon", 1e-6)?,
            parallel: match keys.opt_bool("use_parallel_residual")? {
                Some(parallel) if !architecture.parallel_without_ffn_norm => parallel,
                _ => architecture.parallel,
            },
            pooling: Pooling::read(&keys)?,
            prompts: prompts(metadata)?,
            ranking: match keys.opt_count("pooling_type") {
                Ok(Some(RANK)) if !architecture.encoder => Some(labels(&keys)?),
                _ => None,
            },
            windowed_rope: windowed_rope(&keys, &rope, windowed_head_dim)?,
            temperature: temperature(&keys, trained_context)?,
            rope,
            alibi: largest_bias(&keys)?,
            buckets: buckets(&keys)?,
            // known with the tensors
            gateless: false,
            ungrouped: heads == kv_heads && !keys.opt_bool("squared_relu")?.unwrap_or(false),
            window,
            windowed,
            source: Source::read(&keys)?,
            scales: Scales::read(&keys, hidden, scaled_width)?,
            architecture,
        };
        config.check(eps_key)?;
        let widths = [("attention.value_length", head_dim), ("attention.value_length_swa", windowed_head_dim)];
        for (key, expected) in widths.into_iter().filter(|_| latent.is_none()) {
            if let Some(length) = keys.opt_count(key)? {
                config.require(key, length == expected, "the same as key_length", length)?;
            }
        }
        Ok(config)
    }

    /// Checks the bounds that the engines rely on. The upper ones are far above any model that fits
    /// into a browser.
    fn check(&self, eps_key: &str) -> Result<()> {
        let block_count = if self.source.is_some() { "decoder_block_count" } else { "block_count" };
        self.require(block_count, (1..=1024).contains(&self.layers), "1 to 1024", self.layers)?;
        let widths = [self.hidden, self.ffn, self.dense_ffn];
        for (key, value) in ["embedding_length", "feed_forward_length", "feed_forward_length"].into_iter().zip(widths) {
            let fits = (4..=1 << 20).contains(&value) && value.is_multiple_of(4);
            self.require(key, fits, "a multiple of 4 up to 1048576", value)?;
        }
        if let Some(Experts { count, chosen, scale, shared_ffn, groups, .. }) = &self.experts {
            let fits = |groups: &ExpertGroups| {
                (1..=groups.count).contains(&groups.chosen) && *chosen <= groups.chosen * (count / groups.count)
            };
            let used = groups.map_or(1, |groups| groups.chosen);
            let fit = groups.as_ref().is_none_or(fits);
            self.require("expert_group_used_count", fit, "groups with as many experts as are chosen", used)?;
            self.require("expert_weights_scale", scale.is_finite() && *scale > 0.0, "a positive number", scale)?;
            self.require("expert_count", *count <= 4096, "up to 4096", count)?;
            self.require("expert_used_count", (1..=*count).contains(chosen), "1 to expert_count", chosen)?;
            let shared = shared_ffn.unwrap_or(4);
            let fits = (4..=1 << 20).contains(&shared) && shared.is_multiple_of(4);
            self.require("expert_shared_feed_forward_length", fits, "a multiple of 4 up to 1048576", shared)?;
        }
        for kind in &self.kinds {
            match kind {
                LayerKind::Attention => {}
                LayerKind::Convolution { width } => {
                    self.require("shortconv.l_cache", (1..=4).contains(width), "1 to 4", width)?;
                }
                LayerKind::Delta { width, heads } => self.check_delta(*width, heads)?,
                LayerKind::Scan { width, heads, low_rank } => self.check_scan(*width, heads, *low_rank)?,
                LayerKind::Wkv { heads, ranks } => self.check_wkv(heads, ranks)?,
            }
        }
        if let Some(latent) = &self.latent {
            self.check_latent(latent)?;
        }
        self.require("attention.head_count", (1..=4096).contains(&self.heads), "1 to 4096", self.heads)?;
        for (layer, &Widths { kv_heads, head_dim, ffn }) in self.widths.iter().enumerate() {
            let heads_divide = kv_heads > 0 && self.heads.is_multiple_of(kv_heads);
            self.require("attention.head_count_kv", heads_divide, "a divisor of head_count", kv_heads)?;
            let windowed = self.window_of(layer).is_some() && self.architecture.varied_widths;
            let (key, rope_key) = match windowed {
                true => ("attention.key_length_swa", "rope.dimension_count_swa"),
                false => ("attention.key_length", "rope.dimension_count"),
            };
            let head_dim_fits = (4..=WIDEST).contains(&head_dim) && head_dim.is_multiple_of(4);
            self.require(key, head_dim_fits, "a multiple of 4 up to 576", head_dim)?;
            let rope = self.windowed_rope.as_ref().filter(|_| windowed).unwrap_or(&self.rope);
            let allowed = if self.architecture.rope().is_some() { 0..=head_dim } else { 0..=0 };
            let rope_fits = allowed.contains(&rope.dim) && rope.dim.is_multiple_of(2);
            self.require(rope_key, rope_fits, "an even number up to key_length", rope.dim)?;
            let fits = (4..=1 << 20).contains(&ffn) && ffn.is_multiple_of(4);
            self.require("feed_forward_length", fits, "a multiple of 4 up to 1048576", ffn)?;
        }
        for (layer, &source) in self.kv_layers.iter().enumerate() {
            let shape = |layer: usize| (self.widths[layer].kv_heads, self.widths[layer].head_dim);
            let (same, heads) = (shape(source) == shape(layer), shape(layer).0);
            self.require("attention.head_count_kv", same, "that of the layer whose keys a layer reads", heads)?;
        }
        let (inputs, most) = (self.per_layer_input, (1 << 24) / self.layers);
        let fits = inputs <= most && inputs.is_multiple_of(4);
        self.require("embedding_length_per_layer_input", fits, "a multiple of 4, not too large", inputs)?;
        let rank = self.laurel_rank;
        self.require("laurel_rank", (4..=4096).contains(&rank) && rank.is_multiple_of(4), "a multiple of 4", rank)?;
        let behind = self.qk_norm() == Some(QkNorm::HeadsBehind);
        self.require("rope.dimension_count", !behind || self.rope.dim == self.head_dim, "key_length", self.rope.dim)?;
        self.require("context_length", self.trained_context > 0, "at least 1", self.trained_context)?;
        for rope in [Some(&self.rope), self.windowed_rope.as_ref()].into_iter().flatten() {
            let base_fits = rope.base.is_finite() && rope.base > 0.0;
            self.require("rope.freq_base", base_fits, "a positive number", rope.base)?;
        }
        if let Scaling::Linear { factor } | Scaling::Yarn { factor, .. } = self.rope.scaling {
            let fits = factor.is_finite() && factor > 0.0;
            self.require("rope.scaling.factor", fits, "a positive number", factor)?;
        }
        let Scales { embedding, attention, residual, logits, attention_cap, logits_cap } = self.scales;
        let scales = [
            ("embedding_scale", embedding),
            ("attention.scale", attention),
            ("residual_scale", residual),
            ("logit_scale", logits),
            ("attn_logit_softcapping", attention_cap.unwrap_or(1.0)),
            ("final_logit_softcapping", logits_cap.unwrap_or(1.0)),
        ];
        for (key, scale) in scales {
            self.require(key, scale.is_finite() && scale > 0.0, "a positive number", scale)?;
        }
        if let Some(Temperature { scale, length }) = self.temperature {
            let fits = scale.is_finite() && scale >= 0.0;
            self.require("attention.temperature_scale", fits, "a positive number", scale)?;
            self.require("attention.temperature_length", length > 0, "at least 1", length)?;
        }
        let bias = self.alibi.unwrap_or(1.0);
        self.require("attention.max_alibi_bias", bias.is_finite() && bias > 0.0, "a positive number", bias)?;
        if let Some(buckets) = self.buckets {
            let expected = "an even number up to 1024, of which less than half is for each distance alone";
            self.require("attention.relative_buckets_count", buckets.fit(), expected, buckets.count)?;
            let all = self.heads.saturating_mul(2 * buckets.farthest + 1);
            let expected = "up to 16777216 for all heads together";
            self.require("attention.relative_max_distance", all <= 1 << 24, expected, buckets.farthest)?;
        }
        let eps = self.norm_eps;
        self.require(eps_key, eps.is_finite() && eps >= 0.0, "a small positive number", eps)?;
        let eps = self.step_eps;
        self.require("ssm.step_norm_epsilon", eps.is_finite() && eps >= 0.0, "a small positive number", eps)
    }

    fn require(&self, key: &str, ok: bool, expected: &str, got: impl ToString) -> Result<()> {
        if ok {
            return Ok(());
        }
        let what = format!("{}.{key}", self.architecture.name);
        Err(Error::InvalidModel { what, expected: expected.into(), got: got.to_string() })
    }

    /// Name of a tensor of a layer, or its stem.
    pub fn of_layer(&self, layer: usize, part: &str) -> String {
        format!("{}.{layer}.{part}", self.architecture.layer)
    }

    /// Whether it is a tensor of files that nothing reads: the output of a model of which a file
    /// has the encoder; biases of cross attention, which no model uses; of
    /// [`Config::drafting_layers`], or keys and values of a layer that reads those of another.
    pub fn is_unread(&self, tensor: &str) -> bool {
        if self.architecture.encoder && self.buckets.is_some() && tensor == "output.weight" {
            return true;
        }
        if self.source.is_some() && tensor.ends_with(".cross_attn_rel_b.weight") {
            return true;
        }
        let Some((layer, part)) = tensor.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
            return false;
        };
        let Ok(layer) = layer.parse::<usize>() else { return false };
        let is_draft = part.starts_with("nextn.") || (layer >= self.layers && self.drafting_layers > 0);
        let is_shared = self.kv_layers.get(layer).is_some_and(|&source| source < layer);
        let is_key = part.starts_with("attn_k") || part.starts_with("attn_v");
        (self.architecture.delta.is_some() && is_draft) || (is_shared && is_key)
    }

    /// Columns of the fused q, k and v projection, the most of any layer.
    pub fn qkv_width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// The most columns of what layers without attention project, and of what they give to the
    /// output projection; 0 without any.
    pub fn mixed_widths(&self) -> [usize; 2] {
        let widths = self.kinds.iter().map(|kind| match kind {
            LayerKind::Attention => [0; 2],
            LayerKind::Convolution { .. } => [3 * self.hidden, self.hidden],
            LayerKind::Delta { heads, .. } => [delta_width(heads), heads.values()],
            LayerKind::Scan { heads, .. } => [heads.projected(), heads.inner()],
            LayerKind::Wkv { heads, .. } => wkv_widths(heads),
        });
        widths.reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])]).unwrap_or_default()
    }

    /// Heads of the layers with linear attention.
    pub fn delta_heads(&self) -> Option<DeltaHeads> {
        self.kinds.iter().find_map(|kind| match kind {
            LayerKind::Delta { heads, .. } => Some(*heads),
            _ => None,
        })
    }

    /// Key and value heads of what a layer projects: none where it reads those of another.
    pub fn own_kv_heads(&self, layer: usize) -> usize {
        if self.kv_layers[layer] == layer { self.widths[layer].kv_heads } else { 0 }
    }

    /// Activation of the feed-forward layer.
    pub fn activation(&self) -> Activation {
        let usual = self.architecture.activation;
        match (self.architecture.gateless, self.architecture.ungrouped) {
            (Some(function), _) if self.gateless => Activation { function, gated: false },
            (_, Some(function)) if self.ungrouped => Activation { function, ..usual },
            _ => usual,
        }
    }

    /// Which values RoPE rotates as a pair.
    pub fn rope_kind(&self) -> RopeKind {
        self.architecture.rope().unwrap_or(RopeKind::Interleaved)
    }

    /// Kind of QK-norm.
    pub fn qk_norm(&self) -> Option<QkNorm> {
        self.architecture.qk_norm
    }

    /// Size of the sliding window of a layer, in positions; `None` if the layer sees all.
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        self.window.filter(|_| self.windowed.get(layer).copied().unwrap_or(false))
    }

    /// Whether a layer has a mixture of experts.
    pub fn has_experts(&self, layer: usize) -> bool {
        self.experts.as_ref().is_some_and(|experts| experts.has(layer))
    }

    /// Inner width of the feed-forward block of a layer, or of one of its experts.
    pub fn ffn_of(&self, layer: usize) -> usize {
        self.widths[layer].ffn
    }

    /// RoPE of a layer; `None` if the layer has none.
    pub fn rope_of(&self, layer: usize) -> Option<&Rope> {
        let skipped = match self.architecture.no_rope {
            NoRope::Nowhere => false,
            NoRope::Every(n) => (layer + 1).is_multiple_of(n),
            NoRope::Unwindowed => self.window.is_some() && self.window_of(layer).is_none(),
        };
        match &self.windowed_rope {
            _ if skipped || self.rope.dim == 0 || self.kinds[layer] != LayerKind::Attention => None,
            Some(rope) if self.window_of(layer).is_some() => Some(rope),
            _ => Some(&self.rope),
        }
    }
}

/// The largest ALiBi bias: from the file, or the architecture's default.
fn largest_bias(keys: &Keys) -> Result<Option<f32>> {
    let Positions::Linear(usual) = keys.architecture.positions else { return Ok(None) };
    keys.f32_or("attention.max_alibi_bias", usual).map(Some)
}

/// The buckets of distances; those of an encoder are for both sides.
fn buckets(keys: &Keys) -> Result<Option<Buckets>> {
    if keys.architecture.positions != Positions::Buckets {
        return Ok(None);
    }
    let count = keys.opt_count("attention.relative_buckets_count")?.unwrap_or(32);
    let farthest = keys.opt_count("attention.relative_max_distance")?.unwrap_or(128);
    Ok(Some(Buckets { count, farthest, both: keys.architecture.encoder }))
}

/// For each layer, how far above the mean its gates must be: in the file, or in the first ten
/// layers as in all published models.
fn sparsity(keys: &Keys, layers: usize) -> Result<Vec<Option<f32>>> {
    const KEY: &str = "activation_sparsity_scale";
    /// 95 % of normally distributed values are below it.
    const USUAL: f64 = 1.644_853_6;
    let layers = layers.min(1 << 16);
    if !keys.architecture.streams {
        return Ok(vec![None; layers]);
    }
    for (key, expected) in [("altup.num_inputs", STREAMS), ("altup.active_idx", 0)] {
        if let Some(found) = keys.opt_count(key)?.filter(|&found| found != expected) {
            return Err(unsupported(&keys.key(key), &found.to_string(), &expected.to_string()));
        }
    }
    let found = match keys.value(KEY) {
        Some(Value::Array(array)) => numbers_of_layers(keys, KEY, array, layers)?,
        Some(_) => vec![keys.f32_or(KEY, 0.0)?.into(); layers],
        None => (0..layers).map(|layer| if layer < 10 { USUAL } else { f64::NEG_INFINITY }).collect(),
    };
    // a layer that keeps all has the number that all values are above
    Ok(found.into_iter().map(|deviations| Some(deviations as f32).filter(|d| d.is_finite())).collect())
}

/// Scaling of queries with their position, by default in steps of the context in pretraining.
fn temperature(keys: &Keys, trained_context: usize) -> Result<Option<Temperature>> {
    let Some(scale) = keys.opt_f32("attention.temperature_scale")? else { return Ok(None) };
    let original = keys.opt_count("rope.scaling.original_context_length")?.unwrap_or(trained_context);
    let length = keys.opt_count("attention.temperature_length")?.unwrap_or(original);
    Ok(Some(Temperature { scale, length }))
}

/// RoPE of the layers with a window, if it is not that of the others.
fn windowed_rope(keys: &Keys, rope: &Rope, head_dim: usize) -> Result<Option<Rope>> {
    let base = keys.opt_f32("rope.freq_base_swa")?;
    let dim = match keys.architecture.varied_widths {
        true => keys.opt_count("rope.dimension_count_swa")?.unwrap_or(head_dim),
        false => rope.dim,
    };
    let windowed = match keys.architecture.windowed_rope {
        WindowedRope::Same => Rope { base: base.unwrap_or(rope.base), ..rope.clone() },
        WindowedRope::Unscaled { base: usual } => {
            let base = base.or(usual).unwrap_or(rope.base);
            Rope { base, dim, scaling: Scaling::None, attention_factor: 1.0, has_factors: false }
        }
    };
    Ok(Some(windowed).filter(|windowed| windowed != rope))
}

/// For each layer, whether it has a window. The file stores a flag per layer, or a period n: all
/// but the last, or the first, of n layers have one.
fn windowed(keys: &Keys, layers: usize) -> Result<Vec<bool>> {
    const KEY: &str = "attention.sliding_window_pattern";
    let first = matches!(keys.architecture.windowed, WindowedLayers::AllButFirstOf(_));
    let sees_all = |layer, period| layer % period == if first { 0 } else { period - 1 };
    // more are refused later
    let of_period =
        |period: usize| (0..layers.min(1 << 16)).map(|layer| period == 0 || !sees_all(layer, period)).collect();
    if let Some(Value::Array(array)) = keys.value(KEY) {
        let items = numbers_of_layers(keys, KEY, array, layers)?;
        return Ok(items.into_iter().map(|item| item != 0.0).collect());
    }
    Ok(match (keys.opt_count(KEY)?, keys.architecture.windowed) {
        // as a list of which all items are the same
        (Some(flag), _) if keys.architecture.varied_widths => vec![flag != 0; layers.min(1 << 16)],
        (Some(period), _) | (None, WindowedLayers::AllButEvery(period) | WindowedLayers::AllButFirstOf(period)) => {
            of_period(period)
        }
        (None, WindowedLayers::All) => of_period(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Function;

    #[test]
    fn an_adapter_file_is_refused_by_name() {
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", "llama");
        metadata.insert("general.type", "adapter");
        let error = Config::from_metadata(&metadata).unwrap_err().to_string();
        assert!(error.contains("general.type is `adapter`; weft runs files with a whole model"), "{error}");
    }

    #[test]
    fn names_come_from_the_file_and_empty_ones_count_as_none() {
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", "llama");
        metadata.insert("llama.attention.layer_norm_rms_epsilon", 1e-5f32);
        let counts = [
            ("block_count", 2u32),
            ("embedding_length", 64),
            ("feed_forward_length", 96),
            ("attention.head_count", 4),
            ("context_length", 64),
        ];
        for (key, count) in counts {
            metadata.insert(format!("llama.{key}"), count);
        }
        let names = |metadata: &Metadata| {
            let config = Config::from_metadata(metadata).unwrap();
            (config.name, config.basename, config.size_label)
        };
        assert_eq!(names(&metadata), ("llama".into(), None, None));
        metadata.insert("general.name", "Smollm2 135M 8k Lc100K Mix1 Ep2");
        metadata.insert("general.basename", "smollm2");
        metadata.insert("general.size_label", "135M");
        let told = ("Smollm2 135M 8k Lc100K Mix1 Ep2".into(), Some("smollm2".into()), Some("135M".into()));
        assert_eq!(names(&metadata), told);
        for key in ["name", "basename", "size_label"] {
            metadata.insert(format!("general.{key}"), "");
        }
        assert_eq!(names(&metadata), ("llama".into(), None, None));
    }

    #[test]
    fn bitnet_has_silu_where_heads_share_no_keys() {
        let function = |kv_heads: u32, says: Option<bool>| {
            let mut metadata = Metadata::default();
            metadata.insert("general.architecture", "bitnet");
            metadata.insert("bitnet.attention.layer_norm_rms_epsilon", 1e-5f32);
            let counts = [
                ("block_count", 2u32),
                ("embedding_length", 64),
                ("feed_forward_length", 96),
                ("attention.head_count", 4),
                ("attention.head_count_kv", kv_heads),
                ("context_length", 64),
            ];
            for (key, count) in counts {
                metadata.insert(format!("bitnet.{key}"), count);
            }
            if let Some(says) = says {
                metadata.insert("weft.squared_relu", says);
            }
            Config::from_metadata(&metadata).unwrap().activation().function
        };
        assert_eq!(function(4, None), Function::Silu);
        assert_eq!([function(2, None), function(4, Some(true))], [Function::SquaredRelu; 2]);
    }

    #[test]
    fn the_largest_alibi_bias_comes_from_the_file_or_the_architecture() {
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", "mpt");
        metadata.insert("mpt.attention.layer_norm_epsilon", 1e-5f32);
        let counts = [
            ("block_count", 2u32),
            ("embedding_length", 24),
            ("feed_forward_length", 96),
            ("attention.head_count", 3),
            ("context_length", 64),
        ];
        for (key, count) in counts {
            metadata.insert(format!("mpt.{key}"), count);
        }
        let mut read = |key: &str, value: f32| {
            metadata.insert(format!("mpt.attention.{key}"), value);
            Config::from_metadata(&metadata).map(|config| config.alibi).map_err(|error| error.to_string())
        };
        assert_eq!(read("clamp_kqv", 0.0), Ok(Some(8.0)));
        assert_eq!(read("max_alibi_bias", 16.0), Ok(Some(16.0)));
        assert_eq!(read("max_alibi_bias", 0.0), Ok(Some(8.0)));
        assert!(read("max_alibi_bias", f32::NAN).unwrap_err().contains("max_alibi_bias"));
        assert!(read("clamp_kqv", 6.0).unwrap_err().contains("mpt.attention.clamp_kqv is `6`"));
    }
}
