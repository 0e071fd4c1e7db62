//! The tensors of a layer of RWKV-7.

use super::config::{Config, Ranks};
use super::decoder::{Mlp, WkvWeights};
use super::tensors::Tensors;
use super::weights::Group;
use crate::Result;

/// Vectors of [`Wkv::weights`](crate::ops::Wkv::weights) in their order.
const WEIGHTS: [&str; 8] = [
    "time_mix_w0.weight",
    "time_mix_a0.weight",
    "time_mix_v0.weight",
    "time_mix_k_k.weight",
    "time_mix_k_a.weight",
    "time_mix_r_k.weight",
    "time_mix_ln.weight",
    "time_mix_ln.bias",
];
const SHIFTS: &str = "time_mix_lerp_fused.weight";
const CHANNEL_SHIFT: &str = "channel_mix_lerp_k.weight";

/// The matrices of low rank, by the letter of their names.
fn low_ranks(ranks: Ranks) -> [(char, usize); 4] {
    [('w', ranks.decay), ('a', ranks.rate), ('v', ranks.mix), ('g', ranks.gate)]
}

/// The matrices of a layer.
pub fn wkv_groups(config: &Config, ranks: Ranks, layer: usize) -> Vec<Group> {
    let (hidden, ffn) = (config.hidden, config.ffn_of(layer));
    let one = |part: &str, rows, cols| Group::of_one(config.of_layer(layer, part), rows, cols);
    let square = ["receptance", "key", "value", "output"].map(|name| one(&format!("time_mix_{name}"), hidden, hidden));
    let low = low_ranks(ranks).into_iter().flat_map(|(letter, rank)| {
        [one(&format!("time_mix_{letter}1"), rank, hidden), one(&format!("time_mix_{letter}2"), hidden, rank)]
    });
    let channel = [one("channel_mix_key", ffn, hidden), one("channel_mix_value", hidden, ffn)];
    square.into_iter().chain(low).chain(channel).collect()
}

/// The vectors of a layer, and their shapes.
pub fn wkv_vectors(hidden: usize) -> Vec<(&'static str, [usize; 2])> {
    let shifts = [(SHIFTS, [hidden, 6]), (CHANNEL_SHIFT, [hidden, 1])];
    WEIGHTS.into_iter().map(|name| (name, [hidden, 1])).chain(shifts).collect()
}

/// What a layer has beside its first and last projection.
pub fn wkv_weights(tensors: &mut Tensors, layer: usize) -> Result<WkvWeights> {
    let names = WEIGHTS.map(|part| format!("blk.{layer}.{part}"));
    let mut low = |letter: char| -> Result<Mlp> {
        let [gate_up_proj, down_proj] =
            [1, 2].map(|number| tensors.weight_of(layer, &format!("time_mix_{letter}{number}")));
        Ok(Mlp { gate_up_proj: gate_up_proj?, down_proj: down_proj?, deviations: None })
    };
    Ok(WkvWeights {
        decay: low('w')?,
        rate: low('a')?,
        mix: low('v')?,
        gate: low('g')?,
        key: tensors.weight_of(layer, "time_mix_key")?,
        value: tensors.weight_of(layer, "time_mix_value")?,
        shifts: tensors.vector_of(layer, SHIFTS)?,
        channel_shift: tensors.vector_of(layer, CHANNEL_SHIFT)?,
        weights: tensors.vectors.joined(tensors.memory, "time mixing", &names)?,
    })
}
