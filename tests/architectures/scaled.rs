//! Scales of weights as separate tensors, as in files of NVFP4 and ternary weights.

use weft_llm::format::BlockType;
use weft_llm::inference::LoadedModel;

use super::support::tiny::Tiny;
use super::{ENGINES, TOLERANCE, difference, encoders, folders, golden, logits, open, sources};

/// Whether a tensor is the weight of a projection that may have a scale.
fn is_projection(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".weight") else { return false };
    let part = stem.rsplit('.').next().unwrap_or(stem);
    let projections = [
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_qkv",
        "attn_output",
        "ssm_in",
        "ssm_x",
        "ssm_dt",
        "ssm_out",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
        "time_mix_receptance",
        "time_mix_key",
        "time_mix_value",
        "time_mix_output",
        "channel_mix_key",
        "channel_mix_value",
    ];
    projections.iter().any(|projection| match part.strip_prefix(projection) {
        Some(kind) => ["", "_exps", "_up_exps", "_shexp"].contains(&kind),
        None => part == "output",
    })
}

/// The same model with separate scales (powers of two) for its projections, whose weights are
/// divided by them.
fn scaled(mut file: Tiny) -> Tiny {
    let names: Vec<String> = file.tensors.keys().filter(|name| is_projection(name)).cloned().collect();
    for (i, name) in names.iter().enumerate() {
        let tensor = file.tensors.get_mut(name).unwrap();
        assert_eq!(tensor.block, BlockType::F32, "{name}");
        let experts = tensor.dims.get(2).map_or(1, |&experts| experts as usize);
        let mut factors: Vec<f32> = (0..experts).map(|e| 2f32.powi(((i + 3 * e) % 7) as i32 - 3)).collect();
        let expert = tensor.data.len() / experts;
        for (weights, factor) in tensor.data.chunks_exact_mut(expert).zip(&factors) {
            for weight in weights.as_chunks_mut::<4>().0 {
                *weight = (f32::from_le_bytes(*weight) / factor).to_le_bytes();
            }
        }
        let stem = name.strip_suffix(".weight").unwrap();
        // the model's own, if it has some
        let own = file.tensors.get(&format!("{stem}.scale")).map(|own| own.data.as_chunks::<4>().0);
        for (factor, own) in factors.iter_mut().zip(own.into_iter().flatten()) {
            *factor *= f32::from_le_bytes(*own);
        }
        file = file.vector(&format!("{stem}.scale"), &factors);
        file = file.vector(&format!("{stem}.input_scale"), &factors);
    }
    assert!(names.len() > 5, "{names:?}");
    file
}

/// A file with `blk.0.attn_q.scale` used to be refused.
#[test]
fn separate_scales_multiply_the_products() {
    let mut wrong = Vec::new();
    // what is in blocks is not divided
    for folder in folders().into_iter().filter(|folder| !folder.ends_with("gpt-oss-mxfp4")) {
        let file = scaled(Tiny::read(&std::fs::read(folder.join("model.gguf")).unwrap())).bytes();
        for (engine, make) in ENGINES {
            // these two contain all operations; compiling shaders takes time
            if engine == "gpu" && !["llama", "qwen2moe"].iter().any(|name| folder.ends_with(name)) {
                continue;
            }
            let case = format!("{} on {engine}", folder.file_name().unwrap().display());
            let open = |context| open(make(), &file, context).unwrap_or_else(|error| panic!("{case}: {error}"));
            if let LoadedModel::Encoder(mut decoder) = open(None) {
                wrong.extend(encoders::check(&case, &folder, &mut decoder));
                continue;
            }
            // some models depend on the length of the context
            let prompt = &golden(&folder).prompts[0];
            let target = prompt.decoder_input_ids.as_deref().unwrap_or_default();
            let mut decoder = open(Some(prompt.ids.len() + target.len())).into_decoder("generate").unwrap();
            let rows = match target {
                [] => logits(&mut decoder, &prompt.ids),
                target => sources::logits_behind(&mut decoder, &prompt.ids, target),
            };
            let delta = difference(&rows, &prompt.logits);
            if delta > TOLERANCE {
                wrong.push(format!("{case}: {delta:.1e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
