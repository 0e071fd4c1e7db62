//! Whole small models: every storage of the weights gives the same logits, and answers and scores
//! are those of the logits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::Rng;
use support::tiny::{
    FFN, HEAD_DIM, HIDDEN, KV_HEADS, LAYERS, Tensor, Tiny, VOCAB, decoder_on, decoder_with, exact_decoder_on, greedy,
    write,
};
use weft_llm::Error;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::{BlockType, Layout};
use weft_llm::inference::{Event, FinishReason, GenerateOptions, LoadedDecoder, negative_log_likelihood};
use weft_llm::sampling::SamplingOptions;

/// More than one chunk of a prompt.
fn ids() -> Vec<u32> {
    Rng::new(5).ids(45, VOCAB)
}

fn logits(decoder: &mut LoadedDecoder, ids: &[u32]) -> Vec<f32> {
    let mut all = Vec::new();
    block_on(decoder.logits(ids, |_, logits| all.extend_from_slice(logits))).unwrap();
    assert_eq!(all.len(), ids.len() * VOCAB);
    all
}

fn reference(tiny: &Tiny) -> Vec<f32> {
    logits(&mut decoder_on(HostEngine::new(Reference), &tiny.bytes()).unwrap(), &ids())
}

/// Largest |Δ| relative to the largest value.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = a.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    assert!(largest > 0.1, "nothing to compare");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

#[test]
fn every_block_type_agrees_on_every_engine() {
    for (seed, block) in BlockType::ALL.into_iter().enumerate() {
        let tiny = Tiny::of_width(if block.block_len() > 32 { 8 } else { 1 }, seed as u64, |_| block);
        let expected = reference(&tiny);
        let mut cpu = exact_decoder_on(HostEngine::new(Simd::default()), &tiny.bytes());
        let mut gpu = exact_decoder_on(support::gpu(), &tiny.bytes());
        // with quantised weights, the CPU engine rounds activations to 8 bits; the error is largest
        // for random weights with large minima
        let quantised = Layout::for_block(block).quantised().is_some();
        let cpu_limit = if quantised { 0.2 } else { 1e-4 };
        for (name, decoder, limit) in [("cpu", &mut cpu, cpu_limit), ("gpu", &mut gpu, 1e-4)] {
            let delta = difference(&expected, &logits(decoder, &ids()));
            assert!(delta < limit, "{} on {name}: {delta}", block.name());
        }
    }
}

/// q, k and v, and gate and up, of different types, so that none can share a matrix.
fn mixed() -> Tiny {
    Tiny::new(11, |name| match name {
        "attn_k" | "ffn_up" => BlockType::Q8_0,
        "attn_v" => BlockType::F16,
        "token_embd" => BlockType::Bf16,
        "ffn_down" => BlockType::Q4_1,
        _ => BlockType::Q4_0,
    })
}

fn with_biases(mut tiny: Tiny) -> Tiny {
    let mut rng = Rng::new(77);
    for layer in 0..LAYERS {
        let kv = KV_HEADS * HEAD_DIM;
        for (name, len) in
            [("attn_q", HIDDEN), ("attn_v", kv), ("attn_output", HIDDEN), ("ffn_up", FFN), ("ffn_down", HIDDEN)]
        {
            tiny = tiny.vector(&format!("blk.{layer}.{name}.bias"), &rng.units(len));
        }
    }
    tiny
}

#[test]
fn matrices_of_mixed_types_give_the_logits_of_f32() {
    for tiny in [mixed(), with_biases(mixed())] {
        let expected = reference(&tiny.widened());
        assert!(difference(&expected, &reference(&tiny)) < 1e-5);
        let mut gpu = exact_decoder_on(support::gpu(), &tiny.bytes());
        let delta = difference(&expected, &logits(&mut gpu, &ids()));
        assert!(delta < 1e-4, "{delta}");
    }
}

#[test]
fn biases_change_the_logits() {
    assert!(difference(&reference(&mixed()), &reference(&with_biases(mixed()))) > 1e-3);
}

