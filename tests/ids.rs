//! Files without a vocabulary: ids in, ids out.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::tiny::{Tiny, VOCAB, decoder_on};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::HostEngine;
use weft_llm::format::{BlockType, Value};
use weft_llm::inference::{Event, GenerateOptions, LoadedDecoder};
use weft_llm::sampling::SamplingOptions;
use weft_llm::tokenizer::{EncodeOptions, Message};

fn load(edit: impl FnOnce(&mut Vec<(String, Value)>)) -> LoadedDecoder {
    let mut tiny = Tiny::new(5, |_| BlockType::Q4_0);
    edit(&mut tiny.metadata);
    decoder_on(HostEngine::new(Simd::default()), &tiny.bytes()).unwrap()
}

/// A model without a vocabulary, with the metadata that llama.cpp's converter writes for it.
fn without_vocabulary(model: &str) -> LoadedDecoder {
    load(|metadata| {
        metadata.retain(|(key, _)| !key.starts_with("tokenizer."));
        metadata.push(("tokenizer.ggml.model".into(), model.into()));
        metadata.push(("tokenizer.chat_template".into(), "{{ messages[0].content }}".into()));
    })
}

fn answer(decoder: &mut LoadedDecoder, prompt: &[u32]) -> (Vec<u32>, String) {
    let options = GenerateOptions { max_tokens: Some(8), sampling: SamplingOptions::greedy(), ..Default::default() };
    let generation = decoder.start(prompt.to_vec(), GenerateOptions { ignore_eos: true, ..options }, 0).unwrap();
    let (mut ids, mut all) = (Vec::new(), String::new());
    loop {
        match block_on(decoder.next(generation)).unwrap() {
            Event::Prompt { .. } => {}
            Event::Token { id, text, .. } => {
                ids.push(id);
                all += &text;
            }
            Event::End { text, .. } => return (ids, all + &text),
        }
    }
}

#[test]
fn a_model_without_a_tokenizer_takes_and_gives_ids() {
    let prompt = [1, 70, 80];
    let (expected, text) = answer(&mut load(|_| ()), &prompt);
    assert!(!text.is_empty());
    for model in ["none", "no_vocab"] {
        let mut decoder = without_vocabulary(model);
        assert_eq!(decoder.info().vocabulary_size, VOCAB);
        assert_eq!(decoder.info().tasks, ["generate", "score"]);
        assert_eq!(answer(&mut decoder, &prompt), (expected.clone(), String::new()));
        assert_eq!(block_on(decoder.score(&prompt, 1, false)).unwrap().len(), 2);
        let tokenizer = decoder.tokenizer();
        let failures = [
            tokenizer.encode("", EncodeOptions::default()).unwrap_err(),
            tokenizer.decode(&[1], true).unwrap_err(),
            decoder.chat_prompt(&vec![Message::new("user", "a")].into(), 0).unwrap_err(),
        ];
        for error in failures {
            assert_eq!(error.code(), "UNSUPPORTED_TOKENIZER");
            assert!(error.to_string().contains(&format!("`{model}`): it takes token ids")), "{error}");
        }
    }
}

/// llama.cpp#11613: its saver writes these for "none".
#[test]
fn ids_without_a_token_are_absent() {
    let names =
        ["bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask", "fim_pre", "fim_suf", "fim_mid"];
    let more = ["fim_pad", "fim_rep", "fim_sep", "prefix", "suffix", "middle"];
    for none in [Value::U32(u32::MAX), Value::U32(VOCAB as u32), Value::I32(-1), Value::I64(-1), Value::U64(u64::MAX)] {
        let decoder = load(|metadata| {
            for name in names.iter().chain(&more) {
                let key = format!("tokenizer.ggml.{name}_token_id");
                metadata.retain(|(other, _)| *other != key);
                metadata.push((key, none.clone()));
            }
        });
        let whole = EncodeOptions { add_special: true, parse_special: false };
        // SentencePiece's default ids
        assert_eq!(decoder.tokenizer().encode("a", whole).unwrap()[..2], [1, 3 + 0xE2], "{none}");
        assert_eq!(decoder.tokenizer().ends(), [2]);
        assert!(!decoder.tokenizer().fills_gaps());
    }
}
