//! Small crafted files; `tests/tokenizer.rs` reads real ones.

use proptest::prelude::*;
use serde_json::json;

use super::super::EncodeOptions;
use super::*;

const WHOLE: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };

/// Llama 2 and later SentencePiece models: `▁` for a space, a space prefix, and byte fallback.
fn llama() -> Value {
    json!({
        "added_tokens": [
            {"id": 0, "content": "<unk>", "special": true},
            {"id": 1, "content": "<s>", "special": true},
            {"id": 8, "content": "<|user|>", "special": true, "rstrip": true},
            {"id": 9, "content": "@@", "special": false, "single_word": false},
        ],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
        ]},
        "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "merges": ["l o", ["▁", "lo"]],
            "vocab": {"<unk>": 0, "<s>": 1, "▁": 2, "l": 3, "o": 4, "lo": 5, "▁lo": 6, "<0x0A>": 7}},
    })
}

fn load(file: &Value, config: Option<&Value>) -> Result<(Tokenizer, Vec<(String, String)>)> {
    Tokenizer::from_hugging_face(&file.to_string(), config.map(Value::to_string).as_deref())
}

#[test]
fn spaces_bytes_and_special_tokens_follow_the_file() {
    let (tokenizer, templates) = load(&llama(), None).unwrap();
    assert_eq!(tokenizer.encode("lo lo\n@@lo", WHOLE).unwrap(), [1, 6, 6, 7, 9, 6]);
    assert_eq!(tokenizer.encode("<|user|>\n lo", WHOLE).unwrap(), [1, 8, 6]);
    assert_eq!(tokenizer.decode(&[1, 6, 6, 7], true).unwrap(), "lo lo\n");
    assert_eq!((tokenizer.bos(), tokenizer.eos(), templates), (Some(1), None, vec![]));

    let mut once = llama();
    once["normalizer"] = Value::Null;
    once["pre_tokenizer"] = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"});
    let (tokenizer, _) = load(&once, None).unwrap();
    assert_eq!(tokenizer.encode("lo<s>lo", WHOLE).unwrap(), [1, 6, 1, 5]);
}

#[test]
fn the_configuration_names_tokens_and_the_template() {
    let config = json!({"bos_token": {"content": "<s>"}, "eos_token": "@@", "add_bos_token": false, "add_eos_token": true,
        "chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]});
    let (tokenizer, templates) = load(&llama(), Some(&config)).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(9)));
    let own = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(templates, [own("tool_use", "t"), own("default", "d")]);
    assert_eq!(tokenizer.encode("lo", WHOLE).unwrap(), [6, 9]);
}

/// llama.cpp#9348, llama.cpp#24382: folders also contain marks with `special: false`.
#[test]
fn turn_marks_are_structure_whether_special_or_not() {
    for special in [false, true] {
        let mut file = llama();
        let tokens = file["added_tokens"].as_array_mut().unwrap();
        for (id, content) in (10..).zip(["<|im_end|>", "<start_of_turn>", "<tool_call>", "<b>"]) {
            tokens.push(json!({"id": id, "content": content, "special": special}));
        }
        let config = json!({"chat_template": "<start_of_turn>{{ m }}<tool_call>"});
        let (tokenizer, _) = load(&file, Some(&config)).unwrap();
        assert_eq!(tokenizer.ends(), [10], "{special}");
        assert_eq!(tokenizer.decode(&[10, 12], true).unwrap(), if special { "" } else { "<tool_call>" });
        let typed = EncodeOptions { add_special: false, parse_special: false };
        for (id, plain) in [(10, true), (11, true), (12, true), (13, special)] {
            let text = tokenizer.token(id).unwrap();
            assert!(tokenizer.encode(text, WHOLE).unwrap().contains(&id), "{text} {special}");
            assert_eq!(!tokenizer.encode(text, typed).unwrap().contains(&id), plain, "{text} {special}");
        }
        let options = FolderOptions { ends: vec![13], templates: vec!["<b>".into()], ..FolderOptions::default() };
        let (tokenizer, _) = Tokenizer::from_folder(&file.to_string(), None, &options).unwrap();
        assert!(tokenizer.ends() == [10, 13] && tokenizer.is_special(13), "named by generation_config.json");
    }
}

