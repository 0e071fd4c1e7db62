//! What an inspection shows is what the model computes, on every engine, beside generations too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::Rng;
use support::chats::{alone, engines, load, options as generate, step, tiny};
use support::tiny::{LAYERS, Tiny, VOCAB, decoder_on};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::HostEngine;
use weft_llm::engine::shared::SharedEngine;
use weft_llm::format::BlockType;
use weft_llm::inference::inspect::{
    InspectEvent, InspectOptions, LayerSeen, LensOptions, Seen, StepSeen, TokenProbability,
};
use weft_llm::inference::{Event, GenerateOptions, LoadedDecoder, LoadedModel, Loading};
use weft_llm::sampling::SamplingOptions;

/// Reads `ids` to the end; `between` runs after each unit of work.
fn inspect_with(
    decoder: &mut LoadedDecoder,
    ids: &[u32],
    options: &InspectOptions,
    mut between: impl FnMut(&mut LoadedDecoder),
) -> (Vec<LayerSeen>, Seen) {
    let id = decoder.inspect(ids.to_vec(), options.clone()).unwrap();
    let mut layers = Vec::new();
    loop {
        match block_on(decoder.inspect_next(id)).unwrap() {
            InspectEvent::Working => {}
            InspectEvent::Layer(seen) => layers.push(seen),
            InspectEvent::End(seen) => return (layers, seen),
        }
        between(decoder);
    }
}

fn inspect(decoder: &mut LoadedDecoder, ids: &[u32], options: &InspectOptions) -> (Vec<LayerSeen>, Seen) {
    inspect_with(decoder, ids, options, |_| {})
}

/// The logits of each position.
fn logits(decoder: &mut LoadedDecoder, ids: &[u32]) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    block_on(decoder.logits(ids, |_, logits| rows.push(logits.to_vec()))).unwrap();
    rows
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

fn assert_probabilities(what: &str, top: &[TokenProbability], logits: &[f32]) {
    let expected = softmax(logits);
    assert!(top.is_sorted_by(|a, b| a.probability >= b.probability), "{what}: {top:?}");
    for TokenProbability { id, probability, .. } in top {
        let of = expected[*id as usize];
        assert!((probability - of).abs() < 1e-4, "{what}: {probability} of {id}, not {of}");
    }
    let best = expected.iter().fold(0.0f64, |a, &b| a.max(b));
    assert!((top[0].probability - best).abs() < 1e-4, "{what}: {} is not the best, {best}", top[0].probability);
}

/// After every layer.
fn lens(positions: Option<Vec<usize>>) -> LensOptions {
    LensOptions { top: 5, layers: Vec::new(), positions }
}

/// Everything at once.
fn everything() -> InspectOptions {
    InspectOptions {
        attention: Some(Vec::new()),
        hidden_states: true,
        lens: Some(lens(None)),
        next: Some(20),
        logprobs: true,
        experts: true,
        rotations: true,
        timing: true,
        sampling: SamplingOptions::default(),
    }
}

fn plain(seed: u64) -> Tiny {
    Tiny::new(seed, |_| BlockType::F32).meta("llama.context_length", 640u32)
}

fn bits(layers: &[LayerSeen]) -> Vec<u32> {
    let floats = layers.iter().flat_map(|seen| [&seen.norms, &seen.attention]).flatten();
    floats.flat_map(|floats| &floats.0).map(|value| value.to_bits()).collect()
}

