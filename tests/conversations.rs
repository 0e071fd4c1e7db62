//! Conversations: saving and restoring the KV cache, finding ids again, shifting a full context.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::tiny::{HEAD_DIM, KV_HEADS, LAYERS, Tiny, VOCAB, session_on, session_with};
use support::{Rng, gpu};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::HostEngine;
use weft_llm::format::{Array, BlockType, Value};
use weft_llm::sampling::SamplingOptions;
use weft_llm::session::{Event, FinishReason, GenerateOptions, Session};
use weft_llm::tokenizer::EncodeOptions;

const CONTEXT: usize = 128;

fn cpu() -> HostEngine<Simd> {
    HostEngine::new(Simd::default())
}

fn session(engine: impl Engine + 'static) -> Session {
    session_on(engine, &Tiny::new(5, |_| BlockType::Q4_0).bytes()).unwrap()
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions::greedy();
    GenerateOptions { max_tokens: Some(max_tokens), sampling, ignore_eos: true, ..Default::default() }
}

/// An answer to whoever restored keys and values under that number.
fn of(owner: u32) -> GenerateOptions {
    GenerateOptions { restored: Some(owner), ..greedy(12) }
}

/// The ids of an answer, how it ended, and how many tokens of the prompt were cached.
fn answer(session: &mut Session, prompt: &[u32], options: GenerateOptions) -> (Vec<u32>, FinishReason, usize) {
    session.start(prompt.to_vec(), options, 0).unwrap();
    let cached = session.cached_tokens();
    let mut ids = Vec::new();
    loop {
        match block_on(session.next()).unwrap() {
            Event::Prompt { .. } => {}
            Event::Token { id, .. } => ids.push(id),
            Event::End { reason, .. } => return (ids, reason, cached),
        }
    }
}

fn read_all(session: &mut Session, tokens: usize) -> Vec<Vec<f32>> {
    (0..LAYERS).map(|layer| block_on(session.read_kv(layer, tokens)).unwrap()).collect()
}

fn goes_on_elsewhere(mut first: Session, mut second: Session) {
    let prompt = Rng::new(3).ids(45, VOCAB);
    let (said, ..) = answer(&mut first, &prompt, greedy(6));
    // the last token of an answer was not computed: the next prompt would do that
    let tokens = prompt.len() + said.len() - 1;
    let next = [&prompt[..], &said, &[7, 8, 9]].concat();
    let layers = read_all(&mut first, tokens);
    assert!(layers.iter().all(|layer| layer.len() == 2 * KV_HEADS * tokens * HEAD_DIM));
    let expected = answer(&mut first, &next, greedy(12));

    // something else is in its cache
    answer(&mut second, &[9, 9, 9], greedy(1));
    for (layer, values) in layers.iter().enumerate() {
        block_on(second.write_kv(layer, tokens, values)).unwrap();
    }
    second.restored(next[..tokens].to_vec(), 7).unwrap();
    assert_eq!(read_all(&mut second, tokens), layers);
    assert_eq!(answer(&mut second, &next, of(7)), expected);
    assert_eq!(expected.2, tokens);
}

#[test]
fn the_kv_cache_goes_on_in_another_session_on_the_cpu() {
    goes_on_elsewhere(session(cpu()), session(cpu()));
}

#[test]
fn the_kv_cache_goes_on_in_another_session_on_the_gpu() {
    goes_on_elsewhere(session(gpu()), session(gpu()));
}

#[test]
fn the_kv_cache_goes_on_where_the_context_is_longer() {
    let bytes = Tiny::new(5, |_| BlockType::Q4_0).bytes();
    goes_on_elsewhere(session_with(cpu(), &bytes, Some(80)).unwrap(), session_with(cpu(), &bytes, None).unwrap());
}

#[test]
fn what_does_not_fit_the_kv_cache_is_refused_and_named() {
    let mut session = session(cpu());
    let refused = |result: Result<(), weft_llm::Error>, code: &str, text: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(block_on(session.read_kv(0, 1)).map(drop), "INVALID_OPTION", "at most 0 tokens");
    refused(block_on(session.read_kv(LAYERS, 1)).map(drop), "INVALID_OPTION", "a layer below 2");
    refused(block_on(session.write_kv(0, 3, &[0.0; 7])), "INVALID_OPTION", "192 values a layer, got 7");
    refused(block_on(session.write_kv(0, CONTEXT + 1, &[])), "CONTEXT_OVERFLOW", "129");
    refused(block_on(session.write_kv(0, 0, &[])), "CONTEXT_OVERFLOW", "0 tokens");
    refused(session.restored(vec![VOCAB as u32], 1), "TOKENIZE", "vocabulary");
    refused(session.restored(vec![1; CONTEXT + 1], 1), "CONTEXT_OVERFLOW", "129");
}

