//! Layers that keep a state instead of keys and values: whatever is shared, forked, rolled back or
//! stored, an answer is that of a model which reads the text from its beginning.
#![allow(clippy::unwrap_used)]

use crate::speculate::{self, events, greedy};
use crate::support;
use crate::support::agreement::{difference, logits};

use pollster::block_on;
use support::chats::{CONTEXT, alone, engines, in_turns, load, options, warm};
use support::tiny::{HEAD_DIM, HIDDEN, KV_HEADS, LAYERS, Tiny, VOCAB, decoder_on};
use support::{Rng, gpu};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::{Array, ModelReader, Value};
use weft_llm::inference::inspect::InspectOptions;
use weft_llm::inference::{Estimator, GenerateOptions, LoadedDecoder, Speculate, Speculated};

fn tiny(seed: u64) -> Tiny {
    Tiny::convolving(seed).meta("lfm2.context_length", CONTEXT as u32)
}

/// How many tokens of a prompt were remembered, and the answer.
pub fn ask(decoder: &mut LoadedDecoder, prompt: &[u32], max_tokens: usize) -> (usize, Vec<u32>) {
    let generation = decoder.start(prompt.to_vec(), options(None, max_tokens), 0).unwrap();
    let cached = decoder.cached_tokens(generation);
    (cached, in_turns(decoder, &[generation]).remove(0))
}

#[test]
fn texts_that_begin_alike_answer_as_each_alone() {
    for (name, engine) in engines() {
        let bytes = tiny(71).bytes();
        let (mut decoder, mut fresh) = (load(&engine, &bytes), load(&engine, &bytes));
        warm(&mut decoder);
        let mut rng = Rng::new(1);
        let mut texts: Vec<Vec<u32>> = vec![rng.ids(150, VOCAB)];
        let (mut inside, mut at_borders) = (0, 0);
        for number in 0..if name == "cpu" { 120 } else { 25 } {
            let earlier = &texts[rng.below(texts.len())];
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
            inside += usize::from(!cached.is_multiple_of(64));
            at_borders += usize::from(cached > 0 && cached.is_multiple_of(64));
            texts.push([prompt, answer].concat());
        }
        assert!(inside > 3 && at_borders > 3, "{name}: {inside}, {at_borders}");
    }
}

/// Each row of a prompt of several chunks and blocks, and of the same token by token.
#[test]
fn chunks_do_not_matter() {
    // no activations are rounded
    let bytes = tiny(72).widened().bytes();
    let ids = Rng::new(2).ids(200, VOCAB);
    let mut exact = decoder_on(HostEngine::new(Reference), &bytes).unwrap();
    let expected = logits(&mut exact, &ids);
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &bytes);
        assert!(difference(&logits(&mut decoder, &ids), &expected) < 1e-4, "{name}");
        let best = |row: &Vec<f32>| (0..VOCAB).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32;
        for len in [1, 2, 63, 64, 65, 130, 200] {
            let (_, answer) = ask(&mut decoder, &ids[..len], 1);
            assert_eq!(answer, [best(&expected[len - 1])], "{name}, {len} tokens");
            block_on(decoder.forget()).unwrap();
        }
        // a token at a time, each behind those before
        for len in 1..=150 {
            let (cached, answer) = ask(&mut decoder, &ids[..len], 1);
            assert_eq!((cached, answer), (len - 1, vec![best(&expected[len - 1])]), "{name}, {len} tokens");
        }
    }
}

#[test]
fn drafts_change_no_answer() {
    for (name, engine) in engines() {
        let mut decoder = load(&engine, &tiny(73).bytes());
        let mut all = Speculated::default();
        let drafting = GenerateOptions { speculate: Some(Speculate::Lookup), ..greedy(90) };
        for seed in 0..if name == "cpu" { 60 } else { 12 } {
            let (expected, _) = events(&mut decoder, &speculate::prompt(seed), &greedy(90));
            let (got, counts) = events(&mut decoder, &speculate::prompt(seed), &drafting);
            assert_eq!(got, expected, "{name} {seed}");
            all.drafted += counts.drafted;
            all.accepted += counts.accepted;
        }
        assert!(all.accepted > 0 && all.accepted < all.drafted, "{name}: {all:?}");
    }
}