#[test]
fn the_last_layer_says_what_the_model_says() {
    let ids = Rng::new(3).ids(45, VOCAB);
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(4));
        let expected = logits(&mut decoder, &ids);
        let scores = block_on(decoder.score(&ids, 1, false)).unwrap();
        let positions = Some(vec![44, 0, 13]);
        let lens = Some(lens(positions.clone()));
        for timing in [false, true] {
            let (layers, seen) =
                inspect(&mut decoder, &ids, &InspectOptions { lens: lens.clone(), timing, ..everything() });
            assert_eq!(layers.iter().map(|seen| seen.layer).collect::<Vec<_>>(), [None, Some(0), Some(1)]);
            let at = layers[LAYERS].lens.as_ref().unwrap();
            assert_eq!(Some(at.iter().map(|at| at.position).collect()), positions);
            for at in at {
                assert_eq!(at.top.len(), 5);
                assert_probabilities(&format!("{name}, lens at {}", at.position), &at.top, &expected[at.position]);
            }
            assert!(layers[0].lens.is_none() && layers[1].lens.is_some());
            let stages = seen.next.unwrap();
            assert_eq!(
                stages.iter().map(|stage| stage.stage).collect::<Vec<_>>(),
                ["model", "topK", "topP", "minP", "temperature"]
            );
            assert_probabilities(&format!("{name}, next"), &stages[0].top, &expected[44]);
            assert_eq!((stages[0].left, stages[1].left), (VOCAB, 40));
            assert_eq!(seen.tokens.len(), 45);
            for (at, token) in seen.tokens.iter().enumerate() {
                assert_eq!(token.id, ids[at]);
                assert_eq!(token.logprob.is_none(), at == 0);
                assert!(at == 0 || (token.logprob.unwrap() - scores[at - 1]).abs() < 1e-4, "{name} at {at}");
            }
        }
        // without layers one by one
        let next = InspectOptions { next: Some(3), logprobs: true, ..Default::default() };
        let (layers, seen) = inspect(&mut decoder, &ids, &next);
        assert!(layers.is_empty());
        assert_probabilities(name, &seen.next.unwrap()[0].top, &expected[44]);
        assert!((seen.tokens[44].logprob.unwrap() - scores[43]).abs() < 1e-4, "{name}");
    }
}

#[test]
fn every_engine_sees_the_same() {
    let ids = Rng::new(5).ids(39, VOCAB);
    // plain floats: the CPU engine rounds activations for quantised weights
    let bytes = plain(6).bytes();
    let mut first: Option<Vec<LayerSeen>> = None;
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &bytes);
        let (layers, seen) = inspect(&mut decoder, &ids, &everything());
        let expected = first.get_or_insert_with(|| layers.clone());
        for (seen, expected) in layers.iter().zip(expected) {
            for (floats, expected) in [(&seen.norms, &expected.norms), (&seen.attention, &expected.attention)] {
                let (Some(floats), Some(expected)) = (floats, expected) else { continue };
                assert_eq!(floats.0.len(), expected.0.len());
                for (a, b) in floats.0.iter().zip(&expected.0) {
                    assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{name}: {a} for {b}");
                }
            }
        }
        assert_eq!(layers[1].attention.as_ref().unwrap().0.len(), layers[1].heads * 39 * 39);
        let times = seen.timing.unwrap();
        let of =
            |layer| times.iter().filter(|time| time.layer == layer).map(|time| &*time.operation).collect::<Vec<_>>();
        assert_eq!(of(None), ["embed_tokens", "lm_head"], "{name}");
        assert_eq!(of(Some(1)), ["qkv_proj", "rope", "attention", "o_proj", "gate_up_proj", "down_proj"], "{name}");
        // a rotation reads no weights
        let idle = times.iter().filter(|time| time.bytes == 0).all(|time| time.operation == "rope");
        assert!(idle && times.iter().all(|time| time.milliseconds >= 0.0), "{name}: {times:?}");
    }
}

#[test]
fn generations_beside_inspections_say_the_same() {
    let mut rng = Rng::new(7);
    let (prompt, text) = (rng.ids(40, VOCAB), rng.ids(70, VOCAB));
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(8));
        let (expected, _) = inspect(&mut decoder, &text, &everything());
        for seed in [None, Some(9)] {
            let answer = alone(&mut decoder, &prompt, &generate(seed, 30));
            let generation = decoder.start(prompt.clone(), generate(seed, 30), 0).unwrap();
            let mut ids = Vec::new();
            let mut goes_on = true;
            let mut one = |decoder: &mut LoadedDecoder| {
                if goes_on {
                    let (id, more) = step(decoder, generation);
                    ids.extend(id);
                    goes_on = more;
                }
            };
            let (layers, _) = inspect_with(&mut decoder, &text, &everything(), &mut one);
            (0..40).for_each(|_| one(&mut decoder));
            decoder.stop(generation);
            assert_eq!(ids, answer, "{name}, {seed:?}");
            assert_eq!(bits(&layers), bits(&expected), "{name}, {seed:?}");
        }
    }
}

