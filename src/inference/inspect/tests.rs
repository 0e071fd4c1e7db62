//! Attention weights are those that the engine uses.

use std::path::Path;

use pollster::block_on;

use super::*;
use crate::engine::cpu::Simd;
use crate::engine::gpu::GpuEngine;
use crate::engine::host::{HostEngine, Reference};
use crate::inference::{LoadedEncoder, LoadedModel, Loading};
use crate::model::config::LayerKind;
use crate::record::KvCache;
use crate::tokenizer::Segments;

type Make = fn() -> Box<dyn Engine>;

const ENGINES: [(&str, Make); 3] = [
    ("reference", || Box::new(HostEngine::new(Reference))),
    ("cpu", || Box::new(HostEngine::new(Simd::default()))),
    ("gpu", || Box::new(block_on(GpuEngine::open()).unwrap())),
];

/// Architectures whose attention differs: grouped, ALiBi, a bias for each distance, soft-capped,
/// with windows, with QK-norm.
const ON_GPU: [&str; 7] = ["bert-masked-lm", "llama", "bloom", "gemma2", "gemma3", "qwen3", "t5encoder"];

/// Σ weights · values of each row and head: (rows, heads · head_dim).
fn attended(kv: KvCache, heads: usize, weights: &[f32], values: &[f32], rows: usize) -> Vec<f32> {
    let (d, positions) = (kv.head_dim, values.len() / kv.heads / kv.head_dim);
    let mut y = vec![0.0; rows * heads * d];
    for (i, weight) in weights.iter().enumerate() {
        let (head, row, position) = (i / positions / rows, i / positions % rows, i % positions);
        let value = &values[(head / (heads / kv.heads) * positions + position) * d..][..d];
        let y = &mut y[(row * heads + head) * d..][..d];
        y.iter_mut().zip(value).for_each(|(y, v)| *y += weight * v);
    }
    y
}

/// The output of a layer's attention, as the engine has just written it for the last chunk, is the
/// sum of the values with these weights.
fn check_layer(case: &str, decoder: &mut LoadedDecoder, id: GenerationId, seen: &LayerSeen, tokens: usize) {
    let (Some(layer), Some(Floats(weights))) = (seen.layer, &seen.attention) else { return };
    let has_sinks = decoder.runner.decoder.layers[layer].sinks.is_some();
    for (i, row) in weights.chunks_exact(tokens).enumerate() {
        let sum: f32 = row.iter().sum();
        // a learned sink takes the rest
        let fits = if has_sinks { (0.0..1.0 + 1e-5).contains(&sum) } else { (sum - 1.0).abs() < 1e-5 };
        assert!(fits, "{case}: row {i} sums to {sum}");
        assert!(row[i % tokens + 1..].iter().all(|&weight| weight == 0.0), "{case}: row {i} sees later tokens");
    }
    let runner = &mut decoder.runner;
    let kv = runner.programs.kv.layer(layer);
    let ranges = runner.programs.kv.ranges(
        layer,
        &decoder.inspecting.iter().find(|(other, _)| *other == id).unwrap().1.sequence.blocks,
        tokens,
    );
    let attention = runner.decoder.attention(layer, kv, &runner.programs.steps.activations);
    let values = block_on(runner.engine.read_ranges(kv.buffer, ranges[ranges.len() / 2..].to_vec())).unwrap();
    let whole = attended(kv, attention.heads, weights, &values, tokens);
    let rows = (tokens - 1) % runner.programs.read + 1;
    let expected = block_on(runner.engine.read_values(attention.y.buffer, rows * attention.y.cols)).unwrap();
    let got = &whole[whole.len() - expected.len()..];
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let is_gated = runner.decoder.layers[layer].gate_proj.is_some();
    // a gate has multiplied each value with a number between 0 and 1
    let off = |(a, b): (&f32, &f32)| if is_gated { b - b.clamp(a.min(0.0), a.max(0.0)) } else { a - b };
    let error = got.iter().zip(&expected).map(|pair| off(pair).abs()).fold(0.0, f32::max);
    assert!(largest > 1e-3 && error < 1e-4 * largest.max(1.0), "{case}: {error} of {largest}");
}

