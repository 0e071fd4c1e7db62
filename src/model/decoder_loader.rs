//! Builds a decoder from tensors with GGUF names.

use super::architecture::{Norms, Positions};
use super::config::{Config, Experts, LayerKind, Widths};
use super::decoder::{
    BlockNorms, Decoder, FeedForward, Layer, MixtureWeights, Mlp, PerLayerEmbedding, PerLayerWeights,
};
use super::rope::{ALL_FACTORS, Frequencies, Rope};
use super::tensors::Tensors;
use super::weights::{ExpertWeight, Group, missing_tensor};
use crate::Result;

/// The matrices that a decoder with this configuration may have.
pub fn decoder_groups(config: &Config, vocab: usize) -> Vec<Group> {
    let Config { hidden, heads, per_layer_input, .. } = *config;
    let mut groups =
        vec![Group::new(&[("token_embd".into(), vocab)], hidden), Group::new(&[("output".into(), vocab)], hidden)];
    if config.architecture.positions == Positions::Learned {
        groups.push(Group::new(&[("position_embd".into(), config.trained_context)], hidden));
    }
    if let Some(labels) = &config.ranking {
        groups.push(Group::new(&[("cls.output".into(), labels.len())], hidden));
    }
    if per_layer_input > 0 {
        let all = config.layers * per_layer_input;
        groups.push(Group::new(&[("per_layer_token_embd".into(), vocab)], all));
        groups.push(Group::new(&[("per_layer_model_proj".into(), all)], hidden));
    }
    for layer in 0..config.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let Widths { kv_heads, head_dim, .. } = config.widths[layer];
        let kv = kv_heads * head_dim;
        let qkv = [(name("attn_q"), heads * head_dim), (name("attn_k"), kv), (name("attn_v"), kv)];
        if per_layer_input > 0 {
            groups.push(Group::new(&[(name("inp_gate"), per_layer_input)], hidden));
            groups.push(Group::new(&[(name("proj"), hidden)], per_layer_input));
        }
        groups.extend(match config.kinds[layer] {
            LayerKind::Attention if config.kv_layers[layer] < layer => [
                Group::new(&qkv[..1], hidden).or_ignored(&qkv[1..]),
                Group::new(&[(name("attn_output"), hidden)], heads * head_dim),
            ],
            LayerKind::Attention => {
                let qkv = Group::new(&qkv, hidden);
                let qkv = match config.architecture.delta {
                    Some(_) => qkv.with_gates(head_dim),
                    None => qkv.or_whole(name("attn_qkv")),
                };
                [qkv, Group::new(&[(name("attn_output"), hidden)], heads * head_dim)]
            }
            LayerKind::Delta { heads, .. } => {
                let gates = [("attn_qkv", heads.qkv()), ("attn_gate", heads.values())];
                let mut gates = gates.to_vec();
                match heads.tiled {
                    true => gates.extend([("ssm_beta", heads.value), ("ssm_alpha", heads.value)]),
                    false => gates.push(("ssm_ba", 2 * heads.value)),
                }
                let gates: Vec<_> = gates.into_iter().map(|(part, rows)| (name(part), rows)).collect();
                [Group::new(&gates, hidden), Group::new(&[(name("ssm_out"), hidden)], heads.values())]
            }
            LayerKind::Convolution { .. } => [
                Group::new(&[(name("shortconv.in_proj"), 3 * hidden)], hidden),
                Group::new(&[(name("shortconv.out_proj"), hidden)], hidden),
            ],
        });
        let ffn = config.ffn_of(layer);
        if let Some(Experts { count, shared_ffn, .. }) = config.experts.clone().filter(|_| config.has_experts(layer)) {
            let mut router = vec![(name("ffn_gate_inp"), count)];
            router.extend(shared_ffn.map(|_| (name("ffn_gate_inp_shexp"), 1)));
            groups.push(Group::new(&router, hidden));
            if config.architecture.deep_router {
                groups.push(Group::new(&[(name("ffn_gate_out"), count)], count));
            }
            if config.activation().gated {
                groups.push(Group::of_experts(name("ffn_gate_exps"), count, ffn, hidden));
            }
            groups.push(Group::of_experts(name("ffn_up_exps"), count, ffn, hidden));
            groups.push(Group::of_experts(name("ffn_down_exps"), count, hidden, ffn));
            if let Some(ffn) = shared_ffn {
                groups.push(Group::new(&[(name("ffn_gate_shexp"), ffn), (name("ffn_up_shexp"), ffn)], hidden));
                groups.push(Group::new(&[(name("ffn_down_shexp"), hidden)], ffn));
            }
            continue;
        }
        groups.push(if config.architecture.fused_gate_up {
            Group::new(&[(name("ffn_up"), 2 * ffn)], hidden)
        } else if config.activation().gated {
            let both = Group::new(&[(name("ffn_gate"), ffn), (name("ffn_up"), ffn)], hidden);
            // files of Jina's encoders have both as one
            if config.architecture.encoder { both.or_whole(name("ffn_up")) } else { both }
        } else {
            Group::new(&[(name("ffn_up"), ffn)], hidden)
        });
        groups.push(Group::new(&[(name("ffn_down"), hidden)], ffn));
    }
    groups
}

