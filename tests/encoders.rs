//! Tasks of encoders, and errors of files and texts. tests/architectures.rs checks the numbers.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::chats::engines;
use support::tiny::{HIDDEN, Tiny, VOCAB};
use weft_llm::Error;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::shared::SharedEngine;
use weft_llm::format::{Array, BlockType, Value};
use weft_llm::inference::{EmbedOptions, LoadedModel, Loading};
use weft_llm::model::encoder_config::Pooling;

/// A file of tests/fixtures/architectures.
fn fixture(name: &str) -> Tiny {
    let path = format!("{}/tests/fixtures/architectures/{name}/model.gguf", env!("CARGO_MANIFEST_DIR"));
    Tiny::read(&std::fs::read(path).unwrap())
}

fn load(tiny: &Tiny) -> Result<LoadedModel, Error> {
    let mut loading = Loading::new(Box::new(HostEngine::new(Reference)), None);
    block_on(loading.feed(&tiny.bytes()))?;
    block_on(loading.finish_any())
}

fn load_on(engine: &SharedEngine, tiny: &Tiny) -> LoadedModel {
    let mut loading = Loading::new(engine.clone(), None);
    block_on(loading.feed(&tiny.bytes())).unwrap();
    block_on(loading.finish_any()).unwrap()
}

/// The vectors of all texts, and the calls that they took.
fn embed_all(model: &mut LoadedModel, texts: &[String], options: EmbedOptions) -> (Vec<Vec<f32>>, usize) {
    let (mut vectors, mut calls) = (Vec::new(), 0);
    while vectors.len() < texts.len() {
        vectors.extend(block_on(model.embed(&texts[vectors.len()..], options)).unwrap());
        calls += 1;
    }
    (vectors, calls)
}

/// Texts of at most so many letters, of which few follow the same others.
fn texts(count: usize, most: usize) -> Vec<String> {
    let letter = |i: usize| ["a ", "b ", "c ", "d "][i * (i + 1) / 2 % 4];
    (0..count).map(|text| (0..1 + text * 17 % most).map(|i| letter(i + text)).collect()).collect()
}

fn failure(tiny: &Tiny) -> String {
    let error = load(tiny).err().unwrap();
    format!("{} {error}", error.code())
}

fn labels(names: &[&str]) -> Value {
    Value::Array(Array::Strings(names.iter().map(|name| name.to_string()).collect()))
}

#[test]
fn an_incomplete_head_is_named() {
    for (name, without, missing) in [
        ("bert-sequence-classification", "cls.weight", "cls.weight"),
        ("bert-sequence-classification", "cls.output.weight", "cls.output.weight"),
        ("bert-masked-lm", "mlm_transform_norm.weight", "mlm_transform_norm.weight"),
        ("sentence-bert", "position_embd.weight", "position_embd.weight"),
        ("sentence-bert", "blk.1.attn_k.weight", "blk.1.attn_k.weight"),
        ("sentence-bert", "token_embd_norm.weight", "token_embd_norm.weight"),
    ] {
        let mut tiny = fixture(name).without(without);
        if without == "cls.weight" || without == "cls.output.weight" {
            tiny = tiny.without(&without.replace("weight", "bias"));
        }
        let error = failure(&tiny);
        assert!(error.starts_with("INVALID_MODEL") && error.contains(missing), "{name} without {without}: {error}");
    }
}

/// A bias without its weight would be unused; it is refused instead of ignored.
#[test]
fn a_bias_without_its_weight_is_named() {
    let error = failure(&fixture("bert-token-classification").without("token_cls.weight"));
    assert!(error.starts_with("UNSUPPORTED_MODEL") && error.contains("token_cls.bias"), "{error}");
}

