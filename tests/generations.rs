//! One model serves several sequences, and one engine several models, without changing each
//! other's output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::Rng;
use support::chats::{alone, engines, in_turns, load, options, step, tiny};
use support::tiny::{VOCAB, decoder_on};
use weft_llm::engine::PROMPT_CHUNK;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::HostEngine;
use weft_llm::inference::{Event, GenerateOptions, LoadedDecoder};
use weft_llm::sampling::SamplingOptions;

#[test]
fn sequences_in_turns_answer_as_each_alone() {
    let mut rng = Rng::new(1);
    let prompts = [75, 7, 140].map(|len| rng.ids(len, VOCAB));
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(21));
        for seeds in [[None; 3], [Some(3), Some(4), None], [Some(5), Some(5), Some(6)]] {
            let options = [(0, 20), (1, 31), (2, 9)].map(|(i, most)| options(seeds[i], most));
            let expected: Vec<_> =
                prompts.iter().zip(&options).map(|(prompt, options)| alone(&mut decoder, prompt, options)).collect();
            block_on(decoder.forget()).unwrap();
            let start = |(prompt, options): (&Vec<u32>, &GenerateOptions)| {
                decoder.start(prompt.clone(), options.clone(), 0).unwrap()
            };
            let generations: Vec<_> = prompts.iter().zip(&options).map(start).collect();
            assert_eq!(in_turns(&mut decoder, &generations), expected, "{name} {seeds:?}");
        }
    }
}

/// Also if one of them is sampled on the host and another on the device, and if one is stopped
/// early.
#[test]
fn generations_do_not_affect_each_other() {
    let mut rng = Rng::new(2);
    let [first, second] = [40, 33].map(|len| rng.ids(len, VOCAB));
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(21));
        let expected = alone(&mut decoder, &first, &options(Some(1), 40));
        let penalizing = SamplingOptions { presence_penalty: 0.5, ..options(Some(9), 0).sampling };
        let on_the_host = GenerateOptions { top_logprobs: Some(21), ..options(Some(9), 60) };
        let penalizing = GenerateOptions { sampling: penalizing, ..options(None, 60) };
        let telling = GenerateOptions { top_logprobs: Some(2), ..options(Some(2), 60) };
        for other in [options(Some(2), 60), penalizing, telling, on_the_host] {
            for steps in [1, 2, 5, 20] {
                block_on(decoder.forget()).unwrap();
                let other = decoder.start(second.clone(), other.clone(), 0).unwrap();
                step(&mut decoder, other);
                let generation = decoder.start(first.clone(), options(Some(1), 40), 0).unwrap();
                let mut ids = Vec::new();
                for i in 0.. {
                    if i < steps {
                        step(&mut decoder, other);
                    } else if i == steps {
                        decoder.stop(other);
                    }
                    let (id, goes_on) = step(&mut decoder, generation);
                    ids.extend(id);
                    if !goes_on {
                        break;
                    }
                }
                decoder.stop(generation);
                assert_eq!(ids, expected, "{name}: the other took {steps} steps");
            }
        }
    }
}

#[test]
fn a_fork_shares_the_computed_prefix_alone() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(22));
        for shared in [1, 63, 64, 65, 500] {
            let mut rng = Rng::new(shared as u64);
            let (first, tail) = (rng.ids(shared, VOCAB), rng.ids(3, VOCAB));
            let second = [&first[..], &tail].concat();
            let options = [options(None, 12), options(Some(7), 12)];
            let expected = [alone(&mut decoder, &first, &options[0]), alone(&mut decoder, &second, &options[1])];
            // forks a generation under way, then one that has ended
            for ended in [false, true] {
                block_on(decoder.forget()).unwrap();
                let one = decoder.start(first.clone(), options[0].clone(), 0).unwrap();
                let mut ids = Vec::new();
                while ids.len() < if ended { 12 } else { 2 } {
                    ids.extend(step(&mut decoder, one).0);
                }
                if ended {
                    decoder.stop(one);
                }
                let other = decoder.start(second.clone(), options[1].clone(), 0).unwrap();
                let what = format!("{name}, {shared} tokens, ended: {ended}");
                assert_eq!(decoder.cached_tokens(other), shared, "{what}");
                if ended {
                    assert_eq!(in_turns(&mut decoder, &[other])[0], expected[1], "{what}");
                    // the first can still be continued, and its keys and values are unchanged
                    let next = [&first[..], &ids].concat();
                    let again = decoder.start(next.clone(), options[0].clone(), 0).unwrap();
                    assert_eq!(decoder.cached_tokens(again), next.len() - 1, "{what}");
                    let continued = in_turns(&mut decoder, &[again]).remove(0);
                    assert_eq!(continued, alone(&mut decoder, &next, &options[0]), "{what}");
                } else {
                    let mut answers = in_turns(&mut decoder, &[one, other]);
                    answers[0].splice(..0, ids);
                    assert_eq!(answers, expected, "{what}");
                }
            }
        }
    }
}

