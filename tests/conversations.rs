//! Conversations: saving and restoring the KV cache, finding ids again, shifting a full context.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::tiny::{HEAD_DIM, KV_HEADS, LAYERS, Tiny, VOCAB, decoder_in, decoder_on, decoder_with};
use support::{Rng, gpu, small_gpu};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::HostEngine;
use weft_llm::format::{Array, BlockType, Value};
use weft_llm::inference::{Event, FinishReason, GenerateOptions, LoadedDecoder};
use weft_llm::record::KvFormat;
use weft_llm::sampling::SamplingOptions;
use weft_llm::tokenizer::EncodeOptions;

const CONTEXT: usize = 128;

fn cpu() -> HostEngine<Simd> {
    HostEngine::new(Simd::default())
}

fn decoder(engine: impl Engine + 'static) -> LoadedDecoder {
    decoder_on(engine, &Tiny::new(5, |_| BlockType::Q4_0).bytes()).unwrap()
}

fn greedy(max_tokens: usize) -> GenerateOptions {
    let sampling = SamplingOptions::greedy();
    GenerateOptions { max_tokens: Some(max_tokens), sampling, ignore_eos: true, ..Default::default() }
}

/// Options of an answer that may use what `owner` restored.
fn of(owner: u32) -> GenerateOptions {
    GenerateOptions { restored: Some(owner), ..greedy(12) }
}

/// The ids of an answer, how it ended, and how many tokens of the prompt were cached.
fn answer(decoder: &mut LoadedDecoder, prompt: &[u32], options: GenerateOptions) -> (Vec<u32>, FinishReason, usize) {
    let generation = decoder.start(prompt.to_vec(), options, 0).unwrap();
    let cached = decoder.cached_tokens(generation);
    let mut ids = Vec::new();
    let reason = loop {
        match block_on(decoder.next(generation)).unwrap() {
            Event::Prompt { .. } => {}
            Event::Token { id, .. } => ids.push(id),
            Event::End { reason, .. } => break reason,
        }
    };
    decoder.stop(generation);
    (ids, reason, cached)
}

fn read_all(decoder: &mut LoadedDecoder, ids: &[u32], restored: Option<u32>) -> Vec<Vec<f32>> {
    (0..LAYERS).map(|layer| block_on(decoder.read_kv(layer, ids, restored)).unwrap()).collect()
}

/// Writes all layers of `ids`, for `owner` alone.
fn restore(decoder: &mut LoadedDecoder, ids: &[u32], layers: &[Vec<f32>], owner: u32) {
    let restoring = decoder.restore(ids.to_vec(), owner).unwrap();
    for (layer, values) in layers.iter().enumerate() {
        block_on(decoder.write_kv(restoring, layer, values)).unwrap();
    }
    block_on(decoder.restored(restoring)).unwrap();
}

fn goes_on_elsewhere(mut first: LoadedDecoder, mut second: LoadedDecoder) {
    let prompt = Rng::new(3).ids(45, VOCAB);
    let (said, ..) = answer(&mut first, &prompt, greedy(6));
    // the last token of an answer was not computed: the next prompt would do that
    let tokens = prompt.len() + said.len() - 1;
    let next = [&prompt[..], &said, &[7, 8, 9]].concat();
    let layers = read_all(&mut first, &next[..tokens], None);
    assert!(layers.iter().all(|layer| layer.len() == 2 * KV_HEADS * tokens * HEAD_DIM));
    let expected = answer(&mut first, &next, greedy(12));

    // its cache holds another text
    answer(&mut second, &[9, 9, 9], greedy(1));
    restore(&mut second, &next[..tokens], &layers, 7);
    assert_eq!(read_all(&mut second, &next[..tokens], Some(7)), layers);
    assert!(block_on(second.read_kv(0, &next[..tokens], Some(8))).is_err(), "it is another's");
    assert_eq!(answer(&mut second, &next, of(7)), expected);
    assert_eq!(expected.2, tokens);
}

#[test]
fn a_saved_kv_cache_continues_in_another_model_on_the_cpu() {
    goes_on_elsewhere(decoder(cpu()), decoder(cpu()));
}

#[test]
fn a_saved_kv_cache_continues_in_another_model_on_the_gpu() {
    goes_on_elsewhere(decoder(gpu()), decoder(gpu()));
    // of two heads, each in its own buffer
    let bytes = Tiny::new(5, |_| BlockType::Q4_0).meta("llama.context_length", 1024u32).bytes();
    let in_parts = || decoder_with(small_gpu(200 << 10), &bytes, None).unwrap();
    goes_on_elsewhere(decoder(gpu()), in_parts());
    goes_on_elsewhere(in_parts(), decoder(gpu()));
}

