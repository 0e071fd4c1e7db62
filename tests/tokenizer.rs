//! Compares the tokenizers with other implementations, which `fixtures/tokenizer/make.py` names; it
//! makes the fixtures.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};
use weft_llm::format::{GgufReader, Header, Metadata, Sink, TensorInfo};
use weft_llm::tokenizer::{ChatTemplate, Detokenizer, EncodeOptions, Message, RenderOptions, Tokenizer, Vocabulary};

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };

/// Compares the ids of every case, and decodes them at once and one by one.
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
        // decoding at once drops the space prefix at the start
        assert!(streamed == decoded || streamed == format!(" {decoded}"), "{streamed:?} {decoded:?}");
    }
}

#[test]
fn byte_level_agrees_with_hugging_face_under_every_pre_tokenizer() {
    #[derive(Deserialize)]
    struct Fixture {
        tokens: Vec<String>,
        merges: Vec<String>,
        cases: Vec<Results>,
        blocks: Blocks,
    }
    #[derive(Deserialize)]
    struct Results {
        text: String,
        results: Vec<By>,
    }
    #[derive(Deserialize)]
    struct By {
        pre: Vec<String>,
        ids: Vec<u32>,
    }
    #[derive(Deserialize)]
    struct Blocks {
        tokens: Vec<String>,
        merges: Vec<String>,
        cases: Vec<Case>,
    }
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/tokenizer/byte_level.json")).unwrap();
    let mut by_pre = BTreeMap::<String, Vec<Case>>::new();
    for Results { text, results } in fixture.cases {
        for By { pre, ids } in results {
            for pre in pre {
                by_pre.entry(pre).or_default().push(Case { text: text.clone(), ids: ids.clone() });
            }
        }
    }
    assert_eq!(by_pre.len(), 33);
    for (pre, cases) in by_pre {
        let tokenizer = Tokenizer::new(Vocabulary {
            model: "gpt2".into(),
            pre: Some(pre.clone()),
            tokens: fixture.tokens.clone(),
            merges: fixture.merges.clone(),
            ..Default::default()
        });
        // composed text does not decode to the decomposed original
        let composes = ["qwen2", "qwen35", "mpt", "command-r"].contains(&pre.as_str());
        println!("{pre}");
        check(&tokenizer.unwrap(), PLAIN, &cases, !composes);
    }

    let Blocks { tokens, merges, cases } = fixture.blocks;
    let kind = |token: &String| if token == "<unk>" { 2 } else { 1 + 5 * i32::from(token.starts_with("<0x")) };
    let token_types = tokens.iter().map(kind).collect();
    let vocabulary = Vocabulary { model: "gemma4".into(), tokens, merges, token_types, ..Default::default() };
    let tokenizer = Tokenizer::new(vocabulary).unwrap();
    let (blocks, others): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.text.contains('▁'));
    check(&tokenizer, PLAIN, &blocks, false);
    check(&tokenizer, PLAIN, &others, true);
}

#[test]
fn unigram_agrees_with_sentencepiece() {
    #[derive(Deserialize)]
    struct Fixture {
        remove_extra_whitespaces: bool,
        add_space_prefix: bool,
        charsmap: String,
        tokens: Vec<String>,
        scores: Vec<f32>,
        types: Vec<i32>,
        cases: Vec<Case>,
    }
    let fixtures: Vec<Fixture> = serde_json::from_str(include_str!("fixtures/tokenizer/unigram.json")).unwrap();
    assert_eq!(fixtures.len(), 2);
    for fixture in fixtures {
        let file = json!({
            "normalizer": {"type": "Precompiled", "precompiled_charsmap": fixture.charsmap},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Metaspace", "prepend_scheme": if fixture.add_space_prefix { "always" } else { "never" }},
            ]},
            "model": {"type": "Unigram", "unk_id": 0,
                "vocab": fixture.tokens.iter().zip(&fixture.scores).collect::<Vec<_>>()},
            "added_tokens": fixture.tokens.iter().zip(&fixture.types).enumerate().filter(|(_, (_, kind))| **kind != 1)
                .map(|(id, (token, kind))| json!({"id": id, "content": token, "special": *kind != 4})).collect::<Vec<_>>(),
        });
        // both forms of a vocabulary give the same
        if !fixture.remove_extra_whitespaces {
            let (tokenizer, _) = Tokenizer::from_hugging_face(&file.to_string(), None).unwrap();
            check(&tokenizer, PLAIN, &fixture.cases, false);
        }
        let tokenizer = Tokenizer::new(Vocabulary {
            model: "t5".into(),
            tokens: fixture.tokens,
            scores: fixture.scores,
            token_types: fixture.types,
            remove_extra_whitespaces: Some(fixture.remove_extra_whitespaces),
            add_space_prefix: Some(fixture.add_space_prefix),
            precompiled_charsmap: from_base64(&fixture.charsmap),
            ..Default::default()
        });
        check(&tokenizer.unwrap(), PLAIN, &fixture.cases, false);
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<usize> = text.chars().filter_map(|c| alphabet.find(c)).collect();
    let bits = |group: &[usize]| (0..4).fold(0, |sum, i| sum << 6 | group.get(i).copied().unwrap_or(0));
    let bytes = |group: &[usize]| bits(group).to_be_bytes()[5..5 + group.len() * 6 / 8].to_vec();
    digits.chunks(4).flat_map(bytes).collect()
}