/// The decoder, over buffers that may still lack rows. Errors: `InvalidModel` naming a tensor that
/// is in no header.
pub fn decoder(tensors: &mut Tensors, config: &Config, (vocab, context): (usize, usize)) -> Result<Decoder> {
    let mut config = config.clone();
    if config.architecture.parallel_without_ffn_norm {
        config.parallel = !tensors.vectors.has("blk.0.ffn_norm.weight");
    }
    let mut ropes = Vec::new();
    let embed_tokens = tensors.weight("token_embd")?;
    // Many models have no output matrix and use the embedding table instead (tied embeddings).
    let lm_head = tensors.optional("output")?.unwrap_or_else(|| embed_tokens.clone());
    let embed_positions = match config.architecture.positions {
        Positions::Learned => Some(tensors.weight("position_embd")?),
        Positions::Rotary(_) | Positions::Linear(_) => None,
    };
    let embed_segments = tensors.optional("token_types")?;
    let embed_norm = match config.architecture.norms_embedding {
        true => Some(tensors.norm("token_embd_norm")?),
        false => None,
    };
    let per_layer = match config.per_layer_input {
        0 => None,
        _ => Some(PerLayerEmbedding {
            table: tensors.weight("per_layer_token_embd")?,
            projection: tensors.weight("per_layer_model_proj")?,
            norm: tensors.vectors.repeated(tensors.memory, "per_layer_proj_norm.weight", config.layers)?,
        }),
    };
    let mut layers = Vec::with_capacity(config.layers);
    for i in 0..config.layers {
        let (attn_norms, mut ffn_norms) = block_norms(tensors, &config, i)?;
        let name = |part: &str| format!("blk.{i}.{part}");
        let mut per_layer = match config.per_layer_input {
            0 => None,
            _ => Some(PerLayerWeights {
                gate: tensors.weight(&name("inp_gate"))?,
                projection: tensors.weight(&name("proj"))?,
                norm: tensors.norm(&name("post_norm"))?,
            }),
        };
        let scale = tensors.vectors.optional(tensors.memory, &name("layer_output_scale.weight"))?;
        // of the sum with the last block's output
        match (&mut per_layer, &mut ffn_norms.output) {
            (Some(PerLayerWeights { norm, .. }), _) | (None, Some(norm)) => norm.scale = scale,
            (None, None) => {}
        }
        let (mut qk_norms, mut gate_proj, mut convolution, mut delta) = (Vec::new(), None, None, None);
        let (qkv_proj, o_proj) = match config.kinds[i] {
            LayerKind::Attention => {
                qk_norms = tensors.vectors.qk_norms(tensors.memory, &config, i)?;
                let mut qkv_proj = tensors.weight(&name("attn_q"))?;
                if config.architecture.delta.is_some() {
                    gate_proj = Some(qkv_proj.split_off(config.qkv_width()));
                }
                (qkv_proj, tensors.weight(&name("attn_output"))?)
            }
            LayerKind::Delta { .. } => {
                let weight = name("ssm_conv1d.weight");
                convolution = Some(tensors.vectors.required(tensors.memory, &weight)?);
                let weights = ["ssm_a", "ssm_dt.bias", "ssm_norm.weight"].map(name);
                delta = Some(tensors.vectors.joined(tensors.memory, "a delta rule", &weights)?);
                (tensors.weight(&name("attn_qkv"))?, tensors.weight(&name("ssm_out"))?)
            }
            LayerKind::Convolution { .. } => {
                let weight = name("shortconv.conv.weight");
                convolution = Some(tensors.vectors.required(tensors.memory, &weight)?);
                let [inputs, outputs] = ["shortconv.in_proj", "shortconv.out_proj"].map(name);
                (tensors.weight(&inputs)?, tensors.weight(&outputs)?)
            }
        };
        let sinks = match config.architecture.sinks {
            true => Some(tensors.vectors.required(tensors.memory, &name("attn_sinks.weight"))?),
            false => None,
        };
        layers.push(Layer {
            attn_norms,
            qkv_proj,
            qk_norms,
            sinks,
            gate_proj,
            convolution,
            delta,
            o_proj,
            ffn_norms,
            feed_forward: feed_forward(tensors, &config, i)?,
            per_layer,
            rope: index_of(config.rope_of(i), &mut ropes),
        });
    }
    let norm = match config.architecture.norms {
        Norms::After => None,
        Norms::Before | Norms::Around(_) | Norms::Outputs(_) => Some(tensors.norm(config.architecture.final_norm)?),
    };
    let ranking = match config.ranking {
        Some(_) => Some(tensors.weight("cls.output")?),
        None => None,
    };
    for (rope, _) in ropes.iter().filter(|(rope, _)| rope.has_factors) {
        let factors = rope.factors_name(context);
        if !tensors.vectors.has(factors) && ALL_FACTORS.into_iter().any(|other| tensors.vectors.has(other)) {
            return Err(missing_tensor(factors));
        }
    }
    Ok(Decoder {
        config,
        vocab,
        context,
        embed_tokens,
        embed_positions,
        embed_segments,
        embed_norm,
        per_layer,
        layers,
        ropes,
        norm,
        lm_head,
        ranking,
    })
}