#[test]
fn an_unknown_step_is_named() {
    let refused = |pointer: &str, value: Value, expected: &str| {
        let mut file = llama();
        *file.pointer_mut(pointer).unwrap() = value;
        let error = load(&file, None).err().expect(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused("/normalizer", json!({"type": "NFKD"}), "NFKD");
    let charsmap = json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="});
    refused("/normalizer", charsmap, "steps of another model than BPE");
    refused("/pre_tokenizer", json!({"type": "UnicodeScripts"}), "UnicodeScripts");
    refused(
        "/pre_tokenizer",
        json!({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "MergedWithNext"}),
        "MergedWithNext",
    );
    refused("/post_processor/single", json!([{}, {}, {"Sequence": {}}]), "post_processor");
    refused("/model/type", json!("WordLevel"), "WordLevel");
    refused("/model/byte_fallback", json!(false), "neither byte-level");
    refused("/added_tokens/3/single_word", json!(true), "single_word");
    refused("/added_tokens/3/id", json!(4_000_000_000_u32), "id 4000000000");
    refused("/model/vocab/lo", json!(4_000_000_000_u32), "ids up to 4000000001");
    refused("/model/vocab", json!(1), "tokenizer.json");
}

#[test]
fn tokens_between_two_texts_follow_the_file() {
    let special = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    let template = json!({"type": "TemplateProcessing", "single": [special("[CLS]"), text("A"), special("[SEP]")],
        "pair": [special("[CLS]"), text("A"), special("[SEP]"), special("[SEP]"), text("B"), special("[SEP]")]});
    let around = |kind: &str| json!({"type": kind, "cls": ["[CLS]", 0], "sep": ["[SEP]", 1]});
    for (processor, expected) in [
        (around("BertProcessing"), vec![0, 3, 1, 4, 1]),
        (around("RobertaProcessing"), vec![0, 3, 1, 1, 4, 1]),
        (template, vec![0, 3, 1, 1, 4, 1]),
    ] {
        let file = json!({
            "added_tokens": [
                {"id": 0, "content": "[CLS]", "special": true},
                {"id": 1, "content": "[SEP]", "special": true},
                {"id": 2, "content": "[UNK]", "special": true},
            ],
            "normalizer": {"type": "BertNormalizer", "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": processor,
            "model": {"type": "WordPiece", "unk_token": "[UNK]",
                "vocab": {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "a": 3, "b": 4}},
        });
        let (tokenizer, _) = load(&file, None).unwrap();
        assert_eq!(tokenizer.segments(&[3], Some(&[4])).ids, expected, "{}", file["post_processor"]);
        assert_eq!(tokenizer.segments(&[3], None).ids, [0, 3, 1]);
    }
}

#[test]
fn several_special_tokens_may_come_before_a_text() {
    let mut file = llama();
    let special = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    file["post_processor"]["single"] =
        json!([special("<|user|>"), special("<s>"), {"Sequence": {"id": "A", "type_id": 0}}]);
    let (tokenizer, _) = load(&file, None).unwrap();
    assert_eq!(tokenizer.encode("lo", WHOLE).unwrap(), [8, 1, 6]);
    assert_eq!(tokenizer.encode("<|user|><s>lo", WHOLE).unwrap(), [8, 1, 6]);
    file["post_processor"]["single"][1] = special("<t>");
    assert!(load(&file, None).err().unwrap().to_string().contains("<t>"));
}

/// BPE over `▁`, or unigram, with the spaces of `normalizer` and `pre_tokenizer`.
fn of_spaces(unigram: bool, normalizer: Value, pre_tokenizer: Value, added: [bool; 3]) -> Value {
    let [special, lstrip, rstrip] = added;
    let token = |id: u32, content: &str, special: bool, lstrip: bool, rstrip: bool| {
        json!({"id": id, "content": content, "special": special, "lstrip": lstrip, "rstrip": rstrip,
            "normalized": false, "single_word": false})
    };
    let texts = ["<unk>", "▁", "l", "o", "lo", "▁lo", "▁▁", "o▁", "▁l", "\n", "<", ">", "@", "|"];
    let vocab: Vec<(String, f32)> =
        texts.iter().zip(1_u8..).map(|(text, i)| (text.to_string(), -f32::from(i))).collect();
    let model = if unigram {
        json!({"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": false})
    } else {
        let vocab: serde_json::Map<_, _> =
            vocab.iter().zip(0_u32..).map(|((text, _), id)| (text.clone(), id.into())).collect();
        json!({"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
            "merges": ["l o", "▁ lo", "▁ ▁", "o ▁", "▁ l"]})
    };
    json!({"version": "1.0", "truncation": null, "padding": null, "post_processor": null, "decoder": null,
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": model,
        "added_tokens": [token(14, "<|x|>", special, lstrip, rstrip), token(15, "@@", false, false, false)]})
}

proptest! {
    /// llama.cpp#23840: a text that begins with a space got one `▁` too many.
    #[test]
    fn spaces_agree_with_the_tokenizers_crate(
        unigram in any::<bool>(),
        prepend in any::<bool>(),
        metaspace in prop::option::of((prop::sample::select(&["first", "always", "never"][..]), any::<bool>())),
        added in any::<[bool; 3]>(),
        text in prop::collection::vec(prop::sample::select(&[" ", "  ", "▁", "lo", "l", "o", "<|x|>", "@@", "\n"][..]), 0..8),
    ) {
        prop_assume!(metaspace.is_some() || (prepend && !unigram));
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let normalizer = match prepend && !unigram {
            true => json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, spaces]}),
            false => Value::Null,
        };
        let pre_tokenizer = metaspace.map_or(Value::Null, |(scheme, split)| {
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split})
        });
        let file = of_spaces(unigram, normalizer, pre_tokenizer, added);
        let text = text.concat();
        let oracle = tokenizers::Tokenizer::from_bytes(file.to_string()).unwrap();
        let expected = oracle.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
        let (tokenizer, _) = load(&file, None).unwrap();
        let found = tokenizer.encode(&text, EncodeOptions { add_special: false, parse_special: true }).unwrap();
        prop_assert_eq!(found, expected, "{:?} in {}", text, file);
    }
}
