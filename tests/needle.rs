//! Facts in long texts, found by a model whose weights are written down, not trained.
//!
//! Its two layers of one head are an induction head (Olsson et al. 2022, arXiv 2209.11895). The
//! first layer's head attends to the token before, by the angles of RoPE, and keeps its code beside
//! each token's own. The second layer's head looks for where the token that is read now was such a
//! predecessor, and copies what came next. So behind a key the model says the value that followed
//! the key before, if attention finds it among all other positions and cannot say it otherwise.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use std::ops::Range;

use pollster::block_on;
use support::Rng;
use support::gpu;
use support::tiny::{Tensor, Tiny};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::BlockType;
use weft_llm::inference::{Event, GenerateOptions, LoadedDecoder, Loading};
use weft_llm::record::KvFormat;
use weft_llm::sampling::SamplingOptions;

/// Tokens: text around the facts, what they are about, and what they say.
const FILLERS: Range<usize> = 3..131;
const KEYS: Range<usize> = 131..195;
const VALUES: Range<usize> = 195..259;

/// Facts of a text, at depths from its beginning to its end.
const FACTS: usize = 16;

/// Values of a token's code: random directions, so that others overlap by about an eighth.
const CODE: usize = 64;
const HIDDEN: usize = 256;
const HEAD_DIM: usize = 128;

/// Where the residual stream holds the code of the token, that of the one before, that of the
/// answer, and a one.
const TOKEN: usize = 0;
const BEFORE: usize = CODE;
const ANSWER: usize = 2 * CODE;
const ONE: usize = 3 * CODE;

/// The base of RoPE: the angles of the upper half of a head stay below a 30th over 32k positions.
const BASE: f32 = 1e12;
/// Pairs of a head that turn fast enough to tell a position from its neighbours. Their angles do
/// not meet again within 32k positions.
const TURNING: usize = 12;
/// How much of the score each of these pairs gives where the distance is one.
const NEAR: f32 = 30.0;
/// The score of what is looked for, where others score a random part of it.
const ALIKE: f32 = 16.0;

/// A matrix of `rows` × `cols`, with what `fill` sets.
fn matrix(rows: usize, cols: usize, fill: impl Fn(&mut dyn FnMut(usize, usize, f32))) -> Tensor {
    let mut values = vec![0f32; rows * cols];
    fill(&mut |row, col, value| values[row * cols + col] = value);
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor { dims: vec![cols as u64, rows as u64], block: BlockType::F32, data }
}