#[test]
fn an_inspection_uses_and_leaves_a_prefix_and_gives_back_its_blocks() {
    let ids = Rng::new(10).ids(70, VOCAB);
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &tiny(11)).unwrap();
    let next = InspectOptions { next: Some(20), ..Default::default() };
    assert_eq!(inspect(&mut decoder, &ids, &next).1.cached_tokens, 0);
    assert_eq!(inspect(&mut decoder, &ids, &next).1.cached_tokens, 69);
    // the rest needs the rows of all tokens
    let all = [next.clone(), everything()].map(|options| InspectOptions { hidden_states: true, ..options });
    assert!(all.iter().all(|options| inspect(&mut decoder, &ids, options).1.cached_tokens == 0));
    block_on(decoder.forget()).unwrap();
    inspect(&mut decoder, &ids, &everything());
    let generation = decoder.start(ids.clone(), generate(None, 1), 0).unwrap();
    assert_eq!(decoder.cached_tokens(generation), 69);
    decoder.stop(generation);
    block_on(decoder.forget()).unwrap();
    // one that stops after the layers that were asked for has no keys of the others
    let (layers, _) = inspect(&mut decoder, &ids, &InspectOptions { attention: Some(vec![0]), ..Default::default() });
    assert_eq!(layers.iter().map(|seen| seen.layer).collect::<Vec<_>>(), [None, Some(0)]);
    assert_eq!(inspect(&mut decoder, &ids, &next).1.cached_tokens, 0);
    block_on(decoder.forget()).unwrap();
    for steps in 0..5 {
        let id = decoder.inspect(ids.clone(), everything()).unwrap();
        (0..steps).for_each(|_| drop(block_on(decoder.inspect_next(id)).unwrap()));
        decoder.stop(id);
        assert_eq!(decoder.held_blocks(), 0, "after {steps} steps");
        assert!(block_on(decoder.inspect_next(id)).is_err());
    }
}

#[test]
fn what_cannot_be_looked_at_is_named() {
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &tiny(12)).unwrap();
    let attends = |layers: &[usize]| InspectOptions { attention: Some(layers.to_vec()), ..Default::default() };
    let with = |lens| InspectOptions { lens: Some(lens), ..Default::default() };
    let cases = [
        (attends(&[0, 2]), "attention.layers"),
        (with(LensOptions { layers: vec![7], ..lens(None) }), "lens.layers"),
        (with(lens(Some(vec![3]))), "lens.positions"),
        (
            InspectOptions { sampling: SamplingOptions { top_p: 2.0, ..Default::default() }, ..Default::default() },
            "topP",
        ),
    ];
    for (options, name) in cases {
        let error = decoder.inspect(vec![1, 2, 3], options).unwrap_err();
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
    let all = attends(&[0, 1]);
    assert_eq!(decoder.inspect(vec![1; 1000], all.clone()).unwrap_err().code(), "CONTEXT_OVERFLOW");
    let mut long = support::chats::load_for(5000, &cpu(), &support::chats::tiny_for(5000, 1).bytes());
    let error = long.inspect(vec![1; 5000], all).unwrap_err().to_string();
    assert!(error.contains("`attention`: expected at most 512 MiB of weights: name fewer layers"), "{error}");
    assert!(long.inspect(vec![1; 4000], attends(&[1])).is_ok());
}

fn cpu() -> SharedEngine {
    Box::new(HostEngine::new(Simd::default())).into()
}

fn fixture(name: &str) -> LoadedDecoder {
    let path = format!("{}/tests/fixtures/architectures/{name}/model.gguf", env!("CARGO_MANIFEST_DIR"));
    let mut loading = Loading::new(cpu(), None);
    block_on(loading.feed(&std::fs::read(path).unwrap())).unwrap();
    let LoadedModel::Decoder(decoder) = block_on(loading.finish_any()).unwrap() else { panic!("an encoder") };
    *decoder
}

