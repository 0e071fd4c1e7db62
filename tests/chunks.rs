//! Prompts in chunks: the same values whatever their sizes, two at most in the queue, and an end
//! between any two.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use std::rc::Rc;

use pollster::block_on;
use support::chats::{alone, engines, in_turns, load, load_in, options, step, tiny, tiny_for};
use support::slow::{Chunks, Slow, poll};
use support::tiny::VOCAB;
use support::{Rng, gpu, gpu_with, variant_sets};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::shared::SharedEngine;
use weft_llm::inference::{Event, FinishReason, GenerateOptions, GenerationId, LoadedDecoder};
use weft_llm::ops::Variants;
use weft_llm::ops::variants::{ATTEND_MANY, MATVEC};

/// A model that queues chunks of so many tokens.
fn queueing(engine: impl Engine + 'static, tokens: usize) -> (LoadedDecoder, Rc<Chunks>) {
    let chunks = Rc::new(Chunks::of(tokens));
    let engine = Slow { chunks: Some(chunks.clone()), ..Slow::from(Box::new(engine) as Box<dyn Engine>) };
    (load(&SharedEngine::from(Box::new(engine)), &tiny(41)), chunks)
}

fn logits(decoder: &mut LoadedDecoder, ids: &[u32]) -> Vec<f32> {
    let mut all = Vec::new();
    block_on(decoder.logits(ids, |_, row| all.extend_from_slice(row))).unwrap();
    all
}

/// How much of the prompt was done at each event.
fn progress(decoder: &mut LoadedDecoder, generation: GenerationId) -> Vec<usize> {
    let mut seen = Vec::new();
    while let Event::Prompt { done, total } = block_on(decoder.next(generation)).unwrap() {
        assert!(total >= done);
        seen.push(done);
    }
    seen
}

#[test]
fn chunks_of_any_size_give_the_same_answer() {
    let mut rng = Rng::new(1);
    let prompts = [33, 150, 545].map(|len| rng.ids(len, VOCAB));
    for (name, engine) in engines() {
        let mut expected = load(&engine, &tiny(41));
        for prompt in &prompts {
            let options = options(Some(7), 6);
            // what follows is scored with the keys and values of every position
            let more = [&prompt[..], &[3, 4]].concat();
            let answered = |decoder: &mut LoadedDecoder| {
                let ids = alone(decoder, prompt, &options);
                (ids, block_on(decoder.score(&more, prompt.len(), false)).unwrap())
            };
            let answer = answered(&mut expected);
            for tokens in [50, 512] {
                let mut decoder = match name {
                    "reference" => queueing(HostEngine::new(Reference), tokens).0,
                    "cpu" => queueing(HostEngine::new(Simd::default()), tokens).0,
                    _ => {
                        let mut engine = gpu();
                        engine.set_prompt_chunk(tokens);
                        load(&SharedEngine::from(Box::new(engine)), &tiny(41))
                    }
                };
                let what = format!("{name}: {} tokens in chunks of {tokens}", prompt.len());
                assert_eq!(answered(&mut decoder), answer, "{what}");
            }
        }
    }
}

/// What the logits tell of the next tokens, where the chunks of a prompt have these many tokens in
/// turn and so many are queued at once.
fn told(decoder: &mut LoadedDecoder, chunks: &Chunks, prompt: &[u32], tokens: &[usize], depth: usize) -> Vec<Event> {
    block_on(decoder.forget()).unwrap();
    chunks.depth.set(depth);
    let options = GenerateOptions { top_logprobs: Some(20), ..options(None, 3) };
    let generation = decoder.start(prompt.to_vec(), options, 0).unwrap();
    let mut events = Vec::new();
    for tokens in tokens.iter().cycle() {
        chunks.tokens.set(*tokens);
        match block_on(decoder.next(generation)).unwrap() {
            Event::Prompt { .. } => {}
            Event::End { .. } => break,
            token => events.push(token),
        }
    }
    decoder.stop(generation);
    events
}

