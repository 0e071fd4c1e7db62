//! A generation whose session is lost continues in another one, without a difference.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::tiny::{Tiny, VOCAB, decoder_on};
use support::{Rng, gpu_with, variant_sets};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::HostEngine;
use weft_llm::format::block::BlockType;
use weft_llm::inference::{Event, GenerateOptions, GenerationId, LoadedDecoder};
use weft_llm::sampling::SamplingOptions;

/// Without the tokens of a prompt, which are no part of an answer.
fn rest(decoder: &mut LoadedDecoder, generation: GenerationId) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        match block_on(decoder.next(generation)).unwrap() {
            Event::Prompt { .. } => {}
            end @ Event::End { .. } => return [events, vec![end]].concat(),
            event => events.push(event),
        }
    }
}

/// Wherever `first` is cut, `second` gives the rest: the same ids and the same text, held-back text
/// included.
fn resumes(mut first: LoadedDecoder, mut second: LoadedDecoder) {
    // more than a chunk, so that the last piece of the prompt is a short one
    let prompt = Rng::new(3).ids(45, VOCAB);
    let sampling = |temperature, repetition_penalty| SamplingOptions {
        temperature,
        repetition_penalty,
        seed: Some(7),
        ..SamplingOptions::default()
    };
    for sampling in [sampling(0.0, 1.0), sampling(3.0, 1.0), sampling(3.0, 1.3)] {
        let options = GenerateOptions { max_tokens: Some(24), sampling, ignore_eos: true, ..Default::default() };
        let generation = first.start(prompt.clone(), options.clone(), 0).unwrap();
        let events = rest(&mut first, generation);
        first.stop(generation);
        let ids: Vec<u32> = events
            .iter()
            .filter_map(|event| match event {
                Event::Token { id, .. } => Some(*id),
                _ => None,
            })
            .collect();
        assert_eq!(ids.len(), 24);
        for cut in [0, 1, 2, 23, 24] {
            // another prompt's keys and values are all that is cached
            block_on(second.forget()).unwrap();
            let other = second.start(vec![VOCAB as u32 - 1; 3], options.clone(), 0).unwrap();
            rest(&mut second, other);
            second.stop(other);
            let generation = second.start(prompt.clone(), options.clone(), 0).unwrap();
            second.resume(generation, &ids[..cut]).unwrap();
            assert_eq!(rest(&mut second, generation), events[cut..], "cut after {cut} tokens");
            second.stop(generation);
        }
    }
}

#[test]
fn a_generation_resumes_on_the_cpu_engine() {
    let bytes = Tiny::new(5, |_| BlockType::Q4_0).bytes();
    let decoder = || decoder_on(HostEngine::new(Simd::default()), &bytes).unwrap();
    resumes(decoder(), decoder());
}

/// Also with 8-bit activations for prompts, where a token computed as part of a prompt would round
/// differently.
#[test]
fn a_generation_resumes_on_the_gpu_engine() {
    let bytes = Tiny::new(5, |_| BlockType::Q4_0).bytes();
    for variants in &variant_sets()[..2] {
        let decoder = || decoder_on(gpu_with(*variants), &bytes).unwrap();
        resumes(decoder(), decoder());
    }
}

#[test]
fn resuming_needs_a_started_generation() {
    let bytes = Tiny::new(5, |_| BlockType::Q4_0).bytes();
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &bytes).unwrap();
    assert_eq!(decoder.resume(7.into(), &[1]).unwrap_err().code(), "INVALID_OPTION");
    let generation = decoder.start(vec![1, 2], GenerateOptions::default(), 0).unwrap();
    assert_eq!(decoder.resume(generation, &[VOCAB as u32]).unwrap_err().code(), "TOKENIZE");
}
