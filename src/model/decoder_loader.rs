//! The tensors of a decoder, by the names that GGUF gives them.

use super::architecture::{Norms, Positions};
use super::config::{Config, Experts};
use super::decoder::{BlockNorms, Decoder, FeedForward, Layer, MixtureWeights, Mlp};
use super::rope::{ALL_FACTORS, Rope};
use super::vectors::Vectors;
use super::weights::{ExpertWeight, Group, Weight, missing_tensor};
use crate::Result;
use crate::record::{Memory, Tensor};

/// The matrices of the model in a fixed order: embedding, output, learned positions, four a layer.
pub fn decoder_groups(config: &Config, vocab: usize) -> Vec<Group> {
    let Config { hidden, ffn, heads, kv_heads, head_dim, .. } = *config;
    let mut groups =
        vec![Group::new(&[("token_embd".into(), vocab)], hidden), Group::new(&[("output".into(), vocab)], hidden)];
    if config.architecture.positions == Positions::Learned {
        groups.push(Group::new(&[("position_embd".into(), config.trained_context)], hidden));
    }
    for layer in 0..config.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let kv = kv_heads * head_dim;
        let qkv = [(name("attn_q"), heads * head_dim), (name("attn_k"), kv), (name("attn_v"), kv)];
        groups.push(Group::new(&qkv, hidden).or_whole(name("attn_qkv")));
        groups.push(Group::new(&[(name("attn_output"), hidden)], heads * head_dim));
        if let Some(Experts { count, shared_ffn, .. }) = config.experts {
            let mut router = vec![(name("ffn_gate_inp"), count)];
            router.extend(shared_ffn.map(|_| (name("ffn_gate_inp_shexp"), 1)));
            groups.push(Group::new(&router, hidden));
            if config.architecture.deep_router {
                groups.push(Group::new(&[(name("ffn_gate_out"), count)], count));
            }
            groups.push(Group::of_experts(name("ffn_gate_exps"), count, ffn, hidden));
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
            Group::new(&[(name("ffn_gate"), ffn), (name("ffn_up"), ffn)], hidden)
        } else {
            Group::new(&[(name("ffn_up"), ffn)], hidden)
        });
        groups.push(Group::new(&[(name("ffn_down"), hidden)], ffn));
    }
    groups
}

/// The decoder over buffers that rows may still have to be written to. Tables of rope whose factors are still on their way go to
/// `rope_tables`. Errors: `InvalidModel` naming a tensor that is in no header.
pub fn decoder(
    memory: &mut dyn Memory,
    config: &Config,
    groups: &mut [Group],
    vectors: &mut Vectors,
    rope_tables: &mut Vec<(Rope, Tensor)>,
    (vocab, context): (usize, usize),
) -> Result<Decoder> {
    let mut config = config.clone();
    if config.architecture.parallel_without_ffn_norm {
        config.parallel = !vectors.has("blk.0.ffn_norm.weight");
    }
    let mut tables = RopeTables { context, made: Vec::new() };
    let mut groups = groups.iter_mut();
    let mut group = || groups.next().ok_or_else(|| missing_tensor("of a layer"));
    let embed_tokens = group()?.finish(memory, vectors)?;
    // Many models have no output matrix, and use the embedding table for both.
    let output = group()?;
    let lm_head = if output.weight.parts.is_empty() { embed_tokens.clone() } else { output.finish(memory, vectors)? };
    let embed_positions = match config.architecture.positions {
        Positions::Learned => Some(group()?.finish(memory, vectors)?),
        Positions::Rotary(_) | Positions::Linear(_) => None,
    };
    let embed_norm = match config.architecture.norms_embedding {
        true => Some(vectors.norm(memory, "token_embd_norm")?),
        false => None,
    };
    let mut layers = Vec::with_capacity(config.layers);
    for i in 0..config.layers {
        let (attn_norms, ffn_norms) = block_norms(memory, &config, vectors, i)?;
        layers.push(Layer {
            attn_norms,
            qkv_proj: group()?.finish(memory, vectors)?,
            qk_norms: vectors.qk_norms(memory, &config, i)?,
            o_proj: group()?.finish(memory, vectors)?,
            ffn_norms,
            feed_forward: feed_forward(&config, || group()?.finish(memory, vectors))?,
            rope_table: tables.get(memory, config.rope_of(i))?,
        });
    }
    let norm = match config.architecture.norms {
        Norms::After => None,
        Norms::Before | Norms::Around(_) => Some(vectors.norm(memory, "output_norm")?),
    };
    vectors.check_used()?;
    for (rope, table) in tables.made {
        let factors = rope.factors_name(context);
        if vectors.has(factors) {
            rope_tables.push((rope, table));
        } else if ALL_FACTORS.into_iter().any(|other| vectors.has(other)) {
            return Err(missing_tensor(factors));
        } else {
            rope.write_table(memory, table, None)?;
        }
    }
    Ok(Decoder { config, vocab, context, embed_tokens, embed_positions, embed_norm, layers, norm, lm_head })
}