/// Attention over tiles of queries cuts the positions into pieces, which are longer from some
/// position on.
#[test]
fn chunks_of_any_size_give_the_same_bits_in_tiles() {
    let prompt = Rng::new(9).ids(700, VOCAB);
    let heads = |key: &str| format!("llama.attention.{key}");
    let model = tiny_for(720, 41).meta(&heads("head_count"), 8u32).meta(&heads("head_count_kv"), 4u32).bytes();
    let in_tiles = ATTEND_MANY.iter().filter(|variant| variant.queries > 0).cycle();
    for (variants, attend_many) in variant_sets().into_iter().skip(MATVEC.len()).zip(in_tiles) {
        let chunks = Rc::new(Chunks::of(32));
        let engine = Box::new(gpu_with(Variants { attend_many, ..variants }));
        let engine: Box<dyn Engine> =
            Box::new(Slow { chunks: Some(chunks.clone()), ..Slow::from(engine as Box<dyn Engine>) });
        let mut decoder = load_in(None, 720, &SharedEngine::from(engine), &model);
        let expected = told(&mut decoder, &chunks, &prompt, &[512], 2);
        assert_eq!(expected.len(), 3);
        for (tokens, depth) in [(&[32][..], 2), (&[128], 1), (&[300], 2), (&[97, 411, 32, 64], 2), (&[33, 2, 190], 1)] {
            chunks.steps.borrow_mut().clear();
            let what = format!("{tokens:?}, {depth} at once, {}, {}", attend_many.name, variants.matmul.name);
            assert!(told(&mut decoder, &chunks, &prompt, tokens, depth) == expected, "{what}");
            assert_eq!(chunks.steps.borrow()[0], tokens[0]);
        }
    }
}

/// As if the engine measured them.
#[test]
fn chunks_may_grow_and_shrink_on_the_way() {
    let prompt = Rng::new(2).ids(400, VOCAB);
    let (mut decoder, chunks) = queueing(HostEngine::new(Reference), 32);
    let expected = alone(&mut decoder, &prompt, &options(None, 3));
    block_on(decoder.forget()).unwrap();
    chunks.steps.borrow_mut().clear();
    let generation = decoder.start(prompt.clone(), options(None, 3), 0).unwrap();
    let mut ids = Vec::new();
    for tokens in [32, 128, 50, 512, 512, 512, 512, 512, 512, 512, 512] {
        chunks.tokens.set(tokens);
        let (id, goes_on) = step(&mut decoder, generation);
        ids.extend(id);
        if !goes_on {
            break;
        }
    }
    assert_eq!(ids, expected);
    assert_eq!(chunks.steps.borrow()[..5], [32, 32, 128, 50, 158]);
}

#[test]
fn two_chunks_are_queued_and_no_more() {
    let prompt = Rng::new(3).ids(150, VOCAB);
    let (mut decoder, chunks) = queueing(HostEngine::new(Simd::default()), 32);
    let generation = decoder.start(prompt.clone(), options(None, 1), 0).unwrap();
    for (done, queued) in [(32, 1), (64, 1), (96, 1), (128, 0)] {
        assert_eq!(block_on(decoder.next(generation)).unwrap(), Event::Prompt { done, total: 150 });
        // beside the one that was reported
        assert_eq!(chunks.queued.get(), queued, "{done}");
    }
    assert!(matches!(block_on(decoder.next(generation)).unwrap(), Event::Token { .. }));
    assert_eq!(chunks.most.get(), 2);
    decoder.stop(generation);
    block_on(decoder.forget()).unwrap();
    // a whole prompt alone, without an answer
    let generation = decoder.start(prompt, GenerateOptions { prefill: true, ..options(None, 1) }, 0).unwrap();
    assert_eq!(progress(&mut decoder, generation), [32, 64, 96, 128, 150]);
    assert_eq!((chunks.queued.get(), chunks.most.get()), (0, 2));
}

/// An engine that computes at once would only report later.
#[test]
fn the_cpu_engine_computes_a_chunk_at_a_time() {
    let prompt = Rng::new(3).ids(150, VOCAB);
    let mut decoder = load(&SharedEngine::from(Box::new(HostEngine::new(Simd::default()))), &tiny(41));
    let generation = decoder.start(prompt, options(None, 1), 0).unwrap();
    block_on(decoder.next(generation)).unwrap();
    let one = decoder.engine().counters().dispatches;
    block_on(decoder.next(generation)).unwrap();
    assert_eq!(decoder.engine().counters().dispatches, 2 * one);
}

