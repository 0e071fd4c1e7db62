//! Loading a model: its errors, and when pipelines and memory are made.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use std::cell::RefCell;
use std::rc::Rc;

use pollster::block_on;
use support::Rng;
use support::slow::Slow;
use support::tiny::{FFN, HEAD_DIM, HEADS, HIDDEN, KV_HEADS, Tiny, VOCAB, decoder_on, decoder_with, greedy};
use weft_llm::Error;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::shapes::{Product, Shapes};
use weft_llm::engine::{Engine, Opened};
use weft_llm::format::{BlockType, Layout, ModelReader};
use weft_llm::inference::{Event, GenerateOptions, Loading};
use weft_llm::model::TensorLoader;
use weft_llm::record::Memory;
use weft_llm::sampling::SamplingOptions;

/// Users of the CPU were told to try device 'cpu'.
#[test]
fn advice_fits_the_engine() {
    let mut engine = HostEngine::new(Reference);
    engine.max_buffer_bytes = 1 << 10;
    let Err(error) = decoder_with(engine, &Tiny::new(11, |_| BlockType::Q4_0).bytes(), None) else {
        panic!("1 KiB is enough")
    };
    assert_eq!(error.code(), "OUT_OF_MEMORY");
    for text in [error.to_string(), Error::InvalidLogits("NaN".into()).to_string()] {
        assert!(text.contains("Try") && !text.contains("'cpu'"), "{text}");
    }
}

fn load_error(tiny: &Tiny) -> Error {
    match decoder_on(HostEngine::new(Reference), &tiny.bytes()) {
        Ok(_) => panic!("it loaded"),
        Err(error) => error,
    }
}

