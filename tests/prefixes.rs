//! The prefix cache: prompts that begin alike are computed once.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::chats::{BLOCK_BYTES, alone, engines, in_turns, load, load_for, load_in, options, step, tiny, tiny_for};
use support::tiny::{Tiny, VOCAB, decoder_on};
use support::{Rng, gpu, small_gpu};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::shared::SharedEngine;
use weft_llm::format::BlockType;
use weft_llm::inference::{LoadedDecoder, Loading};
use weft_llm::record::KvFormat;

type Make = fn() -> Box<dyn Engine>;

/// How many tokens of a prompt were remembered, and the answer.
fn ask(decoder: &mut LoadedDecoder, prompt: &[u32], max_tokens: usize) -> (usize, Vec<u32>) {
    let generation = decoder.start(prompt.to_vec(), options(None, max_tokens), 0).unwrap();
    let cached = decoder.cached_tokens(generation);
    (cached, in_turns(decoder, &[generation]).remove(0))
}

#[test]
fn ten_questions_about_a_document_read_it_once() {
    let cpu = SharedEngine::from(Box::new(HostEngine::new(Simd::default())));
    let mut decoder = load_for(4096, &cpu, &tiny_for(4096, 41).bytes());
    let mut rng = Rng::new(1);
    let document = rng.ids(2000, VOCAB);
    let mut chats = [rng.ids(30, VOCAB), rng.ids(200, VOCAB)];
    for number in 0..10 {
        // a chat goes on, and somebody says something new
        let chat = &mut chats[number % 2];
        let known = if number < 2 { 0 } else { chat.len() - 1 };
        chat.extend(rng.ids(9, VOCAB));
        let (cached, answer) = ask(&mut decoder, chat, 40);
        assert_eq!(cached, known, "chat {number}");
        chat.extend(answer);
        ask(&mut decoder, &rng.ids(100, VOCAB), 5);
        let mut question = rng.ids(20, VOCAB);
        question[0] = number as u32;
        let (cached, _) = ask(&mut decoder, &[&document[..], &question].concat(), 30);
        assert_eq!(cached, if number == 0 { 0 } else { 2000 }, "question {number}");
    }
}

#[test]
fn twenty_chats_with_one_system_prompt_read_it_once() {
    for (name, engine) in engines() {
        let bytes = tiny(42);
        let (mut decoder, mut fresh) = (load(&engine, &bytes), load(&engine, &bytes));
        let mut rng = Rng::new(2);
        let system = rng.ids(150, VOCAB);
        for number in 0..20 {
            let prompt = [&system[..], &[number], &rng.ids(40, VOCAB)].concat();
            let (cached, answer) = ask(&mut decoder, &prompt, 6);
            assert_eq!(cached, if number == 0 { 0 } else { 150 }, "{name}, chat {number}");
            if number % 5 == 4 {
                assert_eq!(answer, alone(&mut fresh, &prompt, &options(None, 6)), "{name}, chat {number}");
            }
        }
    }
}

/// Chats that begin at once found nothing of each other, and each read all of the system prompt.
#[test]
fn chats_that_begin_at_once_read_their_common_beginning_once() {
    for (name, engine) in engines() {
        let bytes = tiny(43);
        let (mut decoder, mut fresh) = (load(&engine, &bytes), load(&engine, &bytes));
        let mut rng = Rng::new(3);
        let system = rng.ids(300, VOCAB);
        let prompts: Vec<_> = (0..6).map(|chat| [&system[..], &[chat], &rng.ids(20, VOCAB)].concat()).collect();
        let chats: Vec<_> =
            prompts.iter().map(|prompt| decoder.start(prompt.clone(), options(None, 5), 0).unwrap()).collect();
        let mut answers = vec![Vec::new(); chats.len()];
        while answers.iter().any(|answer| answer.len() < 5) {
            for (&chat, answer) in chats.iter().zip(&mut answers).filter(|(_, answer)| answer.len() < 5) {
                answer.extend(step(&mut decoder, chat).0);
            }
        }
        let cached: usize = chats.iter().map(|&chat| decoder.cached_tokens(chat)).sum();
        assert_eq!(cached, (chats.len() - 1) * system.len(), "{name}");
        for (prompt, answer) in prompts.iter().zip(answers) {
            assert_eq!(answer, alone(&mut fresh, prompt, &options(None, 5)), "{name}");
        }
    }
}

