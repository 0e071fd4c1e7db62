//! What an unknown architecture is nearest to: the known one that has most of its tensors.

use std::collections::BTreeSet;

use super::architecture::{Architecture, NAMES};
use super::config::Config;
use super::decoder_loader::decoder_groups;
use super::keys::Keys;
use super::latents::is_of_either_form;
use super::vectors::decoder_vectors;
use crate::Error;
use crate::format::{Header, Metadata, Value};

/// Names that an error lists.
const MOST: usize = 8;

/// An architecture, and how a file differs from it.
struct Candidate {
    name: &'static str,
    /// Tensors that it does not have, by layer once.
    tensors: BTreeSet<String>,
    /// Matrices that it needs and the file lacks.
    missing: usize,
    /// Keys that it does not read.
    keys: BTreeSet<String>,
    /// How many tensors it may have that the file lacks.
    absent: usize,
}

/// The error, and if it is about an unknown architecture also what that is nearest to.
pub(super) fn explained(error: Error, header: &Header) -> Error {
    match error {
        Error::UnsupportedModel { what, found, known } if what == "general.architecture" => {
            let known = known + &nearest(&found, header).map(|nearest| nearest.told()).unwrap_or_default();
            Error::UnsupportedModel { what, found, known }
        }
        error => error,
    }
}

fn nearest(name: &str, header: &Header) -> Option<Candidate> {
    let own = format!("{name}.");
    let keys: Vec<(&str, &Value)> =
        header.metadata.iter().filter_map(|(key, value)| Some((key.strip_prefix(&own)?, value))).collect();
    let tensors: BTreeSet<String> = header.tensors.iter().map(|tensor| pattern(&tensor.name)).collect();
    let candidates = NAMES.into_iter().filter_map(|name| Candidate::new(name, &keys, &tensors));
    candidates.min_by_key(|c| (c.tensors.len() + c.missing, c.keys.len(), c.absent))
}

impl Candidate {
    /// `None` for an encoder, and where the hyperparameters do not fit.
    fn new(name: &'static str, keys: &[(&str, &Value)], tensors: &BTreeSet<String>) -> Option<Self> {
        let architecture = Architecture::named(name).filter(|architecture| !architecture.encoder)?;
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", name);
        // where layers are alike, their names repeat, and values for each layer are of one
        let alike = !architecture.convolutions && architecture.delta.is_none() && !architecture.scans;
        for (key, value) in keys {
            metadata.insert(format!("{name}.{key}"), if alike { largest(value) } else { (*value).clone() });
        }
        if alike {
            metadata.insert(format!("{name}.block_count"), 1u32);
        }
        if architecture.source.is_some() {
            metadata.insert(format!("{name}.decoder_block_count"), 1u32);
            // of a folder, not one of its settings
            metadata.insert(format!("{name}.decoder_start_token_id"), 0u32);
        }
        let config = Config::from_metadata(&metadata).ok()?;
        let groups = decoder_groups(&config, 0);
        let mut known: BTreeSet<String> = decoder_vectors(&config, 0).into_keys().map(|name| pattern(&name)).collect();
        let weight = |stem: &str| pattern(&format!("{stem}.weight"));
        known.extend(groups.iter().flat_map(|group| group.stems().map(weight).collect::<Vec<_>>()));
        let has_any = |stems: Vec<&str>| {
            stems.into_iter().any(|stem| stem == "output" || is_of_either_form(stem) || tensors.contains(&weight(stem)))
        };
        let missing = groups.iter().filter(|group| !has_any(group.stems().collect())).count();
        let reader = Keys { metadata: &metadata, architecture };
        let new = keys.iter().filter(|(key, _)| *key != "vocab_size" && !reader.reads(key));
        Some(Self {
            name,
            tensors: tensors.difference(&known).cloned().collect(),
            absent: known.difference(tensors).count(),
            missing,
            keys: new.map(|(key, _)| (*key).to_owned()).collect(),
        })
    }

    fn told(&self) -> String {
        let list = |what: &str, names: &BTreeSet<String>| {
            let more = match names.len().saturating_sub(MOST) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let listed: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
            (!names.is_empty()).then(|| format!("the {what} {}{more}", listed.join(", ")))
        };
        let new: Vec<String> =
            [list("tensors", &self.tensors), list("keys", &self.keys)].into_iter().flatten().collect();
        let knows = match new.as_slice() {
            [] => "knows all tensors and keys of this file".into(),
            new => format!("does not know {}", new.join(" and ")),
        };
        format!("; the nearest of these is `{}`, which {knows}", self.name)
    }
}

/// The name with `#` in place of the layer.
fn pattern(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    // the halves of a model have layers of their own
    if let ["blk", layer, ..] | ["enc" | "dec", "blk", layer, ..] = &mut parts[..] {
        *layer = "#";
    }
    parts.join(".")
}