#[test]
fn matrices_split_at_the_largest_buffer_agree() {
    let tiny = with_biases(Tiny::new(3, |_| BlockType::Q8_0));
    let mut engine = HostEngine::new(Reference);
    // fewer rows a part than the fused matrices have, and just enough for the KV cache
    let context = ids().len();
    engine.max_buffer_bytes = (2 * context * KV_HEADS * HEAD_DIM * size_of::<f32>()) as u64;
    assert!(engine.max_buffer_bytes < (2 * FFN * Layout::Q8.quants_row_bytes(HIDDEN)) as u64);
    let mut split = decoder_with(engine, &tiny.bytes(), Some(context)).unwrap();
    assert_eq!(logits(&mut split, &ids()), reference(&tiny));
}

#[test]
fn a_separate_output_matrix_is_used() {
    let mut tiny = Tiny::new(4, |_| BlockType::F32);
    let tied = reference(&tiny);
    let data = tiny.tensors["token_embd.weight"].data.chunks_exact(4).flat_map(|bytes| {
        let value = f32::from_le_bytes(bytes.try_into().unwrap());
        (-2.0 * value).to_le_bytes()
    });
    let (dims, data) = (vec![HIDDEN as u64, VOCAB as u64], data.collect());
    tiny.tensors.insert("output.weight".into(), Tensor { dims, block: BlockType::F32, data });
    let expected: Vec<f32> = tied.iter().map(|logit| -2.0 * logit).collect();
    assert!(difference(&expected, &reference(&tiny)) < 1e-6);
}

#[test]
fn a_split_model_gives_the_logits_of_the_whole() {
    assert_every_cut_agrees(&mixed());
}

#[test]
fn biases_and_rope_factors_may_be_in_another_part() {
    let factors = |tiny: Tiny| tiny.vector("rope_freqs.weight", &[2.0; HEAD_DIM / 2]);
    for tiny in [mixed(), Tiny::new(13, |_| BlockType::Q8_0)] {
        assert_every_cut_agrees(&factors(with_biases(tiny)));
    }
}

/// Cut in two anywhere, also within a group that would share a matrix, it gives the same logits.
fn assert_every_cut_agrees(tiny: &Tiny) {
    let expected = reference(tiny);
    let count = tiny.tensors.len();
    for cut in 1..count {
        let part = |number: u16, tensors: Vec<(&String, &Tensor)>| {
            let mut metadata = if number == 0 { tiny.metadata.clone() } else { Vec::new() };
            metadata.push(("split.no".into(), number.into()));
            metadata.push(("split.count".into(), 2u16.into()));
            metadata.push(("split.tensors.count".into(), (count as i32).into()));
            write(&metadata, tensors.into_iter())
        };
        let mut tensors: Vec<_> = tiny.tensors.iter().collect();
        // the embedding is always in the first part
        tensors.sort_by_key(|(name, _)| name.as_str() != "token_embd.weight");
        let second = tensors.split_off(cut);
        let bytes = [part(0, tensors), part(1, second)].concat();
        let mut decoder = decoder_on(HostEngine::new(Reference), &bytes).unwrap();
        assert_eq!(logits(&mut decoder, &ids()), expected, "cut at {cut}");
    }
}

#[test]
fn rope_factors_divide_the_frequencies() {
    let tiny = || Tiny::new(8, |_| BlockType::F32);
    let plain = reference(&tiny());
    assert_eq!(reference(&tiny().vector("rope_freqs.weight", &[1.0; HEAD_DIM / 2])), plain);
    // dividing all frequencies by two is the same as linear scaling by two
    let halved = reference(&tiny().vector("rope_freqs.weight", &[2.0; HEAD_DIM / 2]));
    let scaled = tiny().meta("llama.rope.scaling.type", "linear").meta("llama.rope.scaling.factor", 2.0f32);
    assert!(difference(&plain, &halved) > 1e-3);
    assert_eq!(halved, reference(&scaled));
}