/// What bytes hold are f32 values like any others, and become the same bytes again. A cache in
/// another format takes them too.
#[test]
fn a_kv_cache_in_bytes_is_saved_and_restored_exactly() {
    let bytes = Tiny::of_width(2, 5, |_| BlockType::Q4_0).bytes();
    let ids = Rng::new(3).ids(70, VOCAB);
    let [mut first, mut second, mut exact] =
        [KvFormat::Q8, KvFormat::Q8, KvFormat::F32].map(|format| decoder_in(format, gpu(), &bytes));
    answer(&mut first, &ids, greedy(1));
    let layers = read_all(&mut first, &ids, None);
    let next = [&ids[..], &[7, 8, 9]].concat();
    let expected = answer(&mut first, &next, greedy(12));
    restore(&mut second, &ids, &layers, 7);
    assert_eq!(read_all(&mut second, &ids, Some(7)), layers);
    assert_eq!(answer(&mut second, &next, of(7)), expected);
    restore(&mut exact, &ids, &layers, 7);
    assert_eq!(read_all(&mut exact, &ids, Some(7)), layers);
}

/// The root mean square of what the logits of a text differ by, beside their own.
#[test]
fn logits_in_each_format_are_near_those_in_f32() {
    let bytes = Tiny::of_width(2, 6, |_| BlockType::Q8_0).bytes();
    let ids = Rng::new(4).ids(100, VOCAB);
    let [exact, halves, eighths] = [KvFormat::F32, KvFormat::F16, KvFormat::Q8].map(|format| {
        let mut logits = Vec::new();
        block_on(decoder_in(format, gpu(), &bytes).logits(&ids, |_, row| logits.extend_from_slice(row))).unwrap();
        logits
    });
    let rms = |values: &mut dyn Iterator<Item = f32>| {
        let squares: Vec<f32> = values.map(|value| value * value).collect();
        (squares.iter().sum::<f32>() / squares.len() as f32).sqrt()
    };
    for (name, logits, most) in [("f16", halves, 2e-3), ("q8", eighths, 5e-2)] {
        let off = rms(&mut logits.iter().zip(&exact).map(|(a, b)| a - b)) / rms(&mut exact.iter().copied());
        println!("logits in {name} are off by {off:.1e}");
        assert!(off > 0.0 && off < most, "{name}: {off}");
    }
}

#[test]
fn a_saved_kv_cache_continues_in_a_longer_context() {
    let bytes = Tiny::new(5, |_| BlockType::Q4_0).bytes();
    goes_on_elsewhere(decoder_with(cpu(), &bytes, Some(80)).unwrap(), decoder_with(cpu(), &bytes, None).unwrap());
}

#[test]
fn wrong_kv_cache_calls_are_refused_by_name() {
    let mut decoder = decoder(cpu());
    let refused = |result: Result<(), weft_llm::Error>, code: &str, text: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(block_on(decoder.read_kv(0, &[1], None)).map(drop), "INVALID_OPTION", "at most 0 tokens");
    refused(block_on(decoder.read_kv(LAYERS, &[1], None)).map(drop), "INVALID_OPTION", "a layer below 2");
    let restoring = decoder.restore(vec![1; 3], 1).unwrap();
    refused(block_on(decoder.write_kv(restoring, 0, &[0.0; 7])), "INVALID_OPTION", "192 values a layer, got 7");
    refused(block_on(decoder.write_kv(restoring, LAYERS, &[])), "INVALID_OPTION", "a layer below 2");
    refused(decoder.restore(vec![1; CONTEXT + 1], 1).map(drop), "CONTEXT_OVERFLOW", "129");
    refused(decoder.restore(vec![], 1).map(drop), "INVALID_OPTION", "at least one token");
    refused(decoder.restore(vec![VOCAB as u32], 1).map(drop), "TOKENIZE", "vocabulary");
    decoder.stop(restoring);
    refused(block_on(decoder.write_kv(restoring, 0, &[0.0; 192])), "INVALID_OPTION", "write_kv");
    refused(block_on(decoder.restored(restoring)), "INVALID_OPTION", "restored");
}

