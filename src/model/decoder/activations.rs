//! Buffers for the intermediate results of a step.

use super::latent::LatentActivations;
use super::per_layer::PerLayerActivations;
use super::streams::StreamsActivations;
use super::{Decoder, FeedForward};
use crate::Result;
use crate::model::config::LayerKind;
use crate::ops::Gather;
use crate::record::{Memory, Row, Tensor};

/// Buffers for up to `tokens` tokens, which all layers reuse.
#[derive(Clone, Debug)]
pub struct Activations {
    /// (tokens, hidden): the residual stream.
    pub x: Tensor,
    /// (tokens, hidden): where it goes when a block's normalised output is added, see
    /// [`Stream`](super::Stream).
    pub(super) spare: Tensor,
    /// (tokens, hidden): the output of a norm, or of a block before it is added to `x`.
    pub(super) branch: Tensor,
    /// (tokens, rotated values of a head) for each of [`Decoder::ropes`]: cos and sin.
    pub(super) angles: Vec<Tensor>,
    /// (tokens, qkv_width), with room for what a convolution projects
    pub(super) qkv: Tensor,
    /// (tokens, heads · head_dim), with room for what it gives
    pub(super) attn: Tensor,
    /// (tokens, columns) of what linear attention and scans convolve, or of the gates of attention.
    pub(super) convolved: Option<Tensor>,
    /// (tokens, hidden): values of the first layer, which later ones with time mixing read.
    pub(super) first_values: Option<Tensor>,
    /// (tokens, 2 ffn), for each expert of a token; only used if gate and up projection are
    /// separate matrices.
    pub(super) gate_up: Tensor,
    /// (tokens, ffn), for each expert of a token.
    pub(super) ffn: Tensor,
    pub(super) mixture: Option<MixtureActivations>,
    pub(super) latent: Option<LatentActivations>,
    pub(super) per_layer: Option<PerLayerActivations>,
    pub(super) streams: Option<StreamsActivations>,
}

/// Buffers for a mixture of experts.
#[derive(Clone, Copy, Debug)]
pub(super) struct MixtureActivations {
    /// (tokens, experts), with one more column for a shared expert.
    pub logits: Tensor,
    /// Same shape: the result between the two matrices of a deep router. Or (tokens, hidden): the
    /// outputs of experts and of what is beside them.
    pub deep: Tensor,
    /// (tokens, …): see [`Route`](crate::ops::Route)
    pub route: Tensor,
    /// (1, …): see [`Gather`]
    pub gathered: Tensor,
    /// (tokens, 2 shared ffn), (tokens, shared ffn): results of the shared expert.
    pub shared: Option<(Tensor, Tensor)>,
    /// (tokens, slots · hidden): outputs of the experts.
    pub outputs: Tensor,
}

impl Activations {
    /// Buffers for `tokens` tokens.
    pub fn new(memory: &mut dyn Memory, model: &Decoder, tokens: usize) -> Result<Self> {
        let config = &model.config;
        let gathered = match &config.experts {
            Some(experts) => Some(activations(memory, 1, Gather::len(tokens, experts.chosen, experts.count))?),
            None => None,
        };
        let per_layer = PerLayerActivations::new(memory, model, tokens)?;
        let streams = StreamsActivations::new(memory, model, tokens)?;
        let latent = LatentActivations::new(memory, config, tokens)?;
        let mut tensor = |cols| activations(memory, tokens, cols);
        let inputs = config.activation().inputs();
        let ffn = config.experts.as_ref().map_or(1, |experts| experts.chosen) * config.ffn;
        // of layers without experts, where others have some
        let dense_ffn = config.experts.as_ref().filter(|experts| experts.has_dense()).map(|_| config.dense_ffn);
        let dense_ffn = dense_ffn.unwrap_or(0);
        let mixture = match config.experts.as_ref().zip(gathered) {
            None => None,
            Some((experts, gathered)) => {
                let shared = usize::from(experts.shared_ffn.is_some() && config.architecture.weighs_shared);
                Some(MixtureActivations {
                    logits: tensor(experts.count + shared)?,
                    deep: tensor(match (config.architecture.deep_router, config.architecture.varied_widths) {
                        (true, _) => experts.count,
                        (false, true) => config.hidden,
                        (false, false) => 4,
                    })?,
                    route: tensor(2 * experts.chosen + shared)?,
                    gathered,
                    shared: match experts.shared_ffn {
                        Some(ffn) => Some((tensor(inputs * ffn)?, tensor(ffn)?)),
                        None => None,
                    },
                    outputs: tensor((experts.chosen + shared) * config.hidden)?,
                })
            }
        };
        let [projected, mixed] = config.mixed_widths();
        let attended = config.heads * config.head_dim;
        let cols = config.kinds.iter().filter_map(LayerKind::convolved).map(|[_, cols]| cols).max();
        let gated = config.architecture.delta.map(|_| attended);
        let convolved = cols.max(gated).map(&mut tensor).transpose()?;
        Ok(Self {
            x: tensor(config.hidden)?,
            spare: tensor(if model.norms_outputs() { config.hidden } else { 4 })?,
            branch: tensor(if model.needs_branch() { config.hidden } else { 4 })?,
            angles: model.ropes.iter().map(|(rope, _)| tensor(rope.dim)).collect::<Result<_>>()?,
            qkv: with_room(&mut tensor, config.qkv_width(), projected)?,
            attn: with_room(&mut tensor, attended, mixed)?,
            convolved,
            first_values: config.architecture.wkv.then(|| tensor(config.hidden)).transpose()?,
            gate_up: match is_fused(model) {
                true => tensor(inputs)?,
                false => with_room(&mut tensor, inputs * ffn, inputs * dense_ffn)?,
            },
            ffn: with_room(&mut tensor, ffn, dense_ffn)?,
            mixture,
            latent,
            per_layer,
            streams,
        })
    }