#[test]
fn keys_and_values_that_are_not_of_every_layer_are_nobodys() {
    let mut session = session(cpu());
    let zeros = |tokens| vec![0.0; 2 * KV_HEADS * HEAD_DIM * tokens];
    let refused = |session: &mut Session, layer: &str| {
        let error = session.restored(vec![5, 6], 1).unwrap_err();
        assert_eq!(error.code(), "INVALID_OPTION");
        assert!(error.to_string().contains(layer), "{error}");
        assert_eq!(answer(session, &[5, 6, 7], of(1)).2, 0);
    };
    refused(&mut session, "none of layer 0");
    block_on(session.write_kv(0, 2, &zeros(2))).unwrap();
    refused(&mut session, "none of layer 1");
    // of other tokens
    for layer in 0..LAYERS {
        block_on(session.write_kv(layer, 3, &zeros(3))).unwrap();
    }
    refused(&mut session, "none of layer 0");
    // another call came in between
    block_on(session.write_kv(0, 2, &zeros(2))).unwrap();
    answer(&mut session, &[9, 9], greedy(1));
    block_on(session.write_kv(1, 2, &zeros(2))).unwrap();
    refused(&mut session, "none of layer 0");
    for layer in 0..LAYERS {
        block_on(session.write_kv(layer, 2, &zeros(2))).unwrap();
    }
    session.restored(vec![5, 6], 1).unwrap();
    assert_eq!(answer(&mut session, &[5, 6, 7], of(1)).2, 2);
}

/// A saved session may say anything of what its tokens mean.
#[test]
fn what_one_session_restored_no_other_call_goes_on_from() {
    let prompt = Rng::new(8).ids(12, VOCAB);
    let expected = answer(&mut session(cpu()), &prompt, greedy(12)).0;
    let scores = block_on(session(cpu()).score(&prompt, 1, false)).unwrap();
    let poisoned = || {
        let mut session = session(cpu());
        for layer in 0..LAYERS {
            let values: Vec<f32> = (0..2 * KV_HEADS * HEAD_DIM * 11).map(|i| (i % 7) as f32 - 3.0).collect();
            block_on(session.write_kv(layer, 11, &values)).unwrap();
        }
        session.restored(prompt[..11].to_vec(), 1).unwrap();
        session
    };
    let (own, _, cached) = answer(&mut poisoned(), &prompt, of(1));
    assert_eq!(cached, 11);
    assert_ne!(own, expected);
    // also after its own session went on from there
    let mut used = poisoned();
    answer(&mut used, &prompt, of(1));
    for mut session in [poisoned(), used] {
        let mut other = GenerateOptions { restored: Some(2), ..greedy(12) };
        assert_eq!(answer(&mut session, &prompt, other.clone()), (expected.clone(), FinishReason::Length, 0));
        // what was computed is everybody's
        other.restored = None;
        assert_eq!(answer(&mut session, &prompt, other), (expected.clone(), FinishReason::Length, 11));
        assert_eq!(answer(&mut session, &prompt, of(1)), (expected.clone(), FinishReason::Length, 11));
    }
    assert_eq!(answer(&mut poisoned(), &prompt, greedy(12)), (expected, FinishReason::Length, 0));
    assert_eq!(block_on(poisoned().score(&prompt, 1, false)).unwrap(), scores);
}

/// A cache that was written in part belongs to nobody.
#[test]
fn what_was_cached_is_forgotten_with_the_first_layer_that_is_written() {
    let mut session = session(cpu());
    let prompt = Rng::new(4).ids(20, VOCAB);
    let expected = answer(&mut session, &prompt, greedy(5)).0;
    block_on(session.write_kv(1, 1, &[1.0; 2 * KV_HEADS * HEAD_DIM])).unwrap();
    let (ids, _, cached) = answer(&mut session, &prompt, greedy(5));
    assert_eq!((ids, cached), (expected, 0));
}

