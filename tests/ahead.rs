//! Steps queued ahead on the GPU give the same tokens as sampling on the host, however a generation
//! ends.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use std::time::Duration;

use pollster::block_on;
use support::tiny::{HIDDEN, Tiny, VOCAB, decoder_on};
use support::{Rng, gpu};
use weft_llm::format::BlockType;
use weft_llm::inference::{Event, FinishReason, GenerateOptions, GenerationId, LoadedDecoder};
use weft_llm::sampling::SamplingOptions;

/// A model that soon queues as many steps as it may, however slow the machine is.
fn decoder() -> LoadedDecoder {
    let mut engine = gpu();
    engine.set_queue_limit(Duration::from_secs(3600));
    decoder_on(engine, &Tiny::new(21, |_| BlockType::Q8_0).bytes()).unwrap()
}

/// More than one chunk of a prompt.
fn prompt() -> Vec<u32> {
    Rng::new(5).ids(45, VOCAB)
}

/// Nearly uniform, so that the end of generation comes now and then.
fn hot() -> SamplingOptions {
    SamplingOptions { temperature: 1e3, top_k: 256, top_p: 1.0, min_p: 0.0, ..Default::default() }
}

fn biases() -> Vec<(u32, f32)> {
    (0..VOCAB as u32).step_by(3).map(|id| (id, (id as f32).sin() * 3.0)).collect()
}

fn options(sampling: SamplingOptions, seed: u64, max_tokens: Option<usize>) -> GenerateOptions {
    GenerateOptions { max_tokens, sampling: SamplingOptions { seed: Some(seed), ..sampling }, ..Default::default() }
}

/// The same, sampled on the host: with more log-probabilities than the device tells.
fn on_the_host(options: &GenerateOptions) -> GenerateOptions {
    GenerateOptions { top_logprobs: Some(21), ..options.clone() }
}

/// The next tokens and the end, `most` events after the prompt.
fn events(decoder: &mut LoadedDecoder, generation: GenerationId, most: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < most {
        match block_on(decoder.next(generation)).unwrap() {
            Event::Prompt { .. } => {}
            Event::Token { id, text, .. } => {
                events.push(Event::Token { id, text, logprobs: None, inspection: None });
            }
            end @ Event::End { .. } => events.push(end),
        }
        if let Some(Event::End { .. }) = events.last() {
            break;
        }
    }
    events
}

fn run(decoder: &mut LoadedDecoder, prompt: &[u32], options: &GenerateOptions) -> Vec<Event> {
    let generation = decoder.start(prompt.to_vec(), options.clone(), 0).unwrap();
    let events = events(decoder, generation, usize::MAX);
    decoder.stop(generation);
    events
}

fn ids(events: &[Event]) -> Vec<u32> {
    let id = |event: &Event| if let Event::Token { id, .. } = event { Some(*id) } else { None };
    events.iter().filter_map(id).collect()
}

/// Runs it both ways, each from an empty cache.
fn assert_same(prompt: &[u32], options: &GenerateOptions) -> Vec<Event> {
    let ahead = run(&mut decoder(), prompt, options);
    assert_eq!(ahead, run(&mut decoder(), prompt, &on_the_host(options)), "{options:?}");
    ahead
}