    /// The same buffers, with room for gate and up projection apart if the model needs it.
    pub fn widened(&self, memory: &mut dyn Memory, model: &Decoder) -> Result<Self> {
        let cols = model.config.activation().inputs() * model.config.ffn;
        let is_wide = self.gate_up.cols >= cols || is_fused(model);
        Ok(Self {
            gate_up: if is_wide { self.gate_up } else { activations(memory, self.x.rows, cols)? },
            ..self.clone()
        })
    }

    /// Writes the angles of these rows. To be called before a step runs the layers over them.
    pub fn write_angles(&self, memory: &mut dyn Memory, model: &Decoder, rows: &[Row]) -> Result<()> {
        for (angles, (_, frequencies)) in self.angles.iter().zip(&model.ropes) {
            let positions = rows.iter().take(angles.rows).map(|row| row.position);
            memory.write_values(angles.buffer, 0, &frequencies.angles(positions))?;
        }
        Ok(())
    }

    /// (tokens, …): the experts of each token and their weights, see [`Route`](crate::ops::Route);
    /// `None` without experts.
    pub fn route(&self) -> Option<Tensor> {
        self.mixture.map(|mixture| mixture.route)
    }

    /// The same buffers, limited to fewer tokens.
    pub fn first(&self, tokens: usize) -> Self {
        let cut = |tensor: Tensor| Tensor { rows: tokens, ..tensor };
        Self {
            x: cut(self.x),
            spare: cut(self.spare),
            branch: cut(self.branch),
            angles: self.angles.iter().copied().map(cut).collect(),
            qkv: cut(self.qkv),
            attn: cut(self.attn),
            convolved: self.convolved.map(cut),
            first_values: self.first_values.map(cut),
            gate_up: cut(self.gate_up),
            ffn: cut(self.ffn),
            mixture: self.mixture.map(|mixture| MixtureActivations {
                logits: cut(mixture.logits),
                deep: cut(mixture.deep),
                route: cut(mixture.route),
                gathered: mixture.gathered,
                shared: mixture.shared.map(|(gate_up, ffn)| (cut(gate_up), cut(ffn))),
                outputs: cut(mixture.outputs),
            }),
            latent: self.latent.map(|latent| latent.map(cut)),
            per_layer: self.per_layer.map(|per_layer| per_layer.map(cut)),
            streams: self.streams.map(|streams| streams.map(cut)),
        }
    }
}

/// A tensor of so many columns whose buffer has room for `most` of them.
fn with_room(tensor: &mut dyn FnMut(usize) -> Result<Tensor>, cols: usize, most: usize) -> Result<Tensor> {
    Ok(Tensor { cols, ..tensor(cols.max(most))? })
}

/// Whether gate and up projection of all layers have the activation as their epilogue.
fn is_fused(model: &Decoder) -> bool {
    model.layers.iter().all(|layer| match &layer.feed_forward {
        FeedForward::Absent => true,
        FeedForward::Dense(mlp) => mlp.is_fused(),
        FeedForward::Experts(_) => false,
    })
}

/// A buffer for activations of `tokens` tokens.
pub fn activations(memory: &mut dyn Memory, tokens: usize, cols: usize) -> Result<Tensor> {
    let buffer = memory.create_values("activations", tokens * cols)?;
    Ok(Tensor { buffer, rows: tokens, cols })
}