#[test]
fn experts_have_the_weights_of_the_router() {
    let ids: Vec<u32> = (0..37).map(|i| i * 7 % 61).collect();
    for (name, renormalised) in [("mixtral", true), ("qwen2moe", false), ("phimoe", false)] {
        let mut decoder = fixture(name);
        let options = InspectOptions { experts: true, timing: true, ..Default::default() };
        let (layers, seen) = inspect(&mut decoder, &ids, &options);
        for seen in &layers[1..] {
            let experts = seen.experts.as_ref().unwrap();
            assert_eq!(experts.len(), 37, "{name}");
            for chosen in experts {
                assert_eq!(chosen.len(), 2, "{name}");
                assert!(
                    chosen[0].expert != chosen[1].expert && chosen.iter().all(|chosen| chosen.expert < 8),
                    "{name}"
                );
                let sum: f32 = chosen.iter().map(|chosen| chosen.weight).sum();
                assert!(sum > 0.0 && (!renormalised || (sum - 1.0).abs() < 1e-5), "{name}: {chosen:?}");
            }
        }
        let named = |name: &str| seen.timing.as_ref().unwrap().iter().any(|time| time.operation == name);
        assert!(["router", "route", "gate_proj", "up_proj", "down_proj", "combine"].iter().all(|name| named(name)));
    }
    // without experts, nothing is read for them
    let options = InspectOptions { experts: true, ..Default::default() };
    assert!(inspect(&mut fixture("llama"), &ids, &options).0.is_empty());
}

#[test]
fn rotations_are_those_of_the_layers() {
    let options = InspectOptions { rotations: true, ..Default::default() };
    let of = |name: &str| inspect(&mut fixture(name), &[1, 2, 3], &options).1.rotations.unwrap();
    let llama = of("llama");
    assert_eq!(llama.len(), 1);
    let angles = &llama[0].angles;
    assert_eq!((angles.len(), angles[0].0.iter().sum::<f32>(), angles[2].0[0]), (3, 0.0, 2.0));
    assert!(angles[1].0.iter().zip(&angles[2].0).all(|(one, two)| (2.0 * one - two).abs() < 1e-6));
    // other angles in layers with a window
    let gemma3 = of("gemma3");
    assert_eq!(gemma3.len(), 2);
    let mut layers: Vec<usize> = gemma3.iter().flat_map(|rotations| rotations.layers.clone()).collect();
    layers.sort_unstable();
    assert_eq!(layers, (0..fixture("gemma3").info().layers).collect::<Vec<_>>());
    assert!(of("bloom").is_empty() && of("gpt2").is_empty());
    assert!(of("smollm3")[0].layers.len() < fixture("smollm3").info().layers);
}

#[test]
fn the_nearest_tokens_have_the_largest_cosine() {
    let file = plain(13);
    let values: Vec<f32> = file.tensors["token_embd.weight"]
        .data
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    let width = values.len() / VOCAB;
    let dot = |a: usize, b: usize| (0..width).map(|i| values[a * width + i] * values[b * width + i]).sum::<f32>();
    let mut expected: Vec<(u32, f32)> = (0..VOCAB as u32)
        .filter(|&id| id != 70)
        .map(|id| (id, dot(70, id as usize) / (dot(70, 70) * dot(id as usize, id as usize)).sqrt()))
        .collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &file.bytes());
        let near = block_on(decoder.nearest(70, 0, 5)).unwrap();
        assert_eq!((near.next, near.count), (VOCAB as u32, VOCAB as u32));
        for (got, expected) in near.tokens.iter().zip(&expected[..5]) {
            assert_eq!(got.id, expected.0, "{name}");
            assert!((got.similarity - expected.1).abs() < 1e-5, "{name}");
        }
        let rest = block_on(decoder.nearest(70, 200, 300)).unwrap();
        assert_eq!(rest.tokens.len(), VOCAB - 200);
        assert!(block_on(decoder.nearest(VOCAB as u32, 0, 5)).is_err());
    }
}

