//! Layers with linear attention, a selective scan or time mixing, whose states are in slots:
//! whatever is shared, forked or stored, an answer is that of a model which reads the text from its
//! beginning.
#![allow(clippy::unwrap_used)]

use crate::states::ask;
use crate::support;
use crate::support::agreement::{difference, logits};

use pollster::block_on;
use support::Rng;
use support::chats::{CONTEXT, alone, engines, in_turns, load, load_for, options, warm};
use support::tiny::{Tiny, VOCAB, decoder_on};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::shared::SharedEngine;
use weft_llm::format::ModelReader;
use weft_llm::inference::inspect::InspectOptions;
use weft_llm::inference::{Estimator, GenerateOptions};

fn tiny(seed: u64) -> Tiny {
    Tiny::recurrent(seed).meta("qwen35.context_length", CONTEXT as u32)
}

/// With attention in one of two layers, and without any in two ways; on each engine.
fn cases(seed: u64) -> Vec<(&'static str, SharedEngine, Tiny)> {
    let scanning = || Tiny::scanning(seed).meta("mamba2.context_length", CONTEXT as u32);
    let mixing = || Tiny::mixing(seed).meta("rwkv7.context_length", CONTEXT as u32);
    let of = |(name, engine): (&'static str, SharedEngine)| {
        [tiny(seed), scanning(), mixing()].map(|tiny| (name, engine.clone(), tiny))
    };
    engines().into_iter().flat_map(of).collect()
}

#[test]
fn texts_that_begin_alike_answer_as_each_alone() {
    for (name, engine, tiny) in cases(81) {
        let bytes = tiny.bytes();
        let (mut decoder, mut fresh) = (load(&engine, &bytes), load(&engine, &bytes));
        warm(&mut decoder);
        let mut rng = Rng::new(1);
        let mut texts: Vec<Vec<u32>> = vec![rng.ids(90, VOCAB)];
        let mut went_on = 0;
        for number in 0..if name == "cpu" { 100 } else { 20 } {
            // one of the last, as only few are kept
            let earlier = &texts[texts.len() - 1 - rng.below(texts.len().min(2))];
            // often all of it, as when a chat goes on
            let kept = if rng.below(2) == 0 { earlier.len() } else { rng.below(earlier.len()) };
            let more = [1, 3, 40, 90][rng.below(4)];
            let prompt = [&earlier[..kept], &rng.ids(more, VOCAB)].concat();
            if prompt.len() + 20 > CONTEXT {
                continue;
            }
            let tokens = 1 + rng.below(12);
            let (cached, answer) = ask(&mut decoder, &prompt, tokens);
            assert_eq!(answer, alone(&mut fresh, &prompt, &options(None, tokens)), "{name} {number}: {cached} cached");
            went_on += usize::from(cached > 0);
            texts.push([prompt, answer].concat());
        }
        assert!(went_on > 3, "{name}: {went_on}");
    }
}

#[test]
fn a_chat_goes_on_at_its_end() {
    for (name, engine, tiny) in cases(82) {
        let mut decoder = load(&engine, &tiny.bytes());
        let prompt = Rng::new(2).ids(70, VOCAB);
        let (_, answer) = ask(&mut decoder, &prompt, 9);
        let text = [&prompt[..], &answer].concat();
        // the last token of an answer is not computed
        let (cached, _) = ask(&mut decoder, &[&text[..], &[5, 6]].concat(), 3);
        assert_eq!(cached, text.len() - 1, "{name}");
        // and the same prompt again at its own
        let (cached, again) = ask(&mut decoder, &prompt, 9);
        assert!(cached >= prompt.len() - 2, "{name}: {cached}");
        assert_eq!(again, answer, "{name}");
    }
}

#[test]
fn chunks_do_not_matter() {
    let ids = Rng::new(3).ids(200, VOCAB);
    for (name, engine, tiny) in cases(83) {
        // no activations are rounded
        let bytes = tiny.widened().bytes();
        let mut exact = decoder_on(HostEngine::new(Reference), &bytes).unwrap();
        let expected = logits(&mut exact, &ids);
        let mut decoder = load(&engine, &bytes);
        assert!(difference(&logits(&mut decoder, &ids), &expected) < 1e-4, "{name}");
        let best = |row: &Vec<f32>| (0..VOCAB).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32;
        for len in [1, 2, 63, 64, 65, 130, 200] {
            let (_, answer) = ask(&mut decoder, &ids[..len], 1);
            assert_eq!(answer, [best(&expected[len - 1])], "{name}, {len} tokens");
            block_on(decoder.forget()).unwrap();
        }
    }
}

#[test]
fn chats_at_once_answer_as_each_alone() {
    for (name, engine, tiny) in cases(84) {
        let bytes = tiny.bytes();
        let (mut decoder, mut fresh) = (load(&engine, &bytes), load(&engine, &bytes));
        let mut rng = Rng::new(4);
        let system = rng.ids(60, VOCAB);
        let prompts: Vec<_> = (0..5).map(|chat| [&system[..], &[chat], &rng.ids(20, VOCAB)].concat()).collect();
        let chats: Vec<_> =
            prompts.iter().map(|prompt| decoder.start(prompt.clone(), options(None, 30), 0).unwrap()).collect();
        let answers = in_turns(&mut decoder, &chats);
        for (prompt, answer) in prompts.iter().zip(answers) {
            assert_eq!(answer, alone(&mut fresh, prompt, &options(None, 30)), "{name}");
        }
    }
}

