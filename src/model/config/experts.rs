//! The mixture of experts that a model has.

use crate::Result;
use crate::model::keys::{Keys, unsupported};
use crate::ops::{ExpertGroups, Weighting};

/// A mixture of experts.
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// Number of experts.
    pub count: usize,
    /// Number of first layers that have none.
    pub dense_layers: usize,
    /// Of this many layers, one has experts; 1: all behind the first ones.
    pub every: usize,
    /// Which of them, counted from 0.
    pub place: usize,
    /// Experts per token (top-k).
    pub chosen: usize,
    /// How the router weighs the chosen experts.
    pub weighting: Weighting,
    /// The groups that they are in; `None`: one.
    pub groups: Option<ExpertGroups>,
    /// Factor of these weights (`expert_weights_scale`). Where the router weighs a shared expert
    /// too, it is 1.
    pub scale: f32,
    /// Inner width of the shared expert, which every token goes to; `None` without one.
    pub shared_ffn: Option<usize>,
}

impl Experts {
    /// Whether a layer has them.
    pub(super) fn has(&self, layer: usize) -> bool {
        layer >= self.dense_layers && layer % self.every == self.place
    }

    /// Whether some layers have none.
    pub fn has_dense(&self) -> bool {
        self.dense_layers > 0 || self.every > 1
    }

    /// `None` for a dense model.
    pub(super) fn read(keys: &Keys) -> Result<Option<Self>> {
        let Some(count) = keys.opt_count("expert_count")? else { return Ok(None) };
        let Some(weighting) = keys.architecture.experts else {
            return Err(unsupported(&keys.key("expert_count"), &count.to_string(), "dense models (0 experts)"));
        };
        // the numbers of softmax and of sigmoid
        let weighting = match (keys.opt_count("expert_gating_func")?, weighting) {
            (Some(2), _) if keys.architecture.latent || keys.architecture.routes_input => Weighting::Sigmoid,
            (gating, weighting) => {
                let known = if weighting == Weighting::Sigmoid { 2 } else { 1 };
                if let Some(found) = gating.filter(|&found| found != known) {
                    return Err(unsupported(&keys.key("expert_gating_func"), &found.to_string(), &known.to_string()));
                }
                weighting
            }
        };
        // the second of each n, or the last
        let second = keys.opt_count("moe_every_n_layers")?;
        let last = keys.opt_count("interleave_moe_layer_step")?;
        let every = second.or(last).unwrap_or(1);
        let shared_ffn = match keys.opt_count("expert_shared_feed_forward_length")? {
            None if keys.architecture.shared_expert => Some(keys.count("feed_forward_length")?),
            None => match keys.opt_count("expert_shared_count")? {
                Some(shared) => Some(shared.saturating_mul(keys.count("expert_feed_forward_length")?)),
                None => None,
            },
            ffn => ffn,
        };
        Ok(Some(Self {
            count,
            scale: keys.f32_or("expert_weights_scale", 1.0)?,
            dense_layers: keys.opt_count("leading_dense_block_count")?.unwrap_or(0),
            every,
            place: if second.is_some() { 1 % every } else { every - 1 },
            chosen: keys.count("expert_used_count")?,
            weighting: match keys.opt_bool("expert_weights_norm")? {
                Some(false) if weighting == Weighting::Sigmoid => Weighting::PlainSigmoid,
                None if weighting == Weighting::Sigmoid && keys.architecture.latent => Weighting::PlainSigmoid,
                _ if weighting == Weighting::Sigmoid => weighting,
                Some(true) => Weighting::Renormalised,
                Some(false) => Weighting::Softmax,
                None => weighting,
            },
            groups: groups(keys, count)?,
            shared_ffn,
        }))
    }
}

/// The groups of experts.
fn groups(keys: &Keys, experts: usize) -> Result<Option<ExpertGroups>> {
    let key = "expert_group_count";
    let Some(count) = keys.opt_count(key)?.filter(|&count| count != 1) else { return Ok(None) };
    let known = if keys.architecture.latent { "a divisor of expert_count" } else { "1" };
    if !keys.architecture.latent || !experts.is_multiple_of(count) {
        return Err(unsupported(&keys.key(key), &count.to_string(), known));
    }
    let chosen = keys.opt_count("expert_group_used_count")?.unwrap_or(count);
    Ok((chosen != count).then_some(ExpertGroups { count, chosen }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Metadata;
    use crate::model::architecture::Architecture;

    /// The layers with experts among the first twelve.
    fn layers(name: &str, keys: &[(&str, u32)]) -> Vec<usize> {
        let mut metadata = Metadata::default();
        for (key, value) in [("expert_count", 4), ("expert_used_count", 2)].iter().chain(keys) {
            metadata.insert(format!("{name}.{key}"), *value);
        }
        let architecture = Architecture::named(name).unwrap();
        let experts = Experts::read(&Keys { metadata: &metadata, architecture }).unwrap().unwrap();
        (0..12).filter(|&layer| experts.has(layer)).collect()
    }

    #[test]
    fn the_layers_with_experts_are_those_of_llama_cpp() {
        assert_eq!(layers("nomic-bert-moe", &[("moe_every_n_layers", 3)]), [1, 4, 7, 10]);
        assert_eq!(layers("nomic-bert-moe", &[("moe_every_n_layers", 1)]).len(), 12);
        let ernie = [("interleave_moe_layer_step", 3), ("leading_dense_block_count", 4)];
        assert_eq!(layers("ernie4_5-moe", &ernie), [5, 8, 11]);
        assert_eq!(layers("ernie4_5-moe", &ernie[1..]), [4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(layers("lfm2moe", &ernie), [4, 5, 6, 7, 8, 9, 10, 11], "a key that it does not read");
    }
}
