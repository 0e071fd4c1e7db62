//! The memory of sequences: how much they take, what is given back, and who ends if there is none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::chats::{
    BLOCK_BYTES, CONTEXT, alone, engines, in_turns, load, load_for, load_in, options, step, tiny, tiny_for, warm,
};
use support::slow::{Slow, poll};
use support::tiny::{HEAD_DIM, KV_HEADS, LAYERS, VOCAB, decoder_on};
use support::{Rng, gpu};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::HostEngine;
use weft_llm::engine::shared::SharedEngine;
use weft_llm::format::ModelReader;
use weft_llm::inference::{EmbedOptions, Estimator, LoadedDecoder};
use weft_llm::record::KvFormat;

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
            warm(&mut decoder);
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

/// An estimate once left out what is made at first use.
#[test]
fn an_estimate_counts_what_chats_together_and_scores_add() {
    let bytes = tiny(36);
    let mut estimator = Estimator::new(ModelReader::default(), Some(CONTEXT));
    assert!(estimator.feed(&bytes).unwrap());
    let estimate = estimator.finish().unwrap();
    // logits of eight chats, and of the 32 tokens of a chunk
    assert_eq!([estimate.chats_bytes, estimate.score_bytes], [8, 32].map(|rows| (rows * VOCAB * 4) as u64));
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &bytes);
        block_on(decoder.warm_up()).unwrap();
        let loaded = decoder.info().memory_bytes;
        warm(&mut decoder);
        let with_chats = decoder.info().memory_bytes;
        assert_eq!(with_chats - loaded, estimate.chats_bytes, "{name}");
        for _ in 0..2 {
            block_on(decoder.score(&[1; 40], 1, false)).unwrap();
            block_on(decoder.forget()).unwrap();
            assert_eq!(decoder.info().memory_bytes - with_chats, estimate.score_bytes, "{name}");
        }
    }
}

/// The blocks of a sequence were once given back by hand, and a call that was dropped kept them.
#[test]
fn a_call_that_is_dropped_gives_its_blocks_back() {
    let engine =
        SharedEngine::from(Box::new(Slow::from(Box::new(HostEngine::new(Simd::default())) as Box<dyn Engine>)));
    let bytes = tiny_for(CONTEXT, 32).meta("llama.pooling_type", 3u32).bytes();
    let mut decoder = load(&engine, &bytes);
    let ids = Rng::new(8).ids(150, VOCAB);
    let text = "a text of some length ".repeat(9);
    let all = |decoder: &mut LoadedDecoder| {
        block_on(decoder.score(&ids, 1, false)).unwrap();
        block_on(decoder.logits(&ids, |_, _| {})).unwrap();
        block_on(decoder.embed(&[&text], EmbedOptions::default())).unwrap();
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
        let texts = [&text];
        given_up!(decoder.embed(&texts, EmbedOptions::default()));
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
        block_on(decoder.embed(&[&text], EmbedOptions::default())).unwrap();
        block_on(decoder.forget()).unwrap();
        let before = engine.memory_bytes();
        block_on(decoder.logits(&ids, |_, _| {})).unwrap();
        assert_eq!((engine.memory_bytes(), decoder.held_blocks()), (before, 0), "{name}: logits");
        block_on(decoder.embed(&[&text], EmbedOptions::default())).unwrap();
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
fn a_chat_is_kept_in_half_of_the_memory() {
    let bytes = tiny_for(CONTEXT, 35).bytes();
    for (name, engine) in engines() {
        // heads that bytes cannot hold are held in halves
        let kept = [None, Some(KvFormat::Q8), Some(KvFormat::F32)].map(|format| {
            let mut decoder = load_in(format, CONTEXT, &engine, &bytes);
            warm(&mut decoder);
            let before = decoder.info().memory_bytes;
            alone(&mut decoder, &[1; 100], &options(None, 2));
            (decoder.info().kv_cache.unwrap(), (decoder.info().memory_bytes - before).div_ceil(BLOCK_BYTES / 2))
        });
        // two blocks; a GPU's empty buffers have a few bytes; the reference rounds, and holds f32
        let (own, halves) = if name == "reference" {
            ((KvFormat::F32, 4), (KvFormat::F16, 4))
        } else {
            ((KvFormat::F16, 2), (KvFormat::F16, 2))
        };
        assert_eq!(kept, [own, halves, (KvFormat::F32, 4)], "{name}");
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

#[test]
fn two_hundred_sequences_give_back_their_memory() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(24));
        warm(&mut decoder);
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

/// Each label leaves a sequence behind, and eight of them pushed out every chat.
#[test]
fn scores_of_many_labels_leave_the_caches_of_chats() {
    let mut rng = Rng::new(12);
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &tiny(36)).unwrap();
    let chats = [rng.ids(40, VOCAB), rng.ids(50, VOCAB)];
    for chat in &chats {
        let generation = decoder.start(chat.clone(), options(None, 1), 0).unwrap();
        in_turns(&mut decoder, &[generation]);
    }
    let text = rng.ids(60, VOCAB);
    for label in 0..12 {
        block_on(decoder.score(&[&text[..], &[label; 4]].concat(), 60, false)).unwrap();
    }
    for chat in chats {
        let generation = decoder.start(chat.clone(), options(None, 1), 0).unwrap();
        assert_eq!(decoder.cached_tokens(generation), chat.len() - 1);
        decoder.stop(generation);
    }
}