#[test]
fn every_way_of_sampling_gives_the_same_tokens() {
    let off = || SamplingOptions { top_p: 1.0, min_p: 0.0, ..Default::default() };
    for (seed, sampling) in [
        SamplingOptions::greedy(),
        SamplingOptions::default(),
        hot(),
        SamplingOptions { top_k: 3, ..off() },
        SamplingOptions { top_p: 0.5, temperature: 2.0, ..off() },
        SamplingOptions { min_p: 0.3, temperature: 3.0, ..off() },
        SamplingOptions { logit_bias: biases(), ..hot() },
        SamplingOptions { repetition_penalty: 1.3, ..SamplingOptions::greedy() },
        SamplingOptions { frequency_penalty: 0.7, presence_penalty: 0.4, penalty_last_n: 5, ..off() },
        SamplingOptions { frequency_penalty: 0.7, penalty_last_n: 2, ..SamplingOptions::greedy() },
        SamplingOptions { presence_penalty: 40.0, penalty_last_n: usize::MAX, logit_bias: biases(), ..hot() },
    ]
    .into_iter()
    .enumerate()
    {
        for max_tokens in [1, 2, 40] {
            let options =
                GenerateOptions { ignore_eos: true, ..options(sampling.clone(), seed as u64, Some(max_tokens)) };
            let events = assert_same(&prompt(), &options);
            assert_eq!(ids(&events).len(), max_tokens);
        }
    }
    // a prompt of one token has no chunk of its own
    assert_same(&[9], &options(hot(), 3, Some(12)));
}

#[test]
fn the_end_token_drops_queued_tokens() {
    let (mut ahead, mut host) = (decoder(), decoder());
    let mut ends = 0;
    for seed in 0..30 {
        let options = options(hot(), seed, Some(70));
        // one session each, so that every run begins with what the last one left in the cache
        let events = run(&mut ahead, &prompt(), &options);
        assert_eq!(events, run(&mut host, &prompt(), &on_the_host(&options)), "seed {seed}");
        let stopped = matches!(events.last(), Some(Event::End { reason: FinishReason::Stop, .. }));
        ends += usize::from(stopped && events.len() > 8);
    }
    assert!(ends >= 2, "{ends} generations ended while steps were queued");
}

#[test]
fn a_stop_string_drops_queued_tokens() {
    let options = options(hot(), 4, Some(60));
    let all = assert_same(&prompt(), &options);
    let (at, text) = all
        .iter()
        .enumerate()
        .skip(10)
        .find_map(|(i, event)| match event {
            Event::Token { text, .. } if text.len() == 1 => Some((i, text.clone())),
            _ => None,
        })
        .unwrap();
    let stopped = assert_same(&prompt(), &GenerateOptions { stop: vec![text], ..options });
    assert!(stopped.len() <= at + 2, "{} events, and the stop string came at {at}", stopped.len());
    assert!(matches!(stopped.last(), Some(Event::End { reason: FinishReason::Stop, .. })));
}

#[test]
fn a_full_context_ends_the_queue() {
    let options = GenerateOptions { ignore_eos: true, ..options(hot(), 6, None) };
    assert_eq!(ids(&assert_same(&prompt(), &options)).len(), 128 - prompt().len());
    assert_eq!(ids(&assert_same(&Rng::new(8).ids(127, VOCAB), &options)).len(), 1);
}

#[test]
fn an_abort_drops_queued_tokens() {
    let options = GenerateOptions { ignore_eos: true, ..options(hot(), 7, Some(60)) };
    for taken in [1, 9, 30] {
        for explicit in [true, false] {
            let mut decoder_ = decoder();
            let aborted = decoder_.start(prompt(), options.clone(), 0).unwrap();
            let first = ids(&events(&mut decoder_, aborted, taken));
            if explicit {
                decoder_.stop(aborted);
            }
            // shares the prompt and all but the last token, then turns elsewhere
            let shared = [prompt(), first[..taken - 1].to_vec()].concat();
            let next = [shared.clone(), vec![11, 12, 13]].concat();
            let generation = decoder_.start(next.clone(), options.clone(), 0).unwrap();
            assert_eq!(decoder_.cached_tokens(generation), shared.len());
            assert_eq!(
                events(&mut decoder_, generation, usize::MAX),
                run(&mut decoder(), &next, &options),
                "after {taken}"
            );
            // and every position of the cache is good
            let mut logits = Vec::new();
            block_on(decoder_.logits(&next, |_, row| logits.extend_from_slice(row))).unwrap();
            let mut expected = Vec::new();
            block_on(decoder().logits(&next, |_, row| expected.extend_from_slice(row))).unwrap();
            assert_eq!(logits, expected);
        }
    }
}

