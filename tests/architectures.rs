//! Compares every architecture with the logits of Hugging Face transformers for the same random
//! weights, see tests/fixtures/architectures/README.md: on the reference and both engines, for a
//! whole prompt and token by token.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "architectures/encoders.rs"]
mod encoders;
#[path = "architectures/refused.rs"]
mod refused;
#[path = "architectures/saved.rs"]
mod saved;
#[path = "architectures/scaled.rs"]
mod scaled;
#[path = "architectures/sources.rs"]
mod sources;
use crate::support;
use crate::support::agreement::{difference, logits};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pollster::block_on;
use serde::Deserialize;
use support::tiny::greedy;
use weft_llm::Error;
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::inference::{LoadedDecoder, LoadedModel, Loading};
use weft_llm::model::architecture::NAMES;
use weft_llm::record::KvFormat;

/// Largest difference of a logit, relative to the largest logit. The two forms of GELU differ by
/// four times as much.
const TOLERANCE: f32 = 1e-4;

/// The same on an engine that rounds activations to 8 bits where weights are blocks.
const TOLERANCE_BYTES: f32 = 5e-2;

/// What a logit may differ by on an engine.
fn tolerance(model: &str, engine: &str) -> f32 {
    if model.ends_with("-mxfp4") && engine == "cpu" { TOLERANCE_BYTES } else { TOLERANCE }
}

#[derive(Deserialize)]
struct Origin {
    versions: BTreeMap<String, String>,
    /// Source of the logits, if not transformers.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Golden {
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    ids: Vec<u32>,
    /// What the decoder reads, in models that also have an encoder, which reads `ids`.
    decoder_input_ids: Option<Vec<u32>>,
    /// (ids, vocabulary)
    logits: Vec<Vec<f32>>,
    /// (hidden), of length 1, of a model for embeddings
    embedding: Option<Vec<f32>>,
    /// (labels), of a model that ranks
    class_logits: Option<Vec<f32>>,
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architectures");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("model.gguf").exists());
    folders.sort();
    folders
}

fn golden(folder: &Path) -> Golden {
    serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap()
}

/// The program that computed the reference.
fn source(folder: &Path) -> String {
    let text = std::fs::read(folder.join("reference.json")).unwrap();
    let Origin { versions, source } = serde_json::from_slice(&text).unwrap();
    source.unwrap_or_else(|| format!("transformers {}", versions["transformers"]))
}

/// Whether its model has an encoder for the decoder.
fn decoder_reads_source(folder: &Path) -> bool {
    golden(folder).prompts.iter().any(|prompt| prompt.decoder_input_ids.is_some())
}

type Make = fn() -> Box<dyn Engine>;

const ENGINES: [(&str, Make); 3] = [
    ("reference", || Box::new(HostEngine::new(Reference))),
    ("cpu", || Box::new(HostEngine::new(Simd::default()))),
    ("gpu", || Box::new(support::gpu())),
];

/// With keys and values as they are computed, on every engine.
fn open(engine: Box<dyn Engine>, bytes: &[u8], context: Option<usize>) -> Result<LoadedModel, Error> {
    open_in(KvFormat::F32, engine, bytes, context)
}

fn open_in(
    format: KvFormat,
    engine: Box<dyn Engine>,
    bytes: &[u8],
    context: Option<usize>,
) -> Result<LoadedModel, Error> {
    let mut loading = Loading::new(engine, context);
    loading.set_kv_format(Some(format));
    block_on(loading.feed(bytes))?;
    block_on(loading.finish_any())
}