#[test]
fn two_chats_in_turns_keep_their_caches() {
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &tiny(23)).unwrap();
    let mut rng = Rng::new(3);
    let mut chats = [vec![1; 30], vec![2; 40]];
    for turn in 0..4 {
        for chat in &mut chats {
            let known = chat.len();
            chat.extend(rng.ids(9, VOCAB));
            let generation = decoder.start(chat.clone(), options(None, 5), 0).unwrap();
            // the last token of an answer is not computed
            assert_eq!(decoder.cached_tokens(generation), if turn == 0 { 0 } else { known - 1 });
            chat.extend(&in_turns(&mut decoder, &[generation])[0]);
        }
    }
}

#[test]
fn models_on_one_engine_are_freed_one_by_one() {
    for (name, engine) in engines() {
        let empty = engine.memory_bytes();
        let prompt = Rng::new(5).ids(50, VOCAB);
        let greedy = options(None, 10);
        let mut first = load(&engine, &tiny(25));
        let expected = alone(&mut first, &prompt, &greedy);
        block_on(first.forget()).unwrap();
        let one = engine.memory_bytes();
        assert!(one > empty);
        assert_eq!(first.info().memory_bytes, one - empty, "{name}");
        for seed in [26, 27] {
            let mut second = load(&engine, &tiny(seed));
            // the two take turns
            let [a, b] =
                [&mut first, &mut second].map(|decoder| decoder.start(prompt.clone(), greedy.clone(), 0).unwrap());
            let (mut ids, mut others) = (Vec::new(), Vec::new());
            loop {
                let ((id, goes_on), (other, _)) = (step(&mut first, a), step(&mut second, b));
                ids.extend(id);
                others.extend(other);
                if !goes_on {
                    break;
                }
            }
            first.stop(a);
            assert_eq!(ids, expected, "{name}");
            assert_eq!(others, alone(&mut second, &prompt, &greedy), "{name}");
            drop(second);
            block_on(first.forget()).unwrap();
            assert_eq!(engine.memory_bytes(), one, "{name}");
            assert_eq!(alone(&mut first, &prompt, &greedy), expected, "{name}");
        }
        drop(first);
        assert_eq!(engine.memory_bytes(), empty, "{name}");
    }
}

#[test]
fn a_handle_is_never_reused() {
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &tiny(28)).unwrap();
    let first = decoder.start(vec![5, 6], options(None, 2), 0).unwrap();
    let second = decoder.start(vec![5, 6], options(None, 2), 0).unwrap();
    assert_ne!(first, second);
    while step(&mut decoder, first).1 {}
    assert_eq!(block_on(decoder.next(first)).unwrap_err().code(), "INVALID_OPTION");
    decoder.stop(first);
    decoder.stop(first);
    assert_eq!(decoder.cached_tokens(first), 0);
    assert_eq!(decoder.finish(first).unwrap_err().code(), "INVALID_OPTION");
    while step(&mut decoder, second).1 {}
    let third = decoder.start(vec![5, 6], options(None, 2), 0).unwrap();
    assert!(third != first && third != second);
}

/// On an engine whose logits the host samples: as many kernels as for one.
#[test]
fn chats_in_turns_share_their_steps() {
    let mut rng = Rng::new(8);
    let prompts = [20, 31, 9].map(|len| rng.ids(len, VOCAB));
    for (name, engine) in engines().into_iter().filter(|(name, _)| *name != "gpu") {
        let mut decoder = load(&engine, &tiny(21));
        let mut dispatches = |count: usize| {
            block_on(decoder.forget()).unwrap();
            let mut start = |prompt: &Vec<u32>| decoder.start(prompt.clone(), options(None, 40), 0).unwrap();
            let generations: Vec<_> = prompts[..count].iter().map(&mut start).collect();
            // the first step computes the prompt
            let turn = |decoder: &mut LoadedDecoder| {
                for &id in &generations {
                    step(decoder, id);
                }
            };
            turn(&mut decoder);
            let before = decoder.engine().counters().dispatches;
            (0..5).for_each(|_| turn(&mut decoder));
            let after = decoder.engine().counters().dispatches;
            generations.iter().for_each(|&id| decoder.stop(id));
            after - before
        };
        assert_eq!(dispatches(3), dispatches(1), "{name}");
    }
}

