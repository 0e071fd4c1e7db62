//! Files with every key that llama.cpp's saver writes, see tests/fixtures/saver/README.md.

use std::collections::BTreeMap;
use std::path::Path;

use pollster::block_on;
use serde_json::Value as Json;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::{Array, Value};
use weft_llm::inference::LoadedModel;
use weft_llm::tokenizer::{EncodeOptions, Segments};

use super::support::tiny::Tiny;
use super::{folders, logits, open};

type Keys = BTreeMap<String, Json>;

#[derive(serde::Deserialize)]
struct Saved {
    every: Keys,
    differs: BTreeMap<String, Keys>,
}

fn value(json: &Json) -> Value {
    let (kind, value) = (json[0].as_str().unwrap(), &json[1]);
    let items = || {
        let items = value.as_array().unwrap();
        (0..json[2].as_u64().unwrap() as usize).map(|i| items.get(i).unwrap_or(&items[0]))
    };
    match kind {
        "u32" => Value::U32(value.as_u64().unwrap() as u32),
        "i32" => Value::I32(value.as_i64().unwrap() as i32),
        "f32" => Value::F32(value.as_f64().map_or(f32::NEG_INFINITY, |value| value as f32)),
        "bool" => Value::Bool(value.as_bool().unwrap()),
        "str" => value.as_str().unwrap().into(),
        "[f32]" => Value::Array(Array::F32(items().map(|item| item.as_f64().unwrap() as f32).collect())),
        "[u32]" => Value::Array(Array::U32(items().map(|item| item.as_u64().unwrap() as u32).collect())),
        "[i32]" => Value::Array(Array::I32(items().map(|item| item.as_i64().unwrap() as i32).collect())),
        "[str]" => Value::Array(Array::Strings(Vec::new())),
        other => panic!("a value of type {other}"),
    }
}

/// llama.cpp's saver loses the windows of these: it does not know the architecture's, or has
/// switched them off.
const WINDOWLESS: [&str; 3] = ["mistral", "phi3", "starcoder2"];

/// The file of a fixture, without the keys that its saved version has lost.
fn original(folder: &Path) -> Vec<u8> {
    let bytes = std::fs::read(folder.join("model.gguf")).unwrap();
    if !WINDOWLESS.iter().any(|name| folder.ends_with(name)) {
        return bytes;
    }
    let mut file = Tiny::read(&bytes);
    file.metadata.retain(|(key, _)| !key.ends_with(".sliding_window"));
    file.bytes()
}

/// The logits of some ids, bit by bit, and the ids of a text.
fn answers(bytes: &[u8]) -> Vec<u32> {
    let ids = [3, 9, 4, 20, 11, 5, 30, 7, 12, 40];
    let loaded = open(Box::new(HostEngine::new(Reference)), bytes, None).unwrap();
    let options = EncodeOptions { add_special: true, parse_special: true };
    let words = loaded.tokenizer().encode("the hat and another", options).unwrap();
    let rows = match loaded {
        LoadedModel::Encoder(mut encoder) => {
            let input = Segments { ids: ids.to_vec(), first: 0..ids.len(), second: None };
            vec![block_on(encoder.hidden(std::slice::from_ref(&input))).unwrap()]
        }
        decoder => logits(&mut decoder.into_decoder("generate").unwrap(), &ids),
    };
    rows.iter().flatten().map(|value| value.to_bits()).chain(words).collect()
}

/// llama.cpp's fine-tuning saves files in which most keys have values without meaning, such as a
/// pooling type of -1 or soft caps that no model of the architecture has.
#[test]
fn the_keys_of_llama_cpps_saver_change_nothing() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/saver/keys.json");
    let Saved { every, differs } = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut seen = 0;
    for folder in folders() {
        let Some(differing) = differs.get(folder.file_name().unwrap().to_str().unwrap()) else { continue };
        let original = original(&folder);
        let mut saved = Tiny::read(&original);
        let architecture = saved.metadata.iter().find(|(key, _)| key == "general.architecture").unwrap().1.clone();
        let Value::String(architecture) = architecture else { panic!("no name") };
        for (key, json) in every.iter().filter(|(key, _)| !differing.contains_key(*key)).chain(differing) {
            if !json.is_null() {
                saved = saved.meta(&key.replace("{}", &architecture), value(json));
            }
        }
        assert!(answers(&saved.bytes()) == answers(&original), "{}", folder.display());
        seen += 1;
    }
    assert_eq!(seen, differs.len());
}

/// Files that save.cpp itself wrote, in the folder `WEFT_SAVED`: `<name of the fixture>.gguf`.
#[test]
#[ignore = "needs the files, see tests/fixtures/saver/README.md"]
fn saved_files_agree_with_the_original() {
    let saved = std::env::var("WEFT_SAVED").expect("WEFT_SAVED names a folder");
    let (mut seen, mut wrong) = (0, Vec::new());
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let Ok(bytes) = std::fs::read(Path::new(&saved).join(format!("{name}.gguf"))) else { continue };
        // without an output matrix, the saver leaves out the embeddings, and llama.cpp cannot load
        // such a file
        if !Tiny::read(&bytes).tensors.contains_key("token_embd.weight") {
            println!("{name} has no embeddings");
            continue;
        }
        seen += 1;
        if answers(&bytes) != answers(&original(&folder)) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty() && seen > 30, "{seen} files, {wrong:?}");
}