#[test]
fn word_piece_agrees_with_hugging_face() {
    #[derive(Deserialize)]
    struct Fixture {
        lowercase: bool,
        tokens: Vec<String>,
        cases: Vec<Case>,
        pairs: Vec<Pair>,
    }
    #[derive(Deserialize)]
    struct Pair {
        first: String,
        second: String,
        ids: Vec<u32>,
        segments: Vec<usize>,
    }
    let fixtures: Vec<Fixture> = serde_json::from_str(include_str!("fixtures/tokenizer/word_piece.json")).unwrap();
    assert_eq!(fixtures.len(), 2);
    let options = EncodeOptions { add_special: true, parse_special: true };
    for fixture in fixtures {
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        let added = |(id, token): (usize, &&str)| json!({"id": id, "content": token, "special": true});
        let vocab: BTreeMap<_, _> = fixture.tokens.iter().zip(0..).collect();
        let file = json!({
            "normalizer": {"type": "BertNormalizer", "lowercase": fixture.lowercase, "strip_accents": null},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab},
            "added_tokens": special.iter().enumerate().map(added).collect::<Vec<_>>(),
        });
        let (by_json, _) = Tokenizer::from_hugging_face(&file.to_string(), None).unwrap();
        // the form of llama.cpp's converter
        let marked = |token: &String| match token.strip_prefix("##") {
            _ if special.contains(&token.as_str()) => token.clone(),
            Some(rest) => rest.to_owned(),
            None => format!("▁{token}"),
        };
        let by_gguf = Tokenizer::new(Vocabulary {
            model: "bert".into(),
            tokens: fixture.tokens.iter().map(marked).collect(),
            token_types: (0..fixture.tokens.len()).map(|id| if id < special.len() { 3 } else { 1 }).collect(),
            unk: Some(1),
            lowercase: Some(fixture.lowercase),
            ..Default::default()
        });
        for tokenizer in [by_json, by_gguf.unwrap()] {
            for Pair { first, second, ids, segments } in &fixture.pairs {
                let [a, b] = [first, second].map(|text| tokenizer.encode_masked(text).unwrap());
                let found = tokenizer.segments(&a, Some(&b));
                assert_eq!(&found.ids, ids, "{first:?} {second:?}");
                let second = segments.iter().position(|&segment| segment == 1);
                assert_eq!(found.second.filter(|&start| start < found.ids.len()), second, "{first:?} {second:?}");
            }
            for Case { text, ids } in &fixture.cases {
                assert_eq!(&tokenizer.encode(text, options).unwrap(), ids, "{text:?}");
            }
            let ids = tokenizer.encode("the dog.", options).unwrap();
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), "the dog .");
        }
    }
}

#[test]
fn word_ends_agree_with_hugging_face() {
    #[derive(Deserialize)]
    struct Fixture {
        file: Value,
        cases: Vec<Words>,
    }
    #[derive(Deserialize)]
    struct Words {
        text: String,
        ids: Vec<u32>,
        decoded: String,
    }
    let Fixture { file, cases } = serde_json::from_str(include_str!("fixtures/tokenizer/word_ends.json")).unwrap();
    let (tokenizer, _) = Tokenizer::from_hugging_face(&file.to_string(), None).unwrap();
    assert!(cases.len() > 50);
    for Words { text, ids, decoded } in cases {
        let parsed = EncodeOptions { parse_special: true, ..PLAIN };
        assert_eq!(tokenizer.encode(&text, parsed).unwrap(), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), decoded);
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
    // a literal `▁` is spelled like a space, so it decodes to one
    let (blocks, others): (Vec<_>, Vec<_>) = fixture.cases.into_iter().partition(|case| case.text.contains('▁'));
    let tokenizer = tokenizer.unwrap();
    check(&tokenizer, PLAIN, &blocks, false);
    check(&tokenizer, PLAIN, &others, true);
}

/// The metadata of the published model.
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

    // the vocabulary lacks some control characters and bytes of rare planes
    let parsed = EncodeOptions { parse_special: true, ..PLAIN };
    check(&tokenizer, PLAIN, &fixture.plain, false);
    check(&tokenizer, parsed, &fixture.special, false);

    let template = ChatTemplate::new(metadata.str("tokenizer.chat_template").unwrap()).unwrap();
    assert!(!fixture.chat.is_empty());
    for Case { text, ids } in fixture.chat {
        let options = RenderOptions { add_generation_prompt: true, ..Default::default() };
        let prompt = template.render(&[Message::new("user", text)], &options).unwrap();
        assert_eq!(tokenizer.encode_rendered(&prompt).unwrap(), ids);
    }
}

