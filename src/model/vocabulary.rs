//! The tokenizer's part of GGUF metadata (`tokenizer.ggml.*`, `tokenizer.chat_template`).

use crate::Result;
use crate::format::metadata::Metadata;
use crate::tokenizer::Vocabulary;

const TOKENS: &str = "tokenizer.ggml.tokens";

/// Takes the vocabulary out of the metadata: its strings are megabytes, so they move instead of being copied.
pub fn take_vocabulary(metadata: &mut Metadata) -> Result<Vocabulary> {
    let id = |metadata: &Metadata, name: &str| metadata.opt_u32(&format!("tokenizer.ggml.{name}_token_id"));
    let flag = |metadata: &Metadata, name: &str| metadata.opt_bool(&format!("tokenizer.ggml.{name}"));
    metadata.strings(TOKENS)?; // absent: an error that names the key
    Ok(Vocabulary {
        model: metadata.str("tokenizer.ggml.model")?.to_string(),
        pre: metadata.opt_str("tokenizer.ggml.pre")?.map(str::to_string),
        scores: metadata.opt_f32s("tokenizer.ggml.scores")?.unwrap_or_default().to_vec(),
        token_types: metadata.opt_i32s("tokenizer.ggml.token_type")?.unwrap_or_default().into_owned(),
        bos: id(metadata, "bos")?,
        eos: id(metadata, "eos")?,
        eot: id(metadata, "eot")?,
        unk: id(metadata, "unknown")?,
        pad: id(metadata, "padding")?,
        add_bos: flag(metadata, "add_bos_token")?,
        add_eos: flag(metadata, "add_eos_token")?,
        add_space_prefix: flag(metadata, "add_space_prefix")?,
        tokens: metadata.take_strings(TOKENS)?.unwrap_or_default(),
        merges: metadata.take_strings("tokenizer.ggml.merges")?.unwrap_or_default(),
    })
}