/// What a generation shows of its steps, and its ids.
fn looked_at(decoder: &mut LoadedDecoder, prompt: &[u32], options: GenerateOptions) -> (Vec<u32>, Vec<StepSeen>) {
    block_on(decoder.forget()).unwrap();
    let generation = decoder.start(prompt.to_vec(), options, 0).unwrap();
    let (mut ids, mut steps) = (Vec::new(), Vec::new());
    loop {
        match block_on(decoder.next(generation)).unwrap() {
            Event::Prompt { .. } => {}
            Event::Token { id, inspection, .. } => {
                ids.push(id);
                steps.push(*inspection.unwrap());
            }
            Event::End { .. } => break,
        }
    }
    decoder.stop(generation);
    (ids, steps)
}

#[test]
fn an_answer_that_is_looked_at_is_the_same() {
    let mut rng = Rng::new(14);
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(15));
        for (len, seed) in [(1, None), (33, Some(16)), (50, None)] {
            let prompt = rng.ids(len, VOCAB);
            let plain = generate(seed, 12);
            let expected = alone(&mut decoder, &prompt, &plain);
            let timing = InspectOptions { timing: true, ..Default::default() };
            let next = InspectOptions { next: Some(300), ..Default::default() };
            for inspect in [everything(), timing, next] {
                let options = GenerateOptions { inspect: Some(inspect.clone()), ..plain.clone() };
                let (ids, steps) = looked_at(&mut decoder, &prompt, options);
                let what = format!("{name}, {len} tokens");
                assert_eq!(ids, expected, "{what}");
                for (i, StepSeen { layers, seen }) in steps.iter().enumerate() {
                    assert_eq!(seen.cached_tokens, len + i - 1, "{what}");
                    let read = if i == 0 { prompt[len - 1] } else { ids[i - 1] };
                    assert_eq!(seen.tokens.iter().map(|token| token.id).collect::<Vec<_>>(), [read], "{what}");
                    for weights in layers.iter().filter_map(|layer| layer.attention.as_ref()) {
                        assert_eq!(weights.0.len(), 4 * (len + i), "{what}");
                        let sum: f32 = weights.0[..len + i].iter().sum();
                        assert!((sum - 1.0).abs() < 1e-5, "{what}: {sum}");
                    }
                    if let Some(stages) = &seen.next {
                        let last = &stages.last().unwrap().top;
                        let drawn = last.iter().find(|token| token.id == ids[i]);
                        assert!(inspect.next == Some(20) || drawn.unwrap().probability > 0.0, "{what}");
                    }
                }
            }
            // the last row of a text is the row of its last token in the step
            let inspect = InspectOptions { attention: Some(vec![1]), ..Default::default() };
            let options = GenerateOptions { inspect: Some(inspect.clone()), ..plain };
            let steps = looked_at(&mut decoder, &prompt, options).1;
            let weights = |layers: &[LayerSeen]| layers[2].attention.clone().unwrap().0;
            let (row, whole) = (weights(&steps[0].layers), weights(&inspect_text(&mut decoder, &prompt, &inspect)));
            for (head, row) in row.chunks_exact(len).enumerate() {
                let expected = &whole[(head * len + len - 1) * len..][..len];
                assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{name}: {row:?}, {expected:?}");
            }
        }
    }
    let options = InspectOptions { lens: Some(lens(Some(vec![0]))), ..Default::default() };
    let options = GenerateOptions { inspect: Some(options), ..generate(None, 1) };
    let error = load(&cpu(), &tiny(15)).start(vec![1], options, 0).unwrap_err().to_string();
    assert!(error.contains("`inspect.lens.positions`"), "{error}");
}

fn inspect_text(decoder: &mut LoadedDecoder, ids: &[u32], options: &InspectOptions) -> Vec<LayerSeen> {
    block_on(decoder.forget()).unwrap();
    inspect(decoder, ids, options).0
}
