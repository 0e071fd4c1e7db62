//! LoRA adapters: the logits of PEFT on the reference and both engines, for a whole prompt and
//! token by token, from PEFT's form and from llama.cpp's; several at once; what is refused.
//! See tests/fixtures/adapters/README.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use crate::support;
use crate::support::agreement::{difference, logits};

use pollster::block_on;
use serde_json::Value;
use support::tiny::greedy;
use weft_llm::Error;
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::{BlockType, GgufWriter};
use weft_llm::inference::{AdapterUse, Event, GenerateOptions, GenerationId, LoadedDecoder, Loading};
use weft_llm::record::KvFormat;
use weft_llm::sampling::SamplingOptions;

/// Largest difference of a logit, relative to the largest logit.
const TOLERANCE: f32 = 1e-4;

/// Adapters, and the models that they are for.
const ADAPTERS: [(&str, &str); 6] = [
    ("llama", "llama"),
    ("llama-second", "llama"),
    ("qwen2", "qwen2"),
    ("qwen3", "qwen3"),
    ("gemma3", "gemma3"),
    ("phi3", "phi3"),
];

type Make = fn() -> Box<dyn Engine>;

const ENGINES: [(&str, Make); 3] = [
    ("reference", || Box::new(HostEngine::new(Reference))),
    ("cpu", || Box::new(HostEngine::new(Simd::default()))),
    ("gpu", || Box::new(support::gpu())),
];

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder)
}

fn load(make: Make, model: &str) -> LoadedDecoder {
    let bytes = std::fs::read(fixtures("architectures").join(model).join("model.gguf")).unwrap();
    let mut loading = Loading::new(make(), None);
    // as they are computed
    loading.set_kv_format(Some(KvFormat::F32));
    block_on(loading.feed(&bytes)).unwrap();
    block_on(loading.finish()).unwrap()
}

fn on_host(model: &str) -> LoadedDecoder {
    load(ENGINES[1].1, model)
}

/// Loads an adapter in pieces that split rows.
fn add_bytes(decoder: &mut LoadedDecoder, name: &str, config: Option<&str>, bytes: &[u8]) -> Result<(), Error> {
    decoder.begin_adapter(name, config)?;
    bytes.chunks(1009).try_for_each(|chunk| block_on(decoder.feed_adapter(chunk)))?;
    block_on(decoder.finish_adapter())
}

fn peft(adapter: &str) -> (String, Vec<u8>) {
    let folder = fixtures("adapters").join(adapter);
    let config = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
    (config, std::fs::read(folder.join("adapter_model.safetensors")).unwrap())
}

fn add(decoder: &mut LoadedDecoder, adapter: &str) {
    let (config, bytes) = peft(adapter);
    add_bytes(decoder, adapter, Some(&config), &bytes).unwrap();
}

fn gguf(adapter: &str) -> Option<Vec<u8>> {
    std::fs::read(fixtures("adapters").join(adapter).join("adapter.gguf")).ok()
}

fn choose(decoder: &mut LoadedDecoder, uses: &[(&str, f32)]) {
    let of = |&(name, scale): &(&str, f32)| AdapterUse { name: name.into(), scale };
    decoder.use_adapters(&uses.iter().map(of).collect::<Vec<_>>()).unwrap();
}