#[test]
fn chats_at_once_answer_as_each_alone() {
    for (name, engine) in engines() {
        let bytes = tiny(74).bytes();
        let (mut decoder, mut fresh) = (load(&engine, &bytes), load(&engine, &bytes));
        let mut rng = Rng::new(4);
        let system = rng.ids(100, VOCAB);
        let prompts: Vec<_> = (0..5).map(|chat| [&system[..], &[chat], &rng.ids(20, VOCAB)].concat()).collect();
        let chats: Vec<_> =
            prompts.iter().map(|prompt| decoder.start(prompt.clone(), options(None, 40), 0).unwrap()).collect();
        let answers = in_turns(&mut decoder, &chats);
        for (prompt, answer) in prompts.iter().zip(answers) {
            assert_eq!(answer, alone(&mut fresh, prompt, &options(None, 40)), "{name}");
        }
    }
}

/// What a model drafts for another begins anew inside a text, each time elsewhere.
#[test]
fn drafts_for_another_model_are_those_of_a_fresh_one() {
    for (name, engine) in engines() {
        let bytes = tiny(75).bytes();
        let (mut decoder, mut fresh) = (load(&engine, &bytes), load(&engine, &bytes));
        let mut rng = Rng::new(5);
        let mut text = rng.ids(90, VOCAB);
        let drafting = decoder.start_draft(text.clone(), 5).unwrap();
        for _ in 0..20 {
            let draft = loop {
                if let Some(draft) = block_on(decoder.propose(drafting)).unwrap() {
                    break draft;
                }
            };
            assert_eq!(draft, alone(&mut fresh, &text, &options(None, 5)), "{name} {}", text.len());
            // some of it is taken, at times little of the text before
            text.extend(&draft[..rng.below(5)]);
            if rng.below(4) == 0 {
                text.truncate(text.len() - rng.below(60));
            }
            text.push(rng.below(VOCAB) as u32);
            decoder.restart_draft(drafting, text.clone(), 5).unwrap();
        }
    }
}

#[test]
fn blocks_that_were_stored_are_those_that_were_computed() {
    for (name, engine) in engines() {
        let bytes = tiny(76).bytes();
        let [mut first, mut second, mut fresh] = [0, 1, 2].map(|_| load(&engine, &bytes));
        let ids = Rng::new(6).ids(200, VOCAB);
        // goes on past the end, and then leaves it
        ask(&mut first, &ids, 4);
        for end in [64, 128, 192, 200] {
            let block = block_on(first.read_block(&ids[..end])).unwrap();
            block_on(second.write_block(&ids[..end], &block)).unwrap();
            assert_eq!(second.remembered(&ids), [end, 0], "{name}");
        }
        for (prompt, known) in [([&ids[..], &[7, 8]].concat(), 200), ([&ids[..150], &[9]].concat(), 128)] {
            let expected = alone(&mut fresh, &prompt, &options(None, 8));
            assert_eq!(ask(&mut second, &prompt, 8), (known, expected), "{name}");
        }
        let error = block_on(second.write_block(&ids[..64], &[0; 8])).unwrap_err();
        assert_eq!(error.code(), "INVALID_OPTION");
    }
}

#[test]
fn conversations_are_saved_without_states() {
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &tiny(77).bytes()).unwrap();
    assert_eq!(decoder.info().kv_width, 0);
    ask(&mut decoder, &[3, 4, 5], 2);
    for error in [
        block_on(decoder.read_kv(0, &[3, 4], None)).unwrap_err(),
        decoder.restore(vec![3, 4], 1).map(drop).unwrap_err(),
    ] {
        assert!(error.code() == "INVALID_OPTION" && error.to_string().contains("read again"), "{error}");
    }
}

