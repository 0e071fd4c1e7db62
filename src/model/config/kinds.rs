//! The kind of each layer: what mixes its positions, and whose keys and values it reads.

use super::Config;
use crate::format::{Array, Value};
use crate::model::architecture::DeltaOrder;
use crate::model::keys::Keys;
use crate::ops::causal_convolve::WIDEST;
use crate::ops::{DeltaHeads, ScanHeads, WkvHeads, wkv};
use crate::{Error, Result};

pub(super) const KV_HEADS: &str = "attention.head_count_kv";

/// What mixes the positions in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// Attention, over keys and values.
    Attention,
    /// A gated convolution over the last `width` positions, the token's own among them.
    Convolution {
        /// `shortconv.l_cache`
        width: usize,
    },
    /// Linear attention with a gated delta rule, behind a convolution.
    Delta {
        /// `ssm.conv_kernel`
        width: usize,
        /// Its heads.
        heads: DeltaHeads,
    },
    /// A selective scan (Mamba-2, or Mamba), behind a convolution.
    Scan {
        /// `ssm.conv_kernel`
        width: usize,
        /// Its heads.
        heads: ScanHeads,
        /// How Mamba makes Δ, B and C of what the convolution gives.
        low_rank: Option<TimeSteps>,
    },
    /// RWKV-7's time mixing.
    Wkv {
        /// Its heads.
        heads: WkvHeads,
        /// Its matrices of low rank.
        ranks: Ranks,
    },
}

/// How many values stand between the two matrices that each of these is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// `attention.decay_lora_rank`
    pub decay: usize,
    /// `attention.iclr_lora_rank`: rates of what is taken away.
    pub rate: usize,
    /// `attention.value_residual_mix_lora_rank`
    pub mix: usize,
    /// `attention.gate_lora_rank`
    pub gate: usize,
}

/// What a scan of columns projects again behind its convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSteps {
    /// `ssm.time_step_rank`: values that the time steps of all columns are made of.
    pub rank: usize,
    /// `ssm.dt_b_c_rms`: whether these, B and C are normalised, without weights.
    pub normed: bool,
}

impl TimeSteps {
    /// The same number of values in whole groups of columns of a matrix.
    pub fn padded(&self) -> usize {
        self.rank.next_multiple_of(4)
    }

    /// Which part of these they are.
    pub fn share(&self) -> f32 {
        self.rank as f32 / self.padded() as f32
    }
}

impl LayerKind {
    /// What a layer with a recurrent state convolves: positions and columns; `None` for others.
    pub fn convolved(&self) -> Option<[usize; 2]> {
        match self {
            Self::Attention | Self::Convolution { .. } => None,
            Self::Delta { width, heads } => Some([*width, heads.qkv()]),
            Self::Scan { width, heads, .. } => Some([*width, heads.xbc()]),
            // two token shifts keep the input of one position each
            Self::Wkv { heads, .. } => Some([3, heads.width()]),
        }
    }

    /// Values of such a state.
    pub fn state_len(&self) -> Option<usize> {
        let [width, cols] = self.convolved()?;
        let matrices = match self {
            Self::Attention | Self::Convolution { .. } => 0,
            Self::Delta { heads, .. } => heads.matrices(),
            Self::Scan { heads, .. } => heads.matrices(),
            Self::Wkv { heads, .. } => heads.matrices(),
        };
        Some((width - 1) * cols + matrices)
    }
}

impl Config {
    pub(super) fn check_delta(&self, width: usize, heads: &DeltaHeads) -> Result<()> {
        let DeltaHeads { key, value, key_dim, value_dim, .. } = *heads;
        self.require("ssm.conv_kernel", (2..=WIDEST).contains(&width), "2 to 4", width)?;
        self.require("ssm.group_count", (1..=1024).contains(&key), "1 to 1024", key)?;
        let divides = (1..=1024).contains(&value) && value.is_multiple_of(key);
        self.require("ssm.time_step_rank", divides, "a multiple of ssm.group_count up to 1024", value)?;
        let fits = |dim: usize| (4..=256).contains(&dim) && dim.is_multiple_of(4);
        self.require("ssm.state_size", fits(key_dim), "a multiple of 4 up to 256", key_dim)?;
        let expected = "ssm.time_step_rank times a multiple of 4 up to 256";
        self.require("ssm.inner_size", fits(value_dim), expected, value * value_dim)
    }

