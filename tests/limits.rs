//! Models on a GPU that allows no more than small buffers.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::tiny::{HEAD_DIM, KV_HEADS, LAYERS, Tiny, VOCAB, decoder_in, decoder_with, greedy};
use support::{Rng, gpu, small_gpu};
use weft_llm::engine::gpu::GpuEngine;
use weft_llm::format::BlockType;
use weft_llm::inference::LoadedDecoder;
use weft_llm::record::{KV_BLOCK, KvFormat};

const CONTEXT: usize = 1024;

/// Bytes that a head's keys and values take in three contexts.
fn of_head(width: usize, format: KvFormat) -> u64 {
    3 * CONTEXT as u64 / KV_BLOCK as u64 * format.bytes(2 * KV_BLOCK * width * HEAD_DIM) as u64
}

/// The dispatches of a step, which are more where keys and values are in parts.
fn dispatches(decoder: &mut LoadedDecoder) -> u64 {
    let before = decoder.engine().counters().dispatches;
    greedy(decoder, &[5], 1);
    decoder.engine().counters().dispatches - before
}

fn logits(decoder: &mut LoadedDecoder, ids: &[u32]) -> Vec<f32> {
    let mut logits = Vec::new();
    block_on(decoder.logits(ids, |_, row| logits.extend_from_slice(row))).unwrap();
    logits
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn keys_and_values_split_at_the_largest_buffer_answer_the_same() {
    for (width, format) in [(1, KvFormat::F32), (1, KvFormat::F16), (2, KvFormat::Q8)] {
        let tiny = Tiny::of_width(width, 7, |_| BlockType::Q8_0).meta("llama.context_length", CONTEXT as u32);
        let open = |mut engine: GpuEngine| {
            engine.set_prompt_chunk(40);
            decoder_in(format, engine, &tiny.bytes())
        };
        let (mut whole, mut split) = (open(gpu()), open(small_gpu(of_head(width, format))));
        // the layers of a prompt and of a token: RoPE apart from the projection, once a part
        assert!(dispatches(&mut split) >= dispatches(&mut whole) + LAYERS as u64 * (KV_HEADS as u64 - 1));
        let ids = Rng::new(9).ids(150, VOCAB);
        assert_eq!(greedy(&mut split, &ids, 90), greedy(&mut whole, &ids, 90), "{}", format.name());
        let differ = largest_difference(&logits(&mut split, &ids), &logits(&mut whole, &ids));
        println!("logits in {} differ by {differ:.1e}", format.name());
        let most = if format == KvFormat::F32 { 1e-4 } else { 2e-2 };
        assert!(differ < most, "{}: {differ}", format.name());
    }
}

#[test]
fn a_layer_is_saved_that_no_buffer_holds() {
    let tiny = Tiny::new(7, |_| BlockType::Q8_0).meta("llama.context_length", CONTEXT as u32);
    let (ids, limit) = (Rng::new(9).ids(1000, VOCAB), 200 << 10);
    let [whole, split] = [gpu(), small_gpu(limit)].map(|engine| {
        let mut decoder = decoder_in(KvFormat::F32, engine, &tiny.bytes());
        greedy(&mut decoder, &ids, 1);
        block_on(decoder.read_kv(0, &ids, None)).unwrap()
    });
    assert!(size_of_val(&split[..]) as u64 > limit);
    assert!(largest_difference(&split, &whole) < 1e-4);
}

#[test]
fn a_context_too_long_for_a_head_is_refused_with_what_helps() {
    let context = 3 * CONTEXT;
    let tiny = Tiny::of_width(2, 7, |_| BlockType::Q8_0).meta("llama.context_length", context as u32);
    let limit = of_head(2, KvFormat::F16) - 16;
    let open = |context| decoder_with(small_gpu(limit), &tiny.bytes(), Some(context));
    let error = open(context).err().unwrap();
    assert_eq!(error.code(), "OUT_OF_MEMORY");
    let in_bytes = of_head(2, KvFormat::Q8);
    for part in ["3072 tokens in f16", "contextLength", "device 'cpu'", &format!("kvCache 'q8' needs {in_bytes}")] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(open(context - KV_BLOCK).is_ok());
}