#[test]
fn a_look_inside_reads_what_generations_read() {
    for (name, engine) in engines() {
        let bytes = tiny(78).bytes();
        let (mut decoder, mut fresh) = (load(&engine, &bytes), load(&engine, &bytes));
        let ids = Rng::new(8).ids(100, VOCAB);
        for timing in [false, true] {
            let inspect =
                InspectOptions { hidden_states: true, attention: Some(Vec::new()), timing, ..Default::default() };
            let looking = GenerateOptions { inspect: Some(inspect), ..options(None, 9) };
            let generation = decoder.start(ids.clone(), looking, 0).unwrap();
            let answer = in_turns(&mut decoder, &[generation]).remove(0);
            assert_eq!(answer, alone(&mut fresh, &ids, &options(None, 9)), "{name}");
            block_on(decoder.forget()).unwrap();
        }
    }
}

/// 64 positions take the keys and values of the layers with attention, and eight inputs of each
/// other layer.
#[test]
fn what_a_text_takes_is_what_was_estimated() {
    let bytes = tiny(80).bytes();
    let mut estimator = Estimator::new(ModelReader::default(), Some(CONTEXT));
    estimator.feed(&bytes).unwrap();
    let estimate = estimator.finish().unwrap();
    let block = ((LAYERS - 1) * 2 * KV_HEADS * HEAD_DIM * 64 + 8 * HIDDEN) * 4;
    assert_eq!(estimate.kv_cache_bytes, (CONTEXT / 64 * block) as u64);
    for (name, engine) in engines().into_iter().filter(|(name, _)| *name != "gpu") {
        let mut decoder = load(&engine, &bytes);
        warm(&mut decoder);
        let before = decoder.info().memory_bytes;
        ask(&mut decoder, &Rng::new(9).ids(100, VOCAB), 1);
        assert_eq!(decoder.info().memory_bytes - before, 2 * block as u64, "{name}");
    }
}

#[test]
fn bad_files_are_refused_by_name() {
    let last = format!("blk.{}.shortconv", LAYERS - 1);
    let heads = |of_layers: Vec<u32>| {
        tiny(79).meta("lfm2.attention.head_count_kv", Value::Array(Array::U32(of_layers))).bytes()
    };
    let without = |part: &str| tiny(79).without(&format!("{last}.{part}.weight")).bytes();
    let width = |width: u32| tiny(79).meta("lfm2.shortconv.l_cache", width).bytes();
    let mut narrow = tiny(79);
    narrow.tensors.get_mut(&format!("{last}.conv.weight")).unwrap().dims = vec![HIDDEN as u64, 3];
    let mut keyless = tiny(79);
    keyless.metadata.retain(|(key, _)| key != "lfm2.shortconv.l_cache");
    for (bytes, named) in [
        (without("conv"), format!("{last}.conv.weight")),
        (without("in_proj"), format!("{last}.in_proj.weight")),
        (without("out_proj"), format!("{last}.out_proj.weight")),
        (narrow.bytes(), format!("{last}.conv.weight")),
        (width(2), format!("{last}.conv.weight")),
        (width(9), "lfm2.shortconv.l_cache".into()),
        (keyless.bytes(), "lfm2.shortconv.l_cache".into()),
        (heads(vec![2]), "lfm2.attention.head_count_kv".into()),
        (heads(vec![2, 1]), "lfm2.attention.head_count_kv".into()),
        (heads(vec![3, 0]), "lfm2.attention.head_count_kv".into()),
        (heads(vec![0, 2]), "attn".into()),
    ] {
        let error = decoder_on(HostEngine::new(Simd::default()), &bytes).map(drop).unwrap_err();
        assert!(["INVALID_MODEL", "UNSUPPORTED_MODEL"].contains(&error.code()), "{error}");
        assert!(error.to_string().contains(&named), "{named}: {error}");
    }
    decoder_on(gpu(), &tiny(79).bytes()).unwrap();
}