/// The model.
fn finder() -> Vec<u8> {
    let vocabulary = support::tiny::VOCAB;
    let mut rng = Rng::new(11);
    let code = |_| {
        let values: Vec<f32> = (0..CODE).map(|_| (0..4).map(|_| rng.unit()).sum()).collect();
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        values.iter().map(|v| v / length).collect::<Vec<f32>>()
    };
    let codes: Vec<_> = (0..vocabulary).map(code).collect();
    // RMSNorm multiplies by this where the stream holds so many parts of length one
    let norm = |parts: f32| (HIDDEN as f32 / parts).sqrt();
    let copy = |from: usize, to: usize, factor: f32| {
        move |set: &mut dyn FnMut(usize, usize, f32)| (0..CODE).for_each(|i| set(to + i, from + i, factor))
    };
    let near = (NEAR * (HEAD_DIM as f32).sqrt()).sqrt() / norm(2.0);
    let alike = (ALIKE * (HEAD_DIM as f32).sqrt()).sqrt() / norm(3.0);
    let angle = |pair: usize| BASE.powf(-((2 * pair) as f32) / HEAD_DIM as f32);

    let mut tiny = Tiny::new(0, |_| BlockType::F32)
        .meta("llama.context_length", 1u32 << 16)
        .meta("llama.embedding_length", HIDDEN as u32)
        .meta("llama.feed_forward_length", 32u32)
        .meta("llama.attention.head_count", 1u32)
        .meta("llama.attention.head_count_kv", 1u32)
        .meta("llama.attention.key_length", HEAD_DIM as u32)
        .meta("llama.attention.value_length", HEAD_DIM as u32)
        .meta("llama.rope.dimension_count", HEAD_DIM as u32)
        .meta("llama.rope.freq_base", BASE);
    tiny.tensors.clear();
    let mut put = |name: &str, tensor: Tensor| drop(tiny.tensors.insert(format!("{name}.weight"), tensor));
    let tokens = |at: usize, one: f32, factor: f32| {
        matrix(vocabulary, HIDDEN, |set| {
            for (id, code) in codes.iter().enumerate() {
                code.iter().enumerate().for_each(|(i, &value)| set(id, at + i, factor * value));
                set(id, ONE, one);
            }
        })
    };
    put("token_embd", tokens(TOKEN, 1.0, 1.0));
    put("output", tokens(ANSWER, 0.0, 4.0));
    // a query at the angle of the position before, and keys at the angles of theirs
    put(
        "blk.0.attn_q",
        matrix(HEAD_DIM, HIDDEN, |set| {
            for pair in 0..TURNING {
                set(2 * pair, ONE, near * angle(pair).cos());
                set(2 * pair + 1, ONE, -near * angle(pair).sin());
            }
        }),
    );
    put("blk.0.attn_k", matrix(HEAD_DIM, HIDDEN, |set| (0..TURNING).for_each(|pair| set(2 * pair, ONE, near))));
    // the token looks for the one before, in the half of the head that hardly turns
    put("blk.1.attn_q", matrix(HEAD_DIM, HIDDEN, copy(TOKEN, CODE, alike)));
    put("blk.1.attn_k", matrix(HEAD_DIM, HIDDEN, |set| (0..CODE).for_each(|i| set(CODE + i, BEFORE + i, alike))));
    for (layer, parts, to) in [(0, 2.0, BEFORE), (1, 3.0, ANSWER)] {
        let mut put = |name: &str, tensor: Tensor| put(&format!("blk.{layer}.{name}"), tensor);
        put("attn_v", matrix(HEAD_DIM, HIDDEN, copy(TOKEN, 0, 1.0 / norm(parts))));
        put("attn_output", matrix(HIDDEN, HEAD_DIM, |set| (0..CODE).for_each(|i| set(to + i, i, 1.0))));
        put("ffn_gate", matrix(32, HIDDEN, |_| {}));
        put("ffn_up", matrix(32, HIDDEN, |_| {}));
        put("ffn_down", matrix(HIDDEN, 32, |_| {}));
    }
    for name in ["blk.0.attn_norm", "blk.0.ffn_norm", "blk.1.attn_norm", "blk.1.ffn_norm", "output_norm"] {
        tiny = tiny.vector(&format!("{name}.weight"), &[1.0; HIDDEN]);
    }
    tiny.bytes()
}

/// A text that tells facts and then asks for each.
struct Haystack {
    /// The text, then the keys.
    ids: Vec<u32>,
    /// What follows each key, from the first fact to the last.
    values: Vec<u32>,
}

impl Haystack {
    /// `tokens` ids in all.
    fn new(seed: u64, tokens: usize) -> Self {
        let mut rng = Rng::new(seed);
        let mut ids = fillers(&mut rng, tokens - FACTS);
        let offset = rng.below(KEYS.len());
        let keys: Vec<u32> = (0..FACTS).map(|i| (KEYS.start + (offset + i) % KEYS.len()) as u32).collect();
        let values: Vec<u32> = (0..FACTS).map(|_| (VALUES.start + rng.below(VALUES.len())) as u32).collect();
        let part = ids.len() / FACTS;
        for (i, pair) in keys.iter().zip(&values).enumerate() {
            let at = i * part + rng.below(part - 1);
            (ids[at], ids[at + 1]) = (*pair.0, *pair.1);
        }
        ids.extend(keys);
        Self { ids, values }
    }

    /// The same without the facts.
    fn without_facts(&self) -> Self {
        let mut ids = self.ids.clone();
        let end = ids.len() - FACTS;
        ids[..end].iter_mut().filter(|id| !FILLERS.contains(&(**id as usize))).for_each(|id| *id = 3);
        Self { ids, values: self.values.clone() }
    }

    /// Which facts a model finds: the most likely token behind each key is the value.
    fn found(&self, model: &mut LoadedDecoder) -> Vec<bool> {
        let asked = self.ids.len() - FACTS;
        let mut found = Vec::new();
        block_on(model.logits(&self.ids, |position, logits| {
            if position >= asked {
                let most = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
                found.push(most as u32 == self.values[position - asked]);
            }
        }))
        .unwrap();
        found
    }
}