/// The norms of the two blocks of a layer. Before blocks in parallel there may be one for both, or a second for attention, as in
/// Falcon.
fn block_norms(
    memory: &mut dyn Memory,
    config: &Config,
    vectors: &mut Vectors,
    layer: usize,
) -> Result<(BlockNorms, BlockNorms)> {
    let has = |name: &str| vectors.has(&format!("blk.{layer}.{name}.weight"));
    let (attn, ffn) = match config.parallel {
        true if has("attn_norm_2") => ("attn_norm_2", "attn_norm"),
        true if !has("ffn_norm") => ("attn_norm", "attn_norm"),
        _ => ("attn_norm", "ffn_norm"),
    };
    let mut norm = |name: &str| vectors.norm(memory, &format!("blk.{layer}.{name}"));
    let attn_norm = Some(norm(attn)?);
    let ffn_norm = if ffn == attn { attn_norm } else { Some(norm(ffn)?) };
    let none = BlockNorms::default();
    Ok(match config.architecture.norms {
        Norms::Before => (BlockNorms { input: attn_norm, ..none }, BlockNorms { input: ffn_norm, ..none }),
        Norms::After => (BlockNorms { sum: attn_norm, ..none }, BlockNorms { sum: ffn_norm, ..none }),
        Norms::Around([attn, ffn]) => (
            BlockNorms { input: attn_norm, output: Some(norm(attn)?), ..none },
            BlockNorms { input: ffn_norm, output: Some(norm(ffn)?), ..none },
        ),
    })
}

/// The feed-forward block of a layer out of its weights, which `next` gives in the order of [`decoder_groups`].
fn feed_forward(config: &Config, mut next: impl FnMut() -> Result<Weight>) -> Result<FeedForward> {
    let mlp = |next: &mut dyn FnMut() -> Result<Weight>| Ok(Mlp { gate_up_proj: next()?, down_proj: next()? });
    let Some(Experts { chosen, shared_ffn, .. }) = config.experts else {
        return mlp(&mut next).map(FeedForward::Dense);
    };
    let router = next()?;
    let deep_router = if config.architecture.deep_router { Some(next()?) } else { None };
    let [gate, up, down] = [next()?, next()?, next()?];
    let stacked = |weight, rows| ExpertWeight { weight, rows, chosen };
    Ok(FeedForward::Experts(Box::new(MixtureWeights {
        router,
        deep_router,
        gate_proj: stacked(gate, config.ffn),
        up_proj: stacked(up, config.ffn),
        down_proj: stacked(down, config.hidden),
        shared: shared_ffn.map(|_| mlp(&mut next)).transpose()?,
    })))
}

/// One table for each rope of a model.
struct RopeTables {
    context: usize,
    made: Vec<(Rope, Tensor)>,
}

impl RopeTables {
    /// The table of `rope`; one without columns where nothing turns.
    fn get(&mut self, memory: &mut dyn Memory, rope: Option<&Rope>) -> Result<Tensor> {
        let rope = rope.unwrap_or(&Rope::NOTHING);
        if let Some((_, table)) = self.made.iter().find(|(made, _)| made == rope) {
            return Ok(*table);
        }
        let table = rope.create_table(memory, self.context)?;
        self.made.push((rope.clone(), table));
        Ok(table)
    }
}
