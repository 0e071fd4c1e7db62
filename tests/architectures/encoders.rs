//! Compares encoders with transformers on the same ids.

use std::path::Path;

use pollster::block_on;
use serde::Deserialize;
use weft_llm::inference::EmbedOptions;
use weft_llm::inference::encoder::LoadedEncoder;
use weft_llm::model::encoder_config::Pooling;
use weft_llm::tokenizer::Segments;

use super::{TOLERANCE, difference};

#[derive(Deserialize)]
struct Golden {
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    ids: Vec<u32>,
    /// The segment of each token.
    token_type_ids: Option<Vec<u32>>,
    /// (ids, hidden)
    hidden: Vec<Vec<f32>>,
    /// (ids, vocabulary): the logits of each position
    logits: Option<Vec<Vec<f32>>>,
    class_logits: Option<ClassLogits>,
    /// (hidden), of length 1
    mean: Option<Vec<f32>>,
    cls: Option<Vec<f32>>,
    /// The same, pooled as the file says, with what comes behind pooling.
    embedding: Option<Vec<f32>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ClassLogits {
    OfTheText(Vec<f32>),
    OfEachToken(Vec<Vec<f32>>),
}

/// The results that exceed the tolerance, as sentences.
pub fn check(case: &str, folder: &Path, encoder: &mut LoadedEncoder) -> Vec<String> {
    let golden: Golden = serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for Prompt { ids, token_type_ids, hidden, logits, class_logits, mean, cls, embedding } in golden.prompts {
        let mut compare = |what: &str, got: &[Vec<f32>], expected: &[Vec<f32>]| {
            let delta = difference(got, expected);
            println!("{case}, {} ids, {what}: {delta:.1e}", ids.len());
            if delta > TOLERANCE {
                wrong.push(format!("{case}, {} ids, {what}: {delta:.1e}", ids.len()));
            }
        };
        let second = token_type_ids.and_then(|types| types.iter().position(|&segment| segment == 1));
        let input = Segments { ids: ids.clone(), first: 0..ids.len(), second };
        let got = block_on(encoder.hidden(std::slice::from_ref(&input))).unwrap();
        compare("hidden", &[got], &[hidden.concat()]);
        if let Some(expected) = logits {
            let positions: Vec<usize> = (0..ids.len()).collect();
            compare("logits", &block_on(encoder.masked_logits(&input, &positions)).unwrap(), &expected);
        }
        match class_logits {
            Some(ClassLogits::OfTheText(expected)) => {
                compare("classes", &[block_on(encoder.class_logits("classify", &input)).unwrap()], &[expected]);
            }
            Some(ClassLogits::OfEachToken(expected)) => {
                compare("classes", &[block_on(encoder.token_logits(&input)).unwrap()], &[expected.concat()]);
            }
            None => {}
        }
        for (pooling, expected) in [(Some(Pooling::Mean), mean), (Some(Pooling::Cls), cls), (None, embedding)] {
            let options = EmbedOptions { pooling, ..EmbedOptions::default() };
            if let Some(expected) = expected {
                compare(
                    "embedding",
                    &block_on(encoder.embed_ids(std::slice::from_ref(&input), options)).unwrap(),
                    &[expected],
                );
            }
        }
    }
    wrong
}
