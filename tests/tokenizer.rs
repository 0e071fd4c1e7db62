//! The tokenizers against other implementations; `fixtures/tokenizer/make.py` says which, and makes the fixtures.

use serde::Deserialize;
use weft_llm::tokenizer::{Detokenizer, EncodeOptions, Tokenizer, Vocabulary};

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };

/// Compares the ids of every case, and decodes them again at once and one by one.
fn check(tokenizer: &Tokenizer, options: EncodeOptions, cases: &[Case], spells_everything: bool) {
    assert!(!cases.is_empty());
    for Case { text, ids } in cases {
        assert_eq!(&tokenizer.encode(text, options).unwrap(), ids, "{text:?}");
        let decoded = tokenizer.decode(ids, false).unwrap();
        if spells_everything {
            assert_eq!(&decoded, text);
        }
        let mut stream = Detokenizer::new(false);
        let mut streamed: String = ids.iter().map(|&id| stream.push(tokenizer, id).unwrap()).collect();
        streamed += &stream.flush();
        // Only at the start of a text is a space no part of it.
        assert!(streamed == decoded || streamed == format!(" {decoded}"), "{streamed:?} {decoded:?}");
    }
}

#[test]
fn byte_level_agrees_with_hugging_face_under_every_pre_tokenizer() {
    #[derive(Deserialize)]
    struct Fixture {
        tokens: Vec<String>,
        merges: Vec<String>,
        cases: std::collections::BTreeMap<String, Vec<Case>>,
    }
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/tokenizer/byte_level.json")).unwrap();
    assert_eq!(fixture.cases.keys().collect::<Vec<_>>(), ["default", "gpt-2", "llama-bpe", "qwen2", "smollm"]);
    for (pre, cases) in fixture.cases {
        let tokenizer = Tokenizer::new(Vocabulary {
            model: "gpt2".into(),
            pre: Some(pre.clone()),
            tokens: fixture.tokens.clone(),
            merges: fixture.merges.clone(),
            ..Default::default()
        });
        // Qwen2 composes Unicode, so decomposed text does not come back as it went in.
        check(&tokenizer.unwrap(), PLAIN, &cases, pre != "qwen2");
    }
}

#[test]
fn sentencepiece_agrees_with_sentencepiece() {
    #[derive(Deserialize)]
    struct Fixture {
        tokens: Vec<String>,
        scores: Vec<f32>,
        types: Vec<i32>,
        cases: Vec<Case>,
    }
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/tokenizer/sentencepiece.json")).unwrap();
    let tokenizer = Tokenizer::new(Vocabulary {
        model: "llama".into(),
        tokens: fixture.tokens,
        scores: fixture.scores,
        token_types: fixture.types,
        ..Default::default()
    });
    // A literal `▁` is spelled as a space is, so that it comes back as one.
    let (blocks, others): (Vec<_>, Vec<_>) = fixture.cases.into_iter().partition(|case| case.text.contains('▁'));
    let tokenizer = tokenizer.unwrap();
    check(&tokenizer, PLAIN, &blocks, false);
    check(&tokenizer, PLAIN, &others, true);
}