/// Blocks that are read and written again give the very answers of those that were computed, in
/// every format, on another model too.
#[test]
fn blocks_that_were_stored_are_those_that_were_computed() {
    let bytes = Tiny::of_width(2, 46, |_| BlockType::Q8_0).meta("llama.context_length", 640u32).bytes();
    let engines: [(&str, &[KvFormat], Make); 3] = [
        ("cpu", &KvFormat::ALL, || Box::new(HostEngine::new(Simd::default()))),
        ("gpu", &KvFormat::OF_GPUS, || Box::new(gpu())),
        ("gpu in parts", &KvFormat::OF_GPUS, || Box::new(small_gpu(400 << 10))),
    ];
    for (name, formats, engine) in engines {
        for &format in formats {
            let [mut first, mut second] = [0, 1].map(|_| load_in(Some(format), 640, &engine().into(), &bytes));
            let ids = Rng::new(6).ids(200, VOCAB);
            ask(&mut first, &ids, 1);
            let key = first.kv_key();
            assert_eq!(key, second.kv_key());
            assert_eq!([first.remembered(&ids), second.remembered(&ids)], [[200, 0], [0, 0]]);
            let ends = [64, 128, 192, 200];
            let blocks = ends.map(|end| block_on(first.read_block(&ids[..end])).unwrap());
            for (end, block) in ends.into_iter().zip(&blocks) {
                block_on(second.write_block(&ids[..end], block)).unwrap();
                assert_eq!(second.remembered(&ids), [end, 0]);
            }
            for (end, block) in ends.into_iter().zip(&blocks) {
                assert!(block_on(second.read_block(&ids[..end])).unwrap() == *block, "{name}, {key}, {end}");
            }
            // goes on at the end, and inside
            for prompt in [[&ids[..], &[7, 8]].concat(), [&ids[..150], &[9]].concat()] {
                let expected = ask(&mut first, &prompt, 8);
                assert_eq!(ask(&mut second, &prompt, 8), expected, "{name}, {key}");
                assert_eq!(expected.0, prompt.len().min(202) - if prompt.len() > 200 { 2 } else { 1 });
            }
            assert_eq!(first.remembered(&ids), [200, 128]);
            // another number of bytes, a gap, and what is not there
            let refused = |result: Result<(), weft_llm::Error>, text: &str| {
                let error = result.unwrap_err();
                assert_eq!(error.code(), "INVALID_OPTION");
                assert!(error.to_string().contains(text), "{error}");
            };
            let mut third = load_in(Some(format), 640, &engine().into(), &bytes);
            refused(block_on(third.write_block(&ids[..64], &blocks[0][1..])), "block");
            refused(block_on(third.write_block(&ids[..128], &blocks[1])), "expected 0, got 64");
            refused(block_on(third.read_block(&ids[..64])).map(drop), "expected 0, got 64");
            refused(block_on(third.read_block(&[])).map(drop), "block");
        }
    }
}

/// With keys and values of `blocks` blocks for later prompts.
fn keeping(blocks: u64) -> LoadedDecoder {
    let engine = SharedEngine::from(Box::new(HostEngine::new(Simd::default())));
    let mut loading = Loading::new(engine, None);
    loading.set_kv_format(Some(KvFormat::F32));
    loading.set_prefix_bytes(Some(blocks * BLOCK_BYTES + BLOCK_BYTES / 2));
    block_on(loading.feed(&tiny(44))).unwrap();
    block_on(loading.finish()).unwrap()
}

#[test]
fn what_is_remembered_is_bounded_in_bytes() {
    let mut rng = Rng::new(4);
    let prompts: Vec<_> = (0..8).map(|_| rng.ids(130, VOCAB)).collect();
    for blocks in [0, 1, 2, 3, 5, 100] {
        let mut decoder = keeping(blocks);
        for prompt in &prompts {
            ask(&mut decoder, prompt, 3);
            assert!(decoder.held_blocks() as u64 <= blocks);
        }
        let cached = ask(&mut decoder, &prompts[7], 3).0;
        assert_eq!(cached as u64, (blocks * 64).min(129), "{blocks} blocks");
        let cached = ask(&mut decoder, &prompts[6], 3).0;
        assert_eq!(cached as u64, if blocks < 4 { 0 } else { (blocks - 3) * 64 }.min(129), "{blocks} blocks");
    }
}

/// A prompt that ends inside of what another computed writes into a copy of its last block.
#[test]
fn a_prompt_that_leaves_another_inside_a_block_changes_nothing_of_it() {
    let bytes = tiny(45);
    let decoders = || {
        let gpu = decoder_on(gpu(), &bytes).unwrap();
        let [reference, cpu] =
            [Box::new(HostEngine::new(Reference)) as _, Box::new(HostEngine::new(Simd::default())) as _]
                .map(|engine: Box<dyn weft_llm::engine::Engine>| load(&SharedEngine::from(engine), &bytes));
        [reference, cpu, gpu]
    };
    for (mut decoder, mut fresh) in decoders().into_iter().zip(decoders()) {
        let mut rng = Rng::new(5);
        let mut texts = vec![rng.ids(200, VOCAB)];
        ask(&mut decoder, &texts[0], 2);
        for _ in 0..12 {
            let from = rng.below(texts.len());
            let shared = 1 + rng.below(texts[from].len() - 1);
            let mut text = texts[from][..shared].to_vec();
            let more = 1 + rng.below(60);
            text.extend(rng.ids(more, VOCAB));
            let (cached, answer) = ask(&mut decoder, &text, 4);
            assert!(cached >= shared.min(text.len() - 1));
            assert_eq!(answer, alone(&mut fresh, &text, &options(None, 4)));
            texts.push(text);
        }
        for text in &texts {
            let (cached, answer) = ask(&mut decoder, text, 4);
            assert_eq!((cached, answer), (text.len() - 1, alone(&mut fresh, text, &options(None, 4))));
        }
    }
}
