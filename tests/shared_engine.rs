//! One engine holds several models, frees the memory of each separately, and never takes a freed
//! buffer or program for a newer one.
#![allow(clippy::unwrap_used)]

use crate::support;

use pollster::block_on;
use support::slow::{Slow, poll};
use support::tiny::{Tiny, VOCAB};
use support::{Rng, gpu, read};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::shared::SharedEngine;
use weft_llm::format::{BlockType, Layout};
use weft_llm::inference::{LoadedDecoder, Loading};
use weft_llm::ops::{Epilogue, Linear, PickRows, Recording};
use weft_llm::record::{Step, Tensor, rows};

fn engines() -> [Box<dyn Engine>; 3] {
    [Box::new(HostEngine::new(Reference)), Box::new(HostEngine::new(Simd::default())), Box::new(gpu())]
}

fn load(engine: &SharedEngine, seed: u64) -> LoadedDecoder {
    let mut loading = Loading::new(engine.clone(), None);
    block_on(loading.feed(&Tiny::new(seed, |_| BlockType::Q4_0).bytes())).unwrap();
    block_on(loading.finish()).unwrap()
}

fn logits(decoder: &mut LoadedDecoder) -> Vec<f32> {
    let mut all = Vec::new();
    block_on(decoder.logits(&Rng::new(1).ids(40, VOCAB), |_, row| all.extend_from_slice(row))).unwrap();
    all
}

#[test]
fn a_freed_model_frees_all_that_it_held() {
    for engine in engines() {
        let kind = engine.info().kind;
        let engine = SharedEngine::from(engine);
        let empty = engine.memory_bytes();
        let mut first = load(&engine, 1);
        let expected = logits(&mut first);
        let one = engine.memory_bytes();
        assert_eq!(first.info().memory_bytes, one - empty, "{kind}");
        for seed in [2, 3] {
            let mut second = load(&engine, seed);
            let other = logits(&mut second);
            assert_eq!(second.info().memory_bytes, engine.memory_bytes() - one, "{kind}");
            assert_eq!(logits(&mut first), expected, "{kind}");
            assert_eq!(logits(&mut second), other, "{kind}");
            drop(second);
            assert_eq!(engine.memory_bytes(), one, "{kind}");
            assert_eq!(logits(&mut first), expected, "{kind}");
        }
        // an abandoned load
        let mut loading = Loading::new(engine.clone(), None);
        let bytes = Tiny::new(4, |_| BlockType::Q4_0).bytes();
        block_on(loading.feed(&bytes[..bytes.len() / 2])).unwrap();
        assert!(engine.memory_bytes() > one, "{kind}");
        drop(loading);
        assert_eq!(engine.memory_bytes(), one, "{kind}");
        drop(first);
        assert_eq!(engine.memory_bytes(), empty, "{kind}");
    }
}

/// Growing a KV cache once borrowed the engine until it was done: the other model would have
/// panicked.
#[test]
fn a_model_computes_while_another_waits_for_memory() {
    for engine in engines() {
        let kind = engine.info().kind;
        let engine = SharedEngine::from(Box::new(Slow::from(engine)));
        let (mut first, mut second) = (load(&engine, 1), load(&engine, 2));
        let expected = [&mut first, &mut second].map(logits);
        for polls in 1..4 {
            let mut all = Vec::new();
            let ids = Rng::new(1).ids(40, VOCAB);
            let mut waiting = Box::pin(first.logits(&ids, |_, row| all.extend_from_slice(row)));
            for _ in 0..polls {
                assert!(poll(&mut waiting).is_pending(), "{kind}");
            }
            assert_eq!(logits(&mut second), expected[1], "{kind}");
            block_on(waiting).unwrap();
            assert_eq!(all, expected[0], "{kind}");
        }
    }
}

#[test]
fn a_freed_id_is_refused() {
    for mut engine in engines() {
        let kind = engine.info().kind;
        let (a, b) = (engine.create_values("a", 64).unwrap(), engine.create_values("b", 64).unwrap());
        engine.write_values(b, 0, &[7.0; 64]).unwrap();
        let before = engine.memory_bytes();
        let row = |buffer| Tensor { buffer, rows: 1, cols: 64 };
        let mut copy = Recording::default();
        copy.push(PickRows { x: row(b), y: row(a) }).unwrap();
        let program = engine.prepare(copy.clone()).unwrap();
        engine.release(program);
        engine.free(a);
        assert_eq!(engine.memory_bytes(), before - engine.buffer_bytes(b), "{kind}");
        // new ids differ from freed ones
        let c = engine.create_values("c", 64).unwrap();
        let mut other = Recording::default();
        other.push(PickRows { x: row(b), y: row(c) }).unwrap();
        let next = engine.prepare(other).unwrap();
        assert!(c != a && next != program, "{kind}");
        assert_eq!(engine.memory_bytes(), before, "{kind}");
        let error = engine.run(program, &Step::new(&rows(0, 0, &[1]), &[])).unwrap_err().to_string();
        assert!(error.contains("released"), "{kind}: {error}");
        let error = engine.write_values(a, 0, &[1.0]).unwrap_err().to_string();
        assert!(error.contains("freed"), "{kind}: {error}");
        assert_eq!(engine.buffer_bytes(a), 0);
        engine.run(next, &Step::new(&rows(0, 0, &[1]), &[])).unwrap();
        assert_eq!(read(&mut *engine, c, 64), [7.0; 64], "{kind}");
    }
}

/// It once left an empty program behind, whose next run did nothing and reported no error.
#[test]
fn a_program_and_its_buffers_survive_an_error_in_a_run() {
    let engines: [Box<dyn Engine>; 2] =
        [Box::new(HostEngine::new(Reference)), Box::new(HostEngine::new(Simd::default()))];
    for mut engine in engines {
        let mut rng = Rng::new(1);
        let mut tensor = |values: &[f32]| {
            let buffer = engine.create_values("tensor", 64).unwrap();
            engine.write_values(buffer, 0, values).unwrap();
            Tensor { buffer, rows: 1, cols: 64 }
        };
        let (x, between, y) = (tensor(&rng.units(64)), tensor(&[0.0; 64]), tensor(&[5.0; 64]));
        let weight = engine.create_matrix("weight", Layout::F32, 64, 64).unwrap();
        let linear =
            |weight, y| Linear { x, norm: None, weight, affine: None, epilogue: Epilogue::Store, y_offset: 0, y };
        let mut recording = Recording::default();
        recording.push(PickRows { x, y: between }).unwrap();
        recording.push(linear(weight, y)).unwrap();
        let program = engine.prepare(recording).unwrap();
        let mut copy = Recording::default();
        copy.push(PickRows { x: y, y: between }).unwrap();
        let copy = engine.prepare(copy).unwrap();
        engine.free(weight.buffer);
        for _ in 0..2 {
            let error = engine.run(program, &Step::new(&rows(0, 0, &[1]), &[])).unwrap_err().to_string();
            assert!(error.contains("freed"), "{error}");
            assert_eq!(read(&mut *engine, between.buffer, 64), read(&mut *engine, x.buffer, 64));
            assert_eq!(read(&mut *engine, y.buffer, 64), [5.0; 64], "nothing was computed, and nothing is lost");
        }
        engine.run(copy, &Step::new(&rows(0, 0, &[1]), &[])).unwrap();
        assert_eq!(read(&mut *engine, between.buffer, 64), [5.0; 64]);
    }
}