fn prompts(file: PathBuf) -> Vec<(Vec<u32>, Vec<Vec<f32>>)> {
    let golden: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let of = |prompt: &Value| {
        let numbers = |row: &Value| row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
        let ids = prompt["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        (ids, prompt["logits"].as_array().unwrap().iter().map(numbers).collect())
    };
    golden["prompts"].as_array().unwrap().iter().map(of).collect()
}

fn of_adapter(adapter: &str) -> Vec<(Vec<u32>, Vec<Vec<f32>>)> {
    prompts(fixtures("adapters").join(adapter).join("reference.json"))
}

#[test]
fn adapters_give_the_logits_of_peft() {
    let mut wrong = Vec::new();
    for (engine, make) in ENGINES {
        for (adapter, model) in ADAPTERS {
            let mut decoder = load(make, model);
            add(&mut decoder, adapter);
            if let Some(bytes) = gguf(adapter) {
                add_bytes(&mut decoder, "as gguf", None, &bytes).unwrap();
            }
            let names: Vec<String> = decoder.adapters().map(String::from).collect();
            assert_eq!(names.len(), if adapter == "qwen3" { 1 } else { 2 }, "{adapter}");
            for (ids, expected) in of_adapter(adapter) {
                choose(&mut decoder, &[]);
                let plain = difference(&logits(&mut decoder, &ids), &expected);
                assert!(plain > 0.05, "{adapter}: the model itself is {plain:.1e} away");
                for name in &names {
                    choose(&mut decoder, &[(name, 1.0)]);
                    let delta = difference(&logits(&mut decoder, &ids), &expected);
                    println!("{adapter} on {engine} as {name}, {} ids: {delta:.1e}, the model {plain:.1e}", ids.len());
                    if delta > TOLERANCE {
                        wrong.push(format!("{adapter} on {engine} as {name}, {} ids: {delta:.1e}", ids.len()));
                    }
                    check_steps(&format!("{adapter} on {engine}"), &mut decoder, &ids[..5]);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Token by token gives the same as a whole prompt: each token of a greedy continuation has the
/// best logit, within the tolerance.
fn check_steps(name: &str, decoder: &mut LoadedDecoder, ids: &[u32]) {
    let generated = greedy(decoder, ids, 12);
    assert_eq!(generated.len(), 12);
    let all = [ids, &generated].concat();
    for (row, &id) in logits(decoder, &all)[ids.len() - 1..].iter().zip(&generated) {
        let best = row.iter().fold(f32::NEG_INFINITY, |best, &logit| best.max(logit));
        let largest = row.iter().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
        assert!(best - row[id as usize] <= TOLERANCE * largest, "{name}: {id} after {ids:?}");
    }
}

#[test]
fn adapters_at_once_add_up() {
    for (engine, make) in ENGINES {
        let mut decoder = load(make, "llama");
        ["llama", "llama-second"].iter().for_each(|adapter| add(&mut decoder, adapter));
        for (ids, expected) in prompts(fixtures("adapters").join("llama-together.json")) {
            // the order does not count, nor whether one of them is merged
            choose(&mut decoder, &[("llama-second", -0.5), ("llama", 1.0)]);
            let delta = difference(&logits(&mut decoder, &ids), &expected);
            assert!(delta < TOLERANCE, "{engine}: {delta:.1e}");
            decoder.merge_adapter("llama", 1.0).unwrap();
            choose(&mut decoder, &[("llama-second", -0.5)]);
            let delta = difference(&logits(&mut decoder, &ids), &expected);
            assert!(delta < TOLERANCE, "{engine}, merged: {delta:.1e}");
            decoder.merge_adapter("llama", 0.0).unwrap();
        }
    }
}

#[test]
fn without_an_adapter_the_model_is_what_it_was_to_the_bit() {
    for (engine, make) in ENGINES {
        let mut decoder = load(make, "llama");
        let ids: Vec<u32> = (2..22).collect();
        let before = logits(&mut decoder, &ids);
        add(&mut decoder, "llama");
        assert_eq!(logits(&mut decoder, &ids), before, "{engine}: loaded");
        choose(&mut decoder, &[("llama", 1.0)]);
        assert!(difference(&logits(&mut decoder, &ids), &before) > 0.05, "{engine}");
        choose(&mut decoder, &[("llama", 0.0)]);
        assert_eq!(logits(&mut decoder, &ids), before, "{engine}: with a scale of 0");
        decoder.merge_adapter("llama", 0.7).unwrap();
        let merged = logits(&mut decoder, &ids);
        assert!(difference(&merged, &before) > 0.03, "{engine}");
        decoder.merge_adapter("llama", 0.0).unwrap();
        assert_eq!(logits(&mut decoder, &ids), before, "{engine}: no longer merged");
        choose(&mut decoder, &[("llama", 0.7)]);
        assert_eq!(logits(&mut decoder, &ids), merged, "{engine}: a merge is the adapter in every call");
    }
}

/// The next token of a generation; `None` at its end.
fn step(decoder: &mut LoadedDecoder, id: GenerationId) -> Option<u32> {
    loop {
        match block_on(decoder.next(id)).unwrap() {
            Event::Prompt { .. } => {}
            Event::Token { id, .. } => return Some(id),
            Event::End { .. } => return None,
        }
    }
}

#[test]
fn sequences_of_several_adapters_run_at_once() {
    let choices: [&[(&str, f32)]; 4] = [&[], &[("llama", 1.0)], &[("llama-second", 1.0)], &[("llama", 1.0)]];
    let options = || GenerateOptions {
        max_tokens: Some(10),
        ignore_eos: true,
        sampling: SamplingOptions::greedy(),
        ..Default::default()
    };
    for (engine, make) in ENGINES {
        let mut decoder = load(make, "llama");
        ["llama", "llama-second"].iter().for_each(|adapter| add(&mut decoder, adapter));
        let prompt: Vec<u32> = (2..30).collect();
        let alone: Vec<Vec<u32>> = choices
            .iter()
            .map(|uses| {
                choose(&mut decoder, uses);
                let ids = greedy(&mut decoder, &prompt, 10);
                block_on(decoder.forget()).unwrap();
                ids
            })
            .collect();
        assert!(alone[0] != alone[1] && alone[1] != alone[2] && alone[0] != alone[2], "{engine}: {alone:?}");
        let running: Vec<_> = choices
            .iter()
            .map(|uses| {
                choose(&mut decoder, uses);
                decoder.start(prompt.clone(), options(), 0).unwrap()
            })
            .collect();
        // what begins next has other adapters than what runs
        choose(&mut decoder, &[]);
        let mut together = vec![Vec::new(); 4];
        for _ in 0..10 {
            for (ids, &generation) in together.iter_mut().zip(&running) {
                ids.extend(step(&mut decoder, generation));
            }
        }
        assert_eq!(together, alone, "{engine}");
        let error = decoder.unload_adapter("llama").unwrap_err().to_string();
        assert!(error.contains("under way"), "{error}");
        running.into_iter().for_each(|generation| decoder.stop(generation));
        decoder.unload_adapter("llama").unwrap();
        choose(&mut decoder, &[("llama-second", 1.0)]);
        assert_eq!(greedy(&mut decoder, &prompt, 10), alone[2], "{engine}: another adapter is gone");
        let gone = [AdapterUse { name: "llama".into(), scale: 1.0 }];
        let error = decoder.use_adapters(&gone).unwrap_err().to_string();
        assert!(error.contains("option `adapter`: expected `llama-second`, got `llama`"), "{error}");
    }
}

#[test]
fn a_prefix_serves_only_the_adapters_that_computed_it() {
    let mut decoder = on_host("llama");
    ["llama", "llama-second"].iter().for_each(|adapter| add(&mut decoder, adapter));
    let prompt: Vec<u32> = (2..42).collect();
    let mut cached = |uses: &[(&str, f32)]| {
        choose(&mut decoder, uses);
        let options = GenerateOptions { max_tokens: Some(1), ..Default::default() };
        let generation = decoder.start(prompt.clone(), options, 0).unwrap();
        while step(&mut decoder, generation).is_some() {}
        let cached = decoder.cached_tokens(generation);
        decoder.stop(generation);
        cached
    };
    let cases: [&[(&str, f32)]; 5] =
        [&[], &[("llama", 1.0)], &[("llama", 0.5)], &[("llama-second", 1.0)], &[("llama", 1.0), ("llama-second", 1.0)]];
    assert_eq!(cases.map(&mut cached), [0; 5]);
    assert_eq!(cases.map(&mut cached), [39; 5]);
}

#[test]
fn adapters_are_identified_by_what_they_add() {
    let mut decoder = on_host("llama");
    let (config, bytes) = peft("llama");
    let twice = {
        let mut config: Value = serde_json::from_str(&config).unwrap();
        config["lora_alpha"] = (2.0 * config["lora_alpha"].as_f64().unwrap()).into();
        config.to_string()
    };
    assert_eq!(decoder.adapters_fingerprint(), "");
    let mut of = |config: &str| {
        add_bytes(&mut decoder, "own", Some(config), &bytes).unwrap();
        choose(&mut decoder, &[("own", 1.0)]);
        let told = [decoder.adapter_fingerprint("own").unwrap(), decoder.adapters_fingerprint(), decoder.kv_key()];
        choose(&mut decoder, &[]);
        decoder.unload_adapter("own").unwrap();
        told
    };
    let (first, doubled, again) = (of(&config), of(&twice), of(&config));
    assert_eq!(first, again);
    // the same values, and twice of them
    assert!(first.iter().zip(&doubled).all(|(a, b)| a != b), "{first:?} {doubled:?}");

    ["llama", "llama-second"].iter().for_each(|adapter| add(&mut decoder, adapter));
    let [one, other] = ["llama", "llama-second"].map(|name| decoder.adapter_fingerprint(name).unwrap());
    assert!(one == first[0] && other != one, "a name does not count");
    let mut all = Vec::new();
    for uses in [&[][..], &[("llama", 1.0)], &[("llama", 0.5)], &[("llama-second", 1.0)]] {
        choose(&mut decoder, uses);
        all.push(decoder.adapters_fingerprint());
    }
    decoder.merge_adapter("llama-second", 0.25).unwrap();
    choose(&mut decoder, &[]);
    all.push(decoder.adapters_fingerprint());
    assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])), "{all:?}");
    let error = decoder.adapter_fingerprint("another").unwrap_err().to_string();
    assert!(error.contains("expected `llama` or `llama-second`, got `another`"), "{error}");
}

#[test]
fn scores_inspections_and_saved_keys_have_the_adapter() {
    let mut decoder = on_host("llama");
    add(&mut decoder, "llama");
    let (ids, expected) = of_adapter("llama").remove(0);
    let score = |decoder: &mut LoadedDecoder| block_on(decoder.score(&ids, 1, false)).unwrap();
    let plain = score(&mut decoder);
    choose(&mut decoder, &[("llama", 1.0)]);
    let scores = score(&mut decoder);
    let log_probability = |row: &Vec<f32>, id: u32| {
        let sum: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
        (f64::from(row[id as usize]) - sum.ln()) as f32
    };
    for (i, score) in scores.iter().enumerate() {
        assert!((score - log_probability(&expected[i], ids[i + 1])).abs() < 1e-3, "{scores:?}");
    }
    assert!(scores.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 0.05));
    // keys of the adapter are not those of the model
    let saved = block_on(decoder.read_kv(0, &ids[..4], None)).unwrap();
    choose(&mut decoder, &[]);
    let own = block_on(decoder.read_kv(0, &ids[..4], None)).unwrap();
    assert!(saved.iter().zip(&own).any(|(a, b)| (a - b).abs() > 1e-3));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let mut decoder = on_host("llama");
    let memory = decoder.info().memory_bytes;
    let (config, bytes) = peft("llama");
    let config: Value = serde_json::from_str(&config).unwrap();
    let refused = |result: Result<(), Error>, expected: &str| {
        let error = result.expect_err(expected);
        let text = error.to_string();
        assert!(text.contains(expected), "{text}\nnot: {expected}");
        error.code()
    };
    for (key, value, expected) in [
        ("peft_type", serde_json::json!("LOHA"), "`peft_type`: expected \"LORA\", got \"LOHA\""),
        ("use_dora", true.into(), "`use_dora`"),
        ("bias", "all".into(), "`bias`"),
        ("modules_to_save", serde_json::json!(["lm_head"]), "`modules_to_save`"),
        ("alora_invocation_tokens", serde_json::json!([1]), "`alora_invocation_tokens`"),
        ("init_lora_weights", "pissa_niter_16".into(), "`init_lora_weights`"),
        ("lora_alpha", "big".into(), "`lora_alpha`: expected a number"),
        ("alpha_pattern", serde_json::json!({"layers\\.[01]": 2}), "`alpha_pattern`"),
    ] {
        let mut config = config.clone();
        config[key] = value;
        let code = refused(add_bytes(&mut decoder, "x", Some(&config.to_string()), &bytes), expected);
        assert_eq!(code, "INVALID_ADAPTER");
    }
    let config = config.to_string();
    refused(add_bytes(&mut decoder, "x", Some("{"), &bytes), "adapter_config.json: expected JSON");
    refused(add_bytes(&mut decoder, "x", Some(&config), &bytes[..bytes.len() - 4]), "ends too early");
    refused(add_bytes(&mut decoder, "x", None, &bytes), "a safetensors file");
    refused(
        add_bytes(&mut decoder, "x", None, &gguf("phi3").unwrap()),
        "general.architecture: expected llama, got phi3",
    );
    let (phi3_config, phi3) = peft("phi3");
    refused(
        add_bytes(&mut decoder, "x", Some(&phi3_config), &phi3),
        "shape of tensor `blk.0.attn_output.weight.lora_a`: expected [32, 5], got [48, 5]",
    );
    let model = std::fs::read(fixtures("architectures").join("llama/model.gguf")).unwrap();
    refused(add_bytes(&mut decoder, "x", None, &model), "general.type: expected adapter, got model");

    type Tensors<'a> = &'a [(&'a str, [u64; 2])];
    let file = |tensors: Tensors| {
        let mut writer = GgufWriter::new()
            .metadata("general.type", "adapter")
            .metadata("general.architecture", "llama")
            .metadata("adapter.type", "lora")
            .metadata("adapter.lora.alpha", 2.0f32);
        for (name, dims) in tensors {
            writer = writer.tensor(name, dims, BlockType::F32, &vec![0; 4 * (dims[0] * dims[1]) as usize]);
        }
        writer.to_bytes()
    };
    let cases: [(Tensors, &str); 10] = [
        (&[], "its tensors: expected A and B of a projection, got none"),
        (&[("token_embd.weight.lora_a", [64, 2]), ("token_embd.weight.lora_b", [2, 28])], "no embedding"),
        (&[("blk.0.attn_norm.weight", [28, 1])], "`blk.0.attn_norm.weight`: expected a name that ends in"),
        (&[("blk.0.attn_q.weight.lora_a", [28, 2])], "`blk.0.attn_q.weight.lora_b`: expected one in the file"),
        (&[("blk.2.attn_q.weight.lora_a", [28, 2]), ("blk.2.attn_q.weight.lora_b", [2, 32])], "one of the 2 layers"),
        (
            &[("blk.0.attn_q.weight.lora_a", [32, 2]), ("blk.0.attn_q.weight.lora_b", [2, 32])],
            "`blk.0.attn_q.weight.lora_a`: expected [28, 2]",
        ),
        (
            &[("blk.0.attn_q.weight.lora_a", [28, 2]), ("blk.0.attn_q.weight.lora_b", [4, 32])],
            "`blk.0.attn_q.weight.lora_b`: expected [2, 32]",
        ),
        (&[("blk.0.attn_q.weight.lora_a", [28, 33]), ("blk.0.attn_q.weight.lora_b", [33, 32])], "a rank of 1 to 32"),
        (
            &[
                ("blk.0.attn_qkv.weight.lora_a", [28, 2]),
                ("blk.0.attn_qkv.weight.lora_b", [2, 64]),
                ("blk.0.attn_k.weight.lora_a", [28, 2]),
                ("blk.0.attn_k.weight.lora_b", [2, 16]),
            ],
            "expected each projection once",
        ),
        (
            &[("blk.0.ffn_norm.weight.lora_a", [28, 2]), ("blk.0.ffn_norm.weight.lora_b", [2, 28])],
            "expected a projection: q, k, v",
        ),
    ];
    for (tensors, expected) in cases {
        refused(add_bytes(&mut decoder, "x", None, &file(tensors)), expected);
    }
    // nothing of them is left
    assert_eq!(decoder.adapters().count(), 0);
    assert_eq!(decoder.info().memory_bytes, memory);
    add(&mut decoder, "llama");
    refused(decoder.begin_adapter("llama", None), "a name that no loaded adapter has");
    refused(decoder.merge_adapter("y", 1.0), "option `adapter`: expected `llama`, got `y`");
    let nan = [AdapterUse { name: "llama".into(), scale: f32::NAN }];
    refused(decoder.use_adapters(&nan), "a finite number");
    decoder.merge_adapter("llama", 1.0).unwrap();
    refused(decoder.unload_adapter("llama"), "merged");
}

#[test]
fn experts_are_refused_by_name() {
    let mut decoder = on_host("mixtral");
    let tensors = [("blk.0.ffn_up_exps.weight.lora_a", [28, 2]), ("blk.0.ffn_up_exps.weight.lora_b", [2, 24])];
    let mut writer = GgufWriter::new()
        .metadata("general.type", "adapter")
        .metadata("general.architecture", "llama")
        .metadata("adapter.type", "lora");
    for (name, dims) in tensors {
        writer = writer.tensor(name, &dims, BlockType::F32, &vec![0; 4 * (dims[0] * dims[1]) as usize]);
    }
    let error = add_bytes(&mut decoder, "x", None, &writer.to_bytes()).unwrap_err().to_string();
    assert!(
        error.contains("`blk.0.ffn_up_exps.weight.lora_a`: expected a projection of attention, no expert"),
        "{error}"
    );
}

#[test]
fn choices_that_are_no_longer_used_are_dropped() {
    let mut decoder = on_host("llama");
    add(&mut decoder, "llama");
    let ids: Vec<u32> = (2..12).collect();
    let mut memory = Vec::new();
    for i in 1..40 {
        choose(&mut decoder, &[("llama", i as f32 / 40.0)]);
        logits(&mut decoder, &ids);
        memory.push(decoder.info().memory_bytes);
    }
    assert_eq!(memory[0], memory[38], "{memory:?}");
}