/// Of a value for each layer, the largest.
fn largest(value: &Value) -> Value {
    let numbers = match value {
        Value::Array(array) => array.numbers().filter(|numbers| !numbers.is_empty()),
        _ => None,
    };
    match numbers {
        Some(numbers) => Value::F64(numbers.into_iter().fold(f64::NEG_INFINITY, f64::max)),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{BlockType, TensorInfo};

    fn header(architecture: &str, tensors: &[&str], keys: &[(&str, Value)]) -> Header {
        let mut metadata = Metadata::default();
        metadata.insert("general.architecture", architecture);
        let counts = [
            ("block_count", 2u32),
            ("embedding_length", 24),
            ("feed_forward_length", 96),
            ("attention.head_count", 3),
            ("context_length", 64),
        ];
        for (key, count) in counts {
            metadata.insert(format!("{architecture}.{key}"), count);
        }
        metadata.insert(format!("{architecture}.attention.layer_norm_rms_epsilon"), 1e-5f32);
        for (key, value) in keys {
            metadata.insert(format!("{architecture}.{key}"), value.clone());
        }
        let info = |name: &&str| TensorInfo { name: (*name).into(), dims: vec![4], block: BlockType::F32, offset: 0 };
        Header {
            version: 3,
            metadata,
            tensors: tensors.iter().map(info).collect(),
            alignment: 32,
            header_bytes: 0,
            data_offset: 0,
            file_bytes: 0,
        }
    }

    fn told(header: &Header) -> String {
        explained(Config::from_metadata(&header.metadata).unwrap_err(), header).to_string()
    }

    const QWEN3: [&str; 13] = [
        "token_embd.weight",
        "output_norm.weight",
        "blk.1.attn_norm.weight",
        "blk.1.attn_q.weight",
        "blk.1.attn_k.weight",
        "blk.1.attn_v.weight",
        "blk.1.attn_output.weight",
        "blk.1.attn_q_norm.weight",
        "blk.1.attn_k_norm.weight",
        "blk.1.ffn_norm.weight",
        "blk.1.ffn_gate.weight",
        "blk.1.ffn_up.weight",
        "blk.1.ffn_down.weight",
    ];

    #[test]
    fn an_unknown_architecture_is_compared_with_the_nearest() {
        let tensors = [&QWEN3[..], &["blk.0.ssm_a", "blk.1.ssm_a", "blk.1.ssm_conv1d.weight"]].concat();
        let keys = [("ssm.conv_kernel", Value::from(4u32)), ("attention.head_count_kv", vec![0, 3].into())];
        let error = told(&header("qwen4", &tensors, &keys));
        let expected = "the nearest of these is `qwen3`, which does not know the tensors `blk.#.ssm_a`, \
                        `blk.#.ssm_conv1d.weight` and the keys `ssm.conv_kernel`. Use such a model.";
        assert!(error.contains("general.architecture is `qwen4`; weft runs llama, "), "{error}");
        assert!(error.ends_with(expected), "{error}");
    }

    #[test]
    fn a_name_alone_may_be_new() {
        let error = told(&header("zephyr", &QWEN3, &[]));
        assert!(
            error.contains("nearest of these is `qwen3`, which knows all tensors and keys of this file"),
            "{error}"
        );
        let error = told(&header("zephyr", &[], &[("attention.head_count", Value::from(0u32))]));
        assert!(error.ends_with(&format!("weft runs {}. Use such a model.", NAMES.join(", "))), "{error}");
    }

    #[test]
    fn layers_of_two_kinds_are_told_as_they_are() {
        let convolution = ["in_proj", "conv", "out_proj"].map(|part| format!("blk.0.shortconv.{part}.weight"));
        let own = QWEN3.map(|name| name.replace("output_norm", "token_embd_norm"));
        let tensors: Vec<&str> = own.iter().chain(&convolution).map(String::as_str).collect();
        let heads = ("attention.head_count_kv", vec![0, 3].into());
        let error = told(&header("lfm9", &tensors, &[heads, ("shortconv.l_cache", Value::from(3u32))]));
        assert!(error.contains("nearest of these is `lfm2`, which knows all tensors and keys"), "{error}");
    }

    #[test]
    fn layers_without_attention_are_nearest_to_those_without() {
        let parts = ["ssm_in.weight", "ssm_conv1d.weight", "ssm_a", "ssm_d", "ssm_dt.bias", "ssm_norm.weight"];
        let own: Vec<String> = parts
            .into_iter()
            .chain(["ssm_out.weight", "attn_norm.weight"])
            .map(|part| format!("blk.1.{part}"))
            .collect();
        let tensors: Vec<&str> =
            own.iter().map(String::as_str).chain(["token_embd.weight", "output_norm.weight"]).collect();
        let sizes = [("conv_kernel", 4u32), ("group_count", 1), ("inner_size", 16), ("state_size", 8)];
        let sizes = sizes.into_iter().chain([("time_step_rank", 2)]).map(|(key, size)| (format!("ssm.{key}"), size));
        let sizes: Vec<(String, u32)> = sizes.collect();
        let keys: Vec<(&str, Value)> = sizes.iter().map(|(key, size)| (key.as_str(), (*size).into())).collect();
        let error = told(&header("mamba3", &tensors, &keys));
        assert!(error.contains("nearest of these is `mamba2`, which knows all tensors and keys"), "{error}");
    }

    #[test]
    fn of_two_that_know_all_tensors_the_one_with_fewer_others_is_nearest() {
        let own = QWEN3.iter().filter(|name| !name.contains("_norm.weight") || !name.contains("attn_"));
        let around = ["attn_norm", "post_attention_norm", "post_ffw_norm"].map(|stem| format!("blk.1.{stem}.weight"));
        let tensors: Vec<&str> =
            own.filter(|name| !name.contains("ffn_gate")).copied().chain(around.iter().map(String::as_str)).collect();
        let error = told(&header("glm9", &tensors, &[]));
        assert!(error.contains("nearest of these is `glm4`, which knows all tensors and keys"), "{error}");
    }

    #[test]
    fn a_long_list_is_cut() {
        let new: Vec<String> = (0..11).map(|i| format!("blk.0.new_{i}.weight")).collect();
        let tensors: Vec<&str> = QWEN3.into_iter().chain(new.iter().map(String::as_str)).collect();
        let error = told(&header("x", &tensors, &[]));
        assert!(error.contains("`blk.#.new_6.weight` and 3 more. Use"), "{error}");
    }
}