#[test]
fn errors_of_a_model_name_the_tensor_or_key() {
    let tiny = || Tiny::new(1, |_| BlockType::F32);
    let mut wrong_shape = tiny();
    wrong_shape.tensors.get_mut("blk.1.attn_k.weight").unwrap().dims.swap(0, 1);
    let cases = [
        (tiny().without("blk.1.ffn_up.weight"), "INVALID_MODEL", "blk.1.ffn_up.weight"),
        (tiny().without("blk.0.attn_norm.weight"), "INVALID_MODEL", "blk.0.attn_norm.weight"),
        (tiny().without("token_embd.weight"), "INVALID_MODEL", "token_embd.weight"),
        (wrong_shape, "INVALID_MODEL", "blk.1.attn_k.weight"),
        (tiny().vector("blk.0.attn_q_norm.weight", &[1.0; 16]), "UNSUPPORTED_MODEL", "blk.0.attn_q_norm.weight"),
        (tiny().vector("blk.0.attn_norm.weight", &[1.0; 60]), "INVALID_MODEL", "blk.0.attn_norm.weight"),
        (tiny().meta("general.architecture", "jamba"), "UNSUPPORTED_MODEL", "jamba"),
        (tiny().meta("llama.expert_count", 8u32), "INVALID_MODEL", "expert_used_count"),
        (tiny().meta("llama.rope.scaling.type", "dynamic"), "UNSUPPORTED_MODEL", "dynamic"),
        (tiny().meta("llama.attention.head_count", 0u32), "INVALID_MODEL", "head_count"),
        (tiny().meta("llama.attention.head_count_kv", 3u32), "INVALID_MODEL", "head_count_kv"),
        (tiny().meta("llama.embedding_length", 63u32), "INVALID_MODEL", "embedding_length"),
        (tiny().meta("llama.block_count", 4_000_000_000u32), "INVALID_MODEL", "block_count"),
        (tiny().meta("llama.attention.key_length", 6u32), "INVALID_MODEL", "key_length"),
        (tiny().meta("llama.rope.freq_base", f32::NAN), "INVALID_MODEL", "freq_base"),
        (tiny().meta("tokenizer.ggml.model", "plamo2"), "UNSUPPORTED_TOKENIZER", "plamo2"),
    ];
    for (tiny, code, name) in cases {
        let error = load_error(&tiny);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// Feeds `bytes` until `done`; returns how many that took.
fn feed_until(loading: &mut Loading, bytes: &[u8], done: impl Fn(&Loading) -> bool) -> Result<usize, Error> {
    for (i, chunk) in bytes.chunks(64).enumerate() {
        block_on(loading.feed(chunk))?;
        if done(loading) {
            return Ok(i * 64 + chunk.len());
        }
    }
    panic!("it never happened");
}

#[test]
fn pipelines_compile_once_and_before_the_weights_come() {
    let bytes = Tiny::new(6, |_| BlockType::Q4_0).bytes();
    let mut loading = Loading::new(Box::new(support::gpu()), None);
    let fed = feed_until(&mut loading, &bytes, |loading| loading.engine().counters().pipelines > 0).unwrap();
    assert!(fed < bytes.len() / 2, "{fed} of {} bytes", bytes.len());
    let early = loading.engine().counters().pipelines;
    block_on(loading.feed(&bytes[fed..])).unwrap();
    let mut decoder = block_on(loading.finish()).unwrap();
    block_on(decoder.warm_up()).unwrap();
    let prompt = Rng::new(5).ids(45, VOCAB);
    greedy(&mut decoder, &prompt, 3);
    assert_eq!(decoder.engine().counters().pipelines, early);
    // draws with penalties and log-probabilities have their own, which few answers need
    let sampling = SamplingOptions { repetition_penalty: 1.1, ..SamplingOptions::default() };
    let options = GenerateOptions { max_tokens: Some(2), top_logprobs: Some(3), sampling, ..Default::default() };
    let generation = decoder.start(prompt, options, 0).unwrap();
    while !matches!(block_on(decoder.next(generation)).unwrap(), Event::End { .. }) {}
    assert_eq!(decoder.engine().counters().pipelines, early + 3);
}

#[test]
fn a_missing_tensor_is_named_before_the_weights_come() {
    let bytes = Tiny::new(6, |_| BlockType::F32).without("output_norm.weight").bytes();
    let mut loading = Loading::new(Box::new(HostEngine::new(Reference)), None);
    let header = feed_until(&mut loading, &bytes[..bytes.len() / 2], |_| false).unwrap_err();
    assert!(header.to_string().contains("output_norm.weight"), "{header}");
}

#[test]
fn a_header_larger_than_its_stream_takes_no_memory() {
    let bytes = Tiny::new(1, |_| BlockType::F32).bytes();
    let mut engine = HostEngine::new(Reference);
    let mut loader = TensorLoader::new(None);
    loader.set_stream_bytes(bytes.len() as u64 - 100);
    let error = loader.feed(&mut engine, &bytes).unwrap_err();
    assert_eq!(error.code(), "TRUNCATED_FILE", "{error}");
    assert_eq!(engine.memory_bytes(), 0);
}

/// The reference as an engine that is tuned with this outcome; also the shapes that it is tuned to
/// and what it held in memory by then.
type Tuned = Rc<RefCell<Vec<(Shapes, u64)>>>;
fn tuned_with(outcome: Result<(), Error>, is_optional: bool) -> (Opened, Tuned) {
    let tuned = Tuned::default();
    let seen = tuned.clone();
    let tunes = Box::new(move |shapes: &Shapes, bytes| {
        seen.borrow_mut().push((shapes.clone(), bytes));
        outcome.clone()
    });
    let reference: Box<dyn Engine> = Box::new(HostEngine::new(Reference));
    let engine = Box::new(Slow { tunes: Some(tunes), ..Slow::from(reference) });
    (Opened { engine, reason: "A GPU was found.".into(), is_optional }, tuned)
}

/// Feeds pieces of so many bytes: one that holds the header holds weights too, or the whole file.
fn load_opened(opened: Opened, bytes: &[u8], piece: usize) -> Result<(&'static str, String, Vec<u32>), Error> {
    let mut loading = Loading::opened(opened, ModelReader::default(), None);
    for piece in bytes.chunks(piece) {
        let is_placed = loading.is_placed();
        block_on(loading.feed(piece))?;
        assert!(loading.is_placed() || !is_placed);
    }
    assert!(loading.is_placed());
    let (kind, reason) = (loading.engine().info().kind, loading.reason().to_string());
    let mut decoder = block_on(loading.finish())?;
    Ok((kind, reason, greedy(&mut decoder, &Rng::new(5).ids(9, VOCAB), 5)))
}

#[test]
fn an_engine_is_tuned_once_to_the_model_before_it_holds_any_of_it() {
    let bytes = Tiny::new(3, |part| if part == "ffn_down" { BlockType::Q8_0 } else { BlockType::Q4_0 }).bytes();
    let expected = greedy(&mut decoder_on(HostEngine::new(Reference), &bytes).unwrap(), &Rng::new(5).ids(9, VOCAB), 5);
    for piece in [bytes.len(), 5000, 64] {
        let (opened, tuned) = tuned_with(Ok(()), true);
        let (kind, reason, ids) = load_opened(opened, &bytes, piece).unwrap();
        assert_eq!((kind, reason.as_str(), &ids), ("reference", "A GPU was found.", &expected), "{piece}");
        // no matrix is wide here, and the largest is that of gate and up projections
        let narrow = Some(Product { layout: Layout::Q4, rows: 2 * FFN, cols: HIDDEN });
        let shapes = Shapes { wide: None, narrow, gated: true, heads: HEADS, kv_heads: KV_HEADS, head_dim: HEAD_DIM };
        assert_eq!(*tuned.borrow(), [(shapes, 0)], "{piece}");
    }
}

#[test]
fn the_cpu_takes_over_from_an_optional_gpu_that_fails_its_test() {
    let bytes = Tiny::new(3, |_| BlockType::Q8_0).bytes();
    let wrong = || Error::GpuUnavailable("no shader is right".into());
    for piece in [bytes.len(), 5000, 64] {
        let (kind, reason, ids) = load_opened(tuned_with(Err(wrong()), true).0, &bytes, piece).unwrap();
        assert_eq!((kind, ids.len()), ("cpu", 5), "{piece}");
        assert!(reason.starts_with("The GPU failed its test: ") && reason.contains("no shader is right"), "{reason}");
    }
    let asked_for = load_opened(tuned_with(Err(wrong()), false).0, &bytes, 64).unwrap_err();
    assert_eq!(asked_for.code(), "GPU_UNAVAILABLE");
    // it may work again after it has been reset
    let lost = load_opened(tuned_with(Err(Error::DeviceLost("gone".into())), true).0, &bytes, 64).unwrap_err();
    assert_eq!(lost.code(), "DEVICE_LOST");
}
