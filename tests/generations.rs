//! One model serves several sequences, and one engine several models, without changing each
//! other's output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use std::time::Duration;

use pollster::block_on;
use support::slow::{Slow, poll};
use support::tiny::{HEAD_DIM, KV_HEADS, LAYERS, Tiny, VOCAB, decoder_on};
use support::{Rng, gpu};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::shared::SharedEngine;
use weft_llm::format::BlockType;
use weft_llm::inference::{EmbedOptions, Event, GenerateOptions, GenerationId, LoadedDecoder, Loading};
use weft_llm::sampling::SamplingOptions;

const CONTEXT: usize = 640;

/// Bytes that a block of 64 positions takes in all layers.
const BLOCK_BYTES: u64 = (LAYERS * 2 * KV_HEADS * 64 * HEAD_DIM * 4) as u64;

fn tiny_for(context: usize, seed: u64) -> Tiny {
    Tiny::new(seed, |_| BlockType::Q8_0).meta("llama.context_length", context as u32)
}

fn tiny(seed: u64) -> Vec<u8> {
    tiny_for(CONTEXT, seed).bytes()
}

fn engines() -> Vec<(&'static str, SharedEngine)> {
    let mut gpu = gpu();
    // the queue is as long as it may be, however slow the machine is
    gpu.set_queue_limit(Duration::from_secs(3600));
    vec![
        ("reference", Box::new(HostEngine::new(Reference)).into()),
        ("cpu", Box::new(HostEngine::new(Simd::default())).into()),
        ("gpu", Box::new(gpu).into()),
    ]
}

fn load(engine: &SharedEngine, bytes: &[u8]) -> LoadedDecoder {
    load_for(CONTEXT, engine, bytes)
}

fn load_for(context: usize, engine: &SharedEngine, bytes: &[u8]) -> LoadedDecoder {
    let mut loading = Loading::new(engine.clone(), Some(context));
    block_on(loading.feed(bytes)).unwrap();
    block_on(loading.finish()).unwrap()
}

/// Nearly uniform sampling with a seed, greedy without one.
fn options(seed: Option<u64>, max_tokens: usize) -> GenerateOptions {
    let hot = SamplingOptions { temperature: 1e3, top_k: 256, top_p: 1.0, min_p: 0.0, seed, ..Default::default() };
    let sampling = if seed.is_some() { hot } else { SamplingOptions::greedy() };
    GenerateOptions { max_tokens: Some(max_tokens), sampling, ignore_eos: true, ..Default::default() }
}

/// One step: the token, if it gave one, and whether the generation goes on.
fn step(decoder: &mut LoadedDecoder, generation: GenerationId) -> (Option<u32>, bool) {
    match block_on(decoder.next(generation)).unwrap() {
        Event::Prompt { .. } => (None, true),
        Event::Token { id, .. } => (Some(id), true),
        Event::End { .. } => (None, false),
    }
}