fn fillers(rng: &mut Rng, count: usize) -> Vec<u32> {
    (0..count).map(|_| (FILLERS.start + rng.below(FILLERS.len())) as u32).collect()
}

fn load(engine: impl Engine + 'static, format: KvFormat, context: usize) -> LoadedDecoder {
    let mut loading = Loading::new(Box::new(engine), Some(context));
    loading.set_kv_format(Some(format));
    block_on(loading.feed(&finder())).unwrap();
    block_on(loading.finish()).unwrap()
}

fn on_cpu(format: KvFormat, context: usize) -> LoadedDecoder {
    load(HostEngine::new(Simd::default()), format, context)
}

const FORMATS: [KvFormat; 4] = [KvFormat::F32, KvFormat::F16, KvFormat::Q8, KvFormat::Q4];

#[test]
fn facts_are_found_at_every_depth() {
    let text = Haystack::new(1, 1024);
    let check = |name: &str, mut model: LoadedDecoder| {
        assert_eq!(text.found(&mut model), [true; FACTS], "{name}");
        assert_eq!(text.without_facts().found(&mut model), [false; FACTS], "{name}, of facts that are not there");
    };
    check("reference", load(HostEngine::new(Reference), KvFormat::F32, 1024));
    for format in FORMATS {
        check(&format!("CPU, {format:?}"), on_cpu(format, 1024));
        if format != KvFormat::Q4 {
            check(&format!("GPU, {format:?}"), load(gpu(), format, 1024));
        }
    }
}

/// The context is full in the middle of an answer: four tokens and the newer half stay.
#[test]
fn facts_that_sinks_dropped_are_not_found() {
    const CONTEXT: usize = 256;
    let mut model = on_cpu(KvFormat::F16, CONTEXT);
    for (at, stays) in [(1, true), (60, false), (120, false), (140, true), (230, true)] {
        let mut rng = Rng::new(at as u64);
        let (key, value) = (KEYS.start as u32, VALUES.start as u32);
        let mut prompt = fillers(&mut rng, CONTEXT - 10);
        (prompt[at], prompt[at + 1]) = (key, value);
        let sampling = SamplingOptions::greedy();
        let options = GenerateOptions { shift_behind: Some(4), ignore_eos: true, sampling, ..Default::default() };
        let generation = model.start(prompt, options, 0).unwrap();
        // the answer so far, which ends with the key
        let answer = [fillers(&mut rng, 30), vec![key]].concat();
        model.resume(generation, &answer).unwrap();
        assert_eq!(model.dropped_tokens(generation), (CONTEXT - 4) / 2);
        let id = loop {
            match block_on(model.next(generation)).unwrap() {
                Event::Prompt { .. } => {}
                Event::Token { id, .. } => break id,
                Event::End { .. } => panic!("it ended early"),
            }
        };
        assert_eq!(id == value, stays, "a fact at {at}");
        model.stop(generation);
    }
}

/// The table of docs/LONG-CONTEXT.md: `npm run test:models`, or
/// `cargo test --release --test all needle:: -- --include-ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn published_facts_are_found_in_long_texts() {
    let show = |name: String, model: &mut LoadedDecoder, text: &Haystack| {
        let found = text.found(model);
        let count = found.iter().filter(|found| **found).count();
        println!("{name}: {count} of {FACTS}");
        count
    };
    for thousands in [1, 4, 16, 32] {
        let tokens = thousands * 1024;
        let text = Haystack::new(thousands as u64, tokens);
        for format in FORMATS {
            let model = &mut on_cpu(format, tokens);
            let count = show(format!("CPU, {format:?}, {tokens} tokens"), model, &text);
            if format != KvFormat::Q4 {
                assert_eq!(count, FACTS);
            }
            assert_eq!(show("without the facts".into(), model, &text.without_facts()), 0);
        }
        if thousands <= 4 {
            let reference = &mut load(HostEngine::new(Reference), KvFormat::F32, tokens);
            assert_eq!(show(format!("reference, {tokens} tokens"), reference, &text), FACTS);
            for format in [KvFormat::F32, KvFormat::F16, KvFormat::Q8] {
                let model = &mut load(gpu(), format, tokens);
                assert_eq!(show(format!("GPU, {format:?}, {tokens} tokens"), model, &text), FACTS);
            }
        }
    }
}
