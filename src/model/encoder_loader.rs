//! Builds an encoder from tensors with llama.cpp's names. Heads that GGUF has no names for have
//! weft's own: `token_cls` (token classification), `mlm_transform` and `mlm_transform_norm` (masked
//! tokens).

use std::collections::HashMap;

use super::config::Config;
use super::encoder::{Classifier, Encoder, Layer, MaskedHead};
use super::encoder_config::EncoderConfig;
use super::tensors::Tensors;
use super::weights::{Group, Weight, missing_tensor};
use crate::Result;

/// The matrices that an encoder with this configuration may have.
pub fn encoder_groups(config: &Config, encoder: &EncoderConfig, vocab: usize) -> Vec<Group> {
    let Config { hidden, ffn, heads, kv_heads, head_dim, .. } = *config;
    let (width, kv, labels) = (heads * head_dim, kv_heads * head_dim, encoder.labels.len());
    let one = |stem: &str, rows, cols| Group::new(&[(stem.into(), rows)], cols);
    let mut groups = vec![
        one("token_embd", vocab, hidden),
        one("position_embd", config.trained_context, hidden),
        one("token_types", encoder.segments, hidden),
    ];
    for layer in 0..config.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let qkv = [(name("attn_q"), width), (name("attn_k"), kv), (name("attn_v"), kv)];
        groups.push(Group::new(&qkv, hidden).or_whole(name("attn_qkv")));
        groups.push(one(&name("attn_output"), hidden, width));
        groups.push(one(&name("ffn_up"), ffn, hidden));
        groups.push(one(&name("ffn_down"), hidden, ffn));
    }
    groups.extend([
        one("cls", hidden, hidden),
        one("cls.output", labels, hidden),
        one("token_cls", labels, hidden),
        one("mlm_transform", hidden, hidden),
        one("output", vocab, hidden),
    ]);
    groups
}

/// Names and shapes of all vectors of an encoder, required or not.
pub fn encoder_vectors(config: &Config, encoder: &EncoderConfig, vocab: usize) -> HashMap<String, [usize; 2]> {
    let Config { hidden, ffn, heads, kv_heads, head_dim, .. } = *config;
    let (q, kv, labels) = (heads * head_dim, kv_heads * head_dim, encoder.labels.len());
    let common = [
        ("token_embd_norm.weight", hidden),
        ("token_embd_norm.bias", hidden),
        ("cls.bias", hidden),
        ("cls.output.bias", labels),
        ("token_cls.bias", labels),
        ("mlm_transform.bias", hidden),
        ("mlm_transform_norm.weight", hidden),
        ("mlm_transform_norm.bias", hidden),
        ("output.bias", vocab),
    ];
    let of_a_layer = [
        ("attn_qkv.bias", q + 2 * kv),
        ("attn_q.bias", q),
        ("attn_k.bias", kv),
        ("attn_v.bias", kv),
        ("attn_output.bias", hidden),
        ("attn_output_norm.weight", hidden),
        ("attn_output_norm.bias", hidden),
        ("ffn_up.bias", ffn),
        ("ffn_down.bias", hidden),
        ("layer_output_norm.weight", hidden),
        ("layer_output_norm.bias", hidden),
    ];
    let layers = (0..config.layers)
        .flat_map(|layer| of_a_layer.into_iter().map(move |(name, len)| (format!("blk.{layer}.{name}"), [len, 1])));
    common.into_iter().map(|(name, len)| (name.to_string(), [len, 1])).chain(layers).collect()
}

/// The encoder, over buffers that may still lack rows. Errors: `InvalidModel` naming a tensor that
/// is in no header.
pub fn encoder(
    mut tensors: Tensors,
    config: &Config,
    encoder_config: &EncoderConfig,
    (vocab, context): (usize, usize),
) -> Result<Encoder> {
    let embed_tokens = tensors.weight("token_embd")?;
    let embed_positions = tensors.weight("position_embd")?;
    let embed_segments = tensors.optional("token_types")?;
    let embed_norm = tensors.norm("token_embd_norm")?;
    let mut layers = Vec::with_capacity(config.layers);
    for i in 0..config.layers {
        layers.push(Layer {
            qkv_proj: tensors.weight(&format!("blk.{i}.attn_qkv"))?,
            o_proj: tensors.weight(&format!("blk.{i}.attn_output"))?,
            attn_norm: tensors.norm(&format!("blk.{i}.attn_output_norm"))?,
            up_proj: tensors.weight(&format!("blk.{i}.ffn_up"))?,
            down_proj: tensors.weight(&format!("blk.{i}.ffn_down"))?,
            ffn_norm: tensors.norm(&format!("blk.{i}.layer_output_norm"))?,
        });
    }
    let (pooler, class_output) = (tensors.optional("cls")?, tensors.optional("cls.output")?);
    let token_classifier = tensors.optional("token_cls")?;
    let (transform, output) = (tensors.optional("mlm_transform")?, tensors.optional("output")?);
    let classifier = match (pooler, class_output) {
        (None, None) => None,
        (Some(pooler), Some(output)) => Some(Classifier { pooler, output }),
        (None, Some(_)) => return Err(missing_tensor("cls.weight")),
        (Some(_), None) => return Err(missing_tensor("cls.output.weight")),
    };
    let masked = match (transform, output) {
        (None, None) => None,
        (None, Some(_)) => return Err(missing_tensor("mlm_transform.weight")),
        (Some(transform), output) => {
            let norm = tensors.norm("mlm_transform_norm")?;
            let output = match output {
                Some(output) => output,
                None => tied(&mut tensors, &embed_tokens, vocab)?,
            };
            Some(MaskedHead { transform, norm, output })
        }
    };
    tensors.vectors.check_used()?;
    Ok(Encoder {
        encoder_config: encoder_config.clone(),
        config: config.clone(),
        vocab,
        context,
        embed_tokens,
        embed_positions,
        embed_segments,
        embed_norm,
        layers,
        classifier,
        token_classifier,
        masked,
    })
}

/// The embedding table as the output matrix, with the bias of the output.
fn tied(tensors: &mut Tensors, table: &Weight, vocab: usize) -> Result<Weight> {
    let mut output = table.clone();
    for part in &mut output.parts {
        let rows = part.first_row..part.first_row + part.matrix.rows;
        part.affine = tensors.vectors.affine(tensors.memory, [("output", 0..vocab)].into_iter(), rows, 1)?;
    }
    Ok(output)
}
