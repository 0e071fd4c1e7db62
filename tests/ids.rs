//! Files without a vocabulary: ids in, ids out.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::tiny::{Tiny, VOCAB, session_on};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::HostEngine;
use weft_llm::format::{BlockType, Value};
use weft_llm::sampling::SamplingOptions;
use weft_llm::session::{Event, GenerateOptions, Session};
use weft_llm::tokenizer::{EncodeOptions, Message};

fn load(edit: impl FnOnce(&mut Vec<(String, Value)>)) -> Session {
    let mut tiny = Tiny::new(5, |_| BlockType::Q4_0);
    edit(&mut tiny.metadata);
    session_on(HostEngine::new(Simd::default()), &tiny.bytes()).unwrap()
}

/// A model without a vocabulary, with the metadata that llama.cpp's converter writes for it.
fn without_vocabulary(model: &str) -> Session {
    load(|metadata| {
        metadata.retain(|(key, _)| !key.starts_with("tokenizer."));
        metadata.push(("tokenizer.ggml.model".into(), model.into()));
        metadata.push(("tokenizer.chat_template".into(), "{{ messages[0].content }}".into()));
    })
}

fn answer(session: &mut Session, prompt: &[u32]) -> (Vec<u32>, String) {
    let options = GenerateOptions { max_tokens: Some(8), sampling: SamplingOptions::greedy(), ..Default::default() };
    session.start(prompt.to_vec(), GenerateOptions { ignore_eos: true, ..options }, 0).unwrap();
    let (mut ids, mut all) = (Vec::new(), String::new());
    loop {
        match block_on(session.next()).unwrap() {
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
        let mut session = without_vocabulary(model);
        assert_eq!(session.info().vocabulary_size, VOCAB);
        assert_eq!(session.info().tasks, ["generate", "score"]);
        assert_eq!(answer(&mut session, &prompt), (expected.clone(), String::new()));
        assert_eq!(block_on(session.score(&prompt, 1, false)).unwrap().len(), 2);
        let tokenizer = session.tokenizer();
        let failures = [
            tokenizer.encode("", EncodeOptions::default()).unwrap_err(),
            tokenizer.decode(&[1], true).unwrap_err(),
            session.chat_prompt(&vec![Message::new("user", "a")].into(), 0).unwrap_err(),
        ];
        for error in failures {
            assert_eq!(error.code(), "UNSUPPORTED_TOKENIZER");
            assert!(error.to_string().contains(&format!("`{model}`): it takes token ids")), "{error}");
        }
    }
}

/// llama.cpp#11613: its saver writes these for "none".
#[test]
fn ids_that_no_token_has_are_absent() {
    let names =
        ["bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask", "fim_pre", "fim_suf", "fim_mid"];
    let more = ["fim_pad", "fim_rep", "fim_sep", "prefix", "suffix", "middle"];
    for none in [Value::U32(u32::MAX), Value::U32(VOCAB as u32), Value::I32(-1), Value::I64(-1), Value::U64(u64::MAX)] {
        let session = load(|metadata| {
            for name in names.iter().chain(&more) {
                let key = format!("tokenizer.ggml.{name}_token_id");
                metadata.retain(|(other, _)| *other != key);
                metadata.push((key, none.clone()));
            }
        });
        let whole = EncodeOptions { add_special: true, parse_special: false };
        // SentencePiece's default ids
        assert_eq!(session.tokenizer().encode("a", whole).unwrap()[..2], [1, 3 + 0xE2], "{none}");
        assert_eq!(session.tokenizer().ends(), [2]);
        assert!(!session.tokenizer().fills_gaps());
    }
}