/// A GPU draws for each of them, and hands out one id a draw.
#[test]
fn chats_in_turns_share_the_steps_of_a_gpu() {
    let mut rng = Rng::new(8);
    let prompts = [20, 31, 9].map(|len| rng.ids(len, VOCAB));
    let (_, engine) = engines().into_iter().find(|(name, _)| *name == "gpu").unwrap();
    let mut decoder = load(&engine, &tiny(21));
    let mut counted = |count: usize| {
        block_on(decoder.forget()).unwrap();
        let mut start = |prompt: &Vec<u32>| decoder.start(prompt.clone(), options(Some(3), 90), 0).unwrap();
        let generations: Vec<_> = prompts[..count].iter().map(&mut start).collect();
        let turns = |decoder: &mut LoadedDecoder, turns: usize| {
            for _ in 0..turns {
                generations.iter().for_each(|&id| _ = step(decoder, id));
            }
        };
        // the first steps are queued one after the other, until all have queued as many
        turns(&mut decoder, 3);
        let before = decoder.engine().counters();
        turns(&mut decoder, 5);
        let after = decoder.engine().counters();
        generations.iter().for_each(|&id| decoder.stop(id));
        [after.dispatches - before.dispatches, after.readbacks - before.readbacks]
    };
    let ([one, ids], [three, ids_of_three]) = (counted(1), counted(3));
    assert_eq!(ids_of_three, 15);
    // for each id
    assert!(three * ids < one * ids_of_three, "{three} for {ids_of_three} ids, {one} for {ids} alone");
}

/// As in `n` answers to one request: each has the prompt's keys and values, and its tokens come in
/// the steps of the others.
#[test]
fn answers_to_one_prompt_share_it_and_their_steps() {
    let prompt = Rng::new(9).ids(150, VOCAB);
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(21));
        let options = [5, 6, 7, 8].map(|seed| options(Some(seed), 30));
        let expected: Vec<_> = options.iter().map(|options| alone(&mut decoder, &prompt, options)).collect();
        block_on(decoder.forget()).unwrap();
        let first = decoder.start(prompt.clone(), options[0].clone(), 0).unwrap();
        let token = loop {
            if let (Some(token), _) = step(&mut decoder, first) {
                break token;
            }
        };
        let others = options[1..].iter().map(|options| decoder.start(prompt.clone(), options.clone(), 0).unwrap());
        let all: Vec<_> = [first].into_iter().chain(others.collect::<Vec<_>>()).collect();
        for &other in &all[1..] {
            assert_eq!(decoder.cached_tokens(other), prompt.len() - 1, "{name}");
        }
        let before = decoder.engine().counters().dispatches;
        let mut answers = in_turns(&mut decoder, &all);
        let together = decoder.engine().counters().dispatches - before;
        answers[0].insert(0, token);
        assert_eq!(answers, expected, "{name}");
        if name != "gpu" {
            let before = decoder.engine().counters().dispatches;
            let again = decoder.start(prompt.clone(), options[1].clone(), 0).unwrap();
            in_turns(&mut decoder, &[again]);
            let one = decoder.engine().counters().dispatches - before;
            assert!(together <= one + one / 15, "{name}: {together} dispatches for four, {one} for one");
        }
    }
}

/// The prompt of another is read in chunks, and the newcomer's turn comes behind each.
#[test]
fn a_newcomer_waits_for_one_chunk_of_a_long_prompt() {
    let (long, short) = (Rng::new(10).ids(500, VOCAB), Rng::new(11).ids(20, VOCAB));
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(21));
        let reading = decoder.start(long.clone(), options(None, 4), 0).unwrap();
        // steps are counted, and no step computes more than a chunk
        let chunk = |decoder: &mut LoadedDecoder| match block_on(decoder.next(reading)).unwrap() {
            Event::Prompt { done, .. } => done,
            event => panic!("{name}: {event:?}"),
        };
        let before = chunk(&mut decoder);
        let newcomer = decoder.start(short.clone(), options(None, 4), 0).unwrap();
        let done = chunk(&mut decoder);
        assert!(done - before <= PROMPT_CHUNK, "{name}: {done} behind {before}");
        assert!(step(&mut decoder, newcomer).0.is_some(), "{name}");
        [reading, newcomer].into_iter().for_each(|id| decoder.stop(id));
    }
}