    pub(super) fn check_wkv(&self, heads: &WkvHeads, ranks: &Ranks) -> Result<()> {
        let fits = (4..=256).contains(&heads.dim) && heads.dim.is_multiple_of(4) && heads.width() == self.hidden;
        let expected = "a multiple of 4 up to 256 that divides embedding_length";
        self.require("wkv.head_size", fits, expected, heads.dim)?;
        let Ranks { decay, rate, mix, gate } = *ranks;
        let named = [("decay", decay), ("iclr", rate), ("value_residual_mix", mix), ("gate", gate)];
        named.into_iter().try_for_each(|(name, rank)| {
            let fits = (4..=self.hidden).contains(&rank) && rank.is_multiple_of(4);
            let key = format!("attention.{name}_lora_rank");
            self.require(&key, fits, "a multiple of 4 up to embedding_length", rank)
        })
    }

    pub(super) fn check_scan(&self, width: usize, heads: &ScanHeads, low_rank: Option<TimeSteps>) -> Result<()> {
        let ScanHeads { count, groups, head_dim, state_dim, .. } = *heads;
        if let Some(TimeSteps { rank, .. }) = low_rank {
            let inner = heads.inner();
            self.require("ssm.conv_kernel", (2..=WIDEST).contains(&width), "2 to 4", width)?;
            self.require("ssm.state_size", (1..=256).contains(&state_dim), "1 to 256", state_dim)?;
            let fits = (4..=1 << 18).contains(&inner) && inner.is_multiple_of(4);
            self.require("ssm.inner_size", fits, "a multiple of 4 up to 262144", inner)?;
            return self.require("ssm.time_step_rank", (1..=inner).contains(&rank), "1 to ssm.inner_size", rank);
        }
        let as_delta = DeltaHeads { key: groups, value: count, key_dim: state_dim, value_dim: head_dim, tiled: false };
        self.check_delta(width, &as_delta)
    }
}

/// Columns of what a layer with time mixing projects, and of what it gives.
pub fn wkv_widths(heads: &WkvHeads) -> [usize; 2] {
    [wkv::PROJECTED * heads.width(), heads.width()]
}

/// Columns of what a layer with linear attention projects: q, k, v, z, b and a.
pub fn delta_width(heads: &DeltaHeads) -> usize {
    heads.qkv() + heads.values() + 2 * heads.value
}

/// The kind of each layer, and the key and value heads of those with attention. Where there are
/// convolutions or scans, the file has these heads for each layer.
pub(super) fn kinds(keys: &Keys, layers: usize, heads: usize) -> Result<(Vec<LayerKind>, usize)> {
    if let Some(order) = keys.architecture.delta {
        return Ok((delta_kinds(keys, layers, order)?, keys.opt_count(KV_HEADS)?.unwrap_or(heads)));
    }
    if keys.architecture.wkv {
        let (hidden, dim) = (keys.count("embedding_length")?, keys.count("wkv.head_size")?);
        let heads = WkvHeads { count: hidden.checked_div(dim).unwrap_or(0), dim };
        let rank = |name: &str| keys.count(&format!("attention.{name}_lora_rank"));
        let (decay, rate, mix, gate) = (rank("decay")?, rank("iclr")?, rank("value_residual_mix")?, rank("gate")?);
        let kind = LayerKind::Wkv { heads, ranks: Ranks { decay, rate, mix, gate } };
        return Ok((vec![kind; layers.min(1 << 16)], 1));
    }
    if keys.architecture.bare_mixers {
        // whatever number of heads the file has
        return Ok((vec![headless(keys)?; layers.min(1 << 16)], 1));
    }
    let (array, all) = (keys.value(KV_HEADS), || vec![LayerKind::Attention; layers.min(1 << 16)]);
    let of_layers = match array {
        // no layer has any
        None if keys.architecture.scans => return Ok((vec![headless(keys)?; layers.min(1 << 16)], 1)),
        Some(Value::Array(array)) if keys.architecture.convolutions || keys.architecture.scans => array,
        Some(Value::Array(_)) if keys.architecture.varied_widths => {
            return Ok((all(), of_layers(keys, KV_HEADS, layers)?.into_iter().max().unwrap_or(0)));
        }
        _ => return Ok((all(), keys.opt_count(KV_HEADS)?.unwrap_or(heads))),
    };
    let mut numbers = of_layers.numbers().filter(|numbers| numbers.len() >= layers).unwrap_or_default();
    numbers.truncate(layers);
    let most = numbers.iter().copied().fold(0.0, f64::max);
    if numbers.is_empty() || numbers.iter().any(|&heads| heads != 0.0 && heads != most) {
        return Err(Error::InvalidModel {
            what: keys.key(KV_HEADS),
            expected: format!("for each of {layers} layers 0 or the same number"),
            got: Value::Array(of_layers.clone()).to_string(),
        });
    }
    let other = if numbers.contains(&0.0) { headless(keys)? } else { LayerKind::Attention };
    let kind = |&heads: &f64| if heads == 0.0 { other } else { LayerKind::Attention };
    Ok((numbers.iter().map(kind).collect(), most as usize))
}

