//! The file of a projector (`mmproj`) as llama.cpp writes it, read as if it were an encoder's:
//! `general.architecture` is `clip`, keys are `clip.*`, tensors `v.*` (the tower) and `mm.*` (the
//! projector).

use super::header::Header;
use super::metadata::Metadata;
use crate::{Error, Result};

/// The projectors that weft runs.
const KNOWN: &str = "idefics3";

fn unsupported(what: &str, found: &str, known: &str) -> Error {
    Error::UnsupportedModel { what: what.into(), found: found.into(), known: known.into() }
}

/// The value of a key that may stand for all modalities or for pictures alone.
fn kind(metadata: &Metadata) -> Result<Option<&str>> {
    let of_pictures = metadata.opt_str("clip.vision.projector_type")?;
    Ok(of_pictures.or(metadata.opt_str("clip.projector_type")?))
}

/// Rewrites the header: the table of places becomes that of embeddings, a patch a row of its
/// matrix, and the output projection gets its usual name. Errors: `UnsupportedModel` for a file
/// that is not a projector's, or of another kind.
pub fn translate(header: &mut Header) -> Result<()> {
    let metadata = &mut header.metadata;
    let architecture = metadata.str("general.architecture")?;
    if architecture != "clip" {
        let known = "projectors (`clip`, files called mmproj), and a model where a model is asked for";
        return Err(unsupported("general.architecture", architecture, known));
    }
    let found = kind(metadata)?.unwrap_or("none");
    if found != KNOWN {
        return Err(unsupported("clip.projector_type", found, KNOWN));
    }
    if metadata.opt_bool("clip.use_gelu")? != Some(true) {
        return Err(unsupported("clip.use_gelu", "not true", "towers with GELU"));
    }
    let hidden = u64::from(metadata.u32("clip.vision.embedding_length")?);
    metadata.remove(|key| key == "general.type");
    metadata.insert("general.architecture", "clip.vision");
    metadata.insert("tokenizer.ggml.model", "no_vocab");
    // older converters gave the two matrices each other's name
    let up = header.tensors.iter().find(|tensor| tensor.name == "v.blk.0.ffn_up.weight");
    let swapped = up.is_some_and(|up| up.dims[0] != hidden);
    for tensor in &mut header.tensors {
        match tensor.name.as_str() {
            "v.position_embd.weight" => {
                let places = u32::try_from(tensor.rows()).unwrap_or(u32::MAX);
                header.metadata.insert("clip.vision.context_length", places);
                tensor.name = "token_embd.weight".into();
            }
            "v.patch_embd.weight" if tensor.dims.len() == 4 => {
                let values = tensor.dims[..3].iter().product();
                tensor.dims = vec![values, tensor.dims[3]];
            }
            name if name.contains(".attn_out.") => tensor.name = name.replace(".attn_out.", ".attn_output."),
            name if swapped && name.contains(".ffn_up.") => tensor.name = name.replace(".ffn_up.", ".ffn_down."),
            name if swapped && name.contains(".ffn_down.") => tensor.name = name.replace(".ffn_down.", ".ffn_up."),
            _ => {}
        }
    }
    Ok(())
}