#[test]
fn a_prefill_says_nothing_and_leaves_the_whole_prompt_in_the_cache() {
    for mut session in [session(cpu()), session(gpu())] {
        let prompt = Rng::new(6).ids(45, VOCAB);
        let expected = answer(&mut session, &prompt, greedy(8)).0;
        answer(&mut session, &[9], greedy(1));
        let prefill = GenerateOptions { prefill: true, ..greedy(8) };
        assert_eq!(answer(&mut session, &prompt, prefill.clone()), (vec![], FinishReason::Length, 0));
        read_all(&mut session, prompt.len());
        assert_eq!(answer(&mut session, &prompt, greedy(8)), (expected, FinishReason::Length, 44));
        assert_eq!(answer(&mut session, &prompt, prefill).2, 44);
    }
}

#[test]
fn a_full_context_makes_room_behind_what_is_kept_and_computes_the_rest_again() {
    for (mut long, mut fresh) in [(session(cpu()), session(cpu())), (session(gpu()), session(gpu()))] {
        let prompt = Rng::new(7).ids(100, VOCAB);
        let shifting = GenerateOptions { shift_behind: Some(10), ..greedy(110) };
        let (ids, reason, _) = answer(&mut long, &prompt, shifting);
        assert_eq!((ids.len(), reason), (110, FinishReason::Length));
        // 128 tokens, of which half of what is behind 10 goes, and then 59 more come until it is
        // full again
        assert_eq!(long.dropped_tokens(), 59 + 59);
        let all = [&prompt[..], &ids].concat();
        for (dropped, known) in [(0, 100), (59, 128), (118, 187)] {
            let kept = [&all[..10], &all[10 + dropped..known]].concat();
            let (next, ..) = answer(&mut fresh, &kept, greedy(5));
            assert_eq!(next, all[known..known + 5], "after {dropped} tokens were dropped");
        }
    }
}

#[test]
fn a_shifted_generation_is_resumed_where_it_was() {
    let prompt = Rng::new(7).ids(100, VOCAB);
    let options = GenerateOptions { shift_behind: Some(10), ..greedy(60) };
    let (ids, ..) = answer(&mut session(cpu()), &prompt, options.clone());
    let mut session = session(cpu());
    session.start(prompt, options, 0).unwrap();
    session.resume(&ids[..40]).unwrap();
    assert_eq!(session.dropped_tokens(), 59);
    for &expected in &ids[40..] {
        let id = loop {
            match block_on(session.next()).unwrap() {
                Event::Prompt { .. } => {}
                Event::Token { id, .. } => break id,
                Event::End { .. } => unreachable!("it ended early"),
            }
        };
        assert_eq!(id, expected);
    }
}

#[test]
fn where_nothing_can_be_dropped_a_full_context_ends_the_answer() {
    for behind in [None, Some(CONTEXT - 1), Some(usize::MAX - 1)] {
        let options = GenerateOptions { shift_behind: behind, ..greedy(60) };
        let (ids, reason, _) = answer(&mut session(cpu()), &[1; 100], options);
        assert_eq!((ids.len(), reason), (28, FinishReason::Length));
    }
}

#[test]
fn ids_that_spell_the_same_are_found_again_however_they_were_cut() {
    let tiny = Tiny::new(5, |_| BlockType::Q4_0);
    let Some((_, Value::Array(Array::Strings(tokens)))) =
        tiny.metadata.iter().find(|(key, _)| key == "tokenizer.ggml.tokens").cloned()
    else {
        unreachable!("the tiny model has tokens")
    };
    let ab = tokens.len() as u32 - 1;
    let tokens = tokens.into_iter().take(ab as usize).chain(["ab".to_string()]).collect();
    let types = [2, 3, 3].into_iter().chain([6; 255]).chain([1]).collect();
    let tiny = tiny.meta("tokenizer.ggml.tokens", Value::Array(Array::Strings(tokens)));
    let tiny = tiny.meta("tokenizer.ggml.token_type", Value::Array(Array::I32(types)));
    let session = session_on(cpu(), &tiny.bytes()).unwrap();

    let byte = |byte: u8| 3 + u32::from(byte);
    let [a, b, c, d] = *b"abcd".map(byte).as_slice() else { unreachable!() };
    let (start, end) = (1, 2);
    let reuse = |known: &[u32], prompt: &[u32]| session.reuse(known, prompt).unwrap();
    // the model wrote `a` and `b`, the tokenizer reads `ab`
    assert_eq!(reuse(&[start, a, b, c], &[start, ab, c, end, d]), [start, a, b, c, end, d]);
    assert_eq!(reuse(&[start, ab, c], &[start, a, b, c, end]), [start, ab, c, end]);
    // within `ab` there is no common boundary
    assert_eq!(reuse(&[start, c, a], &[start, c, ab, end]), [start, c, ab, end]);
    assert_eq!(reuse(&[start, a, d], &[start, ab, c]), [start, ab, c]);
    // what is spelled like a special token is none
    let typed = b"<s>".map(byte);
    assert_eq!(reuse(&[start, a], &[&typed[..], &[a]].concat()), [&typed[..], &[a]].concat());
    assert_eq!(reuse(&[], &[start, a]), [start, a]);
    assert_eq!(reuse(&[start, a, b], &[start]), [start]);
    assert_eq!(session.reuse(&[VOCAB as u32], &[a]).unwrap_err().code(), "TOKENIZE");
}