#[test]
fn unknown_values_are_named() {
    let tiny = || fixture("bert-sequence-classification");
    for (tiny, expected) in [
        (tiny().meta("bert.pooling_type", 9u32), "bert.pooling_type is `9`"),
        (tiny().meta("bert.classifier.activation", "swish"), "bert.classifier.activation is `swish`"),
        (tiny().meta("bert.attention.causal", true), "bert.attention.causal is `true`"),
        // an empty list of labels counts as absent: the head then has one output
        (tiny().meta("bert.classifier.output_labels", labels(&[])), "shape of tensor `cls.output."),
        (tiny().meta("bert.classifier.output_labels", labels(&["a", "b"])), "shape of tensor `cls.output."),
    ] {
        let error = failure(&tiny);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn an_unsupported_task_is_named_with_the_supported_ones() {
    let mut model = load(&fixture("sentence-bert")).unwrap();
    let error = model.decoder("generate").err().unwrap();
    assert_eq!(error.code(), "UNSUPPORTED_TASK");
    let text = "`generate` needs a decoder, which continues a text; this model is an encoder (`bert`), for: embed";
    assert_eq!(error.to_string(), text);
    let encoder = model.encoder("classify").unwrap();
    for error in [
        block_on(encoder.classify("a", None, false)).unwrap_err(),
        block_on(encoder.rerank("a", "b", false)).unwrap_err(),
        block_on(encoder.classify_tokens("a", false)).unwrap_err(),
        block_on(encoder.fill_mask("a [MASK]", 1, false)).unwrap_err(),
    ] {
        assert_eq!(error.code(), "UNSUPPORTED_TASK", "{error}");
    }
    let mut decoder = load(&Tiny::new(1, |_| BlockType::F32)).unwrap();
    let error = block_on(decoder.embed(&["a"], EmbedOptions::default())).unwrap_err();
    assert!(error.to_string().contains("a decoder (`llama`), for: generate"), "{error}");
    assert_eq!(decoder.encoder("fillMask").err().unwrap().code(), "UNSUPPORTED_TASK");
}

#[test]
fn empty_and_overlong_texts_are_refused() {
    let mut model = load(&fixture("sentence-bert")).unwrap();
    let mut embed =
        |text: &str, truncate| block_on(model.embed(&[text], EmbedOptions { truncate, ..EmbedOptions::default() }));
    let error = embed(" ", false).unwrap_err();
    assert!(error.code() == "INVALID_OPTION" && error.to_string().contains("at least one token"), "{error}");
    let long = "a ".repeat(60);
    let error = embed(&long, false).unwrap_err();
    assert_eq!((error.code(), error.to_string().contains("62 tokens")), ("CONTEXT_OVERFLOW", true), "{error}");
    // the limit: 46 words and two special tokens
    assert_eq!(embed(&long, true).unwrap(), embed(&"a ".repeat(46), false).unwrap());
}

#[test]
fn masks_are_filled_separately_and_a_text_without_one_is_refused() {
    let mut model = load(&fixture("bert-masked-lm")).unwrap();
    assert_eq!(model.info().mask_token.as_deref(), Some("[MASK]"));
    let encoder = model.encoder("fillMask").unwrap();
    let filled = block_on(encoder.fill_mask("a [MASK] b [MASK]", 64, false)).unwrap();
    assert_eq!(filled.iter().map(Vec::len).collect::<Vec<_>>(), [64, 64]);
    for fillings in &filled {
        assert!(fillings.is_sorted_by(|a, b| a.score >= b.score));
        assert!((fillings.iter().map(|filling| filling.score).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    assert_ne!(filled[0], filled[1]);
    let error = block_on(encoder.fill_mask("a b", 1, false)).unwrap_err();
    assert!(error.code() == "INVALID_OPTION" && error.to_string().contains("[MASK]"), "{error}");
    // a mask that truncation removes does not count
    let far = "a ".repeat(60) + "[MASK]";
    assert_eq!(block_on(encoder.fill_mask(&far, 1, true)).unwrap_err().code(), "INVALID_OPTION");
}

#[test]
fn two_texts_are_read_together_in_order() {
    let mut model = load(&fixture("bert-sequence-classification")).unwrap();
    assert_eq!(model.info().labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
    let encoder = model.encoder("classify").unwrap();
    let mut scores = |text: &str, pair: Option<&str>| block_on(encoder.classify(text, pair, false)).unwrap();
    let (one, pair, swapped) = (scores("a b", None), scores("a", Some("b")), scores("b", Some("a")));
    for scores in [&one, &pair, &swapped] {
        assert!((scores.iter().map(|label| label.score).sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(scores.is_sorted_by(|a, b| a.logit >= b.logit));
    }
    assert!(one != pair && pair != swapped);
}

/// RoBERTa has one segment: the second text of a pair is not told apart by it.
#[test]
fn pairs_of_a_model_with_one_segment_are_read_in_one() {
    let mut model = load(&fixture("bert-xlm-roberta")).unwrap();
    assert_eq!(model.info().tasks, ["embed", "rerank", "classify"]);
    let encoder = model.encoder("rerank").unwrap();
    let answer = block_on(encoder.rerank("a b", "c", false)).unwrap();
    let [first, second] = ["a b", "c"].map(|text| encoder.tokenizer().encode(text, Default::default()).unwrap());
    let mut input = encoder.tokenizer().segments(&first, Some(&second));
    assert!(input.second.take().is_some());
    assert_eq!(block_on(encoder.class_logits("rerank", &input)).unwrap(), [answer.logit]);
}

/// A classifier with a single label is a reranker.
#[test]
fn one_label_ranks() {
    let mut tiny = fixture("bert-sequence-classification").meta("bert.classifier.output_labels", labels(&["rank"]));
    for (name, values) in [("cls.output.weight", 36), ("cls.output.bias", 1)] {
        let tensor = tiny.tensors.get_mut(name).unwrap();
        *tensor.dims.last_mut().unwrap() = 1;
        tensor.data.truncate(4 * values);
    }
    let mut three = load(&fixture("bert-sequence-classification")).unwrap();
    let three = block_on(three.encoder("classify").unwrap().classify("a b", Some("c"), false)).unwrap();
    let expected = three.iter().find(|label| label.label == "LABEL_0").unwrap().logit;
    let mut model = load(&tiny).unwrap();
    assert_eq!(model.info().tasks, ["embed", "rerank", "classify"]);
    let answer = block_on(model.encoder("rerank").unwrap().rerank("a b", "c", false)).unwrap();
    assert!((answer.logit - expected).abs() < 1e-5);
    assert!((answer.score - 1.0 / (1.0 + (-expected).exp())).abs() < 1e-5);
}

#[test]
fn each_token_of_a_text_gets_a_label() {
    let mut model = load(&fixture("bert-token-classification")).unwrap();
    let tokens = block_on(model.encoder("classifyTokens").unwrap().classify_tokens("a singer", false)).unwrap();
    assert_eq!(tokens.iter().map(|token| token.text.as_str()).collect::<String>(), " a singer");
    assert!(tokens.iter().all(|token| token.label.score >= 0.2 && token.label.label.starts_with("LABEL_")));
}

/// As in Qwen3-Embedding: the last norm's output for the last token. Its product with the output
/// matrix is the logits.
#[test]
fn a_decoder_with_pooling_embeds() {
    let tiny = Tiny::new(3, |_| BlockType::F32).meta("llama.pooling_type", 3u32);
    let mut model = load(&tiny).unwrap();
    assert_eq!(model.info().tasks, ["generate", "score", "embed"]);
    let raw = EmbedOptions { normalize: false, ..EmbedOptions::default() };
    let text = "a text that is longer than a chunk of the prompt, so that it goes in two";
    let vector = block_on(model.embed(&[text], raw)).unwrap().remove(0);
    let LoadedModel::Decoder(encoder) = &mut model else { panic!("no decoder") };
    let options = weft_llm::tokenizer::EncodeOptions { add_special: true, parse_special: false };
    let ids = encoder.tokenizer().encode(text, options).unwrap();
    let mut last = Vec::new();
    block_on(encoder.logits(&ids, |_, logits| last = logits.to_vec())).unwrap();
    let table: Vec<f32> =
        tiny.tensors["token_embd.weight"].data.as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
    assert_eq!((vector.len(), last.len()), (HIDDEN, VOCAB));
    for (row, logit) in table.chunks_exact(HIDDEN).zip(last) {
        let product: f32 = row.iter().zip(&vector).map(|(a, b)| a * b).sum();
        assert!((product - logit).abs() < 1e-4, "{product} is not {logit}");
    }
    let unit = block_on(model.embed(&[text], EmbedOptions::default())).unwrap().remove(0);
    assert!((unit.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    let error = block_on(model.embed(&[text.repeat(9)], raw)).unwrap_err();
    assert_eq!(error.code(), "CONTEXT_OVERFLOW");
    block_on(model.embed(&[text.repeat(9)], EmbedOptions { truncate: true, ..raw })).unwrap();
}

/// As in Qwen3-Reranker: the probability of yes against no, behind the model's own prompt.
#[test]
fn a_decoder_with_a_head_ranks() {
    let template = "<s>ask {query} say {document}</s>";
    let tiny = fixture("qwen3-reranker").meta("tokenizer.chat_template.rerank", template);
    let mut model = load(&tiny.meta("tokenizer.chat_templates", labels(&["rerank"]))).unwrap();
    assert!(model.info().tasks.contains(&"rerank"), "{:?}", model.info().tasks);
    let answer = block_on(model.rerank("what", "that", false)).unwrap();
    let options = weft_llm::tokenizer::EncodeOptions { add_special: false, parse_special: true };
    let ids = model.tokenizer().encode("<s>ask what say that</s>", options).unwrap();
    assert_eq!((ids[0], ids[ids.len() - 1]), (0, 1));
    let LoadedModel::Decoder(decoder) = &mut model else { panic!("no decoder") };
    let logits = block_on(decoder.class_logits(ids)).unwrap();
    let expected = 1.0 / (1.0 + (logits[1] - logits[0]).exp());
    assert!((answer.score - expected).abs() < 1e-6 && (answer.logit - logits[0] + logits[1]).abs() < 1e-5);
    assert_eq!(answer.label, "yes");
    // a document that spells the end of a turn is text
    let spelt = block_on(model.rerank("what", "that</s>", false)).unwrap();
    assert_ne!(spelt.logit, answer.logit);
    let long = "that ".repeat(99);
    assert_eq!(block_on(model.rerank("what", &long, false)).unwrap_err().code(), "CONTEXT_OVERFLOW");
    assert!(block_on(model.rerank("what", &long, true)).unwrap().score.is_finite());
    // without its own, the prompt of the architecture
    let mut model = load(&fixture("qwen3-reranker")).unwrap();
    assert_eq!(block_on(model.rerank("a", "b", false)).unwrap_err().code(), "CONTEXT_OVERFLOW");
    let error = block_on(load(&fixture("qwen3")).unwrap().rerank("a", "b", false)).unwrap_err();
    assert!(error.code() == "UNSUPPORTED_TASK" && error.to_string().contains("trained to rank"), "{error}");
}

#[test]
fn texts_that_share_a_step_have_the_vectors_of_each_alone() {
    let decoder = Tiny::new(3, |_| BlockType::Q8_0).meta("llama.pooling_type", 3u32);
    let encoders = ["sentence-bert", "gemma-embedding", "modern-bert", "jina-bert-v2", "nomic-bert-moe", "t5encoder"];
    let encoders = encoders.map(|name| ("encoder", fixture(name)));
    for (kind, tiny) in encoders.into_iter().chain([("decoder", decoder)]) {
        for (name, engine) in engines() {
            let mut model = load_on(&engine, &tiny);
            for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Last] {
                if kind == "decoder" && pooling != Pooling::Last {
                    continue;
                }
                let options = EmbedOptions { pooling: Some(pooling), normalize: false, ..EmbedOptions::default() };
                // a letter is one token or some four, of the 48 or 32 of a step
                let texts = texts(60, if kind == "encoder" { 20 } else { 5 });
                let (together, calls) = embed_all(&mut model, &texts, options);
                assert!(calls < 60, "{name}, {kind}: {calls} calls");
                for (text, vector) in texts.iter().zip(together) {
                    let alone = block_on(model.embed(&[text], options)).unwrap().remove(0);
                    assert_eq!(vector, alone, "{name}, {kind}, {pooling:?}: {text}");
                }
            }
        }
    }
}

#[test]
fn a_wrong_text_fails_alone_behind_the_vectors_of_those_before_it() {
    let mut model = load(&fixture("sentence-bert")).unwrap();
    let texts = ["a b", "c", &"a ".repeat(60), "d"];
    assert_eq!(block_on(model.embed(&texts, EmbedOptions::default())).unwrap().len(), 2);
    let error = block_on(model.embed(&texts[2..], EmbedOptions::default())).unwrap_err();
    assert_eq!(error.code(), "CONTEXT_OVERFLOW");
    assert_eq!(block_on(model.embed(&[] as &[&str], EmbedOptions::default())).unwrap().len(), 0);
}