/// The kinds of layers where all but every n-th one is linear attention.
fn delta_kinds(keys: &Keys, layers: usize, order: DeltaOrder) -> Result<Vec<LayerKind>> {
    let interval = keys.opt_count("full_attention_interval")?.unwrap_or(4);
    let [key, value, key_dim, value_dim] = recurrent_sizes(keys)?;
    let heads = DeltaHeads { key, value, key_dim, value_dim, tiled: order == DeltaOrder::Tiled };
    let delta = LayerKind::Delta { width: keys.count("ssm.conv_kernel")?, heads };
    let kind = |layer: usize| if (layer + 1).is_multiple_of(interval) { LayerKind::Attention } else { delta };
    Ok((0..layers.min(1 << 16)).map(kind).collect())
}

/// The kind of a layer without key and value heads.
fn headless(keys: &Keys) -> Result<LayerKind> {
    if !keys.architecture.scans {
        return Ok(LayerKind::Convolution { width: keys.count("shortconv.l_cache")? });
    }
    let width = keys.count("ssm.conv_kernel")?;
    if keys.architecture.columns {
        let (inner, state_dim) = (keys.count("ssm.inner_size")?, keys.count("ssm.state_size")?);
        let head_dim = 1 << inner.trailing_zeros().min(5);
        let heads = ScanHeads { count: inner / head_dim, groups: 1, head_dim, state_dim, columns: true };
        let normed = keys.opt_bool("ssm.dt_b_c_rms")?.unwrap_or(false);
        let low_rank = Some(TimeSteps { rank: keys.count("ssm.time_step_rank")?, normed });
        return Ok(LayerKind::Scan { width, heads, low_rank });
    }
    let [groups, count, state_dim, head_dim] = recurrent_sizes(keys)?;
    let heads = ScanHeads { count, groups, head_dim, state_dim, columns: false };
    Ok(LayerKind::Scan { width, heads, low_rank: None })
}

/// Of layers with a recurrent state: groups, heads, `ssm.state_size`, width of a head.
fn recurrent_sizes(keys: &Keys) -> Result<[usize; 4]> {
    let (groups, heads, state) =
        (keys.count("ssm.group_count")?, keys.count("ssm.time_step_rank")?, keys.count("ssm.state_size")?);
    let inner = keys.count("ssm.inner_size")?;
    // what does not divide is no width
    let head_dim = if heads > 0 && inner.is_multiple_of(heads) { inner / heads } else { 0 };
    Ok([groups, heads, state, head_dim])
}

/// For each layer, the one whose keys and values it reads. The last `attention.shared_kv_layers`
/// read those of the last layer before them that has a window, or has none, as they do.
pub(super) fn kv_layers(keys: &Keys, layers: usize, has_window: impl Fn(usize) -> bool) -> Result<Vec<usize>> {
    const KEY: &str = "attention.shared_kv_layers";
    let (shared, layers) = (keys.opt_count(KEY)?.unwrap_or(0), layers.min(1 << 16));
    let (mut sources, mut last) = (Vec::with_capacity(layers), [None; 2]);
    for layer in 0..layers {
        let source = &mut last[usize::from(has_window(layer))];
        if layer.saturating_add(shared) < layers {
            *source = Some(layer);
        }
        let Some(source) = *source else {
            let expected = "layers before them, with a window and without".into();
            return Err(Error::InvalidModel { what: keys.key(KEY), expected, got: shared.to_string() });
        };
        sources.push(source);
    }
    Ok(sources)
}

/// The numbers of all layers, where the architecture may have a list of them and the file has one.
pub(super) fn of_layers(keys: &Keys, key: &str, layers: usize) -> Result<Vec<usize>> {
    let Some(Value::Array(array)) = keys.value(key).filter(|_| keys.architecture.varied_widths) else {
        return Ok(Vec::new());
    };
    Ok(numbers_of_layers(keys, key, array, layers)?.into_iter().map(|number| number as usize).collect())
}

/// The first items of a list, one for each layer.
pub(super) fn numbers_of_layers(keys: &Keys, key: &str, array: &Array, layers: usize) -> Result<Vec<f64>> {
    let mut numbers = array.numbers().filter(|numbers| numbers.len() >= layers).ok_or_else(|| Error::InvalidModel {
        what: keys.key(key),
        expected: format!("a number for each of {layers} layers"),
        got: Value::Array(array.clone()).to_string(),
    })?;
    numbers.truncate(layers);
    Ok(numbers)
}
