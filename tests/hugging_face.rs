//! Compares folders that transformers saved with GGUF files of the same weights: same
//! hyperparameters, same tensors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::command::{Scratch, weft};
use pollster::block_on;
use serde_json::{Value, json};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::{
    BlockType, Folder, GgufWriter, Header, Layout, Metadata, ModelReader, Planes, Quantize, Sink, TensorInfo,
    dequantize_row, quantize_row, repack,
};
use weft_llm::inference::{Estimator, Loading};
use weft_llm::model::Config;
use weft_llm::model::architecture::Architecture;
use weft_llm::model::encoder_config::EncoderConfig;
use weft_llm::record::KvFormat;
use weft_llm::{Error, Result};

/// Every tensor as f32, and the metadata.
#[derive(Default)]
struct Decoded {
    metadata: Metadata,
    dims: BTreeMap<String, Vec<u64>>,
    rows: BTreeMap<(String, usize), Vec<f32>>,
}

impl Sink for Decoded {
    fn header(&mut self, header: Header) -> Result<()> {
        if self.dims.is_empty() {
            self.metadata = header.metadata;
        }
        self.dims.extend(header.tensors.into_iter().map(|info| (info.name, info.dims)));
        Ok(())
    }

    fn rows(&mut self, info: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        for (i, row) in rows.chunks_exact(info.row_bytes()).enumerate() {
            let (mut planes, mut values) = (Planes::default(), vec![f32::NAN; info.cols()]);
            repack(info.block, info.cols(), row, &mut planes);
            dequantize_row(Layout::for_block(info.block), &planes.quants, &planes.scales, &mut values);
            self.rows.insert((info.name.clone(), first_row + i), values);
        }
        Ok(())
    }
}

fn decode(mut reader: ModelReader, file: &Path) -> Decoded {
    let mut decoded = Decoded::default();
    for file in files(file) {
        let bytes = std::fs::read(file).unwrap();
        bytes.chunks(1000).for_each(|bytes| reader.feed(bytes, &mut decoded).unwrap());
    }
    reader.finish().unwrap();
    decoded
}

/// The same with gate and up projection of experts apart, where a file has both in one tensor.
fn split(mut decoded: Decoded) -> Decoded {
    const BOTH: &str = "ffn_gate_up_exps";
    let names: Vec<String> = decoded.dims.keys().filter(|name| name.contains(BOTH)).cloned().collect();
    for name in names {
        let mut shape = decoded.dims.remove(&name).unwrap();
        shape[1] /= 2;
        let (width, parts) = (shape[1] as usize, ["ffn_gate_exps", "ffn_up_exps"].map(|part| name.replace(BOTH, part)));
        decoded.dims.extend(parts.clone().map(|part| (part, shape.clone())));
        let rows: Vec<_> = decoded.rows.keys().filter(|(of, _)| *of == name).cloned().collect();
        for key in rows {
            let (run, within) = (key.1 / width, key.1 % width);
            let values = decoded.rows.remove(&key).unwrap();
            decoded.rows.insert((parts[run % 2].clone(), run / 2 * width + within), values);
        }
    }
    decoded
}

/// The same with keys and values of latent attention in one tensor, where a file has both apart.
fn joined(mut decoded: Decoded) -> Decoded {
    let names: Vec<String> = decoded.dims.keys().filter(|name| name.contains("attn_k_b")).cloned().collect();
    for name in names {
        let parts = [name.clone(), name.replace("attn_k_b", "attn_v_b")];
        let [keys, values] = parts.clone().map(|part| decoded.dims.remove(&part).unwrap());
        let (key, rank, value, heads) = (keys[0] as usize, keys[1] as usize, values[1] as usize, values[2] as usize);
        let mut rows = |part: usize, row| decoded.rows.remove(&(parts[part].clone(), row)).unwrap();
        let mut all = Vec::new();
        for head in 0..heads {
            let columns: Vec<_> = (0..rank).map(|i| rows(0, head * rank + i)).collect();
            all.extend((0..key).map(|i| columns.iter().map(|column| column[i]).collect()));
            all.extend((0..value).map(|i| rows(1, head * value + i)));
        }
        let both = name.replace("attn_k_b", "attn_kv_b");
        decoded.dims.insert(both.clone(), vec![rank as u64, all.len() as u64]);
        decoded.rows.extend(all.into_iter().enumerate().map(|(i, row)| ((both.clone(), i), row)));
    }
    decoded
}

