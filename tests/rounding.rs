//! Products that round activations are off by no more than the roundings allow, on data that they
//! cannot hold exactly.
#![allow(clippy::unwrap_used)]

use crate::support;

use std::cell::Cell;

use support::{Rng, gpu_with, prepare, read};
use weft_llm::engine::Engine;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::format::BlockType;
use weft_llm::ops::variants::{Feature, MATMUL, MATMUL_FEW, MATMUL_INT8_NARROW, MATMUL_NARROW, MATMUL_ROUNDED};
use weft_llm::ops::{Epilogue, Linear, RmsNorm, Variants};
use weft_llm::record::{Step, Tensor, rows};

const ROWS: usize = 70;
const COLS: usize = 512;
const EPS: f32 = 1e-5;

/// The product of rows `x` with the same random matrix each time.
fn product(engine: &mut dyn Engine, block: BlockType, x: &[f32], norm: Option<&[f32]>, capacity: usize) -> Vec<f32> {
    let (tokens, y) = (x.len() / COLS, Cell::new(None::<Tensor>));
    let (program, _) = prepare(engine, 7, 1, |s| {
        let weight = s.matrix(block, ROWS, COLS);
        let norm = norm.map(|norm| RmsNorm { weight: s.tensor_of(1, COLS, norm), eps: EPS });
        let x = [x, &vec![f32::NAN; (capacity - tokens) * COLS]].concat();
        y.set(Some(s.tensor(capacity, ROWS)));
        let (x, y) = (s.tensor_of(capacity, COLS, &x), y.get().unwrap());
        Linear { x, norm, weight, affine: None, epilogue: Epilogue::Store, y_offset: 0, y }
    });
    engine.run(program, &Step::new(&rows(0, 0, &vec![0; tokens]), &[&[0]])).unwrap();
    read(engine, y.get().unwrap().buffer, tokens * ROWS)
}

/// How far a product may be off, for a row of activations and one of the weights.
fn bound(feature: Feature, x: &[f32], weights: impl Iterator<Item = f32>) -> f32 {
    let products: Vec<(f32, f32)> = x.iter().copied().zip(weights.map(f32::abs)).collect();
    let of = |block: &[(f32, f32)]| {
        let largest = block.iter().fold(0.0f32, |largest, (x, _)| largest.max(x.abs()));
        let weights: f32 = block.iter().map(|(_, weight)| weight).sum();
        let all: f32 = block.iter().map(|(x, weight)| x.abs() * weight).sum();
        // sums in f32, in another order
        let sums = 1e-5 * all;
        match feature {
            // half a step of 127
            Feature::PackedDot => largest / 254.0 * weights + sums,
            // a step of 11 bits, of activations and of weights
            _ => all / 512.0 + sums,
        }
    };
    products.chunks(32).map(of).sum()
}

#[test]
fn roundings_are_bounded() {
    let mut reference = HostEngine::new(Reference);
    let mut identity = vec![0.0; COLS * COLS];
    (0..COLS).for_each(|i| identity[i * COLS + i] = 1.0);
    for (turn, block) in [
        BlockType::Q4_1,
        BlockType::Q8_0,
        BlockType::Q4K,
        BlockType::Q2K,
        BlockType::Q6K,
        BlockType::Q5K,
        BlockType::Iq4Xs,
    ]
    .into_iter()
    .enumerate()
    {
        let weights = product(&mut reference, block, &identity, None, COLS);
        let mut rng = Rng::new(turn as u64);
        // few tokens, half of a tile, and more than one of them
        for (tokens, capacity) in [(9, 20), (50, 70), (300, 310)] {
            // of very different sizes, also larger than an f16
            let mut x = rng.units(tokens * COLS);
            x.iter_mut().for_each(|x| *x *= 10f32.powi(rng.below(4) as i32 - 1));
            x[..COLS].iter_mut().for_each(|x| *x *= 1e6);
            let norm = (turn % 2 == 0).then(|| rng.units(COLS));
            let expected = product(&mut reference, block, &x, norm.as_deref(), capacity);
            if let Some(norm) = &norm {
                for row in x.chunks_mut(COLS) {
                    let squares: f32 = row.iter().map(|x| x * x).sum();
                    let factor = (squares / COLS as f32 + EPS).sqrt().recip();
                    row.iter_mut().zip(norm).for_each(|(x, norm)| *x *= factor * norm);
                }
            }
            for variant in MATMUL_ROUNDED.iter().chain([&MATMUL_INT8_NARROW]) {
                let mut engine = gpu_with(Variants { matmul_rounded: Some(variant), ..Variants::PLAIN });
                let got = product(&mut engine, block, &x, None, capacity);
                let mut worst = 0.0f32;
                for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
                    let (token, row) = (i / ROWS, i % ROWS);
                    let weights = (0..COLS).map(|col| weights[col * ROWS + row]);
                    let bound = bound(variant.needs.unwrap(), &x[token * COLS..][..COLS], weights);
                    let off = (got - expected).abs();
                    worst = worst.max(off / bound);
                    assert!(off <= bound, "{}, {block:?}, {tokens} tokens, {i}: {off} > {bound}", variant.name);
                }
                println!("{}, {block:?}, {tokens} tokens: {worst} of the bound", variant.name);
            }
        }
    }
}

/// Sums are added up in the same order in each: so a prompt has the same bits in chunks of any
/// size.
#[test]
fn tiles_in_f32_have_the_same_bits() {
    let mut reference = HostEngine::new(Reference);
    let tiles: Vec<_> = MATMUL.iter().filter(|variant| variant.shader == MATMUL_FEW.shader).collect();
    assert_eq!(tiles.len(), 3);
    let tiles = [&[&MATMUL_FEW, &MATMUL_NARROW], &tiles[..]].concat();
    for (turn, block) in [BlockType::Q4K, BlockType::Q6K, BlockType::F16].into_iter().enumerate() {
        let mut rng = Rng::new(turn as u64);
        for (tokens, capacity) in [(50, 70), (300, 310)] {
            let x = rng.units(tokens * COLS);
            let norm = (tokens == 300 || turn == 0).then(|| rng.units(COLS));
            let expected = product(&mut reference, block, &x, norm.as_deref(), capacity);
            let rms = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt();
            let mut first: Option<Vec<u32>> = None;
            for &matmul in &tiles {
                let mut engine = gpu_with(Variants { matmul, ..Variants::PLAIN });
                let got = product(&mut engine, block, &x, norm.as_deref(), capacity);
                let about = format!("{}, {block:?}, {tokens} tokens", matmul.name);
                let worst =
                    got.iter().zip(&expected).fold(0.0f32, |worst, (got, expected)| worst.max((got - expected).abs()));
                assert!(worst < 1e-5 * rms * (COLS as f32).sqrt(), "{about}: {worst} off");
                let bits = got.iter().map(|value| value.to_bits()).collect();
                assert!(*first.get_or_insert_with(|| Vec::clone(&bits)) == bits, "{about}: other bits");
            }
        }
    }
}
