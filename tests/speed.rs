//! The CPU engine's kernels stay as fast as they are, measured by the reference of their operation.
//!
//! On a shared machine, times mean little but ratios do. The two run in turns, each for less than a
//! scheduler's time slice, so that a slow phase affects both; the median ignores the other rounds.
//! The bounds are about 0.6 of what an x86-64 machine measured: a lost kernel or a scalar fallback
//! fails, noise does not. The reference is not slow natively: a compiler makes vectors of its f32
//! sums, and less of the bytes that the CPU engine multiplies by instructions of WebAssembly. Where
//! a processor has wider vectors, these are held to bounds of their own.
#![cfg(not(debug_assertions))]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::time::Instant;

use support::{Setup, TABLES, prepare};
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::block::BlockType;
use weft_llm::ops::{Attention, Command, Epilogue, Linear, Part};
use weft_llm::record::{KvFormat, Step, rows};

const ROUNDS: usize = 41;

/// Speed of a CPU engine relative to the reference for `record`, with `tokens` tokens from
/// `position` on.
fn speedup<C: Into<Command>>(simd: Simd, position: usize, tokens: usize, record: impl Fn(&mut Setup) -> C) -> f64 {
    let (rows, table) = (rows(0, position, &vec![0; tokens]), TABLES.as_flattened());
    let mut engines: [Box<dyn Engine>; 2] = [Box::new(HostEngine::new(Reference)), Box::new(HostEngine::new(simd))];
    let programs = engines.each_mut().map(|engine| prepare(&mut **engine, 1, table.len(), &record).0);
    let mut time = |which: usize| {
        let start = Instant::now();
        engines[which].run(programs[which], &Step::new(&rows, &[table])).unwrap();
        start.elapsed().as_secs_f64()
    };
    let mut ratios: Vec<f64> = (0..ROUNDS).map(|_| time(0) / time(1)).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}

fn linear(block: BlockType, tokens: usize) -> impl Fn(&mut Setup) -> Linear {
    move |s: &mut Setup| Linear {
        x: s.tensor_of_bytes(tokens, 576),
        norm: None,
        weight: s.matrix(block, 256, 576),
        affine: None,
        epilogue: Epilogue::Store,
        y_offset: 0,
        y: s.output(tokens, 256),
    }
}

#[test]
fn kernels_keep_their_speed_beside_the_reference() {
    let attention = |s: &mut Setup| Attention {
        q: s.tensor(1, 9 * 64),
        kv: s.cache(3, 64, KvFormat::F32),
        heads: 9,
        scale: 0.125,
        cap: None,
        alibi: None,
        window: None,
        causal: true,
        sinks: None,
        bias: None,
        part: Part::Whole,
        temperature: None,
        y: s.output(1, 9 * 64),
    };
    let measured = |simd: fn() -> Simd| {
        [
            ("Q4_1, one token", speedup(simd(), 0, 1, linear(BlockType::Q4_1, 1))),
            ("Q4_1, 32 tokens", speedup(simd(), 0, 32, linear(BlockType::Q4_1, 32))),
            ("Q5_0, one token", speedup(simd(), 0, 1, linear(BlockType::Q5_0, 1))),
            ("Q8_0, one token", speedup(simd(), 0, 1, linear(BlockType::Q8_0, 1))),
            ("attention at 300 tokens", speedup(simd(), 300, 1, attention)),
        ]
    };
    let mut runs = vec![([0.9, 0.34, 0.9, 0.8, 1.2], measured(Simd::of_four_lanes))];
    if HostEngine::new(Simd::default()).info().description.starts_with("AVX2") {
        runs.push(([12.0, 4.5, 20.0, 9.0, 2.0], measured(Simd::default)));
    }
    println!("{runs:?}");
    for (bounds, measured) in runs {
        for (bound, (name, speedup)) in bounds.into_iter().zip(measured) {
            assert!(
                speedup >= bound,
                "{name}: {speedup:.2} times the speed of the reference, at least {bound} is expected"
            );
        }
    }
}