/// The norms of a layer's attention and feed-forward blocks. Parallel blocks share one norm, or
/// attention has a second one, as in Falcon.
fn block_norms(tensors: &mut Tensors, config: &Config, layer: usize) -> Result<(BlockNorms, BlockNorms)> {
    let has = |name: &str| tensors.vectors.has(&format!("blk.{layer}.{name}.weight"));
    let (attn, ffn) = match config.parallel {
        true if has("attn_norm_2") => ("attn_norm_2", "attn_norm"),
        true if !has("ffn_norm") => ("attn_norm", "attn_norm"),
        _ => (config.architecture.attn_norm, config.architecture.ffn_norm),
    };
    let is_bare = config.architecture.bare_first && layer == 0;
    let mut norm = |name: &str| tensors.norm(&format!("blk.{layer}.{name}"));
    if let Norms::Outputs([attn, ffn]) = config.architecture.norms {
        let [attn, ffn] =
            [norm(attn)?, norm(ffn)?].map(|output| BlockNorms { output: Some(output), ..BlockNorms::default() });
        return Ok((attn, ffn));
    }
    let attn_norm = if is_bare { None } else { Some(norm(attn)?) };
    let ffn_norm = if ffn == attn { attn_norm } else { Some(norm(ffn)?) };
    let none = BlockNorms::default();
    Ok(match config.architecture.norms {
        Norms::Before | Norms::Outputs(_) => {
            (BlockNorms { input: attn_norm, ..none }, BlockNorms { input: ffn_norm, ..none })
        }
        Norms::After => (BlockNorms { sum: attn_norm, ..none }, BlockNorms { sum: ffn_norm, ..none }),
        Norms::Around([attn, ffn]) => (
            BlockNorms { input: attn_norm, output: Some(norm(attn)?), ..none },
            BlockNorms { input: ffn_norm, output: Some(norm(ffn)?), ..none },
        ),
    })
}

/// The feed-forward block of a layer.
fn feed_forward(tensors: &mut Tensors, config: &Config, layer: usize) -> Result<FeedForward> {
    let name = |part: &str| format!("blk.{layer}.{part}");
    let Some(Experts { chosen, shared_ffn, .. }) = config.experts.clone().filter(|_| config.has_experts(layer)) else {
        // the group of `ffn_up` also contains the gate projection, if there is one
        let (gate_up_proj, down_proj) = (tensors.weight(&name("ffn_up"))?, tensors.weight(&name("ffn_down"))?);
        return Ok(FeedForward::Dense(Mlp { gate_up_proj, down_proj }));
    };
    let mut stacked = |part: &str, rows| Ok(ExpertWeight { weight: tensors.weight(&name(part))?, rows, chosen });
    let gate_proj = match config.activation().gated {
        true => Some(stacked("ffn_gate_exps", config.ffn)?),
        false => None,
    };
    let up_proj = stacked("ffn_up_exps", config.ffn)?;
    let down_proj = stacked("ffn_down_exps", config.hidden)?;
    let shared = match shared_ffn {
        Some(_) => Some(Mlp {
            gate_up_proj: tensors.weight(&name("ffn_up_shexp"))?,
            down_proj: tensors.weight(&name("ffn_down_shexp"))?,
        }),
        None => None,
    };
    let deep_router = match config.architecture.deep_router {
        true => Some(tensors.weight(&name("ffn_gate_out"))?),
        false => None,
    };
    let router = tensors.weight(&name("ffn_gate_inp"))?;
    let bias = name("exp_probs_b.bias");
    let bias = match tensors.vectors.has(&bias) {
        true => Some(tensors.vectors.required(tensors.memory, &bias)?),
        false => None,
    };
    let mixture = MixtureWeights { router, deep_router, bias, gate_proj, up_proj, down_proj, shared };
    Ok(FeedForward::Experts(Box::new(mixture)))
}

/// Index of a layer's RoPE in `ropes`, where it is added if it is new.
fn index_of(rope: Option<&Rope>, ropes: &mut Vec<(Rope, Frequencies)>) -> usize {
    let rope = rope.unwrap_or(&Rope::NOTHING);
    ropes.iter().position(|(known, _)| known == rope).unwrap_or_else(|| {
        ropes.push((rope.clone(), rope.frequencies(None)));
        ropes.len() - 1
    })
}