#[test]
fn a_complete_conversation_begins_no_answer_and_a_prefix_does() {
    let template =
        "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>{% endif %}";
    let tiny = Tiny::new(1, |_| BlockType::F32).meta("tokenizer.chat_template", template);
    let session = session_on(cpu(), &tiny.bytes()).unwrap();
    let prompt = |more: serde_json::Value| {
        let mut conversation = serde_json::json!({ "messages": [{ "role": "user", "content": "a" }] });
        conversation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        session.chat_prompt(&serde_json::from_value(conversation).unwrap(), 0).unwrap()
    };
    let complete = prompt(serde_json::json!({ "complete": true }));
    assert_eq!(prompt(serde_json::json!({})), [&complete[..], &[1]].concat());
    let begun = prompt(serde_json::json!({ "prefix": "b</s>" }));
    assert_eq!(begun[..=complete.len()], prompt(serde_json::json!({})));
    // a prefix is plain text
    let prefix = &begun[complete.len() + 1..];
    assert!(!prefix.contains(&2));
    assert!(prefix.ends_with(&b"b</s>".map(|byte| 3 + u32::from(byte))), "{prefix:?}");
}

#[test]
fn a_fingerprint_tells_weights_apart_and_nothing_else() {
    let of = |tiny: &Tiny| session_on(cpu(), &tiny.bytes()).unwrap().info().fingerprint;
    let tiny = || Tiny::new(5, |_| BlockType::Q4_0);
    let fingerprint = of(&tiny());
    assert_eq!(fingerprint.len(), 16);
    assert_eq!(of(&tiny().meta("general.name", "another name")), fingerprint);
    assert_ne!(of(&Tiny::new(6, |_| BlockType::Q4_0)), fingerprint);
    assert_ne!(of(&Tiny::new(5, |_| BlockType::Q8_0)), fingerprint);
    // one byte of one tensor
    let mut tuned = tiny();
    tuned.tensors.get_mut("blk.1.attn_v.weight").unwrap().data[3] ^= 1;
    assert_ne!(of(&tuned), fingerprint);
}

#[test]
fn a_gap_is_filled_until_the_model_begins_another_one() {
    let mut tiny = Tiny::new(5, |_| BlockType::Q4_0);
    let names = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>"];
    let first = (VOCAB - names.len()) as u32;
    for (key, value) in &mut tiny.metadata {
        match value {
            Value::Array(Array::Strings(tokens)) if key.ends_with("tokens") => {
                tokens.splice(first as usize.., names.map(String::from));
            }
            Value::Array(Array::I32(types)) => types[first as usize..].fill(4),
            _ => {}
        }
    }
    let mut coder = session_on(cpu(), &tiny.bytes()).unwrap();
    assert!(coder.info().tasks.contains(&"infill"));
    let before = coder.tokenizer().encode("a", EncodeOptions::default()).unwrap();
    let prompt = coder.infill(&before, "b<|fim_middle|>").unwrap();
    let marks: Vec<u32> = prompt.iter().copied().filter(|&id| id >= first).collect();
    assert_eq!(marks, [first, first + 1, first + 2], "what stands around the gap is plain text");
    for (id, infill, expected) in [(first, true, 0), (first, false, 3), (first + 3, true, 0), (first + 3, false, 0)] {
        let sampling = SamplingOptions { logit_bias: vec![(id, 1000.0)], ..SamplingOptions::greedy() };
        let options = GenerateOptions { max_tokens: Some(3), infill, sampling, ..Default::default() };
        let (ids, ..) = answer(&mut coder, &prompt, options);
        assert_eq!(ids.len(), expected, "{id} {infill}");
    }

    let plain = session(cpu());
    assert!(!plain.info().tasks.contains(&"infill"));
    let error = plain.infill(&before, "b").unwrap_err().to_string();
    assert!(error.contains("`suffix` needs a model that was trained to fill in the middle"), "{error}");
    assert_eq!(plain.infill(&before, "").unwrap(), [&[1], &before[..]].concat(), "it can go on at least");
}