#[test]
fn logprobs_are_those_of_the_logits() {
    let bytes = Tiny::new(9, |_| BlockType::Q4_1).bytes();
    let cpu = decoder_on(HostEngine::new(Simd::default()), &bytes).unwrap();
    let gpu = decoder_on(support::gpu(), &bytes).unwrap();
    for mut decoder in [cpu, gpu] {
        let prompt = ids();
        // a bias, so that the sampled token is not the likeliest
        let sampling = SamplingOptions { logit_bias: vec![(7, 100.0)], ..SamplingOptions::greedy() };
        let options = GenerateOptions {
            max_tokens: Some(1),
            ignore_eos: true,
            top_logprobs: Some(3),
            sampling,
            ..Default::default()
        };
        let generation = decoder.start(prompt.clone(), options, 0).unwrap();
        let told = loop {
            match block_on(decoder.next(generation)).unwrap() {
                Event::Prompt { .. } => {}
                Event::Token { logprobs, .. } => break logprobs.unwrap(),
                Event::End { .. } => panic!("no token came"),
            }
        };
        let logits = logits(&mut decoder, &prompt);
        let row = &logits[(prompt.len() - 1) * VOCAB..];
        assert_eq!((told.token.id, told.top.len()), (7, 3));
        assert_eq!(told.token.bytes, decoder.tokenizer().token_bytes(7).unwrap());
        let best = (0..VOCAB).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        assert_eq!(told.top[0].id as usize, best);
        assert!(told.top.is_sorted_by(|a, b| a.logprob >= b.logprob));
        for of in told.top.iter().chain([&told.token]) {
            let expected = -negative_log_likelihood(row, of.id) as f32;
            assert!((of.logprob - expected).abs() < 1e-3, "{}: {} for {expected}", of.id, of.logprob);
        }
    }
}

#[test]
fn scores_are_those_of_the_logits_whole_and_in_pieces() {
    let bytes = Tiny::new(9, |_| BlockType::Q4_1).bytes();
    let reference = decoder_on(HostEngine::new(Reference), &bytes).unwrap();
    let gpu = decoder_on(support::gpu(), &bytes).unwrap();
    for mut decoder in [reference, gpu] {
        let (ids, ends) = (ids(), decoder.tokenizer().ends().to_vec());
        let all = logits(&mut decoder, &ids);
        let row = |position: usize| &all[position * VOCAB..][..VOCAB];
        let mut expected: Vec<f64> = (1..ids.len()).map(|at| -negative_log_likelihood(row(at - 1), ids[at])).collect();
        assert!(!ends.is_empty());
        expected
            .push(ends.iter().map(|&end| (-negative_log_likelihood(row(ids.len() - 1), end)).exp()).sum::<f64>().ln());
        let same = |scores: &[f32], expected: &[f64]| {
            assert_eq!(scores.len(), expected.len());
            let delta = scores.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(delta < 1e-3, "{delta}");
        };
        same(&block_on(decoder.score(&ids, 1, true)).unwrap(), &expected);
        // the whole text is cached
        for from in [1, 2, 31, 33, 44, 45] {
            same(&block_on(decoder.score(&ids, from, false)).unwrap(), &expected[from - 1..44]);
        }
        // scoring nothing keeps the cache
        assert!(block_on(decoder.score(&ids[..20], 20, false)).unwrap().is_empty());
        let generation = decoder.start(ids.clone(), GenerateOptions::default(), 0).unwrap();
        assert_eq!(decoder.cached_tokens(generation), ids.len() - 1);
        // in pieces, after another text
        block_on(decoder.score(&[1, 2, 3], 1, false)).unwrap();
        let mut pieces = block_on(decoder.score(&ids[..20], 20, false)).unwrap();
        assert!(pieces.is_empty());
        pieces.extend(block_on(decoder.score(&ids[..40], 20, false)).unwrap());
        pieces.extend(block_on(decoder.score(&ids, 40, true)).unwrap());
        same(&pieces, &expected[19..]);
        // a generation that follows finds the keys and values of the text
        let generation = decoder.start(ids.clone(), GenerateOptions::default(), 0).unwrap();
        assert_eq!(decoder.cached_tokens(generation), ids.len() - 1);
        for (from, what) in [(0, "before it"), (46, "of 45")] {
            let error = block_on(decoder.score(&ids, from, false)).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        let long = vec![5; decoder.info().context_length + 1];
        assert!(matches!(block_on(decoder.score(&long, 1, false)), Err(Error::ContextOverflow { .. })));
    }
}

#[test]
fn a_constrained_answer_has_only_allowed_tokens() {
    let bytes = Tiny::new(9, |_| BlockType::Q4_1).bytes();
    let cpu = decoder_on(HostEngine::new(Simd::default()), &bytes).unwrap();
    let gpu = decoder_on(support::gpu(), &bytes).unwrap();
    for mut decoder in [cpu, gpu] {
        let sampling = SamplingOptions { seed: Some(3), ..SamplingOptions::default() };
        let options = GenerateOptions { constrained: true, ignore_eos: true, sampling, ..Default::default() };
        let mask = |ids: &[u32]| {
            let mut mask = vec![0u32; VOCAB.div_ceil(32)];
            ids.iter().for_each(|id| mask[*id as usize / 32] |= 1 << (id % 32));
            mask
        };
        assert!(decoder.allow(7.into(), mask(&[1])).is_err(), "nothing was started");
        let generation = decoder.start(vec![5, 6, 7], options.clone(), 0).unwrap();
        assert!(block_on(decoder.next(generation)).is_err(), "nothing was allowed yet");
        let generation = decoder.start(vec![5, 6, 7], options, 0).unwrap();
        for wanted in [11, 40, 11] {
            decoder.allow(generation, mask(&[wanted])).unwrap();
            let event = block_on(decoder.next(generation)).unwrap();
            assert!(matches!(event, Event::Token { id, .. } if id == wanted), "{event:?}");
        }
        decoder.finish(generation).unwrap();
        assert!(matches!(block_on(decoder.next(generation)).unwrap(), Event::End { reason: FinishReason::Stop, .. }));
    }
}

#[test]
fn decoding_agrees_with_the_prompt_pass() {
    let bytes = Tiny::new(9, |_| BlockType::Q4_1).bytes();
    let cpu = decoder_on(HostEngine::new(Simd::default()), &bytes).unwrap();
    let gpu = decoder_on(support::gpu(), &bytes).unwrap();
    for mut decoder in [cpu, gpu] {
        let prompt = ids();
        let decoded = greedy(&mut decoder, &prompt, 12);
        let all = [prompt.as_slice(), &decoded].concat();
        let logits = logits(&mut decoder, &all);
        for (i, id) in decoded.iter().enumerate() {
            let row = &logits[(prompt.len() + i - 1) * VOCAB..][..VOCAB];
            let best = (0..VOCAB).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            assert_eq!(best as u32, *id, "token {i}");
        }
    }
}

#[test]
fn a_generation_ends_when_the_context_is_full() {
    let bytes = Tiny::new(9, |_| BlockType::F16).bytes();
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &bytes).unwrap();
    assert_eq!(greedy(&mut decoder, &ids(), usize::MAX).len(), 128 - ids().len());
    let too_long = Rng::new(1).ids(128, VOCAB);
    let error = decoder.start(too_long, GenerateOptions::default(), 0).unwrap_err();
    assert!(matches!(error, Error::ContextOverflow { needed: 129, context: 128 }), "{error}");
    assert_eq!(greedy(&mut decoder, &ids(), 3).len(), 3, "still usable");
}