#[test]
fn every_architecture_gives_the_logits_of_transformers() {
    let (mut wrong, mut rows) = (Vec::new(), Vec::new());
    for folder in folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(folder.join("model.gguf")).unwrap();
        let engines = ENGINES.map(|(engine, _)| engine).join(", ");
        let source = source(&folder);
        // tests/hugging_face.rs reads folders with a config.json
        let forms = if folder.join("config.json").exists() { "GGUF, folder" } else { "GGUF" };
        let mut what = "the logits";
        for (engine, make) in ENGINES {
            let case = format!("{name} on {engine}");
            // some models depend on the length of the context
            let open = |context| open(make(), &bytes, context).unwrap_or_else(|error| panic!("{case}: {error}"));
            if let LoadedModel::Encoder(mut decoder) = open(None) {
                what = "the last layer and the head";
                wrong.extend(encoders::check(&case, &folder, &mut decoder));
                continue;
            }
            let open = |context| open(context).into_decoder("generate").unwrap();
            if decoder_reads_source(&folder) {
                wrong.extend(sources::check(&case, &golden(&folder).prompts, &open));
                continue;
            }
            for Prompt { ids, logits: expected, embedding, class_logits, .. } in golden(&folder).prompts {
                let mut decoder = open(Some(ids.len()));
                if let Some(expected) = embedding {
                    what = "the logits and the vector";
                    let vectors = block_on(decoder.embed_ids(vec![ids.clone()], true)).unwrap();
                    assert!(difference(&vectors, &[expected]) < TOLERANCE, "{case}, {} ids, embedding", ids.len());
                }
                if let Some(expected) = class_logits {
                    what = "the logits and the head";
                    let classes = block_on(decoder.class_logits(ids.clone())).unwrap();
                    assert!(difference(&[classes], &[expected]) < TOLERANCE, "{case}, {} ids, classes", ids.len());
                }
                let delta = difference(&logits(&mut decoder, &ids), &expected);
                println!("{case}, {} ids: {delta:.1e}", ids.len());
                if delta > tolerance(&name, engine) {
                    wrong.push(format!("{case}, {} ids: {delta:.1e}", ids.len()));
                }
            }
            check_steps(&case, &mut open(None), &golden(&folder).prompts[0].ids, tolerance(&name, engine));
        }
        let more = match tolerance(&name, "cpu") {
            TOLERANCE => String::new(),
            more => format!("; on cpu, with activations in 8 bits, within {more:e}"),
        };
        rows.push(format!("| {name} | {forms} | {engines} | {what} of {source} within {TOLERANCE:e}{more} |\n"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    check_table(&rows.concat());
}

/// Keys and values in f16 have 11 bits: an error of a 2048th each, and no larger in the logits.
#[test]
fn keys_and_values_in_f16_change_the_logits_a_little() {
    for folder in folders().into_iter().filter(|folder| folder.ends_with("llama")) {
        let bytes = std::fs::read(folder.join("model.gguf")).unwrap();
        let Prompt { ids, logits: expected, .. } = golden(&folder).prompts.remove(0);
        let deltas = [KvFormat::F32, KvFormat::F16].map(|format| {
            let model = open_in(format, Box::new(support::gpu()), &bytes, Some(ids.len())).unwrap();
            difference(&logits(&mut model.into_decoder("generate").unwrap(), &ids), &expected)
        });
        println!("{}: {deltas:?}", folder.display());
        assert!(deltas[0] < TOLERANCE && (deltas[0]..1.0 / 2048.0).contains(&deltas[1]), "{deltas:?}");
    }
}

/// Checks that docs/MODELS.md contains the result of this test.
fn check_table(rows: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/MODELS.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("|---|---|---|---|\n").unwrap();
    let expected = format!("{head}|---|---|---|---|\n{rows}");
    if std::env::var_os("WEFT_WRITE").is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    assert_eq!(text, expected, "WEFT_WRITE=1 writes docs/MODELS.md anew");
}

/// Token by token gives the same as a whole prompt: each token of a greedy continuation has the
/// best logit, within the tolerance.
fn check_steps(name: &str, decoder: &mut LoadedDecoder, ids: &[u32], tolerance: f32) {
    let generated = greedy(decoder, ids, 12);
    assert_eq!(generated.len(), 12);
    let all = [ids, &generated].concat();
    for (row, &id) in logits(decoder, &all)[ids.len() - 1..].iter().zip(&generated) {
        let best = row.iter().fold(f32::NEG_INFINITY, |best, &logit| best.max(logit));
        let largest = row.iter().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
        assert!(best - row[id as usize] <= tolerance * largest, "{name}: {id} after {ids:?}");
    }
}

#[test]
fn every_architecture_has_a_fixture() {
    let known: Vec<String> =
        folders().iter().map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for name in NAMES {
        let shows =
            |folder: &String| folder.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        assert!(known.iter().any(shows), "no fixture for {name}: {known:?}");
    }
}