/// A state stays after some thousand positions, so that a text that leaves another there need not
/// begin anew.
#[test]
fn a_long_text_is_left_where_a_state_stayed() {
    let bytes = Tiny::recurrent(85).meta("qwen35.context_length", 2500u32).bytes();
    let engine: SharedEngine = Box::new(HostEngine::new(Simd::default())).into();
    let decoder = || load_for(2500, &engine, &bytes);
    let mut rng = Rng::new(5);
    let text = rng.ids(2200, VOCAB);
    let mut first = decoder();
    ask(&mut first, &text, 2);
    for (kept, at_least) in [(2150, 2048), (1500, 1024), (900, 0)] {
        let prompt = [&text[..kept], &rng.ids(5, VOCAB)].concat();
        let (cached, answer) = ask(&mut first, &prompt, 4);
        assert!((at_least..at_least + 200).contains(&cached), "{kept}: {cached}");
        assert_eq!(answer, ask(&mut decoder(), &prompt, 4).1, "{kept}");
    }
}

#[test]
fn nothing_of_it_is_stored() {
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &tiny(86).bytes()).unwrap();
    assert_eq!(decoder.info().kv_width, 0);
    let ids = Rng::new(6).ids(64, VOCAB);
    ask(&mut decoder, &ids, 2);
    assert_eq!(decoder.remembered(&ids), [0, 0]);
    for error in [
        block_on(decoder.read_kv(0, &ids, None)).unwrap_err(),
        block_on(decoder.read_block(&ids)).unwrap_err(),
        block_on(decoder.write_block(&ids, &[])).unwrap_err(),
        decoder.restore(ids.clone(), 1).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.code(), "INVALID_OPTION", "{error}");
    }
}

#[test]
fn a_look_inside_reads_what_generations_read() {
    for (name, engine, tiny) in cases(87) {
        let bytes = tiny.bytes();
        let (mut decoder, mut fresh) = (load(&engine, &bytes), load(&engine, &bytes));
        let ids = Rng::new(8).ids(100, VOCAB);
        for timing in [false, true] {
            let inspect =
                InspectOptions { hidden_states: true, attention: Some(Vec::new()), timing, ..Default::default() };
            let looking = GenerateOptions { inspect: Some(inspect), ..options(None, 6) };
            let generation = decoder.start(ids.clone(), looking, 0).unwrap();
            let answer = in_turns(&mut decoder, &[generation]).remove(0);
            assert_eq!(answer, alone(&mut fresh, &ids, &options(None, 6)), "{name}");
            block_on(decoder.forget()).unwrap();
        }
    }
}

/// A sequence has the state of its end and that of the end of its prompt, beside those that stay.
#[test]
fn an_estimate_counts_states() {
    let estimate = |tiny: Tiny| {
        let mut estimator = Estimator::new(ModelReader::default(), None);
        estimator.feed(&tiny.bytes()).unwrap();
        estimator.finish().unwrap().kv_cache_bytes
    };
    let contexts = [64u32, 64 + 1024];
    let [short, long] = contexts.map(|len| estimate(Tiny::recurrent(88).meta("qwen35.context_length", len)));
    // inputs of three positions, and matrices, in whole rows of 128 values
    let slot = (3 * 96 + 64 * 8_u64).next_multiple_of(128) * 4;
    let block = 64 * 2 * (support::tiny::KV_HEADS * support::tiny::HEAD_DIM) as u64 * 4;
    assert_eq!([short, long], [block + 2 * slot, 17 * block + 3 * slot]);
    // without attention, in two layers
    let found = contexts.map(|len| estimate(Tiny::scanning(88).meta("mamba2.context_length", len)));
    let slot = 2 * (3 * 96 + 64 * 8_u64).next_multiple_of(128) * 4;
    assert_eq!(found, [2 * slot, 3 * slot]);
    // two inputs, and matrices of four heads
    let found = contexts.map(|len| estimate(Tiny::mixing(88).meta("rwkv7.context_length", len)));
    let slot = 2 * (2 * 64 + 64 * 16_u64).next_multiple_of(128) * 4;
    assert_eq!(found, [2 * slot, 3 * slot]);
}

#[test]
fn a_file_that_lacks_a_part_is_refused_by_its_name() {
    for name in ["ssm_a", "ssm_dt.bias", "ssm_conv1d.weight", "ssm_norm.weight", "ssm_alpha.weight", "ssm_out.weight"] {
        let mut tiny = tiny(89);
        tiny.tensors.remove(&format!("blk.0.{name}"));
        let error = decoder_on(HostEngine::new(Simd::default()), &tiny.bytes()).map(drop).unwrap_err().to_string();
        assert!(error.contains(&format!("blk.0.{name}")), "{error}");
    }
}

/// Layers behind the others that draft further tokens.
#[test]
fn drafting_layers_are_skipped() {
    let plain = tiny(90);
    let mut more = tiny(90).meta("qwen35.nextn_predict_layers", 1u32).meta("qwen35.block_count", 3u32);
    for name in ["attn_norm", "nextn.enorm"] {
        more = more.vector(&format!("blk.2.{name}.weight"), &[1.0; 32]);
    }
    let ids = Rng::new(9).ids(20, VOCAB);
    let [expected, got] = [plain, more].map(|tiny| {
        let mut decoder = decoder_on(HostEngine::new(Reference), &tiny.bytes()).unwrap();
        logits(&mut decoder, &ids)
    });
    assert_eq!(got, expected);
}