/// The same for an encoder; what it reads layer by layer is what it reads at once. Returns how many
/// layers were checked.
fn check_encoder(case: &str, encoder: &mut LoadedEncoder) -> usize {
    let ids: Vec<u32> = (0..19).map(|i| (i * 7919 % 61) as u32).collect();
    let input = Segments { ids: ids.clone(), first: 0..19, second: None };
    let expected = block_on(encoder.hidden(std::slice::from_ref(&input))).unwrap();
    let options = InspectOptions { attention: Some(Vec::new()), hidden_states: true, ..Default::default() };
    let id = encoder.inspect(ids, options).unwrap();
    let (mut layers, mut norms) = (0, Vec::new());
    while let InspectEvent::Layer(seen) = block_on(encoder.inspect_next(id)).unwrap() {
        norms = seen.norms.unwrap().0;
        let Some(Floats(weights)) = seen.attention else { continue };
        layers += 1;
        assert!(weights.chunks_exact(19).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5), "{case}");
        let (kv, count) = (encoder.programs.kv.layer(0), 19);
        let attention = encoder.encoder.trunk.attention(layers - 1, kv, &encoder.programs.activations);
        let ranges = encoder.programs.kv.ranges(0, &encoder.blocks[0], count);
        let values = block_on(encoder.engine.read_ranges(kv.buffer, ranges[ranges.len() / 2..].to_vec())).unwrap();
        let got = attended(kv, attention.heads, &weights, &values, count);
        let expected = block_on(encoder.engine.read_values(attention.y.buffer, got.len())).unwrap();
        let error = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 1e-4, "{case}: {error}");
    }
    let width = expected.len() / 19;
    for (row, norm) in expected.chunks_exact(width).zip(&norms) {
        let own = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        assert!((own - norm).abs() < 1e-4 * own, "{case}: {norm}, not {own}");
    }
    assert_eq!((layers, norms.len()), (encoder.info().layers, 19), "{case}");
    let next = InspectOptions { next: Some(1), ..Default::default() };
    let error = encoder.inspect(vec![1], next).unwrap_err().to_string();
    assert!(error.contains("option `next`: expected none: of an encoder"), "{error}");
    layers
}

#[test]
fn attention_weights_give_the_output_of_attention() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architectures");
    let mut checked = 0;
    for folder in std::fs::read_dir(root).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().to_string_lossy().into_owned();
        let Ok(bytes) = std::fs::read(folder.path().join("model.gguf")) else { continue };
        for (engine, make) in ENGINES.into_iter().filter(|(engine, _)| *engine != "gpu" || ON_GPU.contains(&&*name)) {
            let mut loading = Loading::new(make(), None);
            block_on(loading.feed(&bytes)).unwrap();
            let mut decoder = match block_on(loading.finish_any()).unwrap() {
                LoadedModel::Decoder(decoder) => decoder,
                LoadedModel::Encoder(mut encoder) => {
                    checked += check_encoder(&format!("{name} on {engine}"), &mut encoder);
                    continue;
                }
            };
            if decoder.reads_source() {
                let error = decoder.inspect(vec![1], InspectOptions::default()).unwrap_err().to_string();
                assert!(error.contains("inspect"), "{name} on {engine}: {error}");
                continue;
            }
            // one row, part of a chunk, more than one chunk
            for tokens in [1, 7, 40] {
                let ids: Vec<u32> = (0..tokens).map(|i| (i * 7919 % 61) as u32).collect();
                let options = InspectOptions { attention: Some(Vec::new()), ..Default::default() };
                let id = decoder.inspect(ids, options).unwrap();
                let mut layers = 0;
                loop {
                    match block_on(decoder.inspect_next(id)).unwrap() {
                        InspectEvent::Working => {}
                        InspectEvent::Layer(seen) => {
                            let case = format!("{name} on {engine}, {tokens} tokens, layer {:?}", seen.layer);
                            check_layer(&case, &mut decoder, id, &seen, tokens);
                            layers += usize::from(seen.attention.is_some());
                        }
                        InspectEvent::End(_) => break,
                    }
                }
                let kinds = &decoder.runner.decoder.config.kinds;
                let attend = kinds.iter().filter(|kind| **kind == LayerKind::Attention).count();
                assert_eq!(layers, attend, "{name} on {engine}");
                checked += layers;
            }
        }
    }
    assert!(checked > 100, "{checked}");
}