#[test]
fn an_end_between_two_chunks_keeps_what_is_queued() {
    let prompt = Rng::new(4).ids(200, VOCAB);
    let options = options(Some(5), 4);
    let (mut decoder, chunks) = queueing(HostEngine::new(Simd::default()), 32);
    let expected = alone(&mut decoder, &prompt, &options);
    for events in 0..6 {
        for finishes in [false, true] {
            block_on(decoder.forget()).unwrap();
            let generation = decoder.start(prompt.clone(), options.clone(), 0).unwrap();
            (0..events).for_each(|_| assert_eq!(step(&mut decoder, generation), (None, true)));
            if finishes {
                decoder.finish(generation).unwrap();
                let end = Event::End { reason: FinishReason::Stop, text: String::new() };
                assert_eq!(block_on(decoder.next(generation)).unwrap(), end);
            } else {
                decoder.stop(generation);
            }
            assert_eq!(chunks.queued.get(), 0, "nobody waits any more");
            let again = decoder.start(prompt.clone(), options.clone(), 0).unwrap();
            let queued = if events == 0 { 0 } else { (32 * (events + 1)).min(192) };
            assert_eq!(decoder.cached_tokens(again), queued, "after {events} events");
            assert_eq!(in_turns(&mut decoder, &[again])[0], expected, "after {events} events");
            decoder.stop(generation);
        }
    }
}

#[test]
fn a_call_that_is_dropped_while_a_chunk_computes_reports_it_later() {
    let prompt = Rng::new(5).ids(150, VOCAB);
    let (mut fresh, _) = queueing(HostEngine::new(Simd::default()), 32);
    let expected = alone(&mut fresh, &prompt, &options(None, 3));
    let (mut decoder, chunks) = queueing(HostEngine::new(Simd::default()), 32);
    let generation = decoder.start(prompt, options(None, 3), 0).unwrap();
    for polls in 0..4 {
        let mut next = Box::pin(decoder.next(generation));
        // until it is there
        let _ = (0..polls).any(|_| poll(&mut next).is_ready());
    }
    assert_eq!(chunks.most.get(), 2);
    assert_eq!(in_turns(&mut decoder, &[generation])[0], expected);
}

/// A stop must not leave a GPU with work for seconds, and others wait for a chunk, not for two.
#[test]
fn another_generation_gets_a_token_between_two_chunks() {
    let mut rng = Rng::new(6);
    let [long, short] = [300, 5].map(|len| rng.ids(len, VOCAB));
    let (mut decoder, chunks) = queueing(HostEngine::new(Simd::default()), 32);
    let answers = [&long, &short].map(|prompt| alone(&mut decoder, prompt, &options(None, 8)));
    block_on(decoder.forget()).unwrap();
    let generations = [&short, &long].map(|prompt| decoder.start(prompt.clone(), options(None, 8), 0).unwrap());
    step(&mut decoder, generations[0]);
    chunks.steps.borrow_mut().clear();
    let mut ids = Vec::new();
    for _ in 0..4 {
        step(&mut decoder, generations[1]);
        ids.extend(step(&mut decoder, generations[0]).0);
    }
    assert_eq!(ids, answers[1][1..5]);
    assert_eq!(*chunks.steps.borrow(), [32, 32, 1, 32, 1, 32, 1, 32, 1]);
    assert_eq!(in_turns(&mut decoder, &generations)[1], answers[0]);
}

#[test]
fn a_prompt_costs_a_submit_a_chunk_and_one_readback() {
    let mut engine = gpu();
    engine.set_prompt_chunk(64);
    let mut decoder = load(&SharedEngine::from(Box::new(engine)), &tiny(41));
    block_on(decoder.warm_up()).unwrap();
    let before = decoder.engine().counters();
    let generation = decoder.start(Rng::new(7).ids(150, VOCAB), options(Some(1), 1), 0).unwrap();
    for done in [64, 128] {
        assert_eq!(block_on(decoder.next(generation)).unwrap(), Event::Prompt { done, total: 150 });
    }
    // the last chunk is queued with the step that samples
    let queued = decoder.engine().counters();
    assert_eq!((queued.submits - before.submits, queued.readbacks - before.readbacks), (4, 1));
    while step(&mut decoder, generation).1 {}
    let after = decoder.engine().counters();
    assert_eq!((after.submits, after.readbacks), (queued.submits, queued.readbacks));
}

/// The logits of 512 tokens of a large vocabulary would be 262 MB.
#[test]
fn scores_are_read_in_steps_of_32() {
    let ids = Rng::new(8).ids(200, VOCAB);
    let (mut small, _) = queueing(HostEngine::new(Reference), 32);
    let (mut large, chunks) = queueing(HostEngine::new(Reference), 512);
    let loaded = large.info().memory_bytes;
    assert_eq!(logits(&mut large, &ids), logits(&mut small, &ids));
    assert!(chunks.steps.borrow().iter().all(|&rows| rows <= 32));
    assert_eq!(large.info().memory_bytes - loaded, (32 * VOCAB * 4) as u64);
    // a beginning that is not scored is no more than read
    block_on(large.score(&ids, 150, false)).unwrap();
    assert_eq!(chunks.steps.borrow().iter().max(), Some(&149));
}