#[test]
fn a_token_costs_one_submit_and_one_readback_while_others_are_queued() {
    let mut decoder = decoder();
    run(&mut decoder, &prompt(), &options(SamplingOptions::greedy(), 0, Some(1)));
    let tokens = 24;
    let options = GenerateOptions { ignore_eos: true, ..options(hot(), 0, Some(tokens)) };
    let before = decoder.engine().counters();
    let generation = decoder.start([prompt(), vec![7]].concat(), options, 0).unwrap();
    let yielded = events(&mut decoder, generation, 10).len() as u64;
    let queued = decoder.engine().counters().readbacks - before.readbacks;
    assert_eq!(queued - yielded, 7, "steps queued ahead");
    events(&mut decoder, generation, usize::MAX);
    let after = decoder.engine().counters();
    assert_eq!(after.submits - before.submits, tokens as u64);
    assert_eq!(after.readbacks - before.readbacks, tokens as u64);
}

#[test]
fn log_probabilities_are_read_as_a_small_block() {
    let penalties = SamplingOptions { repetition_penalty: 1.1, logit_bias: biases(), ..hot() };
    for (sampling, top) in [(hot(), 20), (penalties, 3), (SamplingOptions::greedy(), 0)] {
        let tokens = 24;
        let options = GenerateOptions { ignore_eos: true, ..options(sampling, 8, Some(tokens)) };
        let told = |decoder: &mut LoadedDecoder, top_logprobs| {
            let generation = decoder.start(prompt(), GenerateOptions { top_logprobs, ..options.clone() }, 0).unwrap();
            let mut all = Vec::new();
            while all.len() < tokens {
                if let Event::Token { logprobs, .. } = block_on(decoder.next(generation)).unwrap() {
                    all.push(logprobs.unwrap());
                }
            }
            decoder.stop(generation);
            all
        };
        let mut ahead = decoder();
        told(&mut ahead, Some(top));
        let before = ahead.engine().counters();
        let got = told(&mut ahead, Some(top));
        let after = ahead.engine().counters();
        assert_eq!(after.readbacks - before.readbacks, tokens as u64);
        assert!(after.read_bytes - before.read_bytes <= 256 * tokens as u64, "{after:?}");
        assert_eq!(after.submits - before.submits, tokens as u64);
        let expected = told(&mut ahead, Some(21));
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got.top.len(), top);
            let pairs = got.top.iter().zip(&expected.top).chain([(&got.token, &expected.token)]);
            for (got, expected) in pairs {
                assert_eq!((got.id, &got.bytes), (expected.id, &expected.bytes));
                assert!((got.logprob - expected.logprob).abs() < 1e-5, "{got:?} for {expected:?}");
            }
        }
    }
}

/// What the host reads, and the steps that are queued, are as few where it has a say in the draw.
#[test]
fn biases_and_penalties_cost_no_more_readbacks() {
    let penalties = SamplingOptions { repetition_penalty: 1.1, frequency_penalty: 0.1, ..hot() };
    for sampling in [SamplingOptions { logit_bias: biases(), ..hot() }, penalties] {
        let tokens = 24;
        let options = GenerateOptions { ignore_eos: true, ..options(sampling, 0, Some(tokens)) };
        let mut decoder = decoder();
        run(&mut decoder, &prompt(), &options);
        let before = decoder.engine().counters();
        let generation = decoder.start([prompt(), vec![7]].concat(), options, 0).unwrap();
        let yielded = events(&mut decoder, generation, 10).len() as u64;
        assert_eq!(decoder.engine().counters().readbacks - before.readbacks - yielded, 7, "steps queued ahead");
        events(&mut decoder, generation, usize::MAX);
        let after = decoder.engine().counters();
        assert_eq!(after.submits - before.submits, tokens as u64);
        assert_eq!(after.readbacks - before.readbacks, tokens as u64);
        assert_eq!(after.read_bytes - before.read_bytes, 4 * tokens as u64);
    }
}

