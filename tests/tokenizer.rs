//! The tokenizers against other implementations; `fixtures/tokenizer/make.py` says which, and makes the fixtures.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde::Deserialize;
use weft_llm::format::{GgufReader, Header, Metadata, Sink, TensorInfo};
use weft_llm::tokenizer::{ChatTemplate, Detokenizer, EncodeOptions, Message, RenderOptions, Tokenizer, Vocabulary};

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

/// The metadata of the real model.
fn smollm2() -> Metadata {
    #[derive(Default)]
    struct First(Option<Header>);
    impl Sink for First {
        fn header(&mut self, header: Header) -> weft_llm::Result<()> {
            self.0 = Some(header);
            Ok(())
        }
        fn rows(&mut self, _: &TensorInfo, _: usize, _: &[u8]) -> weft_llm::Result<()> {
            Ok(())
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/SmolLM2-135M-Instruct.Q4_1.gguf");
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (mut first, mut reader) = (First::default(), GgufReader::new());
    let mut chunk = vec![0; 1 << 20];
    while first.0.is_none() {
        let read = std::io::Read::read(&mut &file, &mut chunk).unwrap();
        assert!(read > 0, "{path} ends before its header does");
        reader.feed(&chunk[..read], &mut first).unwrap();
    }
    first.0.unwrap().metadata
}

#[test]
#[ignore = "needs the real model in models/"]
fn smollm2_agrees_with_hugging_face() {
    #[derive(Deserialize)]
    struct Fixture {
        plain: Vec<Case>,
        special: Vec<Case>,
        chat: Vec<Case>,
    }
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/tokenizer/smollm2.json")).unwrap();
    let metadata = smollm2();
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let tokenizer = Tokenizer::new(Vocabulary {
        model: metadata.str(&key("model")).unwrap().into(),
        pre: metadata.opt_str(&key("pre")).unwrap().map(Into::into),
        tokens: metadata.strings(&key("tokens")).unwrap().into(),
        token_types: metadata.i32s(&key("token_type")).unwrap().into(),
        merges: metadata.strings(&key("merges")).unwrap().into(),
        bos: metadata.opt_u32(&key("bos_token_id")).unwrap(),
        eos: metadata.opt_u32(&key("eos_token_id")).unwrap(),
        add_bos: metadata.opt_bool(&key("add_bos_token")).unwrap(),
        ..Default::default()
    });
    let tokenizer = tokenizer.unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.bos(), tokenizer.eos()), (49152, Some(1), Some(2)));
    assert!(!tokenizer.adds_bos() && tokenizer.is_end_of_generation(0) && tokenizer.is_end_of_generation(2));

    // The vocabulary has no token for some control characters and bytes of rare planes.
    let parsed = EncodeOptions { parse_special: true, ..PLAIN };
    check(&tokenizer, PLAIN, &fixture.plain, false);
    check(&tokenizer, parsed, &fixture.special, false);

    let template = ChatTemplate::new(metadata.str("tokenizer.chat_template").unwrap()).unwrap();
    assert!(!fixture.chat.is_empty());
    for Case { text, ids } in fixture.chat {
        let options = RenderOptions { add_generation_prompt: true, ..Default::default() };
        let prompt = template.render(&[Message::new("user", text)], &options).unwrap();
        assert_eq!(tokenizer.encode(&prompt, parsed).unwrap(), ids);
    }
}
