//! Loads a tiny decoder on every engine, and runs generations on it.

use std::time::Duration;

use pollster::block_on;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::shared::SharedEngine;
use weft_llm::format::BlockType;
use weft_llm::inference::{Event, GenerateOptions, GenerationId, LoadedDecoder, Loading};
use weft_llm::record::KvFormat;
use weft_llm::sampling::SamplingOptions;

use super::gpu;
use super::tiny::{HEAD_DIM, KV_HEADS, LAYERS, Tiny};

pub const CONTEXT: usize = 640;

/// Bytes that a block of 64 positions takes in all layers.
pub const BLOCK_BYTES: u64 = (LAYERS * 2 * KV_HEADS * 64 * HEAD_DIM * 4) as u64;

pub fn tiny_for(context: usize, seed: u64) -> Tiny {
    Tiny::new(seed, |_| BlockType::Q8_0).meta("llama.context_length", context as u32)
}

pub fn tiny(seed: u64) -> Vec<u8> {
    tiny_for(CONTEXT, seed).bytes()
}

pub fn engines() -> Vec<(&'static str, SharedEngine)> {
    let mut gpu = gpu();
    // the queue is as long as it may be, however slow the machine is
    gpu.set_queue_limit(Duration::from_secs(3600));
    vec![
        ("reference", Box::new(HostEngine::new(Reference)).into()),
        ("cpu", Box::new(HostEngine::new(Simd::default())).into()),
        ("gpu", Box::new(gpu).into()),
    ]
}

pub fn load(engine: &SharedEngine, bytes: &[u8]) -> LoadedDecoder {
    load_for(CONTEXT, engine, bytes)
}

/// Makes all that is made at first use, for one chat and for several at once.
pub fn warm(decoder: &mut LoadedDecoder) {
    block_on(decoder.warm_up()).unwrap();
    let start = |id| decoder.start(vec![id, id], options(Some(1), 4), 0).unwrap();
    let chats = [1, 2].map(start);
    in_turns(decoder, &chats);
    block_on(decoder.forget()).unwrap();
}

/// Keys and values are in f32 on every engine, so that they take as much.
pub fn load_for(context: usize, engine: &SharedEngine, bytes: &[u8]) -> LoadedDecoder {
    load_in(Some(KvFormat::F32), context, engine, bytes)
}

pub fn load_in(format: Option<KvFormat>, context: usize, engine: &SharedEngine, bytes: &[u8]) -> LoadedDecoder {
    let mut loading = Loading::new(engine.clone(), Some(context));
    loading.set_kv_format(format);
    block_on(loading.feed(bytes)).unwrap();
    block_on(loading.finish()).unwrap()
}

/// Nearly uniform sampling with a seed, greedy without one.
pub fn options(seed: Option<u64>, max_tokens: usize) -> GenerateOptions {
    let hot = SamplingOptions { temperature: 1e3, top_k: 256, top_p: 1.0, min_p: 0.0, seed, ..Default::default() };
    let sampling = if seed.is_some() { hot } else { SamplingOptions::greedy() };
    GenerateOptions { max_tokens: Some(max_tokens), sampling, ignore_eos: true, ..Default::default() }
}

/// One step: the token, if it gave one, and whether the generation goes on.
pub fn step(decoder: &mut LoadedDecoder, generation: GenerationId) -> (Option<u32>, bool) {
    match block_on(decoder.next(generation)).unwrap() {
        Event::Prompt { .. } => (None, true),
        Event::Token { id, .. } => (Some(id), true),
        Event::End { .. } => (None, false),
    }
}

/// Gives each generation a step in turn until all have ended. Returns their ids.
pub fn in_turns(decoder: &mut LoadedDecoder, generations: &[GenerationId]) -> Vec<Vec<u32>> {
    let mut answers = vec![Vec::new(); generations.len()];
    let mut under_way = vec![true; generations.len()];
    while under_way.contains(&true) {
        for (i, &generation) in generations.iter().enumerate() {
            if under_way[i] {
                let (id, goes_on) = step(decoder, generation);
                answers[i].extend(id);
                under_way[i] = goes_on;
            }
        }
    }
    generations.iter().for_each(|&generation| decoder.stop(generation));
    answers
}

/// The answer to a prompt on an idle model with an empty cache.
pub fn alone(decoder: &mut LoadedDecoder, prompt: &[u32], options: &GenerateOptions) -> Vec<u32> {
    block_on(decoder.forget()).unwrap();
    let generation = decoder.start(prompt.to_vec(), options.clone(), 0).unwrap();
    let [ids] = &in_turns(decoder, &[generation])[..] else { unreachable!() };
    ids.clone()
}