/// Masks of single draws: a token or two are allowed, or all.
#[test]
fn a_constrained_token_costs_one_readback_of_an_id() {
    let run = |decoder: &mut LoadedDecoder, options: &GenerateOptions, others: bool| {
        let generation = decoder.start(prompt(), options.clone(), 0).unwrap();
        let mut rng = Rng::new(4);
        let mut taken = Vec::new();
        let mut other = None;
        let before = decoder.engine().counters();
        let mut after = before;
        loop {
            let mut mask = vec![if taken.len() % 3 == 0 { u32::MAX } else { 0 }; VOCAB.div_ceil(32)];
            rng.ids(3, VOCAB).into_iter().for_each(|id| mask[id as usize / 32] |= 1 << (id % 32));
            decoder.allow(generation, mask.clone()).unwrap();
            match &events(decoder, generation, 1)[0] {
                Event::Token { id, .. } => {
                    assert_eq!(mask[*id as usize / 32] >> (id % 32) & 1, 1, "{id} is not allowed");
                    taken.push(*id);
                    after = decoder.engine().counters();
                }
                _ => break,
            }
            // work of another kind, between the logits and the draw
            match taken.len() % 4 {
                1 if others => drop(block_on(decoder.score(&[9, 8, 7], 1, false)).unwrap()),
                2 if others => {
                    let options = GenerateOptions { ignore_eos: true, ..self::options(hot(), 1, Some(9)) };
                    let id = other.get_or_insert_with(|| decoder.start(vec![5, 6], options, 0).unwrap());
                    events(decoder, *id, 1);
                }
                _ => {}
            }
        }
        decoder.stop(generation);
        let cost =
            [after.readbacks - before.readbacks, after.read_bytes - before.read_bytes, after.submits - before.submits];
        (taken, cost)
    };
    let penalties = SamplingOptions { frequency_penalty: 0.5, ..hot() };
    for sampling in [hot(), penalties, SamplingOptions::greedy()] {
        let tokens = 24;
        let options = GenerateOptions { constrained: true, ignore_eos: true, ..options(sampling, 3, Some(tokens)) };
        let mut ahead = decoder();
        let (first, _) = run(&mut ahead, &options, false);
        // the layers run while the caller makes a mask, and the draw is a submit of its own
        let (again, [readbacks, bytes, submits]) = run(&mut ahead, &options, false);
        let tokens = tokens as u64;
        assert_eq!((again, readbacks, bytes, submits), (first.clone(), tokens, 4 * tokens, 2 * tokens - 1));
        block_on(ahead.forget()).unwrap();
        assert_eq!(run(&mut ahead, &options, true).0, first);
        assert_eq!(run(&mut decoder(), &on_the_host(&options), false).0, first);
    }
}

/// The window of the penalties then reaches over what was dropped.
#[test]
fn penalties_follow_a_context_that_shifts() {
    let sampling = SamplingOptions { frequency_penalty: 2.0, penalty_last_n: 100, ..hot() };
    let options = GenerateOptions { shift_behind: Some(10), ignore_eos: true, ..options(sampling, 9, Some(160)) };
    assert_eq!(ids(&assert_same(&prompt(), &options)).len(), 160);
}

#[test]
fn nan_logits_end_the_answer_with_an_error() {
    let mut norm = [1.0; HIDDEN];
    norm[5] = f32::NAN;
    let tiny = Tiny::new(1, |_| BlockType::F32).vector("output_norm.weight", &norm);
    let mut decoder = decoder_on(gpu(), &tiny.bytes()).unwrap();
    for _ in 0..2 {
        let generation = decoder.start(prompt(), GenerateOptions::default(), 0).unwrap();
        let error = loop {
            match block_on(decoder.next(generation)) {
                Ok(event) => assert!(matches!(event, Event::Prompt { .. }), "{event:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), "INVALID_LOGITS");
    }
}
