//! Names of the operations that a decoder records, for people who look at their times.

use super::{Decoder, FeedForward, Mlp, PerLayerEmbedding, PerLayerWeights, StepWeights, StreamsWeights};
use crate::model::weights::Weight;
use crate::ops::Command;
use crate::record::BufferId;

fn of_mlp(mlp: &Mlp) -> [(&Weight, &'static str); 2] {
    [(&mlp.gate_up_proj, "gate_up_proj"), (&mlp.down_proj, "down_proj")]
}

impl Decoder {
    /// The name of a command of a layer, or of the embedding or the output head (`None`): of the
    /// weight that it multiplies with, else of what it does.
    pub fn operation(&self, layer: Option<usize>, command: &Command) -> &'static str {
        match command {
            Command::Embed(op) if self.is_per_layer(op.table.buffer) => "embed_tokens_per_layer",
            Command::Embed(_) => "embed_tokens",
            Command::Linear(op) => self.projection(layer, op.weight.buffer),
            Command::NormLinear(op) => self.projection(layer, op.linear.weight.buffer),
            Command::LinearPair(op) => self.projection(layer, op.head.weight.buffer),
            Command::ExpertLinear(op) => self.projection(layer, op.weight.buffer),
            Command::Norm(_) => "norm",
            Command::Activate(_) => "activation",
            Command::RopeAppend(_) => "rope",
            Command::Convolve(_) | Command::CausalConvolve(_) => "convolution",
            Command::DeltaRule(_) => "delta_rule",
            Command::SelectiveScan(_) => "selective_scan",
            Command::Wkv(_) => "wkv",
            Command::AltUp(_) => "altup",
            Command::Rescale(_) => "rescale",
            Command::Sparsify(_) => "sparsify",
            Command::Attention(_) | Command::RopeAttention(_) => "attention",
            Command::Route(_) => "route",
            Command::Gather(_) => "gather",
            Command::Combine(_) => "combine",
            Command::PickColumns(_) => "pick_columns",
            Command::PickRows(_) => "pick_rows",
            Command::Adjust(_) => "adjust",
            Command::Sample(_) => "sample",
            Command::Likely(_) => "logprobs",
        }
    }

    /// The same of a command that reads a source text.
    pub fn source_operation(&self, command: &Command) -> &'static str {
        let layers = self.source.iter().flat_map(|encoder| (0..encoder.layers.len()).map(move |i| (encoder, i)));
        let mut names = layers.map(|(encoder, layer)| encoder.operation(Some(layer), command));
        names.find(|name| *name != "adapter").unwrap_or("cross_kv_proj")
    }

    fn is_per_layer(&self, matrix: BufferId) -> bool {
        let Some(PerLayerEmbedding { table, projection, .. }) = &self.per_layer else { return false };
        holds(table, matrix) || holds(projection, matrix)
    }

    fn projection(&self, layer: Option<usize>, matrix: BufferId) -> &'static str {
        let Some(layer) = layer.map(|layer| &self.layers[layer]) else {
            return match &self.streams {
                _ if self.is_per_layer(matrix) => "per_layer_proj",
                Some(streams) if holds(&streams.projection, matrix) => "altup_proj",
                Some(_) | None => "lm_head",
            };
        };
        let names = if layer.convolution.is_some() { ["in_proj", "out_proj"] } else { ["qkv_proj", "o_proj"] };
        let mut weights = vec![(&layer.qkv_proj, names[0]), (&layer.o_proj, names[1])];
        if let Some(latent) = &layer.latent {
            weights.extend(latent.queries.iter().map(|(_, weight)| (weight, "q_b_proj")));
            weights.extend([(&latent.latent_proj, "kv_a_proj"), (&latent.keys.weight, "k_b_proj")]);
            weights.push((&latent.values.weight, "v_b_proj"));
        }
        if let Some(wkv) = &layer.wkv {
            weights.extend([(&wkv.key, "k_proj"), (&wkv.value, "v_proj")]);
            let low_ranks = [(&wkv.decay, "w_proj"), (&wkv.rate, "a_proj"), (&wkv.mix, "v_mix"), (&wkv.gate, "g_proj")];
            weights
                .extend(low_ranks.iter().flat_map(|(mlp, name)| [(&mlp.gate_up_proj, *name), (&mlp.down_proj, *name)]));
        }
        if let Some(cross) = &layer.cross {
            weights.extend([(&cross.q_proj, "cross_q_proj"), (&cross.o_proj, "cross_o_proj")]);
        }
        weights.extend(layer.gate_proj.iter().map(|weight| (weight, "attn_gate")));
        if let Some(StepWeights { low, dt, bc, .. }) = layer.scan.as_ref().and_then(|scan| scan.steps.as_ref()) {
            weights.extend([(low, "x_proj"), (bc, "x_proj"), (dt, "dt_proj")]);
        }
        if let Some(PerLayerWeights { mlp, .. }) = &layer.per_layer {
            weights.extend([(&mlp.gate_up_proj, "per_layer_gate"), (&mlp.down_proj, "per_layer_proj")]);
        }
        if let Some(StreamsWeights { router, laurel: (laurel, _), .. }) = &layer.streams {
            weights.extend([(router, "altup_router"), (&laurel.gate_up_proj, "laurel"), (&laurel.down_proj, "laurel")]);
        }
        match &layer.feed_forward {
            FeedForward::Absent => {}
            FeedForward::Dense(mlp) => weights.extend(of_mlp(mlp)),
            FeedForward::Experts(mixture) => {
                weights.push((&mixture.router, "router"));
                weights.extend(mixture.deep_router.iter().map(|weight| (weight, "router")));
                weights.extend(mixture.gate_proj.iter().map(|gate| (&gate.weight, "gate_proj")));
                weights.push((&mixture.up_proj.weight, "up_proj"));
                weights.push((&mixture.down_proj.weight, "down_proj"));
                let others = mixture.beside.iter().map(|beside| &beside.mlp).chain(&mixture.shared);
                weights.extend(others.flat_map(of_mlp));
            }
        }
        weights.extend(self.streams.iter().flat_map(|s| &s.unembeddings).map(|weight| (weight, "altup_unembd_proj")));
        weights.iter().find(|(weight, _)| holds(weight, matrix)).map_or("adapter", |&(_, name)| name)
    }
}

fn holds(weight: &Weight, matrix: BufferId) -> bool {
    weight.parts.iter().any(|part| part.matrix.buffer == matrix)
}