#[test]
fn a_restored_cache_is_used_once_all_layers_are_written() {
    let mut decoder = decoder(cpu());
    let zeros = vec![0.0; 2 * KV_HEADS * HEAD_DIM * 2];
    for written in 0..LAYERS {
        let restoring = decoder.restore(vec![5, 6], 1).unwrap();
        for layer in 0..written {
            block_on(decoder.write_kv(restoring, layer, &zeros)).unwrap();
        }
        assert_eq!(answer(&mut decoder, &[5, 6, 7], of(1)).2, 0, "not before it is whole");
        block_on(decoder.forget()).unwrap();
        let error = block_on(decoder.restored(restoring)).unwrap_err();
        assert_eq!(error.code(), "INVALID_OPTION");
        assert!(error.to_string().contains(&format!("none of layer {written}")), "{error}");
        assert_eq!(answer(&mut decoder, &[5, 6, 7], of(1)).2, 0);
        block_on(decoder.forget()).unwrap();
    }
    // two at once, with an answer in between
    let restoring = [5, 15].map(|id| decoder.restore(vec![id, 6], 1).unwrap());
    for layer in 0..LAYERS {
        for restoring in restoring {
            block_on(decoder.write_kv(restoring, layer, &zeros)).unwrap();
        }
        answer(&mut decoder, &[9, 9], greedy(1));
    }
    restoring.into_iter().for_each(|restoring| block_on(decoder.restored(restoring)).unwrap());
    assert_eq!(answer(&mut decoder, &[15, 6, 7], of(1)).2, 2);
    assert_eq!(answer(&mut decoder, &[5, 6, 7], of(1)).2, 2);
}

/// A saved session may claim any keys and values for its tokens.
#[test]
fn only_its_owner_continues_from_a_restored_cache() {
    let prompt = Rng::new(8).ids(12, VOCAB);
    let expected = answer(&mut decoder(cpu()), &prompt, greedy(12)).0;
    let scores = block_on(decoder(cpu()).score(&prompt, 1, false)).unwrap();
    let poisoned = || {
        let mut decoder = decoder(cpu());
        let values: Vec<f32> = (0..2 * KV_HEADS * HEAD_DIM * 11).map(|i| (i % 7) as f32 - 3.0).collect();
        restore(&mut decoder, &prompt[..11], &vec![values; LAYERS], 1);
        decoder
    };
    let (own, _, cached) = answer(&mut poisoned(), &prompt, of(1));
    assert_eq!(cached, 11);
    assert_ne!(own, expected);
    // also after its owner has used it
    let mut used = poisoned();
    answer(&mut used, &prompt, of(1));
    for mut decoder in [poisoned(), used] {
        let mut other = GenerateOptions { restored: Some(2), ..greedy(12) };
        assert_eq!(answer(&mut decoder, &prompt, other.clone()), (expected.clone(), FinishReason::Length, 0));
        // every call may use what was computed
        other.restored = None;
        assert_eq!(answer(&mut decoder, &prompt, other), (expected.clone(), FinishReason::Length, 11));
        assert_eq!(answer(&mut decoder, &prompt, of(1)), (expected.clone(), FinishReason::Length, 11));
    }
    assert_eq!(answer(&mut poisoned(), &prompt, greedy(12)), (expected, FinishReason::Length, 0));
    assert_eq!(block_on(poisoned().score(&prompt, 1, false)).unwrap(), scores);
}

#[test]
fn restoring_a_text_keeps_the_cache_of_another() {
    let mut decoder = decoder(cpu());
    let prompt = Rng::new(4).ids(20, VOCAB);
    let expected = answer(&mut decoder, &prompt, greedy(5)).0;
    let restoring = decoder.restore(vec![prompt[0]], 1).unwrap();
    block_on(decoder.write_kv(restoring, 1, &[1.0; 2 * KV_HEADS * HEAD_DIM])).unwrap();
    let (ids, _, cached) = answer(&mut decoder, &prompt, greedy(5));
    assert_eq!((ids, cached), (expected, 19));
}

#[test]
fn a_prefill_caches_the_whole_prompt_and_gives_no_token() {
    for mut decoder in [decoder(cpu()), decoder(gpu())] {
        let prompt = Rng::new(6).ids(45, VOCAB);
        let expected = answer(&mut decoder, &prompt, greedy(8)).0;
        block_on(decoder.forget()).unwrap();
        let prefill = GenerateOptions { prefill: true, ..greedy(8) };
        assert_eq!(answer(&mut decoder, &prompt, prefill.clone()), (vec![], FinishReason::Length, 0));
        read_all(&mut decoder, &prompt, None);
        assert_eq!(answer(&mut decoder, &prompt, greedy(8)), (expected, FinishReason::Length, 44));
        assert_eq!(answer(&mut decoder, &prompt, prefill).2, 44);
    }
}

#[test]
fn a_full_context_drops_tokens_behind_the_kept_ones_and_recomputes_the_rest() {
    for (mut long, mut fresh) in [(decoder(cpu()), decoder(cpu())), (decoder(gpu()), decoder(gpu()))] {
        let prompt = Rng::new(7).ids(100, VOCAB);
        let shifting = GenerateOptions { shift_behind: Some(10), ..greedy(110) };
        let generation = long.start(prompt.clone(), shifting, 0).unwrap();
        let mut ids = Vec::new();
        let reason = loop {
            match block_on(long.next(generation)).unwrap() {
                Event::Prompt { .. } => {}
                Event::Token { id, .. } => ids.push(id),
                Event::End { reason, .. } => break reason,
            }
        };
        assert_eq!((ids.len(), reason), (110, FinishReason::Length));
        // half of the 118 tokens behind the first 10 are dropped; 59 more fill the context again
        assert_eq!(long.dropped_tokens(generation), 59 + 59);
        let all = [&prompt[..], &ids].concat();
        for (dropped, known) in [(0, 100), (59, 128), (118, 187)] {
            let kept = [&all[..10], &all[10 + dropped..known]].concat();
            let (next, ..) = answer(&mut fresh, &kept, greedy(5));
            assert_eq!(next, all[known..known + 5], "after {dropped} tokens were dropped");
        }
    }
}