/// A file of weights, and those of the modules behind a model of transformers.
fn files(file: &Path) -> Vec<PathBuf> {
    let module = |name: &str| file.with_file_name(name).join("model.safetensors");
    let modules = ["2_Dense", "3_Dense"].map(module).into_iter();
    let of_folder = file.ends_with("model.safetensors");
    [file.to_owned()].into_iter().chain(modules.filter(|file| of_folder && file.exists())).collect()
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architectures");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("config.json").exists() && folder.join("model.gguf").exists());
    folders.sort();
    folders
}

/// A folder of the fixtures with this tokenizer.
fn open(folder: &Path, tokenizer: &str) -> Result<Folder> {
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let name = folder.file_name().unwrap().to_string_lossy();
    let modules = ["1_Pooling", "2_Dense", "3_Dense"].map(|module| format!("{module}/config.json"));
    let text = |module: String| Some((module.clone(), std::fs::read_to_string(folder.join(module)).ok()?));
    let modules: Vec<_> = modules.into_iter().filter_map(text).collect();
    Folder::new(&name, |name| match name {
        "config.json" => Some(config.as_str()),
        "tokenizer.json" => Some(tokenizer),
        // a file of sentence-transformers models
        "1_Pooling/config.json" if folder.ends_with("sentence-bert") => Some(r#"{"pooling_mode_mean_tokens": true}"#),
        name => modules.iter().find(|(module, _)| module == name).map(|(_, text)| text.as_str()),
    })
}

/// What is said of a folder whose configuration was changed, from its headers alone.
fn told(folder: &Path, change: impl Fn(&mut Value), index: Option<&str>, weights: &[u8]) -> Error {
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    change(&mut config);
    let config = config.to_string();
    let read = Folder::new("new", |name| match name {
        "config.json" => Some(config.as_str()),
        "model.safetensors.index.json" => index,
        // such a folder may have another tokenizer too
        _ => None,
    });
    let mut estimator = Estimator::new(ModelReader::new(Some(read.unwrap()), None), Some(64));
    weights.chunks(1000).find_map(|bytes| estimator.feed(bytes).err()).expect("an error with the first header")
}

#[test]
fn a_folder_of_an_unknown_kind_says_what_it_is_nearest_to() {
    let mut new_tensors = Vec::new();
    for folder in folders() {
        let gguf = decode(ModelReader::default(), &folder.join("model.gguf"));
        let own = gguf.metadata.str("general.architecture").unwrap().to_owned();
        if Architecture::named(&own).unwrap().encoder {
            continue;
        }
        let change = |config: &mut Value| {
            let inner = if config["text_config"].is_object() { &mut config["text_config"] } else { config };
            inner["model_type"] = "novel".into();
            inner["a_new_setting"] = 3.into();
            inner["attention_dropout"] = 0.1.into();
        };
        let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
        let error = told(&folder, change, None, &weights);
        let text = error.to_string();
        assert_eq!(error.code(), "UNSUPPORTED_MODEL", "{text}");
        assert!(text.contains("config.json: `model_type` is `novel`; weft runs llama, "), "{text}");
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let told = text.split("; the nearest of these is ").nth(1).unwrap_or_else(|| panic!("{name}: {text}"));
        println!("{name}, {own}: {told}");
        assert!(!told.contains("dropout"), "{text}");
        assert!(told.contains("a_new_setting"), "{text}");
        // names alone do not tell some others from each other
        if ["qwen3", "qwen3moe", "qwen3next", "qwen35", "lfm2", "mamba2", "granitehybrid", "olmo2"].contains(&&*own) {
            assert!(told.starts_with(&format!("`{own}`, ")), "{name}: {told}");
        }
        // what other families make up is not told
        assert!(!told.contains("ssm.") && (own != "qwen2" || !told.contains("granitehybrid")), "{name}: {told}");
        if told.contains("the tensors") {
            new_tensors.push(name);
        }
    }
    // their experts are stored in other parts than those of GGUF, or are of some layers only;
    // weights are packed with scales; or inputs of layers are in files that say so under another
    // key
    let known = [
        "bitnet-packed",
        "deepseek2",
        "deepseek2-lite",
        "deepseek2-v2",
        "ernie4_5-moe",
        "gemma3n",
        "gemma4",
        "gemma4-experts",
        "gpt-oss",
        "gpt-oss-mxfp4",
        "llama-packed",
    ];
    assert_eq!(new_tensors, known);
}

/// It used to be told that its weights are cut off: nobody downloads them again for this.
#[test]
fn a_folder_of_an_unknown_kind_is_told_so_where_its_weights_end_too_early() {
    for bytes in [&[][..], &[16, 0, 0, 0, 0, 0, 0, 0, b'{']] {
        let config = r#"{"model_type": "novel"}"#;
        let folder = Folder::new("new", |name| (name == "config.json").then_some(config)).unwrap();
        let mut reader = ModelReader::new(Some(folder), None);
        reader.feed(bytes, &mut Decoded::default()).unwrap();
        let error = reader.finish().unwrap_err().to_string();
        assert!(error.contains("`model_type` is `novel`"), "{error}");
    }
}

/// An index names the tensors of all files, so that the first one is enough.
#[test]
fn of_a_folder_of_an_unknown_kind_in_several_files_one_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architectures/qwen3");
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&weights[8..8 + length]).unwrap();
    let names = header.as_object().unwrap().keys().filter(|name| *name != "__metadata__");
    let mut map: serde_json::Map<String, Value> = names.map(|name| (name.clone(), "b.safetensors".into())).collect();
    map.insert("model.layers.0.novel.weight".into(), "a.safetensors".into());
    map.insert("model.layers.1.novel.weight".into(), "b.safetensors".into());
    let index = json!({"weight_map": map}).to_string();
    let first =
        json!({"model.layers.0.novel.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).to_string();
    let first = [&(first.len() as u64).to_le_bytes(), first.as_bytes(), &[0; 4]].concat();
    let error = told(&folder, |config| config["model_type"] = "novel".into(), Some(&index), &first).to_string();
    let expected = "the nearest of these is `qwen3`, which does not know the tensors `model.layers.#.novel.weight`";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_folder_is_the_same_model_as_its_gguf_file() {
    let folders = folders();
    assert!(folders.len() > 30, "only {} folders", folders.len());
    for folder in folders {
        let case = folder.file_name().unwrap().to_string_lossy().into_owned();
        let read = open(&folder, "{}");
        let reader =
            ModelReader::new(Some(read.unwrap_or_else(|error| panic!("{case}: {error}"))), Some(Quantize::NONE));
        let from_folder = decode(reader, &folder.join("model.safetensors"));
        let mut from_gguf = joined(split(decode(ModelReader::default(), &folder.join("model.gguf"))));

        // a matrix of one row equals a vector
        let shapes = |decoded: &Decoded| -> Vec<(String, Vec<u64>)> {
            let trimmed = |dims: &[u64]| dims.iter().copied().take_while(|&dim| dim != 1).collect();
            decoded.dims.iter().map(|(name, dims)| (name.clone(), trimmed(dims))).collect()
        };
        assert_eq!(shapes(&from_folder), shapes(&from_gguf), "{case}");
        for (key, values) in &from_folder.rows {
            let expected = from_gguf.rows.remove(key).unwrap_or_else(|| panic!("{case}: {key:?} is not in the file"));
            // frequencies and decays are computed, so they may differ slightly
            let computed = key.0.starts_with("rope_") || key.0.ends_with("ssm_a");
            let slack = if computed { 1e-6 } else { 0.0 };
            let equal = values.len() == expected.len()
                && values.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= slack * b.abs());
            assert!(equal, "{case}: {key:?}: {values:?} {expected:?}");
        }
        assert_eq!(from_gguf.rows.keys().next(), None, "{case}");

        match (Config::from_metadata(&from_folder.metadata), Config::from_metadata(&from_gguf.metadata)) {
            (Ok(mut got), Ok(expected)) => {
                got.name.clone_from(&expected.name);
                if let (Some(got), Some(expected)) = (&mut got.source, &expected.source) {
                    got.config.name.clone_from(&expected.config.name);
                    // a file says it by having an output matrix or not
                    got.scales_outputs = expected.scales_outputs;
                }
                assert_eq!(got, expected, "{case}");
                let encoder =
                    |decoded: &Decoded| format!("{:?}", EncoderConfig::of(&expected, &decoded.metadata).unwrap());
                assert_eq!(encoder(&from_folder), encoder(&from_gguf), "{case}");
            }
            (Err(got), Err(expected)) => assert_eq!(got.to_string(), expected.to_string(), "{case}"),
            (got, expected) => panic!("{case}: {got:?}, and of the file {expected:?}"),
        }
    }
}

/// Byte-level BPE of `tokens` single letters.
fn tokenizer(tokens: usize) -> String {
    let vocab: serde_json::Map<String, Value> =
        (0..tokens).map(|id| (char::from_u32('!' as u32 + id as u32).unwrap().to_string(), id.into())).collect();
    json!({
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    })
    .to_string()
}

fn load(engine: Box<dyn Engine>, folder: &Path, tokens: usize, context: usize) -> Result<Vec<Vec<f32>>> {
    let reader = ModelReader::new(Some(open(folder, &tokenizer(tokens))?), Some(Quantize::NONE));
    let reference: Value = serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap();
    let prompts = reference["prompts"].as_array().unwrap();
    let prompt = prompts.iter().find(|prompt| prompt["ids"].as_array().unwrap().len() == context).unwrap();
    let ids_of = |key: &str| -> Vec<u32> {
        prompt[key].as_array().into_iter().flatten().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    // what the decoder reads where an encoder reads `ids`
    let (ids, target) = (ids_of("ids"), ids_of("decoder_input_ids"));
    let mut loading = Loading::with(engine, reader, Some(context + target.len()));
    loading.set_kv_format(Some(KvFormat::F32));
    let files = files(&folder.join("model.safetensors")).into_iter().map(|file| std::fs::read(file).unwrap());
    let bytes = files.collect::<Vec<_>>().concat();
    loading.set_stream_bytes(bytes.len() as u64);
    for bytes in bytes.chunks(5000) {
        block_on(loading.feed(bytes))?;
    }
    let mut decoder = block_on(loading.finish())?;
    let mut rows = Vec::new();
    let (source, read) = if target.is_empty() { (&[][..], &ids) } else { (&ids[..], &target) };
    block_on(decoder.logits_behind(source, read, |_, logits| rows.push(logits.to_vec())))?;
    let expected = prompt["logits"].as_array().unwrap();
    let expected =
        expected.iter().map(|row| row.as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap() as f32));
    let expected: Vec<Vec<f32>> = expected.map(Iterator::collect).collect();
    // the CPU engine rounds activations to 8 bits where weights are blocks
    let of_blocks = folder.ends_with("gpt-oss-mxfp4") && context == 40;
    let tolerance = if of_blocks { 5e-2 } else { 1e-4 };
    let largest = expected.iter().flatten().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
    for (row, expected) in rows.iter().zip(&expected) {
        for (logit, expected) in row.iter().zip(expected) {
            assert!((logit - expected).abs() <= tolerance * largest, "{}: {logit} {expected}", folder.display());
        }
    }
    assert_eq!(rows.len(), expected.len());
    Ok(rows)
}

#[test]
fn a_folder_gives_the_logits_of_transformers() {
    let mut run = 0;
    for folder in folders() {
        for (context, engine) in [
            (5, Box::new(HostEngine::new(Reference)) as Box<dyn Engine>),
            (40, Box::new(HostEngine::new(Simd::default()))),
        ] {
            // the embedding table has a few more rows than there are tokens
            match load(engine, &folder, 60, context) {
                Ok(_) => run += 1,
                // an encoder, or a model that weft does not run yet
                Err(error @ (Error::UnsupportedTask { .. } | Error::UnsupportedModel { .. })) => {
                    println!("{}: {error}", folder.display());
                }
                Err(error) => panic!("{}: {error}", folder.display()),
            }
        }
    }
    assert!(run >= 2 * 29, "only {run} ran");
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architectures").join(name)
}

#[test]
fn a_tokenizer_of_another_model_is_refused_by_name() {
    let error = load(Box::new(HostEngine::new(Reference)), &fixture("llama"), 65, 5).unwrap_err().to_string();
    assert!(
        error.contains("tokenizer.json: expected 64 tokens or a few less, by the `vocab_size` of config.json, got 65"),
        "{error}"
    );
}

#[test]
fn an_estimate_equals_the_memory_after_loading() {
    for name in ["llama", "gpt2", "mixtral"] {
        let bytes = std::fs::read(fixture(name).join("model.safetensors")).unwrap();
        let reader = || ModelReader::new(Some(open(&fixture(name), &tokenizer(64)).unwrap()), None);
        let mut estimator = Estimator::new(reader(), Some(40));
        let mut pieces = bytes.chunks(1000);
        while !estimator.feed(pieces.next().unwrap()).unwrap() {}
        let estimate = estimator.finish().unwrap();

        let mut loading = Loading::with(Box::new(HostEngine::new(Reference)), reader(), Some(40));
        block_on(loading.feed(&bytes)).unwrap();
        let info = block_on(loading.finish()).unwrap().info();
        assert_eq!((estimate.parameters, estimate.quantization), (info.parameters, info.quantization), "{name}");
        // the estimate includes sampling on a GPU
        let more = estimate.loaded_bytes - info.memory_bytes;
        assert!(more < 100, "{name}: {} and {}", estimate.loaded_bytes, info.memory_bytes);
        assert_eq!(estimate.loaded_bytes, estimate.weight_bytes + estimate.activation_bytes, "{name}");
        assert_eq!(estimate.total_bytes, estimate.loaded_bytes + estimate.kv_cache_bytes, "{name}");
        // in whole blocks of 64 positions
        let kv_cache = 2 * 2 * 64 * 4 * if name == "gpt2" { 36 } else { 16 };
        assert_eq!(estimate.kv_cache_bytes, kv_cache, "{name}");
    }
}

/// Collects blocks without decoding them.
#[derive(Default)]
struct Raw(BTreeMap<(String, usize), Vec<u8>>);

impl Sink for Raw {
    fn header(&mut self, _: Header) -> Result<()> {
        Ok(())
    }

    fn rows(&mut self, info: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        for (i, row) in rows.chunks_exact(info.row_bytes()).enumerate() {
            self.0.insert((format!("{} {}", info.name, info.block.name()), first_row + i), row.to_vec());
        }
        Ok(())
    }
}

#[test]
fn rows_are_quantised_while_they_are_read() {
    let values: Vec<f32> = (0..192).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let file = GgufWriter::new()
        .tensor_f32("blk.1.ffn_up.weight", &[64, 3], &values)
        .tensor_f32("blk.0.ffn_up.weight", &[48, 4], &values)
        .tensor_f32("output_norm.weight", &[64], &values[..64])
        .to_bytes();
    let mut reader = ModelReader::new(None, Some(Quantize::named("q4_0").unwrap()));
    let mut raw = Raw::default();
    file.chunks(100).for_each(|bytes| reader.feed(bytes, &mut raw).unwrap());
    reader.finish().unwrap();
    let names: Vec<_> = raw.0.keys().map(|(name, row)| format!("{name} {row}")).collect();
    let expected = ["blk.0.ffn_up.weight F32 0", "blk.0.ffn_up.weight F32 1", "blk.0.ffn_up.weight F32 2"];
    assert_eq!(names[..3], expected);
    let last = [
        "blk.1.ffn_up.weight Q4_0 0",
        "blk.1.ffn_up.weight Q4_0 1",
        "blk.1.ffn_up.weight Q4_0 2",
        "output_norm.weight F32 0",
    ];
    assert_eq!(names[4..], last);
    let mut second = Vec::new();
    quantize_row(BlockType::Q4_0, &values[64..128], &mut second);
    assert_eq!(raw.0[&("blk.1.ffn_up.weight Q4_0".to_owned(), 1)], second);
}

#[test]
fn the_command_converts_a_folder_to_gguf() {
    let scratch = Scratch::new("quantize");
    let folder = scratch.0.join("llama");
    std::fs::create_dir(&folder).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture("llama").join(name), folder.join(name)).unwrap();
    }
    // GPT-2's pre-tokenizer, with one merge
    let mut json: Value = serde_json::from_str(&tokenizer(60)).unwrap();
    json["model"]["vocab"]["AB"] = 60.into();
    json["model"]["merges"] = json!([["A", "B"]]);
    json["added_tokens"] = json!([{"id": 61, "content": "<s>", "special": true}]);
    std::fs::write(folder.join("tokenizer.json"), json.to_string()).unwrap();
    std::fs::write(folder.join("tokenizer_config.json"), r#"{"bos_token": "<s>", "chat_template": "{{ bos_token }}"}"#)
        .unwrap();
    std::fs::create_dir(folder.join("additional_chat_templates")).unwrap();
    std::fs::write(folder.join("additional_chat_templates/tool_use.jinja"), "{{ tools }}").unwrap();
    // the template in tokenizer_config.json is newer and wins
    std::fs::write(folder.join("chat_template.json"), r#"{"chat_template": "old"}"#).unwrap();
    let (out, input) = (scratch.0.join("out.gguf"), folder.to_str().unwrap());
    let out_name = out.to_str().unwrap();

    assert_eq!(weft(&["quantize", input, out_name, "--type", "none"]), (true, String::new()));
    let written = decode(ModelReader::default(), &out);
    let expected = decode(ModelReader::default(), &fixture("llama").join("model.gguf"));
    assert_eq!((written.dims, written.rows), (expected.dims, expected.rows));
    let mut config = Config::from_metadata(&written.metadata).unwrap();
    config.name = "Parity fixture".into();
    assert_eq!(config, Config::from_metadata(&expected.metadata).unwrap());
    let text = |key: &str| written.metadata.opt_str(&format!("tokenizer.{key}")).unwrap();
    assert_eq!((text("ggml.model"), text("ggml.pre")), (Some("gpt2"), Some("gpt-2")));
    assert_eq!((text("chat_template"), text("huggingface.json")), (Some("{{ bos_token }}"), None));
    assert_eq!(text("chat_template.tool_use"), Some("{{ tools }}"));
    assert_eq!(written.metadata.strings("tokenizer.chat_templates").unwrap(), ["tool_use"]);
    assert_eq!(written.metadata.u32("tokenizer.ggml.bos_token_id").unwrap(), 61);
    assert_eq!(written.metadata.strings("tokenizer.ggml.merges").unwrap(), ["A B"]);
    assert_eq!(written.metadata.strings("tokenizer.ggml.tokens").unwrap()[60..], ["AB", "<s>", "[PAD62]", "[PAD63]"]);

    let (ok, said) = weft(&["quantize", input, out_name]);
    assert!(!ok && said.contains("exists"), "{said}");
    assert!(out.exists(), "what was there stays");
    let (ok, said) = weft(&["quantize", input, out_name, "--type", "q3"]);
    assert!(!ok && said.contains("q8_0, q5_1"), "{said}");

    // both files give the same tokens
    let ids = |model: &str| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_weft"))
            .args(["tokenize", "--device", "reference", "-m", model])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"ABA B").unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    assert_eq!(ids(input), ids(out_name));
    assert!(ids(input).contains("60"), "{}", ids(input));

    let (ok, said) = weft(&["info", "-m", input, "--context", "10"]);
    let info: Value = serde_json::from_str(&said).unwrap();
    assert!(ok && info["kvCacheBytes"] == 2 * 2 * 16 * 64 * 2, "{said}");

    // a truncated input leaves no output behind
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    std::fs::write(folder.join("model.safetensors"), &bytes[..bytes.len() - 1]).unwrap();
    let other = scratch.0.join("other.gguf");
    let (ok, said) = weft(&["quantize", input, other.to_str().unwrap()]);
    assert!(!ok && said.contains("model.norm.weight` in model.safetensors"), "{said}");
    assert!(!other.exists());
    std::fs::remove_file(folder.join("model.safetensors")).unwrap();
    let (ok, said) = weft(&["quantize", input, other.to_str().unwrap()]);
    assert!(!ok && said.contains("model.safetensors"), "{said}");
}