#[test]
fn a_token_costs_six_dispatches_a_layer_one_readback_and_one_submit() {
    let mut decoder = decoder_on(support::gpu(), &Tiny::new(2, |_| BlockType::Q4_0).bytes()).unwrap();
    greedy(&mut decoder, &ids(), 1);
    let before = decoder.engine().counters();
    let tokens = 5;
    greedy(&mut decoder, &[ids(), vec![7]].concat(), tokens);
    let after = decoder.engine().counters();
    let per_token = |now: u64, then: u64| (now - then) as f64 / tokens as f64;
    // besides: embedding, output, and two for sampling
    assert_eq!(per_token(after.dispatches, before.dispatches), (6 * LAYERS + 4) as f64);
    assert_eq!(per_token(after.readbacks, before.readbacks), 1.0);
    assert_eq!(per_token(after.submits, before.submits), 1.0);
}

#[test]
fn nan_weights_are_an_error() {
    let mut norm = [1.0; HIDDEN];
    norm[5] = f32::NAN;
    let tiny = Tiny::new(1, |_| BlockType::F32).vector("output_norm.weight", &norm);
    let mut decoder = decoder_on(HostEngine::new(Simd::default()), &tiny.bytes()).unwrap();
    let generation = decoder.start(ids(), GenerateOptions::default(), 0).unwrap();
    let error = loop {
        match block_on(decoder.next(generation)) {
            Ok(event) => assert!(matches!(event, Event::Prompt { .. }), "{event:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "INVALID_LOGITS");
}