#[test]
fn a_shifted_generation_resumes_where_it_was() {
    let prompt = Rng::new(7).ids(100, VOCAB);
    let options = GenerateOptions { shift_behind: Some(10), ..greedy(60) };
    let (ids, ..) = answer(&mut decoder(cpu()), &prompt, options.clone());
    let mut decoder = decoder(cpu());
    let generation = decoder.start(prompt, options, 0).unwrap();
    decoder.resume(generation, &ids[..40]).unwrap();
    assert_eq!(decoder.dropped_tokens(generation), 59);
    for &expected in &ids[40..] {
        let id = loop {
            match block_on(decoder.next(generation)).unwrap() {
                Event::Prompt { .. } => {}
                Event::Token { id, .. } => break id,
                Event::End { .. } => unreachable!("it ended early"),
            }
        };
        assert_eq!(id, expected);
    }
}

#[test]
fn a_full_context_ends_an_answer_if_nothing_can_be_dropped() {
    for behind in [None, Some(CONTEXT - 1), Some(usize::MAX - 1)] {
        let options = GenerateOptions { shift_behind: behind, ..greedy(60) };
        let (ids, reason, _) = answer(&mut decoder(cpu()), &[1; 100], options);
        assert_eq!((ids.len(), reason), (28, FinishReason::Length));
    }
}

#[test]
fn known_ids_replace_other_ids_of_the_same_text() {
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
    let decoder = decoder_on(cpu(), &tiny.bytes()).unwrap();

    let byte = |byte: u8| 3 + u32::from(byte);
    let [a, b, c, d] = *b"abcd".map(byte).as_slice() else { unreachable!() };
    let (start, end) = (1, 2);
    let reuse = |known: &[u32], prompt: &[u32]| decoder.reuse(known, prompt).unwrap();
    // the model wrote `a` and `b`, the tokenizer reads `ab`
    assert_eq!(reuse(&[start, a, b, c], &[start, ab, c, end, d]), [start, a, b, c, end, d]);
    assert_eq!(reuse(&[start, ab, c], &[start, a, b, c, end]), [start, ab, c, end]);
    // within `ab` there is no common boundary
    assert_eq!(reuse(&[start, c, a], &[start, c, ab, end]), [start, c, ab, end]);
    assert_eq!(reuse(&[start, a, d], &[start, ab, c]), [start, ab, c]);
    // text spelled like a special token stays text
    let typed = b"<s>".map(byte);
    assert_eq!(reuse(&[start, a], &[&typed[..], &[a]].concat()), [&typed[..], &[a]].concat());
    assert_eq!(reuse(&[], &[start, a]), [start, a]);
    assert_eq!(reuse(&[start, a, b], &[start]), [start]);
    assert_eq!(decoder.reuse(&[VOCAB as u32], &[a]).unwrap_err().code(), "TOKENIZE");
}

#[test]
fn a_prefix_begins_the_answer_and_a_complete_conversation_begins_none() {
    let template =
        "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>{% endif %}";
    let tiny = Tiny::new(1, |_| BlockType::F32).meta("tokenizer.chat_template", template);
    let decoder = decoder_on(cpu(), &tiny.bytes()).unwrap();
    let prompt = |more: serde_json::Value| {
        let mut conversation = serde_json::json!({ "messages": [{ "role": "user", "content": "a" }] });
        conversation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        decoder.chat_prompt(&serde_json::from_value(conversation).unwrap(), 0).unwrap()
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
fn a_fingerprint_depends_on_the_weights_alone() {
    let of = |tiny: &Tiny| decoder_on(cpu(), &tiny.bytes()).unwrap().info().fingerprint;
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
fn a_gap_is_filled_until_the_model_begins_another() {
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
    let mut coder = decoder_on(cpu(), &tiny.bytes()).unwrap();
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

    let plain = decoder(cpu());
    assert!(!plain.info().tasks.contains(&"infill"));
    let error = plain.infill(&before, "b").unwrap_err().to_string();
    assert!(error.contains("`suffix` needs a model that was trained to fill in the middle"), "{error}");
    assert_eq!(plain.infill(&before, "").unwrap(), [&[1], &before[..]].concat(), "it can go on at least");
}
