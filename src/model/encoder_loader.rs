//! Builds an encoder from tensors with llama.cpp's names. Heads that GGUF has no names for have
//! weft's own: `token_cls` (token classification), `mlm_transform` and `mlm_transform_norm` (masked
//! tokens).

use std::collections::HashMap;

use super::config::Config;
use super::decoder::Decoder;
use super::decoder_loader::{decoder, decoder_groups};
use super::encoder::{Classifier, Encoder, MaskedHead};
use super::encoder_config::EncoderConfig;
use super::tensors::Tensors;
use super::tower::{PATCHES, PROJECTOR, Tower};
use super::vectors::decoder_vectors;
use super::weights::{Group, Weight, missing_tensor};
use crate::Result;

/// The matrices that an encoder with this configuration may have.
pub fn encoder_groups(config: &Config, encoder: &EncoderConfig, vocab: usize) -> Vec<Group> {
    let (hidden, labels) = (config.hidden, encoder.labels.len());
    let one = |stem: &str, rows, cols| Group::new(&[(stem.into(), rows)], cols);
    let mut groups = decoder_groups(config, vocab);
    groups.extend([
        one("token_types", encoder.segments, hidden),
        one("cls", hidden, hidden),
        one("cls.output", labels, hidden),
        one("token_cls", labels, hidden),
        one("mlm_transform", hidden, hidden),
    ]);
    if let Some([inner, outputs]) = encoder.dense {
        groups.extend([one("dense_2", inner, hidden), one("dense_3", outputs, inner)]);
    }
    groups.extend(encoder.tower.iter().flat_map(|tower| tower.groups(hidden)));
    groups
}

/// Names and shapes of all vectors of an encoder, required or not.
pub fn encoder_vectors(config: &Config, encoder: &EncoderConfig, vocab: usize) -> HashMap<String, [usize; 2]> {
    let (hidden, labels) = (config.hidden, encoder.labels.len());
    let of_heads = [
        ("cls.bias", hidden),
        ("cls.norm.weight", hidden),
        ("cls.output.bias", labels),
        ("token_cls.bias", labels),
        ("mlm_transform.bias", hidden),
        ("mlm_transform_norm.weight", hidden),
        ("mlm_transform_norm.bias", hidden),
    ];
    let mut vectors = decoder_vectors(config, vocab);
    if encoder.tower.is_some() {
        vectors.insert("v.patch_embd.bias".into(), [hidden, 1]);
    }
    vectors.extend(of_heads.map(|(name, len)| (name.to_string(), [len, 1])));
    vectors
}

/// The encoder, over buffers that may still lack rows. Errors: `InvalidModel` naming a tensor that
/// is in no header.
pub fn encoder(
    tensors: &mut Tensors,
    config: &Config,
    encoder_config: &EncoderConfig,
    sizes: (usize, usize),
) -> Result<Encoder> {
    let trunk = decoder(tensors, config, sizes)?;
    let (pooler, class_output) = (tensors.optional("cls")?, tensors.optional("cls.output")?);
    let token_classifier = tensors.optional("token_cls")?;
    let classifier = match (pooler, class_output) {
        (None, None) => None,
        (Some(pooler), Some(output)) => {
            let norm = if tensors.vectors.has("cls.norm.weight") { Some(tensors.norm("cls.norm")?) } else { None };
            Some(Classifier { pooler, norm, output })
        }
        (None, Some(_)) => return Err(missing_tensor("cls.weight")),
        (Some(_), None) => return Err(missing_tensor("cls.output.weight")),
    };
    let has_output = tensors.groups.get("output").is_some_and(Group::is_there);
    let masked = match tensors.optional("mlm_transform")? {
        None if has_output => return Err(missing_tensor("mlm_transform.weight")),
        None => None,
        Some(transform) => {
            let norm = tensors.norm("mlm_transform_norm")?;
            let output = if has_output { trunk.lm_head.clone() } else { tied(tensors, &trunk)? };
            Some(MaskedHead { transform, norm, output })
        }
    };
    let dense = match (tensors.optional("dense_2")?, tensors.optional("dense_3")?) {
        (None, None) => None,
        (Some(first), Some(second)) => Some([first, second]),
        (None, _) => return Err(missing_tensor("dense_2.weight")),
        (_, None) => return Err(missing_tensor("dense_3.weight")),
    };
    let tower = match &encoder_config.tower {
        None => None,
        Some(_) => Some(Tower { patches: tensors.weight(PATCHES)?, projector: tensors.weight(PROJECTOR)? }),
    };
    Ok(Encoder { trunk, encoder_config: encoder_config.clone(), dense, classifier, token_classifier, masked, tower })
}

/// The embedding table as the output matrix, with the bias of the output.
fn tied(tensors: &mut Tensors, trunk: &Decoder) -> Result<Weight> {
    let mut output = trunk.embed_tokens.clone();
    for part in &mut output.parts {
        let rows = part.first_row..part.first_row + part.matrix.rows;
        part.affine = tensors.vectors.affine(tensors.memory, [("output", 0..trunk.vocab)].into_iter(), rows, 1)?;
    }
    Ok(output)
}