/// Gives each generation a step in turn until all have ended. Returns their ids.
fn in_turns(decoder: &mut LoadedDecoder, generations: &[GenerationId]) -> Vec<Vec<u32>> {
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
fn alone(decoder: &mut LoadedDecoder, prompt: &[u32], options: &GenerateOptions) -> Vec<u32> {
    block_on(decoder.forget()).unwrap();
    let generation = decoder.start(prompt.to_vec(), options.clone(), 0).unwrap();
    let [ids] = &in_turns(decoder, &[generation])[..] else { unreachable!() };
    ids.clone()
}

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
        let on_the_host = SamplingOptions { presence_penalty: 0.5, ..options(Some(9), 0).sampling };
        for other in [options(Some(2), 60), GenerateOptions { sampling: on_the_host, ..options(None, 60) }] {
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
fn two_hundred_sequences_give_back_their_memory() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(24));
        block_on(decoder.warm_up()).unwrap();
        alone(&mut decoder, &[1, 2, 3], &options(Some(1), 4));
        block_on(decoder.forget()).unwrap();
        let before = engine.memory_bytes();
        let mut rng = Rng::new(4);
        let mut open = Vec::new();
        for i in 0..200 {
            let len = 1 + rng.below(90);
            let generation = decoder.start(rng.ids(len, VOCAB), options(Some(i), 3), 0).unwrap();
            (0..rng.below(5)).for_each(|_| drop(block_on(decoder.next(generation))));
            open.push(generation);
            if open.len() > 3 {
                decoder.stop(open.remove(rng.below(4)));
            }
        }
        open.into_iter().for_each(|generation| decoder.stop(generation));
        block_on(decoder.forget()).unwrap();
        assert_eq!(engine.memory_bytes(), before, "{name}");
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

/// Memory for `blocks` blocks of 64 positions beside the model.
fn limited(name: &str, bytes: &[u8], blocks: u64) -> LoadedDecoder {
    let roomy = |limit: u64| -> SharedEngine {
        match name {
            "cpu" => {
                let mut engine = HostEngine::new(Simd::default());
                engine.memory_limit = limit;
                Box::new(engine).into()
            }
            _ => {
                let mut engine = gpu();
                engine.set_memory_limit(limit);
                Box::new(engine).into()
            }
        }
    };
    let mut probe = load(&roomy(u64::MAX), bytes);
    let empty = probe.info().memory_bytes;
    // blocks of keys and values of every layer, and a little for sampled ids
    alone(&mut probe, &[1; 10], &options(None, 2));
    assert!(probe.info().memory_bytes > empty + BLOCK_BYTES / 2);
    load(&roomy(empty + blocks * BLOCK_BYTES + 256), bytes)
}

/// What a chat takes depends on its own length, and not on the context that the model was loaded
/// for: keys and values of 300 tokens in whole blocks, and nothing for RoPE.
#[test]
fn a_chat_of_300_tokens_takes_as_much_in_a_context_of_32768_as_in_one_of_2048() {
    let bytes = tiny_for(32_768, 31).bytes();
    let prompt = Rng::new(7).ids(280, VOCAB);
    for (name, [short, long]) in engines().into_iter().zip(engines()).map(|((name, a), (_, b))| (name, [a, b])) {
        let taken = [(2048, short), (32_768, long)].map(|(context, engine)| {
            let mut decoder = load_for(context, &engine, &bytes);
            block_on(decoder.warm_up()).unwrap();
            let loaded = decoder.info().memory_bytes;
            let chat = decoder.start(prompt.clone(), options(None, 21), 0).unwrap();
            let answer = in_turns(&mut decoder, &[chat]).remove(0);
            assert_eq!((answer.len(), decoder.held_blocks()), (21, 5), "{name}");
            let after = decoder.info().memory_bytes - loaded;
            // two that go on from it share its four full blocks
            let said = [&prompt[..], &answer].concat();
            let forks = [5, 6].map(|id| {
                let prompt = [&said[..290], &[id]].concat();
                decoder.start(prompt, options(None, 2), 0).unwrap()
            });
            in_turns(&mut decoder, &forks);
            assert_eq!(decoder.held_blocks(), 7, "{name}");
            [loaded, after, decoder.info().memory_bytes - loaded]
        });
        assert_eq!(taken[0], taken[1], "{name}");
        let [_, chat, forks] = taken[0];
        // a GPU's empty buffers have a few bytes, which the first block takes the place of
        let about = |blocks: u64| blocks * BLOCK_BYTES - 64..=blocks * BLOCK_BYTES;
        assert!(about(5).contains(&chat), "{name}: {chat}");
        assert!(about(7).contains(&forks), "{name}: {forks}");
    }
}

/// The blocks of a sequence were once given back by hand, and a call that was dropped kept them.
#[test]
fn a_call_that_is_dropped_gives_its_blocks_back() {
    let engine = SharedEngine::from(Box::new(Slow(Box::new(HostEngine::new(Simd::default())))));
    let bytes = tiny_for(CONTEXT, 32).meta("llama.pooling_type", 3u32).bytes();
    let mut decoder = load(&engine, &bytes);
    let ids = Rng::new(8).ids(150, VOCAB);
    let text = "a text of some length ".repeat(9);
    let all = |decoder: &mut LoadedDecoder| {
        block_on(decoder.score(&ids, 1, false)).unwrap();
        block_on(decoder.logits(&ids, |_, _| {})).unwrap();
        block_on(decoder.embed(&text, EmbedOptions::default())).unwrap();
        block_on(decoder.forget()).unwrap();
        engine.memory_bytes()
    };
    let before = all(&mut decoder);
    for polls in 1..5 {
        // a future that waits, and is then dropped
        macro_rules! given_up {
            ($call:expr) => {{
                // blocks that have memory are not waited for
                block_on(decoder.forget()).unwrap();
                let mut future = Box::pin($call);
                for _ in 0..polls {
                    assert!(poll(&mut future).is_pending());
                }
                drop(future);
                assert_eq!(decoder.held_blocks(), 0, "{polls}: {}", stringify!($call));
            }};
        }
        given_up!(decoder.score(&ids, 1, false));
        given_up!(decoder.logits(&ids, |_, _| {}));
        given_up!(decoder.embed(&text, EmbedOptions::default()));
    }
    let restoring = decoder.restore(ids.clone(), 1).unwrap();
    let values = vec![0.5; 2 * KV_HEADS * HEAD_DIM * ids.len()];
    block_on(decoder.write_kv(restoring, 0, &values)).unwrap();
    assert_eq!(decoder.held_blocks(), 3);
    decoder.stop(restoring);
    assert_eq!(decoder.held_blocks(), 0);
    assert_eq!(all(&mut decoder), before);
}

/// Memory was given back at the end of a generation alone.
#[test]
fn a_call_gives_memory_back_when_it_ends() {
    for (name, engine) in engines() {
        let bytes = tiny_for(CONTEXT, 33).meta("llama.pooling_type", 3u32).bytes();
        let mut decoder = load(&engine, &bytes);
        let ids = Rng::new(9).ids(150, VOCAB);
        let text = "a text of some length ".repeat(9);
        // what each makes at its first use stays
        block_on(decoder.score(&ids, 1, false)).unwrap();
        block_on(decoder.embed(&text, EmbedOptions::default())).unwrap();
        block_on(decoder.forget()).unwrap();
        let before = engine.memory_bytes();
        block_on(decoder.logits(&ids, |_, _| {})).unwrap();
        assert_eq!((engine.memory_bytes(), decoder.held_blocks()), (before, 0), "{name}: logits");
        block_on(decoder.embed(&text, EmbedOptions::default())).unwrap();
        assert_eq!((engine.memory_bytes(), decoder.held_blocks()), (before, 0), "{name}: embed");
        // these remember what they computed, and so much alone
        block_on(decoder.score(&ids, 1, false)).unwrap();
        let kept = engine.memory_bytes() - before;
        assert!(kept <= 3 * BLOCK_BYTES, "{name}: score keeps {kept}");
        let layers: Vec<_> =
            (0..LAYERS).map(|layer| block_on(decoder.read_kv(layer, &ids[..64], None)).unwrap()).collect();
        block_on(decoder.forget()).unwrap();
        let restoring = decoder.restore(ids[..64].to_vec(), 1).unwrap();
        for (layer, values) in layers.iter().enumerate() {
            block_on(decoder.write_kv(restoring, layer, values)).unwrap();
        }
        block_on(decoder.restored(restoring)).unwrap();
        assert_eq!(decoder.held_blocks(), 1, "{name}");
        let incomplete = decoder.restore(ids.clone(), 1).unwrap();
        let values = vec![0.5; 2 * KV_HEADS * HEAD_DIM * ids.len()];
        block_on(decoder.write_kv(incomplete, 0, &values)).unwrap();
        block_on(decoder.restored(incomplete)).unwrap_err();
        assert_eq!(decoder.held_blocks(), 1, "{name}");
        assert!(engine.memory_bytes() - before <= BLOCK_BYTES, "{name}: a restore that failed");
    }
}

#[test]
fn what_is_remembered_gives_way_to_what_is_restored() {
    let mut rng = Rng::new(10);
    let (old, new) = (rng.ids(150, VOCAB), rng.ids(150, VOCAB));
    for name in ["cpu", "gpu"] {
        let mut decoder = limited(name, &tiny_for(CONTEXT, 34).bytes(), 4);
        let remember = |decoder: &mut LoadedDecoder| {
            alone(decoder, &old, &options(None, 2));
            assert_eq!(decoder.held_blocks(), 3, "{name}");
        };
        remember(&mut decoder);
        let restoring = decoder.restore(new.clone(), 1).unwrap();
        let values = vec![0.5; 2 * KV_HEADS * HEAD_DIM * new.len()];
        block_on(decoder.write_kv(restoring, 0, &values)).unwrap();
        decoder.stop(restoring);
    }
}

#[test]
fn a_sequence_that_runs_out_of_memory_ends_alone() {
    let mut rng = Rng::new(6);
    let (long, short) = (rng.ids(100, VOCAB), rng.ids(60, VOCAB));
    for name in ["cpu", "gpu"] {
        let bytes = tiny(29);
        let mut decoder = limited(name, &bytes, 3);
        // alone it may have all three blocks
        let expected = alone(&mut decoder, &long, &options(Some(1), 60));
        let one = decoder.start(long.clone(), options(Some(1), 60), 0).unwrap();
        let other = decoder.start(short.clone(), options(Some(2), 60), 0).unwrap();
        let mut ids = Vec::new();
        let mut failed = None;
        loop {
            let (id, goes_on) = step(&mut decoder, one);
            ids.extend(id);
            if !goes_on {
                break;
            }
            if failed.is_none() && ids.len() < 20 {
                failed = block_on(decoder.next(other)).err();
            }
        }
        let error = failed.expect("two and two blocks are too many");
        assert_eq!(error.code(), "OUT_OF_MEMORY", "{name}: {error}");
        assert_eq!(block_on(decoder.next(other)).unwrap_err().code(), "INVALID_OPTION", "{name}");
        assert_eq!(ids, expected, "{name}");
        decoder.stop(one);
        // an ended sequence gives up its blocks
        let next = decoder.start(rng.ids(120, VOCAB), options(None, 20), 0).unwrap();
        assert_eq!(in_turns(&mut decoder, &[next])[0].len(), 20, "{name}");
    }
}