/// Tokens that mark turns, thoughts or calls, and are not special in the file.
const TURN_MARKS: [&str; 2] = ["<｜User｜>", "<tool_call>"];

/// The ids of every text in the vocabularies of published models, read from their own files and
/// from GGUF.
#[test]
#[ignore = "needs the vocabularies in models/tokenizers (npm run test:models)"]
fn published_vocabularies_agree_with_hugging_face() {
    #[derive(Deserialize)]
    struct Fixture {
        texts: Vec<String>,
        vocabularies: BTreeMap<String, Vec<Ids>>,
    }
    #[derive(Deserialize)]
    struct Ids {
        ids: Vec<u32>,
        /// The ids if special tokens are not parsed.
        typed: Option<Vec<u32>>,
    }
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/tokenizer/models.json")).unwrap();
    let names: Vec<_> = fixture.vocabularies.keys().map(String::as_str).collect();
    assert_eq!(names, ["deepseek_v3", "gemma3", "gptoss", "llama2", "llama3", "qwen3"]);
    let mut wrong = Vec::new();
    for (name, expected) in &fixture.vocabularies {
        let file = real(name, "tokenizer.json");
        let (by_json, _) = Tokenizer::from_hugging_face(&file, Some(&real(name, "tokenizer_config.json"))).unwrap();
        let by_gguf = Tokenizer::new(as_gguf(name, &file)).unwrap();
        for (way, tokenizer) in [("json", &by_json), ("gguf", &by_gguf)] {
            for (text, Ids { ids, typed }) in fixture.texts.iter().zip(expected) {
                // Gemma's SentencePiece reads a typed `▁` as a space; `tokenizers` does not.
                if name == "gemma3" && text.contains("▁▁") {
                    continue;
                }
                let typed = typed.as_ref().unwrap_or(ids);
                for (parse_special, ids) in [(true, ids), (false, typed)] {
                    let found = tokenizer.encode(text, EncodeOptions { add_special: false, parse_special }).unwrap();
                    if !parse_special && TURN_MARKS.iter().any(|mark| text.contains(mark)) {
                        // typed turn marks are text; `tokenizers` knows special tokens only
                        assert_eq!(&tokenizer.decode(&found, false).unwrap(), text, "{name} {way}");
                        continue;
                    }
                    if &found != ids {
                        wrong.push(format!("{name} {way} {parse_special} {text:?}:\n  {found:?}\n  {ids:?}"));
                    }
                }
            }
        }
        assert_eq!(by_json.vocab_size(), by_gguf.vocab_size());
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn real(name: &str, file: &str) -> String {
    let path = format!("{}/models/tokenizers/{name}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The result of llama.cpp's converter for a `tokenizer.json`.
fn as_gguf(name: &str, file: &str) -> Vocabulary {
    let file: Value = serde_json::from_str(file).unwrap();
    let mut tokens = BTreeMap::new();
    for (token, id) in file["model"]["vocab"].as_object().unwrap() {
        let kind = if token.starts_with("<0x") && token.len() == 6 { 6 } else { 1 };
        tokens.insert(id.as_u64().unwrap(), (token.clone(), kind));
    }
    for token in file["added_tokens"].as_array().unwrap() {
        let kind = if token["special"] == true { 3 } else { 4 };
        tokens.insert(token["id"].as_u64().unwrap(), (token["content"].as_str().unwrap().into(), kind));
    }
    let size = tokens.keys().max().unwrap() + 1;
    let (tokens, token_types): (Vec<String>, Vec<i32>) =
        (0..size).map(|id| tokens.remove(&id).unwrap_or((String::new(), 5))).unzip();
    let merge = |merge: &Value| match merge {
        Value::Array(pair) => [pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned()],
        merge => merge.as_str().unwrap().split_once(' ').map(|(l, r)| [l.to_owned(), r.to_owned()]).unwrap(),
    };
    let merges: Vec<[String; 2]> = file["model"]["merges"].as_array().unwrap().iter().map(merge).collect();
    let sentencepiece = ["gemma3", "llama2"].contains(&name);
    let mut scores = vec![f32::MIN; if sentencepiece { tokens.len() } else { 0 }];
    if sentencepiece {
        // Hugging Face's converter sorts the merges by the scores of the merged tokens.
        let ids: HashMap<&str, usize> = tokens.iter().map(String::as_str).zip(0..).collect();
        for (rank, merge) in merges.iter().enumerate().rev() {
            scores[ids[merge.concat().as_str()]] = -(rank as f32);
        }
    }
    let pre = match name {
        "deepseek_v3" => "deepseek-v3",
        "gptoss" => "gpt-4o",
        "llama3" => "llama-bpe",
        "qwen3" => "qwen2",
        _ => "default",
    };
    Vocabulary {
        model: if sentencepiece { "llama" } else { "gpt2" }.into(),
        pre: Some(pre.into()),
        scores,
        tokens,
        token_types,
        merges: merges.iter().map(|merge| merge.join(" ")).collect(),
        add_space_prefix: Some(name == "llama2"),
        ..Default::default()
    }
}
