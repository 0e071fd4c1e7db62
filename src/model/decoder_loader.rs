//! Builds a decoder from tensors with GGUF names.

use super::architecture::{Norms, Positions};
use super::config::{Config, Experts, LayerKind, TimeSteps, Widths};
use super::decoder::{
    Beside, BlockNorms, CrossWeights, Decoder, FeedForward, Layer, MixtureWeights, Mlp, NormWeights, PerLayerEmbedding,
    PerLayerWeights, ScanWeights, StepWeights, StreamsEmbedding, StreamsWeights,
};
use super::latents::{latent_groups, latent_weights};
use super::rope::{ALL_FACTORS, Frequencies, Rope};
use super::tensors::Tensors;
use super::weights::{ExpertWeight, Group, missing_tensor};
use super::wkv::{wkv_groups, wkv_weights};
use crate::ops::ScanHeads;
use crate::ops::alt_up::STREAMS;
use crate::record::Tensor;
use crate::{Error, Result};

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
        groups.push(Group::new(&[("per_layer_token_embd".into(), vocab)], all).or_filled());
        groups.push(Group::new(&[("per_layer_model_proj".into(), all)], hidden));
    }
    if config.architecture.streams {
        let of_streams = |stem: &str| Group::of_experts(stem.into(), STREAMS - 1, hidden, hidden);
        groups.extend([of_streams("altup_proj"), of_streams("altup_unembd_proj").in_parts()]);
    }
    for layer in 0..config.layers {
        let name = |part: &str| config.of_layer(layer, part);
        let one = |part: &str, rows, cols| Group::of_one(name(part), rows, cols);
        let Widths { kv_heads, head_dim, .. } = config.widths[layer];
        let kv = kv_heads * head_dim;
        let qkv = [(name("attn_q"), heads * head_dim), (name("attn_k"), kv), (name("attn_v"), kv)];
        if per_layer_input > 0 {
            groups.push(one("inp_gate", per_layer_input, hidden));
            groups.push(one("proj", hidden, per_layer_input));
        }
        if config.architecture.streams {
            let rank = config.laurel_rank;
            groups.extend([one("laurel_l", rank, hidden), one("laurel_r", hidden, rank)]);
            groups.push(one("altup_router", STREAMS, hidden));
        }
        if config.source.is_some() {
            groups.push(one("cross_attn_q", heads * head_dim, hidden));
            groups.push(Group::new(&[(name("cross_attn_k"), kv), (name("cross_attn_v"), kv)], hidden));
            groups.push(one("cross_attn_o", hidden, heads * head_dim));
        }
        if let Some(latent) = &config.latent {
            groups.extend(latent_groups(config, latent, layer));
        }
        let of_mixer = match config.kinds[layer] {
            LayerKind::Attention if config.latent.is_some() => Vec::new(),
            LayerKind::Attention if config.kv_layers[layer] < layer => {
                vec![Group::new(&qkv[..1], hidden), one(config.architecture.attn_output, hidden, heads * head_dim)]
            }
            LayerKind::Attention => {
                let qkv = Group::new(&qkv, hidden);
                // of these layers, the larger models' keys are their values
                let can_repeat = config.architecture.varied_widths && !config.architecture.streams;
                let repeats = can_repeat && config.window_of(layer).is_none();
                let qkv = match config.architecture.delta {
                    Some(_) => qkv.with_gates(head_dim),
                    None if repeats => qkv.or_repeated(),
                    None => qkv.or_whole(name("attn_qkv")),
                };
                vec![qkv, one(config.architecture.attn_output, hidden, heads * head_dim)]
            }
            LayerKind::Delta { heads, .. } => {
                let gates = [("attn_qkv", heads.qkv()), ("attn_gate", heads.values())];
                let mut gates = gates.to_vec();
                match heads.tiled {
                    true => gates.extend([("ssm_beta", heads.value), ("ssm_alpha", heads.value)]),
                    false => gates.push(("ssm_ba", 2 * heads.value)),
                }
                let gates: Vec<_> = gates.into_iter().map(|(part, rows)| (name(part), rows)).collect();
                vec![Group::new(&gates, hidden), Group::new(&[(name("ssm_out"), hidden)], heads.values())]
            }
            LayerKind::Scan { heads, low_rank: Some(steps), .. } => {
                let (inner, rank) = (heads.inner(), steps.rank);
                groups.push(Group::new(&[(name("ssm_x"), steps.padded())], inner).with_rest([rank, heads.bc()]));
                groups.push(one("ssm_dt", inner, rank).with_padding());
                vec![one("ssm_in", 2 * inner, hidden), one("ssm_out", hidden, inner)]
            }
            LayerKind::Scan { heads, low_rank: None, .. } => {
                vec![one("ssm_in", heads.projected(), hidden), one("ssm_out", hidden, heads.inner())]
            }
            LayerKind::Wkv { ranks, .. } => wkv_groups(config, ranks, layer),
            LayerKind::Convolution { .. } => {
                vec![one("shortconv.in_proj", 3 * hidden, hidden), one("shortconv.out_proj", hidden, hidden)]
            }
        };
        groups.extend(of_mixer);
        if config.architecture.bare_mixers || config.architecture.wkv {
            continue;
        }
        let ffn = config.ffn_of(layer);
        if let Some(Experts { count, shared_ffn, .. }) = config.experts.clone().filter(|_| config.has_experts(layer)) {
            let mut router = vec![(name("ffn_gate_inp"), count)];
            let weighs_shared = config.architecture.weighs_shared;
            router.extend(shared_ffn.filter(|_| weighs_shared).map(|_| (name("ffn_gate_inp_shexp"), 1)));
            groups.push(Group::new(&router, hidden));
            if config.architecture.deep_router {
                groups.push(one("ffn_gate_out", count, count));
            }
            if config.activation().gated {
                groups.push(Group::of_experts(name("ffn_gate_exps"), count, ffn, hidden));
                groups.push(Group::of_experts(name("ffn_gate_up_exps"), count, ffn, hidden).with_gates(ffn));
            }
            groups.push(Group::of_experts(name("ffn_up_exps"), count, ffn, hidden));
            groups.push(Group::of_experts(name("ffn_down_exps"), count, hidden, ffn));
            if let Some(ffn) = shared_ffn {
                groups.push(Group::new(&[(name("ffn_gate_shexp"), ffn), (name("ffn_up_shexp"), ffn)], hidden));
                groups.push(one("ffn_down_shexp", hidden, ffn));
            }
            if !config.architecture.varied_widths {
                continue;
            }
        }
        let ffn = if config.has_experts(layer) { config.dense_ffn } else { ffn };
        groups.push(if config.architecture.fused_gate_up {
            one("ffn_up", 2 * ffn, hidden)
        } else if config.activation().gated {
            let both = Group::new(&[(name("ffn_gate"), ffn), (name("ffn_up"), ffn)], hidden);
            // files of Jina's encoders have both as one
            let may_be_one = config.architecture.encoder && config.architecture.gateless.is_none();
            if may_be_one { both.or_whole(name("ffn_up")) } else { both }
        } else {
            one("ffn_up", ffn, hidden)
        });
        groups.push(one("ffn_down", hidden, ffn));
    }
    if let Some(source) = &config.source {
        // both halves share the embeddings
        groups.extend(decoder_groups(&source.config, vocab).into_iter().skip(2));
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
    if config.architecture.gateless.is_some() {
        config.gateless = !tensors.groups.has(&config.of_layer(0, "ffn_gate"));
        for layer in 0..if config.gateless { config.layers } else { 0 } {
            tensors.groups.drop_member(&config.of_layer(layer, "ffn_gate"))?;
        }
    }
    let mut ropes = Vec::new();
    let embed_tokens = tensors.weight("token_embd")?;
    // Many models have no output matrix and use the embedding table instead (tied embeddings).
    let output = tensors.optional("output")?;
    if let Some(source) = &config.source
        && source.scales_outputs.unwrap_or(output.is_none())
    {
        config.scales.logits = (config.hidden as f32).sqrt().recip();
    }
    let lm_head = output.unwrap_or_else(|| embed_tokens.clone());
    let source = match &config.source {
        Some(source) if source.start as usize >= vocab => {
            let what = format!("{}.decoder_start_token_id", config.architecture.name);
            let expected = format!("one of {vocab} tokens");
            return Err(Error::InvalidModel { what, expected, got: source.start.to_string() });
        }
        Some(source) => {
            let own = std::mem::replace(&mut tensors.layer, source.config.architecture.layer);
            let encoder = decoder(tensors, &source.config, (vocab, context))?;
            tensors.layer = own;
            Some(Box::new(encoder))
        }
        None => None,
    };
    let embed_positions = match config.architecture.positions {
        Positions::Learned => Some(tensors.weight("position_embd")?),
        Positions::Rotary(_) | Positions::Linear(_) | Positions::Outside | Positions::Buckets => None,
    };
    let embed_segments = tensors.optional("token_types")?;
    let embed_norm = match config.architecture.norms_embedding {
        true => Some(tensors.norm("token_embd_norm")?),
        false => None,
    };
    let per_layer_inputs = per_layer_embedding(tensors, &config)?;
    let streams = match config.architecture.streams {
        true => Some(StreamsEmbedding {
            projection: tensors.weight("altup_proj")?,
            unembeddings: tensors.weight("altup_unembd_proj")?.apart(),
        }),
        false => None,
    };
    let mut layers: Vec<Layer> = Vec::with_capacity(config.layers);
    for i in 0..config.layers {
        let (mut attn_norms, mut ffn_norms) = block_norms(tensors, &config, i)?;
        if config.architecture.sub_norms {
            attn_norms.sub = Some(tensors.norm_of(i, "attn_sub_norm")?);
            ffn_norms.sub = Some(tensors.norm_of(i, "ffn_sub_norm")?);
        }
        let name = |part: &str| config.of_layer(i, part);
        // a factor of the sum with the last block's output
        let scale = tensors.vectors.optional(tensors.memory, &name("layer_output_scale.weight"))?;
        if let Some(norm) = ffn_norms.output.as_mut().filter(|_| config.per_layer_input == 0) {
            norm.scale = scale;
        }
        if let Some(norm) = attn_norms.output.as_mut().filter(|_| config.architecture.streams) {
            // of attention and the residual beside it
            norm.scale = Some(tensors.constant("factor of two residuals", &[std::f32::consts::FRAC_1_SQRT_2])?);
        }
        let (mut qk_norms, mut gate_proj, mut convolution, mut delta, mut scan) = (Vec::new(), None, None, None, None);
        let (mut latent, mut wkv) = (None, None);
        let (qkv_proj, o_proj) = match config.kinds[i] {
            LayerKind::Attention if let Some(sizes) = &config.latent => {
                let (query_proj, weights) = latent_weights(tensors, &config, sizes, i)?;
                latent = Some(Box::new(weights));
                (query_proj, tensors.weight_of(i, "attn_output")?)
            }
            LayerKind::Attention => {
                qk_norms = tensors.vectors.qk_norms(tensors.memory, &config, i)?;
                let mut qkv_proj = tensors.weight_of(i, "attn_q")?;
                if config.architecture.delta.is_some() {
                    gate_proj = Some(qkv_proj.split_off(config.qkv_width()));
                }
                (qkv_proj, tensors.weight_of(i, config.architecture.attn_output)?)
            }
            LayerKind::Delta { .. } => {
                let weight = name("ssm_conv1d.weight");
                convolution = Some(tensors.vectors.required(tensors.memory, &weight)?);
                let weights = ["ssm_a", "ssm_dt.bias", "ssm_norm.weight"].map(name);
                delta = Some(tensors.vectors.joined(tensors.memory, "a delta rule", &weights)?);
                (tensors.weight_of(i, "attn_qkv")?, tensors.weight_of(i, "ssm_out")?)
            }
            LayerKind::Scan { heads, low_rank, .. } => {
                let mut of_convolution = vec![name("ssm_conv1d.weight"), name("ssm_conv1d.bias")];
                of_convolution.truncate(if tensors.vectors.has(&of_convolution[1]) { 2 } else { 1 });
                convolution = Some(tensors.vectors.joined(tensors.memory, "a convolution", &of_convolution)?);
                scan = Some(scan_weights(tensors, i, (&heads, low_rank), of_convolution.len() == 2)?);
                (tensors.weight_of(i, "ssm_in")?, tensors.weight_of(i, "ssm_out")?)
            }
            LayerKind::Wkv { .. } => {
                wkv = Some(Box::new(wkv_weights(tensors, i)?));
                (tensors.weight_of(i, "time_mix_receptance")?, tensors.weight_of(i, "time_mix_output")?)
            }
            LayerKind::Convolution { .. } => {
                let weight = name("shortconv.conv.weight");
                convolution = Some(tensors.vectors.required(tensors.memory, &weight)?);
                let [inputs, outputs] = ["shortconv.in_proj", "shortconv.out_proj"].map(name);
                (tensors.weight(&inputs)?, tensors.weight(&outputs)?)
            }
        };
        let sinks = match config.architecture.sinks {
            true => Some(tensors.vector_of(i, "attn_sinks.weight")?),
            false => None,
        };
        let distance_bias = match layers.first() {
            Some(first) if !tensors.vectors.has(&name("attn_rel_b.weight")) => first.distance_bias,
            _ => tensors.vectors.distance_bias(tensors.memory, &name("attn_rel_b.weight"), &config)?,
        };
        layers.push(Layer {
            attn_norms,
            qkv_proj,
            qk_norms,
            sinks,
            distance_bias,
            gate_proj,
            convolution,
            delta,
            scan,
            latent,
            wkv,
            cross: cross(tensors, &config, i)?,
            o_proj,
            ffn_norms,
            feed_forward: feed_forward(tensors, &config, i)?,
            per_layer: per_layer(tensors, &config, i, scale)?,
            streams: streams_of(tensors, &config, i)?,
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
        source,
        vocab,
        context,
        embed_tokens,
        embed_positions,
        embed_segments,
        embed_norm,
        per_layer: per_layer_inputs,
        streams,
        layers,
        ropes,
        norm,
        lm_head,
        ranking,
    })
}

/// What makes the inputs of layers beside the residual stream, if they have any.
fn per_layer_embedding(tensors: &mut Tensors, config: &Config) -> Result<Option<PerLayerEmbedding>> {
    if config.per_layer_input == 0 {
        return Ok(None);
    }
    let norms = vec!["per_layer_proj_norm.weight".into(); config.layers];
    Ok(Some(PerLayerEmbedding {
        norm: tensors.vectors.joined(tensors.memory, "norms of inputs of layers", &norms)?,
        table: tensors.weight("per_layer_token_embd")?,
        projection: tensors.weight("per_layer_model_proj")?,
    }))
}

/// What takes them in a layer.
fn per_layer(
    tensors: &mut Tensors,
    config: &Config,
    layer: usize,
    scale: Option<Tensor>,
) -> Result<Option<PerLayerWeights>> {
    if config.per_layer_input == 0 {
        return Ok(None);
    }
    let norm = NormWeights { scale, ..tensors.norm_of(layer, "post_norm")? };
    Ok(Some(PerLayerWeights { norm, mlp: mlp(tensors, layer, ["inp_gate", "proj"])? }))
}

/// What a layer attends to a source text with.
fn cross(tensors: &mut Tensors, config: &Config, layer: usize) -> Result<Option<Box<CrossWeights>>> {
    if config.source.is_none() {
        return Ok(None);
    }
    Ok(Some(Box::new(CrossWeights {
        norms: BlockNorms { input: Some(tensors.norm_of(layer, "cross_attn_norm")?), ..BlockNorms::default() },
        q_proj: tensors.weight_of(layer, "cross_attn_q")?,
        kv_proj: tensors.weight_of(layer, "cross_attn_k")?,
        o_proj: tensors.weight_of(layer, "cross_attn_o")?,
    })))
}

/// What a layer of several residual streams has for them.
fn streams_of(tensors: &mut Tensors, config: &Config, layer: usize) -> Result<Option<StreamsWeights>> {
    if !config.architecture.streams {
        return Ok(None);
    }
    let weights = ["predict", "correct"].map(|name| format!("blk.{layer}.altup_{name}_coef.weight"));
    Ok(Some(StreamsWeights {
        router: tensors.weight_of(layer, "altup_router")?,
        router_norm: tensors.vector_of(layer, "altup_router_norm.weight")?,
        weights: tensors.vectors.joined(tensors.memory, "coefficients of streams", &weights)?,
        scale: tensors.vector_of(layer, "altup_correct_scale.weight")?,
        laurel: (mlp(tensors, layer, ["laurel_l", "laurel_r"])?, tensors.norm_of(layer, "laurel_post_norm")?),
    }))
}

/// The weights of a selective scan.
fn scan_weights(
    tensors: &mut Tensors,
    layer: usize,
    (heads, low_rank): (&ScanHeads, Option<TimeSteps>),
    biased: bool,
) -> Result<ScanWeights> {
    let name = |part: &str| format!("blk.{layer}.{part}");
    let Some(steps) = low_rank else {
        let weights = ["ssm_a", "ssm_dt.bias", "ssm_d"].map(name);
        let weights = tensors.vectors.joined(tensors.memory, "a selective scan", &weights)?;
        let norm = Some(tensors.vector_of(layer, "ssm_norm.weight")?);
        return Ok(ScanWeights { weights, norm, biased, steps: None });
    };
    let weights = tensors.vectors.joined(tensors.memory, "a selective scan", &["ssm_a", "ssm_d"].map(name))?;
    // a bias of the projection, which every model has
    if !tensors.vectors.has(&name("ssm_dt.bias")) {
        return Err(missing_tensor(&name("ssm_dt.bias")));
    }
    let mut low = tensors.weight_of(layer, "ssm_x")?;
    let bc = low.split_off(steps.padded());
    let norms = match steps.normed {
        // a mean over columns that are 0 too
        true => Some([
            tensors.constant("a norm of time steps", &vec![steps.share().sqrt(); steps.padded()])?,
            tensors.constant("norms of B and C", &vec![1.0; heads.bc()])?,
        ]),
        false => None,
    };
    let steps = Some(StepWeights { low, bc, dt: tensors.weight_of(layer, "ssm_dt")?, norms });
    Ok(ScanWeights { weights, norm: None, biased, steps })
}

/// The norms of a layer's attention and feed-forward blocks. Parallel blocks share one norm, or
/// attention has a second one, as in Falcon.
fn block_norms(tensors: &mut Tensors, config: &Config, layer: usize) -> Result<(BlockNorms, BlockNorms)> {
    let has = |name: &str| tensors.vectors.has(&config.of_layer(layer, &format!("{name}.weight")));
    let (attn, ffn) = match config.parallel {
        true if has("attn_norm_2") => ("attn_norm_2", "attn_norm"),
        true if !has("ffn_norm") => ("attn_norm", "attn_norm"),
        _ => (config.architecture.attn_norm, config.architecture.ffn_norm),
    };
    let is_bare = config.architecture.bare_first && layer == 0;
    let mut norm = |name: &str| tensors.norm(&config.of_layer(layer, name));
    if let Norms::Outputs([attn, ffn]) = config.architecture.norms {
        let [attn, ffn] =
            [norm(attn)?, norm(ffn)?].map(|output| BlockNorms { output: Some(output), ..BlockNorms::default() });
        return Ok((attn, ffn));
    }
    let attn_norm = if is_bare { None } else { Some(norm(attn)?) };
    if config.architecture.bare_mixers {
        return Ok((BlockNorms { input: attn_norm, ..BlockNorms::default() }, BlockNorms::default()));
    }
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
    let name = |part: &str| config.of_layer(layer, part);
    if config.architecture.bare_mixers {
        return Ok(FeedForward::Absent);
    }
    // the group of `ffn_up` also contains the gate projection, if there is one
    let dense = match config.architecture.wkv {
        true => ["channel_mix_key", "channel_mix_value"],
        false => ["ffn_up", "ffn_down"],
    };
    let Some(Experts { count, chosen, shared_ffn, .. }) = config.experts.clone().filter(|_| config.has_experts(layer))
    else {
        let deviations = config.sparsity[layer];
        return Ok(FeedForward::Dense(Mlp { deviations, ..mlp(tensors, layer, dense)? }));
    };
    let (both, gated) =
        (tensors.groups.get(&name("ffn_gate_up_exps")).is_some_and(Group::is_there), config.activation().gated);
    let mut stacked =
        |part: &str, rows| Ok::<_, Error>(ExpertWeight { weight: tensors.weight_of(layer, part)?, rows, chosen });
    let mut up_proj = stacked(if both { "ffn_gate_up_exps" } else { "ffn_up_exps" }, config.ffn)?;
    let gate_proj = match gated {
        true if both => {
            let up = up_proj.weight.split_off(count * config.ffn);
            Some(std::mem::replace(&mut up_proj, ExpertWeight { weight: up, rows: config.ffn, chosen }))
        }
        true => Some(stacked("ffn_gate_exps", config.ffn)?),
        false => None,
    };
    let down_proj = stacked("ffn_down_exps", config.hidden)?;
    let shared = match shared_ffn {
        Some(_) => Some(mlp(tensors, layer, ["ffn_up_shexp", "ffn_down_shexp"])?),
        None => None,
    };
    let deep_router = match config.architecture.deep_router {
        true => Some(tensors.weight_of(layer, "ffn_gate_out")?),
        false => None,
    };
    let router = tensors.weight_of(layer, "ffn_gate_inp")?;
    let bias = tensors.vectors.optional(tensors.memory, &name("exp_probs_b.bias"))?;
    let beside = match config.architecture.varied_widths {
        true => Some(Beside {
            router_norm: tensors.vector_of(layer, "ffn_gate_inp.scale")?,
            input: tensors.norm_of(layer, "pre_ffw_norm_2")?,
            output: tensors.norm_of(layer, "post_ffw_norm_2")?,
            mlp_output: tensors.norm_of(layer, "post_ffw_norm_1")?,
            mlp: mlp(tensors, layer, dense)?,
        }),
        false => None,
    };
    let mixture = MixtureWeights { beside, router, deep_router, bias, gate_proj, up_proj, down_proj, shared };
    Ok(FeedForward::Experts(Box::new(mixture)))
}

/// Two weights of a layer, one behind the other.
fn mlp(tensors: &mut Tensors, layer: usize, [up, down]: [&str; 2]) -> Result<Mlp> {
    let (gate_up_proj, down_proj) = (tensors.weight_of(layer, up)?, tensors.weight_of(layer, down)?);
    Ok(Mlp { gate_up_proj, down_proj, deviations: None })
}

/// Index of a layer's RoPE in `ropes`, where it is added if it is new.
fn index_of(rope: Option<&Rope>, ropes: &mut Vec<(Rope, Frequencies)>) -> usize {
    let rope = rope.unwrap_or(&Rope::NOTHING);
    ropes.iter().position(|(known, _)| known == rope).unwrap_or_else(|| {
        ropes.push((rope.clone(), rope.frequencies(None)));
        ropes.len() - 1
    })
}
